# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts: of the hosts that have to restart the same component one goes at a time.

``throttle`` would hold hosts back as well, but it lets the next one go on when one has failed, and it costs the same when
there is nothing to restart. The lock is on a file of the state directory that remembers a failure for the rest of the run.
"""

from __future__ import annotations

import fcntl
import json
import os
import types
import typing as t
from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

Result = dict[str, t.Any]


class RolloutHalted(HardwayError):
    """Another host failed in this run: this one stays as it is."""


class RolloutLock:
    """The right to restart a component on one host, held for the length of a ``with``.

    *cluster_dir* is the cluster's state directory, *component* a component's name, *host* the host that restarts, and *run* what tells
    this run of ansible-playbook from others.
    """

    def __init__(self, cluster_dir: str, component: str, host: str, run: str) -> None:
        self.directory = os.path.join(cluster_dir, "locks")
        self.path = os.path.join(self.directory, component)
        self.component = component
        self.host = host
        self.run = run

    def __enter__(self) -> RolloutLock:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._stream = open(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        before = self._read()
        if before.get("run") == self.run and before.get("failed"):
            self._stream.close()
            raise RolloutHalted(
                f"not restarted: {self.component} did not get healthy on {before['failed']}, so it was left as it was here",
                fix="correct it there, then run the same playbook again",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if kind is not None:
            self.failed()
        self._stream.close()

    def failed(self) -> None:
        """Remember that the component did not get healthy here: nobody behind may restart it in this run."""
        self._stream.seek(0)
        self._stream.truncate()
        json.dump({"run": self.run, "failed": self.host}, self._stream)
        self._stream.flush()

    def _read(self) -> dict[str, t.Any]:
        text = self._stream.read()
        try:
            return json.loads(text) if text else {}
        except ValueError:
            return {}


def roll_out(apply: Callable[[bool], Result], lock: RolloutLock) -> Result:
    """Apply on one host: what is a no-op or a first start at once, what restarts a running process when it is this host's turn.

    *apply* is called with whether a restart is to be deferred, and returns the host's answer.
    """
    result = apply(True)
    if not result.get("deferred"):
        return result
    try:
        with lock:
            result = apply(False)
            if result.get("failed") or result.get("unreachable"):
                lock.failed()
    except RolloutHalted as error:
        return {"failed": True, "msg": str(error)}
    return result
