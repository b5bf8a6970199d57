#!/usr/bin/python3
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of this member of etcd, verified before it gets its name; then older ones are removed.

etcd-backup /etc/etcd/backup.json
"""

from __future__ import annotations

import calendar
import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

# Of one name, so that a run that was killed leaves one at most, and the next replaces it.
TEMPORARY = ".new.db"
NAME = "etcd-%Y%m%dT%H%M%SZ.db"
PATTERN = re.compile(r"etcd-\d{8}T\d{6}Z[.]db")
DAY = 86400


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the role backup writes beside this program. *keep* and *keep_days* of 0 are no limit."""

    directory: str
    etcdctl: Sequence[str]
    status: Sequence[str]
    keep: int
    keep_days: int

    @classmethod
    def read(cls, path: str) -> Settings:
        with open(path, encoding="utf-8") as stream:
            return cls(**json.load(stream))


def taken(name: str) -> float:
    """When a snapshot was taken, by its name."""
    return calendar.timegm(time.strptime(name, NAME))


def expired(names: Sequence[str], keep: int, keep_days: int, now: float) -> list[str]:
    """Of snapshots those that go: all but the newest *keep*, and those older than *keep_days*; the newest stays, whatever its age."""
    newest_first = sorted(names, reverse=True)
    surplus = newest_first[keep:] if keep else []
    old = [name for name in newest_first[1:] if keep_days and now - taken(name) > keep_days * DAY]
    return sorted({*surplus, *old})


def snapshots(directory: str) -> list[str]:
    """The snapshots of this program; what else lies in the directory is not its own."""
    return [name for name in os.listdir(directory) if PATTERN.fullmatch(name)]


def sync(path: str) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def take(settings: Settings, now: float) -> str:
    """Take a snapshot, and verify it before it gets its name."""
    new = os.path.join(settings.directory, TEMPORARY)
    for path in (new, f"{new}.part"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
    for command in (
        [*settings.etcdctl, "endpoint", "health"],
        [*settings.etcdctl, "snapshot", "save", new],
        [*settings.status, "snapshot", "status", new, "--write-out=json"],
    ):
        subprocess.run(command, check=True)
    sync(new)
    path = os.path.join(settings.directory, time.strftime(NAME, time.gmtime(now)))
    os.rename(new, path)
    sync(settings.directory)
    return path


def main(path: str) -> int:
    settings = Settings.read(path)
    os.umask(0o077)
    now = time.time()
    try:
        take(settings, now)
    except subprocess.CalledProcessError as error:
        print(f"no snapshot was taken: {' '.join(error.cmd)} ended with {error.returncode}", file=sys.stderr)
        return 1
    for name in expired(snapshots(settings.directory), settings.keep, settings.keep_days, now):
        os.remove(os.path.join(settings.directory, name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
