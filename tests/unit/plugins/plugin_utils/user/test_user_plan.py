# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.user.plan import User


def binding(name, namespace="", user="jane"):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": metadata,
        "subjects": [{"name": user}],
    }


@pytest.mark.parametrize("name", ["jane", "jane.doe", "j-1_a", "_x", "7"])
def test_a_name_is_taken(name):
    assert User(name).problems() == []


@pytest.mark.parametrize("name", ["", "-jane", "jane doe", "a/b", "jane-key", "../x", "jane\n"])
def test_what_is_no_name_is_refused(name):
    (problem,) = User(name).problems()
    assert problem.where == "user_name" and "user_name=NAME" in problem.fix


def test_groups_of_kubernetes_are_refused():
    (problem,) = User("jane", ["team", "system:masters"]).problems()
    assert problem.where == "user_groups" and "system:masters" in problem.what and "team" not in problem.what


def test_a_role_needs_a_namespace():
    (problem,) = User("jane", role="pods", role_kind="Role").problems()
    assert problem.where == "user_role_kind" and "user_namespaces" in problem.fix
    assert User("jane", role="pods", role_kind="Role", namespaces=["a"]).problems() == []


def test_every_reason_is_named_at_once():
    assert len(User("", ["system:x"], role_kind="Role").problems()) == 3


@pytest.mark.parametrize(
    ("user", "granted"),
    [
        (User("jane", role="view"), [""]),
        (User("jane", role="view", namespaces=["a", "b"]), ["a", "b"]),
        (User("jane"), []),
        (User("jane", role="view", present=False), []),
    ],
)
def test_where_the_role_is_granted(user, granted):
    assert user.granted_in == granted


def test_bindings_of_another_role_or_namespace_go():
    user = User("jane", role="view", namespaces=["a"])
    wanted = binding("hardway:user:jane:ClusterRole:view", "a")
    unwanted = [
        binding("hardway:user:jane:ClusterRole:view", "b"),
        binding("hardway:user:jane:ClusterRole:view"),
        binding("hardway:user:jane:ClusterRole:edit", "a"),
    ]
    others = [binding("hardway:user:joe:ClusterRole:view", "b", "joe"), {"metadata": {"name": "x"}, "subjects": None}]
    assert user.unwanted([wanted, *unwanted, *others]) == unwanted


def test_a_binding_in_a_namespace_goes_where_the_whole_cluster_is_granted():
    user = User("jane", role="view")
    inside = binding("hardway:user:jane:ClusterRole:view", "a")
    assert user.unwanted([binding("hardway:user:jane:ClusterRole:view"), inside]) == [inside]


def test_of_a_user_who_is_absent_all_go():
    user = User("jane", role="view", present=False)
    found = [binding("hardway:user:jane:ClusterRole:view"), binding("hardway:user:jane:ClusterRole:edit", "a")]
    assert user.unwanted(found) == found
