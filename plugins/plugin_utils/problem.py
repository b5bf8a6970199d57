# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something is refused: what is wrong, where, and how to fix it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong (*what*), the host, group, file or setting it is about (*where*), and what to do (*fix*)."""

    where: str
    what: str
    fix: str

    @property
    def text(self) -> str:
        return f"{self.where}: {self.what}\n  Fix: {self.fix}"

    def to_data(self) -> dict[str, str]:
        """For playbooks."""
        return {"where": self.where, "what": self.what, "fix": self.fix, "text": self.text}


def to_data(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [problem.to_data() for problem in problems]
