# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the system and a component changed: swap, users; and the packages of the distribution."""

from __future__ import annotations

import os
import pwd
import re
import stat

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands, files
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope

FSTAB = "/etc/fstab"
FSTAB_BEFORE = "/etc/fstab.before-hardway"


def packages_of(paths: list[str]) -> dict[str, str]:
    """The distribution's package of each path that has one."""
    if not paths:
        return {}
    if commands.find("dpkg-query"):
        lines = [
            line.rsplit(": ", 1)
            for line in commands.run("dpkg-query", "--search", *paths)[1].splitlines()
            if ": " in line
        ]
        return {path: package.split(":")[0] for package, path in lines if path in paths}
    if commands.find("rpm"):
        names = [commands.run("rpm", "--query", "--file", "--queryformat", "%{NAME}", path)[:2] for path in paths]
        return {path: name for path, (status, name) in zip(paths, names) if status == 0}
    return {}


_SWAP_LINE = re.compile(r"^([^#].*\sswap\s)", re.MULTILINE)


def swap_restorable() -> bool:
    """Whether fstab is still what the role host made of it."""
    before = files.read_text(FSTAB_BEFORE)
    return bool(before) and _SWAP_LINE.sub(r"# \1", before) == files.read_text(FSTAB)


class Swap:
    """The copy of fstab from before swap was turned off: it goes back, in force from the next boot."""

    def find(self) -> list[Finding]:
        return [Finding(f"{FSTAB_BEFORE} (goes back to {FSTAB})")] if swap_restorable() else []

    def remove(self, findings: list[Finding]) -> None:
        os.chmod(FSTAB_BEFORE, stat.S_IMODE(os.stat(FSTAB).st_mode))
        files.move(FSTAB_BEFORE, FSTAB)


class Users:
    """System users that a component made for itself, by its record."""

    def __init__(self, scope: Scope) -> None:
        self.names = sorted({owned.user for owned in scope.components.values() if owned.user and owned.user != "root"})

    def find(self) -> list[Finding]:
        return [Finding(f"user {name}", name) for name in self.names if _is_system_user(name)]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            commands.run("userdel", finding.target)


def _is_system_user(name: str) -> bool:
    try:
        return 0 < pwd.getpwnam(name).pw_uid < 1000
    except KeyError:
        return False
