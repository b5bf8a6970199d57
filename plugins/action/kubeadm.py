# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.lock import RolloutLock, roll_out


class ActionModule(ActionBase):
    """Runs a phase of kubeadm on a host. Control planes that run and have to restart do so one at a time."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        result.update(self._rollout(host, variables))
        if result.get("failed"):
            result["msg"] = f"kubeadm on {host}: {result.get('msg', 'failed')}"
        return result

    def _rollout(self, host: str, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        cluster_dir = self._templar.template(task_vars.get("cluster_dir"))
        lock = RolloutLock(cluster_dir, "kubeadm", host, C.DEFAULT_LOCAL_TMP)
        return roll_out(lambda defer: self._call(task_vars, defer), lock)

    def _call(self, task_vars: dict[str, t.Any], defer_restart: bool) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(
            module_name="hardway.kubernetes.kubeadm",
            module_args={**self._task.args, "defer_restart": defer_restart},
            task_vars=task_vars,
        )
        return result
