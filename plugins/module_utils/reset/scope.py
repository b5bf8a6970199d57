# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which components this host has, and what they may have left on it."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
import typing as t
from collections.abc import Iterator, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.footprint import (
    Footprint,
)

DROP_IN = "50-hardway-inputs.conf"
#: A component waits about as long for its health.
UNDISTURBED_TIMEOUT = 180


class ResetError(HardwayError):
    """Nothing was removed."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What the inventory knows and the records do not."""

    install_dir: str = "/opt/hardway"
    bin_dir: str = "/usr/local/bin"
    #: networks of pods, each with its prefix length
    pod_networks: tuple[str, ...] = ()
    #: the virtual address
    endpoint_address: str = ""


@dataclasses.dataclass(frozen=True)
class Owned:
    """What a component's record says of it."""

    paths: tuple[str, ...] = ()
    service: str | None = None
    unit: bool = False
    #: a user that was made for it
    user: str | None = None


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something of ours on this host: what is reported of it, and what is needed to remove it."""

    what: str
    target: t.Any = None


@dataclasses.dataclass
class Scope:
    """The components that this host has, or that a run began to put there, and the footprints of all components."""

    request: Request
    components: dict[str, Owned]
    footprints: Mapping[str, Footprint] = dataclasses.field(default_factory=dict)

    def footprint(self, name: str) -> Footprint:
        return self.footprints.get(name) or Footprint(name)

    def all(self, field: str) -> tuple[str, ...]:
        """The entries of one field in the footprints of the components that are here."""
        found = [value for name in self.components for value in getattr(self.footprint(name), field)]
        return tuple(dict.fromkeys(found))

    def any(self, field: str) -> bool:
        return any(getattr(self.footprint(name), field) for name in self.components)

    def has(self, *names: str) -> bool:
        return any(name in self.components for name in names)

    @property
    def services(self) -> dict[str, str]:
        found = {name: owned.service or self.footprint(name).unit for name, owned in self.components.items()}
        return {name: service for name, service in found.items() if service}


class Resource(t.Protocol):
    """A kind of what may be found. ``find`` only reads."""

    def find(self) -> list[Finding]: ...

    def remove(self, findings: list[Finding]) -> None: ...


@contextlib.contextmanager
def undisturbed(seconds: float = UNDISTURBED_TIMEOUT) -> Iterator[None]:
    """Wait for what a controller that was killed has left at work on this host, and keep it from starting again."""
    with contextlib.ExitStack() as held:
        for path in sorted(glob.glob(f"{component_paths.STATE_DIR}/*.lock")):
            try:
                held.enter_context(locks.hold(path, seconds))
            except locks.LockHeld as error:
                raise ResetError(str(error)) from error
        yield


def read_components(footprints: Mapping[str, Footprint]) -> dict[str, Owned]:
    """The components of this host: from their records, and from the drop-ins of their units where a record is missing or damaged."""
    found: dict[str, Owned] = {}
    for path in sorted(glob.glob(f"{component_paths.STATE_DIR}/*.json")):
        found[os.path.basename(path)[: -len(".json")]] = _owned(path)
    known = {owned.service for owned in found.values()}
    for drop_in in sorted(glob.glob(f"{component_paths.UNIT_DIR}/*.service.d/{DROP_IN}")):
        service = os.path.basename(os.path.dirname(drop_in))[: -len(".d")]
        name = service[: -len(".service")]
        if service not in known:
            unit = name in footprints
            paths = [*found.get(name, Owned()).paths, drop_in] + (
                [f"{component_paths.UNIT_DIR}/{service}"] if unit else []
            )
            found[name] = Owned(paths=tuple(paths), service=service, unit=unit)
    return found


def _owned(path: str) -> Owned:
    try:
        with open(path, encoding="utf-8") as stream:
            owns = json.load(stream)["owns"]
        return Owned(tuple(owns.get("paths") or ()), owns.get("service"), bool(owns.get("unit")), owns.get("user"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return Owned()
