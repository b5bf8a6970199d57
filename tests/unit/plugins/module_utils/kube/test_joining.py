# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may join by what the API says of a node, and the tokens of those who do."""

from __future__ import annotations

import datetime
import json
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import bootstrap_token, joining
from ansible_collections.hardway.kubernetes.plugins.modules import join_tokens
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import Answer, FakeApi

NOW = datetime.datetime.now(datetime.timezone.utc)


def lease(age: float) -> dict[str, t.Any]:
    heard = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    return {"spec": {"renewTime": heard.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


class Cluster:
    """Nodes with their Leases, and Secrets."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.leases: dict[str, t.Callable[[], dict[str, t.Any]]] = {}
        self.secrets: dict[str, dict[str, t.Any]] = {}
        self.lost_answers = 0

    def add(self, name: str, ready: str = "True", age: float | None = 0.0, renewing: bool = False) -> None:
        self.nodes[name] = ready
        if age is not None:
            fixed = lease(age)
            self.leases[name] = (lambda: lease(0)) if renewing else (lambda: fixed)

    def token(self, node: str) -> bootstrap_token.Token:
        """A token that an earlier run made, and did not revoke."""
        token = bootstrap_token.Token("old" + node[-3:], "0123456789abcdef", NOW, node=node)
        self.secrets[token.name] = token.to_object()
        return token

    def tokens(self) -> dict[str, bootstrap_token.Token]:
        return {token.node: token for token in map(bootstrap_token.read_object, self.secrets.values())}

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> Answer:
        name = path.rsplit("/", 1)[-1]
        if path == bootstrap_token.SECRETS:
            if method == "GET":
                return 200, {"items": list(self.secrets.values()), "metadata": {}}, {}
            if body["metadata"]["name"] in self.secrets:
                return 409, {"kind": "Status", "reason": "AlreadyExists"}, {}
            self.secrets[body["metadata"]["name"]] = body
            if self.lost_answers:
                self.lost_answers -= 1
                return 503, {"kind": "Status", "reason": "ServiceUnavailable"}, {}
            return 201, body, {}
        if path.startswith(bootstrap_token.SECRETS):
            return (200 if self.secrets.pop(name, None) else 404), {}, {}
        if path.startswith(joining.NODES) and name in self.nodes:
            return 200, {"status": {"conditions": [{"type": "Ready", "status": self.nodes[name]}]}}, {}
        if path.startswith(joining.LEASES) and name in self.leases:
            return 200, self.leases[name](), {}
        return 404, {"kind": "Status", "reason": "NotFound"}, {}


@pytest.fixture(name="cluster")
def cluster_fixture() -> Cluster:
    return Cluster()


@pytest.fixture(name="run")
def run_fixture(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[t.Callable[..., t.Any]]:
    monkeypatch.setattr(joining, "PAUSE", 0.05)
    with FakeApi(tmp_path, cluster) as fake:

        def run(nodes: list[str], check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
            given = {"kubeconfig": str(fake.kubeconfig), "nodes": nodes, **options}
            params = {name: spec.get("default") for name, spec in join_tokens.argument_spec().items()}
            fake.requests.clear()
            result = join_tokens.run(Task({**params, **given}, check_mode))
            return {**result, "requests": list(fake.requests)}

        yield run


def test_each_node_that_joins_has_a_token_of_its_own(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    names = [f"node{number}" for number in range(37)]
    result = run(names)
    assert result["changed"]
    assert result["joining"] == names
    assert len(set(result["tokens"].values())) == 37
    assert {name: token.text for name, token in cluster.tokens().items()} == result["tokens"]
    assert {name: token.user for name, token in cluster.tokens().items()} == result["users"]
    now = datetime.datetime.now(datetime.timezone.utc)
    assert all(0 < (token.left(now) or 0) <= 1800 for token in cluster.tokens().values())
    assert run(names, state="absent")["revoked"] == sorted(
        token.partition(".")[0] for token in result["tokens"].values()
    )
    assert not cluster.secrets
    assert not run(names, state="absent")["changed"]


@pytest.mark.parametrize(
    ("node", "joins"),
    [
        pytest.param({"ready": "False"}, True, id="not Ready"),
        pytest.param({"ready": "Unknown"}, True, id="lost"),
        pytest.param({"age": 41}, True, id="Ready, and nobody renews its Lease"),
        pytest.param({"age": 5, "renewing": True}, False, id="Ready, and its Lease is renewed"),
        pytest.param({"age": -3600}, False, id="a Lease from a clock that is ahead"),
        pytest.param({"age": None}, False, id="Ready, without a Lease"),
    ],
)
def test_only_who_is_absent_or_not_ready_joins(
    cluster: Cluster, run: t.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch, node: dict[str, t.Any], joins: bool
) -> None:
    monkeypatch.setattr(join_tokens, "LONGEST_LOOK", 0.5)
    cluster.add("node1", **node)
    result = run(["node1", "node2"])
    assert result["joining"] == (["node1", "node2"] if joins else ["node2"])
    assert set(cluster.tokens()) == set(result["users"]) == set(result["joining"])
    assert list(result["refused"]) == ([] if joins else ["node1"])
    assert result["warnings"] == list(result["refused"].values())
    assert joins or "stop its kubelet" in result["warnings"][0]


def test_a_node_whose_lease_ends_meanwhile_joins(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.add("node1", age=38)
    started = time.monotonic()
    assert run(["node1"])["joining"] == ["node1"]
    assert time.monotonic() - started < 20


def test_a_lease_that_nobody_renews_ends_whatever_the_clocks_say(
    cluster: Cluster, run: t.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join_tokens, "LONGEST_LOOK", 0.6)
    monkeypatch.setattr(joining, "LEASE_DURATION", 0.5)
    cluster.add("ahead", age=-3600)
    cluster.add("without", age=None)
    assert run(["ahead", "without"])["joining"] == ["ahead"]


def test_a_node_that_lives_is_known_as_soon_as_it_renews_its_lease(
    cluster: Cluster, run: t.Callable[..., t.Any]
) -> None:
    cluster.add("node1", renewing=True)
    started = time.monotonic()
    assert list(run(["node1"])["refused"]) == ["node1"]
    assert time.monotonic() - started < 20


def test_check_mode_changes_nothing_and_does_not_wait(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.add("node1", age=0)
    cluster.token("node2")
    before = json.dumps(cluster.secrets)
    result = run(["node1", "node2", "node3"], check_mode=True)
    assert result["changed"]
    assert (result["joining"], list(result["refused"])) == (["node2", "node3"], ["node1"])
    assert result["tokens"] == result["users"] == {}
    assert run(["node2"], check_mode=True, state="absent")["changed"]
    assert json.dumps(cluster.secrets) == before


def test_the_controller_s_own_wish_needs_no_look_at_the_nodes(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.add("node1", renewing=True)
    result = run(["node1"], renew=True)
    assert result["joining"] == ["node1"]
    assert not [request for request in result["requests"] if joining.NODES in request]


def test_a_join_that_was_interrupted_goes_on_with_another_token(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.add("node1", renewing=True)
    old = cluster.token("node1")
    other = cluster.token("node9")
    result = run(["node1"])
    assert result["joining"] == ["node1"]
    assert result["revoked"] == [old.id]
    assert result["tokens"]["node1"] != old.text
    assert set(cluster.tokens()) == {"node1", "node9"}
    assert cluster.tokens()["node9"] == bootstrap_token.read_object(other.to_object())


def test_a_user_of_a_token_file_joins_without_a_token(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.add("node1", renewing=True)
    result = run(["node1", "node2"], user="kubelet-bootstrap")
    assert (result["changed"], result["users"], result["tokens"]) == (False, {"node2": "kubelet-bootstrap"}, {})
    assert not cluster.secrets


def test_a_token_whose_making_was_not_answered_is_that_token(cluster: Cluster, run: t.Callable[..., t.Any]) -> None:
    cluster.lost_answers = 1
    result = run(["node1"])
    assert cluster.tokens()["node1"].text == result["tokens"]["node1"]


def test_a_token_to_join_with_ends(run: t.Callable[..., t.Any]) -> None:
    with pytest.raises(TaskFailed, match=r"^ttl: "):
        run(["node1"], ttl="0")
