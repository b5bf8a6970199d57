# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Modules of the controller: in Ansible's process they answer what they answer in one of their own."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.action import certificates
from ansible_collections.hardway.kubernetes.plugins.plugin_utils import in_process
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command

SECRET = "0123456789abcdef0123456789abcdef"
OF_PATH = ("uid", "gid", "owner", "group", "mode", "size", "state")
NOWHERE = "/nonexistent/kubeconfig"

AUTHORITY = {"name": "ca", "subject": {"CN": "kubernetes"}}
ADMIN = {"name": "admin", "ca": "ca", "profile": "client", "subject": {"CN": "admin"}}
TOKEN = {"user": "kubelet-bootstrap", "uid": "10001", "token": SECRET}
CASES: dict[str, tuple[str, dict[str, t.Any]]] = {
    "certificates": ("certificates", {"path": "{{ here }}/pki", "cas": [AUTHORITY], "certificates": [ADMIN]}),
    "certificates refused": ("certificates", {"path": "{{ here }}/pki", "cas": [{**AUTHORITY, "validity": "-1h"}]}),
    "static_token": ("static_token", {"path": "{{ here }}/token.csv", "tokens": [TOKEN], "purge": "yes"}),
    "static_token refused": ("static_token", {"path": "{{ here }}/token.csv", "tokens": [{**TOKEN, "user": ""}]}),
    "kubeconfig": (
        "kubeconfig",
        {
            "path": "{{ here }}/config",
            "cluster": "c",
            "user": "u",
            "server": "https://192.0.2.1:6443",
            "token": SECRET,
        },
    ),
    "kubeconfig without server": ("kubeconfig", {"path": "{{ here }}/config", "cluster": "c", "user": "u"}),
    "artifacts": (
        "artifacts",
        {
            "lock": "{{ here }}/lock",
            "artifacts": {"a": {"url": "http://127.0.0.1:9/a", "version": "1", "checksum": "sha256:" + "0" * 64}},
        },
    ),
    "artifacts refused": ("artifacts", {"lock": "{{ here }}/lock", "artifacts": {"a": {}}}),
    "join_tokens": ("join_tokens", {"kubeconfig": NOWHERE, "nodes": ["n1"]}),
    "csr_approval": ("csr_approval", {"kubeconfig": NOWHERE, "nodes": [{"name": "n1"}]}),
    "verify": ("verify", {"kubeconfig": NOWHERE, "nodes": [{"name": "n1"}], "level": "light"}),
    "unknown option": ("verify", {"kubeconfig": NOWHERE, "nodes": [], "image": "i", "colour": "red"}),
}


WRITING = ("certificates", "static_token", "kubeconfig")
STEPS = [f"{case} {when}" for case in CASES for when in (("check", "run") if case in WRITING else ("run",))]


def tasks(own_process: bool) -> t.Iterator[dict[str, t.Any]]:
    for number, step in enumerate(STEPS):
        case, _space, when = step.rpartition(" ")
        module, options = CASES[case]
        yield {
            f"hardway.kubernetes.{module}": options,
            "register": f"answer_{number}",
            "ignore_errors": True,
            "check_mode": when == "check",
            "diff": True,
            # That is what a process of its own is for.
            "environment": {"ANY": "thing"} if own_process else {},
        }


def modules_run(shown: str) -> list[str]:
    """Those that got a process of their own."""
    return re.findall(r"Using module file .*/hardway/kubernetes/plugins/modules/(\w+)\.py", shown)


def answers(directory: Path, own_process: bool) -> tuple[dict[str, dict[str, t.Any]], str]:
    """What each case returns, in check mode and after it, and all that the run showed."""
    directory.mkdir()
    names = [task["register"] for task in tasks(own_process)]
    written = "{{ {" + ", ".join(f"'{name}': {name}" for name in names) + "} | to_json }}"
    copy = {"ansible.builtin.copy": {"content": written, "dest": "{{ here }}/answers", "mode": "0600"}, "diff": False}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"here": str(directory)},
        "tasks": [*tasks(own_process), copy],
    }
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    code, shown = ansible_command.run(directory, "-vvv", directory / "play.yml", timeout=240)
    assert code == 0, shown
    return json.loads((directory / "answers").read_text()), shown


def comparable(answer: dict[str, t.Any], directory: Path) -> t.Any:
    """Without what no two runs have in common, and what AnsibleModule adds to every answer that has a path."""
    kept = {key: value for key, value in answer.items() if key not in ("seconds", "exception", *OF_PATH)}
    for serial in ("certificates", "cas", "keys", "bundles", "diff"):
        if isinstance(kept.get(serial), list):
            kept[serial] = [sorted(entry) for entry in kept[serial]]
    return json.loads(json.dumps(kept).replace(str(directory), "HERE"))


def test_both_ways_answer_the_same(tmp_path):
    here, shown = answers(tmp_path / "in-process", own_process=False)
    own, shown_by_own = answers(tmp_path / "own", own_process=True)
    for step, one, other in zip(STEPS, here.values(), own.values(), strict=True):
        assert comparable(one, tmp_path / "in-process") == comparable(other, tmp_path / "own"), step
    # Options that are not valid are the module's to refuse.
    assert modules_run(shown) == ["kubeconfig", "verify"]
    assert len(modules_run(shown_by_own)) == len(STEPS)
    results = dict(zip(STEPS, here.values(), strict=True))
    for case in WRITING:
        for when in ("check", "run"):
            assert results[f"{case} {when}"]["changed"] and results[f"{case} {when}"]["diff"], case
    for case in ("certificates refused", "static_token refused", "artifacts refused", "csr_approval", "verify"):
        assert results[f"{case} run"]["failed"] and results[f"{case} run"]["msg"], case
    assert NOWHERE in results["verify run"]["msg"]
    assert SECRET not in shown + shown_by_own + json.dumps(here)


class Parts:
    """A task and a connection, as far as the choice between both ways looks at them."""

    def __init__(self, **changed: t.Any) -> None:
        values = {"transport": "local", "become": None, "environment": [], "async_val": 0, "args": {}, **changed}
        vars(self).update(values)


def action(**changed: t.Any) -> certificates.ActionModule:
    made = object.__new__(certificates.ActionModule)
    made._task = made._connection = Parts(**changed)
    return made


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"environment": [{}]}, True),
        ({"transport": "ssh"}, False),
        ({"become": "sudo"}, False),
        ({"environment": [{"HTTPS_PROXY": "http://192.0.2.1"}]}, False),
        ({"async_val": 10}, False),
    ],
)
def test_what_a_process_of_its_own_is_needed_for(changed, expected):
    assert action(**changed)._is_here() is expected


def test_options_that_are_no_json_are_left_to_the_module():
    assert action(args={"path": "/x", "cas": [object()]})._options() is None
    options = action(args={"path": "/x"})._options()
    assert options is not None and options.validated_parameters["renew_before"] == "720h"


def test_secrets_of_options_never_come_back(monkeypatch):
    made = action(args={"path": "/x", "cas": [{"name": "ca", "passphrase": SECRET}]}, check_mode=False, diff=False)
    monkeypatch.setattr(in_process.ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(made, "work", lambda task: {"seen": f"it is {task.params['cas'][0]['passphrase']}"}, False)
    assert made.run() == {"seen": "it is ********"}
