# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done to a host so that it has a component: data, made from what should be and what was seen, by either side.

The promise: after a plan was applied the running process was started from exactly the inputs that are on the host.
The proof is in the process itself. A digest of all inputs is given to it as the environment variable
``HARDWAY_INPUTS`` through a drop-in of its unit, written after every other file. A run that dies between a change and
its restart leaves a process with the old digest, so the next run sees that the restart is still pending.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import (
    Component,
    ComponentError,
    Directory,
    File,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.seen import Entry, Seen, owned_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import UnitState

#: How a kind is called in text, where its name alone does not say it.
_PREFIXES = {"artifact": "artifact ", "user": "user ", "image": "image "}


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference between what should be and what is.

    *verb* says what is done: create, write, set_mode, set_owner, remove, install, enable, stop, start, restart, reload, apply,
    uninstall, load, or pending for what is not known yet. *action* says it to people.
    """

    kind: str
    name: str
    verb: str
    action: str
    before: str = ""
    after: str = ""
    #: what *verb* works on: a File, a Directory, an artifact, an image
    subject: t.Any = None

    @property
    def what(self) -> str:
        return f"{_PREFIXES.get(self.kind, '')}{self.name}"

    def __str__(self) -> str:
        return f"{self.what}: {self.action}"

    def as_data(self) -> dict[str, str]:
        return {
            "kind": self.kind,
            "name": self.name,
            "verb": self.verb,
            "action": self.action,
            "before": self.before,
            "after": self.after,
        }


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why a process has to restart: an input of a *kind* (file, artifact, unit, process) that is another."""

    kind: str
    name: str
    how: str

    def __str__(self) -> str:
        return f"{_PREFIXES.get(self.kind, '')}{self.name} {self.how}".strip()


@dataclasses.dataclass
class Plan:
    """The changes in the order in which they are made, and what the record must say before the first of them."""

    component: Component
    #: before the process is touched; to the process; after it
    files: list[Change] = dataclasses.field(default_factory=list)
    service: list[Change] = dataclasses.field(default_factory=list)
    after: list[Change] = dataclasses.field(default_factory=list)
    causes: list[Cause] = dataclasses.field(default_factory=list)
    #: a running process is interrupted, so hosts go one at a time
    interrupts: bool = False
    #: the component that this one replaces runs until then
    taking_over: bool = False
    #: the unit differs, or the drop-in with the digest of its inputs
    unit_differs: bool = False
    drop_in_differs: bool = False
    #: the record says something else than these
    record: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    record_differs: bool = False
    unit: UnitState = dataclasses.field(default_factory=UnitState)
    #: versions that run now and will not any more: artifact -> version
    replaced: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def changes(self) -> list[Change]:
        return self.files + self.service + self.after

    @property
    def restart(self) -> str | None:
        """Why a running process is restarted, in words; None where none is."""
        return ", ".join(map(str, self.causes)) or None

    def as_data(self) -> dict[str, t.Any]:
        return {
            "changes": [change.as_data() for change in self.changes],
            "restart": self.restart,
            "causes": [dataclasses.asdict(cause) for cause in self.causes],
        }


def plan(component: Component, seen: Seen) -> Plan:
    """Compare a component with what was seen of a host.

    :arg component: as it should be
    :arg seen: answers for the host
    :returns: the plan; without changes where the host has the component as it should be
    :raises ComponentError: the component cannot be as described
    """
    made = Plan(component)
    if component.absent:
        _uninstall(made, seen, component.name)
        return made
    _Planner(made, seen).plan()
    return made


class _Planner:
    def __init__(self, made: Plan, seen: Seen) -> None:
        self.made = made
        self.seen = seen
        self.component = made.component
        self.known = seen.record(self.component.name)
        self.inputs = self.component.inputs("restart")
        self.digest = self.component.digest

    def plan(self) -> None:
        component, made = self.component, self.made
        if component.service:
            made.unit = self.seen.unit(component.service)
        self._user()
        for directory in component.directories:
            self._directory(directory)
        for artifact in component.artifacts + component.tools:
            self._artifact(artifact)
        for item in component.files:
            self._file(item)
        if component.service:
            self._service()
        elif component.apply and self.known.get("applied") != self.digest:
            made.after.append(Change("component", component.name, "apply", "applied"))
        if component.replaces:
            _uninstall(made, self.seen, component.replaces, stop=not made.taking_over)
        if component.images:
            self._images()
        self._record()

    # files

    def _user(self) -> None:
        user = self.component.user
        if user and not self.seen.has_user(user):
            self.made.files.append(Change("user", user, "create", "created"))

    def _directory(self, wanted: Directory) -> None:
        entry = self.seen.entry(wanted.path)
        if not entry.kind:
            change = Change("directory", wanted.path, "create", "directory created", subject=wanted)
            self.made.files.append(change)
            return
        self._attributes("directory", wanted, entry)

    def _attributes(self, kind: str, wanted: Directory | File, entry: Entry) -> None:
        if entry.mode != wanted.mode:
            before, after = f"{entry.mode:04o}", f"{wanted.mode:04o}"
            action = f"mode {before} -> {after}"
            self.made.files.append(Change(kind, wanted.path, "set_mode", action, before, after, wanted))
        if (entry.owner, entry.group) != (wanted.owner, wanted.group):
            before, after = f"{entry.owner}:{entry.group}", f"{wanted.owner}:{wanted.group}"
            action = f"owner {before} -> {after}"
            self.made.files.append(Change(kind, wanted.path, "set_owner", action, before, after, wanted))

    def _artifact(self, artifact: dict[str, t.Any]) -> None:
        component, version = self.component, str(artifact["version"])
        try:
            directory, links = artifacts.places(artifact, component.install_dir, component.bin_dir)
        except artifacts.ArtifactError as error:
            raise ComponentError(str(error)) from error
        found = self.seen.installed(directory)
        complete = (
            found and found.whole and (found.sha256, found.members) == (artifact["sha256"], dict(artifact["install"]))
        )
        targets = {link: self.seen.entry(link).link for link in links}
        if complete and targets == links:
            return
        before = _version_of(targets.values(), directory)
        action = f"{before} -> {version}" if before and before != version else f"{version} installed"
        if before and before != version and artifact in component.artifacts:
            self.made.replaced[artifact["name"]] = before
        change = Change("artifact", artifact["name"], "install", action, before or "", version, artifact)
        self.made.files.append(change)

    def _file(self, wanted: File) -> None:
        entry = self.seen.entry(wanted.path)
        if wanted.absent:
            if entry.present:
                self.made.files.append(Change("file", wanted.path, "remove", "removed", subject=wanted))
        elif wanted.pending:
            self.made.files.append(Change("file", wanted.path, "pending", wanted.pending, subject=wanted))
        elif entry.link is not None or entry.digest != wanted.digest:
            action = "changed" if entry.present else "created"
            change = Change("file", wanted.path, "write", action, entry.digest or "", wanted.digest, wanted)
            self.made.files.append(change)
        else:
            self._attributes("file", wanted, entry)

    # the process

    def _service(self) -> None:
        component, made = self.component, self.made
        runs = self._runs()
        self._unit_files()
        service = component.service or ""
        if not made.unit.enabled:
            made.service.append(Change("service", service, "enable", "enabled"))
        self._take_over()
        if not made.unit.active:
            made.service.append(Change("service", service, "start", "started"))
        elif made.unit.running_inputs != self.digest or runs.pending:
            made.causes = self._causes(runs)
            made.interrupts = True
            action = f"restarted, because {made.restart}"
            made.service.append(Change("service", service, "restart", action, after=made.restart or ""))
        elif runs.loaded != component.inputs("reload"):
            causes = _differences(runs.loaded, component.inputs("reload"))
            action = f"reloaded, because {', '.join(map(str, causes))}"
            made.service.append(Change("service", service, "reload", action))

    def _unit_files(self) -> None:
        component, made = self.component, self.made
        before = len(made.files)
        if component.unit_file:
            self._file(component.unit_file)
        drop_in = File(component.drop_in, component.drop_in_text.encode())
        made.unit_differs = len(made.files) > before
        if self.seen.entry(drop_in.path).digest != drop_in.digest:
            made.drop_in_differs = True
            # Reported through what led to it, so it is a change of its own only where nothing else is.
            if made.unit.running_inputs == self.digest and not made.files:
                made.files.append(Change("unit", drop_in.path, "write_drop_in", "written again"))

    def _take_over(self) -> None:
        """Two cannot have one port: what this component replaces ends right before this one starts."""
        replaces = self.component.replaces
        service = self.seen.record(replaces).get("owns", {}).get("service") if replaces else None
        if service and self.seen.unit(service).active:
            self.made.taking_over = self.made.interrupts = True
            self.made.service.append(_stopped(service))

    def _causes(self, runs: Runs) -> list[Cause]:
        running = self.made.unit.running_inputs
        if running == self.digest:
            return [_pending_cause(text) for text in sorted(runs.pending)]
        before = self.known.get("inputs", {}).get(running)
        if before is None:
            return [Cause("process", "it", "was not started by this collection or its inputs are unknown")]
        return _differences(before, self.inputs) or [Cause("process", "a restart", "was pending")]

    def _runs(self) -> Runs:
        """What the process runs from, written down before files are: a reload or a restart stays pending if this run dies.

        A file that somebody changed on the host may have been read since: by a reload, or by a start that our digest does not tell.
        """
        component, unit = self.component, self.made.unit
        noted = self.known.get("runs", {})
        if noted.get("invocation") != unit.invocation:
            noted = {}
        loaded = {
            path: _as_loaded(self.seen.entry(path).digest, noted.get("loaded", {}).get(path), wanted)
            for path, wanted in component.inputs("reload").items()
        }
        # Records of before 0.1.0 say `owed`.
        pending = set(noted.get("pending", noted.get("owed", [])))
        if unit.running_inputs == self.digest:
            pending.update(f"{path} had been changed on the host" for path in self._changed_on_host())
        removed = [item.path for item in component.files if item.absent and item.on_change == "restart"]
        pending.update(f"{path} was removed" for path in removed if self.seen.entry(path).present)
        once = [item for item in component.files if not item.absent and item.on_change == "restart_once"]
        pending.update(f"{item.path} was written" for item in once if self.seen.entry(item.path).digest != item.digest)
        runs = Runs({path: digest for path, digest in loaded.items() if digest}, pending)
        if runs.loaded or runs.pending or "runs" in self.known:
            self.made.record["runs"] = {
                "invocation": unit.invocation,
                "loaded": runs.loaded,
                "pending": sorted(runs.pending),
            }
        return runs

    def _changed_on_host(self) -> list[str]:
        files = [item for item in self.component.files if item.on_change == "restart"]
        if self.component.unit_file:
            files.append(self.component.unit_file)
        wanted = {item.path: item.digest for item in files if not item.absent and not item.pending}
        return [path for path, digest in wanted.items() if self.seen.entry(path).digest != digest]

    # the rest

    def _images(self) -> None:
        images = self.component.images
        if images is None:
            return
        runs = not self.component.service or self.made.unit.active
        present = self.seen.images(self.component) if runs else set()
        for image in images.wanted:
            if image["ref"] not in present:
                self.made.after.append(Change("image", image["ref"], "load", "loaded", subject=image))

    def _record(self) -> None:
        """What is ours, before anything is written: a reset removes just that, also after a run that died; and what to look at."""
        component, owned = self.component, self.known.get("owns", {})
        makes_user = component.user if component.user and not self.seen.has_user(component.user) else None
        health = {key: value for key, value in dataclasses.asdict(component.health).items() if value is not None}
        self.made.record["owns"] = {
            "paths": sorted(component.owned_paths().union(owned_paths(self.known))),
            "user": owned.get("user") or makes_user,
            "service": component.service or owned.get("service"),
            "unit": bool(component.unit),
        }
        self.made.record["observe"] = {
            "health": {key: value for key, value in health.items() if key not in ("timeout", "hold", "skip")},
            "images": component.images.list_command if component.images else [],
        }
        lasting = {key: value for key, value in self.made.record.items() if key != "runs"}
        self.made.record_differs = any(self.known.get(key) != value for key, value in lasting.items())


@dataclasses.dataclass(frozen=True)
class Runs:
    """What a process has loaded of the files that it reloads, and why it must restart though it may have our digest."""

    loaded: dict[str, str]
    pending: set[str]


def _uninstall(made: Plan, seen: Seen, name: str, stop: bool = True) -> None:
    """What a component's record says is ours: its service stopped and disabled, its files gone, then the record. Nothing without a record."""
    owned = seen.record(name).get("owns")
    if not owned:
        return
    service = owned.get("service")
    unit = seen.unit(service) if service and stop else None
    if unit and (unit.active or unit.properties.get("UnitFileState") == "enabled"):
        made.after.append(_stopped(service))
    others = seen.paths_of_others(name)
    for path in owned.get("paths", []):
        entry = seen.entry(path)
        if path not in others and (entry.link is not None or entry.kind == "file"):
            made.after.append(Change("file", path, "remove", "removed", subject=File(path)))
    made.after.append(Change("component", name, "uninstall", "is not ours any more"))


def _stopped(service: str) -> Change:
    return Change("service", service, "stop", "stopped and disabled")


def _version_of(targets: t.Iterable[str | None], directory: str) -> str | None:
    """The version that the first link into the artifact's home leads to."""
    home = directory.rpartition("/")[0]
    for target in targets:
        before = (target or "").rpartition("/")[0]
        if before.rpartition("/")[0] == home:
            return before.rpartition("/")[2]
    return None


def _differences(before: t.Mapping[str, str], after: t.Mapping[str, str]) -> list[Cause]:
    """Why a process has to restart: what its inputs were and what they are."""
    found = [_cause(name, "changed") for name in sorted(after) if name in before and before[name] != after[name]]
    found += [_cause(name, "is new") for name in sorted(after) if name not in before]
    return found + [_cause(name, "is gone") for name in sorted(before) if name not in after]


def reason(before: t.Mapping[str, str] | None, after: t.Mapping[str, str]) -> str:
    """The same in words, for what is read on a host without a plan."""
    if before is None:
        return "it was not started by this collection or its inputs are unknown"
    return ", ".join(map(str, _differences(before, after))) or "a restart was pending"


def _cause(name: str, how: str) -> Cause:
    if name.startswith("artifact "):
        return Cause("artifact", name[len("artifact ") :], how)
    return Cause("unit" if name.endswith(" (unit)") else "file", name, how)


def _pending_cause(text: str) -> Cause:
    path, _space, how = text.partition(" ")
    return Cause("file", path, how)


def _as_loaded(found: str | None, noted: str | None, wanted: str) -> str | None:
    """What a process has loaded of a file, from what is on the disk, what was noted when it was written, and what is wanted."""
    return noted if noted and found in (noted, wanted) else found
