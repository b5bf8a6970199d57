# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's directory out of an archive: put into its place as a whole, with what was there before kept beside it."""

from __future__ import annotations

import json
import os
import shutil
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

NOTE = "restored.json"


class RestoreError(HardwayError):
    """What is wrong, where, and what to do."""


def noted(path: str) -> str:
    """The word of the restore that a directory came from; empty where it tells of none."""
    try:
        with open(os.path.join(path, NOTE), encoding="utf-8") as file:
            return str(json.load(file)["restore"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def put(src: str, path: str, restore: str, note: t.Mapping[str, t.Any], check_mode: bool = False) -> tuple[bool, str]:
    """Put a copy of *src* at *path*; whether it had to be, and where the one before lies. Raises RestoreError.

    Killed between the two renames, there is no directory at *path*, and the next call puts it there.
    """
    path = os.path.abspath(path)
    files.check_directory(path)
    if noted(path) == restore:
        return False, ""
    before = _free(f"{path}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}") if os.path.lexists(path) else ""
    if check_mode:
        return True, before
    if not os.path.isdir(os.path.join(src, "pki")):
        raise RestoreError(
            f"{src} is no directory of a cluster, for it has no pki in it. Name an archive that backup.yml made"
        )
    parent = os.path.dirname(path)
    files.make_directory(parent)
    with files.lock(parent), files.temporary_directory(path) as staging:
        shutil.copytree(src, staging, symlinks=True, dirs_exist_ok=True)
        _make_private(staging)
        content = {"restore": restore, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **note}
        files.write(os.path.join(staging, NOTE), json.dumps(content, indent=1).encode() + b"\n", files.SECRET)
        os.sync()
        if before:
            files.move(path, before)
        files.move(staging, path, sync=True)
    return True, before


def _free(path: str) -> str:
    """A path that nothing has: two restores may come within a second."""
    return next(
        each for each in (path, *(f"{path}-{number}" for number in range(2, 1000))) if not os.path.lexists(each)
    )


def _make_private(root: str) -> None:
    """Directories as the roles make them; the files have the modes of the archive."""
    for place, _directories, _names in os.walk(root):
        os.chmod(place, 0o700)
