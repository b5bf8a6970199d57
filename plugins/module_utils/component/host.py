# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few things that are done to a host, and what they replaced, so that it can be put back."""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import pwd
import subprocess

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError


class Host:
    """Runs commands and writes files, and remembers what was there before."""

    def __init__(self) -> None:
        #: what files and links were before their first change here
        self.before: dict[str, Before] = {}

    def remember(self, path: str) -> None:
        """Before a file or link is changed or removed for the first time."""
        if path not in self.before:
            self.before[path] = Before.of(path)

    def put_back(self) -> None:
        """Make all that was remembered as it was."""
        for path, before in self.before.items():
            before.put_back(path)

    def run(self, argv: list[str], timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command; the finished process with its output as text."""
        try:
            return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
        except FileNotFoundError as error:
            raise ComponentError(
                f"{argv[0]}: no such command on this host. Fix: install the package that has it"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ComponentError(
                f"{' '.join(argv)}: no end after {timeout:g} s. Fix: see why it does not go on (journalctl; dmesg for the disk), and run again"
            ) from error

    def change(self, argv: list[str], timeout: float = 300) -> None:
        """Run a command that must succeed."""
        done = self.run(argv, timeout)
        if done.returncode:
            raise ComponentError(
                f"{' '.join(argv)}: failed with {done.returncode}: {(done.stderr or done.stdout).strip()}"
            )

    def write(self, path: str, content: bytes, mode: int, owner: str = "root", group: str = "root") -> None:
        """Replace a file."""
        self.remember(path)
        owner_ids = ids(owner, group)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.write(path, content, mode, *owner_ids)
        except files.FileRefused as error:
            raise ComponentError(str(error)) from error
        except OSError as error:
            raise ComponentError(f"{path}: cannot be written: {error.strerror}") from error


def has_group(name: str) -> bool:
    """Whether there is such a group on this host, as one is left of a user that was removed."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def ids(owner: str, group: str) -> tuple[int, int]:
    """The numbers of a user and a group by name; an error names who is missing."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ComponentError(
            f"no user or group {error.args[0]} on this host. Fix: the component has to name it as its user"
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
    def of(cls, path: str) -> Before:
        if os.path.islink(path):
            return cls(link=os.readlink(path))
        if not os.path.isfile(path):
            return cls()
        status = os.stat(path)
        return cls(content=files.read_bytes(path), mode=status.st_mode & 0o7777, uid=status.st_uid, gid=status.st_gid)

    def put_back(self, path: str) -> None:
        if self.link is not None:
            files.write_link(path, self.link)
        elif self.content is not None:
            files.write(path, self.content, self.mode, self.uid, self.gid)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
