# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API and the hosts that serve it."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation, Record
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import CRITICAL, OK, WARNING, Cell, Section

CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


def control_plane(status: Observation) -> Section:
    _endpoint(status)
    section = Section("Control plane", ["master", "API server", "answers", "controller manager", "scheduler"])
    for name, server in status.api["servers"].items():
        _server(status, section, name, server)
    for component in CONTROLLERS if status.api["nodes"] is not None else ():
        if status.api["servers"] and status.api["leaders"].get(component) not in status.api["servers"]:
            status.report(
                WARNING,
                component,
                "no master of the inventory is its leader",
                f"find out on the masters why none gets the lease: journalctl -u {component}",
            )
    return section


def _endpoint(status: Observation) -> None:
    endpoint = status.api["endpoint"]
    if endpoint["ready"]:
        status.summarise("API", f"answers as {endpoint['version']}", OK)
    else:
        status.report(
            CRITICAL,
            "API",
            f"no good answer at {status.cluster['endpoint']}: {endpoint['error']}",
            "check the load balancers and the masters below; without quorum of etcd there is no API",
        )
        status.summarise("API", "is not ready" if endpoint["version"] else "does not answer", CRITICAL)
    if status.api.get("error") not in ("", None, endpoint["error"]):
        status.report(
            WARNING,
            "API",
            f"could not be read: {status.api['error']}",
            "check the API servers: journalctl -u kube-apiserver",
        )
    if status.api["waiting"]:
        status.report(
            WARNING,
            "API",
            f"{counted(len(status.api['waiting']), 'request')} for certificates {'is' if len(status.api['waiting']) == 1 else 'are'} pending",
            "kubectl get csr lists them; site.yml approves those of its nodes",
        )


def _server(status: Observation, section: Section, name: str, server: Record) -> None:
    level = OK
    if not server["ready"]:
        level = status.report(
            CRITICAL,
            name,
            f"its API server: {server['error']}",
            "on the host: systemctl status kube-apiserver; journalctl -u kube-apiserver",
        )
    leaders = status.api["leaders"]
    section.add(
        name,
        server["version"] or status.version(name, "kube-apiserver") or "?",
        Cell("ready" if server["ready"] else "not ready" if server["version"] else "no answer", level),
        *(
            f"{status.version(name, component) or '?'}{' (leader)' if leaders.get(component) == name else ''}"
            for component in CONTROLLERS
        ),
    )
