#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Drain and uncordon a node
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - With O(state=drained), cordons a node and evicts its pods, as C(kubectl drain --ignore-daemonsets --delete-emptydir-data) does.
  - Pods of DaemonSets and static pods stay. Finished pods are deleted, and terminating pods are waited for.
  - Asks the API first, by evictions that are dry runs, whether each pod may go. If a disruption budget forbids it for longer than 20 s,
    or than O(timeout) if that is shorter, nothing is changed, and each pod is named with its budget.
  - A budget that is used up later is waited for. If a pod is still there at the end of O(timeout), or the API refuses an eviction for another reason,
    the node is uncordoned, unless somebody else has cordoned it. Pods that were evicted do not come back.
  - With O(state=uncordoned), waits until the node is Ready, and uncordons it, if it was this module that cordoned it
    (the annotation C(hardway.kubernetes/drained) says so). A node that somebody else has cordoned stays so.
  - A call that was killed, or lost the API for longer than O(timeout), may leave the node cordoned; the same call again finishes the drain, or uncordons it.
  - A node that the API does not know has no pods, and is not changed.
  - M(kubernetes.core.k8s_drain) neither reports what it would do, nor waits for a disruption budget, nor distinguishes its own cordon from another.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  name:
    description: Name of the node.
    type: str
    required: true
  state:
    description: V(drained) includes the cordon, V(uncordoned) ends it.
    type: str
    choices: [drained, uncordoned]
    default: drained
  delete_unmanaged_pods:
    description: Whether pods may be deleted that belong to no controller, and so are lost. If not, they are a reason to refuse.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Lists the pods, and refuses what would be refused, after evictions that are dry runs.
  diff_mode:
    support: full
    description: Shows whether the node is schedulable, and the pods that are evicted.
"""

EXAMPLES = r"""
- name: Drain the node
  hardway.kubernetes.node_drain:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    name: node1
    timeout: 300
  delegate_to: localhost

- name: Uncordon it
  hardway.kubernetes.node_drain:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    name: node1
    state: uncordoned
  delegate_to: localhost
"""

RETURN = r"""
found:
  description: Whether the API knows the node.
  returned: success
  type: bool
  sample: true
evicted:
  description: The pods that were evicted (in check mode, that would be), with their namespaces.
  returned: success
  type: list
  elements: str
  sample: [default/web-5c4b8f-8kx2q]
problems:
  description: Why the node cannot be drained, one sentence for each pod.
  returned: when refused
  type: list
  elements: str
  sample: ["default/web-0 on node1 cannot be evicted: The disruption budget web needs 2 healthy pods and has 2 currently"]
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.drain import Drain, DrainRefused


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(
            name={"type": "str", "required": True},
            state={"type": "str", "choices": ["drained", "uncordoned"], "default": "drained"},
            delete_unmanaged_pods={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params = module.params
    try:
        drain = Drain(Api.of_module(params, "hardway-node-drain"), params["name"], params["timeout"], module.check_mode)
        outcome = drain.drain(params["delete_unmanaged_pods"]) if params["state"] == "drained" else drain.uncordon()
    except DrainRefused as error:
        cordon = "schedulable" if drain.schedulable else "cordoned"
        module.fail_json(
            msg=f"{params['name']} was not {params['state']}, and is {cordon}:\n{error}", problems=error.problems
        )
    except (KubeconfigError, ApiError, ApiUnreachable) as error:
        module.fail_json(msg=str(error))
    words = {True: "schedulable\n", False: "cordoned\n"}
    module.exit_json(
        changed=outcome.changed,
        found=outcome.found,
        evicted=outcome.evicted,
        diff={
            "before_header": f"node {params['name']}",
            "after_header": f"node {params['name']}",
            "before": (words[outcome.before] + "".join(f"{pod}\n" for pod in outcome.evicted)) if outcome.found else "",
            "after": words[outcome.after] if outcome.found else "",
        },
    )


if __name__ == "__main__":
    main()
