# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tokens that the modules make let their bearers in, until they end."""

from __future__ import annotations

import base64
import datetime
import json
import threading
import time
import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiError, load_kubeconfig
from ansible_collections.hardway.kubernetes.plugins.modules import bootstrap_token, join_tokens, static_token
from ansible_collections.hardway.kubernetes.tests.api.cluster import STATIC_USER, Call, Cluster, eventually

SECRETS = "/api/v1/namespaces/kube-system/secrets"
NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
GROUP = "system:bootstrappers:workers"


def who(cluster: Cluster, token: str, server: str = "") -> dict[str, t.Any] | None:
    """As whom the API server knows the bearer of a token; None for nobody."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        return cluster.as_bearer(token, server).create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)[
            "status"
        ]["userInfo"]
    except ApiError as error:
        assert error.status == 401
        return None


@pytest.fixture(name="tokens")
def tokens_fixture(cluster: Cluster, call: Call) -> t.Callable[..., dict[str, t.Any]]:
    return lambda **arguments: call(bootstrap_token, kubeconfig=cluster.kubeconfig, **arguments)


def test_a_token_lets_its_bearer_in_until_it_is_revoked(
    cluster: Cluster, second: str, tokens: t.Callable[..., dict[str, t.Any]]
) -> None:
    planned = tokens(check=True)
    assert planned["changed"] and "token" not in planned
    made = tokens(ttl="30m", groups=[GROUP], description="joining node1")
    user = eventually(lambda: who(cluster, made["token"]))
    assert user["username"] == f"system:bootstrap:{made['id']}"
    assert {"system:bootstrappers", GROUP} <= set(user["groups"])
    same = {"id": made["id"], "ttl": "30m", "groups": [GROUP], "description": "joining node1"}
    assert not tokens(**same)["changed"]
    listed = {entry["id"]: entry for entry in tokens(state="listed")["tokens"]}
    assert listed[made["id"]] == {
        "id": made["id"],
        "expires": made["expires"],
        "expired": False,
        "usages": ["authentication"],
        "groups": [GROUP],
        "description": "joining node1",
    }
    later = tokens(**{**same, "ttl": "2h"}, renew_before="1h")
    assert later["changed"] and later["expires"] > made["expires"] and later["token"] == made["token"]
    assert tokens(check=True, id=made["id"], state="absent")["revoked"] == [made["id"]]
    assert who(cluster, made["token"])
    assert tokens(id=made["id"], state="absent")["changed"]
    # the first server remembers for 10 s whom it let in
    eventually(lambda: who(cluster, made["token"], load_kubeconfig(second).server) is None)
    assert not tokens(id=made["id"], state="absent")["changed"]


def test_a_token_that_has_expired_is_extended_or_revoked(
    cluster: Cluster, tokens: t.Callable[..., dict[str, t.Any]]
) -> None:
    short = tokens(id="aaaaaa", ttl="1s")
    time.sleep(1.1)
    assert who(cluster, short["token"]) is None
    assert tokens(id="aaaaaa", ttl="1h")["token"] == short["token"]
    eventually(lambda: who(cluster, short["token"]))
    tokens(id="bbbbbb", ttl="1s")
    time.sleep(1.1)
    assert tokens(state="absent", expired=True)["revoked"] == ["bbbbbb"]
    assert [entry["id"] for entry in tokens(state="listed")["tokens"]] == ["aaaaaa"]


def test_usages_and_secrets_are_kept_true(cluster: Cluster, tokens: t.Callable[..., dict[str, t.Any]]) -> None:
    made = tokens(id="cccccc", usages=["signing"], ttl="0")
    assert (made["expires"], who(cluster, made["token"])) == ("never", None)
    other = tokens(id="cccccc", secret="0123456789abcdef", ttl="0")
    assert other["diff"]["after"]["secret"] == "(another)"
    assert "0123456789abcdef" not in json.dumps({**other, "invocation": ""})
    assert eventually(lambda: who(cluster, "cccccc.0123456789abcdef"))
    # Ansible masks a given secret wherever it stands
    assert made["token"].partition(".")[2] not in json.dumps(other)


def test_what_is_no_token_is_left_alone(cluster: Cluster, tokens: t.Callable[..., dict[str, t.Any]]) -> None:
    data = {"a": base64.b64encode(b"b").decode()}
    cluster.api.create(SECRETS, {"metadata": {"name": "bootstrap-token-dddddd"}, "data": data})
    for state in ("present", "absent"):
        assert "is no bootstrap token, and was not changed" in tokens(id="dddddd", state=state)["msg"]
    assert cluster.api.get(f"{SECRETS}/bootstrap-token-dddddd")["data"] == data


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"id": "ABC"}, "id: 'ABC'"),
        ({"secret": "unsafe"}, "secret: it is not sixteen"),
        ({"ttl": "1w"}, "ttl: '1w'"),
        ({"groups": ["system:masters"]}, "groups: 'system:masters'"),
        ({"usages": []}, "usages: "),
        ({"state": "absent"}, "give id, or expired"),
        ({"kubeconfig": "/nowhere"}, "kubeconfig /nowhere: No such file"),
    ],
)
def test_bad_options_are_named(cluster: Cluster, call: Call, arguments: dict[str, t.Any], words: str) -> None:
    result = call(bootstrap_token, **{"kubeconfig": cluster.kubeconfig, **arguments})
    assert result["failed"]
    assert words in result["msg"]


def test_a_static_token_lets_its_user_in(cluster: Cluster, call: Call) -> None:
    token = cluster.token_file.read_text().partition(",")[0]
    user = who(cluster, token)
    assert user is not None
    assert (user["username"], user["uid"]) == (STATIC_USER["user"], STATIC_USER["uid"])
    assert set(STATIC_USER["groups"]) <= set(user["groups"])
    assert not call(static_token, path=str(cluster.token_file), tokens=[STATIC_USER])["changed"]


def set_ready(cluster: Cluster, name: str, renewed: float) -> None:
    """A Node that is Ready, whose kubelet was heard of that many seconds ago."""
    heard = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=renewed)
    cluster.api.create(NODES, {"metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it runs"}
    cluster.api.patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready]}})
    spec = {"renewTime": heard.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "leaseDurationSeconds": 40, "holderIdentity": name}
    cluster.api.create(LEASES, {"metadata": {"name": name}, "spec": spec})


def test_a_token_of_its_own_for_each_node_that_may_join(cluster: Cluster, call: Call) -> None:
    set_ready(cluster, "alive", renewed=0)
    set_ready(cluster, "lost", renewed=60)
    arguments = {"kubeconfig": cluster.kubeconfig, "nodes": ["alive", "lost", "new"]}
    planned = call(join_tokens, check=True, **arguments)
    assert (planned["joining"], list(planned["refused"]), planned["tokens"]) == (["lost", "new"], ["alive"], {})
    made = call(join_tokens, **{**arguments, "nodes": ["lost", "new"]})
    for name in ("lost", "new"):
        user = eventually(lambda token=made["tokens"][name]: who(cluster, token))
        assert user["username"] == made["users"][name]
    assert made["users"]["lost"] != made["users"]["new"]
    # A run that dies here leaves them: the next makes others.
    again = call(join_tokens, **{**arguments, "nodes": ["new"]})
    assert again["revoked"] == [made["users"]["new"].rpartition(":")[2]]
    assert call(join_tokens, renew=True, **{**arguments, "nodes": ["alive"]})["joining"] == ["alive"]
    revoked = call(join_tokens, state="absent", **arguments)["revoked"]
    assert len(revoked) == 3
    assert not call(join_tokens, state="absent", **arguments)["changed"]
    assert not [
        entry
        for entry in call(bootstrap_token, kubeconfig=cluster.kubeconfig, state="listed")["tokens"]
        if entry["id"] in revoked
    ]


def test_a_node_that_lives_gets_no_token(cluster: Cluster, call: Call) -> None:
    """Its host may say what it wants."""
    set_ready(cluster, "living", renewed=0)

    def renew() -> None:
        for _beat in range(3):
            time.sleep(1)
            heard = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            cluster.api.patch(f"{LEASES}/living", {"spec": {"renewTime": heard}})

    kubelet = threading.Thread(target=renew)
    kubelet.start()
    result = call(join_tokens, kubeconfig=cluster.kubeconfig, nodes=["living"])
    kubelet.join()
    assert (result["joining"], result["tokens"], list(result["refused"])) == ([], {}, ["living"])
    assert "living has no certificate that can be used, by its own word" in result["refused"]["living"]
