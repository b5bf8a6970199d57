# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Members of a real cluster come and go. The tests go on from each other: one cluster's life."""

from __future__ import annotations

import time

import pytest


@pytest.fixture(scope="module")
def cluster(lab):
    """The members that run, by name; the tests keep it true."""
    return {member.name: member for member in lab.cluster("etcd1", "etcd2", "etcd3")}


@pytest.fixture
def access(lab, cluster):
    return lambda *names: lab.access(*(cluster[name] for name in names or cluster))


def learners(info: dict) -> list[str]:
    return [member["name"] for member in info["members"] if member["learner"]]


def test_info(succeed, access):
    info = succeed("etcd_info", **access("etcd2"))
    assert [member["name"] for member in info["members"]] == ["etcd1", "etcd2", "etcd3"]
    assert (info["healthy"], info["problems"], info["voters"], info["quorum"], info["fault_tolerance"]) == (
        True,
        [],
        3,
        2,
        1,
    )
    assert info["defragmentation_order"][-1] == info["leader"]
    assert [member["name"] for member in info["members"] if member["leader"]] == [info["leader"]]
    for member in info["members"]:
        assert (
            member["healthy"]
            and member["latency_ms"] > 0
            and member["db_size"] >= member["db_size_in_use"] > 0
            and member["quota"] == 2 * 1024**3
        )


def test_an_endpoint_that_is_dead_is_passed_over(lab, succeed, access, cluster):
    arguments = access("etcd1")
    arguments["endpoints"] = ["https://127.0.0.1:1", *arguments["endpoints"]]
    assert succeed("etcd_info", **arguments)["healthy"]


def test_no_endpoint_answers(call, access):
    arguments = access()
    arguments["endpoints"] = ["https://127.0.0.1:1"]
    assert "no endpoint lists the members" in call("etcd_info", **arguments)["msg"]


def test_a_new_member_joins_as_learner_and_is_promoted(lab, call, succeed, access, cluster):
    member = lab.member("etcd4")
    arguments = {"name": "etcd4", "peer_urls": [member.peer_url], **access("etcd1")}

    planned = succeed("etcd_member", check_mode=True, **arguments)
    assert [step.split()[0] for step in planned["steps"]] == ["add", "wait", "promote"]
    assert f"+{'etcd4'}" not in planned["members"]
    assert len(succeed("etcd_info", **access())["members"]) == 3, "check mode added it"

    added = succeed("etcd_member", promote=False, **arguments)
    assert added["changed"] and added["member"]["learner"] and not added["member"]["started"]
    assert added["initial_cluster_state"] == "existing"
    again = succeed("etcd_member", promote=False, replace=True, **arguments)
    assert not again["changed"] and again["initial_cluster"] == added["initial_cluster"]

    late = call("etcd_member", timeout=1, **arguments)
    assert late["failed"] and "has not started yet" in late["msg"] and added["initial_cluster"] in late["msg"]
    other = call("etcd_member", name="etcd9", peer_urls=["https://127.0.0.1:9"], **access())
    assert other["failed"] and "is a learner" in other["problems"][0]

    member.start(added["initial_cluster"], added["initial_cluster_state"])
    promoted = succeed("etcd_member", **arguments)
    cluster["etcd4"] = member
    assert promoted["changed"] and promoted["steps"][-1] == "promote etcd4 when it has caught up"
    assert not promoted["member"]["learner"]
    assert not succeed("etcd_member", **arguments)["changed"]
    info = succeed("etcd_info", **access("etcd4"))
    assert info["healthy"] and info["voters"] == 4 and learners(info) == []


def test_leadership_moves(succeed, access, cluster):
    leader = succeed("etcd_info", **access())["leader"]
    arguments = {"name": leader, "peer_urls": [cluster[leader].peer_url], **access()}
    moved = succeed("etcd_member", leader=False, **arguments)
    assert moved["changed"] and moved["leader"] not in ("", leader)
    assert not succeed("etcd_member", leader=False, **arguments)["changed"]
    back = succeed("etcd_member", leader=True, **arguments)
    assert back["changed"] and back["leader"] == leader
    assert not succeed("etcd_member", leader=True, **arguments)["changed"]


def test_a_leader_is_removed_through_its_own_endpoint(lab, succeed, access, cluster):
    leader = succeed("etcd_info", **access())["leader"]
    removed = succeed("etcd_member", name=leader, state="absent", **access(leader))
    assert [step.split()[0] for step in removed["steps"]] == ["hand", "remove"]
    assert removed["leader"] not in ("", leader)
    cluster.pop(leader).kill()
    again = succeed("etcd_member", name=leader, state="absent", **access())
    assert not again["changed"] and leader not in again["members"]


def test_a_dead_member_is_replaced_under_its_name(lab, call, succeed, access, cluster):
    lab.etcdctl(next(iter(cluster.values())), "put", "before", "the replacement")
    name = sorted(cluster)[-1]
    dead = cluster.pop(name)
    dead.kill()
    info = succeed("etcd_info", **access())
    assert not info["healthy"] and info["has_quorum"] and info["fault_tolerance"] == 0
    assert any(problem.startswith(f"{name} is not healthy") for problem in info["problems"])

    other = sorted(cluster)[0]
    refused = call("etcd_member", name=other, state="absent", **access())
    assert refused["failed"] and "quorum would be lost" in refused["problems"][0] and name in refused["problems"][0]
    refused = call("etcd_member", name="etcd9", peer_urls=["https://127.0.0.1:9"], **access())
    assert refused["failed"] and f"while {name} is not healthy" in refused["problems"][0]
    new = lab.member(name)
    arguments = {"name": name, "peer_urls": [new.peer_url], **access()}
    refused = call("etcd_member", **arguments)
    assert refused["failed"] and "replace: true" in refused["problems"][0]
    assert len(succeed("etcd_info", **access())["members"]) == 3, "a refusal changed something"

    joining = succeed("etcd_member", replace=True, promote=False, **arguments)
    assert [step.split()[0] for step in joining["steps"]] == ["remove", "add"]
    new.start(joining["initial_cluster"], joining["initial_cluster_state"])
    assert succeed("etcd_member", **arguments)["changed"]
    cluster[name] = new
    assert not succeed("etcd_member", replace=True, **arguments)["changed"], "a living member was replaced"
    assert lab.etcdctl(new, "get", "before", "--print-value-only") == "the replacement"


def test_a_name_that_lives_is_not_taken(call, succeed, access, cluster):
    name = sorted(cluster)[0]
    for wanted, url in ((name, "https://127.0.0.1:9"), ("etcd9", cluster[name].peer_url)):
        refused = call("etcd_member", name=wanted, peer_urls=[url], replace=True, **access())
        assert refused["failed"] and "alive" in refused["problems"][0]


def test_a_member_that_was_added_and_never_started_is_removed(lab, succeed, access):
    url = "https://127.0.0.1:9"
    succeed("etcd_member", name="etcd9", peer_urls=[url], promote=False, **access())
    assert not succeed("etcd_member", name="etcd9", state="absent", **access())["changed"], "it has no name yet"
    assert succeed("etcd_member", name="etcd9", peer_urls=[url], state="absent", **access())["changed"]
    assert succeed("etcd_info", **access())["healthy"]


def test_nothing_is_changed_without_quorum(call, succeed, access, cluster):
    names = sorted(cluster)
    for name in names[1:]:
        cluster[name].kill()
    info = succeed("etcd_info", **access(names[0]))
    assert not info["has_quorum"] and "no quorum" in info["problems"][0]
    for arguments in ({"name": names[1], "state": "absent"}, {"name": "etcd9", "peer_urls": ["https://127.0.0.1:9"]}):
        refused = call("etcd_member", **arguments, **access(names[0]))
        assert refused["failed"] and refused["problems"]
    assert len(succeed("etcd_info", **access(names[0]))["members"]) == 3


def test_a_cluster_that_never_had_quorum_is_told_by_its_peers(lab, call, succeed):
    """What a first installation leaves that died between two starts: no client is served, and none of its members was ever there."""
    founders = [lab.member(f"founder{number}") for number in range(3)]
    everyone = lab.initial_cluster(*founders)
    first = founders[0].start(everyone)
    access = {**lab.access(first), "peer_endpoints": [first.peer_url]}
    told = {}
    for _attempt in range(100):
        told = call("etcd_info", **access)
        if not told.get("failed"):
            break
        time.sleep(0.1)
    assert not told["has_quorum"] and [member["client_urls"] for member in told["members"]] == [[], [], []]
    assert call("etcd_info", **lab.access(first))["failed"], "it serves no clients"
    for other in founders[1:]:
        other.start(everyone)
    for member in founders:
        member.wait_healthy()
    # The same question is answered by the clients' port from then on.
    healthy = succeed("etcd_info", **access)
    assert healthy["healthy"] and all(member["client_urls"] for member in healthy["members"])
    for member in founders[1:]:
        member.kill()
    founders[0].kill()
    founders[0].restart()
    lost = {}
    for _attempt in range(100):
        lost = call("etcd_info", **access)
        if not lost.get("failed"):
            break
        time.sleep(0.1)
    assert not lost["has_quorum"] and all(member["client_urls"] for member in lost["members"]), "it had quorum once"
