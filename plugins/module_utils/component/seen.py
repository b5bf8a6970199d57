# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan asks of a host: answered on the host itself, or on the controller from what the host returned."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import grp
import hashlib
import json
import os
import pwd
import stat
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts, paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Component, ComponentError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import UnitState, unit_state


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a path leads to. *kind* is file, directory, other, or empty where there is nothing; the rest is of what a link leads to."""

    kind: str = ""
    #: where a link leads
    link: str | None = None
    #: SHA-256 of a file that is no link
    digest: str | None = None
    mode: int = 0
    uid: int = 0
    gid: int = 0
    owner: str = ""
    group: str = ""

    @property
    def present(self) -> bool:
        return bool(self.kind) or self.link is not None


NOTHING = Entry()


class Seen(t.Protocol):
    """The questions of a plan."""

    def entry(self, path: str) -> Entry:
        """What is at a path."""

    def record(self, component: str) -> dict[str, t.Any]:
        """The record of a component; empty where there is none."""

    def paths_of_others(self, component: str) -> set[str]:
        """Paths in the records of all components but one."""

    def unit(self, service: str) -> UnitState:
        """A systemd service."""

    def installed(self, directory: str) -> artifacts.Installed | None:
        """What the directory of an artifact's version holds."""

    def has_user(self, name: str) -> bool:
        """Whether the host has a user."""

    def images(self, component: Component) -> set[str]:
        """Images that the component's runtime holds; the service of the component runs."""


class LiveHost:
    """The host that this runs on."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def entry(self, path: str) -> Entry:
        try:
            link = os.readlink(path) if os.path.islink(path) else None
            status = os.stat(path)
        except OSError:
            return Entry(link=os.readlink(path)) if os.path.islink(path) else NOTHING
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "other"
        digest = _digest(path) if kind == "file" and link is None else None
        owner, group = user_name(status.st_uid), group_name(status.st_gid)
        return Entry(kind, link, digest, status.st_mode & 0o7777, status.st_uid, status.st_gid, owner, group)

    def record(self, component: str) -> dict[str, t.Any]:
        return read_record(paths.record(component))

    def records(self) -> dict[str, dict[str, t.Any]]:
        found = sorted(glob.glob(paths.record("*")))
        return {os.path.basename(path)[: -len(".json")]: read_record(path) for path in found}

    def paths_of_others(self, component: str) -> set[str]:
        return {path for name, record in self.records().items() if name != component for path in owned_paths(record)}

    def unit(self, service: str) -> UnitState:
        return unit_state(self.host, service)

    def installed(self, directory: str) -> artifacts.Installed | None:
        return artifacts.installed(directory)

    def has_user(self, name: str) -> bool:
        return name in {entry.pw_name for entry in pwd.getpwall()}

    def images(self, component: Component) -> set[str]:
        return list_images(self.host, component.images.list_command if component.images else [])


def list_images(host: Host, command: list[str]) -> set[str]:
    """What a runtime's command says of its images."""
    listed = host.run(command)
    if listed.returncode:
        raise ComponentError(f"{' '.join(command)}: {listed.stderr.strip()}")
    return set(listed.stdout.split())


def read_record(path: str) -> dict[str, t.Any]:
    """A record; empty where there is none, or none that can be read."""
    try:
        found = json.loads(files.read_bytes(path) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def owned_paths(record: dict[str, t.Any]) -> list[str]:
    with contextlib.suppress(AttributeError):
        return list(record.get("owns", {}).get("paths", []))
    return []


def user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _digest(path: str) -> str | None:
    content = files.read_bytes(path)
    return None if content is None else hashlib.sha256(content).hexdigest()
