# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for each cluster's directory: a lock that the process of ansible-playbook itself keeps until it ends.

The kernel releases it with that process, also after kill -9. It is seen from other containers that share the directory, where process
ids mean nothing. Workers do not share it: those of a run that was killed may wait for ever for somebody to take their results.
"""

from __future__ import annotations

import os

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files, locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

#: Paths of the locks that this process keeps.
_kept: dict[str, int] = {}


class OtherRun(HardwayError):
    """Another run is at work on the same cluster's directory: names it."""


def path_of(cluster_dir: str) -> str:
    """Beside the directory, which a restore replaces and a reset removes. Ansible reads no hidden file of an inventory."""
    parent, name = os.path.split(os.path.realpath(cluster_dir))
    return os.path.join(parent, f".{name}.run")


def take(cluster_dir: str, run: str, work: str) -> bool:
    """Keep the lock from now on until this process ends; whether that was possible. Raises OSError and FileRefused."""
    path = path_of(cluster_dir)
    if path not in _kept:
        files.make_directory(os.path.dirname(path))
        descriptor = locks.keep(path, locks.Note.of_this_process(run, work))
        if descriptor is None:
            return False
        _kept[path] = descriptor
    return True


def require(cluster_dir: str, run: str) -> None:
    """Raises OtherRun unless this run has the lock. May be called in any process of the run."""
    path = path_of(cluster_dir)
    note = locks.noted(path)
    if note and note.run == run:
        return
    raise OtherRun(
        f"nothing was changed, for {_other(path, note)}",
        where=cluster_dir,
        fix="wait until it has ended, or end it, then run the same playbook again",
    )


def _other(path: str, note: locks.Note | None) -> str:
    if note:
        return f"another run is at work on this cluster: {note}"
    found = locks.holders(path)
    if found:
        return f"another run is at work on this cluster: {' and '.join(map(str, found))}"
    return "another run was at work on this cluster when this one began"


def _forget() -> None:
    """In a process that was forked: the lock stays with the one that forked it."""
    while _kept:
        os.close(_kept.popitem()[1])


os.register_at_fork(after_in_child=_forget)
