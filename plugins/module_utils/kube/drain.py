# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining a node by evictions, and uncordoning it.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ and kubectl's own rules for what a drain skips
(k8s.io/kubectl/pkg/drain, filters.go).
"""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, retry
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import condition, is_ready

# On a node that was drained here: only such a node is uncordoned, not one that somebody else has cordoned.
ANNOTATION = "hardway.kubernetes/drained"
MIRROR = "kubernetes.io/config.mirror"
FINISHED = ("Succeeded", "Failed")
# An eviction of a pod that several budgets select is answered with 500 and these words, which does not pass as other errors of the server do.
SEVERAL_BUDGETS = "more than one PodDisruptionBudget"
PAUSE = 0.5
# Seconds for budgets that are used up for a moment, by a rollout for example, before the node is touched.
PATIENCE = 20.0


class DrainRefused(HardwayError):
    """The node cannot be drained, or not be uncordoned, for each of these reasons."""

    def __init__(self, problems: t.Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod to evict; *uid* distinguishes it from a later one of the same name."""

    namespace: str
    name: str
    uid: str

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"


def causes(error: ApiError, kind: str) -> list[str]:
    """What the API says of those of an error's causes that are of one kind."""
    try:
        found = json.loads(error.body)["details"]["causes"]
    except (ValueError, KeyError, TypeError):
        return []
    return [cause.get("message", "") for cause in found if cause.get("reason") == kind]


@dataclasses.dataclass
class Outcome:
    """What was done, or would be in check mode. *before* and *after* are whether the node is schedulable."""

    changed: bool = False
    evicted: list[str] = dataclasses.field(default_factory=list)
    before: bool = True
    after: bool = True
    found: bool = True


class Drain:
    """One node, through one API."""

    def __init__(self, api: Api, node: str, timeout: float, check_mode: bool = False) -> None:
        self.api = api
        self.node = node
        self.timeout = timeout
        self.check_mode = check_mode
        self.schedulable = True
        self._evictions = ""

    def drain(self, delete_unmanaged_pods: bool = False) -> Outcome:
        """Cordon the node and evict its pods. Where that is refused, a cordon of ours is removed, and DrainRefused or ApiError raised."""
        node = self._node()
        if node is None:
            return Outcome(found=False)
        ours = ANNOTATION in (node["metadata"].get("annotations") or {})
        before = self.schedulable
        try:
            pods = self._to_evict(delete_unmanaged_pods)
            outcome = Outcome(
                changed=before or bool(pods),
                evicted=sorted(pod.label for pod in pods),
                before=before,
                after=False,
            )
            self._check_evictions(pods)
            if self.check_mode or not outcome.changed:
                return outcome
            if before:
                ours = True
                self._cordon()
                # again: others may have come before the cordon
                pods = self._to_evict(delete_unmanaged_pods)
                outcome.evicted = sorted(pod.label for pod in pods)
            self._evict(pods)
        except (DrainRefused, ApiError):
            if ours and not self.check_mode:
                self._uncordon()
            raise
        return outcome

    def uncordon(self) -> Outcome:
        """Uncordon a node that `drain` has cordoned; one that somebody else has cordoned stays so."""
        node = self._node()
        if node is None:
            return Outcome(found=False)
        ours = ANNOTATION in (node["metadata"].get("annotations") or {})
        before = self.schedulable
        if ours and not self.check_mode:
            self._wait_until_ready(node)
            self._uncordon()
        return Outcome(changed=ours, before=before, after=before or ours)

    def _wait_until_ready(self, node: dict[str, t.Any] | None) -> None:
        deadline = time.monotonic() + self.timeout
        while node is None or not is_ready(node):
            if time.monotonic() >= deadline:
                cause = condition(node or {}, "Ready").get("message") or "its kubelet has not reported"
                raise DrainRefused(
                    [
                        f"{self.node} is not Ready after {self.timeout:g} s: {cause}. Fix: check kubelet there, then run again"
                    ]
                )
            time.sleep(PAUSE)
            node = self._node()

    def _node(self) -> dict[str, t.Any] | None:
        node = retry(lambda: self.api.find(f"/api/v1/nodes/{self.node}"), self.timeout)
        self.schedulable = not (node or {}).get("spec", {}).get("unschedulable")
        return node

    def _cordon(self) -> None:
        self._set_cordon(True)

    def _uncordon(self) -> None:
        self._set_cordon(False)

    def _set_cordon(self, cordoned: bool) -> None:
        """Cordon and annotation in one request, so that an interrupted run leaves no cordon without an owner."""
        body = {
            "metadata": {"annotations": {ANNOTATION: "true" if cordoned else None}},
            "spec": {"unschedulable": cordoned or None},
        }
        retry(lambda: self.api.patch(f"/api/v1/nodes/{self.node}", body), self.timeout)
        self.schedulable = not cordoned

    def _to_evict(self, delete_unmanaged_pods: bool) -> list[Pod]:
        items = retry(
            lambda: self.api.items("/api/v1/pods", {"fieldSelector": f"spec.nodeName={self.node}"}), self.timeout
        )
        pods, alone = [], []
        for item in items:
            metadata = item["metadata"]
            controller = next(
                (owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None
            )
            if MIRROR in (metadata.get("annotations") or {}) or (controller and controller["kind"] == "DaemonSet"):
                continue
            pod = Pod(metadata["namespace"], metadata["name"], metadata["uid"])
            over = item.get("status", {}).get("phase") in FINISHED or metadata.get("deletionTimestamp")
            if not controller and not over and not delete_unmanaged_pods:
                alone.append(pod.label)
            pods.append(pod)
        if alone:
            reason = (
                "belongs to no controller, so nothing would start it elsewhere. "
                "Fix: delete it, or accept its loss (delete_unmanaged_pods)"
            )
            raise DrainRefused([f"{name} on {self.node} {reason}" for name in sorted(alone)])
        return pods

    def _check_evictions(self, pods: t.Sequence[Pod]) -> None:
        """Whether each could be evicted now, by evictions that are dry runs."""
        deadline = time.monotonic() + min(PATIENCE, self.timeout)
        while True:
            refusals = [reason for reason in (self._eviction(pod, dry_run=True) for pod in pods) if reason]
            if not refusals:
                return
            if time.monotonic() >= deadline:
                raise DrainRefused(refusals)
            time.sleep(PAUSE)

    def _evict(self, pods: t.Sequence[Pod]) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            reasons = {pod: reason for pod, reason in ((pod, self._evict_one(pod)) for pod in pods) if reason}
            if not reasons:
                return
            if time.monotonic() >= deadline:
                raise DrainRefused(list(reasons.values()))
            time.sleep(PAUSE)
            pods = list(reasons)

    def _evict_one(self, pod: Pod) -> str:
        """Evict a pod that is not terminating yet. Returns why it is still there; empty where it is gone."""
        found = retry(lambda: self.api.find(pod.path), self.timeout)
        if found is None or found["metadata"]["uid"] != pod.uid:
            return ""
        refusal = "" if found["metadata"].get("deletionTimestamp") else self._eviction(pod, dry_run=False)
        return refusal or f"{pod.label} on {self.node} was evicted and has not ended after {self.timeout:g} s"

    def _eviction_version(self) -> str:
        """policy/v1, or what an API server before 1.22 calls it; it reports that itself."""
        if not self._evictions:
            resources = retry(lambda: self.api.get("/api/v1"), self.timeout).get("resources") or []
            found: dict[str, t.Any] = next((entry for entry in resources if entry.get("name") == "pods/eviction"), {})
            self._evictions = f"{found.get('group') or 'policy'}/{found.get('version') or 'v1'}"
        return self._evictions

    def _eviction(self, pod: Pod, dry_run: bool) -> str:
        """Why the pod must stay for now; empty where the eviction was accepted or the pod goes anyway."""
        body: dict[str, t.Any] = {
            "apiVersion": self._eviction_version(),
            "kind": "Eviction",
            "metadata": {"namespace": pod.namespace, "name": pod.name},
            "deleteOptions": {"preconditions": {"uid": pod.uid}, **({"dryRun": ["All"]} if dry_run else {})},
        }

        def once() -> str:
            try:
                self.api.create(f"{pod.path}/eviction", body)
            except ApiError as error:
                # 404, 409: gone, or another pod of its name by now
                if error.status in (404, 409) or causes(error, "NamespaceTerminating"):
                    return ""
                # as kubectl: a budget or a webhook that answers so wants a retry
                if error.status == 429 or SEVERAL_BUDGETS in error.message:
                    cause = "; ".join(causes(error, "DisruptionBudget")) or error.message
                    return f"{pod.label} on {self.node} cannot be evicted: {cause}"
                raise
            return ""

        return retry(once, self.timeout)
