#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: bootstrap_token
short_description: Bootstrap tokens of a cluster, as Secrets or as a static token file
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Makes, extends, lists and revokes the tokens with which a kubelet asks for its first certificate.
  - With O(kubeconfig) a token is the Secret C(bootstrap-token-ID) in C(kube-system), with an expiry.
  - With O(csv) it is a line of a static token file (C(token,user,uid,"groups")), which is kept across runs. The API server reads that file when it starts.
options:
  kubeconfig:
    description: Path of a kubeconfig that may manage Secrets in C(kube-system). Exclusive with O(csv).
    type: path
  csv:
    description: Path of a static token file on the host where the module runs. Its directory must exist. Exclusive with O(kubeconfig).
    type: path
  state:
    description:
      - V(present) makes or extends a token.
      - V(absent) revokes the token O(id), or with O(expired) each one that has expired. In a token file it removes the line of O(csv_user).
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
      - The token's secret part, sixteen lower case letters and digits; in a token file the whole token.
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
  csv_user:
    description: The user of the line in the token file.
    type: str
    default: kubelet-bootstrap
  csv_uid:
    description: The user's uid in the token file.
    type: str
    default: "10001"
  csv_groups:
    description: The user's groups in the token file.
    type: list
    elements: str
    default: ["system:kubelet-bootstrap"]
requirements:
  - PyYAML
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

- name: Keep a static token file
  hardway.kubernetes.bootstrap_token:
    csv: clusters/kubernetes/token.csv
  register: bootstrap
  no_log: true
"""

RETURN = r"""
token:
  description: The token, C(ID.SECRET), or that of the line in the token file. Sensitive.
  returned: when state is present, and it exists
  type: str
  sample: 07401b.f395accd246ae52d
id:
  description: Its public part.
  returned: when state is present, with a Secret
  type: str
  sample: 07401b
expires:
  description: When it expires (UTC), or V(never).
  returned: when state is present, with a Secret
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
  description: Ids (in a token file, users) of the tokens that were revoked.
  returned: when state is absent
  type: list
  elements: str
  sample: [07401b]
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.hardway.kubernetes.plugins.module_utils.api import YAML_IMPORT_ERROR, Api, ApiError, ApiUnreachable, KubeconfigError
from ansible_collections.hardway.kubernetes.plugins.module_utils.bootstrap_token import (
    NAME_PREFIX,
    SECRET_TYPE,
    SECRETS,
    USAGES,
    StaticToken,
    Token,
    TokenError,
    check,
    random_word,
    read_duration,
    read_object,
    read_static,
    reconcile,
    reconcile_static,
    write_static,
)


def shown(token: Token | None, now: datetime.datetime) -> dict[str, t.Any]:
    return token.report(now) if token else {}


def all_tokens(api: Api) -> list[Token]:
    return [read_object(item) for item in api.items(SECRETS, {"fieldSelector": f"type={SECRET_TYPE}"})]


def make(api: Api, params: dict[str, t.Any], now: datetime.datetime, check_mode: bool) -> dict[str, t.Any]:
    ttl, renew_before = read_duration("ttl", params["ttl"]), read_duration("renew_before", params["renew_before"])
    check(params["id"], params["secret"], params["usages"], params["groups"])
    found = api.find(f"{SECRETS}/{NAME_PREFIX}{params['id']}") if params["id"] else None
    if found and found.get("type") != SECRET_TYPE:
        raise TokenError(f"id: kube-system has a Secret {NAME_PREFIX}{params['id']} that is not a bootstrap token; remove it or choose another id")
    present = read_object(found) if found else None
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
        if found is None:
            api.create(SECRETS, token.to_object())
        else:
            body = token.to_object()
            body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
            api.replace(f"{SECRETS}/{token.name}", body)
    if not changed or not check_mode:
        result["token"] = token.text
    return {**result, "id": token.id, "expires": token.report(now)["expires"]}


def revoke(api: Api, params: dict[str, t.Any], now: datetime.datetime, check_mode: bool) -> dict[str, t.Any]:
    if params["expired"]:
        doomed = [token for token in all_tokens(api) if shown(token, now)["expired"]]
    else:
        check(params["id"], None, USAGES, ())
        found = api.find(f"{SECRETS}/{NAME_PREFIX}{params['id']}")
        if found and found.get("type") != SECRET_TYPE:
            raise TokenError(f"id: kube-system's Secret {NAME_PREFIX}{params['id']} is not a bootstrap token; it was left alone")
        doomed = [read_object(found)] if found else []
    if not check_mode:
        for token in doomed:
            api.delete(f"{SECRETS}/{token.name}")
    before = {token.id: shown(token, now) for token in doomed}
    return {"changed": bool(doomed), "revoked": sorted(before), "diff": {"before": before, "after": {}}}


def static(params: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    def told(entries: t.Iterable[StaticToken]) -> list[dict[str, t.Any]]:
        return [{"user": line.user, "uid": line.uid, "groups": list(line.groups)} for line in entries]

    path, lines = params["csv"], read_static(params["csv"])
    if params["state"] == "listed":
        return {"changed": False, "tokens": told(lines)}
    if params["state"] == "absent":
        after = [line for line in lines if line.user != params["csv_user"]]
        result: dict[str, t.Any] = {"revoked": [params["csv_user"]] if after != lines else []}
    else:
        wanted = StaticToken(params["secret"] or "", params["csv_user"], params["csv_uid"], tuple(params["csv_groups"]))
        after, line = reconcile_static(lines, wanted)
        result = {"token": line.token} if line in lines or not check_mode else {}
    changed = after != lines
    if changed and not check_mode:
        write_static(path, after)
    diff = {"before_header": path, "after_header": path, "before": {"users": told(lines)}, "after": {"users": told(after)}}
    return {**result, "changed": changed, "diff": diff}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path"},
            "csv": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent", "listed"], "default": "present"},
            "id": {"type": "str"},
            "secret": {"type": "str", "no_log": True},
            "ttl": {"type": "str", "default": "1h"},
            "renew_before": {"type": "str", "default": "0"},
            "usages": {"type": "list", "elements": "str", "choices": list(USAGES), "default": ["authentication"]},
            "groups": {"type": "list", "elements": "str", "default": []},
            "description": {"type": "str", "default": ""},
            "expired": {"type": "bool", "default": False},
            "csv_user": {"type": "str", "default": "kubelet-bootstrap"},
            "csv_uid": {"type": "str", "default": "10001"},
            "csv_groups": {"type": "list", "elements": "str", "default": ["system:kubelet-bootstrap"]},
        },
        mutually_exclusive=[("kubeconfig", "csv"), ("id", "expired")],
        required_one_of=[("kubeconfig", "csv")],
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params, now = module.params, datetime.datetime.now(datetime.timezone.utc)
    if params["kubeconfig"] and params["state"] == "absent" and not params["id"] and not params["expired"]:
        module.fail_json(msg="state is absent: give id, or expired: true")
    try:
        if params["csv"]:
            module.exit_json(**static(params, module.check_mode))
        api = Api.from_kubeconfig(params["kubeconfig"], agent="hardway-bootstrap-token")
        if params["state"] == "listed":
            module.exit_json(changed=False, tokens=[shown(token, now) for token in all_tokens(api)])
        module.exit_json(**(make if params["state"] == "present" else revoke)(api, params, now, module.check_mode))
    except (TokenError, KubeconfigError, ApiError, ApiUnreachable, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
