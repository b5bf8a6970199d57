# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules that ask etcd return, by key: the answer of a host on which they run, or of the members that they ask."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import sentence, sentences
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.answers import ETCD
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    LONG,
    Check,
    integer,
    list_of,
    one_of,
    optional,
    plain,
    text,
)

#: Keys of a whole cluster, more than etcd holds within its quota of 8 GiB in practice.
KEYS = 5_000_000
#: The longest list of members, and the longest value, that is taken.
MEMBERS, VALUE = 64 * 1024, 1024 * 1024

name, path = text(), text(LONG)
count = integer(0, 2**64)
#: etcd counts in 64 bits with a sign.
revision = integer(0, 2**63 - 1)
sha256 = text(64, "[0-9a-f]{64}")
keys = list_of(path, KEYS)

INFO: dict[str, Check] = ETCD
KEYS_INFO: dict[str, Check] = {"revision": revision, "keys": keys, "written": keys}
MAINTENANCE: dict[str, Check] = {
    "steps": sentences,
    "member": name,
    **dict.fromkeys(
        ("db_size_before", "db_size", "fragmentation_before", "fragmentation"), optional(integer(-(2**31), 2**63))
    ),
    "revision": revision,
    "alarms": plain(),
}
MEMBER: dict[str, Check] = {
    "steps": sentences,
    "member": plain(),
    "members": list_of(path, 1024),
    "leader": name,
    "initial_cluster": text(MEMBERS, r"[^\s,=]+=[^\s,=]+(,[^\s,=]+=[^\s,=]+)*"),
    "initial_cluster_state": one_of("new", "existing"),
}
SNAPSHOT: dict[str, Check] = {
    "path": path,
    "endpoint": name,
    "size": count,
    "sha256": sha256,
    "hash": text(64, "[0-9a-f]*"),
    "revision": revision,
    "total_keys": count,
    "raft_term": count,
    "raft_index": count,
    "version": text(64),
}
RESTORE: dict[str, Check] = {
    "reason": sentence,
    "revision": revision,
    "restored_revision": revision,
    "hash": text(64, "[0-9a-f]*"),
    "total_keys": count,
    "sha256": sha256,
    "old_data": path,
}
PUT: dict[str, Check] = {"before": optional(text(VALUE, lines=True))}
