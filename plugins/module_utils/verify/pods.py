# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks with pods of their own, which ask each other.

The pods are agnhost's C(netexec), which asks another server on request (C(/dial)). The requests go through a port-forward, because an API
server on a machine that is not a node cannot reach pods, but reaches kubelets.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import is_ready, pod_cause
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import (
    INTERVAL,
    NAMESPACE,
    PORT,
    PROPAGATION,
    Check,
    Pod,
    Report,
    Settings,
    VerifyError,
    bracketed,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.objects import (
    RUN_LABEL,
    namespace_object,
    pod_node,
    web_objects,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.port_forward import (
    Tunnel,
    dial,
    execute,
    node_port_problem,
    retry,
)

# beyond this many nodes each pod asks its next ones in the list, not all
MOST_PEERS = 8
WORKERS = 4
NO_SOURCE = "no pod could be asked"
KUBELET_FIX = "check port 10250 of the node from the masters, and the RBAC of the API server's kubelet client (system:kubelet-api-admin)"

T = t.TypeVar("T")


class PodChecks:
    """A web server on each sampled node, and what can be asked of it; each check adds itself to *report*."""

    def __init__(self, api: Api, settings: Settings, report: Report) -> None:
        self.api = api
        self.settings = settings
        self.report = report
        self.run = secrets.token_hex(4)
        self.service: dict[str, t.Any] = {}

    def check(self) -> None:
        """Real pods, deleted at the end.

        Skipped where the API or the nodes are not well: the pods would fail after long waits, and say less.
        """
        if self.report.failed or not self.settings.nodes:
            skipped = "the checks above have to pass first" if self.report.failed else "no nodes are named"
            self.report.checks.append(Check("web pods", "", skipped=skipped))
            return
        try:
            pods = self._start()
            if pods:
                with ThreadPoolExecutor(min(WORKERS, len(pods))) as pool:
                    Connections(self.api, self.settings, self.report, pool, pods, self.service).check()
        finally:
            self._clean()

    def _start(self) -> list[Pod]:
        pods: list[Pod] = []
        fix = f"check kubectl -n {NAMESPACE} get events (while verify runs), journalctl -u kubelet and -u containerd there, and crictl images"
        with self.report.check("web pods", f"one runs on each of {self.settings.sampled_words}", fix) as check:
            self._wait_for_former_run()
            self.api.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace_object(self.run))
            for path, body in web_objects(self.run, self.settings.image, self.settings.sampled):
                self.service = self.api.apply(path, body)
            pods, problems = self._wait_for_pods()
            check.problems += problems
        return pods

    def _wait_for_former_run(self) -> None:
        end = time.monotonic() + self.settings.timeout
        while True:
            found = self.api.find(f"/api/v1/namespaces/{NAMESPACE}")
            if not found or not found["metadata"].get("deletionTimestamp"):
                return
            if time.monotonic() >= end:
                stuck = "; ".join(
                    entry.get("message", "")
                    for entry in found.get("status", {}).get("conditions") or []
                    if entry.get("status") == "True"
                )
                raise VerifyError(
                    f"the namespace {NAMESPACE} of an earlier run is still being deleted: {stuck or 'no cause given'}"
                )
            time.sleep(INTERVAL)

    def _wait_for_pods(self) -> tuple[list[Pod], list[str]]:
        end = time.monotonic() + self.settings.timeout
        while True:
            items = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods", {"labelSelector": f"{RUN_LABEL}={self.run}"})
            by_node = {pod_node(item): item for item in items}
            ready = {node: item for node, item in by_node.items() if is_ready(item)}
            missing = [node for node in self.settings.sampled if node not in ready]
            if not missing or time.monotonic() >= end:
                pods = [
                    Pod(item["metadata"]["name"], node, item["status"]["podIP"]) for node, item in sorted(ready.items())
                ]
                return pods, [
                    f"{node}: {pod_cause(by_node.get(node))}" for node in missing
                ] if items or not missing else [self._no_pods_cause()]
            time.sleep(INTERVAL)

    def _no_pods_cause(self) -> str:
        """Why not even one pod was created."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{self.service['metadata']['name']}"
        if "observedGeneration" not in self.api.get(path).get("status", {}):
            return (
                "no pod was created, because no kube-controller-manager has seen the DaemonSet. "
                "Fix: check journalctl -u kube-controller-manager on the masters"
            )
        events = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/events", {"fieldSelector": "type=Warning"})
        return "no pod was created: " + (
            "; ".join(sorted({event.get("message", "") for event in events})) or "no event names a cause"
        )

    def _clean(self) -> None:
        with contextlib.suppress(ApiError, ApiUnreachable):
            # the pods first: the namespace's own deletion would come back to them only after seconds
            for path, _unused in web_objects(self.run, "", []):
                self.api.delete(path, {"propagationPolicy": "Background"})
        with self.report.check("clean up", "", f"delete it with kubectl delete namespace {NAMESPACE}") as check:
            end = time.monotonic() + PROPAGATION
            while True:
                try:
                    self.api.delete(f"/api/v1/namespaces/{NAMESPACE}")
                    break
                except ApiUnreachable:
                    if time.monotonic() >= end:
                        raise
                time.sleep(INTERVAL)
        if check.ok:
            self.report.checks.remove(check)


class Connections:
    """The checks between the running *pods*, behind one *service*."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        report: Report,
        pool: ThreadPoolExecutor,
        pods: Sequence[Pod],
        service: Mapping[str, t.Any],
    ) -> None:
        self.api = api
        self.settings = settings
        self.report = report
        self.pool = pool
        self.pods = list(pods)
        self.names = {pod.name for pod in pods}
        self.service = service
        self.tunnels: dict[str, Tunnel] = {}

    def check(self) -> None:
        self._logs()
        self._exec()
        try:
            self._port_forward()
            self._pod_to_pod()
            self._service_address()
            self._dns_name()
        finally:
            for tunnel in self.tunnels.values():
                tunnel.close()
        self._node_port()

    @property
    def sources(self) -> list[Pod]:
        """The pods that can be asked to ask others."""
        return [pod for pod in self.pods if pod.name in self.tunnels]

    def _each(self, check: Check, subjects: Iterable[T], ask: Callable[[T], None]) -> None:
        """Asks for each subject at once; collects what fails."""

        def attempt(subject: T) -> str:
            try:
                ask(subject)
            except (VerifyError, ApiError, ApiUnreachable) as error:
                return str(error)
            return ""

        check.problems += [problem for problem in self.pool.map(attempt, subjects) if problem]

    def _logs(self) -> None:
        def logs(pod: Pod) -> None:
            status, text = self.api.text(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/log", {"tailLines": 5})
            if status != 200:
                raise VerifyError(f"{pod.node}: answered {status}: {text.strip()[:200]}")
            if not text.strip():
                raise VerifyError(f"{pod.node}: no logs")

        with self.report.check("logs", f"of {len(self.pods)} pods", KUBELET_FIX) as check:
            self._each(check, self.pods, logs)

    def _exec(self) -> None:
        good = f"in {len(self.pods)} pods, which reach the API at its Service address"
        with self.report.check("exec", good, KUBELET_FIX) as check:
            service = self.api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]
            target = f"{bracketed(service['clusterIP'])}:{service['ports'][0]['port']}"
            command = ["/agnhost", "connect", "--timeout=5s", target]

            def connect(pod: Pod) -> None:
                try:
                    retry(lambda: execute(self.api, pod, command, self.api.timeout + 5), PROPAGATION)
                except VerifyError as error:
                    raise VerifyError(f"{pod.node}: agnhost connect {target}: {error}") from error

            self._each(check, self.pods, connect)

    def _port_forward(self) -> None:
        def open_tunnel(pod: Pod) -> tuple[Tunnel, str]:
            tunnel = Tunnel(self.api, pod, PROPAGATION)
            return tunnel, tunnel.get("/hostname")[1]

        def forward(pod: Pod) -> None:
            try:
                tunnel, name = retry(lambda: open_tunnel(pod), PROPAGATION)
            except VerifyError as error:
                raise VerifyError(f"{pod.node}: {error}") from error
            if name != pod.name:
                raise VerifyError(f"{pod.node}: {pod.name} answers as {name[:80]!r}")
            self.tunnels[pod.name] = tunnel

        fix = "check port 10250 of the node from the masters, and journalctl -u containerd there"
        with self.report.check("port-forward", f"to {len(self.pods)} pods", fix) as check:
            self._each(check, self.pods, forward)

    def _ask(self, source: Pod, host: str, port: int, expected: set[str], what: str) -> None:
        """Lets *source* ask *host* until a pod of the *expected* answers."""
        end = time.monotonic() + PROPAGATION
        while True:
            try:
                problem = dial(self.tunnels[source.name], host, port, expected)
            except VerifyError as error:  # the tunnel itself is of no more use
                raise VerifyError(f"from {source.node} {what}: {error}") from error
            if not problem:
                return
            if time.monotonic() >= end:
                raise VerifyError(f"from {source.node} {what}: {problem}")
            time.sleep(INTERVAL)

    def _pod_to_pod(self) -> None:
        def peers(source: Pod) -> None:
            problems = []
            at = self.pods.index(source)
            for peer in (self.pods[at + 1 :] + self.pods[:at])[:MOST_PEERS]:
                try:
                    self._ask(source, peer.address, PORT, {peer.name}, f"to {peer.node} ({peer.address})")
                except VerifyError as error:
                    problems.append(str(error))
            if problems:
                raise VerifyError("; ".join(problems))

        fix = "check the network plugin (flanneld or the routes) and the firewall of both machines"
        good = f"{len(self.sources)} pods ask each other by address, across machines"
        with self.report.check("pod to pod", good, fix) as check:
            check.skipped = "" if self.sources else NO_SOURCE
            self._each(check, self.sources, peers)

    def _service_address(self) -> None:
        address = self.service["spec"]["clusterIP"]
        good, fix = f"{len(self.sources)} pods ask {address}", "check journalctl -u kube-proxy there"
        with self.report.check("Service address", good, fix) as check:
            check.skipped = "" if self.sources else NO_SOURCE
            self._each(check, self.sources, lambda source: self._ask(source, address, 80, self.names, f"to {address}"))

    def _dns_name(self) -> None:
        name = f"{self.service['metadata']['name']}.{NAMESPACE}.svc.{self.settings.dns_domain}"
        fix = "check kubectl -n kube-system get pods, CoreDNS's logs, and kubelet's clusterDNS"
        with self.report.check("DNS name", f"{len(self.sources)} pods ask {name}", fix) as check:
            check.skipped = NO_SOURCE if not self.sources else "" if self.settings.dns else "dns is false"
            sources = self.sources if self.settings.dns else []
            self._each(check, sources, lambda source: self._ask(source, name, 80, self.names, f"to {name}"))

    def _node_port(self) -> None:
        port = self.service["spec"]["ports"][0]["nodePort"]

        def fetch(node: str) -> None:
            end = time.monotonic() + PROPAGATION
            while True:
                problem = node_port_problem(self.settings.nodes[node], port, self.names)
                if not problem:
                    return
                if time.monotonic() >= end:
                    raise VerifyError(f"{node}: {problem}")
                time.sleep(INTERVAL)

        fix = (
            "check journalctl -u kube-proxy there, and the firewall between the controller and the node "
            "(or set verify_outside to false)"
        )
        good = f"{self.settings.sampled_words} answer the controller at port {port}"
        with self.report.check("NodePort", good, fix) as check:
            check.skipped = "" if self.settings.outside else "outside is false"
            self._each(check, self.settings.sampled if self.settings.outside else [], fetch)
