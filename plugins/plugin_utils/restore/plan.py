# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One restore, planned once: what it takes, what it replaces, and every reason to refuse it."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem, to_data
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.model import (
    ARCHIVE,
    NONE,
    PENDING,
    SNAPSHOT,
    SNAPSHOT_IN_ARCHIVE,
    SURVIVOR,
    Archive,
    Directory,
    Hosts,
    Settings,
)

# In check mode no member's data is read, so its snapshot has no id yet.
PLANNED_ID = "planned"
OTHER_CLUSTER = "Where this is intended (the old data is kept), add -e restore_allow_other_cluster=yes."


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is restored (*source*, *id*, *sha256*, *revision*, *origin*, and the *snapshot's* path), and what it means.

    *staging* is where the archive is extracted. *done* says that all members have it, *placed* that the directory has. *confirm* says that
    there is something to lose. *bump_revision* is that of the members that have it already; None where there are none.
    """

    source: str
    id: str
    sha256: str
    revision: int
    origin: str
    snapshot: str
    staging: str
    extract: bool
    done: bool
    placed: bool
    confirm: bool
    members: list[str]
    salvage: list[str]
    has_quorum: bool
    bump_revision: int | None
    lines: list[str]
    problems: list[Problem]

    def to_data(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "problems": to_data(self.problems)}


@dataclasses.dataclass(frozen=True)
class _Source:
    """Where the data come from."""

    kind: str
    id: str
    sha256: str
    revision: int
    origin: str
    snapshot: str


def source_problems(settings: Settings, etcd_hosts: Sequence[str]) -> list[Problem]:
    """What is wrong with the settings that name the source. Nothing has to be known of the hosts."""
    if not settings.alone and not settings.archive:
        fix = "Add -e restore_archive=PATH; hardway.kubernetes.backup printed the path when it made the archive."
        return [Problem("restore_archive", "No archive is named.", fix)]
    named = [each for each in (settings.archive, settings.snapshot, settings.source_host) if each]
    if settings.alone and len(named) > 1:
        fix = "Name one of restore_archive, restore_snapshot and restore_source."
        return [Problem("restore_archive", f"Several sources are named: {', '.join(named)}.", fix)]
    if settings.alone and settings.source_host and settings.source_host not in etcd_hosts:
        fix = f"Name one of {', '.join(etcd_hosts)}."
        return [Problem("restore_source", f"{settings.source_host} is not a host of the group etcd.", fix)]
    return []


def plan(
    settings: Settings,
    hosts: Hosts,
    directory: Directory,
    archive: Archive | None = None,
    snapshot_sha256: str = "",
    snapshot_revision: int = 0,
) -> Plan:
    """The plan of a restore. *archive* is None where none is named."""
    source = _source(settings, hosts, directory, archive, snapshot_sha256, snapshot_revision)
    restored = hosts.restored(source.id)
    done = source.kind == NONE or (source.kind != SURVIVOR and not set(hosts.names) - set(restored))
    placed = directory.restored == source.id
    replaces = bool(hosts.members or directory.authorities)
    staging = f"{directory.path}.restore-{source.sha256[:16]}" if source.kind == ARCHIVE and source.sha256 else ""
    bumps = [int(record["bump_revision"]) for record in restored.values() if "bump_revision" in record]
    salvage = [settings.source_host] if settings.source_host else list(hosts.members)
    return Plan(
        source=source.kind,
        id=source.id,
        sha256=source.sha256,
        revision=source.revision,
        origin=source.origin,
        snapshot=f"{staging}/{SNAPSHOT_IN_ARCHIVE}" if staging else source.snapshot,
        staging=staging,
        extract=bool(staging) and not (done and (settings.alone or placed)),
        done=done,
        placed=placed,
        confirm=source.kind in (ARCHIVE, SNAPSHOT, SURVIVOR) and not done and replaces,
        members=list(hosts.members),
        salvage=salvage,
        has_quorum=hosts.has_quorum,
        bump_revision=bumps[0] if bumps else None,
        lines=_lines(settings, hosts, directory, source, done, placed),
        problems=[
            *([] if archive is None else _archive_problems(settings, hosts, directory, archive)),
            *(_survivor_problems(hosts, salvage) if source.kind == SURVIVOR else []),
        ],
    )


def _source(
    settings: Settings, hosts: Hosts, directory: Directory, archive: Archive | None, sha256: str, revision: int
) -> _Source:
    """What an earlier run wrote down comes first: members may have been made from it already."""
    pending = directory.pending
    if settings.alone and pending:
        return _Source(
            PENDING,
            pending["id"],
            pending["sha256"],
            int(pending["revision"]),
            pending["origin"],
            directory.pending_snapshot,
        )
    if archive is not None:
        found = archive.files.get(SNAPSHOT_IN_ARCHIVE, "")
        origin = f"{settings.archive}, of {archive.time}"
        return _Source(ARCHIVE, settings.restore_id(found), found, archive.revision, origin, "")
    if settings.snapshot:
        return _Source(SNAPSHOT, settings.restore_id(sha256), sha256, revision, settings.snapshot, settings.snapshot)
    if hosts.has_quorum and not settings.source_host:
        return _Source(NONE, "", "", hosts.revision, "the running cluster", "")
    return _Source(SURVIVOR, PLANNED_ID, "", 0, "a survivor", directory.pending_snapshot)


def _lines(
    settings: Settings, hosts: Hosts, directory: Directory, source: _Source, done: bool, placed: bool
) -> list[str]:
    """What the restore means, for people."""
    members = ", ".join(hosts.members)
    if source.kind == NONE:
        return [
            "etcd has quorum, so nothing is restored.",
            *hosts.problems,
            "Replace a single unhealthy member with hardway.kubernetes.remove_etcd and add_etcd. To restore older data, name an archive or a snapshot.",
        ]
    if source.kind == SURVIVOR:
        return [
            f"source: the data of {settings.source_host or f'the member with the newest log, of {members}'}",
            f"etcd: stops everywhere; the data of {members} is kept, and replaced",
            *hosts.problems,
        ]
    lines = [f"source: {source.origin}, etcd at revision {source.revision}"]
    if source.kind == PENDING:
        lines.append("An earlier run chose this source and did not finish. This run finishes it.")
    if done:
        return [
            *lines,
            "All members were restored from it before, so nothing is restored. To do it again, add -e restore_force_id=WORD.",
        ]
    if not settings.alone:
        state = "was restored before" if placed else "is kept, and replaced" if directory.authorities else "is created"
        lines.append(f"cluster directory: {directory.path} {state}")
    data = f"the data of {members} is kept, and replaced" if members else f"new data on {', '.join(hosts.names)}"
    return [*lines, f"etcd: {data}"]


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _archive_problems(settings: Settings, hosts: Hosts, directory: Directory, archive: Archive) -> Iterator[Problem]:
    where = settings.archive
    if not archive.readable:
        yield Problem(
            where, "The archive is encrypted.", "Name the file with the private key: -e restore_identity=PATH."
        )
        return
    if archive.cluster != settings.cluster:
        yield Problem(
            where,
            f"The archive is of the cluster {archive.cluster}, and this inventory's is {settings.cluster}.",
            "Take the right archive, or the right inventory (-i).",
        )
    if SNAPSHOT_IN_ARCHIVE not in archive.files:
        yield Problem(
            where,
            "The archive has no snapshot of etcd.",
            "Take an archive that hardway.kubernetes.backup made.",
        )
    if _minor(archive.etcd_version) > _minor(settings.etcd_version):
        yield Problem(
            where,
            f"The archive was written by etcd {archive.etcd_version}, which {settings.etcd_version} cannot read.",
            f"Set cluster_etcd_version to {archive.etcd_version}.",
        )
    yield from _other_cluster(settings, hosts, directory, archive)
    if settings.alone and archive.encryption_keys and not archive.encryption_keys & directory.encryption_keys:
        yield Problem(
            where,
            "The archive has Secrets that were encrypted with a key which is not in use any more.",
            "Restore the keys with them: hardway.kubernetes.restore.",
        )


def _other_cluster(settings: Settings, hosts: Hosts, directory: Directory, archive: Archive) -> Iterator[Problem]:
    """Whether the directory and the members are of the archive's cluster: they have a CA in common."""
    if settings.allow_other_cluster:
        return
    if directory.authorities and not directory.authorities & archive.authorities:
        yield Problem(
            directory.path,
            "The directory has other CAs than the archive: it is of another cluster of the same name, or all CAs were replaced since.",
            OTHER_CLUSTER,
        )
    if hosts.bundles - archive.etcd_bundles:
        yield Problem(
            ", ".join(hosts.members),
            "The members of etcd trust another CA than the archive's: another cluster runs there, or CAs were replaced since.",
            OTHER_CLUSTER,
        )


def _survivor_problems(hosts: Hosts, salvage: Sequence[str]) -> Iterator[Problem]:
    if not set(salvage) & set(hosts.members):
        yield Problem(
            ", ".join(salvage or hosts.names),
            "There is no data of etcd.",
            "Restore from an archive (-e restore_archive=PATH) or a snapshot (-e restore_snapshot=PATH).",
        )
