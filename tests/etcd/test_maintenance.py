# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real cluster whose space quota is full becomes writable again. The tests go on from each other."""

from __future__ import annotations

import pytest

QUOTA = 4 * 1024**2


@pytest.fixture(scope="module")
def cluster(lab):
    return {
        member.name: member
        for member in lab.cluster("etcd1", "etcd2", "etcd3", options=(f"--quota-backend-bytes={QUOTA}",))
    }


@pytest.fixture
def maintain(lab, cluster, succeed):
    def run(name: str = "etcd1", **arguments) -> dict:
        return succeed("etcd_maintenance", minimum_size=0, **lab.access(cluster[name]), **arguments)

    return run


@pytest.fixture
def refuse(lab, cluster, call):
    def run(name: str = "etcd1", **arguments) -> list[str]:
        result = call("etcd_maintenance", minimum_size=0, **lab.access(cluster[name]), **arguments)
        assert result.get("failed") and result["problems"], result
        return result["problems"]

    return run


@pytest.fixture
def info(lab, cluster, succeed):
    return lambda: succeed("etcd_info", **lab.access(*cluster.values()))


def fill(lab, member) -> None:
    """The same key again and again, until etcd takes no more."""
    for _unused in range(1000):
        try:
            lab.etcdctl(member, "put", "key", "x" * 120_000)
        except AssertionError as error:
            assert "database space exceeded" in str(error)
            return
    raise AssertionError("the quota was never exceeded")


def test_a_fresh_cluster_needs_no_care(maintain, info):
    assert not maintain(defragment=True, disarm=["NOSPACE"])["changed"]
    assert info()["problems"] == []


def test_a_full_quota_is_told(lab, cluster, info):
    fill(lab, cluster["etcd1"])
    told = info()
    assert not told["healthy"] and told["has_quorum"]
    assert any("has raised the alarm NOSPACE" in problem for problem in told["problems"])
    assert any("% of its space quota" in problem for problem in told["problems"])
    assert all(member["healthy"] and member["quota"] == QUOTA for member in told["members"])


def test_a_full_member_is_not_disarmed(refuse, info):
    problems = refuse(disarm=["NOSPACE"])
    assert all("is not disarmed" in problem for problem in problems)
    assert any(member["alarms"] for member in info()["members"])


def test_compaction(maintain, refuse, info):
    revision = info()["revision"]
    assert "is in the future" in refuse(compact_revision=revision + 1)[0]
    assert maintain(compact_revision=revision, check_mode=True)["changed"]
    assert maintain(compact_revision=revision)["changed"], "check mode compacted"
    assert not maintain(compact_revision=revision)["changed"]
    assert not maintain(compact_revision=revision - 5, check_mode=True)["changed"]


def test_no_defragmentation_costs_quorum(cluster, refuse, info):
    cluster["etcd3"].kill()
    problem = refuse("etcd1", defragment=True)[0]
    assert "etcd1 is not defragmented" in problem and "etcd3" in problem
    cluster["etcd3"].restart(f"--quota-backend-bytes={QUOTA}").wait_healthy({"exclude": "NOSPACE"})


def test_member_by_member_leader_last_and_writable_again(lab, cluster, maintain, info):
    before = info()
    order = before["defragmentation_order"]
    assert sorted(order) == sorted(cluster) and order[-1] == before["leader"]
    for name in order:
        assert maintain(defragment=True, check_mode=True, member=name)["changed"]
        done = maintain(defragment=True, member=name)
        assert done["changed"] and done["member"] == name and done["db_size"] < QUOTA / 2 < done["db_size_before"]
        assert "db_size" in done["diff"]["after"]
        assert not maintain(defragment=True, member=name)["changed"], "not due any more"
    assert info()["leader"] == before["leader"], "leadership moved"
    with pytest.raises(AssertionError, match="space exceeded"):
        lab.etcdctl(cluster["etcd1"], "put", "still", "full")
    disarmed = maintain(disarm=["NOSPACE"])
    assert disarmed["changed"] and disarmed["alarms"] == []
    assert not maintain(disarm=["NOSPACE"])["changed"]
    lab.etcdctl(cluster["etcd1"], "put", "writable", "again")
    assert info()["problems"] == []


def test_all_in_one_call_for_a_cluster_of_one(lab, succeed):
    member = lab.cluster("alone", options=(f"--quota-backend-bytes={QUOTA}",))[0]
    fill(lab, member)
    revision = succeed("etcd_info", **lab.access(member))["revision"]
    done = succeed(
        "etcd_maintenance",
        compact_revision=revision,
        defragment=True,
        minimum_size=0,
        disarm=["NOSPACE"],
        **lab.access(member),
    )
    assert [step.split()[0] for step in done["steps"]] == ["compact", "defragment", "disarm"]
    lab.etcdctl(member, "put", "writable", "again")
    member.kill()


def test_a_small_database_is_left_alone(lab, cluster, succeed):
    assert not succeed("etcd_maintenance", defragment=True, fragmentation=0, **lab.access(cluster["etcd1"]))["changed"]
