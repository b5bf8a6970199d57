# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance of etcd: which member is queried, whether the history is compacted, which members are defragmented, and how they do."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem

# Percent of the space quota from which on a database counts as full.
FULL = 80
MIB = 1024 * 1024

# What the module etcd_info returned on one host; where it failed, its msg.
State = Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """When something is due, as the role's settings say."""

    compact: str = "when_full"
    minimum_size: int = 100 * MIB
    fragmentation: int = 45
    disarm: Sequence[str] = ("NOSPACE",)


@dataclasses.dataclass(frozen=True)
class Plan:
    """*client_host* is the host that sends requests for all members: empty where etcd has no quorum."""

    client_host: str
    problems: list[Problem]
    compact: bool = False
    revision: int = 0
    defragment: list[str] = dataclasses.field(default_factory=list)
    disarm: bool = False
    lines: list[str] = dataclasses.field(default_factory=list)

    def to_data(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "problems": [problem.to_data() for problem in self.problems]}


def plan(states: Mapping[str, State], reachable: Sequence[str], settings: Settings) -> Plan:
    """The plan for a cluster whose members' hosts answered with *states*. One that answers is enough; a dead one stops nothing."""
    client_host = next((host for host in reachable if states.get(host, {}).get("has_quorum")), "")
    if not client_host:
        return Plan("", [_no_quorum(states)])
    cluster = states[client_host]
    alarms = {alarm for member in cluster["members"] for alarm in member["alarms"]}
    full = "NOSPACE" in alarms or any((member["quota_used"] or 0) >= FULL for member in cluster["members"])
    compact = settings.compact == "always" or (settings.compact == "when_full" and full)
    due = {member["name"] for member in cluster["members"] if compact or full or _is_fragmented(member, settings)}
    return Plan(
        client_host,
        [],
        compact,
        cluster["revision"],
        [name for name in cluster["defragmentation_order"] if name in due],
        bool(alarms & set(settings.disarm)),
        lines(cluster),
    )


def causes(states: Mapping[str, State]) -> list[str]:
    """Why no member can be asked: what those that answered found, or else why none answered."""
    found = [problem for state in states.values() for problem in state.get("problems") or []]
    return list(dict.fromkeys(found or [state["msg"] for state in states.values() if state.get("msg")]))


def lines(cluster: State) -> list[str]:
    """How the members do, one line for each."""
    return [_line(member) for member in cluster["members"]]


def _no_quorum(states: Mapping[str, State]) -> Problem:
    return Problem(
        "etcd",
        f"Nothing was changed, for there is no quorum: {'; '.join(causes(states)) or 'no member can be reached'}.",
        "Start the members that still have their data (hardway.kubernetes.site); where too many are lost, run "
        "hardway.kubernetes.restore_etcd.",
    )


def _is_fragmented(member: State, settings: Settings) -> bool:
    """The API server of a member stops while it is defragmented, so this decides before; the module looks again."""
    return bool(member["db_size"] >= settings.minimum_size and member["fragmentation"] > settings.fragmentation)


def _line(member: State) -> str:
    quota = member["quota_used"] if member["quota"] else "?"
    parts = [
        f"{member['name']}: {member['db_size'] / MIB:.1f} MiB, {member['fragmentation']} % of it empty",
        f"{quota} % of the quota",
    ]
    if member["leader"]:
        parts.append("leader")
    if not member["healthy"]:
        parts.append(f"not healthy: {member['problem']}")
    if member["alarms"]:
        parts.append(f"alarm {', '.join(member['alarms'])}")
    return ", ".join(parts)
