# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of host_facts: it knows both clocks, and it can turn a host that fails into a fact."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import (
    UntrustedFacts,
    checked_facts,
    unreadable,
)


def clock_offset(host_time: float, before: float, after: float) -> float:
    """Seconds that the host's clock is ahead, at least: a reading within the call tells no difference."""
    if host_time > after:
        return round(host_time - after, 3)
    if host_time < before:
        return round(host_time - before, 3)
    return 0.0


def error_text(outcome: dict) -> str:
    """Why a module failed, in its own words, or in those of what ended it."""
    parts = [str(outcome.get(key) or "").strip() for key in ("msg", "module_stderr", "module_stdout")]
    if not parts[0] and "exception" in outcome:
        exception = outcome["exception"]
        # ansible-core keeps what a module died of as a summary, whose words may be as few as a missing key.
        event = getattr(exception, "event", None)
        parts[0] = "the module died: " + (str(exception).strip().rpartition("\n")[2] if event is None else event.msg)
    return "; ".join(part for part in parts if part)[-1000:]


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
        except AnsibleConnectionFailure as error:
            if not report:
                raise
            return self._reported(result, unreadable(False, str(error)))
        except AnsibleError as error:
            if not report:
                raise
            return self._reported(result, unreadable(True, str(error)))
        after = time.time()
        if outcome.get("unreachable") and report:
            return self._reported(result, unreadable(False, error_text(outcome)))
        raw = outcome.get("ansible_facts", {}).get("hardway_host")
        if raw is None:
            if report:
                return self._reported(result, unreadable(True, error_text(outcome)))
            kept = ("failed", "unreachable", "msg", "exception")
            return result | {key: outcome[key] for key in kept if key in outcome}
        try:
            # Of what the host returns nothing else is believed, facts of other names least of all.
            facts = checked_facts(raw)
        except UntrustedFacts as error:
            if not report:
                return result | {"failed": True, "msg": str(error)}
            return self._reported(result, unreadable(True, str(error), untrusted=True))
        return self._reported(result, {**facts, "clock_offset": clock_offset(facts["time"], before, after)})

    @staticmethod
    def _reported(result: dict, facts: dict) -> dict:
        result.update(changed=False, ansible_facts={"hardway_host": facts})
        return result
