# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of host_facts: it checks what the host returned, knows both clocks, and can turn a host that fails into a fact."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import (
    UntrustedFacts,
    checked_facts,
    unreadable,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import clock_offset, error_text, failure


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        report = self._task.args.get("on_failure", "fail") == "report"
        before = time.time()
        try:
            outcome = self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleError as error:
            if not report:
                raise
            return result | returned(unreadable(not isinstance(error, AnsibleConnectionFailure), str(error)))
        after = time.time()
        if outcome.get("unreachable") and report:
            return result | returned(unreadable(False, error_text(outcome)))
        facts = outcome.get("facts")
        if facts is None:
            if report:
                return result | returned(unreadable(True, error_text(outcome)))
            return result | failure(outcome)
        try:
            checked = checked_facts(facts)
        except UntrustedFacts as error:
            if report:
                return result | returned(unreadable(True, str(error), untrusted=True))
            raise AnsibleActionFail(
                f"The answer of the host cannot be used: {error}. Fix: find out what runs as Python on it"
            ) from None
        return result | returned({**checked, "clock_offset": clock_offset(checked["time"], before, after)})


def returned(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    """The result: of what the host returned nothing else is believed.

    No `ansible_facts`: those every later module of the host replaces, and where it runs once for all hosts, those of all.
    """
    return {"changed": False, "facts": facts}
