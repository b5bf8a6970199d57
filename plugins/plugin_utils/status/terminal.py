# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import printable
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import NO_BREAK_SPACE
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    LEVELS,
    WARNING,
    Cell,
    Page,
)

WIDEST = 72


def as_lines(page: Page) -> list[str]:
    """The page as lines of text. Without a place to break it, a line stays a line where results are shown as YAML."""
    lines = [
        f"{page.title}, {page.time}: {page.verdict.text}",
        *_columns([[label, cell.text] for label, cell in page.summary]),
    ]
    lines += [f"{finding.level}: {finding.sentence}" for finding in page.findings]
    for section in page.sections:
        lines += ["", section.title.upper()]
        if section.rows:
            lines += _columns([section.columns] + [[_marked(cell) for cell in row] for row in section.rows])
        lines += section.lines
    # What a host returned must not drive the terminal of who reads it.
    return [line if line.startswith(LEVELS) else line.replace(" ", NO_BREAK_SPACE) for line in map(printable, lines)]


def _marked(cell: Cell) -> str:
    """Colours do not reach every terminal: a warning and worse has a mark."""
    text = cell.text if len(cell.text) <= WIDEST else f"{cell.text[: WIDEST - 3]}..."
    return f"{text} !" if cell.level in (CRITICAL, WARNING) else text


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
