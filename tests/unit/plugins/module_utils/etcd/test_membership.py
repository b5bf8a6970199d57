# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is judged of a cluster, and in which steps a member comes and goes. tests/etcd tries the same on real members."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import membership as etcd_member
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import (
    Cluster,
    EtcdError,
    Member,
    NotYet,
    Refused,
    Status,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.membership import Wanted, plan


def url(number: int) -> str:
    return f"https://192.0.2.{number}:2380"


def member(number: int, state: str = "healthy", **more) -> Member:
    """States: healthy, sick (answers, but cannot serve), dead, new (never started)."""
    status = (
        Status(f"https://192.0.2.{number}:2379", raft_applied_index=number) if state in ("healthy", "sick") else None
    )
    name = "" if state == "new" else f"etcd{number}"
    problem = "" if state == "healthy" else f"it is {state}"
    values = {
        "id": number,
        "name": name,
        "peer_urls": (url(number),),
        "healthy": state == "healthy",
        "status": status,
        "problem": problem,
    }
    return Member(**{**values, **more})


def cluster(*states: str, leader: int = 1, learner: str = "") -> Cluster:
    """Voters in these states, numbered from 1, and a learner after them."""
    members = [member(number, state) for number, state in enumerate(states, 1)]
    if learner:
        members.append(member(len(states) + 1, learner, learner=True))
    return Cluster(1, tuple(members), leader)


def kinds(now: Cluster, wanted: Wanted) -> list[tuple[str, int]]:
    return [(step.kind, step.member) for step in plan(now, wanted)]


def gone(number: int, **more) -> Wanted:
    return Wanted(f"etcd{number}", present=False, **more)


def there(number: int, **more) -> Wanted:
    return Wanted(f"etcd{number}", **{"peer_urls": (url(number),), **more})


THREE = cluster("healthy", "healthy", "healthy")


# --- removal


@pytest.mark.parametrize(
    ("now", "number", "steps"),
    [
        (THREE, 2, [("remove", 2)]),
        (THREE, 1, [("lead", 3), ("remove", 1)]),
        (THREE, 9, []),
        (cluster("healthy", "healthy", "dead"), 3, [("remove", 3)]),
        (cluster("healthy", "dead", "healthy", leader=2), 2, [("remove", 2)]),
        (cluster("healthy", "healthy"), 2, [("remove", 2)]),
        (cluster("healthy", "dead", "healthy", "healthy", "healthy"), 3, [("remove", 3)]),
        (cluster("healthy", "dead", learner="healthy", leader=0), 9, []),
        (cluster("healthy", "healthy", "dead", learner="dead"), 4, [("remove", 4)]),
    ],
)
def test_removal(now, number, steps):
    assert kinds(now, gone(number)) == steps


@pytest.mark.parametrize(
    ("now", "number", "words"),
    [
        (cluster("healthy"), 1, "last voting member"),
        (cluster("healthy", "healthy", "dead"), 2, "quorum would be lost.*etcd3: it is dead.*Start etcd3"),
        (cluster("healthy", "healthy", "sick"), 1, "quorum would be lost"),
        (
            cluster("healthy", "healthy", "healthy", "dead", "dead"),
            1,
            "quorum would be lost.*etcd4: it is dead; etcd5: it is dead",
        ),
        (cluster("healthy", "dead", "dead"), 3, "quorum would be lost"),
        # Three of four are needed for the change itself, and two are healthy, though two of three would do after it.
        (cluster("healthy", "healthy", "dead", "dead"), 4, "the cluster has no quorum"),
        (cluster("healthy", "dead", learner="healthy"), 3, "the cluster has no quorum"),
    ],
)
def test_removal_refused(now, number, words):
    with pytest.raises(Refused, match=words):
        plan(now, gone(number))


def test_a_member_without_a_name_goes_by_its_url():
    now = cluster("healthy", "healthy", "healthy", learner="new")
    assert kinds(now, gone(4)) == []
    assert kinds(now, gone(4, peer_urls=(url(4),))) == [("remove", 4)]
    assert kinds(now, gone(9, peer_urls=(url(1),))) == [], "another member has this URL, and another name"


def test_two_of_one_name():
    now = Cluster(1, (*THREE.members, member(4, name="etcd3")), 1)
    with pytest.raises(Refused, match="names 2 members"):
        plan(now, gone(3))
    assert kinds(now, gone(3, peer_urls=(url(4),))) == [("remove", 4)]


# --- addition


def test_a_new_member():
    assert kinds(THREE, there(4)) == [("add", 0), ("start", 0), ("promote", 0)]
    assert kinds(THREE, there(4, promote=False)) == [("add", 0)]
    assert kinds(THREE, there(4, leader=True)) == [("add", 0), ("start", 0), ("promote", 0), ("lead", 0)]


@pytest.mark.parametrize(
    ("state", "promote", "steps"),
    [
        ("new", False, []),
        ("new", True, [("start", 4), ("promote", 4)]),
        ("healthy", False, []),
        ("healthy", True, [("promote", 4)]),
        ("dead", True, [("promote", 4)]),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
def test_what_a_killed_run_began(state, promote, steps, replace):
    now = cluster("healthy", "healthy", "healthy", learner=state)
    if replace and state == "dead":
        steps = [("remove", 4), ("add", 0), ("start", 0), ("promote", 0)]
    assert kinds(now, there(4, promote=promote, replace=replace)) == steps


@pytest.mark.parametrize("state", ["healthy", "sick", "dead"])
def test_a_voter_is_left_as_it_is(state):
    assert plan(cluster("healthy", "healthy", state), there(3)) == []
    assert plan(cluster("healthy", "dead", "dead"), there(3)) == [], "nothing to change, nothing to refuse"


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (cluster("healthy", "healthy", "dead"), "while etcd3 is not healthy .it is dead."),
        (cluster("healthy", "healthy", "sick"), "while etcd3 is not healthy"),
        (cluster("healthy", "healthy", "new"), "is not healthy"),
        (cluster("healthy", "healthy", "healthy", learner="healthy"), "while etcd4 is a learner"),
        (cluster("healthy", "healthy", "healthy", learner="new"), "is a learner"),
        (cluster("healthy", "dead", "dead"), "not healthy"),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
def test_addition_refused(now, words, replace):
    with pytest.raises(Refused, match=words):
        plan(now, there(9, replace=replace))


def test_all_reasons_at_once():
    now = cluster("healthy", "healthy", "healthy", "dead", "sick", learner="new")
    with pytest.raises(Refused) as refused:
        plan(now, there(9))
    assert len(refused.value.problems) == 3


# --- replacement


@pytest.mark.parametrize(
    "wanted", [there(3), Wanted("etcd3", (url(9),)), Wanted("etcd9", (url(3),))], ids=["same", "moved", "renamed"]
)
def test_replacement(wanted):
    dead = cluster("healthy", "healthy", "dead")
    replacing = dataclasses.replace(wanted, replace=True)
    assert kinds(dead, replacing) == [("remove", 3), ("add", 0), ("start", 0), ("promote", 0)]
    for state in ("healthy", "sick"):
        now = cluster("healthy", "healthy", state)
        if wanted == there(3):
            assert plan(now, replacing) == [], "it answers"
        else:
            with pytest.raises(Refused, match="and alive"):
                plan(now, replacing)
    if wanted != there(3):
        with pytest.raises(Refused, match="replace: true"):
            plan(dead, wanted)


def test_replacement_that_quorum_does_not_bear():
    with pytest.raises(Refused, match="quorum would be lost"):
        plan(cluster("healthy", "dead", "dead"), there(3, replace=True))
    with pytest.raises(Refused, match="while etcd4 is not healthy"):
        plan(cluster("healthy", "healthy", "healthy", "dead", "dead"), there(5, replace=True))


def test_promotion():
    now = cluster("healthy", "healthy", "healthy", "dead", "dead", learner="healthy")
    assert kinds(now, there(6)) == [("promote", 6)], "one more that is healthy, with which quorum is no further away"
    with pytest.raises(Refused, match="no quorum"):
        plan(cluster("healthy", "dead", learner="healthy"), there(3))


# --- leadership


def test_leadership():
    assert kinds(THREE, there(1, leader=False)) == [("lead", 3)]
    assert kinds(THREE, there(2, leader=False)) == []
    assert kinds(THREE, there(2, leader=True)) == [("lead", 2)]
    assert kinds(THREE, there(1, leader=True)) == []
    with pytest.raises(Refused, match="no other voting member is healthy"):
        plan(cluster("healthy"), there(1, leader=False))
    with pytest.raises(Refused, match="a learner does not lead"):
        plan(THREE, there(4, leader=True, promote=False))


# --- what is told


def test_initial_cluster_has_every_member():
    now = cluster("healthy", "dead", learner="new")
    assert now.initial_cluster("etcd3", [url(3)]) == f"etcd1={url(1)},etcd2={url(2)},etcd3={url(3)}"
    nameless = cluster("healthy", learner="new")
    assert nameless.initial_cluster("etcd9", [url(9)]) == f"2={url(2)},etcd1={url(1)},etcd9={url(9)}"


def test_the_plan_is_foretold():
    wanted = there(3, replace=True)
    now = cluster("healthy", "healthy", "dead")
    after = etcd_member.foretell(now, wanted, plan(now, wanted))
    assert [(each.name, each.learner) for each in after.members] == [
        ("etcd1", False),
        ("etcd2", False),
        ("etcd3", False),
    ]
    assert now.member(3) and after.member(3) is None


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted("etcd1", (url(1),)), 0),
        (Wanted("etcd1", present=False), 0),
        (Wanted("etcd1"), 1),
        (Wanted("a=b", ("192.0.2.1:2380", "https://192.0.2.1:2380/path")), 3),
        (Wanted("", present=False, leader=True), 2),
    ],
)
def test_what_no_member_can_be(wanted, count):
    try:
        etcd_member.check(wanted)
    except Refused as refused:
        assert len(refused.problems) == count
    else:
        assert count == 0


# --- steps, on a cluster that answers as etcd does


class FakeEtcd:
    """A cluster in memory; *errors* are answered first, one for each request."""

    def __init__(self, now: Cluster, errors=()) -> None:
        self.now = now
        self.errors = list(errors)
        self.asked: list[str] = []

    def look(self) -> Cluster:
        return self.now

    def _ask(self, text: str) -> None:
        self.asked.append(text)
        if self.errors:
            error = self.errors.pop(0)
            if error:
                raise error

    def _members(self, *members: Member) -> None:
        self.now = dataclasses.replace(self.now, members=tuple(members))

    def remove(self, unused, identity: int) -> None:
        self._ask(f"remove {identity}")
        self._members(*(each for each in self.now.members if each.id != identity))

    def add_learner(self, unused, peer_urls) -> None:
        self._ask("add")
        # It starts at once.
        self._members(*self.now.members, member(9, name="etcd3", peer_urls=tuple(peer_urls), learner=True))

    def promote(self, unused, identity: int) -> None:
        self._ask(f"promote {identity}")
        self._members(
            *(dataclasses.replace(each, learner=each.learner and each.id != identity) for each in self.now.members)
        )

    def move_leader(self, unused, identity: int) -> None:
        self._ask(f"lead {identity}")
        self.now = dataclasses.replace(self.now, leader=identity)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(etcd_member, "PAUSE", 0)


def test_steps_are_taken_in_order_and_refused_ones_again():
    fake = FakeEtcd(
        cluster("healthy", "healthy", "dead"),
        [None, NotYet("unhealthy cluster"), NotYet("unhealthy cluster"), None, NotYet("not in sync"), None],
    )
    outcome = etcd_member.reconcile(fake, there(3, replace=True, leader=True), 60)
    assert fake.asked == ["remove 3", "add", "add", "add", "promote 9", "promote 9", "lead 9"]
    assert [step.kind for step in outcome.steps] == ["remove", "add", "promote", "lead"] and outcome.changed
    assert etcd_member.found(outcome.after, there(3)).id == 9
    assert not etcd_member.reconcile(fake, there(3, replace=True, leader=True), 60).changed


def test_check_mode_asks_for_nothing():
    fake = FakeEtcd(THREE)
    outcome = etcd_member.reconcile(fake, gone(1), 60, check_mode=True)
    assert fake.asked == [] and outcome.changed and [each.name for each in outcome.after.members] == ["etcd2", "etcd3"]


def test_an_answer_that_was_lost():
    """The request was granted, but the connection broke: the next look tells."""

    class Lossy(FakeEtcd):
        def remove(self, unused, identity: int) -> None:
            super().remove(unused, identity)
            raise NotYet("no answer")

    fake = Lossy(THREE)
    outcome = etcd_member.reconcile(fake, gone(2), 0)
    assert fake.asked == ["remove 2"] and outcome.changed


def test_what_is_never_granted():
    fake = FakeEtcd(THREE, [NotYet("unhealthy cluster")] * 1000)
    with pytest.raises(
        EtcdError,
        match="could not hand leadership over from etcd1 to etcd3: unhealthy cluster .after 0 s..*the same call again",
    ):
        etcd_member.reconcile(fake, gone(1), 0)
    fake = FakeEtcd(THREE, [None, EtcdError("permission denied")])
    with pytest.raises(EtcdError, match="could not remove etcd1: permission denied. Done before: hand leadership over"):
        etcd_member.reconcile(fake, gone(1), 60)
    assert fake.asked == ["lead 3", "remove 1"]


# --- etcd as a whole


def test_problems_of_a_cluster():
    assert THREE.problems() == []
    now = cluster("healthy", "healthy", "dead", learner="new")
    full = dataclasses.replace(
        member(2), alarms=("NOSPACE",), status=Status("", version="3.5.9", db_size=90, quota=100)
    )
    now = dataclasses.replace(now, members=(now.members[0], full, *now.members[2:]))
    problems = "\n".join(now.problems())
    for words in (
        "etcd3 is not healthy: it is dead",
        "never started",
        "alarm NOSPACE",
        "uses 90 %",
        "different versions",
    ):
        assert words in problems
    assert "no quorum" in cluster("healthy", "dead", "dead").problems()[0]
    assert not dataclasses.replace(THREE, members=(full, *THREE.members[1:])).report()["healthy"]


@pytest.mark.parametrize(
    ("voters", "dead", "tolerance"),
    [(1, 0, 0), (2, 0, 0), (3, 0, 1), (3, 1, 0), (3, 2, 0), (4, 0, 1), (5, 0, 2), (5, 1, 1)],
)
def test_fault_tolerance(voters, dead, tolerance):
    states = ["healthy"] * (voters - dead) + ["dead"] * dead
    assert cluster(*states).report()["fault_tolerance"] == tolerance


def test_the_leader_is_last():
    assert [each.name for each in cluster("healthy", "healthy", "healthy", leader=2).defragmentation_order()] == [
        "etcd1",
        "etcd3",
        "etcd2",
    ]


@pytest.mark.parametrize("endpoint", ["192.0.2.1:2379", "ftp://192.0.2.1", "https://", "https://192.0.2.1:2379/v3"])
def test_no_endpoint(endpoint):
    with pytest.raises(EtcdError, match="is not https://ADDRESS:PORT"):
        etcd.connect(endpoint, etcd.Tls())


def test_files_that_are_missing_are_named(tmp_path):
    with pytest.raises(EtcdError, match="ca .*missing cannot be read: No such file"):
        etcd.read_tls(str(tmp_path / "missing"), None, None)
    with pytest.raises(EtcdError, match="belong together"):
        etcd.read_tls(None, "certificate", None)
    assert "secret" not in repr(etcd.Tls(key="secret"))
