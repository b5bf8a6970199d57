# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold secrets: their mode from the first byte, replaced as a whole, no links, no foreign owners."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SECRET = 0o600
PUBLIC = 0o644
_TEMPORARY = ".hardway-tmp-"


class FileRefused(Exception):
    """A file or directory that is not safely ours; the message names it, the cause and the mend."""


@dataclass(frozen=True)
class Content:
    data: bytes
    mode: int


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


def stage(path: str, data: bytes, mode: int) -> str:
    """Write a file beside the place that it is meant for, durably; returns its temporary path, for `os.rename`."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f"{_TEMPORARY}{secrets.token_hex(8)}-{name[:180]}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, SECRET)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except BaseException:
        remove(temporary)
        raise
    return temporary


def write(path: str, data: bytes, mode: int) -> None:
    """Put a whole new file in the place of an old one; at any kill there is the old one or the new one."""
    os.rename(stage(path, data, mode), path)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_leftovers(directory: str) -> None:
    """Remove what a killed run left half-written; only for the holder of the directory's lock."""
    for name in os.listdir(directory):
        if name.startswith(_TEMPORARY):
            remove(os.path.join(directory, name))


def names(directory: str) -> list[str]:
    """The entries of a directory in order, without what a killed run left; none where it does not exist."""
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith(_TEMPORARY))
    except FileNotFoundError:
        return []


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
def lock(path: str, create: bool = True) -> Iterator[None]:
    """Wait for and hold the lock on a file or a directory; the kernel lets go of it when the process ends in any way.

    With `create` false a missing file means that nobody can hold the lock, and nothing is made.
    """
    if os.path.isdir(path):
        flags = os.O_RDONLY | os.O_DIRECTORY
    else:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
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
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
