# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: a verdict, a summary, findings and sections. Terminal and HTML are drawn from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted, some

CRITICAL, WARNING, NOTE = "critical", "warning", "note"
LEVELS = (CRITICAL, WARNING, NOTE)
OK = "ok"
MOST_PLACES = 8


@dataclasses.dataclass(frozen=True)
class Settings:
    """From when on something is worth a finding."""

    warn_days: int = 30
    fail_days: int = 0
    warn_db_percent: int = 60
    fail_db_percent: int = 80
    strict: bool = False


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong (*cause*), where (*place*), and how to *fix* it, where there is a way to name."""

    level: str
    place: str
    cause: str
    fix: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.place}: {self.cause}{f'. Fix: {self.fix}' if self.fix else ''}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """A text, and its level: none, ok, warning or critical."""

    text: str
    level: str = ""


@dataclasses.dataclass
class Section:
    """A table, and *lines* below it or instead of it."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)

    def add(self, *cells: Cell | str | int) -> None:
        self.rows.append([cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells])


@dataclasses.dataclass
class Page:
    title: str
    time: str
    summary: list[tuple[str, Cell]] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    sections: list[Section] = dataclasses.field(default_factory=list)
    strict: bool = False

    @property
    def failures(self) -> list[Finding]:
        """The findings that end the run with an error."""
        failing = (CRITICAL, WARNING) if self.strict else (CRITICAL,)
        return [finding for finding in self.findings if finding.level in failing]

    @property
    def exit(self) -> int:
        """2, as Ansible's own for a host that failed, where something is critical."""
        return 2 if self.failures else 0

    @property
    def verdict(self) -> Cell:
        counts = [
            (level, len([finding for finding in self.findings if finding.level == level]))
            for level in (CRITICAL, WARNING)
        ]
        parts = [counted(count, level) if level == WARNING else f"{count} {level}" for level, count in counts if count]
        worst = next((level for level, count in counts if count), OK)
        return Cell(", ".join(parts) if parts else "all is well", worst)


def merged(findings: Iterable[tuple[str, str, str, str]]) -> list[Finding]:
    """Findings (level, place, cause, fix), the same of several places as one, the worst first."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for level, place, cause, fix in findings:
        known = places.setdefault((level, cause, fix), [])
        known += [] if place in known else [place]
    made = [Finding(level, few(names), cause, fix) for (level, cause, fix), names in places.items()]
    return sorted(made, key=lambda finding: LEVELS.index(finding.level))


# --- words


def few(names: Sequence[str]) -> str:
    return some(names, MOST_PLACES)


def age(seconds: int) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def ages(seconds: Iterable[int | None]) -> str:
    """The youngest and the oldest age."""
    known = [number for number in seconds if number is not None]
    if not known:
        return ""
    youngest, oldest = age(min(known)), age(max(known))
    return youngest if youngest == oldest else f"{youngest} to {oldest}"
