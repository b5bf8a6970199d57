# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of status_host: it checks what the host answered, reads certificates, knows both clocks, and turns a host that fails into a result."""

from __future__ import annotations

import time
import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.found import need_cryptography, unread
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import described
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import unreadable
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import clock_offset, error_text
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.answers import checked_answer
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Untrusted


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        need_cryptography()
        before = time.time()
        try:
            outcome = self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleError as error:
            return result | failed(not isinstance(error, AnsibleConnectionFailure), str(error))
        after = time.time()
        if "found" not in outcome:
            return result | failed(not outcome.get("unreachable"), error_text(outcome))
        try:
            answer = checked_answer(outcome, "")
        except Untrusted as error:
            return result | failed(True, f"untrusted answer: {error}", untrusted=True)
        return result | read(answer, before, after)


def read(answer: dict[str, t.Any], before: float, after: float) -> dict[str, t.Any]:
    """The result of a host that answered between two moments. Nothing else of what it returned is in it."""
    facts = {**answer["facts"], "clock_offset": clock_offset(answer["facts"]["time"], before, after)}
    return {
        "changed": False,
        "reachable": True,
        "readable": True,
        "error": "",
        "facts": facts,
        **{key: answer[key] for key in ("load", "programs", "etcd", "backends")},
        **described(answer["found"], datetime.now(timezone.utc)),
    }


def failed(reachable: bool, error: str, untrusted: bool = False) -> dict[str, t.Any]:
    return {
        **unread(reachable, error),
        "facts": unreadable(reachable, error, untrusted),
    }
