# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts: of the hosts that have to restart the same component one goes at a time, while the others are healthy.

``throttle`` would hold hosts back as well, but it lets the next one go on when one has failed, and it costs the same when
there is nothing to restart. The lock is on a file of the state directory; a file beside it has the failures of each run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
import types
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

#: Seconds that one host may take for its turn: to download, to load images, to restart and to get healthy.
TURN = 3600.0
Result = dict[str, t.Any]
Apply = Callable[[bool, Sequence[str]], Result]

#: Seconds beyond the time in which a component has to be healthy: for one that is ill and starts while another waits for it.
PATIENCE = 30
#: Seconds between two attempts of a host that waits for others to get healthy.
PAUSE = 1.0
#: Lines of the file of failures, from which on the older half is dropped.
MOST_FAILURES = 1000


class RolloutHalted(HardwayError):
    """Another host failed in this run, or is not healthy: this one stays as it is."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """A host on which the component failed. *was_ill*: it was not healthy before either, which says nothing against a restart of others."""

    host: str
    was_ill: bool


class Failures:
    """The hosts that failed, by run: those of one component, in a file to which each adds lines, whoever has the turn."""

    def __init__(self, path: str) -> None:
        self.path = path

    def note(self, run: str, failure: Failure) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        with _open(self.path) as stream:
            locks.acquire(stream.fileno(), self.path)
            lines = stream.readlines()
            if len(lines) >= MOST_FAILURES:
                stream.seek(0)
                stream.truncate()
                stream.writelines(lines[MOST_FAILURES // 2 :])
            # A line that a killed run left unfinished ends here.
            text = json.dumps({"run": run, **dataclasses.asdict(failure)})
            stream.write(f"\n{text}\n" if lines and not lines[-1].endswith("\n") else f"{text}\n")

    def of(self, run: str) -> list[Failure]:
        try:
            with open(self.path, encoding="utf-8") as stream:
                locks.acquire(stream.fileno(), self.path)
                found = [_object(line) for line in stream]
        except FileNotFoundError:
            return []
        return [Failure(str(item.get("host")), item.get("was_ill") is True) for item in found if item.get("run") == run]


class RolloutLock:
    """The right to restart a component on one host, held for the length of a ``with``.

    *cluster_dir* is the cluster's state directory, *component* a component's name, *host* the host that restarts, and *run* what tells
    this run of ansible-playbook from others. *asks* says that the host asks others before its restart: a failure of one that was not
    healthy before is then left to what it is told.
    """

    def __init__(self, cluster_dir: str, component: str, host: str, run: str, asks: bool = False) -> None:
        self.directory = os.path.join(cluster_dir, "locks")
        self.path = os.path.join(self.directory, component)
        self.component = component
        self.host = host
        self.run = run
        self.asks = asks
        self.failures = Failures(f"{self.path}.failed")

    def __enter__(self) -> RolloutLock:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._stream = _open(self.path)
        try:
            locks.acquire(self._stream.fileno(), self.path, TURN)
        except locks.LockHeld as error:
            self._stream.close()
            raise RolloutHalted(str(error)) from error
        before = [item for item in self.failures.of(self.run) if not (self.asks and item.was_ill)]
        if before:
            self._stream.close()
            raise RolloutHalted(
                f"not restarted: {self.component} did not get healthy on {before[-1].host}, so it was left as it was here",
                fix="correct it there, then run the same playbook again",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if kind is not None:
            self.failed()
        self._stream.close()

    def failed(self, was_ill: bool = False) -> None:
        """Remember that the component did not get healthy here: nobody behind may restart it in this run."""
        self.failures.note(self.run, Failure(self.host, was_ill))

    def others_failed(self) -> list[str]:
        """The other hosts that were not healthy and are not yet, as far as this run knows."""
        return sorted({item.host for item in self.failures.of(self.run)} - {self.host})


@dataclasses.dataclass(frozen=True)
class Others:
    """Who is waited for: hosts that are *going* through the same task may get healthy by it, within *patience* seconds."""

    going: frozenset[str] = frozenset()
    patience: float = 0.0


ALONE = Others()


def roll_out(apply: Apply, lock: RolloutLock, others: Others = ALONE) -> Result:
    """Apply on one host: what is a no-op or a first start at once, what restarts a running process when it is this host's turn.

    *apply* is called with whether a restart is to be deferred, and with the hosts that failed in this run, and returns the host's answer.
    Where that names hosts that are not healthy (``ill``), the turn is given to others: one of them may be what makes them well.
    """
    result = _first(apply, lock)
    if not result.get("deferred"):
        return result
    deadline = time.monotonic() + others.patience
    try:
        while True:
            with lock:
                failed = lock.others_failed() if lock.asks else []
                result = apply(False, failed)
                if _is_failure(result):
                    lock.failed(was_ill=result.get("was_ill") is True)
            ill = result.get("ill")
            if not ill:
                return result
            if not _may_get_well(ill, failed, others) or time.monotonic() > deadline:
                raise _not_healthy(lock.component, ill)
            time.sleep(PAUSE)
    except RolloutHalted as error:
        return {"failed": True, "msg": str(error)}


def _first(apply: Apply, lock: RolloutLock) -> Result:
    """The call that interrupts nothing. Where it fails the process does not run, or is not healthy: the others have to know."""
    try:
        result = apply(True, ())
    except Exception:
        lock.failed(was_ill=True)
        raise
    if _is_failure(result):
        lock.failed(was_ill=True)
    return result


def _is_failure(result: Result) -> bool:
    return bool(result.get("failed") or result.get("unreachable"))


def _may_get_well(ill: Iterable[str], failed: Iterable[str], others: Others) -> bool:
    """Whether each of them is still at it."""
    return set(ill) <= others.going - set(failed)


def _not_healthy(component: str, ill: Mapping[str, str]) -> RolloutHalted:
    named = "; ".join(f"{host}: {trouble}" for host, trouble in sorted(ill.items()))
    return RolloutHalted(
        f"not restarted, for {component} is not healthy on {', '.join(sorted(ill))} ({named})",
        fix="correct it there, where a restart is not refused, or take a host that is none any more out of the inventory; "
        "then run the same playbook again",
    )


def _open(path: str) -> t.TextIO:
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")


def _object(line: str) -> dict[str, t.Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
