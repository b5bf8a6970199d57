# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that work on the controller, run by the process that Ansible has there already.

A process of its own costs such a module about a second: it is packed, unpacked, and imports its libraries anew.
"""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Run, Task, TaskFailed


class InProcessAction(ActionBase):
    """The action of a module whose work is a function (*work*) of options with that *spec*.

    The module itself is run instead wherever a process of its own makes a difference: on another host or as another
    user, with an environment or in the background; and for options that are not valid, for it says what is wrong.
    """

    work: t.ClassVar[staticmethod[[Task], dict[str, t.Any]]]
    spec: t.ClassVar[dict[str, t.Any]]
    required_if: t.ClassVar[list[tuple[t.Any, ...]]] = []

    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        options = self._options() if self._is_here() else None
        if options is None:
            return {**result, **self._execute_module(task_vars=task_vars, wrap_async=bool(self._task.async_val))}
        task = Task(options.validated_parameters, self._task.check_mode, self._task.diff)
        # What a module returns passes through the same filter.
        answer: dict[str, t.Any] = remove_values(_call(self.work, task), options._no_log_values)
        for warning in answer.pop("warnings", []):
            Display().warning(warning)
        return {**result, **answer}

    def _is_here(self) -> bool:
        """Whether a process of its own would be one of this user, on this machine, with this environment."""
        return (
            self._connection.transport == "local"
            and self._connection.become is None
            and not any(self._task.environment or [])
            and not self._task.async_val
        )

    def _options(self) -> ValidationResult | None:
        """The options as the module gets them; None where they are not valid, or nothing that JSON can say."""
        try:
            # Plain values: without what Ansible notes at them.
            given = json.loads(json.dumps(self._task.args))
        except TypeError:
            return None
        found: ValidationResult = ArgumentSpecValidator(self.spec, required_if=self.required_if).validate(given)
        return None if found.error_messages else found


def _call(work: Run, task: Task) -> dict[str, t.Any]:
    try:
        return work(task)
    except TaskFailed as error:
        return {**error.details, "failed": True, "msg": str(error), "warnings": error.warnings}
