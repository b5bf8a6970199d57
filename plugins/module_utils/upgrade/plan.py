# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an upgrade would do, and why it must not: judged from plain data, before anything is changed.

Sources: https://kubernetes.io/releases/version-skew-policy/, https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/ and
https://etcd.io/blog/2025/zombie_members_upgrade/
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import STATIC_PODS

# A kubelet may be three minor versions older than the API servers.
OLDEST_KUBELET = 3
# Of a minor version the patch that etcd must have before the next minor.
ETCD_BEFORE = {(3, 6): (3, 5, 26)}
REPLACED = re.compile(r"artifact (?P<name>\S+): (?P<before>\S+) -> (?P<after>\S+)\Z")
# What a node is emptied for: what its pods run in.
DRAINED_FOR = ("kubelet", "containerd", "runc", "docker", "cri-dockerd")
HEADER = ("component", "host", "from", "to", "restart", "drain")


@dataclasses.dataclass(frozen=True)
class Row:
    """One component of one host."""

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
    """Rows in the order of the run, the hosts whose nodes are emptied, and every reason to refuse."""

    rows: list[Row]
    problems: list[str]

    @property
    def drained(self) -> list[str]:
        return list(dict.fromkeys(row.host for row in self.rows if row.drain))

    def lines(self) -> list[str]:
        """The table for people."""
        if not self.rows:
            return ["Nothing is to be upgraded: every component has the version and the settings of the inventory."]
        table = [HEADER, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]


def plan(
    target: t.Mapping[str, str],
    installed: t.Mapping[str, t.Mapping[str, str]],
    plans: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]],
    nodes: t.Mapping[str, bool],
    etcd_problems: t.Sequence[str] = (),
    drain: bool = True,
) -> Plan:
    """Judge an upgrade.

    :arg target: ``kubernetes`` and ``etcd``, the versions of the settings
    :arg installed: host -> component -> version, as :func:`host_facts.installed` tells
    :arg plans: host -> what would change there, as the module component_plan returns it
    :arg nodes: name -> whether it is Ready, of the nodes that the API knows
    :arg etcd_problems: what is wrong with etcd now
    :arg drain: whether nodes are emptied at all
    """
    rows = [
        row
        for host, components in plans.items()
        for component in components
        for row in _rows(host, component, host in nodes and drain)
    ]
    rows += _static_pods(target["kubernetes"], installed, {row.host for row in rows if row.component in STATIC_PODS})
    order = {name: number for number, name in enumerate(("etcd", *STATIC_PODS))}
    rows.sort(
        key=lambda row: order.get(row.component, len(order))
    )  # stable: hosts and nodes' components in their own order
    return Plan(rows, _problems(target, installed, plans, nodes, etcd_problems))


def _rows(host: str, component: t.Mapping[str, t.Any], drain: bool) -> t.Iterator[Row]:
    name = component["component"]
    versions = [found for found in map(REPLACED.match, component["changes"]) if found]
    for found in versions:
        part = found["name"]
        restart = f"artifact {part} changed" in (component["restart"] or "")  # a tool beside it restarts nothing
        yield Row(
            part, host, found["before"], found["after"], restart, drain and (part in DRAINED_FOR or name in DRAINED_FOR)
        )
    if component["changes"] and not versions:
        yield Row(name, host, "", "", bool(component["restart"]), False)


def _static_pods(
    version: str, installed: t.Mapping[str, t.Mapping[str, str]], otherwise: t.Collection[str]
) -> t.Iterator[Row]:
    """What kubeadm brings to another version all at once, where no component has them."""
    for host, versions in installed.items():
        before = versions.get("kube-apiserver")
        if before and before != version and host not in otherwise:
            yield from (Row(name, host, before, version, True, False) for name in STATIC_PODS)


def _problems(
    target: t.Mapping[str, str],
    installed: t.Mapping[str, t.Mapping[str, str]],
    plans: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]],
    nodes: t.Mapping[str, bool],
    etcd_problems: t.Sequence[str],
) -> list[str]:
    found = []
    for host, versions in installed.items():
        if "kube-apiserver" in versions:
            found += _step(
                host, "kube-apiserver", versions["kube-apiserver"], target["kubernetes"], "cluster_kubernetes_version"
            )
        if "etcd" in versions:
            found += _step(host, "etcd", versions["etcd"], target["etcd"], "cluster_etcd_version")
            needed = ETCD_BEFORE.get(numbers(target["etcd"])[:2])
            if needed and numbers(versions["etcd"])[:2] == needed[:2] and numbers(versions["etcd"]) < needed:
                words = ".".join(map(str, needed))
                cause = f"{host} has etcd {versions['etcd']}: {target['etcd']} may follow {words} and later alone"
                found.append(f"{cause}. Set cluster_etcd_version to such a one first")
        kubelet = versions.get("kubelet")
        if kubelet and numbers(target["kubernetes"])[1] - numbers(kubelet)[1] > OLDEST_KUBELET:
            found.append(
                f"{host} has kubelet {kubelet}, more than {OLDEST_KUBELET} minor versions older than {target['kubernetes']}: "
                "upgrade the nodes to the API servers' version first"
            )
    found += [
        f"{name} is not Ready: see why, or take it out of the cluster first"
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


def _step(host: str, component: str, before: str, after: str, setting: str) -> t.Iterator[str]:
    """Patches at will, minors one by one, and never back."""
    old, new = numbers(before), numbers(after)
    if new < old:
        yield f"{host} has {component} {before}, and {setting} says {after}: it does not go back. Correct {setting}"
    elif new[0] != old[0] or new[1] > old[1] + 1:
        yield f"{host} has {component} {before}, and {setting} says {after}: no minor version may be left out. Set {setting} to {old[0]}.{old[1] + 1} first"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
