# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of certificate_info: it reads what the host found, and it can turn a host that fails into a result."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.found import (
    checked_found,
    need_cryptography,
    unread,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import described
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import error_text, failure
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Untrusted


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        need_cryptography()
        report = self._task.args.get("on_failure") == "report"
        try:
            outcome = self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleError as error:
            if not report:
                raise
            return result | unread(not isinstance(error, AnsibleConnectionFailure), str(error))
        if "found" not in outcome:
            if report:
                return result | unread(not outcome.get("unreachable"), error_text(outcome))
            return result | failure(outcome)
        try:
            found = checked_found(outcome["found"], "found")
        except Untrusted as error:
            if not report:
                raise AnsibleActionFail(
                    f"The answer of the host cannot be used: {error}. Fix: find out what runs as Python on it"
                ) from None
            return result | unread(True, f"untrusted answer: {error}")
        return (
            result
            | {"changed": False, "reachable": True, "readable": True, "error": ""}
            | described(found, datetime.now(timezone.utc))
        )
