# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What site.yml does to a host, read from its steps: those of this collection, and made up ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import site_tasks as steps

ROOT = Path(os.path.abspath(steps.__file__)).parents[3]
COMPONENT = "hardway.kubernetes.component"
FILES = {
    "playbooks/steps/01_first.yml": """
        - hosts: a:b
          when: play
          tasks:
            - ansible.builtin.import_role: {name: hardway.kubernetes.one}
              when: wanted
            - ansible.builtin.import_role: {name: hardway.kubernetes.two, tasks_from: other}
    """,
    "playbooks/steps/02_second.yml": "[{hosts: c, tasks: [{ansible.builtin.import_role: {name: hardway.kubernetes.one}}]}]",
    "playbooks/steps/rotation.yml": "[{hosts: a, tasks: [{ansible.builtin.import_role: {name: hardway.kubernetes.none}}]}]",
    "roles/one/tasks/main.yml": """
        - ansible.builtin.import_tasks: more.yml
          when: [x, y]
        - ansible.builtin.debug: {msg: nothing}
    """,
    "roles/one/tasks/more.yml": """
        - vars: {v: 1}
          block:
            - name: Run it
              hardway.kubernetes.component: {name: inner}
              vars: {w: 2}
              register: told
    """,
    "roles/two/tasks/other.yml": "[{hardway.kubernetes.component: {name: second}}]",
    "roles/one/meta/main.yml": "{dependencies: [{role: hardway.kubernetes.two}]}",
    "roles/one/defaults/main.yml": "{}",
    "roles/two/defaults/main.yml": "{}",
    "roles/two/vars/main/a.yml": "{}",
    "roles/two/vars/main/b.yml": "{}",
}


def load(path: str):
    return yaml.safe_load(Path(path).read_text())


@pytest.fixture(name="root")
def make_root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_tasks_with_the_conditions_on_their_way(root):
    inner, second = steps.steps_of(load, str(root), ["b"], [COMPONENT])
    assert (inner.role, inner.arguments, inner.name, inner.register) == ("one", {"name": "inner"}, "Run it", "told")
    assert (inner.conditions, inner.variables) == (("play", "wanted", "x", "y"), {"v": 1, "w": 2})
    assert (second.role, second.arguments, second.conditions) == ("two", {"name": "second"}, ("play",))


def test_only_the_plays_of_the_host_s_groups(root):
    assert [step.arguments["name"] for step in steps.steps_of(load, str(root), ["c"], [COMPONENT])] == ["inner"]
    assert steps.steps_of(load, str(root), ["d"], [COMPONENT]) == []


def test_a_loop_is_refused(root):
    (root / "roles/two/tasks/other.yml").write_text(
        "[{name: Many, hardway.kubernetes.component: {name: x}, loop: [1]}]"
    )
    with pytest.raises(steps.Unreadable, match="role two: task 'Many' has a loop"):
        steps.steps_of(load, str(root), ["a"], [COMPONENT])


def test_what_is_included_for_each_of_several_is_left_out(root):
    (root / "roles/two/tasks/other.yml").write_text("[{ansible.builtin.include_tasks: more.yml, loop: [1]}]")
    assert [step.role for step in steps.steps_of(load, str(root), ["a"], [COMPONENT])] == ["one"]


def test_a_foreign_role_is_refused(root):
    (root / "playbooks/steps/02_second.yml").write_text(
        "[{hosts: c, tasks: [{ansible.builtin.import_role: {name: other.one}}]}]"
    )
    with pytest.raises(steps.Unreadable, match="other.one is no role of"):
        steps.steps_of(load, str(root), ["c"], [COMPONENT])


def test_variables_of_a_role_come_after_those_that_it_depends_on(root):
    defaults, variables = steps.role_files(load, str(root), "one")
    assert [os.path.relpath(path, root) for path in defaults] == [
        "roles/two/defaults/main.yml",
        "roles/one/defaults/main.yml",
    ]
    assert [os.path.relpath(path, root) for path in variables] == [
        "roles/two/vars/main/a.yml",
        "roles/two/vars/main/b.yml",
    ]


# --- this collection


def names(*groups: str) -> list[str]:
    return [step.arguments["name"] for step in steps.steps_of(load, str(ROOT), groups, [COMPONENT])]


def test_the_components_of_this_collection():
    assert {"host", "haproxy", "keepalived"} <= set(names("lb"))
    assert names("etcd")[:2] == ["host", "etcd"]
    assert {"kube-apiserver", "kube-controller-manager", "kube-scheduler"} < set(names("kube_master"))
    assert {"containerd", "docker", "cri-dockerd", "kubelet", "kube-proxy", "flanneld"} < set(names("kube_node"))


def test_no_component_of_site_yml_is_overlooked():
    """A component that is called in another way than the steps' is not compared: then the reader of steps has to learn it."""
    imported = {
        name
        for path in ROOT.glob("playbooks/steps/0*.yml")
        for name in re.findall(rf"{steps.COLLECTION}\.(\w+)", path.read_text())
    }
    written = sum(
        path.read_text().count(f"{COMPONENT}:") for role in imported for path in ROOT.glob(f"roles/{role}/tasks/*.yml")
    )
    # The network comes before docker or after the nodes; one of the two has its condition. Masters reach some components by a second way, too.
    found = {
        (step.role, step.name)
        for step in steps.steps_of(load, str(ROOT), ["etcd", "lb", "kube_master", "kube_node"], [COMPONENT])
    }
    assert len(found) == written > 10
