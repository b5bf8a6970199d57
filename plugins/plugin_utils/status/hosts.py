# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the run, and the cluster's nodes."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation, Record
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    OK,
    WARNING,
    Cell,
    Section,
    few,
)

# Seconds between the clocks of a host and of this computer: from here on leases and elections suffer.
CLOCK = 2.0
COLUMNS = ("host", "groups", "node", "kubelet", "runtime", "kernel", "system", "load", "clock")


def hosts(status: Observation) -> Section:
    section = Section("Hosts", list(COLUMNS))
    nodes = {node["name"]: node for node in status.api["nodes"] or []}
    wanted = set(status.groups.get("kube_node", []))
    for name in status.seen:
        state = _registered(status, name, nodes.get(name), name in wanted)
        if name in status.read:
            _read(status, section, name, nodes.get(name) or {}, state)
        else:
            _unread(status, section, name, nodes.get(name) or {}, state)
    for name in sorted(set(nodes) - wanted):
        status.report(
            WARNING,
            name,
            "is a node of the cluster, and not in the inventory's group kube_node",
            "add it to the group, or kubectl delete node NODE",
        )
    for name in [name for name in nodes if name in wanted and name not in status.seen]:
        _node(status, name, nodes[name])
    _summarise(status, section, list(nodes.values()))
    return section


def _summarise(status: Observation, section: Section, nodes: list[Record]) -> None:
    ready = len([node for node in nodes if node["ready"]])
    if status.api["nodes"] is not None:
        status.summarise("nodes", f"{ready} of {len(nodes)} Ready", OK if ready == len(nodes) else CRITICAL)
    missing = {name for names in status.groups.values() for name in names if name not in status.seen}
    if missing:
        section.lines.append(f"Not in this run (--limit): {few(sorted(missing))}")
    status.summarise(
        "hosts",
        f"{len(status.read)} of {len(status.seen)} read{f', {len(missing)} not in this run' if missing else ''}",
        OK if len(status.read) == len(status.seen) else CRITICAL,
    )


def _groups(status: Observation, name: str) -> str:
    return ", ".join(group for group, names in status.groups.items() if name in names)


def _registered(status: Observation, name: str, node: Record | None, wanted: bool) -> Cell:
    if node:
        return _node(status, name, node)
    if not wanted or status.api["nodes"] is None:
        return Cell("")
    level = status.report(
        CRITICAL,
        name,
        "is in the group kube_node, and not registered as a node",
        "run add-node.yml with --limit",
    )
    return Cell("not registered", level)


def _unread(status: Observation, section: Section, name: str, node: Record, state: Cell) -> None:
    host = status.seen[name]
    word = "read" if host.get("reachable") else "reached"
    status.report(
        CRITICAL, name, f"was not {word}: {host.get('error')}", "check that it is up, and that ssh and become work"
    )
    section.add(
        Cell(name, CRITICAL),
        _groups(status, name),
        state,
        *(node.get(key, "") for key in ("kubelet", "runtime", "kernel", "os")),
        "",
        Cell(f"not {word}", CRITICAL),
    )


def _read(status: Observation, section: Section, name: str, node: Record, state: Cell) -> None:
    facts = status.facts(name)
    offset = facts.get("clock_offset", 0.0)
    apart = abs(offset) > CLOCK
    if apart:
        status.report(
            WARNING,
            name,
            f"its clock is {offset:+.1f} s off this computer's",
            "synchronize both with a time server, for example by chrony",
        )
    section.add(
        name,
        _groups(status, name),
        state,
        status.version(name, "kubelet") or node.get("kubelet", ""),
        node.get("runtime", "") or status.version(name, "containerd"),
        facts.get("kernel", ""),
        facts.get("distribution", {}).get("name", ""),
        " ".join(f"{value:.2f}" for value in status.read[name].get("load", [])),
        Cell(f"{offset:+.1f} s" if offset else "right", WARNING if apart else ""),
    )


def _node(status: Observation, name: str, node: Record) -> Cell:
    level, states = OK, ["Ready" if node["ready"] else "NotReady"]
    if node["pressures"]:
        states += node["pressures"]
        level = status.report(
            WARNING, name, f"the node reports {', '.join(node['pressures'])}", "kubectl describe node NODE"
        )
    if node["cordoned"]:
        states.append("cordoned")
        level = status.report(
            WARNING,
            name,
            "the node is cordoned: it takes no new pods",
            "kubectl uncordon NODE, after its maintenance",
        )
    if not node["ready"]:
        level = status.report(
            CRITICAL, name, f"the node is not Ready: {node['reason']}", "on the host: journalctl -u kubelet"
        )
    return Cell(", ".join(states), level)
