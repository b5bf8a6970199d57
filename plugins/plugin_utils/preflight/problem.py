# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A problem found before anything is changed, and how a list of them reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

ERROR = "error"
WARNING = "warning"
WIDTH = 150


@dataclass(frozen=True)
class Problem:
    """What is wrong (message), where (place: a host, a setting with its file and line, a group), and what to do (mend).

    kind names the rule, in a word that can be given to the setting preflight_accept.
    """

    kind: str
    place: str
    message: str
    mend: str
    level: str = ERROR


def settle(problems: Iterable[Problem], accepted: Iterable[str] = ()) -> list[Problem]:
    """Each problem once, those of an accepted kind as warnings, errors first, then by place."""
    kinds = set(accepted)
    settled = {replace(problem, level=WARNING) if problem.kind in kinds else problem for problem in problems}
    return sorted(settled, key=lambda problem: (problem.level, problem.place, problem.kind, problem.message))


def errors(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.level == ERROR]


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def paragraph(label: str, text: str) -> str:
    indent = " " * 6
    return textwrap.fill(
        f"{label}{text}",
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def entry(number: int, problem: Problem) -> str:
    level = "" if problem.level == ERROR else f"{problem.level}, "
    return "\n".join(
        [
            f"{number:3}. {problem.place}  [{level}{problem.kind}]",
            paragraph("", problem.message),
            paragraph("Mend: ", problem.mend),
        ]
    )


def report(problems: list[Problem]) -> str:
    """All problems as one readable text, place first."""
    wrong = len(errors(problems))
    counts = [counted(wrong, "error")] if wrong else []
    if len(problems) > wrong:
        counts.append(counted(len(problems) - wrong, "warning"))
    head = f"Preflight found {' and '.join(counts) or 'no problem'}. Nothing was changed on any host."
    return "\n".join([head, *(entry(number, problem) for number, problem in enumerate(problems, 1))])
