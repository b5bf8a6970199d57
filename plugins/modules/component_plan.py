#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: component_plan
short_description: Tell what site.yml would change on a host, component by component, in one call
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Takes the tasks of the steps of C(site.yml) that are for this host, as they stand in the roles, renders their components from the settings just as
    M(hardway.kubernetes.component) does, and compares all of them with the host in one round trip, as the same module does in check mode.
  - With O(part=controller) it runs what the steps do on the controller (certificates, kubeconfig, lock of artifacts) in check mode instead.
  - A component that cannot be rendered or compared is a result like any other.
  - Changes nothing.
options:
  part:
    description: Whether to plan for the host, or for the controller.
    type: str
    choices: [host, controller]
    default: host
  variables:
    description: Variables besides those of the host, such as what O(part=controller) returned as RV(registered).
    type: dict
    default: {}
  payloads:
    description: Filled by the controller's part.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Does the same in check mode, for it only reads.
    support: full
  diff_mode:
    description: Run C(site.yml --check --diff) to see the text of the differences.
    support: none
  action:
    description: Renders on the controller, compares on the host.
    support: full
  platform:
    platforms: linux
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
seealso:
  - module: hardway.kubernetes.component
  - module: hardway.kubernetes.status
"""

EXAMPLES = r"""
- name: Plan what is made on the controller
  hardway.kubernetes.component_plan:
    part: controller
  delegate_to: localhost
  run_once: true
  register: controller

- name: Plan for the host
  hardway.kubernetes.component_plan:
    variables: "{{ controller.registered }}"
  become: true
  register: plan
"""

RETURN = r"""
components:
  description: What was compared, in the order of the steps.
  returned: success
  type: list
  elements: dict
  contains:
    component: {description: "Name of the component; on the controller, of what is kept true there.", type: str, sample: kubelet}
    role: {description: Role that has the task., type: str, sample: kube_node}
    changes: {description: "What would change, a line each; never content.", type: list, elements: str, sample: ["/etc/kubernetes/kubelet.yaml: changed"]}
    restart: {description: Why a running process would be restarted; null where none would., type: str, sample: /etc/kubernetes/kubelet.yaml changed}
    error: {description: Why it could not be compared; empty if it was., type: str, sample: ""}
registered:
  description: With O(part=controller), what the steps register, for the plans of the hosts.
  returned: success
  type: dict
error:
  description: Why nothing could be compared; empty if something was.
  returned: success
  type: str
  sample: ""
"""

import base64
import zlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError, from_payload
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.reconcile import reconcile


def plan(payload: str) -> dict:
    described = from_payload(zlib.decompress(base64.b64decode(payload)).decode())
    try:
        result = reconcile(described, check_mode=True)
    except (ComponentError, OSError) as error:
        return {"changes": [], "restart": None, "error": str(error)}
    return {"changes": result["changes"], "restart": result["restart"], "error": ""}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "part": {"type": "str", "choices": ["host", "controller"], "default": "host"},
            "variables": {"type": "dict", "default": {}},
            "payloads": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    # The payloads hold keys: nothing of them goes back.
    module.exit_json(
        changed=False, planned=[plan(payload) for payload in module.params["payloads"]], invocation={"module_args": {}}
    )


if __name__ == "__main__":
    main()
