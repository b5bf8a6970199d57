# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of drills: for people, as JSON, and in the table of docs/drills.md."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t
from collections.abc import Iterable

from .checks import Kind

HEADER = ("| drill | result | day | seconds | figures |", "| --- | --- | --- | --- | --- |")


@dataclasses.dataclass(frozen=True)
class Result:
    """How a drill ended: *kind* is for programs, *figures* for people. *label* is the drill's name and the cluster's, if not the default one."""

    drill: str
    label: str
    kind: Kind
    figures: str
    seconds: float
    short: bool
    day: str = dataclasses.field(default_factory=lambda: time.strftime("%Y-%m-%d"))

    @property
    def passed(self) -> bool:
        return self.kind is Kind.PASSED

    def as_json(self) -> dict[str, t.Any]:
        return {
            "drill": self.label,
            "passed": self.passed,
            "kind": self.kind.value,
            "seconds": round(self.seconds),
            "day": self.day,
            "short": self.short,
            "figures": self.figures,
        }

    def as_row(self) -> str:
        result = "passed" if self.passed else f"FAILED ({self.kind.value})"
        day = self.day + " short" * self.short
        first_line = self.figures.partition("\n")[0].replace("|", "\\|")
        return f"| {self.label} | {result} | {day} | {round(self.seconds)} | {first_line} |"


def table(rows: Iterable[str]) -> str:
    return "\n".join(["", *HEADER, *rows])


def page(results: Iterable[Result], before: str, order: Iterable[str]) -> str:
    """The page with the rows of these results in the place of older ones; drills that did not run keep theirs. *order* is that of the drills' names."""
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    lines |= {result.label: result.as_row() for result in results}
    rows = [lines[label] for name in order for label in sorted(lines) if label.split(" (")[0] == name]
    return (
        "# The drills\n\nThe last result of each drill (written by `tests/e2e/run.py --markdown`, as `make drills` calls it), on seven machines of "
        f"the sandbox on one computer of {os.cpu_count()} processors.\n\n"
        '`tests/e2e/run.py --list` describes each. "gap" is the longest time without a right answer that a client had, asking 20 times a second '
        "through the virtual address: `new` opens a connection for each request, `kept` keeps its own. An API server that stops answers with 429 "
        "and asks to wait for 5 seconds; who waits has a gap, and no failure. In brackets: another cluster, by its inventory (`--inventory`).\n"
        f"{table(rows)}\n"
    )
