# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host answers about its state (module status_host), made anew key by key before it is evaluated."""

from __future__ import annotations

import typing as t

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.found import checked_found
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import UntrustedFacts, checked_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    LONG,
    Check,
    Untrusted,
    boolean,
    integer,
    list_of,
    number,
    optional,
    record,
    text,
)

MILLISECONDS = 10**9
count, name, sentence = integer(0, 2**64), text(), text(LONG)
names = list_of(name, 1024)


def _facts(value: t.Any, key: str) -> dict[str, t.Any]:
    try:
        return checked_facts(value)
    except UntrustedFacts as error:
        raise Untrusted(key, f"has {error}") from None


MEMBER: dict[str, Check] = {
    "name": name,
    "id": text(64),
    "peer_urls": names,
    "client_urls": names,
    "started": boolean,
    "learner": boolean,
    "leader": boolean,
    "healthy": boolean,
    "problem": sentence,
    "latency_ms": optional(number(0, MILLISECONDS)),
    "alarms": names,
    "errors": list_of(sentence, 1024),
    "version": text(64),
    **dict.fromkeys(
        ("revision", "raft_term", "raft_index", "raft_applied_index", "db_size", "db_size_in_use", "quota"), count
    ),
    "fragmentation": integer(-(2**31), 100),
    "quota_used": optional(count),
}
ETCD: dict[str, Check] = {
    "cluster_id": text(64),
    "members": list_of(record(MEMBER), 256),
    "leader": name,
    "revision": count,
    "voters": count,
    "quorum": count,
    "has_quorum": boolean,
    "fault_tolerance": count,
    "defragmentation_order": names,
    "healthy": boolean,
    "problems": list_of(sentence, 1024),
}
PROGRAM: dict[str, Check] = {
    "component": name,
    "service": name,
    "state": text(64),
    "restarts": count,
    "seconds": optional(count),
    "binary": sentence,
    "version": name,
    "replaced": boolean,
    "linked": name,
}
SERVER: dict[str, Check] = {"backend": name, "name": name, "state": name, "check": name, "sessions": count}
_etcd, _error = record(ETCD), record({"error": sentence})


def _view(value: t.Any, key: str) -> dict[str, t.Any]:
    """A member's view of etcd, an error, or nothing where the host was not asked."""
    if value == {}:
        return {}
    inner = _error if isinstance(value, dict) and "error" in value else _etcd
    return t.cast("dict[str, t.Any]", inner(value, key))


checked_answer = record(
    {
        "found": checked_found,
        "facts": _facts,
        "load": list_of(number(0, 10**9), 3),
        "programs": list_of(record(PROGRAM), 1024),
        "etcd": _view,
        "backends": record({}, {"error": sentence, "servers": list_of(record(SERVER), 1024)}),
    }
)
