# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it is implemented as an action plugin that runs on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_directory
short_description: Keep runs on one cluster apart
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - On one controller one run at a time works with a cluster's directory. The lookup P(hardway.kubernetes.run_lock#lookup) takes the lock, and
    this module refuses a run that did not get it.
  - The directory has a serial (C(serial.json)), which is one more with each change of its keys, certificates, rotation, static tokens and locked
    artifacts. The Lease C(kube-system/hardway-run) has the serial with which the cluster was changed last. A run whose directory lacks that
    state is refused, whichever number it has.
  - An API that does not answer refuses nothing, for the run may be there to repair it.
options:
  path:
    description: The cluster's directory.
    type: path
    required: true
  kubeconfig:
    description: The administrator's kubeconfig. Without it, or where there is no such file, the cluster is not asked.
    type: path
  state:
    description:
      - V(alone) changes nothing. It refuses the run where another has the lock, or where the directory is not the newest.
      - V(recorded) writes the serial and the Lease, each where it has changed.
    type: str
    choices: [alone, recorded]
    required: true
  accept:
    description: Whether this directory takes the place of the one that the cluster was changed with last.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Does nothing, and refuses nothing.
  diff_mode:
    description: Has nothing to show.
    support: none
notes:
  - Use it with C(run_once). It runs on the controller, whatever the task's host is.
"""

EXAMPLES = r"""
- name: Refuse a second run, and an older directory
  hardway.kubernetes.cluster_directory:
    path: clusters/production
    kubeconfig: clusters/production/admin.kubeconfig
    state: alone
  run_once: true
"""

RETURN = r"""
serial:
  description: Serial of the directory.
  returned: success, where the directory was looked at
  type: int
  sample: 12
untold:
  description: Why the cluster could not be asked, or told; empty where it was.
  returned: success, where the directory was looked at
  type: str
  sample: ""
"""
