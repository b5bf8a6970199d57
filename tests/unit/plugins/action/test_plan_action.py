# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component that a role declares is known to everything that asks: shown with a toy, in a collection that is made up."""

from __future__ import annotations

import copy
import dataclasses
from unittest import mock

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar

from ansible_collections.hardway.kubernetes.plugins.action import plan as subject
from ansible_collections.hardway.kubernetes.plugins.lookup import declarations as lookup
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import model
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.footprint import read_footprints
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations, render
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import plan as rollout

TOY = {
    "name": "toy",
    "phase": "nodes",
    "groups": ["kube_node"],
    "when": ["toy_wanted"],
    "unit": "toy.service.j2",
    "files": [{"dest": "/etc/toy.conf", "template": "toy.conf.j2", "mode": "0600"}],
    "packages": {"Debian": ["toybox"], "RedHat": ["toybox"]},
    "ports": [{"port": 4711, "setting": "toy_port", "tls": {"path": "/etc/toy.pem"}}, {"port": 4712}],
    "own_certificates": ["/etc/toy.pem"],
    "footprint": {"directories": ["/var/lib/toy"]},
    "stops_after": ["kubelet"],
}
FILES = {
    "roles/toy/components/toy.yml": yaml.safe_dump(TOY, sort_keys=False),
    "roles/toy/defaults/main.yml": "{toy_wanted: true, toy_port: 4711, toy_secret: hunter1}",
    "roles/toy/vars/main.yml": "{toy_line: 'port {{ toy_port }}'}",
    "roles/toy/meta/main.yml": "{dependencies: [{role: hardway.kubernetes.base}]}",
    "roles/base/defaults/main.yml": "{toy_user: nobody}",
    "roles/toy/templates/toy.conf.j2": "{{ toy_line }} {{ toy_user }} {{ toy_secret }}\n",
    "roles/toy/templates/toy.service.j2": "[Service]\nExecStart=/usr/bin/toy\n",
}
NOTHING = {
    "records": {},
    "entries": {},
    "units": {},
    "installed": {},
    "users": ["root"],
    "images": {},
    "trouble": {},
}
SETTINGS = {
    "cluster_install_dir": "/opt/hardway",
    "cluster_bin_dir": "/usr/local/bin",
    "cluster_download_timeout": 60,
    "cluster_pki": "/state/pki",
    "cluster_certificate_settings": {},
}


@pytest.fixture(name="root")
def make_root(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(declarations, "ROOT", str(tmp_path))
    monkeypatch.setattr(declarations.declarations, "__defaults__", (str(tmp_path),))
    return tmp_path


class HostVars(dict):
    """Variables of hosts as an action gets them."""

    _variable_manager = mock.Mock(extra_vars={})

    def raw_get(self, name):
        return dict(self[name])


@pytest.fixture(name="plan")
def make_plan(root):
    """Run the action for these hosts: name -> what the host returned, or None for one that could not be read."""

    def plan(hosts, controller=None, **settings):
        known = HostVars()
        for name, components in hosts.items():
            facts = {"readable": False} if components is None else {"readable": True, "components": components}
            known[name] = {
                "inventory_hostname": name,
                "group_names": ["kube_node"],
                "hardway_host": {"facts": facts},
                **SETTINGS,
                **settings,
            }
        names = list(hosts)
        task_vars = {"hostvars": known, "ansible_play_hosts": names, "ansible_play_hosts_all": names}
        task = Task()
        task.action, task.args = "hardway.kubernetes.plan", {"controller": controller or {}}
        task._parent = mock.Mock(_play=mock.Mock(get_vars=dict))
        loader = DataLoader()
        templar = Templar(loader=loader, variables=task_vars)
        action = subject.ActionModule(task, mock.MagicMock(), mock.MagicMock(), loader, templar, mock.MagicMock())
        result = action.run(task_vars=task_vars)
        assert result["changed"] is False
        return result

    return plan


def desired(root, **settings) -> model.Component:
    """The toy as a host gets it."""
    loader = DataLoader()

    def load(path):
        return loader.load_from_file(path, cache="none", trusted_as_template=True)

    (declared,) = declarations.declarations(load, str(root))
    defaults, variables = declarations.role_variables(load, str(root), "toy")
    merged = {**defaults, "group_names": ["kube_node"], "inventory_hostname": "n1", **SETTINGS, **settings, **variables}
    templar = Templar(loader=loader, variables=merged)
    renderer = render.Renderer(templar, loader, merged, str(root / "roles/toy"))
    return model.from_description(renderer.describe(declared))


def in_place(component: model.Component) -> dict:
    """What a host returns on which the component is as it should be, and runs."""
    files = {item.path: (item.digest, item.mode) for item in (*component.files, component.unit_file)}
    files[component.drop_in] = (model.File("", component.drop_in_text.encode()).digest, 0o644)
    entry = {"kind": "file", "link": None, "uid": 0, "gid": 0, "owner": "root", "group": "root"}
    health = {key: value for key, value in dataclasses.asdict(component.health).items() if value is not None}
    kept = {key: value for key, value in health.items() if key not in ("timeout", "hold", "skip")}
    owns = {"paths": sorted(component.owned_paths()), "user": None, "service": "toy.service", "unit": True}
    properties = {"ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "InvocationID": "1"}
    return {
        **copy.deepcopy(NOTHING),
        "records": {"toy": {"owns": owns, "observe": {"health": kept, "images": []}}},
        "entries": {path: {**entry, "digest": digest, "mode": mode} for path, (digest, mode) in files.items()},
        "units": {"toy.service": {"properties": properties, "running_inputs": component.digest}},
        "trouble": {"toy": None},
    }


# --- the plan


def test_a_host_without_it_has_work(plan):
    result = plan({"n1": NOTHING, "n2": NOTHING})
    assert result["work"] == {"nodes": ["n1", "n2"]}
    assert result["hosts"] == [{"host": "n1", "groups": ["hardway_nodes"]}, {"host": "n2", "groups": ["hardway_nodes"]}]
    (first, _second) = result["entries"]
    assert first["changes"][0]["name"] == "/etc/toy.conf"
    assert result["lines"][0].startswith("n1: toy: /etc/toy.conf created")


def test_a_host_that_has_it_has_none(plan, root):
    result = plan({"n1": in_place(desired(root))})
    assert result["entries"][0]["changes"] == []
    assert (result["work"], result["has_work"], result["lines"]) == ({}, False, ["Nothing to change."])


def test_only_the_host_that_differs_is_visited(plan, root):
    there = in_place(desired(root))
    other = copy.deepcopy(there)
    other["entries"]["/etc/toy.conf"]["digest"] = "0" * 64
    result = plan({"n1": there, "n2": other})
    assert result["work"] == {"nodes": ["n2"]}
    assert result["entries"][1]["restart"] == "/etc/toy.conf had been changed on the host"


def test_a_new_setting_is_a_restart_with_its_cause(plan, root):
    there = in_place(desired(root))
    there["records"]["toy"]["inputs"] = {desired(root).digest: desired(root).inputs("restart")}
    entry = plan({"n1": there}, toy_port=4712)["entries"][0]
    assert entry["restart"] == "/etc/toy.conf changed"
    assert entry["causes"] == [{"kind": "file", "name": "/etc/toy.conf", "how": "changed"}]


def test_one_that_does_not_serve_is_visited(plan, root):
    ill = in_place(desired(root))
    ill["trouble"]["toy"] = "connection refused"
    result = plan({"n1": ill})
    assert result["work"] == {"nodes": ["n1"]}
    assert result["lines"] == ["n1: toy: is not healthy: connection refused"]


def test_conditions_and_groups_decide_who_has_it(plan):
    assert plan({"n1": NOTHING}, toy_wanted=False)["entries"] == []
    assert plan({"n1": NOTHING}, group_names=["lb"])["entries"] == []


def test_a_host_that_cannot_be_read_is_left_out_and_spoils_nothing(plan):
    assert plan({"n1": None, "n2": NOTHING})["work"] == {"nodes": ["n2"]}


@pytest.mark.parametrize(
    "answer",
    [
        "hello",
        {},
        {**NOTHING, "entries": {"/etc/toy.conf": {"kind": ["file"]}}},
        {**NOTHING, "records": {"toy": "owns"}},
        {**NOTHING, "users": "root"},
        {**NOTHING, "units": {"toy.service\x1b[2J": {"properties": {}, "running_inputs": None}}},
        {**NOTHING, "records": {"toy": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}}},
    ],
)
def test_a_hostile_host_spoils_its_own_part(plan, answer):
    result = plan({"evil": answer, "n2": NOTHING})
    (evil, honest) = result["entries"]
    assert "cannot be used" in evil["error"] and not honest["error"]
    assert "\x1b" not in str(result["lines"])


def test_a_component_that_cannot_be_rendered_is_an_entry(plan):
    (entry,) = plan({"n1": NOTHING}, cluster_bin_dir=None)["entries"]
    assert "cluster_bin_dir is not set" in entry["error"]


def test_nothing_secret_is_in_a_plan(plan):
    assert "hunter2" not in str(plan({"n1": NOTHING}, toy_secret="hunter2"))


def test_what_is_made_on_the_controller_is_part_of_it(plan):
    made = {
        "certificates": {
            "changed": True,
            "certificates": [{"name": "x", "changed": True, "reason": "SAN"}, {"name": "y", "changed": False}],
        },
        "artifacts": {"failed": True, "msg": "no route\nto host"},
        "tokens": {},
    }
    (certificates, artifacts) = plan({}, made)["entries"]
    assert [change["name"] for change in certificates["changes"]] == ["x"]
    assert artifacts["error"] == "no route to host"


# --- those who ask for other things


def ask(term: str, variables: dict | None = None):
    loader, variables = DataLoader(), variables or {}
    asked = lookup.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))
    return asked.run([term], variables)[0]


@pytest.fixture(autouse=True)
def known_plugin():
    """The lookup has no options of its own to find."""
    with mock.patch.object(lookup.LookupModule, "set_options"), mock.patch.object(lookup_loader, "get"):
        yield


def test_reset_knows_what_it_leaves(root):
    footprint = read_footprints(ask("footprints"))["toy"]
    assert (footprint.directories, footprint.stops_after) == (("/var/lib/toy",), ("kubelet",))


def test_preflight_knows_where_it_listens(root):
    assert ask("ports") == [
        {"group": "kube_node", "component": "toy", "units": ["toy"], "port": 4711, "setting": "toy_port"},
        {"group": "kube_node", "component": "toy", "units": ["toy"], "port": 4712},
    ]
    assert ask("services") == ["toy"]


@pytest.mark.parametrize(
    ("groups", "wanted", "served"), [("kube_node", True, 1), ("kube_node", False, 0), ("lb", True, 0)]
)
def test_the_certificate_report_knows_what_it_serves(root, groups, wanted, served):
    variables = {"group_names": [groups], "toy_wanted": wanted, "toy_port": 4713, "cluster_address": "192.0.2.1"}
    expected = [{"component": "toy", "address": "192.0.2.1", "port": 4713, "path": "/etc/toy.pem"}]
    assert ask("endpoints", variables) == expected[:served]
    assert ask("own_certificates") == ["/etc/toy.pem"]


def test_the_role_host_knows_its_packages(root):
    assert ask("packages") == {"toy": {"Debian": ["toybox"], "RedHat": ["toybox"]}}


def test_of_anything_else_nothing_is_declared(root):
    with pytest.raises(AnsibleLookupError, match=r"nothing is declared as colours\. Fix: use footprints"):
        ask("colours")


# --- the plan as data


def test_work_is_by_phase():
    entries = [
        rollout.Entry("a", "x", "r", "nodes", visit=True),
        rollout.Entry("a", "y", "r", "nodes", trouble="down"),
        rollout.Entry("b", "x", "r", "etcd", error="no"),
        rollout.Entry("c", "x", "r", "etcd"),
    ]
    assert rollout.work(entries) == {"nodes": ["a"], "etcd": ["b"]}


def test_many_changes_are_counted():
    changes = [{"kind": "file", "name": f"/f{number}", "action": "created"} for number in range(9)]
    (line,) = rollout.lines([rollout.Entry("a", "x", "r", "nodes", changes=changes)])
    assert line.endswith("/f4 created, and 4 more")


@pytest.mark.parametrize(
    "record",
    [{"owns": 5}, {"owns": {"paths": [[]]}}, {"owns": {"paths": 5}}, {"inputs": []}, {"owns": {"service": {}}}],
)
def test_a_record_of_another_shape_is_the_host_s_own_trouble(plan, root, record):
    good = in_place(desired(root))
    bad = {**good, "records": {"toy": record, "other": record}}
    entries = {entry["host"]: entry for entry in plan({"n1": bad, "n2": good})["entries"]}
    assert set(entries) == {"n1", "n2"}
    assert not entries["n2"]["changes"] and not entries["n2"]["error"]
