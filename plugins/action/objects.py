# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render objects of the API, and apply them from this process."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.objects import Change, Objects, given, parse
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.templates import render_file

ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "templates": {"type": "list", "elements": "str", "default": []},
    "definitions": {"type": "list", "elements": "dict", "default": []},
    "timeout": {"type": "int", "default": 60},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        _validation, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            wanted = [item for name in arguments["templates"] for item in self._rendered(name, task_vars or {})]
            wanted += given(arguments["definitions"], "definitions")
            api = Api.from_kubeconfig(arguments["kubeconfig"], agent="hardway-objects")
            changes = Objects(api, arguments["timeout"]).apply(wanted, self._task.check_mode)
        except HardwayError as error:
            raise AnsibleActionFail(str(error)) from error
        return {**result, **report(changes, self._task.diff)}

    def _rendered(self, name: str, variables: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        source = self._find_needle("templates", name)
        return parse(str(render_file(self._templar, self._loader, source, variables) or ""), f"template {name}")


def report(changes: list[Change], diff: bool) -> dict[str, t.Any]:
    """What the task returns."""
    changed = [change for change in changes if change.kind != "unchanged"]
    shown: dict[str, t.Any] = {"diff": [change.diff for change in changed]} if diff else {}
    return {
        "changed": bool(changed),
        "objects": [{"name": change.name, "change": change.kind} for change in changes],
        **shown,
    }
