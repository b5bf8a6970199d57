# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of status_host: it reads certificates, knows both clocks, and turns a host that fails into a result."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.action.certificate_info import need_cryptography, unread
from ansible_collections.hardway.kubernetes.plugins.action.host_facts import clock_offset, error_text, failed_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import described


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
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
        facts = outcome.pop("facts") | {"reachable": True, "readable": True, "error": ""}
        facts["clock_offset"] = clock_offset(facts["time"], before, after)
        found = described(outcome.pop("found"), datetime.now(timezone.utc))
        return (
            result
            | outcome
            | {"reachable": True, "readable": True, "error": "", "ansible_facts": {"hardway_host": facts}}
            | found
        )


def failed(reachable: bool, error: str) -> dict:
    return unread(reachable, error) | {"ansible_facts": {"hardway_host": failed_facts(reachable, error)}}
