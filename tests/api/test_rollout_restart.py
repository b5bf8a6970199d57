# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads of a real API are rolled by real controllers; a kubelet is played."""

from __future__ import annotations

import datetime
import time
import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.rollout_restart import RESTARTED_AT
from ansible_collections.hardway.kubernetes.plugins.modules import rollout_restart
from ansible_collections.hardway.kubernetes.tests.api.cluster import Call, Cluster, eventually
from ansible_collections.hardway.kubernetes.tests.api.kubelet import NODE, Kubelet, now_text

NAMESPACE = "rolled"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def template(name: str, **more: t.Any) -> dict[str, t.Any]:
    spec = {
        "nodeName": NODE,
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
        **more,
    }
    return {"metadata": {"labels": {"app": name}}, "spec": spec}


def workload(name: str, pod: dict[str, t.Any] | None = None, **more: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod or template(name), **more},
    }


OBJECTS = [
    (f"{APPS}/deployments", workload("web", replicas=3)),
    (f"{APPS}/deployments", workload("tokenless", template("tokenless", automountServiceAccountToken=False))),
    (f"{APPS}/deployments", workload("paused")),
    (f"{APPS}/daemonsets", workload("agent")),
    (f"{APPS}/daemonsets", workload("by-hand", updateStrategy={"type": "OnDelete"})),
    (f"{APPS}/statefulsets", workload("db", replicas=2, serviceName="db", podManagementPolicy="Parallel")),
    (f"{APPS}/statefulsets", workload("kept", serviceName="kept", updateStrategy={"rollingUpdate": {"partition": 1}})),
    (f"{APPS}/replicasets", workload("lonely")),
    (
        f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
        {"metadata": {"name": "task"}, "spec": {"template": template("task", restartPolicy="Never")}},
    ),
    (PODS, {"metadata": {"name": "bare", "labels": {"app": "bare"}}, "spec": template("bare")["spec"]}),
]
LEFT = {
    ("", ""): "nothing owns it",
    ("Job", "task"): "run to their end",
    ("ReplicaSet", "lonely"): "no Deployment owns it",
    ("Deployment", "paused"): "rollout resume deployment/paused",
    ("DaemonSet", "by-hand"): "OnDelete",
    ("StatefulSet", "kept"): "below number 1",
}
DUE = [("DaemonSet", "agent"), ("Deployment", "web"), ("StatefulSet", "db")]


def names(entries: list[dict[str, t.Any]]) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["name"]) for entry in entries]


def running(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    pods = cluster.api.items(PODS, {"fieldSelector": "status.phase=Running"})
    return {pod["metadata"]["name"]: pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def make_namespace(cluster: Cluster, name: str) -> None:
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    eventually(lambda: cluster.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))


@pytest.fixture(name="kubelet", scope="module")
def kubelet_fixture(cluster: Cluster) -> t.Iterator[Kubelet]:
    """A namespace with a workload of each kind, all running."""
    make_namespace(cluster, NAMESPACE)
    for path, body in OBJECTS:
        cluster.api.create(path, body)
    with Kubelet(cluster.kubeconfig) as kubelet:
        eventually(lambda: len(running(cluster)) == 13)
        cluster.api.patch(f"{APPS}/deployments/paused", {"spec": {"paused": True}})
        kubelet.most_restarting = 0
        yield kubelet


@pytest.fixture(name="since", scope="module")
def since_fixture(kubelet: Kubelet) -> str:
    """A time after the start of all pods."""
    time.sleep(1)
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def test_report_and_check_mode_name_everything_and_change_nothing(cluster: Cluster, call: Call, since: str) -> None:
    before = running(cluster)
    planned = call(rollout_restart, check=True, kubeconfig=cluster.kubeconfig, started_before=since)
    assert planned["changed"]
    assert names(planned["restarted"]) == DUE
    assert planned["restarted"][1]["pods"] == sorted(name for name in before if name.startswith("web-"))
    reasons = {(entry["kind"], entry["name"]): entry["reason"] for entry in planned["left"]}
    assert sorted(reasons) == sorted(LEFT)
    assert not [reasons[key] for key, words in LEFT.items() if words not in reasons[key]]
    report = call(
        rollout_restart, kubeconfig=cluster.kubeconfig, started_before=since, state="report", namespaces=[NAMESPACE]
    )
    assert not report["changed"]
    assert names(report["old"]) == DUE
    assert report["restarted"] == []
    assert running(cluster) == before


def test_each_is_rolled_one_after_the_other_and_only_once(
    cluster: Cluster, call: Call, kubelet: Kubelet, since: str
) -> None:
    before = running(cluster)
    result = call(rollout_restart, kubeconfig=cluster.kubeconfig, started_before=since, timeout=30)
    assert result["changed"], result
    assert names(result["restarted"]) == DUE
    assert result["diff"]["before"].startswith("DaemonSet rolled/agent: restarted never\n")
    after = running(cluster)
    rolled = {name for name in after if name.rpartition("-")[0].split("-")[0] in ("web", "agent", "db")}
    assert len(rolled) == 6
    assert not {after[name]["metadata"]["uid"] for name in rolled} & {pod["metadata"]["uid"] for pod in before.values()}
    assert {name: after[name] for name in set(after) - rolled} == {
        name: pod for name, pod in before.items() if name in set(after) - rolled
    }
    assert kubelet.most_restarting == 1
    again = call(rollout_restart, kubeconfig=cluster.kubeconfig, started_before=since)
    assert not again["changed"]
    assert again["old"] == again["restarted"] == []
    assert sorted(names(again["left"])) == sorted(LEFT)


def test_a_rollout_that_does_not_end_is_named_and_gone_on_with(cluster: Cluster, call: Call, kubelet: Kubelet) -> None:
    make_namespace(cluster, "fragile")
    path = "/apis/apps/v1/namespaces/fragile/deployments"
    cluster.api.create(path, workload("fragile"))
    eventually(lambda: cluster.api.get(f"{path}/fragile")["status"].get("availableReplicas"))
    time.sleep(1)
    arguments = {"kubeconfig": cluster.kubeconfig, "namespaces": ["fragile"], "started_before": now_text()}
    kubelet.broken = {"fragile"}
    result = call(rollout_restart, **arguments, timeout=1)
    assert result["failed"]
    assert (
        "Deployment fragile/fragile was restarted, but its rollout did not end within 1 s: 1 old pods still run"
        in result["msg"]
    )
    assert "ImagePullBackOff no such image" in result["msg"]
    assert names(result["restarted"]) == [("Deployment", "fragile")]
    stamp = cluster.api.get(f"{path}/fragile")["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT]
    kubelet.broken = set()
    result = call(rollout_restart, **arguments, timeout=30)
    assert (result["changed"], result["restarted"]) == (False, []), result
    assert cluster.api.get(f"{path}/fragile")["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] == stamp
    assert call(rollout_restart, **arguments, state="report")["old"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"started_before": "yesterday"}, "'yesterday' is not a time of RFC 3339"),
        ({"started_before": "2026-11-21T10:30:00"}, "with its zone"),
        ({"started_before": "2226-11-21T10:30:00Z"}, "lies in the future"),
        ({"namespaces": ["nowhere"], "started_before": "2026-01-01T00:00:00+01:00"}, "there is no namespace 'nowhere'"),
    ],
)
def test_bad_options_are_named(cluster: Cluster, call: Call, arguments: dict[str, t.Any], words: str) -> None:
    result = call(rollout_restart, kubeconfig=cluster.kubeconfig, **arguments)
    assert result["failed"]
    assert words in result["msg"]
