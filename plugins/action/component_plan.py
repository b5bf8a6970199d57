# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What site.yml would change: the roles' own tasks, their own settings and templates, the host's own judgement, and one call for all of it.

A run of the roles in check mode would say the same, for one task of each component and host.
"""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.action import component
from ansible_collections.hardway.kubernetes.plugins.action.host_facts import error_text
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import site_tasks as steps

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPONENT = "hardway.kubernetes.component"
ON_CONTROLLER = ("hardway.kubernetes.certificates", "hardway.kubernetes.kubeconfig", "hardway.kubernetes.artifacts")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        del tmp
        validation, arguments = self.validate_argument_spec(
            {
                "part": {"type": "str", "choices": ["host", "controller"], "default": "host"},
                "variables": {"type": "dict", "default": {}},
            }
        )
        del validation
        self._task.check_mode = True
        self._variables = {**task_vars, **arguments["variables"]}
        self._extra = getattr(getattr(task_vars.get("hostvars"), "_variable_manager", None), "extra_vars", {})
        planned = {"changed": False, "components": [], "registered": {}, "error": ""}
        try:
            on_controller = arguments["part"] == "controller"
            wanted = steps.steps_of(
                self._load, ROOT, task_vars["group_names"], ON_CONTROLLER if on_controller else (COMPONENT,)
            )
            planned.update(self._on_controller(wanted) if on_controller else self._on_host(wanted))
        except (AnsibleError, steps.Unreadable, OSError) as error:
            planned["error"] = _words(error)
        return result | planned

    def _load(self, path):
        return self._loader.load_from_file(path, cache="all", trusted_as_template=True)

    def _templar_of(self, step):
        """The variables as the role would see them: its defaults below all others, its own variables above those of the inventory."""
        defaults, variables = ({}, {})
        for found, files in zip((defaults, variables), steps.role_files(self._load, ROOT, step.role)):
            for path in files:
                found.update(self._load(path) or {})
        role_path = {"role_path": os.path.join(ROOT, "roles", step.role)}
        merged = {**defaults, **self._variables, **variables, **step.variables, **self._extra, **role_path}
        return self._templar.copy_with_new_env(available_variables=merged), merged

    @staticmethod
    def _is_wanted(step, templar):
        return all(templar.evaluate_conditional(condition) for condition in step.conditions)

    # the host

    def _on_host(self, wanted):
        components, payloads, planned = [], [], set()
        for step in wanted:
            entry = {
                "component": str(step.arguments.get("name", step.name)),
                "role": step.role,
                "changes": [],
                "restart": None,
                "error": "",
            }
            try:
                templar, variables = self._templar_of(step)
                # One task may be reached by two ways: masters and nodes share the runtime.
                if (step.role, step.name, entry["component"]) in planned or not self._is_wanted(step, templar):
                    continue
                planned.add((step.role, step.name, entry["component"]))
                payload = self._rendered(step, templar, variables)
            except (AnsibleError, OSError) as error:
                components.append(entry | {"error": _words(error)})
                continue
            components.append(entry)
            payloads.append((entry, payload))
        if not payloads:
            return {"components": components}
        outcome = self._execute_module(
            module_args={"payloads": [payload for entry, payload in payloads]}, task_vars=self._variables
        )
        if "planned" not in outcome:
            return {"components": [], "error": " ".join(error_text(outcome).split())}
        for (entry, payload), told in zip(payloads, outcome["planned"]):
            entry.update(told)
        return {"components": components}

    def _rendered(self, step, templar, variables):
        task = self._task.copy()
        task.check_mode = True
        task.args = templar.template(step.arguments)
        renderer = Renderer(
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        renderer.role_path = variables["role_path"]
        return renderer.described(variables)[1]

    # the controller

    def _on_controller(self, wanted):
        components, registered = [], {}
        for step in wanted:
            entry = {
                "component": step.action.rpartition(".")[2],
                "role": step.role,
                "changes": [],
                "restart": None,
                "error": "",
            }
            components.append(entry)
            try:
                templar, variables = self._templar_of(step)
                outcome = self._execute_module(
                    module_name=step.action, module_args=templar.template(step.arguments), task_vars=variables
                )
            except AnsibleError as error:
                entry["error"] = _words(error)
                continue
            if outcome.get("failed"):
                entry["error"] = " ".join(str(outcome.get("msg") or error_text(outcome)).split())
                continue
            entry["changes"] = _differences(entry["component"], outcome)
            if step.register:
                registered[step.register] = {
                    key: value for key, value in outcome.items() if key not in ("invocation", "diff")
                }
        return {"components": components, "registered": registered}


class Renderer(component.ActionModule):
    """Finds templates where the role that has the task does."""

    role_path = ""

    def _find_needle(self, dirname, needle):
        path = os.path.join(self.role_path, dirname, needle)
        return path if os.path.exists(path) else super()._find_needle(dirname, needle)


def _differences(name, outcome):
    """What a module on the controller would change, in words."""
    kinds = ("cas", "certificates", "keys", "bundles")
    told = [
        f"{item['name']}: {item.get('reason') or 'written anew'}"
        for kind in kinds
        for item in outcome.get(kind) or []
        if isinstance(item, dict) and item.get("changed")
    ]
    told += [f"{artifact}: its sum would be locked" for artifact in outcome.get("locked") or []]
    return told or ([f"{name}: would change"] if outcome.get("changed") else [])


def _words(error):
    return " ".join(str(error).split())
