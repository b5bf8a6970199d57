# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one host have a component: observe, plan, apply."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import health, paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.apply import Applier, Record
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.diff import diff
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Component, ComponentError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import (
    Peers,
    RepairFailed,
    may_restart,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.plan import Plan, plan
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.seen import LiveHost


def reconcile(
    component: Component, check_mode: bool = False, defer_restart: bool = False, peers: Peers | None = None
) -> dict[str, t.Any]:
    """Make the host have the component as described.

    :arg component: as it should be
    :arg check_mode: say what would be done, do nothing
    :arg defer_restart: when a running process would have to be restarted, do nothing at all and say so
        (``deferred``): the caller asks again when it is this host's turn
    :arg peers: who has to be healthy before a running process is restarted; where one is not, nothing is done, and the result
        names it (``ill``) and says ``deferred``
    :returns: a dict: ``changed``, ``changes`` (list of text), ``plan`` (the same as data), ``restart`` (reason or None),
        ``deferred``, ``diff``
    :raises ComponentError: with what, where and how to fix it
    """
    host = Host()
    if check_mode:
        return _result(plan(component, LiveHost(host)))
    with _alone(component.name):
        made = plan(component, LiveHost(host))
        result = _result(made)
        if not made.changes:
            if made.record_differs:
                Record(host, component.name).update(**made.record)
            health.wait_until_healthy(host, component)
            return result
        if defer_restart and made.interrupts:
            return {**result, "deferred": True}
        verdict = may_restart(peers if made.interrupts else None)
        if verdict.refused:
            return {**result, "deferred": True, "ill": dict(verdict.ill)}
        _apply(made, host, RepairFailed if verdict.repair else ComponentError)
        return result


def _apply(made: Plan, host: Host, failure: type[ComponentError]) -> None:
    applier = Applier(made, host)
    try:
        applier.apply()
    except ComponentError as error:
        after = f"\n{applier.roll_back()}" if made.replaced else ""
        raise failure(f"{error}{after}") from error


def _result(made: Plan) -> dict[str, t.Any]:
    return {
        "changed": bool(made.changes),
        "changes": [str(change) for change in made.changes],
        "plan": made.as_data(),
        "restart": made.restart,
        "deferred": False,
        "diff": diff(made),
    }


@contextlib.contextmanager
def _alone(name: str) -> t.Iterator[None]:
    """Wait for a process that a killed run has left at work."""
    os.makedirs(paths.STATE_DIR, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.hold(f"{paths.STATE_DIR}/{name}.lock"))
        except locks.LockHeld as error:
            raise ComponentError(str(error)) from error
        yield
