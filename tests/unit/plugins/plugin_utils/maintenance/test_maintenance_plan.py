# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.maintenance.plan import MIB, Settings, lines, plan

HOSTS = ["m1", "m2", "m3"]


def member(name, **over):
    found = {
        "name": name,
        "db_size": 20 * MIB,
        "fragmentation": 10,
        "quota": 2048 * MIB,
        "quota_used": 1,
        "leader": False,
    }
    return {**found, "healthy": True, "problem": "", "alarms": [], **over}


def cluster(**over):
    return {
        "has_quorum": True,
        "revision": 4711,
        "members": [member(name, leader=name == "m1", **over.get(name, {})) for name in HOSTS],
        "defragmentation_order": ["m2", "m3", "m1"],
    }


def planned(state, **settings):
    return plan(dict.fromkeys(HOSTS, state), HOSTS, Settings(**settings))


def test_nothing_is_due_in_a_small_database():
    found = planned(cluster())
    assert (found.client_host, found.compact, found.defragment, found.disarm, found.problems) == (
        "m1",
        False,
        [],
        False,
        [],
    )


def test_without_quorum_it_is_refused_with_what_members_found():
    states = {"m1": {"has_quorum": False, "problems": ["no quorum: m2, m3"]}, "m2": {"msg": "refused"}}
    (problem,) = plan(states, HOSTS, Settings()).problems
    assert "no quorum: m2, m3" in problem.what and "refused" not in problem.what and "restore_etcd" in problem.fix


def test_where_no_member_answers_it_is_refused_with_why():
    (problem,) = plan({"m1": {"msg": "refused"}}, ["m1"], Settings()).problems
    assert "refused" in problem.what
    (problem,) = plan({}, [], Settings()).problems
    assert "no member can be reached" in problem.what


def test_a_dead_host_does_not_stop_the_others():
    states = {"m1": {"msg": "unreachable"}, "m2": cluster(), "m3": cluster()}
    assert plan(states, ["m2", "m3"], Settings()).client_host == "m2"


@pytest.mark.parametrize(
    ("over", "due"),
    [
        ({"db_size": 100 * MIB, "fragmentation": 46}, ["m3"]),
        ({"db_size": 100 * MIB, "fragmentation": 45}, []),
        ({"db_size": 100 * MIB - 1, "fragmentation": 90}, []),
    ],
)
def test_a_large_and_fragmented_database_is_defragmented(over, due):
    assert planned(cluster(m3=over)).defragment == due


@pytest.mark.parametrize("over", [{"quota_used": 80}, {"alarms": ["NOSPACE"]}])
def test_a_full_database_is_compacted_and_all_members_defragmented_the_leader_last(over):
    found = planned(cluster(m3=over))
    assert found.compact and found.revision == 4711 and found.defragment == ["m2", "m3", "m1"]


def test_never_compacts_not_even_a_full_one():
    found = planned(cluster(m3={"quota_used": 95}), compact="never")
    assert not found.compact and found.defragment == ["m2", "m3", "m1"]


def test_always_compacts():
    assert planned(cluster(), compact="always").compact


def test_a_quota_that_is_not_known_is_not_full():
    assert not planned(cluster(m1={"quota": 0, "quota_used": None})).compact


def test_only_the_alarms_of_the_settings_are_disarmed():
    state = cluster(m2={"alarms": ["CORRUPT"]})
    assert not planned(state).disarm
    assert planned(state, disarm=["CORRUPT"]).disarm


def test_how_members_do_in_a_line():
    shown = lines(
        {
            "members": [
                member("m1", leader=True, db_size=51 * MIB),
                member("m2", healthy=False, problem="dead", quota=0, quota_used=None, alarms=["NOSPACE"]),
            ]
        }
    )
    assert shown == [
        "m1: 51.0 MiB, 10 % of it empty, 1 % of the quota, leader",
        "m2: 20.0 MiB, 10 % of it empty, ? % of the quota, not healthy: dead, alarm NOSPACE",
    ]
