# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked before a host restarts a component, and how, by what the component declares (``peers``)."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import one_line

#: What a declaration says of its peers.
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "members": {"type": "list", "elements": "dict", "required": True},
    "port": {"type": "int", "required": True},
    "path": {"type": "str"},
    "ca": {"type": "path"},
    "certificate": {"type": "path"},
    "key": {"type": "path"},
    "enough": {"type": "int"},
}
#: Characters of a host's reason that are shown.
LONGEST = 300


def to_ask(declared: Mapping[str, t.Any], own: str, new: Sequence[str] = ()) -> dict[str, t.Any]:
    """What the host *own* gets (module_utils/component/peers.py). *new* are hosts that do not have the component yet."""
    kept = {key: declared[key] for key in ("ca", "certificate", "key") if declared.get(key)}
    members = {}
    for member in declared["members"]:
        name, address = str(member["name"]), str(member["address"])
        if name == own or name not in new:
            place = f"{f'[{address}]' if ':' in address else address}:{declared['port']}"
            members[name] = (
                {**kept, "url": f"https://{place}{declared['path']}"} if declared.get("path") else {"tcp": place}
            )
    return {"own": own, "members": members, "enough": declared.get("enough")}


def is_new(host_vars: Mapping[str, t.Any], components: Sequence[str]) -> bool:
    """Whether this run has seen a host, and none of *components* on it: it is nobody to wait for."""
    facts = (host_vars.get("hardway_host") or {}).get("facts")
    seen = facts.get("components") if isinstance(facts, Mapping) else None
    records = seen.get("records") if isinstance(seen, Mapping) else None
    return isinstance(records, Mapping) and not any(name in records for name in components)


def with_ill(result: dict[str, t.Any], answer: t.Any, asked: Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    """The result of a host that was *asked* about its peers, with those that its answer calls ill (C(ill)), if any."""
    ill = named(answer, asked["members"], asked["failed"]) if asked else {}
    return {**result, "ill": ill} if ill else result


def named(answer: t.Any, members: Mapping[str, t.Any], failed: Sequence[str]) -> dict[str, str]:
    """The hosts that an answer calls ill: of those that it was asked about alone, with a reason that can be shown."""
    if not isinstance(answer, Mapping):
        return {}
    return {host: one_line(str(answer[host])[:LONGEST]) for host in sorted({*members, *failed}) if host in answer}
