# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions of modules that run on hosts: of what a host answers they return the keys that its module has, checked, and nothing else."""

from __future__ import annotations

import typing as t
from collections.abc import Collection, Mapping

from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import failure
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    LONG,
    Check,
    Untrusted,
    boolean,
    list_of,
    optional,
    record,
    text,
)

#: Characters of one side of a diff: more than any file of the collection has.
DIFF = 2**20
_sides: dict[str, Check] = {
    **dict.fromkeys(("before", "after", "prepared"), optional(text(DIFF, lines=True))),
    **dict.fromkeys(("before_header", "after_header"), optional(text(LONG))),
}
_one_diff = record({}, _sides)
_diffs = list_of(_one_diff, 1024)
UNUSABLE = "The answer of the host cannot be used: {error}. Fix: find out what runs as Python on it"

sentence = text(LONG, lines=True)
sentences = list_of(sentence)


def diff(value: t.Any, key: str) -> t.Any:
    """A diff, or several."""
    return _diffs(value, key) if isinstance(value, list) else _one_diff(value, key)


def checked_outcome(
    outcome: Mapping[str, t.Any], answer: Mapping[str, Check], required: Collection[str] = ()
) -> dict[str, t.Any]:
    """The result of a module made anew: the keys of *answer* that it has, and of one that failed why; of any other *required* are there."""
    why = failure(outcome) if outcome.get("failed") or outcome.get("unreachable") else {}
    needed = {} if why or outcome.get("skipped") else {key: answer[key] for key in required}
    try:
        made = record(needed, {"changed": boolean, "skipped": boolean, "diff": diff, **answer})(outcome, "")
    except Untrusted as error:
        return why or {"failed": True, "changed": False, "msg": UNUSABLE.format(error=error)}
    return {**made, **why}


class CheckedAction(ActionBase):
    """Runs the module of the same name. *answer* says by key what it may return, *required* what it must."""

    answer: t.ClassVar[Mapping[str, Check]]
    required: t.ClassVar[Collection[str]] = ()

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        del tmp
        return {**result, **checked_outcome(self._execute_module(task_vars=task_vars), self.answer, self.required)}
