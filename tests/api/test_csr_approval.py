# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests of real identities to a real API server, whose signer signs what is approved."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.csr import CLIENT, REQUESTS, SERVING
from ansible_collections.hardway.kubernetes.plugins.modules import csr_approval, join_tokens
from ansible_collections.hardway.kubernetes.tests.api.cluster import Call, Cluster, eventually
from ansible_collections.hardway.kubernetes.tests.api.joining import (
    USAGES,
    Joining,
    ask,
    make_csr,
    make_key,
    wait_for_certificate,
)

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
OTHER_SIGNER = "kubernetes.io/kube-apiserver-client"
NODES = [
    {"name": "node-a", "addresses": ["192.0.2.31", "node-a.example.org"]},
    {"name": "node-b", "addresses": ["192.0.2.32"]},
    {"name": "master-a", "addresses": ["192.0.2.11"]},
]
NAMES = ("node-a", "192.0.2.31")
KEY = make_key()[0]

Identities = dict[str, Api]


class Bad(t.NamedTuple):
    """A request that must not be approved, and what must be said of it."""

    words: str
    who: str
    signer: str
    cn: str = "system:node:node-a"
    organizations: tuple[str, ...] = ("system:nodes",)
    names: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    behind: bytes = b""

    def ask(self, identities: Identities) -> str:
        csr = make_csr(KEY, self.cn, self.organizations, self.names) + self.behind
        return ask(
            identities[self.who],
            self.signer,
            csr,
            self.usages or USAGES[CLIENT if self.signer == OTHER_SIGNER else self.signer],
        )


BAD = {
    "foreign node name": Bad("its subject names node-x", "bootstrap", CLIENT, "system:node:node-x"),
    "foreign node name by the token of another run": Bad(
        "node-x is not in the inventory", "stranger", CLIENT, "system:node:node-x"
    ),
    "client by the token of another run": Bad("and node-a joins as system:bootstrap:", "stranger", CLIENT),
    "no node at all": Bad("it names no node", "stranger", CLIENT, "alice"),
    "further organization": Bad(
        "O system:nodes, system:kubelets", "bootstrap", CLIENT, organizations=("system:nodes", "system:kubelets")
    ),
    "other organization": Bad(
        "O system:kubelets instead of system:nodes", "bootstrap", CLIENT, organizations=("system:kubelets",)
    ),
    "client with a name": Bad("a client certificate has none", "bootstrap", CLIENT, names=("node-a",)),
    "client by a person": Bad("its requester is admin,", "admin", CLIENT),
    # what a worker that joins, or that is renewed, asks for with the token that it was given
    "a master's identity": Bad(
        "whose token node-a was given, and master-a does not join in this run",
        "bootstrap",
        CLIENT,
        "system:node:master-a",
    ),
    "another joining node's identity": Bad("whose token node-a was given", "bootstrap", CLIENT, "system:node:node-b"),
    "identity of a node of the inventory that is not in the run": Bad(
        "its subject names node-c, but its requester or its names are those of node-a",
        "bootstrap",
        CLIENT,
        "system:node:node-c",
    ),
    "client by another node": Bad("its requester is system:node:node-b", "node-b", CLIENT),
    "client with server usage": Bad(
        "its usages are client auth, digital signature, server auth",
        "bootstrap",
        CLIENT,
        usages=(*USAGES[CLIENT], "server auth"),
    ),
    "client with any usage": Bad(
        "its usages are any, client auth, digital signature", "bootstrap", CLIENT, usages=(*USAGES[CLIENT], "any")
    ),
    "serving by a bootstrap token": Bad("its requester is system:bootstrap:", "bootstrap", SERVING, names=NAMES),
    "serving by another node": Bad("its requester is system:node:node-b", "node-b", SERVING, names=NAMES),
    "serving for another node": Bad(
        "its requester is system:node:node-a", "node-a", SERVING, "system:node:node-b", names=("node-b",)
    ),
    "serving with a wildcard": Bad("asks for *.example.org", "node-a", SERVING, names=(*NAMES, "*.example.org")),
    "serving with another node's address": Bad("asks for 192.0.2.32", "node-a", SERVING, names=(*NAMES, "192.0.2.32")),
    "serving with a foreign address": Bad("asks for 10.96.0.1", "node-a", SERVING, names=(*NAMES, "10.96.0.1")),
    "serving with the API's name": Bad(
        "asks for kubernetes.default.svc", "node-a", SERVING, names=(*NAMES, "kubernetes.default.svc")
    ),
    "serving with a URI": Bad(
        "asks for UniformResourceIdentifier spiffe://x/y", "node-a", SERVING, names=(*NAMES, "spiffe://x/y")
    ),
    "serving with no names": Bad("no DNS name and no address", "node-a", SERVING),
    "serving with any usage": Bad(
        "its usages are any, digital signature, server auth",
        "node-a",
        SERVING,
        names=NAMES,
        usages=(*USAGES[SERVING], "any"),
    ),
    "serving with client usages": Bad(
        "its usages are client auth", "node-a", SERVING, names=NAMES, usages=tuple(USAGES[CLIENT])
    ),
    "two blocks of PEM": Bad("it is not one block of PEM", "node-a", SERVING, names=NAMES, behind=make_csr(KEY, "x")),
    "another signer": Bad("its signer is kubernetes.io/kube-apiserver-client", "bootstrap", OTHER_SIGNER),
    "another signer, as someone else": Bad(
        "its signer is kubernetes.io/kube-apiserver-client", "node-a", OTHER_SIGNER, "alice"
    ),
}


@pytest.fixture(name="join", scope="module")
def join_fixture(cluster: Cluster, call: Call) -> t.Iterator[dict[str, t.Any]]:
    """Tokens whose bearers may ask, each for one node."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-bootstrapper"}
    subjects = [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:bootstrappers"}]
    cluster.api.create(BINDINGS, {"metadata": {"name": "node-bootstrapper"}, "roleRef": role, "subjects": subjects})
    names = ["node-a", "node-b", "joining", "elsewhere"]
    made = call(join_tokens, kubeconfig=cluster.kubeconfig, nodes=names)
    for bearer in map(cluster.as_bearer, made["tokens"].values()):
        eventually(lambda api=bearer: api.items(REQUESTS) is not None)
    yield made
    call(join_tokens, kubeconfig=cluster.kubeconfig, nodes=names, state="absent")


@pytest.fixture(name="users", scope="module")
def users_fixture(join: dict[str, t.Any]) -> dict[str, str]:
    """Nodes that join in this run, and as whom; master-a does not."""
    return {name: join["users"][name] for name in ("node-a", "node-b")}


@pytest.fixture(name="identities", scope="module")
def identities_fixture(cluster: Cluster, join: dict[str, t.Any]) -> Identities:
    return {
        "admin": cluster.api,
        "bootstrap": cluster.as_bearer(join["tokens"]["node-a"]),
        "stranger": cluster.as_bearer(join["tokens"]["elsewhere"]),
        "node-a": cluster.as_node("node-a"),
        "node-b": cluster.as_node("node-b"),
    }


@pytest.fixture(name="clean", autouse=True)
def clean_fixture(cluster: Cluster) -> t.Iterator[None]:
    yield
    for item in cluster.api.items(REQUESTS):
        cluster.api.delete(f"{REQUESTS}/{item['metadata']['name']}")


def conditions(cluster: Cluster, name: str) -> dict[str, str]:
    return {
        entry["type"]: entry.get("message", "")
        for entry in cluster.api.get(f"{REQUESTS}/{name}")["status"].get("conditions") or []
    }


def test_a_node_joins(cluster: Cluster, call: Call, join: dict[str, t.Any], tmp_path: Path) -> None:
    with Joining(cluster, tmp_path, "joining", join["tokens"]["joining"], after=0.3) as kubelet:
        arguments = {
            "kubeconfig": cluster.kubeconfig,
            "nodes": [{"name": "joining", "addresses": [kubelet.address]}],
            "inventory": [],
            "bootstrap_users": {"joining": join["users"]["joining"]},
        }
        result = call(csr_approval, **arguments, timeout=30)
        assert result["changed"], result
        assert [(entry["certificate"], entry["requester"]) for entry in result["approved"]] == [
            ("client", f"system:bootstrap:{join['tokens']['joining'].partition('.')[0]}"),
            ("serving", "system:node:joining"),
        ]
        assert result["nodes"] == {"joining": {"registered": True, "answers": True}}
        assert result["diff"]["after"].count("approved") == 2
        again = call(csr_approval, **arguments, timeout=0)
        assert (again["changed"], again["approved"], again["denied"]) == (False, [], [])
        assert "failed" not in again


def test_what_disagrees_is_denied_and_named_and_the_rest_approved(
    cluster: Cluster, call: Call, identities: Identities, users: dict[str, str], capsys: t.Any
) -> None:
    asked = {kind: bad.ask(identities) for kind, bad in BAD.items()}
    good = {
        "client": ask(identities["bootstrap"], CLIENT, make_csr(KEY, "system:node:node-a")),
        "renewal": ask(
            identities["node-b"], CLIENT, make_csr(KEY, "system:node:node-b"), [*USAGES[CLIENT], "key encipherment"]
        ),
        "serving": ask(
            identities["node-a"], SERVING, make_csr(KEY, "system:node:node-a", names=[*NAMES, "node-a.example.org"])
        ),
    }
    left = {
        "foreign": ask(identities["stranger"], CLIENT, make_csr(KEY, "system:node:node-c")),
        "person": ask(cluster.api, OTHER_SIGNER, make_csr(KEY, "alice", ()), USAGES[CLIENT]),
    }
    arguments = {
        "kubeconfig": cluster.kubeconfig,
        "nodes": NODES,
        "inventory": ["node-a", "node-b", "node-c", "master-a"],
        "bootstrap_users": users,
        "timeout": 0,
    }
    planned = call(csr_approval, check=True, **arguments)
    assert not [name for name in (*asked.values(), *good.values(), *left.values()) if conditions(cluster, name)]
    result = call(csr_approval, **arguments)
    for told in (planned, result):
        reasons = {entry["name"]: "; ".join(entry["reasons"]) for entry in told["denied"]}
        assert sorted(reasons) == sorted(asked.values())
        assert not {kind: reasons[name] for kind, name in asked.items() if BAD[kind].words not in reasons[name]}
        assert sorted(entry["name"] for entry in told["approved"]) == sorted(good.values())
        assert [entry["name"] for entry in told["foreign"]] == [left["foreign"]]
    assert capsys.readouterr().err.count(" was denied: ") == len(BAD)
    for name, reason in reasons.items():
        assert conditions(cluster, name) == {"Denied": reason}
    for name in good.values():
        assert wait_for_certificate(cluster.api, name).startswith("-----BEGIN CERTIFICATE-----")
    for name in left.values():
        assert conditions(cluster, name) == {}
    assert not any(cluster.api.get(f"{REQUESTS}/{name}")["status"].get("certificate") for name in asked.values())
    assert result["failed"]
    assert "node-a: denied" in result["msg"]


def test_without_the_inventory_strangers_are_left_alone_and_without_deny_all_are(
    cluster: Cluster, call: Call, identities: Identities
) -> None:
    stranger = BAD["foreign node name by the token of another run"].ask(identities)
    disagreeing = BAD["serving with a wildcard"].ask(identities)
    result = call(csr_approval, kubeconfig=cluster.kubeconfig, nodes=NODES, timeout=0, deny=False)
    assert not result["changed"]
    assert [entry["name"] for entry in result["foreign"]] == [stranger]
    assert [entry["name"] for entry in result["denied"]] == [disagreeing]
    assert "node-a: not approved serving request" in result["msg"]
    assert conditions(cluster, stranger) == conditions(cluster, disagreeing) == {}


def test_a_node_joins_once(
    cluster: Cluster, call: Call, identities: Identities, users: dict[str, str], capsys: t.Any
) -> None:
    arguments = {"kubeconfig": cluster.kubeconfig, "nodes": NODES[:1], "bootstrap_users": users, "timeout": 0}
    first = ask(identities["bootstrap"], CLIENT, make_csr(KEY, "system:node:node-a"))
    assert [entry["name"] for entry in call(csr_approval, **arguments)["approved"]] == [first]
    second = ask(identities["bootstrap"], CLIENT, make_csr(make_key()[0], "system:node:node-a"))
    result = call(csr_approval, **arguments)
    assert (result["approved"], [entry["name"] for entry in result["denied"]]) == ([], [second])
    assert "a first request of node-a was approved in this run already" in conditions(cluster, second)["Denied"]
    assert f"request {second} (client) for node-a was denied: " in capsys.readouterr().err
    assert wait_for_certificate(cluster.api, first)
    assert not cluster.api.get(f"{REQUESTS}/{second}")["status"].get("certificate")


def test_of_two_requests_at_once_one_is_approved(
    cluster: Cluster, call: Call, identities: Identities, users: dict[str, str]
) -> None:
    for _unused in range(2):
        ask(identities["bootstrap"], CLIENT, make_csr(make_key()[0], "system:node:node-a"))
    result = call(csr_approval, kubeconfig=cluster.kubeconfig, nodes=NODES[:1], bootstrap_users=users, timeout=0)
    assert (len(result["approved"]), len(result["denied"])) == (1, 1)
    assert "which is newer, asks for the same" in result["denied"][0]["reasons"][0]


def test_who_did_not_ask_is_named_within_the_limit(
    cluster: Cluster, call: Call, identities: Identities, users: dict[str, str]
) -> None:
    ask(identities["bootstrap"], CLIENT, make_csr(KEY, "system:node:node-a"))
    result = call(csr_approval, kubeconfig=cluster.kubeconfig, nodes=NODES[:2], bootstrap_users=users, timeout=1)
    assert result["failed"]
    assert result["msg"].startswith("node-a, node-b not ready within 1 s.")
    assert "node-a has its client certificate but has not registered as a Node" in result["msg"]
    assert "node-b did not ask for a client certificate" in result["msg"]
    assert 1 <= result["seconds"] < 3


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([{"name": "Node_A"}], "'Node_A' is not a node's name"),
        ([NODES[0], {"name": "b", "addresses": ["192.0.2.31"]}], "192.0.2.31 is given to node-a and to b"),
    ],
)
def test_a_list_that_cannot_be_right_changes_nothing(
    cluster: Cluster, call: Call, nodes: list[dict[str, t.Any]], words: str
) -> None:
    result = call(csr_approval, kubeconfig=cluster.kubeconfig, nodes=nodes)
    assert result["failed"]
    assert words in result["msg"]
