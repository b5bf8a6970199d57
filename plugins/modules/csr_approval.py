#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: csr_approval
short_description: Approve the kubelets' certificate requests that agree with the inventory
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Waits until each named node has its client certificate, is registered as a Node, has its serving certificate, and its kubelet
    answers the API server under it (C(/api/v1/nodes/NAME/proxy/healthz) is 200).
  - Meanwhile approves the requests of the signers C(kubernetes.io/kube-apiserver-client-kubelet) and C(kubernetes.io/kubelet-serving)
    whose requester, subject, usages and names agree with O(nodes).
  - A request that speaks of a named node (in its subject, by its requester, or by a name or an address of the node's) but disagrees is denied, and
    named in RV(ignore:denied) with every reason.
  - So is a request of a named node, or to be one, for another of Kubernetes' own signers, and a second request for a node's first certificate.
  - Requests for other nodes are left alone, and listed in RV(ignore:foreign); with O(inventory) those for nodes outside it are denied, too.
  - When nothing is pending and each node answers, nothing changes, in one pass of one call and one for each node.
  - The API server shows that it trusts a serving certificate only when it runs with C(--kubelet-certificate-authority).
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  nodes:
    description: The nodes of the play. Only for these are requests approved.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      addresses:
        description:
          - IP addresses, and DNS names other than its own, that the node may have in its serving certificate.
          - It need not ask for all of them, but for no other.
        type: list
        elements: str
        default: []
  inventory:
    description:
      - Names of all nodes that the cluster may have, those of O(nodes) need not be among them. A pending request for any other is denied.
      - When not given, requests for nodes that O(nodes) does not name are left alone.
    type: list
    elements: str
  deny:
    description:
      - Whether to deny requests that speak of a named node but disagree, and those from outside O(inventory).
      - When V(false), they stay pending, and are named all the same.
    type: bool
    default: true
  bootstrap_users:
    description:
      - By the name of a node the user who may ask for its first client certificate, as M(hardway.kubernetes.join_tokens) returns it. That is
        C(system:bootstrap:ID) for a bootstrap token, whose bearer has to be in the group C(system:bootstrappers), or a user of a static token file.
      - One such request is approved for each node. Of several the newest is, and any other is denied.
      - A node that is not here does not join. It renews its certificates itself, and no other's request for them is approved.
    type: dict
    default: {}
requirements:
  - cryptography
attributes:
  check_mode:
    support: full
    description: Says what it would approve and deny of what is pending, without waiting.
  diff_mode:
    support: full
    description: Shows the requests before and after.
seealso:
  - name: Certificates and Certificate Signing Requests
    description: The rules of the two signers.
    link: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
notes:
  - O(timeout) is for all nodes together.
"""

EXAMPLES = r"""
- name: Approve the requests of this play's nodes and wait for them
  hardway.kubernetes.csr_approval:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    nodes:
      - name: node1
        addresses: [192.0.2.31]
      - name: node2
        addresses: [192.0.2.32]
    inventory: [node1, node2, node3]
    bootstrap_users:
      node2: system:bootstrap:07401b
    timeout: 90
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
approved:
  description: Requests that were approved (in check mode, that would be).
  returned: always
  type: list
  elements: dict
  sample:
    - certificate: serving
      name: csr-8vkrx
      names: [192.0.2.31, node1]
      node: node1
      requester: system:node:node1
denied:
  description: Requests that speak of a named node but disagree or come from outside the inventory, each with its reasons.
  returned: always
  type: list
  elements: dict
  sample:
    - certificate: serving
      name: csr-2b9xq
      names: [192.0.2.99]
      node: node1
      reasons: ["it asks for 192.0.2.99; the inventory gives node1 192.0.2.31, node1"]
      requester: system:node:node1
foreign:
  description: Pending requests for other nodes. They were left alone.
  returned: always
  type: list
  elements: dict
  sample: []
nodes:
  description: For each node whether it is registered and answers the API server, and if not, what the API server said.
  returned: always
  type: dict
  sample: {node1: {registered: true, answers: true}}
seconds:
  description: Time that it took.
  returned: always
  type: float
  sample: 3.2
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.approval import Approver
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
    is_temporary,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.csr import (
    CRYPTOGRAPHY_IMPORT_ERROR,
    InventoryError,
    Verdict,
    read_nodes,
)

INTERVAL = 0.4


def argument_spec() -> dict[str, t.Any]:
    return api_argument_spec(
        nodes={
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "addresses": {"type": "list", "elements": "str", "default": []},
            },
        },
        inventory={"type": "list", "elements": "str"},
        deny={"type": "bool", "default": True},
        bootstrap_users={"type": "dict", "default": {}},
    )


def wait(approver: Approver, timeout: float) -> str:
    """Looks, acts and probes until every node answers; the reason for giving up, or an empty text."""
    end = time.monotonic() + timeout
    while True:
        trouble = ""
        try:
            approver.act(approver.observe())
            approver.probe()
        except (ApiError, ApiUnreachable) as error:
            if not is_temporary(error):  # masters may be restarting
                raise
            trouble = str(error)
        if not trouble and not approver.missing:
            return ""
        if time.monotonic() >= end:
            return trouble or "\n".join(approver.explain(state) for state in approver.missing)
        time.sleep(INTERVAL)


def result_of(approver: Approver, approved: list[Verdict], denied: list[Verdict], started: float) -> dict[str, t.Any]:
    decided = [(verdict, "approved") for verdict in approved] + [
        (verdict, "denied") for verdict in denied if approver.deny
    ]

    def lines(states: t.Iterable[tuple[Verdict, str]]) -> str:
        return "".join(
            f"{verdict.request.name} ({verdict.node}, {verdict.report()['certificate']}): {state}\n"
            for verdict, state in states
        )

    return {
        "changed": bool(decided),
        "approved": [verdict.report() for verdict in approved],
        "denied": [verdict.report() for verdict in denied],
        "foreign": [verdict.report() for verdict in approver.foreign],
        "nodes": {name: state.report() for name, state in approver.states.items()},
        "seconds": round(time.monotonic() - started, 2),
        "diff": {
            "before_header": "certificate signing requests",
            "after_header": "certificate signing requests",
            "before": lines((verdict, "pending") for verdict, unused in decided),
            "after": lines(decided),
        },
    }


def run(task: Task) -> dict[str, t.Any]:
    for library, error in (("PyYAML", YAML_IMPORT_ERROR), ("cryptography", CRYPTOGRAPHY_IMPORT_ERROR)):
        if error:
            raise TaskFailed(missing_required_lib(library), exception=error)
    params, started = task.params, time.monotonic()
    try:
        nodes = read_nodes(params["nodes"], params["bootstrap_users"])
        api = Api.of_module(params, "hardway-csr-approval")
        approver = Approver(api, nodes, params["deny"], params["inventory"])
        if task.check_mode:
            verdicts = approver.observe()
            approver.probe()
            approved = [verdict for verdict in verdicts if verdict.action == "approve"]
            return result_of(approver, approved, [verdict for verdict in verdicts if verdict.action == "deny"], started)
        failure = wait(approver, params["timeout"])
    except (InventoryError, KubeconfigError, ApiError, ApiUnreachable) as error:
        raise TaskFailed(error) from error
    result = result_of(approver, approver.approved, list(approver.denied.values()), started)
    warnings = [_warning(verdict, params["deny"]) for verdict in approver.denied.values()]
    if failure:
        waiting = ", ".join(state.name for state in approver.missing)
        message = f"{waiting or 'the API'} not ready within {params['timeout']} s.\n{failure}"
        raise TaskFailed(message, warnings, **result)
    return {**result, "warnings": warnings}


def _warning(verdict: Verdict, deny: bool) -> str:
    shown, what = verdict.report(), "denied" if deny else "not approved"
    reasons = "; ".join(verdict.reasons)
    return f"request {shown['name']} ({shown['certificate']}) for {shown['node'] or 'no node'} was {what}: {reasons}"


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), run)


if __name__ == "__main__":
    main()
