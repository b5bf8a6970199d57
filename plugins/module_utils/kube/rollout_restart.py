# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts the workloads whose pods hold a CA or a token of the API from before a time.

A kubelet renews what it mounts into a pod, but many programs read the CA only when they start.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, retry
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import condition, is_ready, pod_cause

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
FIELD_MANAGER = "hardway-restart"
ROOT_CA = "kube-root-ca.crt"
PLURALS = {
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "StatefulSet": "statefulsets",
    "ReplicaSet": "replicasets",
}
ROLLED = ("Deployment", "DaemonSet", "StatefulSet")
OWN_GROUPS = ("", "apps", "batch")
INTERVAL = 0.5
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
MOST_CAUSES = 3

Object = t.Mapping[str, t.Any]


class RestartError(HardwayError):
    """An option that cannot be right, or a rollout that did not end: names it, what is missing, and how to fix it."""


@dataclasses.dataclass
class Workload:
    """What owns pods that started too early."""

    kind: str
    namespace: str
    name: str
    pods: list[Object] = dataclasses.field(default_factory=list)
    object: Object = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.kind else "no owner"

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/{PLURALS[self.kind]}/{self.name}"

    def report(self, reason: str = "") -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "pods": sorted(pod["metadata"]["name"] for pod in self.pods),
            **({"reason": reason} if reason else {}),
        }


@dataclasses.dataclass
class Findings:
    """Workloads to restart, those whose rollout only has to end, and those that stay as they are, each with its reason."""

    due: list[Workload] = dataclasses.field(default_factory=list)
    rolling: list[Workload] = dataclasses.field(default_factory=list)
    left: list[tuple[Workload, str]] = dataclasses.field(default_factory=list)


def read_time(text: str) -> datetime.datetime | None:
    """A time of RFC 3339; None for anything else."""
    try:
        found = datetime.datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    return found.astimezone(datetime.timezone.utc) if found.tzinfo and "T" in text.upper() else None


def read_started_before(text: str, now: datetime.datetime) -> datetime.datetime:
    """The option's time, at the next full second: the API has no fractions of seconds."""
    found = read_time(text)
    if found is None:
        raise RestartError(
            f"started_before: {text!r} is not a time of RFC 3339 with its zone. Fix: give one such as 2026-11-21T10:30:00Z"
        )
    if found > now:
        raise RestartError(
            f"started_before: {text} lies in the future (it is {now.strftime(TIME_FORMAT)}), when no restarted pod would be new enough. "
            "Fix: give a time in the past, and compare the clocks"
        )
    return found if not found.microsecond else found.replace(microsecond=0) + datetime.timedelta(seconds=1)


def holds_credentials(pod: Object) -> bool:
    """Whether a pod mounts the API's CA or a token of its service account."""
    for volume in pod["spec"].get("volumes") or []:
        sources = (volume.get("projected") or {}).get("sources") or []
        named = [volume.get("configMap") or {}, *(source.get("configMap") or {} for source in sources)]
        if any("serviceAccountToken" in source for source in sources) or any(
            item.get("name") == ROOT_CA for item in named
        ):
            return True
    return False


def started(pod: Object) -> datetime.datetime:
    text = pod.get("status", {}).get("startTime") or pod["metadata"]["creationTimestamp"]
    return read_time(text) or datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)


def is_old(pod: Object, before: datetime.datetime) -> bool:
    """Whether a pod runs, stays, and has held what it mounts since before that time."""
    if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") != "Running":
        return False
    return holds_credentials(pod) and started(pod) < before


def controller(item: Object) -> tuple[str, str]:
    """Kind and name of what owns an object; empty texts when nothing does. A kind of a foreign group has the group behind it."""
    for owner in item["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            return owner["kind"] + (f".{group}" if group not in OWN_GROUPS else ""), str(owner["name"])
    return "", ""


def restarted_at(workload: Object) -> datetime.datetime | None:
    annotations = workload["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return read_time(annotations.get(RESTARTED_AT, ""))


def lacking(workload: Object, kind: str) -> str:
    """What is missing of a rollout, by kubectl's rules (C(rollout status)); an empty text when it is complete."""
    status, wanted = workload.get("status", {}), workload["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return "no kube-controller-manager has seen its change yet"
    if kind == "DaemonSet":
        return _lacking_daemon_set(status)
    updated = status.get("updatedReplicas", 0)
    if kind == "StatefulSet":
        wanted = max(0, wanted - partition(workload))
        if updated < wanted:
            return f"{updated} of {wanted} pods are new"
        ready = status.get("readyReplicas", 0)
        return (
            f"{ready} of {workload['spec'].get('replicas', 1)} pods are ready"
            if ready < workload["spec"].get("replicas", 1)
            else ""
        )
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old pods still run"
    available = status.get("availableReplicas", 0)
    return f"{available} of {updated} new pods are available" if available < updated else ""


def _lacking_daemon_set(status: Object) -> str:
    wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    available = status.get("numberAvailable", 0)
    return f"{available} of {wanted} new pods are available" if available < wanted else ""


def partition(workload: Object) -> int:
    """The ordinal below which a StatefulSet's pods stay as they are."""
    return int(((workload["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0)


def reason_to_leave(workload: Workload) -> str:
    """Why a change of its template would not replace the workload's pods; an empty text when it would."""
    if not workload.kind:
        return "nothing owns it; delete it and create it again"
    if workload.kind in ("Job", "CronJob"):
        return "a Job's pods run to their end; those that start later hold what is new"
    if workload.kind == "ReplicaSet":
        return "no Deployment owns it; delete its pods one after the other"
    if workload.kind not in ROLLED:
        return f"how to restart a {workload.kind} is its own controller's matter"
    spec = workload.object["spec"]
    if spec.get("paused"):
        return (
            f"it is paused; kubectl -n {workload.namespace} rollout resume deployment/{workload.name}, then run again"
        )
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        return "its update strategy is OnDelete; delete its pods one after the other"
    kept = partition(workload.object)
    if kept and all(ordinal(pod) < kept for pod in workload.pods):
        return f"its partition keeps pods below number {kept} as they are; delete them one after the other"
    return ""


def ordinal(pod: Object) -> int:
    number = pod["metadata"]["name"].rpartition("-")[2]
    return int(number) if number.isdigit() else 0


class Restarter:
    """Finds and restarts workloads. *timeout* is for each rollout, in seconds."""

    def __init__(
        self, api: Api, before: datetime.datetime, timeout: float, namespaces: t.Sequence[str] | None = None
    ) -> None:
        self.api = api
        self.before = before
        self.timeout = timeout
        self.namespaces = namespaces
        self.restarted: list[Workload] = []

    def find(self) -> Findings:
        """Everything that holds something too old. Raises RestartError for a namespace that does not exist."""
        workloads: dict[tuple[str, str, str], Workload] = {}
        owners: dict[tuple[str, str, str], tuple[str, str]] = {}
        for pod in self._pods():
            namespace = pod["metadata"]["namespace"]
            kind, name = controller(pod)
            if kind == "ReplicaSet":
                key = (kind, namespace, name)
                if key not in owners:
                    owners[key] = self._owner_of_replica_set(namespace, name)
                kind, name = owners[key]
            workloads.setdefault((namespace, kind, name), Workload(kind, namespace, name)).pods.append(pod)
        findings = Findings()
        for _unused, workload in sorted(workloads.items()):
            self._sort(workload, findings)
        return findings

    def _pods(self) -> list[Object]:
        if self.namespaces is None:
            paths = ["/api/v1/pods"]
        else:
            paths = [f"/api/v1/namespaces/{namespace}/pods" for namespace in dict.fromkeys(self.namespaces)]
            for namespace in self.namespaces:
                if self.api.find(f"/api/v1/namespaces/{namespace}") is None:
                    raise RestartError(
                        f"namespaces: there is no namespace {namespace!r}. Fix: correct its name, or leave it out"
                    )
        query = {"fieldSelector": "status.phase=Running"}
        return [pod for path in paths for pod in self._items(path, query) if is_old(pod, self.before)]

    def _items(self, path: str, query: dict[str, str]) -> list[dict[str, t.Any]]:
        return retry(lambda: self.api.items(path, query), self.timeout)

    def _find(self, path: str) -> dict[str, t.Any] | None:
        return retry(lambda: self.api.find(path), self.timeout)

    def _owner_of_replica_set(self, namespace: str, name: str) -> tuple[str, str]:
        found = self._find(Workload("ReplicaSet", namespace, name).path)
        owner = controller(found) if found else ("", "")
        return owner if owner[0] else ("ReplicaSet", name)

    def _sort(self, workload: Workload, findings: Findings) -> None:
        if workload.kind in ROLLED:
            found = self._find(workload.path)
            if found is None:
                return  # it is being deleted, and its pods with it
            workload.object = found
        reason = reason_to_leave(workload)
        since = None if reason else restarted_at(workload.object)
        if reason:
            findings.left.append((workload, reason))
        elif since is None or since < self.before:
            findings.due.append(workload)
        elif lacking(workload.object, workload.kind):
            findings.rolling.append(workload)
        else:
            began = max(started(pod) for pod in workload.pods).strftime(TIME_FORMAT)
            reason = f"it was restarted at {since.strftime(TIME_FORMAT)}, yet these pods say {began}; compare the clocks of their nodes with this one"
            findings.left.append((workload, reason))

    def restart(self, findings: Findings) -> None:
        """Restart one workload after the other. Raises RestartError for the first whose rollout does not end in time."""
        # an annotation of the same second as *before* would look too old
        time.sleep(max(0.0, (self.before - datetime.datetime.now(datetime.timezone.utc)).total_seconds()))
        for workload in findings.rolling:
            self._wait(workload)
        for workload in findings.due:
            now = datetime.datetime.now(datetime.timezone.utc).strftime(TIME_FORMAT)
            body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}
            try:
                retry(functools.partial(self.api.patch, workload.path, body, FIELD_MANAGER), self.timeout)
            except ApiError as error:
                if error.status == 404:
                    continue
                raise
            self.restarted.append(workload)
            self._wait(workload)

    def _wait(self, workload: Workload) -> None:
        end = time.monotonic() + self.timeout
        while True:
            found = self._find(workload.path)
            lack = lacking(found, workload.kind) if found else ""
            if not lack:
                return
            progressing = condition(found or {}, "Progressing")
            if progressing.get("reason") == "ProgressDeadlineExceeded" or time.monotonic() >= end:
                break
            time.sleep(INTERVAL)
        causes = "; ".join(self._causes(workload, found or {}))
        resource = f"{workload.kind.lower()}/{workload.name}"
        raise RestartError(
            f"{workload.title} was restarted, but its rollout did not end within {self.timeout:g} s: {lack}{f' ({causes})' if causes else ''}. "
            f"Fix: see the cause with kubectl -n {workload.namespace} rollout status {resource}, correct it, and run again to continue from here"
        )

    def _causes(self, workload: Workload, found: Object) -> list[str]:
        """Why pods of the workload are not ready."""
        labels = found.get("spec", {}).get("selector", {}).get("matchLabels") or {}
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in sorted(labels.items()))}
        pods = self._items(f"/api/v1/namespaces/{workload.namespace}/pods", query) if labels else []
        waiting = [pod for pod in pods if not is_ready(pod)]
        return [f"{pod['metadata']['name']}: {pod_cause(pod)}" for pod in waiting[:MOST_CAUSES]]
