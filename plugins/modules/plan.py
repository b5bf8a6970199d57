# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it is implemented as an action plugin that runs on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Compare all hosts of the play with the settings, in one process on the controller
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Renders the components that the roles declare for each host of the play, and compares them with what M(hardway.kubernetes.host_facts)
    observed there. No host is asked again.
  - The observation is older than the plan. The call that applies a component looks again before it writes.
  - A component that cannot be rendered, or a host whose answer cannot be used, is an entry like any other and counts as work.
  - Changes nothing. Run it once, with C(run_once).
options:
  controller:
    description: What was made on the controller, or would be in check mode - results of modules by a name for people.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Does the same in check mode, for it only reads.
    support: full
  diff_mode:
    description: Run C(site.yml --check --diff) to see the text of the differences.
    support: none
  action:
    description: Runs on the controller alone.
    support: full
  platform:
    platforms: linux
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
seealso:
  - module: hardway.kubernetes.component
  - module: hardway.kubernetes.host_facts
"""

EXAMPLES = r"""
- name: Compare all hosts with the settings
  hardway.kubernetes.plan:
  run_once: true
  register: plan
"""

RETURN = r"""
entries:
  description: Every component of every host, in the order of the phases; first what is made on the controller.
  returned: success
  type: list
  elements: dict
  contains:
    host: {description: "The host; C(controller) for what is made there.", type: str, sample: node1}
    component: {description: Name of the component., type: str, sample: kubelet}
    role: {description: Role that declares it., type: str, sample: kube_node}
    phase: {description: Phase of C(site.yml) that applies it., type: str, sample: nodes}
    changes:
      description: "What would change, each with C(kind), C(name), C(verb), C(action), C(before) and C(after); never content."
      type: list
      elements: dict
      sample: [{kind: file, name: /etc/kubernetes/kubelet.yaml, verb: write, action: changed, before: 4f0a, after: 91b3}]
    restart: {description: Why a running process would restart; null where none would., type: str, sample: /etc/kubernetes/kubelet.yaml changed}
    causes: {description: "The same as data, each with C(kind), C(name) and C(how).", type: list, elements: dict}
    trouble: {description: "Why it does not serve, though nothing differs; null where it does.", type: str, sample: null}
    error: {description: Why it could not be compared; empty if it was., type: str, sample: ""}
    visit: {description: Whether the host is visited whatever the rest says., type: bool, sample: false}
work:
  description: The hosts with work, by phase.
  returned: success
  type: dict
  sample: {nodes: [node1]}
hosts:
  description: The same by host, with the groups C(hardway_PHASE) on which the plays of the phases run.
  returned: success
  type: list
  elements: dict
  sample: [{host: node1, groups: [hardway_nodes]}]
run_hosts:
  description: The hosts that were compared.
  returned: success
  type: list
  elements: str
has_work:
  description: Whether there is anything to do, on the controller or on a host.
  returned: success
  type: bool
lines:
  description: The plan for people.
  returned: success
  type: list
  elements: str
  sample: ["node1: kubelet: /etc/kubernetes/kubelet.yaml changed, kubelet.service restarted, because /etc/kubernetes/kubelet.yaml changed"]
"""
