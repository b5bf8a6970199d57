# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of etcd a snapshot may be taken of."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

# What the module etcd_info returned on one host; where it failed, its msg.
State = Mapping[str, t.Any]


def sources(states: Mapping[str, State], reachable: Sequence[str]) -> list[str]:
    """Hosts whose member is healthy and votes, followers first: reading the whole database is a load that a leader should not have."""
    found = [
        (bool(member["leader"]), host)
        for host in reachable
        for member in states.get(host, {}).get("members") or []
        if member["name"] == host and member["healthy"] and not member["learner"]
    ]
    return [host for is_leader in (False, True) for leads, host in found if leads is is_leader]


def causes(states: Mapping[str, State]) -> list[str]:
    """Why members did not answer, each reason once."""
    return list(dict.fromkeys(state["msg"] for state in states.values() if state.get("msg")))
