# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a cluster, and what was found in it so far: each section of the page reads the one and adds to the other."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from datetime import datetime

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import Cell, Settings

Record = Mapping[str, t.Any]


class Observation:
    """*facts* as `evaluate` documents them.

    `seen` has the hosts of the run, `read` those of them that could be read.
    """

    def __init__(self, facts: Record, settings: Settings, now: datetime) -> None:
        self.cluster: Record = facts["cluster"]
        self.groups: Mapping[str, list[str]] = facts.get("groups") or {}
        self.seen: Mapping[str, Record] = facts.get("hosts") or {}
        self.plan: list[Record] = facts.get("plan") or []
        self.controller: Record | None = facts.get("controller")
        self.api: Record = facts["api"]
        self.settings = settings
        self.now = now
        self.read = {name: host for name, host in self.seen.items() if host.get("readable")}
        self.summary: list[tuple[str, Cell]] = []
        self.findings: list[tuple[str, str, str, str]] = []

    def report(self, level: str, place: str, cause: str, fix: str = "") -> str:
        """Adds a finding, and returns its level."""
        self.findings.append((level, place, " ".join(str(cause).split()), fix))
        return level

    def summarise(self, label: str, text: str, level: str = "") -> None:
        self.summary.append((label, Cell(text, level)))

    def of_group(self, group: str) -> list[str]:
        """The hosts of a group that are in the run."""
        return [name for name in self.groups.get(group, []) if name in self.seen]

    def facts(self, host: str) -> Record:
        """The facts of a host that was read."""
        facts: Record = self.read[host]["facts"]
        return facts

    def program(self, host: str, component: str) -> Record:
        programs = self.read.get(host, {}).get("programs", [])
        return next((program for program in programs if program["component"] == component), {})

    def version(self, host: str, component: str) -> str:
        return str(self.program(host, component).get("version", ""))
