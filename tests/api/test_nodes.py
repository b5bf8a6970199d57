# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `verify` says of nodes and of strangers, and that `reset_nodes` takes nodes out."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.modules import reset_nodes, verify
from ansible_collections.hardway.kubernetes.tests.api.cluster import SETTINGS, Call, Cluster, eventually, free_port

VERSION = SETTINGS["cluster_kubernetes_version"]
NODES = "/api/v1/nodes"


@pytest.fixture(name="nodes")
def nodes_fixture(cluster: Cluster) -> t.Iterator[list[str]]:
    """A Ready node and one that is not."""
    names = ["ready", "broken"]
    for name, ready in zip(names, ("True", "False")):
        cluster.api.create(NODES, {"metadata": {"name": name}})
        condition = {
            "type": "Ready",
            "status": ready,
            "reason": "KubeletNotReady",
            "message": "container runtime network not ready",
        }
        info = cluster.api.get(f"{NODES}/{name}")["status"]["nodeInfo"]
        cluster.api.patch(
            f"{NODES}/{name}/status",
            {"status": {"conditions": [condition], "nodeInfo": {**info, "kubeletVersion": f"v{VERSION}"}}},
        )
    yield names
    for name in names:
        cluster.api.delete(f"{NODES}/{name}")


def test_a_light_check_of_what_is_good(cluster: Cluster, call: Call, nodes: list[str]) -> None:
    result = call(verify, kubeconfig=cluster.kubeconfig, level="light", nodes=[{"name": "ready"}], version=VERSION)
    assert "failed" not in result, result
    assert [check["name"] for check in result["checks"]] == ["API", "nodes", "deployments", "anonymous access"]
    assert result["lines"][0] == f"API: {cluster.url} answers as v{VERSION}"


def test_all_that_fails_is_told_together(cluster: Cluster, second: str, call: Call, nodes: list[str]) -> None:
    wanted = [{"name": name} for name in (*nodes, "missing")]
    result = call(verify, kubeconfig=second, level="light", nodes=wanted, version="1.0.0", timeout=0)
    assert result["failed"]
    for words in (
        f"answers as v{VERSION} instead of v1.0.0",
        "broken is not Ready (container runtime network not ready)",
        "missing is not registered",
        "ready runs kubelet",
        # this server has upstream's defaults
        "/version answers 200",
    ):
        assert words in result["msg"]


def test_nodes_are_taken_out(cluster: Cluster, call: Call, nodes: list[str]) -> None:
    arguments = {"kubeconfig": cluster.kubeconfig, "nodes": ["ready", "missing"]}
    assert call(reset_nodes, check=True, **arguments)["deleted"] == ["ready"]
    assert cluster.api.find(f"{NODES}/ready")
    result = call(reset_nodes, **arguments)
    assert (result["changed"], result["deleted"], result["skipped_nodes"]) == (True, ["ready"], [])
    assert cluster.api.find(f"{NODES}/ready") is None
    assert cluster.api.find(f"{NODES}/broken")
    assert not call(reset_nodes, **arguments)["changed"]


def test_the_pods_of_nodes_that_are_no_more_go_at_once(cluster: Cluster, call: Call, nodes: list[str]) -> None:
    namespace = "/api/v1/namespaces/default"
    eventually(lambda: cluster.api.find(f"{namespace}/serviceaccounts/default"))
    for node in nodes:
        spec = {
            "nodeName": node,
            "terminationGracePeriodSeconds": 600,
            "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
        }
        cluster.api.create(f"{namespace}/pods", {"metadata": {"name": f"on-{node}"}, "spec": spec})
    arguments = {"kubeconfig": cluster.kubeconfig, "nodes": ["ready"]}
    assert call(reset_nodes, check=True, **arguments)["pods"] == ["default/on-ready"]
    assert cluster.api.find(f"{namespace}/pods/on-ready")
    assert call(reset_nodes, **arguments)["pods"] == ["default/on-ready"]
    assert cluster.api.find(f"{namespace}/pods/on-ready") is None
    assert cluster.api.find(f"{namespace}/pods/on-broken")
    cluster.api.delete(f"{namespace}/pods/on-broken", {"gracePeriodSeconds": "0"})


def test_a_cluster_that_is_gone_keeps_no_host_from_its_reset(cluster: Cluster, call: Call, capsys: t.Any) -> None:
    identity = {"client_certificate": f"{cluster.pki}/admin.pem", "client_key": f"{cluster.pki}/admin-key.pem"}
    gone = cluster.make_kubeconfig("gone", f"https://127.0.0.1:{free_port()}", **identity)
    result = call(reset_nodes, kubeconfig=gone, nodes=["a", "b"])
    assert (result["changed"], result["skipped_nodes"]) == (False, ["a", "b"])
    assert "failed" not in result
    assert "Connection refused" in capsys.readouterr().err
