# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restore and salvage have to know of a member's data directory."""

from __future__ import annotations

import shutil

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError

MEMBER = "member"
# With the database, two preallocated segments of the write-ahead log.
WAL_SPACE = 2 * 64 * 1024**2


def in_use(database: str) -> bool:
    """bbolt holds an exclusive lock on the database of a member that runs."""
    try:
        with open(database, "rb") as file:
            return not locks.attempt(file.fileno())
    except OSError:
        return False


def check_space(directory: str, needed: int, place: str = "") -> None:
    """Raises EtcdError unless *needed* bytes are free in *directory*; the message names *place*, or the directory."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise EtcdError(
            f"{place or directory} has {free} bytes free, and {needed} are needed. Fix: free some space, and run again"
        )
