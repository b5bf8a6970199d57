# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of etcd as it was at one observation: its members, how each of them does, and what is wrong with it.

Everything that a caller decides on is in one value, C(Cluster).
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

# Percent of the space quota from which on it is a problem: at 100 etcd takes no more writes.
QUOTA_LIMIT = 80
NOSPACE = "NOSPACE"
ALARMS = (NOSPACE, "CORRUPT")


class EtcdError(HardwayError):
    """What is wrong, where, and how to fix it."""


class NotYet(EtcdError):
    """What etcd refuses now, or did not answer, and may grant a moment later."""


class Refused(EtcdError):
    """Nothing was changed, for each of these reasons."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclasses.dataclass(frozen=True)
class Status:
    """What a member that answers says of itself. Sizes are bytes; *quota* is 0 where it is not known."""

    endpoint: str
    cluster_id: int = 0
    version: str = ""
    revision: int = 0
    db_size: int = 0
    db_size_in_use: int = 0
    quota: int = 0
    leader: int = 0
    raft_term: int = 0
    raft_index: int = 0
    raft_applied_index: int = 0
    errors: tuple[str, ...] = ()

    @property
    def fragmentation(self) -> int:
        """Percent of the file that holds nothing."""
        return round(100 * (self.db_size - self.db_size_in_use) / self.db_size) if self.db_size else 0

    @property
    def quota_used(self) -> int | None:
        """Percent of the space quota; None where the quota is not known."""
        return round(100 * self.db_size / self.quota) if self.quota else None


@dataclasses.dataclass(frozen=True)
class Member:
    """A member. *problem* says why it is not healthy; *latency* is how long it took to say so, in milliseconds."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    learner: bool = False
    healthy: bool = False
    problem: str = ""
    latency: float | None = None
    status: Status | None = None
    alarms: tuple[str, ...] = ()

    @property
    def started(self) -> bool:
        """A member publishes its name when it starts for the first time."""
        return bool(self.name)

    @property
    def alive(self) -> bool:
        return self.status is not None

    @property
    def label(self) -> str:
        return self.name or f"the member at {','.join(self.peer_urls)}"

    def report(self, leader: bool) -> dict[str, t.Any]:
        status = self.status or Status("")
        return {
            "name": self.name,
            "id": f"{self.id:x}",
            "peer_urls": list(self.peer_urls),
            "client_urls": list(self.client_urls),
            "started": self.started,
            "learner": self.learner,
            "leader": leader,
            "healthy": self.healthy,
            "problem": self.problem,
            "latency_ms": self.latency,
            "alarms": list(self.alarms),
            "errors": list(status.errors),
            "version": status.version,
            "revision": status.revision,
            "raft_term": status.raft_term,
            "raft_index": status.raft_index,
            "raft_applied_index": status.raft_applied_index,
            "db_size": status.db_size,
            "db_size_in_use": status.db_size_in_use,
            "fragmentation": status.fragmentation,
            "quota": status.quota,
            "quota_used": status.quota_used,
        }


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All members as they were at one observation. *leader* is the leader's id, 0 where a majority knows none."""

    id: int
    members: tuple[Member, ...]
    leader: int = 0

    @property
    def voters(self) -> list[Member]:
        return [member for member in self.members if not member.learner]

    @property
    def healthy_voters(self) -> list[Member]:
        return [member for member in self.voters if member.healthy]

    @property
    def quorum(self) -> int:
        """How many voting members must be healthy."""
        return quorum(len(self.voters))

    @property
    def has_quorum(self) -> bool:
        return bool(self.voters) and len(self.healthy_voters) >= self.quorum

    @property
    def has_leader(self) -> bool:
        """Whether there is a leader that answers; followers name a dead one until they elect another."""
        leader = self.member(self.leader)
        return self.has_quorum and leader is not None and leader.alive

    @property
    def revision(self) -> int:
        return max((member.status.revision for member in self.members if member.status), default=0)

    def member(self, identity: int) -> Member | None:
        return next((member for member in self.members if member.id == identity), None)

    def defragmentation_order(self) -> list[Member]:
        """As defragmentation and restarts go through them: by name, and the leader last, so that leadership moves once at most."""
        return sorted(
            (member for member in self.members if member.started),
            key=lambda member: (member.id == self.leader, member.name),
        )

    def initial_cluster(self, name: str, peer_urls: Sequence[str]) -> str:
        """With which a member starts that joins. Every member must be in it, also one that has no name yet."""
        wanted = set(peer_urls)
        pairs = {
            (name if wanted & set(member.peer_urls) else member.name or f"{member.id:x}", url)
            for member in self.members
            for url in member.peer_urls
        }
        pairs |= {(name, url) for url in wanted}
        return ",".join(f"{name}={url}" for name, url in sorted(pairs))

    def problems(self) -> list[str]:
        """All that an operator should know of, the worst first."""
        found = []
        if not self.has_quorum:
            found.append(no_quorum(self))
        elif not self.leader:
            found.append("no member is known as leader")
        for member in self.members:
            if not member.started:
                found.append(f"{member.label} was added and never started. Fix: start it, or remove it")
            elif not member.healthy:
                found.append(f"{member.label} is not healthy: {member.problem}")
            if member.learner and member.started:
                found.append(
                    f"{member.label} is a learner: it does not vote until it is promoted. Fix: run the playbook that added it again"
                )
            found += [f"{member.label} has raised the alarm {alarm}" for alarm in member.alarms]
            used = member.status.quota_used if member.status else None
            if used is not None and used >= QUOTA_LIMIT:
                found.append(
                    f"{member.label} uses {used} % of its space quota. Fix: compact and defragment it, or raise quota-backend-bytes"
                )
        versions = sorted({member.status.version for member in self.members if member.status})
        if len(versions) > 1:
            found.append(f"members run different versions: {', '.join(versions)}")
        return found

    def report(self) -> dict[str, t.Any]:
        leader = self.member(self.leader)
        return {
            "cluster_id": f"{self.id:x}",
            "members": [
                member.report(member.id == self.leader)
                for member in sorted(self.members, key=lambda member: (member.name, member.id))
            ],
            "leader": leader.name if leader else "",
            "revision": self.revision,
            "voters": len(self.voters),
            "quorum": self.quorum,
            "has_quorum": self.has_quorum,
            "fault_tolerance": max(0, len(self.healthy_voters) - self.quorum),
            "defragmentation_order": [member.name for member in self.defragmentation_order() if member.alive],
            "healthy": not any(not member.healthy or member.alarms for member in self.members) and self.has_quorum,
            "problems": self.problems(),
        }


def quorum(voters: int) -> int:
    return voters // 2 + 1


def names(members: Iterable[Member]) -> str:
    return ", ".join(sorted(member.label for member in members)) or "none"


def no_quorum(cluster: Cluster) -> str:
    sick = "; ".join(f"{member.label}: {member.problem}" for member in cluster.voters if not member.healthy)
    return (
        f"the cluster has no quorum: of {len(cluster.voters)} voting members {len(cluster.healthy_voters)} are healthy and {cluster.quorum} are "
        f"needed ({sick}). Fix: start those that still have their data; where too many are lost, restore etcd from a snapshot"
    )
