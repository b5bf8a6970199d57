# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible import constants as C
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import checked_outcome, sentences
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.lock import (
    PATIENCE,
    Others,
    RolloutLock,
    roll_out,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.peers import to_ask, with_ill
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Check, boolean

#: What of the host's answer is believed: the rest is dropped, facts among it.
ANSWER: dict[str, Check] = {"changes": sentences, "deferred": boolean, "was_ill": boolean}
#: Seconds: the module's own for a static pod.
DEFAULT_TIMEOUT = 240


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
        if self._task.check_mode:
            return self._call(task_vars, defer_restart=True)
        declared = self._task.args.get("peers")
        asked = to_ask(declared, host) if declared else None

        def apply(defer_restart: bool, failed: Sequence[str]) -> dict[str, t.Any]:
            peers = {**asked, "failed": list(failed)} if asked and not defer_restart else None
            return self._call(task_vars, defer_restart, peers)

        cluster_dir = self._templar.template(task_vars.get("cluster_dir"))
        lock = RolloutLock(cluster_dir, "kubeadm", host, C.DEFAULT_LOCAL_TMP, asks=bool(declared))
        going = frozenset(task_vars.get("ansible_play_batch") or []) - {host}
        return roll_out(apply, lock, Others(going, float(self._task.args.get("timeout") or DEFAULT_TIMEOUT) + PATIENCE))

    def _call(
        self, task_vars: dict[str, t.Any], defer_restart: bool, peers: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        outcome = self._execute_module(
            module_name="hardway.kubernetes.kubeadm",
            module_args={**self._task.args, "defer_restart": defer_restart, "peers": peers},
            task_vars=task_vars,
        )
        return with_ill(checked_outcome(outcome, ANSWER), outcome.get("ill"), peers)
