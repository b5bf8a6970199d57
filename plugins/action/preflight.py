# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds all problems of an inventory and of its hosts, and reports them together."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.gather import Gathering, words
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.hosts import check_hosts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.inventory import check_inventory
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import deduplicate, errors, report

TEXTS: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    # settings of users: one of a wrong type is a problem among the others, and does not end the task
    "accept": {"type": "raw"},
    "run_group": {"type": "raw"},
    "probe_endpoint": {"type": "raw", "default": True},
    "ports": {"type": "list", "elements": "dict", "default": []},
    "versions": {"type": "dict"},
    "etcd_versions": TEXTS,
    "needs": {"type": "dict", "default": {}},
    "controller_packages": TEXTS,
    "controller_collections": TEXTS,
    "ansible_version": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        _validation, arguments = self.validate_argument_spec(ARGUMENTS)
        gathering = Gathering(arguments, task_vars or {}, self._templar, self._loader)
        plan = gathering.plan()
        site = gathering.site(plan)
        problems = deduplicate([*check_inventory(plan), *check_hosts(site)], words(arguments["accept"]))
        result.update(
            changed=False,
            msg=report(problems),
            kinds=sorted({problem.kind.value for problem in problems}),
            endpoint=site.probe.answer,
        )
        if errors(problems):
            result["failed"] = True
        else:
            result["warnings"] = [problem.sentence for problem in problems]
        return result
