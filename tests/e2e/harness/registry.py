# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drills by their names: a decorator registers each with what it needs, and it is called with the options that its signature names."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterable


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says of how a drill is done. A drill takes those that it uses, as keyword arguments."""

    #: As small as it still proves something.
    short: bool
    #: Of random moments and orders.
    seed: int
    #: Of the jobs of day2, or of the variants, those whose name has this in it.
    only: str = ""


OPTIONS = frozenset(field.name for field in dataclasses.fields(Options))


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a drill needs, and what it costs."""

    #: Machines that are booted for it, besides those of the inventory.
    spares: tuple[str, ...] = ()
    #: It has inventories of its own, and takes none from the command line.
    own_inventory: bool = False
    #: Why it is only run when it is named; empty: it is run with all others.
    on_request: str = ""
    #: It takes more than ten minutes in full.
    long: bool = False


@dataclasses.dataclass(frozen=True)
class Drill:
    """One drill; its function returns a line of figures, and raises DrillFailed."""

    name: str
    description: str
    needs: Needs
    function: Callable[..., str]
    #: The names of options that it takes.
    takes: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The file that it is in."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def notes(self) -> str:
        """What --list adds to the description."""
        found = []
        if self.needs.long:
            found.append("long")
        if "short" in self.takes:
            found.append("smaller with --short")
        if "only" in self.takes:
            found.append("takes --only")
        if self.needs.spares:
            found.append(f"boots {', '.join(self.needs.spares)}")
        if self.needs.own_inventory:
            found.append("inventories of its own")
        if self.needs.on_request:
            found.append(f"only when named: {self.needs.on_request}")
        return "; ".join(found)

    def run(self, options: Options) -> str:
        return self.function(**{name: getattr(options, name) for name in self.takes})


DRILLS: dict[str, Drill] = {}


def drill(
    name: str,
    description: str,
    *,
    spares: tuple[str, ...] = (),
    own_inventory: bool = False,
    on_request: str = "",
    long: bool = False,
) -> Callable[[Callable[..., str]], Callable[..., str]]:
    """Register a function as the drill of this name."""

    def register(function: Callable[..., str]) -> Callable[..., str]:
        takes = tuple(inspect.signature(function).parameters)
        unknown = sorted(set(takes) - OPTIONS)
        if unknown:
            raise TypeError(
                f"drill {name}: there are no options {', '.join(unknown)}; there are {', '.join(sorted(OPTIONS))}"
            )
        if name in DRILLS:
            raise ValueError(f"two drills are called {name}")
        DRILLS[name] = Drill(name, description, Needs(spares, own_inventory, on_request, long), function, takes)
        return function

    return register


def load(subjects: Iterable[str]) -> dict[str, Drill]:
    """Import the files of these subjects; their drills in the subjects' order, and then in that of the file."""
    order = list(subjects)
    for subject in order:
        importlib.import_module(subject)
    return {one.name: one for subject in order for one in DRILLS.values() if one.subject == subject}
