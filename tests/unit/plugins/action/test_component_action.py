# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a task's words to what a host gets, and the turns that restarts take."""

from __future__ import annotations

import base64
import json
import zlib
from unittest import mock

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar

from ansible_collections.hardway.kubernetes.plugins.action import component as subject
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import render
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.catalogue import HostFile
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import lock

KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n"
CHANGED = {"changed": True, "changes": ["x: changed"], "restart": "x changed", "deferred": False, "diff": []}
DEFERRED = {**CHANGED, "deferred": True}


@pytest.fixture(name="role")
def make_role(tmp_path):
    """A directory with the templates and files of a role, and the controller's state beside it."""
    for directory in ("templates", "files", "components", "cluster/pki"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "templates/unit.j2").write_text(
        "[Service]\nExecStart=/bin/x {{ component_arguments | default([]) | join(' ') }}\n"
    )
    (tmp_path / "templates/arguments.j2").write_text("port: {{ port }}\nverbose: true\nservers: [a, b]\n")
    (tmp_path / "templates/config.j2").write_text(
        "a: {one: 1, two: 2}\nlist: [1]\nname: {{ inventory_hostname }}{{ more | default('') }}\n"
    )
    (tmp_path / "cluster/pki/ca.pem").write_text("the CA\n")
    (tmp_path / "cluster/pki/x-key.pem").write_text(KEY)
    return tmp_path


@pytest.fixture(name="call")
def make_call(role, monkeypatch):
    """Run the action with these arguments; the hosts' answers come from `call.answers`, what they got is in `call.sent`."""

    def call(check_mode=False, variables=None, host="master1", declare=True, **arguments):
        task_vars = {
            "inventory_hostname": host,
            "group_names": ["all_of_us"],
            "port": 6443,
            "cluster_dir": str(role / "cluster"),
            "cluster_pki": str(role / "cluster/pki"),
            "cluster_install_dir": "/opt/hardway",
            "cluster_bin_dir": "/usr/local/bin",
            "cluster_download_timeout": 60,
            "cluster_lock_file": str(role / "cluster/artifacts.lock"),
            "cluster_locked_artifacts": {
                "etcd": {"version": "3.6.0"},
                "image-pause": {"ref": "pause:3", "url": "http://x/", "sha256": "ab", "version": "3"},
            },
            "cluster_image_source": "archive",
            "cluster_certificate_settings": {},
            **(variables or {}),
        }
        loader = DataLoader()
        task = Task()
        declared = {"name": "x", "phase": "nodes", "groups": ["all_of_us"], **arguments}
        if declare:
            (role / "components/x.yml").write_text(yaml.safe_dump(declared, sort_keys=False))
        task.action, task.args, task.check_mode = "hardway.kubernetes.component", {"name": "x"}, check_mode
        task._role = mock.Mock(_role_path=str(role))
        action = subject.ActionModule(
            task,
            mock.MagicMock(),
            mock.MagicMock(),
            loader,
            Templar(loader=loader, variables=task_vars),
            mock.MagicMock(),
        )

        def execute(module_name, module_args, task_vars):
            assert module_name == "hardway.kubernetes.component_apply"
            call.sent.append(
                {
                    **json.loads(zlib.decompress(base64.b64decode(module_args["payload"]))),
                    "defer_restart": module_args["defer_restart"],
                    **({"peers": module_args["peers"]} if "peers" in module_args else {}),
                }
            )
            return dict(call.answers.pop(0) if call.answers else CHANGED)

        monkeypatch.setattr(action, "_execute_module", execute)
        return action.run(task_vars=task_vars)

    call.sent, call.answers = [], []
    return call


@pytest.fixture(name="table")
def make_table(monkeypatch):
    """Let the table of certificates have these files of the component: path -> source."""

    def table(files, effect="restart"):
        found = {
            path: HostFile("x", path, source, source, effect, "0600" if source.endswith("-key.pem") else "0644")
            for path, source in files.items()
        }
        monkeypatch.setattr(render, "certificates_of", lambda name, settings, host: found if name == "x" else {})

    return table


def content(item: dict) -> str:
    return base64.b64decode(item["content"]).decode()


# --- what a host gets


def test_the_defaults(call):
    call()
    sent = call.sent[0]
    assert (sent["service"], sent["unit"], sent["files"], sent["directories"], sent["images"]) == (
        None,
        None,
        [],
        [],
        None,
    )
    assert (sent["install_dir"], sent["bin_dir"], sent["download_timeout"]) == ("/opt/hardway", "/usr/local/bin", 60)


def test_files_from_template_source_and_content(call, role):
    call(
        files=[
            {"dest": "/a", "template": "config.j2", "vars": {"more": "!"}},
            {"dest": "/b", "src": f"{role}/cluster/pki/ca.pem", "on_change": "reload"},
            {"dest": "/c", "content": "text\n", "mode": "0600", "owner": "etcd"},
            {"dest": "/d", "content": {"b": 1, "a": [True]}},
            {"dest": "/e", "state": "absent"},
        ]
    )
    files = call.sent[0]["files"]
    assert [content(item) for item in files[:4]] == [
        "a: {one: 1, two: 2}\nlist: [1]\nname: master1!\n",
        "the CA\n",
        "text\n",
        "b: 1\na:\n- true\n",
    ]
    assert files[1]["on_change"] == "reload"
    assert (files[2]["mode"], files[2]["owner"]) == ("0600", "etcd")
    assert files[4]["absent"]


def test_of_what_should_not_be_there_nothing_is_rendered(call):
    call(state="absent", files=[{"dest": "/a", "template": "missing.j2"}], artifacts=["unknown"])
    assert call.sent[0] == {"name": "x", "absent": True, "defer_restart": True}


def test_a_mapping_is_merged_into_a_file(call):
    call(files=[{"dest": "/a", "template": "config.j2", "merge": {"a": {"two": None, "three": 3}, "list": [2]}}])
    assert content(call.sent[0]["files"][0]) == "a:\n  one: 1\n  three: 3\nlist:\n- 2\nname: master1\n"


def test_arguments_are_merged_and_sorted(call):
    merge = {"verbose": None, "off": False, "gates": {"B": True, "A": False}, "zone": "a b%c$d"}
    call(unit="unit.j2", arguments={"template": "arguments.j2", "merge": merge})
    assert (
        call.sent[0]["unit"].splitlines()[1]
        == 'ExecStart=/bin/x --gates=A=false,B=true --off=false --port=6443 --servers=a,b "--zone=a b%%c$$d"'
    )
    assert call.sent[0]["service"] == "x.service"


def test_pki(call, table):
    table({"/etc/x/pki/ca.pem": "ca.pem", "/etc/x/pki/key.pem": "x-key.pem"})
    call(directories=[{"path": "/var/lib/x"}], pki={"path": "/etc/x/pki", "owner": "etcd"})
    assert call.sent[0]["directories"] == [
        {"path": "/var/lib/x", "mode": "0755", "owner": "root", "group": "root"},
        {"path": "/etc/x/pki", "mode": "0700", "owner": "etcd", "group": "etcd"},
    ]
    assert [(item["path"], item["mode"], item["owner"], content(item)) for item in call.sent[0]["files"]] == [
        ("/etc/x/pki/ca.pem", "0644", "etcd", "the CA\n"),
        ("/etc/x/pki/key.pem", "0600", "etcd", KEY),
    ]


@pytest.mark.parametrize(("effect", "on_change"), [("restart", "restart"), ("reload", "reload"), ("reread", "none")])
def test_what_a_changed_certificate_asks_of_the_process(call, table, effect, on_change):
    table({"/p/ca.pem": "ca.pem"}, effect)
    call(pki={"path": "/p"})
    assert [item["on_change"] for item in call.sent[0]["files"]] == [on_change]


def test_a_declaration_without_certificates(call, table):
    table({"/p/ca.pem": "ca.pem"})
    call(certificates=False)
    assert call.sent[0]["files"] == []


def test_directories_without_pki(call):
    call(directories=[{"path": "/var/lib/x", "mode": "0700"}])
    assert [item["path"] for item in call.sent[0]["directories"]] == ["/var/lib/x"]


def test_in_check_mode_certificates_need_not_be_there(call, role, table):
    planned = {
        "certificates": [
            {"name": "ca", "changed": True, "reason": "expires in 3 days"},
            {"name": "x", "changed": False},
        ]
    }
    table({"/p/ca.pem": "ca.pem", "/p/new.pem": "new.pem"})
    call(check_mode=True, variables={"ca_pki": planned}, pki={"path": "/p"})
    assert [item["pending"] for item in call.sent[0]["files"]] == [
        "would change: expires in 3 days",
        "would be created",
    ]
    with pytest.raises(AnsibleError, match=r"new.pem is not on the controller"):
        call(pki={"path": "/p"})


def test_artifacts_and_images_come_from_the_lock(call):
    images = {"wanted": ["pause"], "list_command": ["l"], "load_command": ["i"]}
    call(artifacts=["etcd"], images=images)
    assert call.sent[0]["artifacts"] == [{"name": "etcd", "version": "3.6.0"}]
    assert call.sent[0]["images"] == {**images, "wanted": [{"ref": "pause:3", "url": "http://x/", "sha256": "ab"}]}
    call(images=images, variables={"cluster_image_source": "registry"})
    assert call.sent[1]["images"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"artifacts": ["no-such"]}, "artifact no-such is not in the lock file"),
        ({"files": [{"dest": "/a"}]}, "/a: has neither template, src nor content"),
        ({"files": [{"dest": "/a", "content": "x", "mode": 0o644}]}, "/a: mode 420 is not four octal digits"),
        ({"directories": [{"path": "/a", "mode": "755"}]}, "/a: mode 755 is not four octal digits"),
        ({"files": [{"dest": "/a", "template": "no-such.j2"}]}, "no-such.j2"),
        (
            {"files": [{"dest": "/a", "template": "broken.j2", "merge": {"a": 1}}]},
            "template broken.j2 is not YAML once rendered",
        ),
        (
            {"files": [{"dest": "/a", "template": "native.j2"}]},
            "template native.j2 renders to a value that is not text",
        ),
        ({"files": [{"dest": "/a", "content": "x", "on_change": "reboot"}]}, "reboot"),
        ({"health": {"no_such_word": 1}}, "no_such_word"),
    ],
)
def test_a_mistake_ends_before_any_host_is_asked(call, role, arguments, message):
    (role / "templates/broken.j2").write_text("a: [\n")
    (role / "templates/native.j2").write_text("{{ {'a': 1} }}")
    with pytest.raises(AnsibleError, match=message):
        call(**arguments)
    assert call.sent == []


def test_a_role_that_does_not_depend_on_cluster(call):
    with pytest.raises(AnsibleError, match="cluster_bin_dir is not set"):
        call(variables={"cluster_bin_dir": None})


# --- declarations


def test_a_host_without_the_component_is_not_asked(call):
    assert call(groups=["others"])["skipped"]
    assert call(when=["port == 6444"])["skipped"]
    assert call.sent == []
    assert not call(when=["port == 6443"]).get("skipped")


def test_a_component_that_nobody_declared(call, role):
    call()
    (role / "components/x.yml").unlink()
    with pytest.raises(AnsibleActionFail, match=r"components/x.yml is not there. Fix: declare the component x"):
        call(declare=False)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"phase": ""}, "does not say phase. Fix: add it"),
        ({"groups": "etcd"}, "groups is not a list"),
        ({"footprint": []}, "footprint is not a dict"),
    ],
)
def test_a_declaration_that_is_none_is_named(call, declared, message):
    with pytest.raises(AnsibleActionFail, match=f"components/x.yml.*{message}"):
        call(**declared)


def test_of_what_a_host_returns_only_what_is_known_is_kept(call):
    call.answers = [{**CHANGED, "ansible_facts": {"cluster_dir": "/evil"}, "add_host": {"host_name": "evil"}}]
    assert not {"ansible_facts", "add_host"} & set(call())


# --- rollouts


def test_what_interrupts_nothing_takes_no_lock(call, role):
    assert call()["changed"]
    assert [item["defer_restart"] for item in call.sent] == [True]
    assert not (role / "cluster/locks").exists()


def test_a_restart_is_rolled_out(call):
    call.answers = [DEFERRED, CHANGED]
    result = call()
    assert [item["defer_restart"] for item in call.sent] == [True, False]
    assert result["restart"] == "x changed"
    assert not result["deferred"]


def test_in_check_mode_nobody_waits(call, role):
    result = call(check_mode=True)
    assert result["restart"] == "x changed"
    assert not (role / "cluster/locks").exists()


@pytest.mark.parametrize("failure", [{"failed": True, "msg": "not healthy"}, {"unreachable": True, "msg": "gone"}])
def test_when_one_fails_those_behind_are_left_as_they_are(call, monkeypatch, failure):
    call.answers = [DEFERRED, failure]
    call()
    call.answers = [DEFERRED]
    result = call(host="master2")
    assert result["failed"]
    assert result["msg"].startswith("x on master2: not restarted: x did not get healthy on master1")
    assert [item["defer_restart"] for item in call.sent] == [True, False, True]
    monkeypatch.setattr(subject.C, "DEFAULT_LOCAL_TMP", "another run")
    call.answers = [DEFERRED, CHANGED]
    assert not call(host="master2").get("failed")


def test_a_lost_connection_refuses_those_behind_too(call, monkeypatch):
    call.answers = [DEFERRED]

    def lose(self, payload, further):
        if further["defer_restart"]:
            return DEFERRED
        raise AnsibleError("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(subject.ActionModule, "_call", lose)
        with pytest.raises(AnsibleError):
            call()
    call.answers = [DEFERRED]
    assert call(host="master2")["failed"]


def test_a_failure_names_component_and_host(call):
    call.answers = [{"failed": True, "msg": "no space"}]
    assert call()["msg"] == "x on master1: no space"


@pytest.mark.parametrize("failure", [{"failed": True, "msg": "not healthy"}, {"unreachable": True, "msg": "gone"}])
def test_what_fails_without_a_turn_refuses_the_others_too(call, failure):
    """A host with nothing to change that is ill, and one that does not start."""
    call.answers = [failure]
    assert "not restarted" not in call()["msg"]
    call.answers = [DEFERRED]
    result = call(host="master2")
    assert result["msg"].startswith("x on master2: not restarted: x did not get healthy on master1")
    assert [item["defer_restart"] for item in call.sent] == [True, True]


def test_a_failure_in_check_mode_refuses_nobody(call, role):
    call.answers = [{"failed": True, "msg": "no space"}]
    assert call(check_mode=True)["failed"]
    assert not (role / "cluster/locks").exists()


# --- peers

MEMBERS = [{"name": f"master{number}", "address": f"192.0.2.{number}"} for number in (1, 2, 3)]
PEERS = {"members": MEMBERS, "port": "{{ port }}", "path": "/health", "ca": "/etc/x/ca.pem"}
ILL = {"changed": True, "deferred": True, "ill": {"master3": "connection refused"}}


@pytest.fixture(name="quick")
def _quick(monkeypatch):
    monkeypatch.setattr(lock, "PAUSE", 0)
    monkeypatch.setattr(subject, "PATIENCE", 0)


class Hostvars(dict):
    def raw_get(self, host):
        return self[host]


def hostvars(**records):
    found = {member["name"]: {} for member in MEMBERS}
    for host, components in records.items():
        found[host] = {"hardway_host": {"facts": {"components": {"records": {name: {} for name in components}}}}}
    return Hostvars(found)


def test_who_is_asked_goes_with_the_turn_alone(call):
    call.answers = [DEFERRED, CHANGED]
    call(peers=PEERS)
    assert "peers" not in call.sent[0]
    url = {"ca": "/etc/x/ca.pem"}
    members = {f"master{number}": {**url, "url": f"https://192.0.2.{number}:6443/health"} for number in (1, 2, 3)}
    assert call.sent[1]["peers"] == {"own": "master1", "members": members, "enough": None, "failed": []}


def test_without_a_restart_peers_are_not_even_rendered(call):
    broken = {"members": "{{ no_such_setting }}", "port": 1}
    assert call(peers=broken)["changed"]
    call.answers = [DEFERRED]
    with pytest.raises(AnsibleError, match="no_such_setting"):
        call(peers=broken)


def test_a_connection_is_asked_for_where_there_is_no_path(call):
    call.answers = [DEFERRED, CHANGED]
    members = [{"name": "lb1", "address": "2001:db8::1"}, {"name": "lb2", "address": "192.0.2.2"}]
    call(peers={"members": members, "port": 443, "enough": 1}, host="lb1")
    assert call.sent[1]["peers"] == {
        "own": "lb1",
        "members": {"lb1": {"tcp": "[2001:db8::1]:443"}, "lb2": {"tcp": "192.0.2.2:443"}},
        "enough": 1,
        "failed": [],
    }


@pytest.mark.parametrize(
    ("records", "asked"),
    [
        ({}, ["master1", "master2", "master3"]),
        # Seen by this run, and without the component: it joins, or is installed for the first time.
        ({"master1": ["x"], "master2": [], "master3": ["y"]}, ["master1"]),
        ({"master2": ["old"]}, ["master1", "master2", "master3"]),
        # Of itself it asks whatever it is told.
        ({"master1": []}, ["master1", "master2", "master3"]),
    ],
)
def test_a_host_that_does_not_have_the_component_yet_is_not_asked(call, records, asked):
    call.answers = [DEFERRED, CHANGED]
    call(peers=PEERS, variables={"hostvars": hostvars(**records)}, replaces="old")
    assert sorted(call.sent[1]["peers"]["members"]) == asked


def test_a_host_that_is_ill_refuses_the_others_by_its_name(call, role):
    call.answers = [DEFERRED, ILL]
    result = call(peers=PEERS)
    assert result["failed"] and not result.get("changed")
    assert result["msg"].startswith(
        "x on master1: not restarted, for x is not healthy on master3 (master3: connection refused). Fix: correct it there"
    )
    # It did nothing: this is no failure that would refuse others, who look for themselves.
    call.answers = [DEFERRED, CHANGED]
    assert not call(peers=PEERS, host="master3").get("failed")


def test_of_an_answer_only_hosts_that_were_asked_about_are_believed(call, quick):
    evil = {"master3": "no\n\x1b[31m leader", "master9": "x", "cluster_dir": "/evil"}
    call.answers = [DEFERRED, {**ILL, "ill": evil}]
    message = call(peers=PEERS)["msg"]
    assert "(master3: no ?[31m leader)" in message
    assert "master9" not in message and "evil" not in message
    for answer in ("master3", ["master3"], {"master9": "x"}, None):
        call.answers = [DEFERRED, {**ILL, "ill": answer}]
        assert "ill" not in call(peers=PEERS)


def test_one_that_is_in_the_same_task_is_waited_for(call, quick):
    """It may be what this very task makes healthy."""
    playing = {"ansible_play_batch": ["master1", "master3"]}
    call.answers = [DEFERRED, ILL, ILL, CHANGED]
    assert not call(peers=PEERS, variables=playing).get("failed")
    assert [item["defer_restart"] for item in call.sent] == [True, False, False, False]
    # But not for ever, and not where another is ill that is not in it.
    call.answers = [DEFERRED, ILL]
    assert call(peers=PEERS, variables=playing, health={"tcp": "a:1", "timeout": -1})["failed"]
    call.answers = [DEFERRED, {**ILL, "ill": {"master2": "x", "master3": "y"}}]
    assert call(peers=PEERS, variables=playing)["failed"]


def test_one_that_failed_before_its_turn_is_told_to_the_host(call):
    """Which goes on only where it is not healthy itself: several that are ill can be repaired by one run."""
    playing = {"ansible_play_batch": ["master1", "master2", "master3"]}
    call.answers = [{"failed": True, "msg": "not healthy"}]
    call(peers=PEERS, variables=playing, host="master3")
    call.answers = [DEFERRED, ILL]
    assert "not healthy on master3" in call(peers=PEERS, variables=playing)["msg"]
    assert call.sent[-1]["peers"]["failed"] == ["master3"]
    # A repair that fails says nothing against another repair; a restart that fails does.
    call.answers = [DEFERRED, {"failed": True, "msg": "no quorum", "was_ill": True}]
    call(peers=PEERS, variables=playing)
    call.answers = [DEFERRED, {"failed": True, "msg": "broken"}]
    call(peers=PEERS, variables=playing, host="master2")
    assert call.sent[-1]["peers"]["failed"] == ["master1", "master3"]
    sent = len(call.sent)
    call.answers = [DEFERRED]
    assert "did not get healthy on master2" in call(peers=PEERS, variables=playing, host="master4")["msg"]
    assert len(call.sent) == sent + 1


def test_peers_that_are_none_are_named(call):
    call.answers = [DEFERRED]
    with pytest.raises(AnsibleError, match=r"components/x\.yml: missing required arguments: port"):
        call(peers={"members": []})


def test_keys_are_not_in_a_result(call, table):
    table({"/p/key.pem": "x-key.pem"})
    result = call(pki={"path": "/p"}, files=[{"dest": "/s", "content": KEY, "mode": "0600"}])
    text = json.dumps(result, default=str)
    assert "PRIVATE KEY" not in text
    assert base64.b64encode(KEY.encode()).decode() not in text
