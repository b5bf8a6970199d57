# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of certificate_info: it reads what the host found, and it can turn a host that fails into a result."""

from __future__ import annotations

from datetime import datetime, timezone

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.action.host_facts import error_text
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.x509 import CRYPTOGRAPHY_IMPORT_ERROR
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import described


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        del tmp
        need_cryptography()
        try:
            outcome = self._execute_module(module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleError as error:
            if self._task.args.get("on_failure") != "report":
                raise
            return result | unread(not isinstance(error, AnsibleConnectionFailure), str(error))
        if "found" in outcome:
            found = outcome.pop("found")
            return (
                result
                | outcome
                | {"reachable": True, "readable": True, "error": ""}
                | described(found, datetime.now(timezone.utc))
            )
        if self._task.args.get("on_failure") == "report":
            return result | unread(not outcome.get("unreachable"), error_text(outcome))
        return result | outcome


def need_cryptography() -> None:
    """Certificates are read on the controller, whatever the hosts have."""
    if CRYPTOGRAPHY_IMPORT_ERROR:
        raise AnsibleActionFail("the Python of ansible-playbook lacks cryptography >= 42: pip install cryptography")


def unread(reachable: bool, error: str) -> dict:
    return {
        "changed": False,
        "reachable": reachable,
        "readable": False,
        "error": " ".join(error.split()),
        "certificates": [],
        "processes": [],
        "problems": [],
    }
