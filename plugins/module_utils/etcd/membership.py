# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How one member of etcd comes to be as it is wanted: what is judged, and in which steps.

C(plan) decides from one look at the cluster and touches nothing; C(reconcile) takes the first step, looks again and plans anew. So the
cluster itself remembers how far a killed run came, and check mode tells the same plan.

Source: https://etcd.io/docs/v3.6/op-guide/runtime-configuration/ and https://etcd.io/docs/v3.6/learning/design-learner/
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import (
    Cluster,
    Etcd,
    EtcdError,
    Member,
    NotYet,
    Refused,
    names,
    quorum,
)

REMOVE, ADD, START, PROMOTE, LEAD = "remove", "add", "start", "promote", "lead"
PAUSE = 0.5


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The member as it is asked for. *leader* is None where it does not matter."""

    name: str
    peer_urls: tuple[str, ...] = ()
    present: bool = True
    promote: bool = True
    replace: bool = False
    leader: bool | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """One request to the cluster; START alone is not one, but a wait for the member itself."""

    kind: str
    text: str
    member: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """*before* and *after* are whole clusters; in check mode *after* is foretold from the *steps*."""

    before: Cluster
    after: Cluster
    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        return any(step.kind != START for step in self.steps)


def check(wanted: Wanted) -> None:
    """Raises Refused for a member that cannot be."""
    problems = []
    if not wanted.name or set(wanted.name) & set(",="):
        problems.append(f"name: {wanted.name!r} cannot be a member's name, for it would not fit into initial-cluster")
    for url in wanted.peer_urls:
        address = urlsplit(url)
        if address.scheme not in ("https", "http") or not address.netloc or address.path:
            problems.append(f"peer_urls: {url!r} is not https://ADDRESS:PORT")
    if wanted.present and not wanted.peer_urls:
        problems.append("peer_urls: state is present, so name the URLs at which the others reach the member")
    if not wanted.present and wanted.leader:
        problems.append("leader: a member that is to be absent cannot lead")
    if problems:
        raise Refused(problems)


def plan(cluster: Cluster, wanted: Wanted) -> list[Step]:
    """The steps from *cluster* to what is *wanted*; none where all is well. Raises Refused when the cluster could not bear them."""
    steps = _present(cluster, wanted) if wanted.present else _absent(cluster, wanted)
    if steps and not cluster.has_quorum:
        raise Refused([f"nothing is changed, for {etcd.no_quorum(cluster)}"])
    return steps


def reconcile(client: Etcd, wanted: Wanted, timeout: float, check_mode: bool = False) -> Outcome:
    """Take the steps, waiting at most *timeout* seconds for each. Raises Refused, and EtcdError for a step that did not succeed."""
    before = cluster = client.look()
    steps = plan(cluster, wanted)
    if check_mode:
        return Outcome(before, foretell(cluster, wanted, steps), tuple(steps))
    taken: dict[str, Step] = {}
    since = time.monotonic()
    while steps:
        step, cause = steps[0], None
        if step.text not in taken:
            taken[step.text], since = step, time.monotonic()
        try:
            take(client, cluster, step, wanted)
        except NotYet as error:
            cause = error
        except EtcdError as error:
            raise EtcdError(_unfinished(step, str(error), taken)) from error
        try:
            cluster = client.look()
            steps = plan(cluster, wanted)
        except EtcdError as error:
            # Once a step was taken, what stands against the next one may pass: a member that just joined, or one that is not asked any more.
            cause = error
        if cause and steps:
            if time.monotonic() - since >= timeout:
                raise EtcdError(_unfinished(step, f"{cause} (after {timeout:g} s)", taken)) from cause
            time.sleep(PAUSE)
    return Outcome(before, cluster, tuple(taken.values()))


def take(client: Etcd, cluster: Cluster, step: Step, wanted: Wanted) -> None:
    """Ask for one step. Raises NotYet where asking again may help."""
    if step.kind == REMOVE:
        client.remove(cluster, step.member)
    elif step.kind == ADD:
        client.add_learner(cluster, wanted.peer_urls)
    elif step.kind == PROMOTE:
        try:
            client.promote(cluster, step.member)
        except NotYet as error:
            raise NotYet(f"{error}{_lag(cluster, step.member)}") from error
    elif step.kind == LEAD:
        client.move_leader(cluster, step.member)
    else:
        urls = list(wanted.peer_urls)
        start = f"--name={wanted.name} --initial-cluster-state=existing --initial-cluster={cluster.initial_cluster(wanted.name, urls)}"
        raise NotYet(f"it has not started yet; on an empty data directory it starts with {start}")


def foretell(cluster: Cluster, wanted: Wanted, steps: t.Iterable[Step]) -> Cluster:
    """The cluster as it will be after *steps*."""
    members, leader = list(cluster.members), cluster.leader
    for step in steps:
        if step.kind == REMOVE:
            members = [member for member in members if member.id != step.member]
        elif step.kind == ADD:
            members.append(Member(0, "", tuple(sorted(wanted.peer_urls)), learner=True))
        elif step.kind == START:
            members = [
                dataclasses.replace(member, name=wanted.name) if member.id == step.member else member
                for member in members
            ]
        elif step.kind == PROMOTE:
            members = [
                dataclasses.replace(member, learner=False) if member.id == step.member else member for member in members
            ]
        elif step.kind == LEAD:
            leader = step.member
    return Cluster(cluster.id, tuple(members), leader)


def found(cluster: Cluster, wanted: Wanted) -> Member | None:
    """The member that *wanted* names, by its name or, before its first start, by its peer URLs."""
    urls = set(wanted.peer_urls)
    fitting = [
        member
        for member in cluster.members
        if (member.name or wanted.name) == wanted.name and (not urls or urls == set(member.peer_urls))
    ]
    return fitting[0] if len(fitting) == 1 and (fitting[0].started or urls) else None


def diff(outcome: Outcome) -> dict[str, str]:
    def told(cluster: Cluster) -> str:
        lines = []
        for member in sorted(cluster.members, key=lambda member: (member.name, member.peer_urls)):
            role = "learner" if member.learner else "leader" if member.id == cluster.leader else "voter"
            lines.append(f"{member.name or '(not started)'} {','.join(member.peer_urls)} {role}\n")
        return "".join(lines)

    return {
        "before_header": "members",
        "after_header": "members",
        "before": told(outcome.before),
        "after": told(outcome.after),
    }


def _absent(cluster: Cluster, wanted: Wanted) -> list[Step]:
    urls = set(wanted.peer_urls)
    doomed = [
        member
        for member in cluster.members
        if (member.name == wanted.name if member.started else bool(urls & set(member.peer_urls)))
    ]
    if len(doomed) > 1 and urls:
        doomed = [member for member in doomed if urls & set(member.peer_urls)]
    if not doomed:
        return []
    if len(doomed) > 1:
        places = "; ".join(",".join(member.peer_urls) for member in doomed)
        raise Refused([f"{wanted.name} names {len(doomed)} members ({places}); say by peer_urls which of them goes"])
    member = doomed[0]
    problems = _removal_problems(cluster, member)
    if problems:
        raise Refused(problems)
    hand_over = [_hand_over(cluster, member)] if member.id == cluster.leader and member.alive else []
    return [*hand_over, _removal(member)]


def _present(cluster: Cluster, wanted: Wanted) -> list[Step]:
    urls = set(wanted.peer_urls)
    near = [member for member in cluster.members if member.name == wanted.name or urls & set(member.peer_urls)]
    same = next(
        (member for member in near if (member.name or wanted.name) == wanted.name and urls == set(member.peer_urls)),
        None,
    )
    lost = [member for member in near if member.started and not member.alive and wanted.replace]
    if same in lost:
        same = None
    standing = [member for member in near if member is not same and member not in lost]
    if standing:
        raise Refused([_in_the_way(member, wanted) for member in standing])
    problems = [problem for member in lost for problem in _removal_problems(cluster, member)]
    steps = [_removal(member) for member in lost]
    if same is None:
        problems += _addition_problems(cluster, lost)
        steps.append(Step(ADD, f"add {wanted.name} at {','.join(wanted.peer_urls)} as a learner"))
    if (same is None or same.learner) and wanted.promote:
        steps += _joining(same, wanted)
    if problems:
        raise Refused(problems)
    return steps + _leading(cluster, same, wanted)


def _joining(same: Member | None, wanted: Wanted) -> list[Step]:
    identity = same.id if same else 0
    start = [] if same and same.started else [Step(START, f"wait until {wanted.name} has started", identity)]
    return [*start, Step(PROMOTE, f"promote {wanted.name} when it has caught up", identity)]


def _leading(cluster: Cluster, same: Member | None, wanted: Wanted) -> list[Step]:
    if wanted.leader and (same is None or same.id != cluster.leader):
        if not wanted.promote and (same is None or same.learner):
            raise Refused([f"{wanted.name} cannot lead: it is not to be promoted, and a learner does not lead"])
        return [Step(LEAD, f"make {wanted.name} the leader", same.id if same else 0)]
    if wanted.leader is False and same and same.id == cluster.leader:
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
        raise Refused(
            [f"{member.label} leads, and no other voting member is healthy that could: start or add one first"]
        )
    chosen = max(others, key=lambda other: (other.status.raft_applied_index if other.status else 0, other.name))
    return Step(LEAD, f"hand leadership over from {member.label} to {chosen.label}", chosen.id)


def _removal_problems(cluster: Cluster, member: Member) -> list[str]:
    """As etcd judges it itself (mayRemoveMember in server.go), but for a reason that says who is missing."""
    if member.learner:
        return []
    remaining = [other for other in cluster.voters if other.id != member.id]
    if not remaining:
        return [
            f"{member.label} is not removed: it is the last voting member, and all data would be lost. To give etcd up, reset its host"
        ]
    healthy = [other for other in remaining if other.healthy]
    needed = quorum(len(remaining))
    if len(healthy) >= needed:
        return []
    sick = [other for other in remaining if not other.healthy]
    causes = "; ".join(f"{other.label}: {other.problem}" for other in sick)
    return [
        f"{member.label} is not removed: quorum would be lost. Of the voting members that remain ({names(remaining)}) {len(healthy)} are healthy "
        f"and {needed} are needed ({causes}). Start {names(sick)}, or remove that first"
    ]


def _addition_problems(cluster: Cluster, lost: t.Sequence[Member]) -> list[str]:
    """What etcd refuses too (mayAddMember in server.go: every voter connected; one learner at a time), said before anything is removed."""
    problems = []
    for member in cluster.members:
        if member in lost:
            continue
        if member.learner:
            problems.append(
                f"no member is added while {member.label} is a learner, for etcd takes one at a time: promote or remove it first"
            )
        elif not member.healthy:
            problems.append(
                f"no member is added while {member.label} is not healthy ({member.problem}): start it, or remove it first"
            )
    return problems


def _in_the_way(member: Member, wanted: Wanted) -> str:
    what = f"{wanted.name} at {','.join(wanted.peer_urls)}"
    has = f"{member.label} at {','.join(member.peer_urls)} is a member"
    if member.started and not member.alive:
        return f"{what} is not added: {has} and does not answer ({member.problem}). Start it, or say replace: true when its data is lost"
    why = "and alive" if member.alive else "and was never started"
    return f"{what} is not added: {has} {why}. Remove it first, or ask for another name and peer URL"


def _lag(cluster: Cluster, identity: int) -> str:
    member, leader = cluster.member(identity), cluster.member(cluster.leader)
    if not member or not leader or not member.status or not leader.status:
        return f" ({member.problem})" if member and member.problem else ""
    return f" (it has applied {member.status.raft_applied_index} of {leader.status.raft_index} entries of the log)"


def _unfinished(step: Step, cause: str, taken: t.Mapping[str, Step]) -> str:
    before = [text for text in taken if text != step.text]
    done = f"Done before: {'; '.join(before)}. " if before else ""
    return f"could not {step.text}: {cause.rstrip('.')}. {done}The cluster remembers how far this came, and the same call again finishes it"
