#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Finds all that is wrong with an inventory and its hosts before anything is changed
version_added: 1.0.0
description:
  - Checks the whole inventory, the controller, and the hosts of the play by the facts that M(hardway.kubernetes.host_facts) gathered,
    and reports all problems together, each with its place and its fix.
  - Runs on the controller, changes nothing, and connects to no host. It connects once to the endpoint of the cluster.
  - Run it once for a play (C(run_once)).
  - Its cost depends on the number of hosts in the play, not in the inventory.
author: the hardway.kubernetes authors (@hardway)
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: Runs in check mode, and does the same in it.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  accept:
    description: Kinds of problems that are reported as warnings, and do not fail.
    type: list
    elements: str
    default: []
  run_group:
    description: Group that every host of the run must be in. Empty for any.
    type: str
    default: ""
  probe_endpoint:
    description: Whether to connect once to the endpoint, to find out who answers there.
    type: bool
    default: true
  ports:
    description: Ports of the components.
    type: list
    elements: dict
    default: []
    suboptions:
      group:
        description: Group on whose hosts it is used.
        type: str
        required: true
      port:
        description: The port, unless the setting has another.
        type: int
        required: true
      setting:
        description: Setting that has it; empty if it is fixed.
        type: str
        default: ""
      component:
        description: Component that listens on it.
        type: str
        required: true
      units:
        description: systemd units that run the component, without C(.service).
        type: list
        elements: str
        default: []
      where:
        description: Values that settings must have for the port to be used.
        type: dict
        default: {}
  versions:
    description:
      - By minor version of Kubernetes a dictionary with C(etcd), C(containerd), C(coredns), C(calico) (lists of prefixes of versions), C(runtime) and C(tried).
      - The default is C(cluster_version_table) of the role cluster.
    type: dict
  etcd_versions:
    description: Prefixes of etcd's versions that go with those versions of Kubernetes that name none.
    type: list
    elements: str
    default: []
  needs:
    description:
      - What a host must have. C(memory) (MiB) and C(cpus) by group; C(space) (MiB) by group and path; C(commands) and C(features) by group;
        C(distributions) with the oldest version; C(foreign_packages) with the reason why they disturb; C(firewalls), C(packaged) (units);
        C(own_interfaces) (beginnings of names), C(runtime_bridges) by C(cluster_runtime), C(network_kernels) by C(cluster_cni);
        C(python), C(kernel), C(architectures), C(clock_difference) (seconds), C(inotify).
    type: dict
    default: {}
  controller_packages:
    description: Python packages that the controller must have.
    type: list
    elements: str
    default: []
  controller_collections:
    description: Collections that the controller must have.
    type: list
    elements: str
    default: []
  ansible_version:
    description: Oldest version of ansible-core that is supported.
    type: str
    default: ""
seealso:
  - module: hardway.kubernetes.host_facts
"""

EXAMPLES = r"""
- name: Gather the facts of the host
  hardway.kubernetes.host_facts:
    on_failure: report
  become: true

- name: Report all problems of the inventory and the hosts
  hardway.kubernetes.preflight:
    accept: [little-memory]
  run_once: true
"""

RETURN = r"""
msg:
  description: All problems as one text, errors first.
  returned: always
  type: str
kinds:
  description: Kinds of the problems found, warnings among them.
  returned: always
  type: list
  elements: str
  sample: [even-etcd-members, port-taken]
endpoint:
  description: Who answers at the cluster's endpoint, V(ours), V(foreign), V(open) (no TLS), V(refused), V(none) (nobody, or not asked).
  returned: always
  type: str
  sample: ours
"""
