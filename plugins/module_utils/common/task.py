# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module's work as a function, which a process of its own calls, or Ansible's."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError


@dataclasses.dataclass(frozen=True)
class Task:
    """What a module is asked for: its options (*params*), already of the right types, and how the run was called."""

    params: dict[str, t.Any]
    check_mode: bool = False
    diff: bool = False


class TaskFailed(HardwayError):
    """Why the task failed; *details* are further keys of its result, and *warnings* what is said besides."""

    def __init__(self, message: object, warnings: list[str] | None = None, **details: t.Any) -> None:
        super().__init__(message)
        self.warnings = warnings or []
        self.details = details


#: Does the work and returns the task's result, whose key C(warnings) has the texts of warnings. Raises TaskFailed.
Run = Callable[[Task], dict[str, t.Any]]


def run_module(module: t.Any, run: Run) -> t.NoReturn:
    """Ends the process of *module*, an AnsibleModule, with what *run* returns or raises."""
    try:
        result = run(Task(module.params, module.check_mode, module._diff))
    except TaskFailed as error:
        for warning in error.warnings:
            module.warn(warning)
        module.fail_json(msg=str(error), **error.details)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**result)
    raise AssertionError("exit_json ends the module")
