# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: what is to be done on which host, as data. Text is made of it for people, and nothing reads the text."""

from __future__ import annotations

import collections
import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

#: More changes of one component are counted, not listed.
LISTED_CHANGES = 6


@dataclasses.dataclass(frozen=True)
class Entry:
    """One component of one host (or, with the host ``controller``, what is made there)."""

    host: str
    component: str
    role: str
    phase: str = ""
    #: see Change.as_data in module_utils/component/plan.py
    changes: Sequence[Mapping[str, str]] = ()
    #: why a running process restarts; None where none does
    restart: str | None = None
    causes: Sequence[Mapping[str, str]] = ()
    #: why it does not serve, though nothing differs
    trouble: str | None = None
    #: why it could not be compared
    error: str = ""
    #: to be visited whatever else this says
    visit: bool = False

    @property
    def has_work(self) -> bool:
        return bool(self.changes or self.trouble or self.error or self.visit)

    def as_data(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


def work(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """The hosts with work, by phase, in the order in which they were planned."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for entry in entries:
        if entry.phase and entry.has_work and entry.host not in found[entry.phase]:
            found[entry.phase].append(entry.host)
    return {phase: hosts for phase, hosts in found.items() if hosts}


def groups_of_hosts(phases: Mapping[str, Sequence[str]]) -> list[dict[str, t.Any]]:
    """The same by host: ``[{host, groups}]``, with the groups that the plays of the phases run on."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for phase, hosts in phases.items():
        for host in hosts:
            found[host].append(f"hardway_{phase}")
    return [{"host": host, "groups": groups} for host, groups in found.items()]


def lines(entries: Iterable[Entry]) -> list[str]:
    """The plan for people: a line for each host and component with something to do."""
    told = []
    for entry in entries:
        words = _words(entry)
        if words:
            told.append(f"{entry.host}: {entry.component}: {words}")
    return told or ["Nothing to change."]


def _words(entry: Entry) -> str:
    if entry.error:
        return f"cannot be compared: {entry.error}"
    words = [_change(change) for change in entry.changes]
    if len(words) > LISTED_CHANGES:
        words = [*words[: LISTED_CHANGES - 1], f"and {len(words) - LISTED_CHANGES + 1} more"]
    if entry.trouble:
        words.append(f"is not healthy: {entry.trouble}")
    return ", ".join(words)


def _change(change: Mapping[str, str]) -> str:
    return change["action"] if change["kind"] == "component" else f"{change['name']} {change['action']}"
