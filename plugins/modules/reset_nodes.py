#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: reset_nodes
short_description: Takes nodes that were reset out of the cluster
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Deletes the Node objects, and at once the pods that were bound to them, for nobody runs them any more and Services still name them. The cluster's
    own collector would do the same some 20 to 40 seconds later (kube-controller-manager's podgc).
  - Where the API gives no answer, nothing is changed and RV(skipped_nodes) says so with a warning; that is no failure, for the hosts are reset anyway.
attributes:
  check_mode:
    support: full
    description: Says which it would delete.
  diff_mode:
    support: full
    description: Names the objects before and after.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
seealso:
  - module: hardway.kubernetes.reset
"""

EXAMPLES = r"""
- name: Take the node out of the cluster
  hardway.kubernetes.reset_nodes:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    nodes: [node3]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
deleted:
  description: Nodes that were deleted (in check mode, that would be).
  returned: always
  type: list
  elements: str
  sample: [node3]
pods:
  description: Pods that were bound to them and were deleted, as NAMESPACE/NAME (in check mode, that would be).
  returned: always
  type: list
  elements: str
  sample: [default/web-5d4f]
skipped_nodes:
  description: Nodes whose objects could not be deleted, and stay in the cluster if there still is one.
  returned: always
  type: list
  elements: str
  sample: []
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

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"


def delete_pods(api: Api, node: str, check_mode: bool) -> list[str]:
    """Deletes the pods of a node that is no more, without waiting for a kubelet to end them: NAMESPACE/NAME of each."""
    found = [pod["metadata"] for pod in api.items(PODS, {"fieldSelector": f"spec.nodeName={node}"})]
    for pod in found if not check_mode else []:
        api.delete(f"/api/v1/namespaces/{pod['namespace']}/pods/{pod['name']}", {"gracePeriodSeconds": "0"})
    return [f"{pod['namespace']}/{pod['name']}" for pod in found]


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(nodes={"type": "list", "elements": "str", "required": True}),
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    deleted: list[str] = []
    skipped: list[str] = []
    pods: list[str] = []
    try:
        api = Api.of_module(module.params, "hardway-reset")
        for name in module.params["nodes"]:
            path = f"{NODES}/{name}"
            if api.find(path) if module.check_mode else api.delete(path):
                deleted.append(name)
                pods += delete_pods(api, name, module.check_mode)
    except (ApiUnreachable, ApiError, KubeconfigError) as error:
        skipped = [name for name in module.params["nodes"] if name not in deleted]
        mend = f"If the cluster lives on: kubectl delete node {' '.join(skipped)}"
        module.warn(f"{', '.join(skipped)} not taken out of the cluster: {str(error).rstrip('.')}. {mend}")
    before = "".join([f"node {name}\n" for name in deleted] + [f"pod {name}\n" for name in pods])
    module.exit_json(
        changed=bool(deleted), deleted=deleted, pods=pods, skipped_nodes=skipped, diff={"before": before, "after": ""}
    )


if __name__ == "__main__":
    main()
