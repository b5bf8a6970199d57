# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a plan asks of a host, returned by it in one answer: observed there, read on the controller.

What a host returns is input: it is rebuilt field by field, each checked for its type and length. It is believed about this host alone.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pwd
import re
import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts, health
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import (
    Component,
    ComponentError,
    Health,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.seen import (
    NOTHING,
    Entry,
    LiveHost,
    list_images,
    owned_paths,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import UnitState, unit_states

#: More of anything, or longer texts, are no answer of this collection's code.
MOST = 5000
LONGEST = 4096
PROBES_AT_ONCE = 8
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HEALTH = {item.name for item in dataclasses.fields(Health)}


class SnapshotError(HardwayError):
    """An answer of a host that is not what its code returns; names the field."""


# --- on the host


def observe(host: Host | None = None) -> dict[str, t.Any]:
    """Read what the components of this host own and run from, and whether they serve.

    :returns: plain data: ``records``, ``entries``, ``units``, ``installed``, ``users``, ``images``, ``trouble``
    """
    host = host or Host()
    live = LiveHost(host)
    records = live.records()
    paths = sorted({path for record in records.values() for path in owned_paths(record)})
    entries = {path: live.entry(path) for path in paths}
    services = {name: record["owns"].get("service") for name, record in records.items() if record.get("owns")}
    units = unit_states(host, sorted({service for service in services.values() if service}))
    directories = sorted({os.path.dirname(entry.link) for entry in entries.values() if entry.link})
    installed = {directory: live.installed(directory) for directory in directories}
    running = [name for name in records if services.get(name) and units[services[name]].active]
    return {
        "records": records,
        "entries": {path: dataclasses.asdict(entry) for path, entry in entries.items() if entry.present},
        "units": {name: dataclasses.asdict(unit) for name, unit in units.items()},
        "installed": {path: dataclasses.asdict(found) for path, found in installed.items() if found},
        "users": sorted(entry.pw_name for entry in pwd.getpwall()),
        "images": {name: images for name in running if (images := _images(host, records[name])) is not None},
        "trouble": _troubles(host, {name: records[name] for name in running}),
    }


def _images(host: Host, record: dict[str, t.Any]) -> list[str] | None:
    command = record.get("observe", {}).get("images")
    if not command:
        return None
    try:
        return sorted(list_images(host, command))
    except ComponentError:
        return None


def _troubles(host: Host, records: dict[str, dict[str, t.Any]]) -> dict[str, str | None]:
    """What is wrong with each component that says how to see it: None where nothing is."""
    wanted = {name: record["observe"]["health"] for name, record in records.items() if record.get("observe")}
    with concurrent.futures.ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        answers = pool.map(lambda spec: _trouble(host, spec), wanted.values())
        return dict(zip(wanted, answers))


def _trouble(host: Host, spec: dict[str, t.Any]) -> str | None:
    known = {key: value for key, value in spec.items() if key in _HEALTH}
    try:
        return health.probe(host, Health(**known))
    except (ComponentError, OSError, ValueError) as error:
        return str(error)


# --- on the controller


class Snapshot:
    """What a host returned, in the place of the host: answers a plan as the host itself would.

    A path that nobody looked at counts as one where nothing is: the plan then has a change, and the host looks again before it writes.
    """

    def __init__(self, raw: object) -> None:
        """Check what a host returned.

        :raises SnapshotError: it is not what :func:`observe` returns
        """
        data = _mapping("components", raw)
        self._records = {name: _record(name, item) for name, item in _field(data, "records").items()}
        self._entries = {
            path: Entry(**_checked(f"entries.{path}", item, Entry)) for path, item in _field(data, "entries").items()
        }
        self._units = {name: _unit(name, item) for name, item in _field(data, "units").items()}
        self._installed = {path: _installed(path, item) for path, item in _field(data, "installed").items()}
        self._users = set(_texts("users", data.get("users")))
        self._images = {name: set(_texts(f"images.{name}", item)) for name, item in _field(data, "images").items()}
        self._trouble = {name: _text_or_none(f"trouble.{name}", item) for name, item in _field(data, "trouble").items()}

    def entry(self, path: str) -> Entry:
        return self._entries.get(path, NOTHING)

    def record(self, component: str) -> dict[str, t.Any]:
        return self._records.get(component, {})

    def paths_of_others(self, component: str) -> set[str]:
        return {path for name, record in self._records.items() if name != component for path in owned_paths(record)}

    def unit(self, service: str) -> UnitState:
        return self._units.get(service, UnitState())

    def installed(self, directory: str) -> artifacts.Installed | None:
        return self._installed.get(directory)

    def has_user(self, name: str) -> bool:
        return name in self._users

    def images(self, component: Component) -> set[str]:
        return self._images.get(component.name, set())

    def trouble(self, component: Component) -> str | None:
        """What was wrong with a component that should serve; None where nothing was, or where nothing can be told yet."""
        if component.absent or component.health.skip or not component.service:
            return None
        return self._trouble.get(component.name)


def _mapping(place: str, raw: object) -> Mapping[str, t.Any]:
    if not isinstance(raw, Mapping) or len(raw) > MOST or not all(isinstance(key, str) for key in raw):
        raise SnapshotError(f"{place} is no mapping of a sensible size")
    for key in raw:
        _text(f"a key of {place}", key)
    return raw


def _field(data: Mapping[str, t.Any], name: str) -> Mapping[str, t.Any]:
    return _mapping(name, data.get(name))


def _text(place: str, raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > LONGEST or _CONTROL.search(raw):
        raise SnapshotError(f"{place} is no text of a sensible length")
    return str(raw)


def _text_or_none(place: str, raw: object) -> str | None:
    if isinstance(raw, str):
        return _CONTROL.sub(" ", raw[:LONGEST])
    return None if raw is None else _text(place, raw)


def _number(place: str, raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw < 2**32:
        raise SnapshotError(f"{place} is no number in its range")
    return int(raw)


def _truth(place: str, raw: object) -> bool:
    if not isinstance(raw, bool):
        raise SnapshotError(f"{place} is neither true nor false")
    return raw


def _texts(place: str, raw: object) -> list[str]:
    if not isinstance(raw, list) or len(raw) > MOST:
        raise SnapshotError(f"{place} is no list of a sensible size")
    return [_text(place, item) for item in raw]


_CHECKS: dict[str, Callable[[str, object], t.Any]] = {
    "str": _text,
    "str | None": _text_or_none,
    "int": _number,
    "bool": _truth,
}


def _checked(place: str, raw: object, kind: type) -> dict[str, t.Any]:
    """The fields of a dataclass of texts and numbers."""
    data = _mapping(place, raw)
    return {
        item.name: _CHECKS[str(item.type)](f"{place}.{item.name}", data.get(item.name))
        for item in dataclasses.fields(kind)
    }


def _texts_by_name(place: str, raw: object) -> dict[str, str]:
    return {key: _text(f"{place}.{key}", value) for key, value in _mapping(place, raw).items()}


def _unit(name: str, raw: object) -> UnitState:
    data = _mapping(f"units.{name}", raw)
    inputs = _text_or_none(f"units.{name}.running_inputs", data.get("running_inputs"))
    return UnitState(_texts_by_name(f"units.{name}.properties", data.get("properties")), inputs)


def _installed(path: str, raw: object) -> artifacts.Installed:
    place = f"installed.{path}"
    data = _mapping(place, raw)
    sha256, whole = _text(f"{place}.sha256", data.get("sha256")), _truth(f"{place}.whole", data.get("whole"))
    return artifacts.Installed(sha256, _texts_by_name(f"{place}.members", data.get("members")), whole)


def _record(name: str, raw: object, depth: int = 0) -> t.Any:
    """A record is JSON of texts and numbers, not deep."""
    place = f"records.{name}"
    if depth > 6:
        raise SnapshotError(f"{place} is too deep")
    if isinstance(raw, Mapping):
        return {key: _record(name, value, depth + 1) for key, value in _mapping(place, raw).items()}
    if depth == 0:
        raise SnapshotError(f"{place} is no mapping")
    if isinstance(raw, list):
        if len(raw) > MOST:
            raise SnapshotError(f"{place} has too long a list")
        return [_record(name, value, depth + 1) for value in raw]
    if isinstance(raw, (bool, int, float, type(None))):
        return raw
    return _text(place, raw)
