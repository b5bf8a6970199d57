# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A component of the cluster on one host: its files, its binaries and the process that runs from them.

The promise: after :func:`reconcile` the running process was started from exactly the inputs that are on the host.
The proof is in the process itself. A digest of all inputs is given to it as the environment variable
``HARDWAY_INPUTS`` through a drop-in of its unit, written after every other file. A run that dies between a change and
its restart leaves a process with the old digest, so the next run sees that the restart is still owed.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import errno
import fcntl
import glob
import grp
import hashlib
import http.client
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts

STATE_DIR = "/var/lib/hardway"
UNIT_DIR = "/etc/systemd/system"
#: Where archives of images lie while they are loaded; /tmp may be memory.
IMAGE_DIR = "/var/lib"
INPUTS_VARIABLE = "HARDWAY_INPUTS"
SECRET_TEXT = "(secret, not shown)\n"
HEALTH_INTERVAL = 0.25
JOURNAL_LINES = 25
#: Where a process that overwrites its environment tells at its start what it was started with.
RUN_DIR = "/run"
#: Seconds that a component which took the place of another stays healthy before the next host does the same.
REPLACED_HOLD = 3


class ComponentError(Exception):
    """What is wrong, where, and what to do; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file that the component owns on the host."""

    path: str
    content: bytes | None = None
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    #: restart, reload or none: what the running process needs when the content changes
    on_change: str = "restart"
    #: a text that stands for a content which is not known yet (check mode, before the controller has made it)
    pending: str | None = None
    absent: bool = False

    @property
    def secret(self):
        return _secret_mode(self.mode)

    @property
    def digest(self):
        return hashlib.sha256(self.content or b"").hexdigest()


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory that must exist before the component starts."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclasses.dataclass(frozen=True)
class Health:
    """How to see that the process serves: any of an HTTP request, a TCP connection and a command.

    Times are in seconds. ``skip`` is for what cannot be healthy yet when it starts
    (an etcd member before its quorum, a kubelet before its certificate is approved).
    """

    url: str | None = None
    ca: str | None = None
    #: false for a server on the loopback address with a certificate that it made itself
    verify: bool = True
    certificate: str | None = None
    key: str | None = None
    tcp: str | None = None
    command: list[str] | None = None
    timeout: float = 120
    hold: float = 0
    skip: bool = False


@dataclasses.dataclass(frozen=True)
class Images:
    """Image archives to load into the runtime once it runs."""

    wanted: list[dict]
    list_command: list[str]
    load_command: list[str]


@dataclasses.dataclass(frozen=True)
class Component:
    """The whole description of one component on one host, as the controller sends it."""

    name: str
    service: str | None = None
    unit: str | None = None
    user: str | None = None
    directories: list[Directory] = dataclasses.field(default_factory=list)
    files: list[File] = dataclasses.field(default_factory=list)
    #: binaries that the process runs, and those that people and others run: only the first are inputs of the process
    artifacts: list[dict] = dataclasses.field(default_factory=list)
    tools: list[dict] = dataclasses.field(default_factory=list)
    apply: list[str] | None = None
    validate: list[str] | None = None
    images: Images | None = None
    health: Health = Health()
    #: the process writes over its environment (nginx, for its title), so its unit tells elsewhere what it was started with
    overwrites_environment: bool = False
    #: name of a component that this one takes the place of
    replaces: str | None = None
    #: the component should not be here
    absent: bool = False
    install_dir: str = "/opt/hardway"
    bin_dir: str = "/usr/local/bin"
    download_timeout: float = 60

    @property
    def drop_in(self):
        return f"{UNIT_DIR}/{self.service}.d/50-hardway-inputs.conf"


@dataclasses.dataclass
class Change:
    """One difference between what was asked for and what is on the host."""

    what: str
    action: str
    before: str = ""
    after: str = ""

    @property
    def shown(self):
        """What a diff shows of it: what has no text of its own (a start, a version, a mode) is told in words."""
        return self.after if self.before != self.after else f"{self.before}{self.action}\n"

    def __str__(self):
        return f"{self.what}: {self.action}"


def from_payload(payload):
    """The component that an encoded payload of the action plugin describes."""
    raw = json.loads(payload)
    raw["files"] = [_file(item) for item in raw.get("files") or []]
    raw["directories"] = [
        Directory(**{**item, "mode": int(item.get("mode", "0755"), 8)}) for item in raw.get("directories") or []
    ]
    raw["health"] = Health(**(raw.get("health") or {}))
    raw["images"] = Images(**raw["images"]) if raw.get("images") else None
    return Component(**{key: value for key, value in raw.items() if value is not None})


def _file(item):
    content = item.pop("content", None)
    return File(
        **{
            **item,
            "mode": int(item.get("mode", "0644"), 8),
            "content": None if content is None else base64.b64decode(content),
        }
    )


class Host:
    """The few things that a component does to a host; in check mode none of them changes anything."""

    def __init__(self, check_mode):
        self.check_mode = check_mode
        #: what files and links were before their first change here: path -> :class:`Before`
        self.before: dict[str, Before] = {}

    def remember(self, path):
        """Before a file or link is changed or removed for the first time."""
        if path not in self.before:
            self.before[path] = Before.of(path)

    def put_back(self):
        """Make all that was remembered as it was."""
        for path, before in self.before.items():
            before.put_back(path)

    def run(self, argv, timeout=120):
        """Run a command that only reads; the finished process with its output as text."""
        try:
            return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
        except FileNotFoundError as error:
            raise ComponentError(f"{argv[0]}: no such command on this host: install the package that has it") from error
        except subprocess.TimeoutExpired as error:
            raise ComponentError(f"{' '.join(argv)}: no end after {timeout} s") from error

    def change(self, argv, timeout=300):
        """Run a command that changes the host, unless in check mode."""
        if self.check_mode:
            return
        done = self.run(argv, timeout)
        if done.returncode:
            raise ComponentError(
                f"{' '.join(argv)}: failed with {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )

    def write(self, path, content, mode, owner="root", group="root"):
        """Replace a file, unless in check mode."""
        if self.check_mode:
            return
        self.remember(path)
        owner_ids = ids(owner, group)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write(path, content, mode, *owner_ids)
        except OSError as error:
            raise ComponentError(f"{path}: cannot be written: {error.strerror}") from error


def ids(owner, group):
    """The numbers of a user and a group by name; an error names who is missing."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ComponentError(
            f"no user or group {error.args[0]} on this host: the component has to name it as its user"
        ) from error


@dataclasses.dataclass(frozen=True)
class Before:
    """A file or a link as it was: *link* is where it led, *content* is None where there was nothing."""

    link: str | None = None
    content: bytes | None = None
    mode: int = 0o600
    uid: int = 0
    gid: int = 0

    @classmethod
    def of(cls, path):
        if os.path.islink(path):
            return cls(link=os.readlink(path))
        if not os.path.isfile(path):
            return cls()
        status = os.stat(path)
        return cls(content=read(path), mode=status.st_mode & 0o7777, uid=status.st_uid, gid=status.st_gid)

    def put_back(self, path):
        if self.link is None and self.content is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        if self.link is None:
            files.write(path, self.content, self.mode, self.uid, self.gid)
            return
        files.write_link(path, self.link)


class Unit:
    """A systemd service as it is now."""

    PROPERTIES = (
        "ActiveState",
        "SubState",
        "MainPID",
        "UnitFileState",
        "NeedDaemonReload",
        "InvocationID",
        "LoadState",
        "Result",
        "Job",
    )

    def __init__(self, host, name):
        self.host = host
        self.name = name
        self.properties: dict[str, str] = {}
        self.refresh()

    def refresh(self):
        shown = self.host.run(["systemctl", "show", self.name, "--property", ",".join(self.PROPERTIES)])
        if shown.returncode:
            raise ComponentError(f"systemctl show {self.name}: {shown.stderr.strip()}")
        self.properties = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        return self

    @property
    def active(self):
        # Between two attempts of a process that fails there is nothing to interrupt.
        return (
            self.properties.get("ActiveState") in ("active", "activating", "reloading")
            and self.properties.get("SubState") != "auto-restart"
        )

    @property
    def failed(self):
        # A process that did not end well is failed for a moment within its restart.
        return self.properties.get("ActiveState") == "failed" and self.properties.get("Job", "") in ("", "0")

    @property
    def enabled(self):
        return self.properties.get("UnitFileState") in ("enabled", "static", "alias", "indirect", "generated")

    @property
    def needs_daemon_reload(self):
        return self.properties.get("NeedDaemonReload") == "yes"

    @property
    def running_inputs(self):
        """The digest that the main process was started with; None where nothing runs or it is not ours."""
        pid = self.properties.get("MainPID", "0")
        if pid == "0":
            return None
        try:
            with open(f"/proc/{pid}/environ", "rb") as stream:
                environment = stream.read().split(b"\0")
        except OSError:
            return None
        prefix = f"{INPUTS_VARIABLE}=".encode()
        return (
            next((entry[len(prefix) :].decode() for entry in environment if entry.startswith(prefix)), None)
            or self._told_inputs()
        )

    def _told_inputs(self):
        """What the unit told at its start, where it is this start that told it."""
        invocation, digest = ((read(told_path(self.name)) or b"").decode(errors="replace").split() + ["", ""])[:2]
        return digest if digest and invocation == self.properties.get("InvocationID") else None

    def journal(self):
        return self.host.run(
            ["journalctl", "--unit", self.name, "--lines", str(JOURNAL_LINES), "--no-pager", "--output", "cat"]
        ).stdout.strip()


class Record:
    """What the digests of a component stand for, so that a restart can be explained; and what was applied or reloaded."""

    def __init__(self, host, name):
        self.host = host
        self.path = f"{STATE_DIR}/{name}.json"
        self.data = self._read()

    def _read(self):
        try:
            with open(self.path, encoding="utf-8") as stream:
                return json.load(stream)
        except (FileNotFoundError, ValueError):
            return {}

    def get(self, key, default=None):
        return self.data.get(key, default)

    def update(self, **values):
        changed = {**self.data, **values}
        if changed != self.data:
            self.data = changed
            self.host.write(self.path, json.dumps(changed, indent=1, sort_keys=True).encode(), 0o600)


def reconcile(component, check_mode=False, defer_restart=False):
    """Make the host have the component as described.

    :arg component: :class:`Component`
    :arg check_mode: say what would be done, do nothing
    :arg defer_restart: when a running process would have to be restarted, do nothing at all and say so
        (``deferred``): the caller asks again when it is this host's turn
    :returns: a dict: ``changed``, ``changes`` (list of text), ``restart`` (reason or None), ``deferred``, ``diff``
    :raises ComponentError: with what, where and what to do
    """
    if check_mode:
        return _plan(component).result()
    with _alone(component.name):
        plan = _plan(component)
        if not plan.changes:
            plan.wait_until_healthy()
            return plan.result()
        if defer_restart and plan.interrupts:
            return {**plan.result(), "deferred": True}
        real = _Run(component, Host(check_mode=False))
        try:
            real.run()
        except ComponentError as error:
            if not real.replaced:
                raise
            raise ComponentError(f"{error}\n{real.go_back()}") from error
        return real.result()


def told_path(service):
    return f"{RUN_DIR}/hardway-{service}.inputs"


def _plan(component):
    plan = _Run(component, Host(check_mode=True))
    plan.run()
    return plan


@contextlib.contextmanager
def _alone(name):
    """Wait for what a controller that was killed has left at work on this host; the kernel ends the lock with its process."""
    os.makedirs(STATE_DIR, exist_ok=True)
    with open(f"{STATE_DIR}/{name}.lock", "a", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


class _Run:
    def __init__(self, component, host):
        self.component = component
        self.host = host
        self.changes: list[Change] = []
        self.restart: str | None = None
        self.interrupts = False
        #: the component that this one replaces ran until now
        self.taking_over = False
        self.unit: Unit | None = None
        #: of the files that the process reloads: what it has loaded
        self.loaded: dict[str, str] = {}
        #: why the process must start anew though it may have our digest: files that were not as this collection had written
        #: them, and files that are removed
        self.owed: set[str] = set()
        self._noted: dict = {}
        #: invocation of the process that this run restarts
        self.left: str | None = None
        #: versions that ran before and do not any more: artifact -> version
        self.replaced: dict[str, str] = {}

    def result(self):
        return {
            "changed": bool(self.changes),
            "changes": [str(change) for change in self.changes],
            "restart": self.restart,
            "deferred": False,
            "diff": [
                {
                    "before_header": change.what,
                    "after_header": change.what,
                    "before": change.before,
                    "after": change.shown,
                }
                for change in self.changes
            ],
        }

    def run(self):
        component = self.component
        if component.absent:
            self._leave(component.name)
            return
        self._own()
        if component.service:
            self.unit = Unit(self.host, component.service)
            self._note_what_runs()
        self._user()
        for directory in component.directories:
            self._directory(directory)
        for artifact in component.artifacts + component.tools:
            self._artifact(artifact)
        for item in component.files:
            self._file(item)
        if component.service:
            self._service()
        elif component.apply:
            self._apply()
        if component.replaces:
            self._leave(component.replaces)
        if component.images:
            self._images(component.images)

    def _leave(self, name):
        """What a component's record says is ours: its service stopped and disabled, its files gone, then the record. Nothing without a record."""
        record = Record(self.host, name)
        owned = record.get("owns")
        if not owned:
            return
        if not self.taking_over:
            self._stop(name)
        others = _paths_of_others(name)
        for path in owned.get("paths", []):
            if path not in others and (os.path.islink(path) or os.path.isfile(path)):
                self._absent(File(path=path))
        self.changes.append(Change(name, "is not ours any more"))
        if self.host.check_mode:
            return
        self.host.change(["systemctl", "daemon-reload"])
        os.unlink(record.path)

    def _stop(self, name):
        service = Record(self.host, name).get("owns", {}).get("service")
        unit = Unit(self.host, service) if service else None
        if unit and (unit.active or unit.properties.get("UnitFileState") == "enabled"):
            self.changes.append(Change(service, "stopped and disabled"))
            self.host.change(["systemctl", "disable", "--now", service])

    def _own(self):
        """Before anything is written, write down what will be ours: a reset removes just that, also after a run that died."""
        component = self.component
        record = Record(self.host, component.name)
        owned = record.get("owns", {})
        paths = {item.path for item in component.files if not item.absent} | {
            item.path for item in component.directories
        }
        if component.unit:
            paths.add(f"{UNIT_DIR}/{component.service}")
        if component.service:
            paths.add(component.drop_in)
        paths.update(
            f"{item.get('link_dir', component.bin_dir)}/{name}"
            for item in component.artifacts + component.tools
            for name in item.get("install", {})
        )
        record.update(
            owns={
                "paths": sorted(paths.union(owned.get("paths", []))),
                "user": owned.get("user") or self._user_to_make(),
                "service": component.service or owned.get("service"),
                "unit": bool(component.unit),
            }
        )

    def _user_to_make(self):
        user = self.component.user
        return user if user and user not in {entry.pw_name for entry in pwd.getpwall()} else None

    # what is on the disk

    def _user(self):
        user = self._user_to_make()
        if user:
            self.changes.append(Change(f"user {user}", "created"))
            self.host.change(
                [
                    "useradd",
                    "--system",
                    "--user-group",
                    "--no-create-home",
                    "--home-dir",
                    "/nonexistent",
                    "--shell",
                    "/usr/sbin/nologin",
                    user,
                ]
            )

    def _directory(self, wanted):
        try:
            status = os.stat(wanted.path)
        except FileNotFoundError:
            self.changes.append(Change(wanted.path, "directory created"))
            if not self.host.check_mode:
                os.makedirs(wanted.path, mode=wanted.mode)
                os.chmod(wanted.path, wanted.mode)
                os.chown(wanted.path, *ids(wanted.owner, wanted.group))
            return
        self._attributes(wanted, status)

    def _attributes(self, wanted, status):
        """Mode and owner; a user that check mode did not create yet counts as a difference already named."""
        try:
            owner = ids(wanted.owner, wanted.group)
        except ComponentError:
            if self.host.check_mode:
                return
            raise
        if (status.st_mode & 0o7777) != wanted.mode:
            self.changes.append(Change(wanted.path, f"mode {status.st_mode & 0o7777:04o} -> {wanted.mode:04o}"))
            if not self.host.check_mode:
                os.chmod(wanted.path, wanted.mode)
        if (status.st_uid, status.st_gid) != owner:
            self.changes.append(
                Change(wanted.path, f"owner {status.st_uid}:{status.st_gid} -> {wanted.owner}:{wanted.group}")
            )
            if not self.host.check_mode:
                os.chown(wanted.path, *owner)

    def _artifact(self, artifact):
        component = self.component
        for name in artifact["install"]:
            self.host.remember(f"{artifact.get('link_dir') or component.bin_dir}/{name}")
        try:
            done = artifacts.install(
                artifact,
                install_dir=component.install_dir,
                bin_dir=component.bin_dir,
                check_mode=self.host.check_mode,
                timeout=component.download_timeout,
            )
        except artifacts.ArtifactError as error:
            raise ComponentError(str(error)) from error
        if done.changed:
            before = done.version_before
            action = (
                f"{before} -> {artifact['version']}"
                if before and before != artifact["version"]
                else f"{artifact['version']} installed"
            )
            if before and before != artifact["version"] and artifact in component.artifacts:
                self.replaced[artifact["name"]] = before
            self.changes.append(Change(f"artifact {artifact['name']}", action))

    def _file(self, wanted):
        if wanted.absent:
            self._absent(wanted)
            return
        before = read(wanted.path)
        if wanted.pending:
            self.changes.append(Change(wanted.path, wanted.pending))
            return
        if before != wanted.content:
            action = "created" if before is None else "changed"
            self.changes.append(Change(wanted.path, action, *shown(wanted, before)))
            self.host.write(wanted.path, wanted.content, wanted.mode, wanted.owner, wanted.group)
            return
        self._attributes(wanted, os.stat(wanted.path))

    def _absent(self, wanted):
        if not os.path.lexists(wanted.path):
            return
        self.changes.append(Change(wanted.path, "removed"))
        if not self.host.check_mode:
            self.host.remember(wanted.path)
            if os.path.isdir(wanted.path) and not os.path.islink(wanted.path):
                shutil.rmtree(wanted.path)
            else:
                os.unlink(wanted.path)

    # what runs

    def _inputs(self, effect):
        """What the process depends on, by the effect that a change has on it: name -> digest."""
        inputs = {
            item.path: item.pending or item.digest
            for item in self.component.files
            if item.on_change == effect and not item.absent
        }
        if effect == "restart":
            inputs.update({f"artifact {item['name']}": item["sha256"] for item in self.component.artifacts})
            if self.component.unit:
                inputs[f"{self.component.service} (unit)"] = hashlib.sha256(self.component.unit.encode()).hexdigest()
        return inputs

    def _service(self):
        component, host, unit = self.component, self.host, self.unit
        record = Record(host, component.name)
        inputs = self._inputs("restart")
        digest = digest_of(inputs)
        running = unit.running_inputs

        unit_changed = self._unit_files(digest, running)
        known = dict(record.get("inputs", {}))
        if not host.check_mode:
            record.update(inputs={key: known[key] for key in known if key == running} | {digest: inputs})
        if not host.check_mode and (unit_changed or unit.refresh().needs_daemon_reload):
            host.change(["systemctl", "daemon-reload"])
            unit.refresh()
        if not unit.enabled:
            self.changes.append(Change(component.service, "enabled"))
            host.change(["systemctl", "enable", component.service])

        if self._takes_over():
            self.interrupts = True
            self._validate()
            self._stop(component.replaces)
        if not unit.active:
            self.changes.append(Change(component.service, "started"))
            self._interrupt(["systemctl", "start", "--no-block", component.service], unit)
        elif running != digest or self.owed:
            self.restart = ", ".join(sorted(self.owed)) if running == digest else reason(known.get(running), inputs)
            self.interrupts = True
            self.changes.append(Change(component.service, f"restarted, because {self.restart}"))
            self._interrupt(["systemctl", "restart", "--no-block", component.service], unit)
        else:
            self._reload()
        if not host.check_mode:
            self.wait_until_healthy()

    def _takes_over(self):
        """Whether what this component replaces runs: two cannot have one port, so it ends right before this one starts."""
        service = (
            Record(self.host, self.component.replaces).get("owns", {}).get("service")
            if self.component.replaces
            else None
        )
        self.taking_over = bool(service) and Unit(self.host, service).active
        return self.taking_over

    def _unit_files(self, digest, running):
        component = self.component
        before = len(self.changes)
        if component.unit:
            self._file(File(path=f"{UNIT_DIR}/{component.service}", content=component.unit.encode()))
        drop_in = f"# Written last: the process that has this digest was started from these inputs.\n[Service]\nEnvironment={INPUTS_VARIABLE}={digest}\n"
        if component.overwrites_environment:
            drop_in += _telling(told_path(component.service))
        if read(component.drop_in) != drop_in.encode():
            # Told through what led to it, so it is a change of its own only where nothing else is.
            if running == digest and not self.changes:
                self.changes.append(Change(component.drop_in, "written again"))
            self.host.write(component.drop_in, drop_in.encode(), 0o644)
            return True
        return len(self.changes) > before

    def _interrupt(self, argv, unit):
        if self.host.check_mode:
            return
        self._validate()
        self.left = unit.properties.get("InvocationID") if unit.active else None
        if unit.failed:
            self.host.change(["systemctl", "reset-failed", self.component.service])
        self.host.change(argv)

    def _validate(self):
        """Each time before something runs from the files: a run that failed here owes it to the next."""
        if self.component.validate:
            self.host.change(self.component.validate)

    def _note_what_runs(self):
        """Before files are written, write down what the process runs from, so that a reload or a restart stays owed if this run dies.

        A file that somebody changed on the host may have been read since: by a reload, or by a start that our digest does not tell.
        """
        invocation = self.unit.properties.get("InvocationID")
        record = Record(self.host, self.component.name)
        noted = record.get("runs", {})
        if noted.get("invocation") != invocation:
            noted = {}
        reloads = self._inputs("reload")
        loaded = {
            path: _as_loaded(on_disk(path), noted.get("loaded", {}).get(path), wanted)
            for path, wanted in reloads.items()
        }
        self.loaded = {path: digest for path, digest in loaded.items() if digest}
        self.owed = set(noted.get("owed", []))
        if self.unit.running_inputs == digest_of(self._inputs("restart")):
            self.owed.update(f"{path} had been changed on the host" for path in self._changed_on_host())
        removed = [item.path for item in self.component.files if item.absent and item.on_change == "restart"]
        self.owed.update(f"{path} was removed" for path in removed if os.path.lexists(path))
        self._noted = {"invocation": invocation, "loaded": self.loaded, "owed": sorted(self.owed)}
        if self.loaded or self.owed or "runs" in record.data:
            record.update(runs=self._noted)

    def _changed_on_host(self):
        component = self.component
        wanted = {
            item.path: item.digest
            for item in component.files
            if item.on_change == "restart" and not item.absent and not item.pending
        }
        if component.unit:
            wanted[f"{UNIT_DIR}/{component.service}"] = hashlib.sha256(component.unit.encode()).hexdigest()
        return [path for path, digest in wanted.items() if on_disk(path) != digest]

    def _reload(self):
        inputs = self._inputs("reload")
        if self.loaded == inputs:
            return
        self.changes.append(Change(self.component.service, f"reloaded, because {reason(self.loaded, inputs)}"))
        if self.host.check_mode:
            return
        self._validate()
        self.host.change(["systemctl", "reload", self.component.service])
        Record(self.host, self.component.name).update(runs={**self._noted, "loaded": inputs})

    def _apply(self):
        """A component without a process: a command brings its files into force."""
        record = Record(self.host, self.component.name)
        inputs = self._inputs("restart")
        if record.get("applied") == digest_of(inputs):
            return
        self.changes.append(Change(self.component.name, "applied"))
        self.host.change(self.component.apply)
        record.update(applied=digest_of(inputs))

    def _images(self, images):
        if self.host.check_mode and self.component.service and not Unit(self.host, self.component.service).active:
            for image in images.wanted:
                self.changes.append(Change(f"image {image['ref']}", "loaded"))
            return
        listed = self.host.run(images.list_command)
        if listed.returncode:
            raise ComponentError(f"{' '.join(images.list_command)}: {listed.stderr.strip()}")
        present = set(listed.stdout.split())
        for image in images.wanted:
            if image["ref"] in present:
                continue
            self.changes.append(Change(f"image {image['ref']}", "loaded"))
            if not self.host.check_mode:
                self._load(images, image)

    def _load(self, images, image):
        with tempfile.TemporaryDirectory(prefix="hardway-image-", dir=IMAGE_DIR) as directory:
            archive = os.path.join(directory, "image.tar")
            try:
                artifacts.fetch(image["url"], image["sha256"], archive, timeout=self.component.download_timeout)
            except artifacts.ArtifactError as error:
                raise ComponentError(str(error)) from error
            self.host.change([*images.load_command, archive])

    # back

    def go_back(self):
        """The new version does not get healthy: all files and links as they were, and the version before runs again. What was reached, in words."""
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.replaced.items()))
        if not self.component.service or self.left is None:
            return f"Before this run it was {versions}."
        try:
            self.host.put_back()
            self.host.change(["systemctl", "daemon-reload"])
            self.unit.refresh()
            if self.unit.failed:
                self.host.change(["systemctl", "reset-failed", self.component.service])
            self.host.change(["systemctl", "restart", "--no-block", self.component.service])
            trouble = self._trouble_after_going_back()
        except (ComponentError, OSError) as error:
            trouble = str(error)
        if trouble:
            return f"Going back to {versions} failed too: {trouble}"
        return f"It went back to {versions}, which is healthy; hosts after this one were left as they are."

    def _trouble_after_going_back(self):
        health = self.component.health
        deadline = time.monotonic() + health.timeout
        left = self.unit.properties.get("InvocationID")
        trouble = "it was not looked at"
        while time.monotonic() < deadline:
            time.sleep(HEALTH_INTERVAL)
            self.unit.refresh()
            if self.unit.properties.get("ActiveState") != "active" or self.unit.properties.get("InvocationID") == left:
                trouble = f"the unit is {self.unit.properties.get('ActiveState')}"
                continue
            trouble = None if health.skip else probe(self.host, health)
            if trouble is None:
                return None
        return trouble

    # health

    def wait_until_healthy(self):
        component, health = self.component, self.component.health
        if health.skip or not component.service:
            return
        unit = Unit(self.host, component.service)
        digest = digest_of(self._inputs("restart"))
        deadline = time.monotonic() + health.timeout
        healthy_since = None
        hold = max(health.hold, REPLACED_HOLD if self.taking_over else 0) if self.changes else 0
        while True:
            trouble = self._trouble(unit, digest)
            now = time.monotonic()
            if trouble is None:
                healthy_since = healthy_since or now
                if now - healthy_since >= hold:
                    return
            else:
                healthy_since = None
                if unit.failed or now > deadline:
                    break
            time.sleep(HEALTH_INTERVAL)
        raise ComponentError(
            f"{component.service} is not healthy after {health.timeout:g} s: {trouble}. "
            f"The last lines of its journal:\n{unit.journal()}"
        )

    def _trouble(self, unit, digest):
        unit.refresh()
        if unit.properties.get("ActiveState") != "active":
            return f"the unit is {unit.properties.get('ActiveState')} ({unit.properties.get('Result')})"
        if unit.properties.get("MainPID", "0") != "0" and (
            unit.running_inputs != digest or unit.properties.get("InvocationID") == self.left
        ):
            return "the old process is still there"
        return probe(self.host, self.component.health)


def probe(host, health):
    """One look at a component's health: None, or what is wrong in words."""
    if health.url:
        trouble = _probe_url(health)
        if trouble:
            return trouble
    if health.tcp:
        address, port = health.tcp.rsplit(":", 1)
        try:
            socket.create_connection((address.strip("[]"), int(port)), timeout=2).close()
        except OSError as error:
            return f"{health.tcp}: {error}"
    if health.command:
        done = host.run(health.command, timeout=30)
        if done.returncode:
            return f"{' '.join(health.command)}: {(done.stderr or done.stdout).strip()}"
    return None


def _probe_url(health):
    parts = urllib.parse.urlsplit(health.url)
    try:
        if parts.scheme == "https":
            context = (
                ssl.create_default_context(cafile=health.ca) if health.verify else ssl._create_unverified_context()
            )
            if health.certificate:
                context.load_cert_chain(health.certificate, health.key)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=5, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
        try:
            connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")))
            answer = connection.getresponse()
            body = answer.read(4000).decode(errors="replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{health.url}: {error}"
    return None if answer.status == 200 else f"{health.url} answered {answer.status}: {body.strip()[-500:]}"


def digest_of(inputs):
    """One digest for a set of inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def reason(before, after):
    """Why a process has to start anew, in words: what its inputs were and what they are."""
    if before is None:
        return "it was not started by this collection or its inputs are unknown"
    words = [f"{name} changed" for name in sorted(after) if name in before and before[name] != after[name]]
    words += [f"{name} is new" for name in sorted(after) if name not in before]
    words += [f"{name} is gone" for name in sorted(before) if name not in after]
    return ", ".join(words) or "a restart was owed"


def read(path):
    """A file's content; None where there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _telling(path):
    """Lines of a unit for a process that does not keep its environment; INVOCATION_ID is systemd's (systemd.exec(5))."""
    return (
        f"ExecStartPost=/bin/sh -c 'echo \"$$INVOCATION_ID $${INPUTS_VARIABLE}\" > {path}'\n"
        f"ExecStopPost=-/bin/rm -f {path}\n"
    )


def _paths_of_others(name):
    """Paths in the records of all components but one."""
    found = set()
    for path in glob.glob(f"{STATE_DIR}/*.json"):
        if os.path.basename(path) != f"{name}.json":
            with contextlib.suppress(OSError, ValueError, AttributeError):
                found.update(json.loads(read(path) or b"{}").get("owns", {}).get("paths", []))
    return found


def on_disk(path):
    """The digest of a file; None where there is none."""
    content = read(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def _as_loaded(found, noted, wanted):
    """What a process has loaded of a file, from what is on the disk, what was noted when it was written, and what is wanted."""
    return noted if noted and found in (noted, wanted) else found


def shown(wanted, before):
    """Before and after as a diff may show them: certificates parsed, secrets not at all."""
    if wanted.secret or (before is not None and _secret_mode(os.stat(wanted.path).st_mode)):
        return ("" if before is None else SECRET_TEXT), SECRET_TEXT if before is None else SECRET_TEXT.replace(
            "not shown", "changed, not shown"
        )
    return _text(before), _text(wanted.content)


def _secret_mode(mode):
    return not mode & 0o044


def _text(content):
    if not content:
        return ""
    if b"-----BEGIN CERTIFICATE-----" in content and b"apiVersion" not in content:
        return "".join(_certificate_text(part) for part in content.split(b"-----BEGIN CERTIFICATE-----")[1:])
    return content.decode(errors="replace")


def _certificate_text(part):
    end = "-----END CERTIFICATE-----"
    pem = "-----BEGIN CERTIFICATE-----" + part.decode(errors="replace").partition(end)[0] + end
    try:
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as stream:
            stream.write(pem)
            stream.flush()
            # The standard library has no other parser; hosts have no third-party Python.
            parsed = ssl._ssl._test_decode_cert(stream.name)
    except (ValueError, OSError):
        return "not a certificate that can be read\n"
    subject = ", ".join(f"{name}={value}" for group in parsed["subject"] for name, value in group)
    issuer = ", ".join(f"{name}={value}" for group in parsed["issuer"] for name, value in group)
    names = ", ".join(f"{kind}:{value}" for kind, value in parsed.get("subjectAltName", ()))
    return (
        f"subject: {subject}\nissuer: {issuer}\nsubjectAltName: {names}\n"
        f"notBefore: {parsed['notBefore']}\nnotAfter: {parsed['notAfter']}\nfingerprint: {fingerprint}\n"
    )
