# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps etcd's database small and writable: compaction, defragmentation, alarms.

Source: https://etcd.io/docs/v3.6/op-guide/maintenance/
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import (
    NOSPACE,
    QUOTA_LIMIT,
    Cluster,
    EtcdError,
    Member,
    NotYet,
    Refused,
    Status,
    names,
    no_quorum,
)

COMPACT, DEFRAGMENT, DISARM = "compact", "defragment", "disarm"
# From which size and fragmentation on it is worth it: those of OpenShift's etcd operator (pkg/operator/defragcontroller).
FRAGMENTATION = 45
MINIMUM_SIZE = 100 * 1024**2
PAUSE = 0.3
# etcd's default of max-request-bytes: with less room than that, the quota counts as full.
LARGEST_REQUEST = 1536 * 1024
# Seconds until pages that a compaction freed are counted as not in use: with a later commit, which any write brings.
COUNTING = 3.0


@dataclasses.dataclass(frozen=True)
class MaintenanceSpec:
    """*member* is a name; None is the one that answers at the first endpoint."""

    member: str | None = None
    defragment: bool = False
    fragmentation: int = FRAGMENTATION
    minimum_size: int = MINIMUM_SIZE
    compact_revision: int | None = None
    disarm: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Step:
    kind: str
    text: str
    member: int = 0
    alarm: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    before: Member
    after: Member
    cluster: Cluster
    steps: tuple[Step, ...]


def plan(cluster: Cluster, member: Member, spec: MaintenanceSpec, compacted: bool) -> list[Step]:
    """What there is to do; *compacted* is whether the revision was compacted to before. Raises Refused when it would break the cluster."""
    steps, problems = [], []
    if spec.compact_revision and not compacted:
        steps.append(Step(COMPACT, f"compact to revision {spec.compact_revision}"))
        if spec.compact_revision > cluster.revision:
            problems.append(
                f"compact_revision: {spec.compact_revision} is in the future, the cluster is at {cluster.revision}. Fix: give an earlier revision"
            )
    if spec.defragment and (steps or _is_due(cluster, member, spec)):
        due = f"({_sizes(member)})" if _is_due(cluster, member, spec) else "if it is due then"
        steps.append(Step(DEFRAGMENT, f"defragment {member.label} {due}", member.id))
        problems += _defragmentation_problems(cluster, member)
    disarming = [
        Step(DISARM, f"disarm {alarm} of {other.label}", other.id, alarm)
        for other in cluster.members
        for alarm in other.alarms
        if alarm in spec.disarm
    ]
    if any(step.alarm == NOSPACE for step in disarming) and not any(step.kind == COMPACT for step in steps):
        problems += _space_problems(cluster, member if any(step.kind == DEFRAGMENT for step in steps) else None)
    steps += disarming
    if steps and not cluster.has_quorum:
        problems.insert(0, f"nothing was changed, because {no_quorum(cluster)}")
    if problems:
        raise Refused(problems)
    return steps


def maintain(client: Etcd, spec: MaintenanceSpec, timeout: float, check_mode: bool = False) -> Outcome:
    """Do what is due. Raises Refused, and EtcdError for a step that did not succeed within *timeout* seconds."""
    cluster = client.observe()
    before = member = chosen(client, cluster, spec.member)
    compacted = bool(
        spec.compact_revision and cluster.has_quorum and client.is_compacted(cluster, spec.compact_revision)
    )
    steps = plan(cluster, member, spec, compacted)
    if check_mode:
        return Outcome(before, member, cluster, tuple(steps))
    taken: list[Step] = []
    while steps:
        step = steps[0]
        try:
            _take(client, cluster, member, step, spec, timeout)
            taken.append(step)
            # Only now it is known what a compaction freed; and a defragmentation that gained little is not repeated.
            compacted = compacted or step.kind == COMPACT
            spec = dataclasses.replace(spec, defragment=spec.defragment and step.kind != DEFRAGMENT)
            cluster = _after_step(client, member, timeout, spec if step.kind == COMPACT and spec.defragment else None)
            member = cluster.member(member.id) or member
            steps = plan(cluster, member, spec, compacted)
        except EtcdError as error:
            done = "; ".join(other.text for other in taken)
            raise EtcdError(
                f"could not {steps[0].text}: {str(error).rstrip('.')}. Done before: {done or 'nothing'}. Fix: correct the cause, and run again"
            ) from error
    return Outcome(before, member, cluster, tuple(taken))


def chosen(client: Etcd, cluster: Cluster, name: str | None) -> Member:
    if name is None:
        identity = client.identity(client.endpoints[0])
        member = cluster.member(identity)
        if member is None:
            raise EtcdError(
                f"{client.endpoints[0]} answers as {identity:x}, which is no member any more. Fix: name an endpoint of a member"
            )
        return member
    fitting = [member for member in cluster.members if member.name == name]
    if len(fitting) != 1:
        raise EtcdError(
            f"member: {name!r} is the name of {len(fitting)} members. Fix: name one of {names(cluster.members)}"
        )
    return fitting[0]


def _is_due(cluster: Cluster, member: Member, spec: MaintenanceSpec) -> bool:
    """Where nothing can be written, etcd does not count what a compaction freed: it does so with later commits. A full member is due then."""
    status = member.status
    if status is None:
        return True
    if any(NOSPACE in other.alarms for other in cluster.members) and (status.quota_used or 0) >= QUOTA_LIMIT:
        return True
    return status.db_size >= spec.minimum_size and status.fragmentation > spec.fragmentation


def _sizes(member: Member) -> str:
    if member.status is None:
        return "does not answer"
    return f"{megabytes(member.status.db_size)}, of which {megabytes(member.status.db_size_in_use)} are in use"


def megabytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _defragmentation_problems(cluster: Cluster, member: Member) -> list[str]:
    """It does not answer meanwhile, as if it were dead. A cluster whose other members are healthy tolerates that."""
    if member.status is None:
        return [
            f"{member.label} cannot be defragmented, because it does not answer: {member.problem}. Fix: start it first"
        ]
    others = [other for other in cluster.voters if other.id != member.id]
    sick = [other for other in others if not other.healthy]
    able = len(others) - len(sick)
    if member.learner or not sick or able >= cluster.quorum:
        return []
    causes = "; ".join(f"{other.label}: {other.problem}" for other in sick)
    return [
        f"{member.label} is not defragmented: it does not answer meanwhile, and of the others ({names(others)}) {able} are healthy and {cluster.quorum} "
        f"are needed for quorum ({causes}). Fix: start {names(sick)} first"
    ]


def _space_problems(cluster: Cluster, shrinking: Member | None) -> list[str]:
    """etcd would raise the alarm again with the next write that does not fit, whichever member it is that has no room."""
    problems = []
    for member in cluster.members:
        status = member.status or Status("")
        size = status.db_size_in_use if shrinking and member.id == shrinking.id else status.db_size
        if status.quota and size + LARGEST_REQUEST > status.quota:
            problems.append(
                f"NOSPACE is not disarmed: {member.label} has {megabytes(size)} and a quota of {megabytes(status.quota)}. "
                f"Fix: compact, defragment {member.label}, or raise quota-backend-bytes first"
            )
    return problems


def _take(client: Etcd, cluster: Cluster, member: Member, step: Step, spec: MaintenanceSpec, timeout: float) -> None:
    if step.kind == COMPACT:
        client.compact(cluster, member, spec.compact_revision or 0, timeout)
    elif step.kind == DEFRAGMENT and member.status:
        client.defragment(member.status.endpoint, timeout)
    else:
        client.disarm(cluster, step.member, step.alarm)


def _after_step(client: Etcd, member: Member, timeout: float, compacted: MaintenanceSpec | None) -> Cluster:
    """Once the member is healthy again, so that a caller may continue with the next, and counts what a compaction freed."""
    began = time.monotonic()
    while True:
        cluster = client.observe()
        now = cluster.member(member.id)
        waited = time.monotonic() - began
        if (
            now
            and (now.healthy or not member.healthy)
            and (not compacted or _is_due(cluster, now, compacted) or waited >= COUNTING)
        ):
            return cluster
        if waited >= timeout:
            raise NotYet(
                f"{member.label} is not healthy {timeout:g} s after: {now.problem if now else 'it is no member any more'}"
            )
        time.sleep(PAUSE)


def report(outcome: Outcome) -> dict[str, t.Any]:
    before, after = outcome.before.status or Status(""), outcome.after.status or Status("")
    return {
        "steps": [step.text for step in outcome.steps],
        "member": outcome.after.name,
        "db_size_before": before.db_size,
        "db_size": after.db_size,
        "fragmentation_before": before.fragmentation,
        "fragmentation": after.fragmentation,
        "revision": outcome.cluster.revision,
        "alarms": [
            {"member": member.name, "alarm": alarm} for member in outcome.cluster.members for alarm in member.alarms
        ],
    }


def diff(outcome: Outcome, check_mode: bool = False) -> dict[str, str]:
    """Sizes and alarms; in check mode the steps stand for what is not known yet."""

    def lines_of(member: Member, alarms: t.Iterable[str]) -> str:
        status = member.status or Status("")
        lines = [f"db_size: {status.db_size}", f"fragmentation: {status.fragmentation}", *sorted(alarms)]
        return "".join(f"{line}\n" for line in lines)

    left = [f"alarm {alarm} of {member.label}" for member in outcome.cluster.members for alarm in member.alarms]
    gone = (
        [] if check_mode else [step.text.replace("disarm", "alarm", 1) for step in outcome.steps if step.kind == DISARM]
    )
    planned = "".join(f"{step.text}\n" for step in outcome.steps) if check_mode else ""
    return {
        "before_header": outcome.before.label,
        "after_header": outcome.before.label,
        "before": lines_of(outcome.before, left + gone),
        "after": lines_of(outcome.after, left) + planned,
    }
