# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.membership.plan import Removal, Reset

MASTERS = ["master1", "master2", "master3"]
GROUPS = {
    "all": [*MASTERS, "node1", "lb1", "lb2"],
    "etcd": MASTERS,
    "kube_master": MASTERS,
    "kube_node": [*MASTERS, "node1"],
    "lb": ["lb1", "lb2"],
}


def removed(host, group, leaving=None, groups=None):
    return Removal(host, group, leaving or [host], GROUPS if groups is None else groups).problems()


def texts(problems):
    return "\n".join(problem.text for problem in problems)


@pytest.mark.parametrize(
    ("host", "group"), [("node1", "kube_node"), ("master3", "kube_master"), ("lb2", "lb")], ids=lambda value: value
)
def test_a_host_that_can_be_spared_may_go(host, group):
    assert removed(host, group) == []


def test_a_host_of_another_group_is_refused_with_the_playbook_of_its_groups():
    (problem,) = removed("lb1", "kube_node")[:1]
    assert problem.where == "lb1" and "not in the group kube_node" in problem.what
    assert "hardway.kubernetes.remove_lb" in problem.fix


def test_a_host_in_no_group_is_sent_to_reset():
    (problem,) = removed("stranger", "kube_node")
    assert "hardway.kubernetes.reset" in problem.fix


def test_a_host_that_is_in_another_group_as_well_is_refused():
    (problem,) = removed("master1", "kube_node")
    assert "also in etcd, kube_master" in problem.what and "remove_master" in problem.fix


@pytest.mark.parametrize(("group", "playbook"), [("etcd", "etcd"), ("lb", "lb"), ("kube_master", "kube_master")])
def test_the_last_host_of_a_group_is_refused(group, playbook):
    (problem,) = removed("only", playbook, groups={group: ["only"]})
    assert f"No host would be left in {group}" in problem.what


def test_the_last_node_may_go():
    assert removed("only", "kube_node", groups={"kube_node": ["only"], "etcd": ["other"]}) == []


def test_all_hosts_of_a_group_at_once_are_refused_on_each_of_them():
    for host in ("lb1", "lb2"):
        assert "No host would be left in lb" in texts(removed(host, "lb", ["lb1", "lb2"]))


def test_two_members_of_etcd_at_once_are_refused():
    found = removed("master2", "kube_master", ["master2", "master3"])
    assert [problem.where for problem in found] == ["group etcd"]
    assert "master2 and master3" in found[0].what and "one at a time" in found[0].what


def test_every_reason_is_named_at_once():
    groups = {"etcd": ["a", "b"], "lb": ["a"]}
    assert len(removed("a", "kube_node", ["a", "b"], groups)) == 4


def reset(hosts, **over):
    return Reset(hosts, GROUPS, **over).problems()


@pytest.mark.parametrize("hosts", [[*MASTERS, "node1", "lb1", "lb2"], ["node1"], ["lb1"], MASTERS])
def test_a_reset_of_all_members_or_of_none_is_allowed(hosts):
    assert reset(hosts) == []


@pytest.mark.parametrize(
    ("members", "effect"),
    [
        (["master1", "master2"], "would stop at once"),
        (["master1"], "one more failure would stop the cluster"),
    ],
)
def test_members_alone_are_refused_with_what_it_costs(members, effect):
    (problem,) = reset(members)
    assert problem.where == ", ".join(members) and effect in problem.what and "needs 2 of them" in problem.what
    assert "reset_etcd_member=yes" in problem.fix


def test_of_five_members_one_costs_a_failure():
    (problem,) = Reset(["a"], {"etcd": list("abcde")}).problems()
    assert "one failure less" in problem.what


def test_members_alone_are_allowed_where_it_is_meant():
    assert reset(["master1"], allow_member=True) == []


def test_the_directory_stays_while_hosts_stay():
    (problem,) = reset(["node1"], remove_state=True)
    assert problem.where == "reset_state" and "master1, master2, master3" in problem.what.replace("lb1, lb2, ", "")
    assert "node1" not in problem.what


def test_the_directory_may_go_with_all_hosts():
    assert reset(GROUPS["all"], remove_state=True) == []
