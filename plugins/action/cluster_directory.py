# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps runs on one cluster apart: one at a time, and with the newest state of the cluster's directory."""

from __future__ import annotations

import typing as t

import ansible.constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run import directory, lock

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "kubeconfig": {"type": "path"},
    "state": {"type": "str", "choices": ["alone", "recorded"], "required": True},
    "accept": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        _validation, arguments = self.validate_argument_spec(ARGUMENTS)
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True, "msg": "a run in check mode is kept from nothing"}
        path, kubeconfig = arguments["path"], arguments["kubeconfig"]
        try:
            if arguments["state"] == "alone":
                lock.require(path, C.DEFAULT_LOCAL_TMP)
                done = directory.check(path, kubeconfig, arguments["accept"]) if kubeconfig else None
            else:
                done = directory.record(path, kubeconfig or "", arguments["accept"])
        except HardwayError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            raise AnsibleActionFail(
                f"{error.filename or path}: {error.strerror}. Fix: let cluster_dir be yours"
            ) from error
        if done is None:
            return {**result, "changed": False}
        if done.untold:
            result["warnings"] = [
                f"{path}: whether this is the newest copy is not known, or not told to the cluster: {done.untold}. The next run does it"
            ]
        return {**result, "changed": done.changed, "serial": done.number, "untold": done.untold}
