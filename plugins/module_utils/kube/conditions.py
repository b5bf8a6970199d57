# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API's objects say of themselves, in words."""

from __future__ import annotations

import typing as t


def condition(item: t.Mapping[str, t.Any], kind: str) -> dict[str, t.Any]:
    found = (entry for entry in item.get("status", {}).get("conditions") or [] if entry.get("type") == kind)
    return next(found, {})


def is_ready(pod: t.Mapping[str, t.Any]) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def pod_cause(item: t.Mapping[str, t.Any] | None) -> str:
    """Why a pod does not run."""
    if item is None:
        return "it has no pod"
    status = item.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state", {})
        if state.get("terminated", {}).get("reason") == "Completed":
            continue  # an init container that did its part
        for kind in ("waiting", "terminated"):
            if kind in state:
                return (
                    f"its container is {kind}: {state[kind].get('reason', '')} {state[kind].get('message', '')}".strip()
                )
    for kind in ("PodScheduled", "Ready"):
        entry = condition(item, kind)
        if entry.get("status") == "False" and entry.get("message"):
            return str(entry["message"])
    return f"its pod is {status.get('phase', 'unknown')}"
