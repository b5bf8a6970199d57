# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that run, whether they may run together, and what upgrade is possible.

A kubelet may be three minor versions older than the API servers, and never newer; so may kube-proxy. Controller managers and schedulers
may be one older (https://kubernetes.io/releases/version-skew-policy/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.versions import minor_numbers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.control_plane import CONTROLLERS
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import CRITICAL, WARNING, Cell, Section

OLDEST_NODE, OLDEST_CONTROLLER = 3, 1


def versions(status: Observation) -> Section:
    section = Section("Versions and upgrade", ["of", "version"])
    wanted = str(status.cluster["version"])
    servers = {
        name: server["version"] or status.version(name, "kube-apiserver")
        for name, server in status.api["servers"].items()
    }
    nodes = {name: status.version(name, "kubelet") for name in status.read} | {
        node["name"]: node["kubelet"] for node in status.api["nodes"] or []
    }
    running, kubelets = _known(servers), _known(nodes)
    section.add("settings", wanted)
    section.add("API servers", Cell(", ".join(running) or "?", WARNING if len(running) > 1 else ""))
    section.add("kubelets", ", ".join(kubelets) or "?")
    if not running:
        section.lines.append("The version of no API server is known, so neither are the possible upgrades.")
        return section
    _skew(status, running, nodes)
    if len(running) > 1:
        status.report(
            WARNING,
            "Kubernetes",
            f"API servers run different versions: {', '.join(running)}",
            "an upgrade was not finished: run it again",
        )
    elif running != [wanted]:
        cause, fix = wanted_version(running[0], wanted)
        status.report(WARNING, "Kubernetes", cause, fix)
    section.lines += possible(running[0], kubelets, status.cluster.get("minors", []))
    as_wanted = running == [wanted]
    text = f"{', '.join(running)}{'' if as_wanted else f', settings say {wanted}'}"
    status.summarise("Kubernetes", text, "" if as_wanted else WARNING)
    return section


def _known(by_name: Mapping[str, str]) -> list[str]:
    return sorted({version for version in by_name.values() if minor_numbers(version)}, key=_order)


def wanted_version(running: str, wanted: str) -> tuple[str, str]:
    """What is wrong with the setting, and its fix."""
    cause = f"{running} runs, and the settings say {wanted}"
    before, after = minor_numbers(running), minor_numbers(wanted)
    if before and after and (after[0] != before[0] or after[1] > before[1] + 1):
        return (
            f"{cause}: API servers may not skip a minor version",
            f"set cluster_kubernetes_version to {before[0]}.{before[1] + 1} first",
        )
    if _order(wanted) < _order(running):
        return f"{cause}: Kubernetes cannot be downgraded", "correct cluster_kubernetes_version"
    return cause, "upgrade the cluster, or correct cluster_kubernetes_version"


def _skew(status: Observation, running: Sequence[str], kubelets: Mapping[str, str]) -> None:
    """Against the oldest and the newest API server, since a client may connect to either."""
    oldest, newest = minor_numbers(running[0]), minor_numbers(running[-1])
    if oldest is None or newest is None:
        return
    of_programs = [("kube-proxy", OLDEST_NODE), *((component, OLDEST_CONTROLLER) for component in CONTROLLERS)]
    parts = [("kubelet", kubelets, OLDEST_NODE)] + [
        (component, {name: status.version(name, component) for name in status.read}, distance)
        for component, distance in of_programs
    ]
    for component, by_host, distance in parts:
        for name, version in by_host.items():
            minor = minor_numbers(version)
            if minor and minor > oldest:
                status.report(
                    CRITICAL,
                    name,
                    f"{component} {version} is newer than an API server, {running[0]}",
                    "upgrade the API servers first",
                )
            elif minor and newest[1] - minor[1] > distance:
                status.report(
                    CRITICAL,
                    name,
                    f"{component} {version} is more than {counted(distance, 'minor version')} older than an API server, {running[-1]}",
                    "upgrade it before you upgrade the API servers further",
                )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version.partition("-")[0], re.ASCII))


def possible(running: str, kubelets: Sequence[str], minors: Sequence[str]) -> list[str]:
    """What may come next, by the skew policy and by what this collection supports."""
    known = minor_numbers(running)
    if known is None:
        return []
    major, minor = known
    following = f"{major}.{minor + 1}"
    lines = [f"A later patch of {major}.{minor} is always possible."]
    old = [version for version in kubelets if minor + 1 - (minor_numbers(version) or (0, minor))[1] > OLDEST_NODE]
    if following not in minors:
        lines.append(
            f"{following} comes next, and this version of the collection does not support it (it supports {', '.join(minors) or 'none'})."
        )
    elif old:
        lines.append(
            f"{following} comes next, once the kubelets of {', '.join(old)} are upgraded: they may be {OLDEST_NODE} minor versions older at most."
        )
    else:
        lines.append(f"{following} is possible now: masters first, then nodes.")
    return lines
