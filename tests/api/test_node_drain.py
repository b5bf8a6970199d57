# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes of a real API are drained and uncordoned, under budgets of the real controller; kubelets and the scheduler are played."""

from __future__ import annotations

import contextlib
import itertools
import json
import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.drain import (
    ANNOTATION,
    MIRROR,
    Drain,
    DrainRefused,
    Pod,
)
from ansible_collections.hardway.kubernetes.plugins.modules import node_drain
from ansible_collections.hardway.kubernetes.tests.api.cluster import Call, Cluster, eventually
from ansible_collections.hardway.kubernetes.tests.api.kubelet import Kubelet, Scheduler

OLD, OTHER = "drain-a", "drain-b"
NODE = f"/api/v1/nodes/{OLD}"
numbers = itertools.count()


class Place:
    """A namespace of one test."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.api = cluster.api
        self.name = name
        self.path = f"/api/v1/namespaces/{name}"

    def pods(self) -> dict[str, dict[str, t.Any]]:
        return {pod["metadata"]["name"]: pod for pod in self.api.items(f"{self.path}/pods")}

    def on(self, node: str) -> list[str]:
        """The names of a node's pods that are Ready or at their end."""
        found = {name: pod["status"] for name, pod in self.pods().items() if pod["spec"].get("nodeName") == node}
        return sorted(name for name, status in found.items() if status["phase"] != "Pending")

    def labels(self, names: t.Iterable[str]) -> list[str]:
        return sorted(f"{self.name}/{name}" for name in names)

    def pod(self, name: str, **metadata: t.Any) -> None:
        """A pod of nobody, on the node."""
        self.api.create(f"{self.path}/pods", {"metadata": {"name": name, **metadata}, "spec": spec(nodeName=OLD)})
        eventually(lambda: name in self.on(OLD))

    def workload(self, kind: str, name: str, pods: int, nodename: str | None = None, **more: t.Any) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": spec(**({"nodeName": nodename} if nodename else {}))}
        body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template, **more}}
        self.api.create(f"/apis/apps/v1/namespaces/{self.name}/{kind}", body)
        eventually(lambda: len([pod for pod in self.on(OLD) if pod.startswith(f"{name}-")]) == pods)

    def budget(self, name: str, app: str, available: int) -> None:
        path = f"/apis/policy/v1/namespaces/{self.name}/poddisruptionbudgets"
        self.api.create(
            path,
            {
                "metadata": {"name": name},
                "spec": {"minAvailable": available, "selector": {"matchLabels": {"app": app}}},
            },
        )
        eventually(lambda: self.api.get(f"{path}/{name}")["status"].get("currentHealthy", 0) >= available)

    def release(self, name: str) -> None:
        self.api.patch(f"{self.path}/pods/{name}", {"metadata": {"finalizers": None}})


def spec(**more: t.Any) -> dict[str, t.Any]:
    image = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    return {"terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}], "containers": [image], **more}


def cordon(cluster: Cluster, ours: bool = False) -> None:
    cluster.api.patch(
        NODE, {"metadata": {"annotations": {ANNOTATION: "true" if ours else None}}, "spec": {"unschedulable": True}}
    )


def cordoned(cluster: Cluster) -> tuple[bool, bool]:
    """Whether the node is, and whether it is said to be by the module."""
    node = cluster.api.get(NODE)
    return bool(node["spec"].get("unschedulable")), ANNOTATION in node["metadata"].get("annotations", {})


@pytest.fixture(name="nodes", scope="module")
def nodes_fixture(cluster: Cluster) -> t.Iterator[None]:
    """Two nodes; pods go to the first while it is not cordoned."""
    with (
        Kubelet(cluster.kubeconfig, OLD),
        Kubelet(cluster.kubeconfig, OTHER),
        Scheduler(cluster.kubeconfig, [OLD, OTHER]),
    ):
        yield


@pytest.fixture(name="place")
def place_fixture(cluster: Cluster, nodes: None) -> t.Iterator[Place]:
    place = Place(cluster, f"drained-{next(numbers)}")
    set_ready(cluster, "True")
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": place.name}})
    eventually(lambda: cluster.api.find(f"{place.path}/serviceaccounts/default"))
    yield place
    cluster.api.delete(place.path)
    for name in place.pods():
        with contextlib.suppress(ApiError):
            place.release(name)
    eventually(lambda: cluster.api.delete(f"{place.path}/pods", {"gracePeriodSeconds": 0}) and not place.pods())
    cluster.api.patch(NODE, {"metadata": {"annotations": {ANNOTATION: None}}, "spec": {"unschedulable": None}})


def set_ready(cluster: Cluster, status: str) -> None:
    cluster.api.patch(
        f"{NODE}/status", {"status": {"conditions": [{"type": "Ready", "status": status, "message": "it starts"}]}}
    )


@pytest.fixture(name="drain")
def drain_fixture(cluster: Cluster, call: Call, place: Place) -> Call:
    return lambda **arguments: call(
        node_drain, **{"kubeconfig": cluster.kubeconfig, "name": OLD, "timeout": 30, **arguments}
    )


@pytest.fixture(name="answers")
def answers_fixture(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, str]]:
    """What evictions are answered: whether each is a dry run, and why it is refused."""
    seen: list[tuple[bool, str]] = []
    ask = Drain._eviction

    def spy(self: Drain, pod: Pod, dry_run: bool) -> str:
        seen.append((dry_run, ask(self, pod, dry_run)))
        return seen[-1][1]

    monkeypatch.setattr(Drain, "_eviction", spy)
    return seen


def test_a_node_is_emptied_and_given_back(cluster: Cluster, place: Place, drain: Call) -> None:
    place.workload("daemonsets", "agent", 1, nodename=OLD)
    place.pod("static", annotations={MIRROR: "1"})
    place.pod("finished")
    cluster.api.patch(f"{place.path}/pods/finished/status", {"status": {"phase": "Succeeded"}})
    place.workload("deployments", "web", 2, replicas=2)
    before, node = place.pods(), cluster.api.get(NODE)
    leaving = sorted(name for name in before if name.startswith("web-") or name == "finished")

    planned = drain(check=True)
    assert (planned["changed"], planned["evicted"]) == (True, place.labels(leaving)), planned
    assert (place.pods(), cluster.api.get(NODE)) == (before, node)

    done = drain()
    assert (done["changed"], done["evicted"], done["diff"]) == (True, planned["evicted"], planned["diff"])
    assert (done["diff"]["before"], done["diff"]["after"]) == (
        "schedulable\n" + "".join(f"{pod}\n" for pod in done["evicted"]),
        "cordoned\n",
    )
    assert cordoned(cluster) == (True, True)
    assert {name: before[name]["metadata"]["uid"] for name in before if name not in leaving} == {
        name: pod["metadata"]["uid"] for name, pod in place.pods().items() if pod["spec"].get("nodeName") == OLD
    }
    eventually(lambda: len(place.on(OTHER)) == 2)
    again = drain()
    assert (again["changed"], again["evicted"], again["diff"]["before"]) == (False, [], again["diff"]["after"])

    node = cluster.api.get(NODE)
    planned = drain(check=True, state="uncordoned")
    assert (planned["changed"], cluster.api.get(NODE)) == (True, node)
    done = drain(state="uncordoned")
    assert (done["changed"], done["diff"]) == (True, planned["diff"])
    assert (done["diff"]["before"], done["diff"]["after"]) == ("cordoned\n", "schedulable\n")
    assert cordoned(cluster) == (False, False)
    assert not drain(state="uncordoned")["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_budget_that_is_used_up_refuses_before_anything_is_changed(
    cluster: Cluster, place: Place, drain: Call, check: bool
) -> None:
    place.workload("deployments", "web", 2, replicas=2)
    place.workload("deployments", "free", 1)
    place.budget("strict", "web", 2)
    before, node = place.pods(), cluster.api.get(NODE)
    result = drain(check=check, timeout=1)
    assert result["failed"]
    reason = "cannot be evicted: The disruption budget strict needs 2 healthy pods and has 2 currently"
    assert sorted(result["problems"]) == [
        f"{pod} on {OLD} {reason}" for pod in place.labels(name for name in before if name.startswith("web"))
    ]
    assert result["msg"].startswith(f"{OLD} was not drained, and is schedulable:\n{place.name}/web-")
    assert (place.pods(), cluster.api.get(NODE)) == (before, node)


def test_two_budgets_for_a_pod_are_told(cluster: Cluster, place: Place, drain: Call) -> None:
    place.workload("deployments", "web", 1)
    place.budget("one", "web", 0)
    place.budget("two", "web", 0)
    result = drain(timeout=1)
    assert "cannot be evicted: This pod has more than one PodDisruptionBudget" in result["msg"]
    assert cordoned(cluster) == (False, False)


def test_a_budget_for_one_at_a_time_is_waited_for(place: Place, drain: Call, answers: list[tuple[bool, str]]) -> None:
    place.workload("deployments", "web", 2, replicas=2)
    place.budget("one-by-one", "web", 1)
    before = place.on(OLD)
    result = drain()
    assert result.get("evicted") == place.labels(before), result
    assert [reason for dry_run, reason in answers if dry_run] == ["", ""]
    assert [
        reason
        for dry_run, reason in answers
        if not dry_run and "The disruption budget one-by-one needs 1 healthy pods and has" in reason
    ]
    assert place.on(OLD) == []


def test_a_pod_of_nobody_is_a_reason_to_refuse(cluster: Cluster, place: Place, drain: Call) -> None:
    place.pod("bare")
    before, node = place.pods(), cluster.api.get(NODE)
    result = drain()
    assert [problem.partition(". Fix: ")[0] for problem in result["problems"]] == [
        f"{place.name}/bare on {OLD} belongs to no controller, so nothing would start it elsewhere"
    ]
    assert (place.pods(), cluster.api.get(NODE)) == (before, node)
    assert drain(delete_unmanaged_pods=True)["evicted"] == place.labels(["bare"])
    assert place.pods() == {}


@pytest.mark.parametrize(
    ("by", "kept"), [("nobody", (False, False)), ("us", (False, False)), ("operator", (True, False))]
)
def test_a_pod_that_does_not_end_gives_the_node_back(
    cluster: Cluster, place: Place, drain: Call, answers: list[tuple[bool, str]], by: str, kept: tuple[bool, bool]
) -> None:
    place.pod("stuck", finalizers=["hardway.kubernetes/test"])
    if by != "nobody":
        cordon(cluster, ours=by == "us")
    result = drain(delete_unmanaged_pods=True, timeout=1)
    assert result["problems"] == [f"{place.name}/stuck on {OLD} was evicted and has not ended after 1 s"], result
    assert result["msg"].startswith(f"{OLD} was not drained, and is {'cordoned' if kept[0] else 'schedulable'}:\n")
    assert cordoned(cluster) == kept
    # the eviction is not repeated
    assert answers == [(True, ""), (False, "")]
    place.release("stuck")
    assert "failed" not in drain()


def test_a_pod_of_nobody_that_ends_anyway_is_no_reason_to_refuse(cluster: Cluster, place: Place, drain: Call) -> None:
    place.pod("stuck", finalizers=["hardway.kubernetes/test"])
    cluster.api.delete(f"{place.path}/pods/stuck")
    assert "stuck" in drain(check=True)["evicted"][0]


def test_a_namespace_that_ends_is_waited_for(cluster: Cluster, place: Place, drain: Call) -> None:
    place.pod("stuck", finalizers=["hardway.kubernetes/test"])
    cluster.api.delete(place.path)
    eventually(lambda: place.pods()["stuck"]["metadata"].get("deletionTimestamp"))
    assert drain(timeout=1)["problems"] == [f"{place.name}/stuck on {OLD} was evicted and has not ended after 1 s"]


def test_the_cordon_of_an_operator_stays(cluster: Cluster, place: Place, drain: Call) -> None:
    place.workload("deployments", "web", 1)
    cordon(cluster)
    result = drain()
    assert (result["changed"], len(result["evicted"]), result["diff"]["before"].splitlines()[0]) == (
        True,
        1,
        "cordoned",
    )
    assert cordoned(cluster) == (True, False)
    assert not drain(state="uncordoned")["changed"]
    assert cordoned(cluster) == (True, False)


def test_a_run_that_was_killed_after_the_cordon_is_finished(cluster: Cluster, place: Place, drain: Call) -> None:
    place.workload("deployments", "web", 2, replicas=2)
    cordon(cluster, ours=True)
    assert len(drain()["evicted"]) == 2
    assert place.on(OLD) == []
    assert drain(state="uncordoned")["changed"]
    assert cordoned(cluster) == (False, False)


def test_a_killed_run_that_is_refused_later_gives_the_node_back(cluster: Cluster, place: Place, drain: Call) -> None:
    place.workload("deployments", "web", 1)
    place.budget("strict", "web", 1)
    cordon(cluster, ours=True)
    assert drain(check=True, timeout=1)["msg"].startswith(f"{OLD} was not drained, and is cordoned")
    assert cordoned(cluster) == (True, True)
    assert drain(timeout=1)["msg"].startswith(f"{OLD} was not drained, and is schedulable:")
    assert cordoned(cluster) == (False, False)


def test_an_error_between_evictions_gives_the_node_back(
    cluster: Cluster, place: Place, drain: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.workload("deployments", "web", 1)

    def forbidden(self: Drain, pod: Pod, dry_run: bool) -> str:
        if not dry_run:
            assert cordoned(cluster) == (True, True)
            raise ApiError("POST", "server", 403, "a webhook does not like it")
        return ""

    monkeypatch.setattr(Drain, "_eviction", forbidden)
    assert "a webhook does not like it" in drain()["msg"]
    assert cordoned(cluster) == (False, False)


def test_pods_that_come_before_the_cordon_leave_too(place: Place, drain: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    cordon = Drain._set_cordon

    def slow(self: Drain, cordoned: bool) -> None:
        place.pod("late")
        cordon(self, cordoned)

    monkeypatch.setattr(Drain, "_set_cordon", slow)
    assert drain(delete_unmanaged_pods=True)["evicted"] == place.labels(["late"])
    assert place.pods() == {}


def test_a_pod_of_the_same_name_is_another_one(place: Place, drain: Call) -> None:
    place.workload("statefulsets", "db", 1, nodename=OLD, serviceName="db")
    before = place.pods()["db-0"]["metadata"]["uid"]
    assert drain()["evicted"] == place.labels(["db-0"])
    eventually(lambda: place.pods()["db-0"]["metadata"]["uid"] != before)


def test_an_api_that_is_away_for_moments_is_waited_for(
    place: Place, drain: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.workload("deployments", "web", 2, replicas=2)
    exchange, count = Api._exchange, itertools.count()

    def every_other(self: Api, method: str, path: str, *rest: t.Any) -> tuple[int, str]:
        if "hardway-node-drain" in self._headers["User-Agent"] and next(count) % 2 == 0:
            raise ApiUnreachable("no answer")
        return exchange(self, method, path, *rest)

    monkeypatch.setattr(Api, "_exchange", every_other)
    assert len(drain().get("evicted", [])) == 2
    assert drain(state="uncordoned")["changed"]
    assert next(count) > 16


def test_a_node_that_is_not_ready_is_not_given_back(cluster: Cluster, place: Place, drain: Call) -> None:
    set_ready(cluster, "False")
    cordon(cluster, ours=True)
    result = drain(state="uncordoned", timeout=1)
    assert (
        result["msg"]
        == f"{OLD} was not uncordoned, and is cordoned:\n{OLD} is not Ready after 1 s: it starts. Fix: check kubelet there, then run again"
    )
    assert cordoned(cluster) == (True, True)


@pytest.mark.parametrize("state", ["drained", "uncordoned"])
def test_an_unknown_node_is_left_alone(drain: Call, state: str) -> None:
    result = drain(name="nowhere", state=state)
    assert (result["changed"], result["found"], result["evicted"]) == (False, False, [])


@pytest.mark.parametrize(
    ("status", "causes", "expected"),
    [
        (404, None, ""),
        (409, None, ""),
        (429, None, "default/web on drain-a cannot be evicted: words"),
        (
            429,
            {"reason": "DisruptionBudget", "message": "the budget"},
            "default/web on drain-a cannot be evicted: the budget",
        ),
        (403, {"reason": "NamespaceTerminating", "message": "it ends"}, ""),
        (403, None, None),
        (503, None, None),
    ],
)
def test_answers_of_the_api(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, status: int, causes: dict[str, str] | None, expected: str | None
) -> None:
    drain = Drain(cluster.api, OLD, 0)
    body = json.dumps({"message": "words", "details": {"causes": [causes]} if causes else {}})

    def answer(self: Api, path: str, body_: t.Any) -> t.NoReturn:
        raise ApiError(f"POST {path}", "server", status, body)

    monkeypatch.setattr(Api, "create", answer)
    if expected is None:
        with pytest.raises(ApiError):
            drain._eviction(Pod("default", "web", "1"), dry_run=False)
    else:
        assert drain._eviction(Pod("default", "web", "1"), dry_run=False) == expected


def test_a_conflict_with_a_pod_that_stays_is_asked_again(
    place: Place, cluster: Cluster, answers: list[tuple[bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.pod("bare")
    create, conflicts = Api.create, iter([True])

    def conflict(self: Api, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        if path.endswith("/eviction") and "dryRun" not in body["deleteOptions"] and next(conflicts, False):
            raise ApiError(f"POST {path}", "server", 409, "the object has been modified")
        return create(self, path, body)

    monkeypatch.setattr(Api, "create", conflict)
    try:
        Drain(cluster.api, OLD, 10).drain(delete_unmanaged_pods=True)
    except DrainRefused as error:
        pytest.fail(str(error))
    assert [dry_run for dry_run, _nothing in answers] == [True, False, False]
