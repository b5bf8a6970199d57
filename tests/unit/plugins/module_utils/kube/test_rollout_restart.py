# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import rollout_restart as restart
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
AUTOMOUNTED = [
    {
        "projected": {
            "sources": [{"serviceAccountToken": {}}, {"configMap": {"name": restart.ROOT_CA}}, {"downwardAPI": {}}]
        }
    }
]


REPLICA_SET = ("apps/v1", "ReplicaSet", "web")


def pod(
    name: str = "web-1",
    began: str = "2026-01-02T03:04:04Z",
    owner: tuple[str, str, str] | None = REPLICA_SET,
    **more: t.Any,
) -> t.Any:
    owners = [{"apiVersion": owner[0], "kind": owner[1], "name": owner[2], "controller": True}] if owner else []
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "ownerReferences": owners,
            "creationTimestamp": began,
            **more.pop("metadata", {}),
        },
        "spec": {"volumes": more.pop("volumes", AUTOMOUNTED)},
        "status": {"phase": "Running", "startTime": began, **more},
    }


@pytest.mark.parametrize(
    ("item", "old"),
    [
        pytest.param(pod(), True, id="automounted"),
        pytest.param(pod(began="2026-01-02T03:04:05Z"), False, id="new enough"),
        pytest.param(pod(volumes=[{"configMap": {"name": restart.ROOT_CA}}]), True, id="the authority alone"),
        pytest.param(
            pod(volumes=[{"projected": {"sources": [{"serviceAccountToken": {}}]}}]), True, id="a token alone"
        ),
        pytest.param(
            pod(
                volumes=[
                    {"configMap": {"name": "other"}},
                    {"projected": {"sources": [{"secret": {}}]}},
                    {"emptyDir": {}},
                ]
            ),
            False,
            id="neither",
        ),
        pytest.param(pod(volumes=None), False, id="nothing mounted"),
        pytest.param(pod(metadata={"deletionTimestamp": "x"}), False, id="ends"),
        pytest.param(pod(phase="Pending"), False, id="does not run"),
        pytest.param(pod(startTime=None), True, id="no start time, but made before"),
    ],
)
def test_which_pods_are_too_old(item: t.Any, old: bool) -> None:
    assert restart.is_old(item, NOW) is old


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-02T03:04:05Z", NOW),
        ("2026-01-02t04:04:04.1+01:00", NOW),
        ("2026-01-02T03:04:04.000001Z", NOW),
        ("2026-01-01T00:00:00Z", NOW.replace(day=1, hour=0, minute=0, second=0)),
    ],
)
def test_times(text: str, found: datetime.datetime) -> None:
    assert restart.read_started_before(text, NOW + datetime.timedelta(seconds=1)) == found


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-01-02", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05", "1767323045", "2026-01-02T03:04:06Z"],
)
def test_bad_times_are_named(text: str) -> None:
    with pytest.raises(restart.RestartError, match=r"^started_before: "):
        restart.read_started_before(text, NOW)


def body(kind: str, status: dict[str, t.Any], replicas: int = 3, **spec: t.Any) -> t.Any:
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": replicas, "template": {}, **spec},
        "status": {"observedGeneration": 2, **status},
    }


@pytest.mark.parametrize(
    ("kind", "status", "spec", "words"),
    [
        (
            "Deployment",
            {"observedGeneration": 1, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3},
            {},
            "no kube-controller-manager has seen",
        ),
        ("Deployment", {"updatedReplicas": 2, "replicas": 4, "availableReplicas": 3}, {}, "2 of 3 pods are new"),
        ("Deployment", {"updatedReplicas": 3, "replicas": 4, "availableReplicas": 3}, {}, "1 old pods still run"),
        (
            "Deployment",
            {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 2},
            {},
            "2 of 3 new pods are available",
        ),
        ("Deployment", {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}, {}, ""),
        ("Deployment", {}, {"replicas": 0}, ""),
        (
            "DaemonSet",
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2},
            {},
            "1 of 2 pods are new",
        ),
        (
            "DaemonSet",
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1},
            {},
            "1 of 2 new pods are available",
        ),
        ("DaemonSet", {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}, {}, ""),
        ("StatefulSet", {"updatedReplicas": 1, "readyReplicas": 3}, {}, "1 of 3 pods are new"),
        ("StatefulSet", {"updatedReplicas": 3, "readyReplicas": 2}, {}, "2 of 3 pods are ready"),
        (
            "StatefulSet",
            {"updatedReplicas": 1, "readyReplicas": 3},
            {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
            "",
        ),
        ("StatefulSet", {"updatedReplicas": 3, "readyReplicas": 3}, {}, ""),
    ],
)
def test_what_a_rollout_lacks(kind: str, status: dict[str, t.Any], spec: dict[str, t.Any], words: str) -> None:
    lack = restart.lacking(body(kind, status, **spec), kind)
    assert lack.startswith(words)
    assert bool(lack) is bool(words)


def find(directory: Path, pods: list[t.Any], objects: dict[str, t.Any]) -> restart.Findings:
    def handler(method: str, path: str, query: dict[str, str], sent: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        assert method == "GET"
        if path == "/api/v1/pods":
            return 200, {"items": pods, "metadata": {}}, {}
        found = objects.get(path.rpartition("/")[2])
        return (200, found, {}) if found else (404, {}, {})

    with FakeApi(directory, handler) as fake:
        return restart.Restarter(Api.from_kubeconfig(str(fake.kubeconfig)), NOW, 1).find()


COMPLETE = {"updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}


def deployment(since: str, status: dict[str, t.Any]) -> t.Any:
    return body("Deployment", status, template={"metadata": {"annotations": {restart.RESTARTED_AT: since}}})


@pytest.mark.parametrize(
    ("since", "status", "kind"),
    [
        ("2026-01-02T03:04:04Z", COMPLETE, "due"),
        ("nonsense", COMPLETE, "due"),
        ("2026-01-02T03:04:05Z", {}, "rolling"),
        ("2026-01-02T03:04:05Z", COMPLETE, "left"),
    ],
)
def test_what_was_restarted_already_is_not_restarted_again(
    tmp_path: Path, since: str, status: dict[str, t.Any], kind: str
) -> None:
    owner = {
        "metadata": {
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "front", "controller": True}]
        }
    }
    findings = find(tmp_path, [pod("a"), pod("b")], {"web": owner, "front": deployment(since, status)})
    assert {name: len(getattr(findings, name)) for name in ("due", "rolling", "left")} == {
        "due": 0,
        "rolling": 0,
        "left": 0,
        kind: 1,
    }
    if kind == "left":
        assert "compare the clocks" in findings.left[0][1]


def test_what_nothing_here_can_restart_is_left_with_its_reason(tmp_path: Path) -> None:
    pods = [
        pod("bare", owner=None),
        pod("cloned", owner=("apps.kruise.io/v1", "StatefulSet", "cloned")),
        pod("operated", owner=("example.org/v1", "Database", "db")),
        pod("node", owner=("v1", "Node", "node1")),
        pod("orphan", owner=("apps/v1", "ReplicaSet", "gone")),
        pod("going", owner=("apps/v1", "DaemonSet", "gone")),
    ]
    findings = find(tmp_path, pods, {})
    assert not findings.due
    reasons = {workload.kind: reason for workload, reason in findings.left}
    assert sorted(reasons) == ["", "Database.example.org", "Node", "ReplicaSet", "StatefulSet.apps.kruise.io"]
    assert "its own controller's matter" in reasons["StatefulSet.apps.kruise.io"]
