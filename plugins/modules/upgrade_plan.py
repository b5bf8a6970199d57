#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan
short_description: Plan an upgrade, with every reason to refuse it
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Makes a table of every component that would change, with its versions, whether it restarts, and whether its node is drained for it.
  - Reports every reason to refuse the upgrade at once - a downgrade, a minor version that is left out, a kubelet that would be too old
    (U(https://kubernetes.io/releases/version-skew-policy/)), a node that is not Ready, an etcd that is not healthy.
  - Changes nothing.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  target:
    description: The versions that the settings ask for, C(kubernetes) and C(etcd).
    type: dict
    required: true
  installed:
    description: Of each host the versions of kube-apiserver, kubelet and etcd, as M(hardway.kubernetes.host_facts) reports them.
    type: dict
    required: true
  plans:
    description: Of each host what would change, a list of entries as M(hardway.kubernetes.plan) returns them (C(component), C(changes), C(causes), C(error)).
    type: dict
    required: true
  etcd_problems:
    description: What is wrong with etcd, as RV(hardway.kubernetes.etcd_info#module:problems).
    type: list
    elements: str
    default: []
  drain:
    description: Whether nodes are drained before kubelet or the runtime changes its version.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Does the same, because it only reads.
  diff_mode:
    support: none
    description: RV(lines) is the plan.
"""

EXAMPLES = r"""
- name: Plan the upgrade
  hardway.kubernetes.upgrade_plan:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    target: {kubernetes: 1.36.3, etcd: 3.6.16}
    installed: "{{ installed }}"
    plans: "{{ plans }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
rows:
  description: What would change, in the order of the run.
  returned: success
  type: list
  elements: dict
  sample: [{component: kubelet, host: node1, before: 1.35.4, after: 1.36.3, restart: true, drain: true}]
lines:
  description: The same as a table for people.
  returned: success
  type: list
  elements: str
drained:
  description: Names of the hosts whose nodes are drained.
  returned: success
  type: list
  elements: str
  sample: [node1]
problems:
  description: Every reason to refuse the upgrade.
  returned: success
  type: list
  elements: str
  sample: ["node2 is not Ready. Fix: see the cause with kubectl describe node node2, or remove it from the cluster first"]
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
    retry,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import is_ready
from ansible_collections.hardway.kubernetes.plugins.module_utils.upgrade import plan as upgrade


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(
            target={"type": "dict", "required": True},
            installed={"type": "dict", "required": True},
            plans={"type": "dict", "required": True},
            etcd_problems={"type": "list", "elements": "str", "default": []},
            drain={"type": "bool", "default": True},
        ),
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params = module.params
    try:
        api = Api.of_module(params, "hardway-upgrade-plan")
        nodes = retry(lambda: api.items("/api/v1/nodes"), params["timeout"])
    except (KubeconfigError, ApiError, ApiUnreachable) as error:
        module.fail_json(msg=str(error))
    ready = {node["metadata"]["name"]: is_ready(node) for node in nodes}
    plan = upgrade.plan(
        params["target"], params["installed"], params["plans"], ready, params["etcd_problems"], params["drain"]
    )
    module.exit_json(
        changed=False,
        rows=[dataclasses.asdict(row) for row in plan.rows],
        lines=plan.lines(),
        drained=plan.drained,
        problems=plan.problems,
    )


if __name__ == "__main__":
    main()
