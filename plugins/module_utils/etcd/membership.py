# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one member of etcd is brought to its spec: what is refused, and in which steps it is done.

C(plan) decides from one observation of the cluster and changes nothing; C(reconcile) takes the first step, observes and plans again. So the
cluster itself remembers how far an interrupted run came, and check mode reports the same plan.

Source: https://etcd.io/docs/v3.6/op-guide/runtime-configuration/ and https://etcd.io/docs/v3.6/learning/design-learner/
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import (
    Cluster,
    EtcdError,
    Member,
    NotYet,
    Refused,
    names,
    no_quorum,
    quorum,
)

REMOVE, ADD, START, PROMOTE, LEAD = "remove", "add", "start", "promote", "lead"
PAUSE = 0.5


@dataclasses.dataclass(frozen=True)
class MemberSpec:
    """The member as it is asked for. *leader* is None where it does not matter."""

    name: str
    peer_urls: tuple[str, ...] = ()
    present: bool = True
    promote: bool = True
    replace: bool = False
    leader: bool | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """One request to the cluster; START is none, but a wait for the member itself."""

    kind: str
    text: str
    member: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """*before* and *after* are whole clusters; in check mode *after* is predicted from the *steps*."""

    before: Cluster
    after: Cluster
    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        return any(step.kind != START for step in self.steps)


def check(spec: MemberSpec) -> None:
    """Raises Refused for a member that cannot be."""
    problems = []
    if not spec.name or set(spec.name) & set(",="):
        problems.append(
            f"name: {spec.name!r} cannot be a member's name, because it does not fit into initial-cluster. Fix: leave out , and ="
        )
    for url in spec.peer_urls:
        address = urlsplit(url)
        if address.scheme not in ("https", "http") or not address.netloc or address.path:
            problems.append(f"peer_urls: {url!r} is not a URL of a peer port. Fix: give https://ADDRESS:PORT")
    if spec.present and not spec.peer_urls:
        problems.append(
            "peer_urls is empty, and state is present. Fix: name the URLs at which the others reach the member"
        )
    if not spec.present and spec.leader:
        problems.append("leader: a member that is to be absent cannot lead. Fix: leave leader out")
    if problems:
        raise Refused(problems)


def plan(cluster: Cluster, spec: MemberSpec) -> list[Step]:
    """The steps from *cluster* to the spec; none where all is well. Raises Refused when they would break the cluster."""
    steps = _present(cluster, spec) if spec.present else _absent(cluster, spec)
    if steps and not cluster.has_quorum:
        raise Refused([f"nothing was changed, because {no_quorum(cluster)}"])
    return steps


def reconcile(client: Etcd, spec: MemberSpec, timeout: float, check_mode: bool = False) -> Outcome:
    """Take the steps, waiting at most *timeout* seconds for each. Raises Refused, and EtcdError for a step that did not succeed."""
    before = cluster = client.observe()
    steps = plan(cluster, spec)
    if check_mode:
        return Outcome(before, predict(cluster, spec, steps), tuple(steps))
    taken: dict[str, Step] = {}
    since = time.monotonic()
    while steps:
        step = steps[0]
        cause: EtcdError | None = None
        if step.text not in taken:
            taken[step.text], since = step, time.monotonic()
        try:
            take(client, cluster, step, spec)
        except NotYet as error:
            cause = error
        except EtcdError as error:
            raise EtcdError(_unfinished(step, str(error), taken)) from error
        try:
            cluster = client.observe()
            steps = plan(cluster, spec)
        except EtcdError as error:
            # Once a step was taken, the reason to refuse the next one may pass: a member that just joined, or one that is no member any more.
            cause = error
        if cause and steps:
            if time.monotonic() - since >= timeout:
                raise EtcdError(_unfinished(step, f"{cause} (after {timeout:g} s)", taken)) from cause
            time.sleep(PAUSE)
    return Outcome(before, cluster, tuple(taken.values()))


def take(client: Etcd, cluster: Cluster, step: Step, spec: MemberSpec) -> None:
    """Ask for one step. Raises NotYet where asking again may help."""
    if step.kind == REMOVE:
        client.remove(cluster, step.member)
    elif step.kind == ADD:
        client.add_learner(cluster, spec.peer_urls)
    elif step.kind == PROMOTE:
        try:
            client.promote(cluster, step.member)
        except NotYet as error:
            raise NotYet(f"{error}{_lag(cluster, step.member)}") from error
    elif step.kind == LEAD:
        client.move_leader(cluster, step.member)
    else:
        urls = list(spec.peer_urls)
        start = f"--name={spec.name} --initial-cluster-state=existing --initial-cluster={cluster.initial_cluster(spec.name, urls)}"
        raise NotYet(f"it has not started yet; on an empty data directory it starts with {start}")


def predict(cluster: Cluster, spec: MemberSpec, steps: t.Iterable[Step]) -> Cluster:
    """The cluster as it will be after *steps*."""
    members, leader = list(cluster.members), cluster.leader
    for step in steps:
        if step.kind == REMOVE:
            members = [member for member in members if member.id != step.member]
        elif step.kind == ADD:
            members.append(Member(0, "", tuple(sorted(spec.peer_urls)), learner=True))
        elif step.kind == START:
            members = [
                dataclasses.replace(member, name=spec.name) if member.id == step.member else member
                for member in members
            ]
        elif step.kind == PROMOTE:
            members = [
                dataclasses.replace(member, learner=False) if member.id == step.member else member for member in members
            ]
        elif step.kind == LEAD:
            leader = step.member
    return Cluster(cluster.id, tuple(members), leader)


def found(cluster: Cluster, spec: MemberSpec) -> Member | None:
    """The member that *spec* names, by its name or, before its first start, by its peer URLs."""
    urls = set(spec.peer_urls)
    fitting = [
        member
        for member in cluster.members
        if (member.name or spec.name) == spec.name and (not urls or urls == set(member.peer_urls))
    ]
    return fitting[0] if len(fitting) == 1 and (fitting[0].started or urls) else None


def diff(outcome: Outcome) -> dict[str, str]:
    def lines_of(cluster: Cluster) -> str:
        lines = []
        for member in sorted(cluster.members, key=lambda member: (member.name, member.peer_urls)):
            role = "learner" if member.learner else "leader" if member.id == cluster.leader else "voter"
            lines.append(f"{member.name or '(not started)'} {','.join(member.peer_urls)} {role}\n")
        return "".join(lines)

    return {
        "before_header": "members",
        "after_header": "members",
        "before": lines_of(outcome.before),
        "after": lines_of(outcome.after),
    }


def _absent(cluster: Cluster, spec: MemberSpec) -> list[Step]:
    urls = set(spec.peer_urls)
    named = [
        member
        for member in cluster.members
        if (member.name == spec.name if member.started else bool(urls & set(member.peer_urls)))
    ]
    if len(named) > 1 and urls:
        named = [member for member in named if urls & set(member.peer_urls)]
    if not named:
        return []
    if len(named) > 1:
        places = "; ".join(",".join(member.peer_urls) for member in named)
        raise Refused([f"{spec.name} names {len(named)} members ({places}). Fix: name one of them by peer_urls"])
    member = named[0]
    problems = _removal_problems(cluster, member)
    if problems:
        raise Refused(problems)
    hand_over = [_hand_over(cluster, member)] if member.id == cluster.leader and member.alive else []
    return [*hand_over, _removal(member)]


def _present(cluster: Cluster, spec: MemberSpec) -> list[Step]:
    urls = set(spec.peer_urls)
    near = [member for member in cluster.members if member.name == spec.name or urls & set(member.peer_urls)]
    same = next(
        (member for member in near if (member.name or spec.name) == spec.name and urls == set(member.peer_urls)),
        None,
    )
    lost = [member for member in near if member.started and not member.alive and spec.replace]
    if same in lost:
        same = None
    in_the_way = [member for member in near if member is not same and member not in lost]
    if in_the_way:
        raise Refused([_in_the_way(member, spec) for member in in_the_way])
    problems = [problem for member in lost for problem in _removal_problems(cluster, member)]
    steps = [_removal(member) for member in lost]
    if same is None:
        problems += _addition_problems(cluster, lost)
        steps.append(Step(ADD, f"add {spec.name} at {','.join(spec.peer_urls)} as a learner"))
    if (same is None or same.learner) and spec.promote:
        steps += _joining(same, spec)
    if problems:
        raise Refused(problems)
    return steps + _leading(cluster, same, spec)


def _joining(same: Member | None, spec: MemberSpec) -> list[Step]:
    identity = same.id if same else 0
    start = [] if same and same.started else [Step(START, f"wait until {spec.name} has started", identity)]
    return [*start, Step(PROMOTE, f"promote {spec.name} when it has caught up", identity)]


def _leading(cluster: Cluster, same: Member | None, spec: MemberSpec) -> list[Step]:
    if spec.leader and (same is None or same.id != cluster.leader):
        if not spec.promote and (same is None or same.learner):
            raise Refused(
                [
                    f"{spec.name} cannot lead: it is not to be promoted, and a learner does not lead. Fix: set promote, or leave leader out"
                ]
            )
        return [Step(LEAD, f"make {spec.name} the leader", same.id if same else 0)]
    if spec.leader is False and same and same.id == cluster.leader:
        return [_hand_over(cluster, same)]
    return []


def _removal(member: Member) -> Step:
    state = (
        ""
        if member.healthy
        else " (never started)"
        if not member.started
        else " (not healthy)"
        if member.alive
        else " (does not answer)"
    )
    return Step(REMOVE, f"remove {member.label}{state}", member.id)


def _hand_over(cluster: Cluster, member: Member) -> Step:
    """To the follower that has most of the log, as etcd itself chooses when it is stopped."""
    others = [other for other in cluster.healthy_voters if other.id != member.id and other.status]
    if not others:
        raise Refused([f"{member.label} leads, and no other voting member is healthy. Fix: start or add one first"])
    chosen = max(others, key=lambda other: (other.status.raft_applied_index if other.status else 0, other.name))
    return Step(LEAD, f"hand leadership over from {member.label} to {chosen.label}", chosen.id)


def _removal_problems(cluster: Cluster, member: Member) -> list[str]:
    """By the rules of etcd itself (mayRemoveMember in server.go), with a reason that says who is missing."""
    if member.learner:
        return []
    remaining = [other for other in cluster.voters if other.id != member.id]
    if not remaining:
        return [
            f"{member.label} is not removed: it is the last voting member, and all data would be lost. Fix: to remove etcd altogether, reset its host"
        ]
    healthy = [other for other in remaining if other.healthy]
    needed = quorum(len(remaining))
    if len(healthy) >= needed:
        return []
    sick = [other for other in remaining if not other.healthy]
    causes = "; ".join(f"{other.label}: {other.problem}" for other in sick)
    return [
        f"{member.label} is not removed: quorum would be lost. Of the voting members that remain ({names(remaining)}) {len(healthy)} are healthy "
        f"and {needed} are needed ({causes}). Fix: start {names(sick)}, or remove that first"
    ]


def _addition_problems(cluster: Cluster, lost: t.Sequence[Member]) -> list[str]:
    """What etcd refuses too (mayAddMember in server.go: every voter connected; one learner at a time), before anything is removed."""
    problems = []
    for member in cluster.members:
        if member in lost:
            continue
        if member.learner:
            problems.append(
                f"no member is added while {member.label} is a learner, because etcd takes one at a time. Fix: promote or remove it first"
            )
        elif not member.healthy:
            problems.append(
                f"no member is added while {member.label} is not healthy ({member.problem}). Fix: start it, or remove it first"
            )
    return problems


def _in_the_way(member: Member, spec: MemberSpec) -> str:
    what = f"{spec.name} at {','.join(spec.peer_urls)}"
    has = f"{member.label} at {','.join(member.peer_urls)} is a member"
    if member.started and not member.alive:
        return f"{what} is not added: {has} and does not answer ({member.problem}). Fix: start it, or set replace: true when its data is lost"
    why = "and alive" if member.alive else "and was never started"
    return f"{what} is not added: {has} {why}. Fix: remove it first, or choose another name and peer URL"


def _lag(cluster: Cluster, identity: int) -> str:
    member, leader = cluster.member(identity), cluster.member(cluster.leader)
    if not member or not leader or not member.status or not leader.status:
        return f" ({member.problem})" if member and member.problem else ""
    return f" (it has applied {member.status.raft_applied_index} of {leader.status.raft_index} entries of the log)"


def _unfinished(step: Step, cause: str, taken: t.Mapping[str, Step]) -> str:
    before = [text for text in taken if text != step.text]
    done = f"Done before: {'; '.join(before)}. " if before else ""
    return f"could not {step.text}: {cause.rstrip('.')}. {done}Fix: correct the cause, and run again; the same call continues from here"
