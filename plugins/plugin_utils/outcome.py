# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a module on a host: why it failed, and how its clock differs from the controller's."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import printable
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import LONG


def clock_offset(host_time: float, before: float, after: float) -> float:
    """Seconds that the host's clock is ahead, at least: a time within the call shows no difference."""
    if host_time > after:
        return round(host_time - after, 3)
    if host_time < before:
        return round(host_time - before, 3)
    return 0.0


def error_text(outcome: Mapping[str, t.Any]) -> str:
    """Why a module failed, in its own words, or in those of what ended it."""
    parts = [str(outcome.get(key) or "").strip() for key in ("msg", "module_stderr", "module_stdout")]
    if not parts[0] and "exception" in outcome:
        exception = outcome["exception"]
        # ansible-core keeps what a module died of as a summary, whose words may be as few as a missing key.
        event = getattr(exception, "event", None)
        parts[0] = "the module died: " + (str(exception).strip().rpartition("\n")[2] if event is None else event.msg)
    return printable("; ".join(part for part in parts if part)[-1000:], "\n")


def failure(outcome: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The result of a module that failed: why, in characters that drive no terminal, and nothing else of what its host returned."""
    said = outcome.get("msg")
    why = (
        printable(said[:LONG], "\n")
        if isinstance(said, str) and not outcome.get("module_stderr")
        else error_text(outcome)
    )
    kind = "unreachable" if outcome.get("unreachable") else "failed"
    return {kind: True, "changed": False, "msg": why or "the module failed and does not say why"}
