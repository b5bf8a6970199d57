# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that locks files (flock): with an end to each wait, and with the name of who holds the lock.

The kernel releases a lock when its process ends in any way. But a process may be stopped, or wait for something itself, for ever.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import printable

#: Seconds that the same process may hold a lock. Within them a host downloads what it lacks, and a component gets healthy.
WAIT = 900.0
POLL = 0.05
#: Words of a command line that are shown: an interpreter, its program, and what that works on. Options may have passwords.
_MOST_WORDS = 3
PROC = "/proc"
LONGEST_NOTE = 4096
#: Seconds within which a process that only looks who has a lock (:func:`noted`) lets go of it.
_LOOK = 0.5


class LockHeld(HardwayError):
    """Another process has the lock, and keeps it."""


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process, and the words of its command line before the first option, without their directories."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid}" + (f" ({self.command})" if self.command else "")


def attempt(descriptor: int) -> bool:
    """Take the lock on an open file; whether that was possible at once. Raises OSError where files cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def acquire(descriptor: int, path: str, seconds: float = WAIT) -> None:
    """Wait for the lock on an open file, at most *seconds* for the same holder. Raises LockHeld, which names the holder."""
    if attempt(descriptor):
        return
    seen = holders(path)
    end = time.monotonic() + seconds
    while not attempt(descriptor):
        if time.monotonic() >= end:
            now = holders(path)
            if not now or set(now) & set(seen):
                raise LockHeld(_held(now, seconds), where=path, fix=_fix(now))
            # It passes from hand to hand: each has its own time.
            seen, end = now, time.monotonic() + seconds
        time.sleep(POLL)


@contextlib.contextmanager
def hold(path: str, seconds: float = WAIT) -> Iterator[None]:
    """Hold the lock on a file, which is made where it is missing. Raises LockHeld and OSError."""
    with open(path, "a", encoding="utf-8") as stream:
        acquire(stream.fileno(), path, seconds)
        yield


# --- a lock with a note, that a process keeps until it ends


@dataclasses.dataclass(frozen=True)
class Note:
    """Who took a lock, as it stands in the lock's file. *run* tells one run from another, *work* is what it does."""

    run: str
    work: str
    pid: int
    machine: str
    since: str

    @classmethod
    def of_this_process(cls, run: str, work: str) -> Note:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(run, work, os.getpid(), socket.gethostname(), now)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.machine} ({self.work}), since {self.since}"


def keep(path: str, note: Note) -> int | None:
    """Take the lock on a file and leave a note in it; the descriptor that holds it, None where another process has it.

    It is free when this process has ended, and each that it forked and that has not closed the descriptor. Programs do not inherit it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if not _attempt_for(descriptor, _LOOK):
            os.close(descriptor)
            return None
        data = json.dumps(dataclasses.asdict(note)).encode() + b"\n"
        # Never empty: another run may read it right now.
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _attempt_for(descriptor: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not attempt(descriptor):
        if time.monotonic() >= end:
            return False
        time.sleep(POLL)
    return True


def noted(path: str) -> Note | None:
    """The note of who holds the lock on a file now; None where nobody does, or where there is none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as stream:
        if attempt(descriptor):
            return None
        text = stream.read(LONGEST_NOTE).partition("\n")[0]
    try:
        found = json.loads(text)
        words = [printable(str(found[name])[:200]) for name in ("run", "work", "machine", "since")]
        return Note(words[0], words[1], int(found["pid"]), words[2], words[3])
    except (ValueError, KeyError, TypeError):
        return None


def _held(found: list[Holder], seconds: float) -> str:
    who = (
        " and ".join(map(str, found)) or "a process that cannot be seen from here, of another user or another machine,"
    )
    return f"another run is at work: {who} has held this lock for {seconds:g} s"


def _fix(found: list[Holder]) -> str:
    if not found:
        return "find the run that works there; wait until it has ended, or end it, then run again"
    return f"wait until it has ended, or end it (kill {' '.join(str(holder.pid) for holder in found)}), then run again"


# --- who has it


def holders(path: str) -> list[Holder]:
    """The processes that hold the lock on a file, as far as they can be seen; a child shares its parent's."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    found = {pid for pid in _processes() if _locks(pid, status)} or _listed(status)
    return [Holder(pid, _command(pid)) for pid in sorted(found)]


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC) if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def _locks(pid: int, status: os.stat_result) -> bool:
    """By its open files, which also tell of a lock that was taken by a parent that is gone."""
    directory = f"{PROC}/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"{directory}/{name}"), status):
                    with open(f"{PROC}/{pid}/fdinfo/{name}", encoding="utf-8") as stream:
                        if any(line.startswith("lock:") and " FLOCK " in line for line in stream):
                            return True
    return False


def _listed(status: os.stat_result) -> set[int]:
    """By the kernel's list, for processes of other users (proc_locks(5)): "1: FLOCK ADVISORY WRITE 4711 fd:00:131072 0 EOF"."""
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = set()
    with contextlib.suppress(OSError, ValueError), open(f"{PROC}/locks", encoding="utf-8") as stream:
        for line in stream:
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == place and int(words[4]) > 0:
                found.add(int(words[4]))
    return found - {os.getpid()}


def _command(pid: int) -> str:
    try:
        with open(f"{PROC}/{pid}/cmdline", "rb") as stream:
            words = stream.read(4096).decode(errors="replace").split("\0")
    except OSError:
        return ""
    shown = []
    for word in words[:_MOST_WORDS]:
        if not word or word.startswith("-") or "=" in word:
            break
        shown.append(os.path.basename(word.rstrip("/")))
    return printable(" ".join(shown))
