# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The turns of control planes by kubeadm."""

from __future__ import annotations

from unittest import mock

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar, trust_as_template

from ansible_collections.hardway.kubernetes.plugins.action import kubeadm as subject
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations

PEERS = {
    "members": [{"name": "master1", "address": "192.0.2.1"}, {"name": "master2", "address": "192.0.2.2"}],
    "port": 6443,
    "path": "/readyz",
    "ca": "/etc/kubernetes/pki/ca.crt",
}
DEFERRED = {"changed": True, "deferred": True}


@pytest.fixture(name="call")
def make_call(tmp_path, monkeypatch):
    """Run the action; the hosts' answers come from `call.answers`, what they got is in `call.sent`."""

    def call(host="master2", check_mode=False, **arguments):
        task_vars = {"inventory_hostname": host, "cluster_dir": str(tmp_path)}
        loader = DataLoader()
        task = Task()
        task.action, task.args, task.check_mode = (
            "hardway.kubernetes.kubeadm",
            {"phase": "init", **arguments},
            check_mode,
        )
        templar = Templar(loader=loader, variables=task_vars)
        action = subject.ActionModule(task, mock.MagicMock(), mock.MagicMock(), loader, templar, mock.MagicMock())

        def execute(module_name, module_args, task_vars):
            call.sent.append(module_args)
            return dict(call.answers.pop(0))

        monkeypatch.setattr(action, "_execute_module", execute)
        return action.run(task_vars=task_vars)

    call.sent, call.answers = [], []
    return call


def test_who_is_asked_goes_with_the_turn_alone(call):
    call.answers = [DEFERRED, {"changed": True}]
    assert call(peers=PEERS)["changed"]
    assert [item["peers"] and sorted(item["peers"]["members"]) for item in call.sent] == [None, ["master1", "master2"]]
    how = call.sent[1]["peers"]["members"]["master1"]
    assert how == {"url": "https://192.0.2.1:6443/readyz", "ca": "/etc/kubernetes/pki/ca.crt"}


def test_a_control_plane_that_is_ill_is_named(call):
    call.answers = [DEFERRED, {**DEFERRED, "ill": {"master1": "refused", "cluster_dir": "x"}}]
    result = call(peers=PEERS)
    assert result["failed"]
    assert result["msg"].startswith(
        "kubeadm on master2: not restarted, for kubeadm is not healthy on master1 (master1: refused)."
    )


def test_without_peers_nothing_that_a_host_says_of_others_counts(call):
    call.answers = [DEFERRED, {"changed": True, "ill": {"master1": "x"}}]
    assert not call().get("failed")


def test_check_mode_asks_nobody(call, tmp_path):
    call.answers = [{"failed": True, "msg": "x"}]
    assert call(peers=PEERS, check_mode=True)["failed"]
    assert not call.sent[0]["peers"] and not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("begun", "asked"),
    [
        # A master that joins is none yet; by itself it is asked for all the same.
        (["a", "b"], ["a", "b"]),
        (["b"], ["a", "b"]),
        (["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_masters_that_join_are_not_asked(begun, asked):
    loader = DataLoader()
    path = f"{declarations.ROOT}/roles/kubeadm/vars/main.yml"
    wanted = ("kubeadm_masters", "kubeadm_begun", "kubeadm_initialised", "kubeadm_joining_masters", "kubeadm_peers")
    with open(path, encoding="utf-8") as stream:
        variables = {key: trust_as_template(value) for key, value in yaml.safe_load(stream).items() if key in wanted}
    facts = {name: {"static_pods": ["kube-apiserver"] if name in begun else []} for name in "abc"}
    known = {
        "hostvars": {name: {"inventory_hostname": name, "hardway_host": {"facts": facts[name]}} for name in facts},
        "ansible_play_hosts": list(facts),
        "groups": {"kube_master": list(facts)},
        "inventory_hostname": "a",
        "cluster_api_answers": True,
        "cluster_masters": [{"name": name, "address": name} for name in facts],
    }
    templar = Templar(loader=loader, variables={**known, **variables})
    found = templar.template(trust_as_template("{{ kubeadm_peers }}"))
    assert [member["name"] for member in found] == asked
