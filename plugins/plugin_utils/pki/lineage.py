# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generations of a CA or a key, as a rotation makes them, and the names of their files."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.rotation import FIRST, NAMES

KEYS = ("service-account", "encryption")
CAS = tuple(name for name in NAMES if name not in KEYS)

Generations = Mapping[str, Mapping[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The generations of a CA or a key that are trusted, in ascending order, and the active one, which issues or signs."""

    name: str
    trusted: tuple[int, ...]
    active: int

    @classmethod
    def of(cls, name: str, generations: Generations | None = None, single: bool = False) -> Lineage:
        """The lineage of *name*; with *single* all CAs are copies of ``ca``, and have its generations."""
        followed = "ca" if single and name in CAS else name
        state = (generations or {}).get(followed) or FIRST
        return cls(name, tuple(state["trusted"]), state["active"])

    @property
    def newest(self) -> int:
        return self.trusted[-1]

    def file(self, generation: int) -> str:
        """The name of a generation's files without their endings; the first has the documents' name."""
        return self.name if generation == 1 else f"{self.name}-{generation}"

    @property
    def files(self) -> list[str]:
        return [self.file(generation) for generation in self.trusted]

    @property
    def active_file(self) -> str:
        return self.file(self.active)


def lineages(generations: Generations | None = None, single: bool = False) -> dict[str, Lineage]:
    return {name: Lineage.of(name, generations, single) for name in NAMES}


def generation_names(generations: Generations, single: bool = False) -> dict[str, dict[str, t.Any]]:
    """By CA and key the names of its files without their endings: the active one, and all that are trusted."""
    return {
        name: {"active": lineage.active_file, "trusted": lineage.files}
        for name, lineage in lineages(generations, single).items()
    }
