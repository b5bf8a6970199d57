# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that verify creates, and what the API's objects say of themselves."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import condition
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import NAMESPACE, PORT

RUN_LABEL = "hardway.kubernetes/run"


def web_objects(run: str, image: str, nodes: Sequence[str]) -> list[tuple[str, dict[str, t.Any]]]:
    """The path and the body of each object: a web server on each of *nodes*, and a Service for all."""
    labels = {"app": "web", RUN_LABEL: run}
    name = f"web-{run}"
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    service = {
        "type": "NodePort",
        "selector": labels,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": PORT}],
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return [
        (
            f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{name}",
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec},
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/services/{name}",
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        ),
    ]


def namespace_object(run: str) -> dict[str, t.Any]:
    labels = {RUN_LABEL: run, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def node_problems(nodes: Mapping[str, Mapping[str, t.Any]], names: Iterable[str]) -> list[str]:
    """Which of the named nodes are not there or not Ready, and why."""
    problems = []
    for name in names:
        ready = condition(nodes.get(name, {}), "Ready")
        if name not in nodes:
            problems.append(f"{name} is not registered")
        elif ready.get("status") != "True":
            problems.append(
                f"{name} is not Ready ({ready.get('message') or ready.get('reason') or 'its kubelet has said nothing yet'})"
            )
    return problems


def version_problems(nodes: Mapping[str, Mapping[str, t.Any]], names: Iterable[str], version: str) -> list[str]:
    """Which of the named nodes run a kubelet of another version."""
    running = {
        name: nodes[name].get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
        for name in names
        if name in nodes
    }
    return [
        f"{name} runs kubelet {found or 'of no known version'} instead of v{version.lstrip('v')}"
        for name, found in running.items()
        if version and found.lstrip("v") != version.lstrip("v")
    ]


def deployment_problems(deployments: Iterable[Mapping[str, t.Any]]) -> list[str]:
    """Which Deployments are not available, or have not been seen by the controller manager since they changed."""
    problems = []
    for item in deployments:
        metadata, status = item["metadata"], item.get("status", {})
        available = condition(item, "Available")
        if status.get("observedGeneration", 0) < metadata.get("generation", 0):
            problems.append(f"{metadata['name']} changed and no kube-controller-manager has seen it")
        elif available.get("status") != "True":
            cause = available.get("message") or available.get("reason") or "it has no condition Available yet"
            problems.append(f"{metadata['name']} is not available ({cause})")
    return problems


def pod_node(item: Mapping[str, t.Any]) -> str:
    """The node of a DaemonSet's pod, also before it is bound to it."""
    if item["spec"].get("nodeName"):
        return str(item["spec"]["nodeName"])
    required = (
        item["spec"]
        .get("affinity", {})
        .get("nodeAffinity", {})
        .get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    values = [
        field["values"][0] for term in required.get("nodeSelectorTerms", []) for field in term.get("matchFields", [])
    ]
    return str(values[0]) if values else ""
