# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore knows before it is planned: the settings, the archive, the hosts, and the cluster's directory."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Untrusted, integer, record, text

# Where the source of a restore comes from.
PENDING = "pending"  # an earlier run chose it and died
ARCHIVE = "archive"
SNAPSHOT = "snapshot"
SURVIVOR = "survivor"  # the data of a member
NONE = "none"  # etcd has quorum, so nothing is restored

SNAPSHOT_IN_ARCHIVE = "etcd/snapshot.db"

#: Characters of a record in base64, and by how much revisions are raised at most: the milliseconds since 1970 have 13 digits.
LONGEST_RECORD, LARGEST_BUMP = 64 * 1024, 10**15
_record = record({}, {"initial_cluster_token": text(), "bump_revision": integer(0, LARGEST_BUMP)})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The role's settings; *alone* is for etcd without the cluster's directory."""

    cluster: str
    etcd_version: str
    alone: bool = False
    archive: str = ""
    snapshot: str = ""
    source_host: str = ""
    force_id: str = ""
    allow_other_cluster: bool = False

    def restore_id(self, sha256: str) -> str:
        """Tells this restore from all others, on the hosts and on the controller. A run again comes to the same one."""
        return f"{self.cluster}-{sha256[:16]}{f'-{self.force_id}' if self.force_id else ''}"


@dataclasses.dataclass(frozen=True)
class Archive:
    """What the module backup found in the archive. It has no files where it is encrypted and there is no key."""

    readable: bool = False
    cluster: str = ""
    time: str = ""
    revision: int = 0
    etcd_version: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, verified: Mapping[str, t.Any]) -> Archive:
        """By the result of the module backup, with state *verified*."""
        manifest = verified.get("manifest") or {}
        if verified.get("proved") != "content":
            return cls()
        return cls(
            True,
            manifest.get("cluster") or "",
            manifest.get("time") or "",
            int(manifest.get("revision") or 0),
            str((manifest.get("versions") or {}).get("etcd") or ""),
            {entry["path"]: entry["sha256"] for entry in manifest.get("files") or []},
        )

    def checksums(self, pattern: str) -> set[str]:
        """SHA-256 of the files whose path is of *pattern*."""
        return {sha256 for path, sha256 in self.files.items() if re.fullmatch(pattern, path)}

    @property
    def authorities(self) -> set[str]:
        return self.checksums(r"cluster/pki/(ca|etcd-ca)(-[0-9]+)?[.]pem")

    @property
    def etcd_bundles(self) -> set[str]:
        return self.checksums(r"cluster/pki/etcd-ca.*[.]pem")

    @property
    def encryption_keys(self) -> set[str]:
        return self.checksums(r"cluster/pki/encryption.*[.]key")


def _read(result: Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    """The record that a restore left beside a member's data, by the result of slurp; None where there is none."""
    content = result.get("content")
    if not content or not isinstance(content, str) or len(content) > LONGEST_RECORD:
        return None
    try:
        return t.cast("dict[str, t.Any]", _record(json.loads(base64.b64decode(content)), ""))
    except (ValueError, RecursionError, Untrusted):
        return None


def _checksum(result: Mapping[str, t.Any]) -> str:
    """Of a file, by the result of stat; empty where there is none."""
    stat = result.get("stat")
    checksum = stat.get("checksum") if isinstance(stat, Mapping) else None
    return checksum if isinstance(checksum, str) else ""


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The hosts of the group etcd: those with *members'* data, which restore these came from, which CA they trust, and how etcd does."""

    names: Sequence[str]
    members: Sequence[str] = ()
    records: Mapping[str, Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)
    bundles: frozenset[str] = frozenset()
    states: Sequence[Mapping[str, t.Any]] = ()

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        members: Sequence[str],
        records: Mapping[str, Mapping[str, t.Any]],
        bundles: Mapping[str, Mapping[str, t.Any]],
        states: Mapping[str, Mapping[str, t.Any]],
    ) -> Hosts:
        """By the hosts' results of slurp, stat and etcd_info. Of the first two all is a stranger's word: what is none of ours counts as not there."""
        read = {host: record for host, result in records.items() if (record := _read(result)) is not None}
        sums = {host: _checksum(result) for host, result in bundles.items()}
        return cls(
            names,
            members,
            read,
            frozenset(checksum for host, checksum in sums.items() if host in members and checksum),
            [states[host] for host in names if host in states],
        )

    @property
    def has_quorum(self) -> bool:
        return any(state.get("has_quorum") for state in self.states)

    @property
    def problems(self) -> list[str]:
        return list(dict.fromkeys(problem for state in self.states for problem in state.get("problems") or []))

    @property
    def revision(self) -> int:
        return max((int(state["revision"]) for state in self.states if "revision" in state), default=0)

    def restored(self, restore_id: str) -> dict[str, Mapping[str, t.Any]]:
        """The records of those whose data came from this restore."""
        return {
            host: record for host, record in self.records.items() if record.get("initial_cluster_token") == restore_id
        }


@dataclasses.dataclass(frozen=True)
class Directory:
    """The cluster's directory on the controller: its CAs, the encryption keys in use, and what restores left in it."""

    path: str
    authorities: frozenset[str] = frozenset()
    encryption_keys: frozenset[str] = frozenset()
    restored: str = ""
    pending: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def pending_snapshot(self) -> str:
        return f"{self.path}/etcd-restore.db"
