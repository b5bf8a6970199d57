# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a component on the controller, and hand it to the host in one call."""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Sequence

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import (
    checked_outcome,
    sentence,
    sentences,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.declarations import (
    Declaration,
    DeclarationError,
    declaration_of,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.render import Renderer, encode
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.lock import (
    PATIENCE,
    Others,
    RolloutLock,
    roll_out,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.peers import with_ill
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Check, boolean, optional, plain

HOST_MODULE = "hardway.kubernetes.component_apply"
#: What of the host's answer is believed: the rest is dropped, facts among it.
ANSWER: dict[str, Check] = {
    "changes": sentences,
    "plan": plain(),
    "restart": optional(sentence),
    "deferred": boolean,
    "was_ill": boolean,
}
#: Seconds in which a component has to be healthy, where its declaration says none.
DEFAULT_TIMEOUT = 120


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        self._call_vars = task_vars or {}
        self._variables = variables = self._as_its_host(self._call_vars)
        _validation, arguments = self.validate_argument_spec({"name": {"type": "str", "required": True}})
        try:
            declared = declaration_of(self._load, self._role_path(), arguments["name"])
        except DeclarationError as error:
            raise AnsibleActionFail(str(error)) from error
        templar = self._templar.copy_with_new_env(available_variables=variables)
        renderer = Renderer(templar, self._loader, variables, self._role_path(), self._task.check_mode)
        if not renderer.is_wanted(declared):
            return {**result, "skipped": True, "skip_reason": "This host does not have the component"}
        result.update(self._reconcile(declared, renderer))
        if result.get("failed"):
            result["msg"] = f"{declared.name} on {variables['inventory_hostname']}: {result.get('msg', 'failed')}"
        return result

    def _load(self, path: str) -> t.Any:
        return self._loader.load_from_file(path, cache="none", unsafe=True, trusted_as_template=True)

    def _role_path(self) -> str:
        role = self._task._role
        if role is None:
            raise AnsibleActionFail("a component is declared in a role. Fix: call this from a task of the role")
        return role._role_path

    def _as_its_host(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """What templates see: with delegate_to the variables of the host that gets the component, so that it gets what its own run would bring."""
        delegate = self._task.delegate_to
        if not delegate or delegate == task_vars["inventory_hostname"]:
            return task_vars
        hostvars = task_vars["hostvars"]
        if delegate not in hostvars:
            raise AnsibleActionFail(
                f"delegate_to: {delegate} is no host of the inventory, so nothing is known of what it should have"
            )
        return {**task_vars, **hostvars.raw_get(delegate)}

    def _reconcile(self, declared: Declaration, renderer: Renderer) -> dict[str, t.Any]:
        description = renderer.describe(declared)
        payload = encode(description)
        if self._task.check_mode:
            return self._call(payload, {"defer_restart": True})
        peers = functools.cache(lambda: renderer.peers(declared))

        def apply(defer_restart: bool, failed: Sequence[str]) -> dict[str, t.Any]:
            if defer_restart or not declared.peers:
                return self._call(payload, {"defer_restart": defer_restart})
            # Asked for only now: what restarts nothing needs none of it.
            asked = {**peers(), "failed": list(failed)}
            return self._call(payload, {"defer_restart": False, "peers": asked})

        cluster_dir = self._templar.template(self._variables["cluster_dir"])
        # One for each ansible-playbook, shared by its workers.
        run = C.DEFAULT_LOCAL_TMP
        lock = RolloutLock(cluster_dir, declared.name, self._host, run, asks=bool(declared.peers))
        timeout = (description.get("health") or {}).get("timeout", DEFAULT_TIMEOUT)
        return roll_out(apply, lock, Others(self._going(), timeout + PATIENCE))

    @property
    def _host(self) -> str:
        return t.cast(str, self._variables["inventory_hostname"])

    def _going(self) -> frozenset[str]:
        """The other hosts of this task. One that is told by another host is alone."""
        hosts = [] if self._task.delegate_to else self._call_vars.get("ansible_play_batch") or []
        return frozenset(hosts) - {self._host}

    def _call(self, payload: str, further: dict[str, t.Any]) -> dict[str, t.Any]:
        outcome = self._execute_module(
            module_name=HOST_MODULE,
            module_args={"payload": payload, **further},
            task_vars=self._call_vars,
        )
        return with_ill(checked_outcome(outcome, ANSWER), outcome.get("ill"), further.get("peers"))
