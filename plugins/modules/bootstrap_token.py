#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: bootstrap_token
short_description: Bootstrap tokens of a cluster
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Makes, extends, lists and revokes the tokens with which a kubelet asks for its first certificate.
  - A token is the Secret C(bootstrap-token-ID) in C(kube-system), with an expiry.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  state:
    description:
      - V(present) makes or extends a token.
      - V(absent) revokes the token O(id), or with O(expired) each one that has expired.
      - V(listed) changes nothing, and lists all tokens without their secrets.
    type: str
    choices: [present, absent, listed]
    default: present
  id:
    description:
      - The token's public part, six lower case letters and digits.
      - Without it O(state=present) makes a new token each time, as a run that adds nodes wants it.
    type: str
  secret:
    description:
      - The token's secret part, sixteen lower case letters and digits.
      - When not given, an existing token keeps its own, and a new one gets a random one.
    type: str
  ttl:
    description: How long a new or extended token is valid, such as V(30m), V(24h), V(7d). V(0) is for ever.
    type: str
    default: 1h
  renew_before:
    description:
      - A token O(id) that has less than this left is extended to O(ttl) from now on. V(0) extends only one that has expired.
      - Equal to O(ttl) it extends at each run.
    type: str
    default: "0"
  usages:
    description: What the token may be used for. Joining with TLS bootstrap needs V(authentication); kubeadm's discovery needs V(signing) too.
    type: list
    elements: str
    choices: [authentication, signing]
    default: [authentication]
  groups:
    description: Groups that a bearer has beside C(system:bootstrappers), each beginning with C(system:bootstrappers:).
    type: list
    elements: str
    default: []
  description:
    description: A text for people.
    type: str
    default: ""
  expired:
    description: With O(state=absent), revoke each token that has expired.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: A token that would be made is not returned, for it would not be valid.
  diff_mode:
    support: full
    description: Shows everything but the secret.
notes:
  - RV(ignore:token) is a secret. Set C(no_log) on the task.
  - Ansible masks the value of O(secret) in all results, so RV(ignore:token) is of use only when O(secret) was not given.
  - An API server remembers for 10 s whom it let in. So long a revoked token may still work.
seealso:
  - module: hardway.kubernetes.static_token
"""

EXAMPLES = r"""
- name: Make a token for this run
  hardway.kubernetes.bootstrap_token:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    ttl: 30m
    description: add-node
  register: join
  no_log: true
  delegate_to: localhost
  run_once: true

- name: Revoke it
  hardway.kubernetes.bootstrap_token:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    id: "{{ join.id }}"
    state: absent
  delegate_to: localhost
  run_once: true

- name: Revoke what has expired
  hardway.kubernetes.bootstrap_token:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    state: absent
    expired: true
"""

RETURN = r"""
token:
  description: The token, C(ID.SECRET). Sensitive.
  returned: when state is present, and it exists
  type: str
  sample: 07401b.f395accd246ae52d
id:
  description: Its public part.
  returned: when state is present
  type: str
  sample: 07401b
expires:
  description: When it expires (UTC), or V(never).
  returned: when state is present
  type: str
  sample: "2026-11-21T10:30:00Z"
tokens:
  description: All tokens, without their secrets.
  returned: when state is listed
  type: list
  elements: dict
  sample:
    - description: add-node
      expired: false
      expires: "2026-11-21T10:30:00Z"
      groups: []
      id: 07401b
      usages: [authentication]
revoked:
  description: Ids of the tokens that were revoked.
  returned: when state is absent
  type: list
  elements: str
  sample: [07401b]
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.bootstrap_token import (
    USAGES,
    Token,
    TokenError,
    Tokens,
    check,
    random_word,
    read_duration,
    reconcile,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
)


def shown(token: Token | None, now: datetime.datetime) -> dict[str, t.Any]:
    return token.report(now) if token else {}


def make(tokens: Tokens, params: dict[str, t.Any], now: datetime.datetime, check_mode: bool) -> dict[str, t.Any]:
    ttl, renew_before = read_duration("ttl", params["ttl"]), read_duration("renew_before", params["renew_before"])
    check(params["id"], params["secret"], params["usages"], params["groups"])
    present, version = tokens.find(params["id"]) if params["id"] else (None, "")
    wanted = Token(
        id=params["id"] or random_word(6),
        secret=params["secret"] or random_word(16),
        usages=tuple(usage for usage in USAGES if usage in params["usages"]),
        groups=tuple(sorted(set(params["groups"]))),
        description=params["description"],
    )
    token = reconcile(present, wanted, bool(params["secret"]), ttl, renew_before, now)
    changed = token != present
    result: dict[str, t.Any] = {"changed": changed, "diff": {"before": shown(present, now), "after": shown(token, now)}}
    if present and token.secret != present.secret:
        result["diff"]["after"]["secret"] = "(another)"
    if changed and not check_mode:
        tokens.write(token, version)
    if not changed or not check_mode:
        result["token"] = token.text
    return {**result, "id": token.id, "expires": token.report(now)["expires"]}


def revoke(tokens: Tokens, params: dict[str, t.Any], now: datetime.datetime, check_mode: bool) -> dict[str, t.Any]:
    if params["expired"]:
        doomed = [token for token in tokens.all() if shown(token, now)["expired"]]
    else:
        check(params["id"], None, USAGES, ())
        doomed = list(filter(None, tokens.find(params["id"])[:1]))
    if not check_mode:
        for token in doomed:
            tokens.delete(token)
    before = {token.id: shown(token, now) for token in doomed}
    return {"changed": bool(doomed), "revoked": sorted(before), "diff": {"before": before, "after": {}}}


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(
            state={"type": "str", "choices": ["present", "absent", "listed"], "default": "present"},
            id={"type": "str"},
            secret={"type": "str", "no_log": True},
            ttl={"type": "str", "default": "1h"},
            renew_before={"type": "str", "default": "0"},
            usages={"type": "list", "elements": "str", "choices": list(USAGES), "default": ["authentication"]},
            groups={"type": "list", "elements": "str", "default": []},
            description={"type": "str", "default": ""},
            expired={"type": "bool", "default": False},
        ),
        mutually_exclusive=[("id", "expired")],
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params, now = module.params, datetime.datetime.now(datetime.timezone.utc)
    if params["state"] == "absent" and not params["id"] and not params["expired"]:
        module.fail_json(msg="state is absent: give id, or expired: true")
    try:
        tokens = Tokens(Api.of_module(params, "hardway-bootstrap-token"), params["timeout"])
        if params["state"] == "listed":
            module.exit_json(changed=False, tokens=[shown(token, now) for token in tokens.all()])
        module.exit_json(**(make if params["state"] == "present" else revoke)(tokens, params, now, module.check_mode))
    except (TokenError, KubeconfigError, ApiError, ApiUnreachable) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
