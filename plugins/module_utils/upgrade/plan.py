# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade would do, and the reasons to refuse it: decided from data, before anything is changed.

Sources: https://kubernetes.io/releases/version-skew-policy/, https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/ and
https://etcd.io/blog/2025/zombie_members_upgrade/
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Collection, Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.kubernetes import CONTROL_PLANE
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.versions import numbers

# A kubelet may be three minor versions older than the API servers.
OLDEST_KUBELET = 3
# Of a minor version the patch that etcd must have before the next minor.
ETCD_BEFORE: dict[tuple[int, ...], tuple[int, ...]] = {(3, 6): (3, 5, 26)}
# What a node is drained for: what its pods run in.
DRAINED_FOR = ("kubelet", "containerd", "runc", "docker", "cri-dockerd")
# The kind of a change whose before and after are versions.
ARTIFACT = "artifact"
HEADER = ("component", "host", "from", "to", "restart", "drain")

#: What would change of one component of one host, as the plan has it: ``component``, ``changes`` (each with ``kind``, ``name``, ``before`` and
#: ``after``), ``causes`` of a restart (each with ``kind`` and ``name``), ``error``.
Entry = Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One component of one host. *before* and *after* are versions; empty where its version stays."""

    component: str
    host: str
    before: str
    after: str
    restart: bool
    drain: bool

    def cells(self) -> tuple[str, ...]:
        return (
            self.component,
            self.host,
            self.before or "-",
            self.after or "other settings",
            "yes" if self.restart else "no",
            "yes" if self.drain else "no",
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """Rows in the order of the run, and every reason to refuse."""

    rows: list[Row]
    problems: list[str]

    @property
    def drained(self) -> list[str]:
        """The hosts whose nodes are drained."""
        return list(dict.fromkeys(row.host for row in self.rows if row.drain))

    def lines(self) -> list[str]:
        """The table for people."""
        if not self.rows:
            return ["Nothing to upgrade: every component has the version and the settings of the inventory."]
        table = [HEADER, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]


def plan(
    target: Mapping[str, str],
    installed: Mapping[str, Mapping[str, str]],
    plans: Mapping[str, Sequence[Entry]],
    nodes: Mapping[str, bool],
    etcd_problems: Sequence[str] = (),
    drain: bool = True,
) -> Plan:
    """The plan of an upgrade.

    *target* has the versions of the settings, ``kubernetes`` and ``etcd``. *installed* is host -> component -> version, as
    `host_facts.installed` reports. *plans* is host -> what would change there, an `Entry` for each component. *nodes* are those that the API
    knows, name -> whether it is Ready. *etcd_problems* is what is wrong with etcd now. *drain* is whether nodes are drained at all.
    """
    rows = [
        row
        for host, entries in plans.items()
        for entry in entries
        for row in _rows(host, entry, host in nodes and drain)
    ]
    rows += _static_pods(target["kubernetes"], installed, {row.host for row in rows if row.component in CONTROL_PLANE})
    order = {name: number for number, name in enumerate(("etcd", *CONTROL_PLANE))}
    # stable: hosts, and the components of nodes, stay in their own order
    rows.sort(key=lambda row: order.get(row.component, len(order)))
    return Plan(rows, _problems(target, installed, plans, nodes, etcd_problems))


def _rows(host: str, entry: Entry, drain: bool) -> Iterator[Row]:
    name = entry["component"]
    changes = entry["changes"]
    # a tool that is installed with a component restarts nothing
    restarting = {cause["name"] for cause in entry["causes"] if cause["kind"] == ARTIFACT}
    versions = [
        change
        for change in changes
        if change["kind"] == ARTIFACT and change["before"] and change["after"] not in ("", change["before"])
    ]
    for change in versions:
        part = change["name"]
        drains = drain and (part in DRAINED_FOR or name in DRAINED_FOR)
        yield Row(part, host, change["before"], change["after"], part in restarting, drains)
    if changes and not versions:
        yield Row(name, host, "", "", bool(entry["causes"]), False)


def _static_pods(version: str, installed: Mapping[str, Mapping[str, str]], otherwise: Collection[str]) -> Iterator[Row]:
    """What kubeadm upgrades together, where no component stands for it."""
    for host, versions in installed.items():
        before = versions.get("kube-apiserver")
        if before and before != version and host not in otherwise:
            yield from (Row(name, host, before, version, True, False) for name in CONTROL_PLANE)


def _problems(
    target: Mapping[str, str],
    installed: Mapping[str, Mapping[str, str]],
    plans: Mapping[str, Sequence[Entry]],
    nodes: Mapping[str, bool],
    etcd_problems: Sequence[str],
) -> list[str]:
    found: list[str] = []
    for host, versions in installed.items():
        found += _version_problems(host, versions, target)
    found += [
        f"{name} is not Ready. Fix: see the cause with kubectl describe node {name}, or remove it from the cluster first"
        for name, ready in nodes.items()
        if not ready and name in plans
    ]
    found += [f"etcd: {problem}" for problem in etcd_problems]
    for host, entries in plans.items():
        found += [
            f"{host}: {entry['component']} could not be compared: {entry['error']}"
            for entry in entries
            if entry.get("error")
        ]
    return found


def _version_problems(host: str, versions: Mapping[str, str], target: Mapping[str, str]) -> Iterator[str]:
    apiserver, etcd, kubelet = (versions.get(name) for name in ("kube-apiserver", "etcd", "kubelet"))
    if apiserver:
        yield from _step(host, "kube-apiserver", apiserver, target["kubernetes"], "cluster_kubernetes_version")
    if etcd:
        yield from _step(host, "etcd", etcd, target["etcd"], "cluster_etcd_version")
        needed = ETCD_BEFORE.get(numbers(target["etcd"])[:2])
        if needed and numbers(etcd)[:2] == needed[:2] and numbers(etcd) < needed:
            version = ".".join(map(str, needed))
            yield (
                f"{host} has etcd {etcd}, and {target['etcd']} needs {version} or later before it. "
                f"Fix: set cluster_etcd_version to {version}, upgrade, then set it to {target['etcd']}"
            )
    if kubelet and numbers(target["kubernetes"])[1] - numbers(kubelet)[1] > OLDEST_KUBELET:
        yield (
            f"{host} has kubelet {kubelet}, more than {OLDEST_KUBELET} minor versions older than {target['kubernetes']}. "
            f"Fix: upgrade the nodes to the version of the API servers first"
        )


def _step(host: str, component: str, before: str, after: str, setting: str) -> Iterator[str]:
    """Any patch, one minor version at a time, never a downgrade."""
    old, new = numbers(before), numbers(after)
    if new < old:
        yield (
            f"{host} has {component} {before}, and {setting} is {after}: a downgrade is not supported. "
            f"Fix: set {setting} to {before} or later"
        )
    elif new[0] != old[0] or new[1] > old[1] + 1:
        yield (
            f"{host} has {component} {before}, and {setting} is {after}: minor versions are upgraded one at a time. "
            f"Fix: set {setting} to {old[0]}.{old[1] + 1} first"
        )
