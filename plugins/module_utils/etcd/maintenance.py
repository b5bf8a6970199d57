# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeps etcd's database small and writable: compaction, defragmentation, alarms.

Source: https://etcd.io/docs/v3.6/op-guide/maintenance/
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import (
    Cluster,
    Etcd,
    EtcdError,
    Member,
    NotYet,
    Refused,
    Status,
    names,
)

COMPACT, DEFRAGMENT, DISARM = "compact", "defragment", "disarm"
# From which size and fragmentation on it is worth while: those of OpenShift's etcd operator (pkg/operator/defragcontroller).
FRAGMENTATION = 45
MINIMUM_SIZE = 100 * 1024**2
PAUSE = 0.3
# etcd's default of max-request-bytes: with less room than that, the quota is as good as full.
LARGEST_REQUEST = 1536 * 1024
# Seconds until pages that a compaction freed are counted as not in use: with a later commit, which any write brings.
COUNTING = 3.0


@dataclasses.dataclass(frozen=True)
class Wanted:
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


def plan(cluster: Cluster, member: Member, wanted: Wanted, compacted: bool) -> list[Step]:
    """What there is to do; *compacted* tells that the revision was compacted to before. Raises Refused when the cluster could not bear it."""
    steps, problems = [], []
    if wanted.compact_revision and not compacted:
        steps.append(Step(COMPACT, f"compact to revision {wanted.compact_revision}"))
        if wanted.compact_revision > cluster.revision:
            problems.append(
                f"compact_revision: {wanted.compact_revision} is not there yet, the cluster is at {cluster.revision}"
            )
    if wanted.defragment and (steps or _is_due(cluster, member, wanted)):
        due = f"({_sizes(member)})" if _is_due(cluster, member, wanted) else "if it is due then"
        steps.append(Step(DEFRAGMENT, f"defragment {member.label} {due}", member.id))
        problems += _defragmentation_problems(cluster, member)
    disarming = [
        Step(DISARM, f"disarm {alarm} of {other.label}", other.id, alarm)
        for other in cluster.members
        for alarm in other.alarms
        if alarm in wanted.disarm
    ]
    if any(step.alarm == etcd.NOSPACE for step in disarming) and not any(step.kind == COMPACT for step in steps):
        problems += _space_problems(cluster, member if any(step.kind == DEFRAGMENT for step in steps) else None)
    steps += disarming
    if steps and not cluster.has_quorum:
        problems.insert(0, f"nothing is changed, for {etcd.no_quorum(cluster)}")
    if problems:
        raise Refused(problems)
    return steps


def maintain(client: Etcd, wanted: Wanted, timeout: float, check_mode: bool = False) -> Outcome:
    """Do what is due. Raises Refused, and EtcdError for a step that did not succeed within *timeout* seconds."""
    cluster = client.look()
    before = member = chosen(client, cluster, wanted.member)
    compacted = bool(
        wanted.compact_revision and cluster.has_quorum and client.is_compacted(cluster, wanted.compact_revision)
    )
    steps = plan(cluster, member, wanted, compacted)
    if check_mode:
        return Outcome(before, member, cluster, tuple(steps))
    taken: list[Step] = []
    while steps:
        step = steps[0]
        try:
            _take(client, cluster, member, step, wanted, timeout)
            taken.append(step)
            # Only now it is known what a compaction gave back; and a defragmentation that gained little is not asked for again.
            compacted = compacted or step.kind == COMPACT
            wanted = dataclasses.replace(wanted, defragment=wanted.defragment and step.kind != DEFRAGMENT)
            cluster = _settled(client, member, timeout, wanted if step.kind == COMPACT and wanted.defragment else None)
            member = cluster.member(member.id) or member
            steps = plan(cluster, member, wanted, compacted)
        except EtcdError as error:
            done = "; ".join(other.text for other in taken)
            raise EtcdError(
                f"could not {steps[0].text}: {str(error).rstrip('.')}. Done before: {done or 'nothing'}"
            ) from error
    return Outcome(before, member, cluster, tuple(taken))


def chosen(client: Etcd, cluster: Cluster, name: str | None) -> Member:
    if name is None:
        identity = client.identity(client.endpoints[0])
        member = cluster.member(identity)
        if member is None:
            raise EtcdError(
                f"{client.endpoints[0]} answers as {identity:x}, which is no member any more. Name an endpoint of a member"
            )
        return member
    fitting = [member for member in cluster.members if member.name == name]
    if len(fitting) != 1:
        raise EtcdError(f"member: {name!r} is the name of {len(fitting)} members; there are {names(cluster.members)}")
    return fitting[0]


def _is_due(cluster: Cluster, member: Member, wanted: Wanted) -> bool:
    """Where nothing can be written, etcd does not count what a compaction freed: it does so with later commits. A full member is due then."""
    status = member.status
    if status is None:
        return True
    if any(etcd.NOSPACE in other.alarms for other in cluster.members) and (status.quota_used or 0) >= etcd.QUOTA_LIMIT:
        return True
    return status.db_size >= wanted.minimum_size and status.fragmentation > wanted.fragmentation


def _sizes(member: Member) -> str:
    if member.status is None:
        return "does not answer"
    return f"{megabytes(member.status.db_size)}, of which {megabytes(member.status.db_size_in_use)} are in use"


def megabytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _defragmentation_problems(cluster: Cluster, member: Member) -> list[str]:
    """It answers nobody meanwhile, as if it were dead. With all others healthy that is what a cluster is made for."""
    if member.status is None:
        return [f"{member.label} cannot be defragmented, for it does not answer: {member.problem}"]
    others = [other for other in cluster.voters if other.id != member.id]
    sick = [other for other in others if not other.healthy]
    able = len(others) - len(sick)
    if member.learner or not sick or able >= cluster.quorum:
        return []
    causes = "; ".join(f"{other.label}: {other.problem}" for other in sick)
    return [
        f"{member.label} is not defragmented: it answers nobody meanwhile, and of the others ({names(others)}) {able} are healthy and {cluster.quorum} "
        f"are needed for quorum ({causes}). Start {names(sick)} first"
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
                f"Compact, defragment {member.label}, or raise quota-backend-bytes first"
            )
    return problems


def _take(client: Etcd, cluster: Cluster, member: Member, step: Step, wanted: Wanted, timeout: float) -> None:
    if step.kind == COMPACT:
        client.compact(cluster, member, wanted.compact_revision or 0, timeout)
    elif step.kind == DEFRAGMENT and member.status:
        client.defragment(member.status.endpoint, timeout)
    else:
        client.disarm(cluster, step.member, step.alarm)


def _settled(client: Etcd, member: Member, timeout: float, compacted: Wanted | None) -> Cluster:
    """Once the member is healthy again, so that a caller may go on to the next, and counts what a compaction gave back to it."""
    began = time.monotonic()
    while True:
        cluster = client.look()
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

    def told(member: Member, alarms: t.Iterable[str]) -> str:
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
        "before": told(outcome.before, left + gone),
        "after": told(outcome.after, left) + planned,
    }
