# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a run on the controller, in one process for all hosts: declarations and settings against what each host returned."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import model
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import plan as component_plan
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.snapshot import Snapshot, SnapshotError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.compiled import compiled_once
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.render import Renderer
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.settings import render_settings
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import plan

#: What the modules that read a host are registered as.
READ = "hardway_host"
#: Kinds of what the module certificates returns.
PKI_KINDS = ("cas", "certificates", "keys", "bundles")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        self._call_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec({"controller": {"type": "dict", "default": {}}})
        self._loaded: dict[str, t.Any] = {}
        self._roles: dict[str, tuple[dict[str, t.Any], dict[str, t.Any]]] = {}
        self._play = {key: self._call_vars[key] for key in ("hostvars", "ansible_play_hosts", "ansible_play_hosts_all")}
        # A playbook such as hardway.kubernetes.renew says by them what it wants.
        self._play.update(self._task._parent._play.get_vars())
        hostvars = self._call_vars["hostvars"]
        self._extra = getattr(getattr(hostvars, "_variable_manager", None), "extra_vars", {})
        entries = [entry for name, made in arguments["controller"].items() for entry in _on_controller(name, made)]
        try:
            declared = declarations.declarations(self._load)
        except declarations.DeclarationError as error:
            return {**result, "failed": True, "msg": str(error)}
        with compiled_once():
            for host in self._call_vars["ansible_play_hosts"]:
                entries += self._on_host(host, hostvars.raw_get(host), declared)
        work = plan.work(entries)
        return {
            **result,
            "changed": False,
            "entries": [entry.as_data() for entry in entries],
            "work": work,
            "hosts": plan.groups_of_hosts(work),
            "run_hosts": list(self._call_vars["ansible_play_hosts"]),
            "has_work": any(entry.has_work for entry in entries),
            "lines": plan.lines(entries),
        }

    def _load(self, path: str) -> t.Any:
        if path not in self._loaded:
            # Unsafe is what is not copied: nobody changes it.
            self._loaded[path] = self._loader.load_from_file(path, cache="none", unsafe=True, trusted_as_template=True)
        return self._loaded[path]

    def _on_host(
        self, host: str, host_vars: dict[str, t.Any], declared: list[declarations.Declaration]
    ) -> list[plan.Entry]:
        facts = host_vars.get(READ, {}).get("facts") or {}
        if facts.get("readable") is False:
            return []
        try:
            snapshot: Snapshot | None = Snapshot(facts.get("components"))
            trouble = ""
        except SnapshotError as error:
            snapshot, trouble = None, f"what the host returned cannot be used: {error}"
        entries = []
        own = self._renderer("cluster", host_vars, {})
        settings = render_settings(own.templar, own.variables)
        renderers: dict[str, Renderer] = {}
        for item in declared:
            if not item.is_for(host_vars["group_names"]):
                continue
            if item.role not in renderers:
                renderers[item.role] = self._renderer(item.role, host_vars, settings)
            renderer = renderers[item.role]
            entry = plan.Entry(host, item.name, item.role)
            try:
                if not renderer.is_wanted(item):
                    continue
                phase = renderer.phase(item)
                if phase not in declarations.PHASES:
                    continue
                entry = plan.Entry(host, item.name, item.role, phase, error=trouble)
                if snapshot:
                    entry = _compared(entry, renderer, item, snapshot)
            except (AnsibleError, model.ComponentError, OSError) as error:
                phase = entry.phase or item.phase
                entry = plan.Entry(host, item.name, item.role, phase, error=" ".join(str(error).split()))
            entries.append(entry)
        order = {phase: number for number, phase in enumerate(declarations.PHASES)}
        return sorted(entries, key=lambda entry: order.get(entry.phase, len(order)))

    def _renderer(self, role: str, host_vars: dict[str, t.Any], settings: dict[str, t.Any]) -> Renderer:
        """The variables as the role would see them: its defaults below all others, its own variables above those of the inventory."""
        if role not in self._roles:
            self._roles[role] = declarations.role_variables(self._load, declarations.ROOT, role)
        defaults, variables = self._roles[role]
        role_path = os.path.join(declarations.ROOT, "roles", role)
        merged = {**defaults, **host_vars, **self._play, **variables, **self._extra, **settings, "role_path": role_path}
        templar = self._templar.copy_with_new_env(available_variables=merged)
        return Renderer(templar, self._loader, merged, role_path, self._task.check_mode, settings)


def _compared(entry: plan.Entry, renderer: Renderer, item: declarations.Declaration, snapshot: Snapshot) -> plan.Entry:
    component = model.from_description(renderer.describe(item))
    try:
        made = component_plan.plan(component, snapshot)
        trouble = None if made.changes else snapshot.trouble(component)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Records are data of any shape: what one of another shape breaks is the host's own line of the plan.
        raise model.ComponentError(f"what the host returned cannot be used: {type(error).__name__}: {error}") from error
    return plan.Entry(
        entry.host,
        entry.component,
        entry.role,
        entry.phase,
        trouble=trouble,
        visit=made.record_differs or renderer.wants_visit(item),
        **made.as_data(),
    )


def _on_controller(name: str, made: Mapping[str, t.Any]) -> list[plan.Entry]:
    """What a module on the controller made, or would make; nothing where it did not run."""
    if not made or made.get("skipped"):
        return []
    if made.get("failed"):
        return [plan.Entry("controller", name, "", error=" ".join(str(made.get("msg") or "it failed").split()))]
    changes = [
        {"kind": "certificate", "name": item["name"], "action": item.get("reason") or "reissued"}
        for kind in PKI_KINDS
        for item in made.get(kind) or []
        if isinstance(item, Mapping) and item.get("changed")
    ]
    changes += [
        {"kind": "artifact", "name": artifact, "action": "its sum is locked"} for artifact in made.get("locked") or []
    ]
    if not changes and made.get("changed"):
        changes = [{"kind": "file", "name": name, "action": "changed"}]
    return [plan.Entry("controller", name, "", changes=changes)]
