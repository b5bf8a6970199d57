# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster the drills work on: set by the command line, and by drills that have an inventory of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(os.path.realpath(__file__)).parents[3]
DEFAULT_INVENTORY = "inventory"


@dataclasses.dataclass
class Context:
    """*inventories* are one inventory together; *prefix* is a command through which playbooks and kubectl are run."""

    inventories: list[str] = dataclasses.field(default_factory=lambda: [DEFAULT_INVENTORY])
    prefix: list[str] = dataclasses.field(default_factory=list)

    @property
    def cluster_label(self) -> str:
        """Which cluster this is, if not the default one: by the last inventory's name, in brackets."""
        if self.inventories == [DEFAULT_INVENTORY]:
            return ""
        return f" ({pathlib.Path(self.inventories[-1]).name.removesuffix('.yml')})"


CONTEXT = Context()


@contextlib.contextmanager
def using(inventories: list[str] | None = None, prefix: list[str] | None = None) -> Iterator[None]:
    """Another inventory, or another prefix, inside the block."""
    before = CONTEXT.inventories, CONTEXT.prefix
    CONTEXT.inventories = inventories or CONTEXT.inventories
    CONTEXT.prefix = prefix or CONTEXT.prefix
    try:
        yield
    finally:
        CONTEXT.inventories, CONTEXT.prefix = before
