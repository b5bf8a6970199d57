# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node is drained and uncordoned; what a real API answers to evictions is tested with one, in tests/api."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import drain as module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.drain import ANNOTATION, Drain, DrainRefused
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

Answer = tuple[int, t.Any, dict[str, str]]
BUDGET = {"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)


class Node:
    """One node and its pods; an eviction ends a pod unless *held*."""

    def __init__(self, *pods: str, owned: bool = True, held: bool = False, ready: str = "True") -> None:
        owners = [{"kind": "ReplicaSet", "controller": True}] if owned else []
        self.pods = {
            name: {"metadata": {"namespace": "default", "name": name, "uid": name, "ownerReferences": owners}}
            for name in pods
        }
        self.held = held
        self.node: dict[str, t.Any] = {
            "metadata": {"annotations": {}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": ready, "message": "it starts"}]},
        }
        self.evictions: list[bool] = []

    @property
    def cordon(self) -> tuple[bool, bool]:
        """Whether it is cordoned, and whether the annotation says that it was drained here."""
        return bool(self.node["spec"].get("unschedulable")), ANNOTATION in self.node["metadata"]["annotations"]

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> Answer:
        name = path.split("/")[6] if path.startswith("/api/v1/namespaces/") else ""
        if path == "/api/v1/nodes/node1" and method == "PATCH":
            self.node["spec"] = body["spec"]
            self.node["metadata"]["annotations"] = {
                key: value for key, value in body["metadata"]["annotations"].items() if value
            }
        if path == "/api/v1/nodes/node1":
            return 200, self.node, {}
        if path == "/api/v1":
            return 200, {"resources": [{"name": "pods/eviction", "group": "policy", "version": "v1"}]}, {}
        if path == "/api/v1/pods":
            return 200, {"items": list(self.pods.values())}, {}
        if path.endswith("/eviction"):
            dry_run = "dryRun" in body["deleteOptions"]
            self.evictions.append(dry_run)
            if self.held:
                return 429, json.dumps({"message": "no", "details": {"causes": [BUDGET]}}), {}
            if not dry_run:
                del self.pods[name]
            return 201, {}, {}
        return (200, self.pods[name], {}) if name in self.pods else (404, {}, {})

    def run(self, tmp_path: Path, act: t.Callable[[Drain], t.Any], check_mode: bool = False) -> t.Any:
        with FakeApi(tmp_path, self) as fake:
            return act(Drain(Api.from_kubeconfig(str(fake.kubeconfig)), "node1", 0.1, check_mode))


def test_a_node_is_cordoned_drained_and_uncordoned(tmp_path: Path) -> None:
    node = Node("web-1", "web-2")
    planned = node.run(tmp_path, lambda drain: drain.drain(), check_mode=True)
    assert node.cordon == (False, False) and node.evictions == [True, True]
    done = node.run(tmp_path, lambda drain: drain.drain())
    assert done == planned and done.evicted == ["default/web-1", "default/web-2"]
    assert (done.before, done.after, node.cordon, node.pods) == (True, False, (True, True), {})
    assert not node.run(tmp_path, lambda drain: drain.drain()).changed
    done = node.run(tmp_path, lambda drain: drain.uncordon())
    assert (done.changed, done.before, done.after, node.cordon) == (True, False, True, (False, False))
    assert not node.run(tmp_path, lambda drain: drain.uncordon()).changed


def test_a_node_that_somebody_else_cordoned_stays_so(tmp_path: Path) -> None:
    node = Node("web-1")
    node.node["spec"]["unschedulable"] = True
    assert node.run(tmp_path, lambda drain: drain.drain()).evicted == ["default/web-1"]
    assert not node.run(tmp_path, lambda drain: drain.uncordon()).changed
    assert node.cordon == (True, False)


def test_a_budget_refuses_before_the_node_is_cordoned(tmp_path: Path) -> None:
    node = Node("web-1", held=True)
    with pytest.raises(DrainRefused, match="default/web-1 on node1 cannot be evicted: The disruption budget web"):
        node.run(tmp_path, lambda drain: drain.drain())
    assert node.cordon == (False, False) and all(node.evictions)


def test_pods_without_a_controller_are_deleted_on_request_alone(tmp_path: Path) -> None:
    node = Node("bare", owned=False)
    with pytest.raises(DrainRefused, match=r"belongs to no controller.*Fix: .*delete_unmanaged_pods"):
        node.run(tmp_path, lambda drain: drain.drain())
    assert node.cordon == (False, False) and "bare" in node.pods
    assert node.run(tmp_path, lambda drain: drain.drain(delete_unmanaged_pods=True)).evicted == ["default/bare"]


def test_a_node_that_is_not_ready_stays_cordoned(tmp_path: Path) -> None:
    node = Node(ready="False")
    node.run(tmp_path, lambda drain: drain.drain())
    with pytest.raises(DrainRefused, match=r"node1 is not Ready after 0.1 s: it starts. Fix: "):
        node.run(tmp_path, lambda drain: drain.uncordon())
    assert node.cordon == (True, True)
