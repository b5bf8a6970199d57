"""Processes that outlive the command which started them: one unit for each machine, and one for the mirror.

A unit is a cgroup (one in each hierarchy on cgroup v1). Whatever a machine starts stays inside, so the unit's processes can be
found and ended even if systemd-nspawn itself was killed and left them behind.
"""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from . import settings
from .commands import run
from .errors import SandboxError

CGROUPS = Path("/sys/fs/cgroup")
SLICE = "hardway.slice"
KILL_TIMEOUT = 15.0


def unit(name: str) -> Unit:
    """Return the unit of that name, kept by systemd where systemd runs this computer."""
    return SystemdUnit(name) if systemd_runs() else CgroupUnit(name)


def left_behind() -> list[str]:
    """Return the names of all units that exist now, whoever started them."""
    names = set()
    for hierarchy, _version in hierarchies():
        for parent in (hierarchy, hierarchy / SLICE):
            for group in parent.glob(settings.PREFIX + "*"):
                if group.is_dir():
                    names.add(group.name[len(settings.PREFIX) :].partition(".")[0])
    return sorted(names)


def all_units(names: Iterable[str]) -> list[Unit]:
    """Return a unit for each of these names and for each one left behind."""
    return [unit(name) for name in dict.fromkeys([*names, *left_behind()])]


def forget_slice() -> None:
    """Remove the slice of the units, where systemd keeps them, when the last one is gone."""
    if systemd_runs():
        run("systemctl", "stop", SLICE, check=False)


def systemd_runs() -> bool:
    """Tell whether systemd is the first process here (as sd_booted(3) does)."""
    return Path("/run/systemd/system").is_dir()


def hierarchies() -> Iterator[tuple[Path, int]]:
    """Yield the mount point and version (1 or 2) of every cgroup hierarchy."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _source, target, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2") and Path(target).is_relative_to(CGROUPS):
            yield Path(target), 2 if kind == "cgroup2" else 1


class Unit(ABC):
    """A named set of processes with cgroups of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def cgroups(self) -> list[Path]:
        """Return the cgroups, existing or not, that hold this unit's processes."""

    @abstractmethod
    def start(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Start a command in this unit, with its output appended to the log."""

    @abstractmethod
    def _forget(self) -> None:
        """Remove what is left of the unit when its processes are gone."""

    def pids(self) -> list[int]:
        """Return all processes of the unit, as this computer numbers them."""
        found: set[int] = set()
        for group in self.cgroups():
            for directory, _names, _files in os.walk(group):
                try:
                    found.update(
                        int(word) for word in Path(directory, "cgroup.procs").read_text(encoding="ascii").split()
                    )
                except OSError:
                    continue
        found.discard(0)
        return sorted(found)

    def leader(self) -> int | None:
        """Return the machine's first process: the one that is number 1 in a process namespace just below this one."""
        return next((pid for pid in self.pids() if _numbers(pid)[1:] == ["1"]), None)

    def kill(self) -> None:
        """End all processes at once, and remove the cgroups.

        The kernel ends a whole process namespace together with its first process, so nothing in a machine sees another part
        of it die first.
        """
        leader = self.leader()
        if leader is not None:
            _send_kill(leader)
        deadline = time.monotonic() + KILL_TIMEOUT
        while pids := self.pids():
            for pid in pids:
                _send_kill(pid)
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"{self.name}: the processes {', '.join(map(str, pids))} do not end even on SIGKILL. "
                    "Look at what they wait for in /proc/PID/stack, then try again"
                )
            time.sleep(0.02)
        self._forget()


class CgroupUnit(Unit):
    """A unit on a computer without systemd: cgroups made by hand."""

    def cgroups(self) -> list[Path]:
        return [hierarchy / (settings.PREFIX + self.name) for hierarchy, _version in hierarchies()]

    def start(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        for hierarchy, version in hierarchies():
            _make_cgroup(hierarchy, version, settings.PREFIX + self.name)
        # The shell enters the cgroups itself, so that nothing it starts is ever outside of them.
        script = 'exec >>"$1" 2>&1; shift; while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
        run(
            "setsid",
            "--fork",
            "sh",
            "-c",
            script,
            "sh",
            log,
            *self.cgroups(),
            "--",
            *argv,
            cwd="/",
            env={**os.environ, **environment},
        )

    def _forget(self) -> None:
        for group in self.cgroups():
            for directory, _names, _files in os.walk(group, topdown=False):
                _remove_cgroup(Path(directory))


class SystemdUnit(Unit):
    """A unit that the computer's own systemd keeps, as systemd-nspawn@.service does it."""

    @property
    def _service(self) -> str:
        return f"{settings.PREFIX}{self.name}.service"

    def cgroups(self) -> list[Path]:
        return [hierarchy / SLICE / self._service for hierarchy, _version in hierarchies()]

    def start(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        properties = {
            "Delegate": "yes",
            "KillMode": "mixed",
            "TasksMax": "infinity",
            "WorkingDirectory": "/",
            "StandardOutput": f"append:{log}",
            "StandardError": f"append:{log}",
        }
        run(
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={self._service}",
            f"--slice={SLICE}",
            *(f"--property={name}={value}" for name, value in properties.items()),
            *(f"--setenv={name}={value}" for name, value in environment.items()),
            "--",
            *argv,
        )

    def _forget(self) -> None:
        run("systemctl", "stop", self._service, check=False)
        run("systemctl", "reset-failed", self._service, check=False)


def _make_cgroup(hierarchy: Path, version: int, name: str) -> None:
    group = hierarchy / name
    if version == 2:
        for controller in (hierarchy / "cgroup.controllers").read_text(encoding="ascii").split():
            _try_write(hierarchy / "cgroup.subtree_control", f"+{controller}")
    group.mkdir(exist_ok=True)
    if version == 1 and (group / "cpuset.cpus").exists():
        # A new cpuset is empty, and no process may enter an empty one.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            (group / setting).write_text((hierarchy / setting).read_text(encoding="ascii"), encoding="ascii")
        (group / "cgroup.clone_children").write_text("1", encoding="ascii")


def _remove_cgroup(group: Path) -> None:
    for _attempt in range(100):
        try:
            group.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            # The kernel lets go of a dead process's cgroup a moment after the process.
            time.sleep(0.02)
    raise SandboxError(f"{group}: the cgroup cannot be removed, something still uses it")


def _try_write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError:
        # A controller that cannot be handed down is one that the machines do without.
        return


def _numbers(pid: int) -> list[str]:
    """Return the process's number in each nested process namespace, from this one inwards."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])


def _send_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
