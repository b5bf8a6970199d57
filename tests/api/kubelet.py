# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plays the kubelet of a node: pods bound to it run at once, and end at once when they are to. And a scheduler that knows nothing but cordons."""

from __future__ import annotations

import datetime
import threading
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError

NODE = "local"
INTERVAL = 0.1

R = t.TypeVar("R", bound="Repeated")


def now_text() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def app_of(pod: dict[str, t.Any]) -> str:
    return pod["metadata"].get("labels", {}).get("app", "")


class Repeated:
    """Does the same again and again while it is entered."""

    def __init__(self, kubeconfig: str) -> None:
        self.api = Api.from_kubeconfig(kubeconfig, agent="hardway-tests-kubelet")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self: R) -> R:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(INTERVAL):
            self._once()

    def _once(self) -> None:
        raise NotImplementedError


class Scheduler(Repeated):
    """Binds pods to the first of *nodes* that is not cordoned."""

    def __init__(self, kubeconfig: str, nodes: t.Sequence[str]) -> None:
        super().__init__(kubeconfig)
        self._nodes = nodes

    def _once(self) -> None:
        pods = self.api.items("/api/v1/pods", {"fieldSelector": "spec.nodeName="})
        node = next(
            (name for name in self._nodes if not self.api.get(f"/api/v1/nodes/{name}")["spec"].get("unschedulable")),
            None,
        )
        for pod in pods if node else []:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
            try:
                self.api.create(f"/api/v1/namespaces/{namespace}/pods/{name}/binding", body)
            except ApiError as error:
                if error.status not in (403, 404, 409):
                    raise


class Kubelet(Repeated):
    """Runs the pods of a node. Of apps among *broken* the image cannot be pulled."""

    def __init__(self, kubeconfig: str, node: str = NODE) -> None:
        super().__init__(kubeconfig)
        self.node = node
        self.broken: set[str] = set()
        self.most_restarting = 0

    def __enter__(self) -> Kubelet:
        self.api.create("/api/v1/nodes", {"metadata": {"name": self.node}})
        return super().__enter__()

    def __exit__(self, *unused: object) -> None:
        super().__exit__()
        self.api.delete(f"/api/v1/nodes/{self.node}")

    def _once(self) -> None:
        pods = self.api.items("/api/v1/pods", {"fieldSelector": f"spec.nodeName={self.node}"})
        owners = {app_of(pod) for pod in pods if pod.get("status", {}).get("phase") == "Pending"}
        self.most_restarting = max(self.most_restarting, len(owners))
        for pod in pods:
            self._sync(pod)

    def _sync(self, pod: dict[str, t.Any]) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        try:
            if pod["metadata"].get("deletionTimestamp"):
                self.api.delete(path, {"gracePeriodSeconds": 0})
            elif pod["status"].get("phase") == "Pending":
                self.api.patch(f"{path}/status", {"status": self._status(pod)})
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    def _status(self, pod: dict[str, t.Any]) -> dict[str, t.Any]:
        container = pod["spec"]["containers"][0]
        since, broken = now_text(), app_of(pod) in self.broken
        state = (
            {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
            if broken
            else {"running": {"startedAt": since}}
        )
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": not broken,
            "restartCount": 0,
            "state": state,
        }
        ready = "False" if broken else "True"
        return {
            "phase": "Pending" if broken else "Running",
            "startTime": since,
            "podIP": "10.244.0.1",
            "conditions": [
                {"type": kind, "status": ready, "lastTransitionTime": since} for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [status],
        }
