# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of pods and of their runtime."""

from __future__ import annotations

import dataclasses
import fnmatch
import re

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands, files
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope


@dataclasses.dataclass(frozen=True)
class Mount:
    path: str
    filesystem: str


def mounts(mountinfo: str) -> list[Mount]:
    """The mounts of a /proc/PID/mountinfo (proc(5)), in the order in which they were made."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
        found.append(Mount(path, fields[fields.index("-") + 1]))
    return found


def current_mounts() -> list[Mount]:
    return mounts(files.read_text("/proc/self/mountinfo"))


def mounts_below(known: list[Mount], path: str) -> list[str]:
    """The mount points below a directory, not itself."""
    return [mount.path for mount in known if mount.path.startswith(path.rstrip("/") + "/")]


class Mounts:
    """Mounts of pods and of their runtime. A file system that is mounted on a data directory itself is the host's, and stays."""

    def __init__(self, scope: Scope) -> None:
        self.patterns = scope.all("mounts")

    def find(self) -> list[Finding]:
        found = [
            mount.path
            for mount in current_mounts()
            if any(fnmatch.fnmatchcase(mount.path, pattern) for pattern in self.patterns)
        ]
        return [Finding(f"mount {path}", path) for path in reversed(found)]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            if commands.run("umount", finding.target)[0]:
                commands.run("umount", "--lazy", "--force", finding.target)
