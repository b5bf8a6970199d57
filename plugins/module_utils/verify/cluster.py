# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that only read: what the cluster says of itself through its API."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import is_ready, pod_cause
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.retrying import RetryingApi
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import INTERVAL, Check, Report, Settings
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.objects import (
    deployment_problems,
    node_problems,
    version_problems,
)

HEALTH_PATHS = ("/livez", "/readyz", "/healthz")
CLOSED_PATHS = ("/", "/api", "/apis", "/version", "/api/v1/namespaces", "/openapi/v2", "/metrics")
SYSTEM_NAMESPACE = "kube-system"
# A DaemonSet and its pods say of which generation of its template they are.
GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"
API_FIX = "check the holder of the virtual address, the load balancer, and journalctl -u kube-apiserver on the masters"
NODES_FIX = "check journalctl -u kubelet and -u containerd there, and the network plugin"


class ClusterChecks:
    """The checks of one cluster; each adds itself to *report*."""

    def __init__(self, api: RetryingApi, settings: Settings, report: Report) -> None:
        self.api = api
        self.settings = settings
        self.report = report

    def api_answers(self, ready: bool = True) -> bool:
        """The API at its endpoint, of the wanted version and (with *ready*) ready. Whether it answers at all."""
        with self.report.check("API", "", API_FIX) as check:
            version = self.api.get("/version")["gitVersion"]
            check.good = f"{self.api.server} answers as {version}"
            wanted = self.settings.version
            if wanted and version.lstrip("v") != wanted.lstrip("v"):
                check.problems.append(f"{self.api.server} answers as {version} instead of v{wanted.lstrip('v')}")
            status, body = self.api.text("/readyz", {"verbose": ""}) if ready else (200, "")
            if status != 200:
                failing = ", ".join(line for line in body.splitlines() if line.startswith("[-]"))
                check.problems.append(f"{self.api.server} is not ready: {failing or body[:200]}")
        return bool(check.good)

    def nodes(self) -> None:
        """Every node is registered, Ready and of the wanted version."""
        with self.report.check("nodes", f"{len(self.settings.nodes)} Ready", NODES_FIX) as check:
            # a node becomes Ready some seconds after its network plugin was installed
            nodes: dict[str, dict[str, t.Any]] = {}

            def problems() -> list[str]:
                nodes.clear()
                nodes.update({item["metadata"]["name"]: item for item in self.api.items("/api/v1/nodes")})
                return node_problems(nodes, self.settings.nodes)

            self._wait(check, problems)
            check.problems += version_problems(nodes, self.settings.nodes, self.settings.version)

    def deployments(self) -> None:
        """The Deployments of kube-system are available."""
        fix = f"check kubectl -n {SYSTEM_NAMESPACE} describe deployment, and the events and logs of their pods"
        with self.report.check("deployments", "", fix) as check:
            count = 0

            def problems() -> list[str]:
                nonlocal count
                items = self.api.items(f"/apis/apps/v1/namespaces/{SYSTEM_NAMESPACE}/deployments")
                count = len(items)
                return deployment_problems(items)

            self._wait(check, problems)
            check.good = f"{count} of {SYSTEM_NAMESPACE} available"

    def anonymous_access(self) -> None:
        """A client without an identity gets health and nothing else."""
        fix = "correct the anonymous section of kube-apiserver's authentication configuration"
        with self.report.check("anonymous access", "health and nothing else", fix) as check:
            anonymous = self.api.anonymous("hardway-verify-anonymous")
            answers = {path: anonymous.text(path)[0] for path in (*HEALTH_PATHS, *CLOSED_PATHS)}
            check.problems += [
                f"{path} answers {status}"
                for path, status in answers.items()
                if status not in ((200,) if path in HEALTH_PATHS else (401, 403))
            ]

    def network(self) -> None:
        """The pods that connect those of each node, where the network is made of pods: ready, and of what was applied last.

        They say why a node is not Ready, too. They are replaced one at a time, so the timeout begins again with each.
        """
        if not self.settings.network or any(check.name == "API" for check in self.report.failed):
            return
        namespace, _slash, name = self.settings.network.partition("/")
        fix = f"check kubectl -n {namespace} get pods -o wide, and kubectl -n {namespace} logs daemonset/{name}"
        with self.report.check("network", f"{name} is ready on {len(self.settings.nodes)} nodes", fix) as check:
            waiting, end = len(self.settings.nodes) + 1, 0.0
            while True:
                check.problems[:] = self._network_problems(namespace, name)
                if len(check.problems) < waiting:
                    waiting, end = len(check.problems), time.monotonic() + self.settings.timeout
                if check.ok or time.monotonic() >= end:
                    return
                time.sleep(INTERVAL)

    def metrics(self) -> None:
        """What nodes and pods use, as `kubectl top` asks for it. metrics-server knows a node when it has scraped it twice."""
        if not self.settings.metrics or self.report.failed:
            return
        good = f"of {len(self.settings.nodes)} nodes and their pods, as kubectl top shows them"
        fix = "check kubectl get apiservice v1beta1.metrics.k8s.io, and kubectl -n kube-system logs deployment/metrics-server"
        with self.report.check("metrics", good, fix) as check:
            self._wait(check, self._metrics_problems)

    def _wait(self, check: Check, problems: Callable[[], list[str]]) -> None:
        """Asks for *problems* until there are none, or the timeout is over."""
        end = time.monotonic() + self.settings.timeout
        while True:
            check.problems[:] = problems()
            if check.ok or time.monotonic() >= end:
                return
            time.sleep(INTERVAL)

    def _network_problems(self, namespace: str, name: str) -> list[str]:
        daemonset = self.api.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
        generation = daemonset["metadata"].get("annotations", {}).get(GENERATION, "")
        wanted = daemonset["spec"]["selector"]["matchLabels"].items()
        pods = [
            pod
            for pod in self.api.items(f"/api/v1/namespaces/{namespace}/pods")
            if wanted <= pod["metadata"].get("labels", {}).items()
        ]
        current = {
            pod["spec"].get("nodeName"): pod
            for pod in pods
            if pod["metadata"]["labels"].get(GENERATION_LABEL, generation) == generation
        }
        return [
            f"{node}: {pod_cause(current[node]) if node in current else 'it has no pod of what was applied last'}"
            for node in self.settings.nodes
            if node not in current or not is_ready(current[node])
        ]

    def _metrics_problems(self) -> list[str]:
        try:
            nodes, pods = (self.api.items(f"/apis/metrics.k8s.io/v1beta1/{kind}") for kind in ("nodes", "pods"))
        except (ApiError, ApiUnreachable) as error:
            return [str(error)]
        known = {
            item["metadata"]["name"]
            for item in nodes
            if item.get("usage", {}).get("cpu") and item["usage"].get("memory")
        }
        problems = [f"none of {name}" for name in self.settings.nodes if name not in known]
        return problems or ([] if pods else ["none of any pod"])
