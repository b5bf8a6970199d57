#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: join_tokens
short_description: Decide which nodes join, and make a bootstrap token for each of them
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Of the nodes that are asked for, those join whose Node is absent or not Ready. A Node counts as not Ready, too, when no kubelet has renewed its
    Lease for 40 s. While it may be that nobody renews it any more, the module looks again.
  - So does a node for which an earlier run made a token that it did not revoke, for that run was interrupted.
  - All others are refused, and named in RV(ignore:refused) and in a warning, unless O(renew) is set. What a host says of itself alone
    gets it no token.
  - Each node that joins gets a token of its own, a Secret C(bootstrap-token-ID) in C(kube-system) that has the name of the node as its annotation
    C(hardway/joins). M(hardway.kubernetes.csr_approval) approves by it a request of that node alone. Tokens of earlier runs for the same
    nodes are revoked.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  nodes:
    description: Names of the nodes.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(present) decides, and makes tokens.
      - V(absent) revokes the tokens that were made for O(nodes).
    type: str
    choices: [present, absent]
    default: present
  renew:
    description: Whether nodes that are Ready join as well, for the controller wants them to have new certificates.
    type: bool
    default: false
  user:
    description:
      - User of a static token file, as whom all nodes ask to join. Then no token is made, and RV(ignore:users) has this user for each node.
      - Whoever has the token of that user can ask for the certificate of each node that joins.
    type: str
    default: ""
  ttl:
    description: How long a token is valid, such as V(30m).
    type: str
    default: 30m
  usages:
    description: What the tokens may be used for. kubeadm's discovery needs V(signing) too.
    type: list
    elements: str
    choices: [authentication, signing]
    default: [authentication]
attributes:
  check_mode:
    support: full
    description: Says who would join and who would be refused, without waiting. Tokens that would be made are not returned.
  diff_mode:
    support: full
    description: Shows everything but the secrets.
notes:
  - RV(ignore:tokens) are secrets. Set C(no_log) on the task.
  - An API server remembers for 10 s whom it let in. So long a revoked token may still work.
seealso:
  - module: hardway.kubernetes.csr_approval
  - module: hardway.kubernetes.bootstrap_token
"""

EXAMPLES = r"""
- name: Create a token for each node that joins
  hardway.kubernetes.join_tokens:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    nodes: [node3, node4]
  register: join
  no_log: true
  delegate_to: localhost
  run_once: true

- name: Approve what each of them asks for with its own token
  hardway.kubernetes.csr_approval:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    nodes:
      - name: node3
        addresses: [192.0.2.33]
      - name: node4
        addresses: [192.0.2.34]
    bootstrap_users: "{{ join.users }}"
  delegate_to: localhost
  run_once: true

- name: Revoke the tokens
  hardway.kubernetes.join_tokens:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    nodes: [node3, node4]
    state: absent
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
joining:
  description: Names of the nodes that join, in the order of O(nodes).
  returned: when state is present
  type: list
  elements: str
  sample: [node3, node4]
refused:
  description: Why a node may not join, by its name.
  returned: when state is present
  type: dict
  sample: {}
tokens:
  description: The tokens, C(ID.SECRET), by the node's name. Sensitive. Empty in check mode, and where O(user) is given.
  returned: when state is present
  type: dict
  sample: {node3: 07401b.f395accd246ae52d}
users:
  description: As whom a node asks for its first client certificate, by the node's name.
  returned: when state is present
  type: dict
  sample: {node3: "system:bootstrap:07401b"}
revoked:
  description: Ids of the tokens that were revoked (in check mode, that would be).
  returned: always
  type: list
  elements: str
  sample: []
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.bootstrap_token import (
    USAGES,
    TokenError,
    check,
    read_duration,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.joining import LONGEST_LOOK, Joins


def argument_spec() -> dict[str, t.Any]:
    return api_argument_spec(
        nodes={"type": "list", "elements": "str", "required": True},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        renew={"type": "bool", "default": False},
        user={"type": "str", "default": ""},
        ttl={"type": "str", "default": "30m"},
        usages={"type": "list", "elements": "str", "choices": list(USAGES), "default": ["authentication"]},
    )


def make(joins: Joins, task: Task, now: datetime.datetime) -> dict[str, t.Any]:
    params, names = task.params, list(dict.fromkeys(task.params["nodes"]))
    ttl = read_duration("ttl", params["ttl"])
    if not ttl:
        raise TokenError(
            "ttl: it is 0, and a token to join with may not be valid for ever. Fix: give 30m, or another duration"
        )
    check(None, None, params["usages"], ())
    left = joins.left(names)
    known = names if params["renew"] else [token.node for token in left]
    decision = joins.decide(names, known, 0 if task.check_mode else LONGEST_LOOK)
    made = {}
    if not task.check_mode:
        # In this order: at no time is it forgotten that they join.
        if not params["user"]:
            made = joins.make(decision.joining, ttl, params["usages"], now)
        joins.revoke(left)
    users = {name: params["user"] for name in decision.joining if params["user"]}
    return {
        "changed": bool(left or (decision.joining and not params["user"])),
        "joining": decision.joining,
        "refused": decision.refused,
        "tokens": {name: token.text for name, token in made.items()},
        "users": users or {name: token.user for name, token in made.items()},
        "revoked": sorted(token.id for token in left),
        "diff": {
            "before": {token.node: token.report(now) for token in left},
            "after": {name: {"description": f"joining {name}"} for name in decision.joining if not params["user"]},
        },
        "warnings": list(decision.refused.values()),
    }


def revoke(joins: Joins, task: Task, now: datetime.datetime) -> dict[str, t.Any]:
    left = joins.left(task.params["nodes"])
    if not task.check_mode:
        joins.revoke(left)
    before = {token.node: token.report(now) for token in left}
    revoked = sorted(token.id for token in left)
    return {"changed": bool(left), "revoked": revoked, "diff": {"before": before, "after": {}}}


def run(task: Task) -> dict[str, t.Any]:
    if YAML_IMPORT_ERROR:
        raise TaskFailed(missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        joins = Joins(Api.of_module(task.params, "hardway-join-tokens"), task.params["timeout"])
        return (make if task.params["state"] == "present" else revoke)(joins, task, now)
    except (TokenError, KubeconfigError, ApiError, ApiUnreachable) as error:
        raise TaskFailed(error) from error


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), run)


if __name__ == "__main__":
    main()
