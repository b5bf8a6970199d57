# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that writes files: whole or not at all, with their mode from the first byte, on the disk when it returns.

A file is written under a temporary name next to it and then renamed. That name is the same each time (:func:`temporary_of`), so that what a
killed run has left is replaced by the next one, and found by a reset.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

SECRET = 0o600
PUBLIC = 0o644
#: The end of the name of everything that is not in its place yet.
TEMPORARY = ".hardway-new"
_MOST_NAME = 255
#: Seconds in which another run has written its file.
_WRITTEN = 60.0
KEEP = -1


class FileRefused(HardwayError):
    """A file or directory that is not safely ours."""


@dataclass(frozen=True)
class Content:
    data: bytes
    mode: int


# --- names


def temporary_of(path: str) -> str:
    """Where a file, link or directory is made before it is renamed to *path*."""
    directory, name = os.path.split(path.rstrip("/"))
    room = _MOST_NAME - len(TEMPORARY) - 1
    short = os.fsdecode(os.fsencode(name)[:room])
    return os.path.join(directory, f".{short}{TEMPORARY}")


def is_temporary(name: str) -> bool:
    """Whether that is the name of something that a run was writing. A program that writes there for us may append an ending of its own."""
    return name.startswith(".") and f"{TEMPORARY}." in f"{name}."


def leftovers_of(path: str) -> list[str]:
    """What a killed run left of what it was making for *path*."""
    directory, name = os.path.split(temporary_of(path))
    try:
        entries = os.listdir(directory or ".")
    except OSError:
        return []
    return sorted(os.path.join(directory, entry) for entry in entries if entry == name or entry.startswith(f"{name}."))


# --- reading


def _refuse_foreign(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise FileRefused(
            f"{path} belongs to user {status.st_uid}, not to the user of this run ({os.geteuid()}); run as its owner, or chown it"
        )


def read(path: str) -> Content | None:
    """The content of a regular file of our own, None where there is none; a link or a foreign file is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.path.islink(path):
            raise FileRefused(f"{path} is a symbolic link; put the file itself there") from error
        raise FileRefused(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileRefused(f"{path} is not a regular file; move it away")
        _refuse_foreign(path, status)
        return Content(file.read(), stat.S_IMODE(status.st_mode))


def read_bytes(path: str) -> bytes | None:
    """The content of any file; None where there is none. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def read_text(path: str) -> str:
    """The text of any file; empty where there is none, or where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# --- writing


def _claim(temporary: str) -> int:
    """An empty file of ours, locked. What a killed run has left there is removed; a run that is writing there is waited for."""
    while True:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET)
        except FileExistsError:
            _remove_abandoned(temporary)
            continue
        try:
            _acquire(descriptor, temporary, _WRITTEN)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_same(descriptor, temporary):
            return descriptor
        os.close(descriptor)


def _remove_abandoned(temporary: str) -> None:
    try:
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError:
        remove(temporary)  # a link
        return
    try:
        _acquire(descriptor, temporary, _WRITTEN)
        if _is_same(descriptor, temporary):
            remove(temporary)
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, path: str) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


@contextmanager
def _written(path: str, data: bytes, mode: int, uid: int, gid: int) -> Iterator[str]:
    """A file with that content under its temporary name, which nobody else takes until the end."""
    temporary = temporary_of(path)
    with os.fdopen(_claim(temporary), "wb") as file:
        try:
            file.write(data)
            file.flush()
            if (uid, gid) != (KEEP, KEEP):
                os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            yield temporary
        except BaseException:
            remove(temporary)
            raise


def write(path: str, data: bytes, mode: int, uid: int = KEEP, gid: int = KEEP) -> None:
    """Put a whole new file in the place of an old one; at any kill there is the old one or the new one."""
    with _written(path, data, mode, uid, gid) as temporary:
        os.rename(temporary, path)


def stage(path: str, data: bytes, mode: int) -> str:
    """Write a file under its temporary name, for :func:`move`. The caller holds a lock under which alone *path* is written."""
    with _written(path, data, mode, KEEP, KEEP) as temporary:
        return temporary


def write_link(path: str, target: str) -> None:
    """Put a symbolic link in the place of a file or another link, in one step."""
    temporary = temporary_of(path)
    remove(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)


def move(source: str, path: str, sync: bool = False) -> None:
    """Rename, and with *sync* make that last through a loss of power."""
    os.rename(source, path)
    if sync:
        sync_directory(os.path.dirname(path) or ".")


def sync(path: str) -> None:
    """Bring the content of a file that another program wrote onto the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_leftovers(directory: str) -> None:
    """Remove files that a killed run left half-written; only for the holder of the directory's lock."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if is_temporary(name) and not is_directory(path):
            remove(path)


# --- directories


def names(directory: str) -> list[str]:
    """The entries of a directory in order, without what a killed run left; none where it does not exist."""
    try:
        return sorted(name for name in os.listdir(directory) if not is_temporary(name))
    except FileNotFoundError:
        return []


@contextmanager
def temporary_directory(path: str, mode: int = 0o700) -> Iterator[str]:
    """An empty directory under the temporary name of *path*, to be filled and moved there; what is left of it at the end is removed."""
    temporary = temporary_of(path)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        os.mkdir(temporary, mode)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_directory(path: str) -> bool:
    """Whether it is one itself, not by a link."""
    return os.path.isdir(path) and not os.path.islink(path)


def check_directory(path: str) -> int | None:
    """The mode of a directory of our own, None where there is none; a link or a foreign one is refused."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileRefused(f"{path} cannot be reached: {error.strerror}") from error
    if stat.S_ISLNK(status.st_mode):
        raise FileRefused(f"{path} is a symbolic link; name the directory itself")
    if not stat.S_ISDIR(status.st_mode):
        raise FileRefused(f"{path} is not a directory")
    _refuse_foreign(path, status)
    return stat.S_IMODE(status.st_mode)


def make_directory(path: str) -> bool:
    """Make a directory, and what is missing above it, with mode 0700 from the first moment; tells whether it was missing."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(path)
    if parent:
        make_directory(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise FileRefused(f"{path} is not a directory") from None
        return False
    except OSError as error:
        raise FileRefused(f"{path} cannot be made: {error.strerror}") from error
    return True


def sync_directory(path: str) -> None:
    """Make renames in a directory last through a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lock(path: str, create: bool = True, seconds: float = locks.WAIT) -> Iterator[None]:
    """Wait for and hold the lock on a file or a directory. Raises FileRefused, which names the holder, when that takes more than *seconds*.

    With `create` false a missing file means that nobody can hold the lock, and nothing is made.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY if os.path.isdir(path) else os.O_RDWR | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET)
    except FileNotFoundError:
        if create:
            raise
        yield
        return
    except OSError as error:
        raise FileRefused(f"{path} cannot be locked: {error.strerror}") from error
    try:
        _acquire(descriptor, path, seconds)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: str, seconds: float) -> None:
    try:
        locks.acquire(descriptor, path, seconds)
    except locks.LockHeld as error:
        raise FileRefused(str(error)) from error
    except OSError as error:
        raise FileRefused(f"{path} cannot be locked: {error.strerror}") from error
