# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of ansible-playbook on one cluster's directory: the second is refused by name, and nothing is left of one that was killed.

Their hosts are nowhere: a run that is not refused reaches none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command

INVENTORY = """\
all:
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 9
    cluster_dir: "{{ inventory_dir }}/clusters/scratch"
  children:
    etcd: {hosts: {m1: }}
    kube_master: {hosts: {m1: }}
    kube_node: {hosts: {n1: }}
    lb: {hosts: {m1: }}
"""
#: Takes the lock as every playbook does, and then is at work until the file is there.
WORK = f"""\
- name: Alone
  ansible.builtin.import_playbook: {ansible_command.PLAYBOOKS}/phases/alone.yml
- name: Work
  hosts: etcd
  gather_facts: false
  tasks:
    - name: Work
      ansible.builtin.shell: touch begun; until [ -e end ]; do sleep 0.1; done
      args: {{chdir: "{{{{ inventory_dir }}}}"}}
      delegate_to: localhost
"""
#: As the phase of the certificates ends.
RECORD = """\
- name: Record
  hosts: etcd
  gather_facts: false
  tasks:
    - name: Record
      ansible.builtin.import_role: {name: hardway.kubernetes.cluster, tasks_from: record, rolespec_validate: false}
      vars:
        cluster_api_built: "{{ built | default(false) | bool }}"
"""
REFUSED = "another run is at work on this cluster"
#: One of each way; tests/unit/test_playbooks.py knows of all of them.
CHANGING = ["kubeadm", "remove_node", "rotate_ca"]


class Controller:
    """A directory with an inventory, and the runs on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[subprocess.Popen[str]] = []
        (directory / "hosts.yml").write_text(INVENTORY)
        (directory / "work.yml").write_text(WORK)

    def start(self, playbook: Path, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ansible_command.words("-i", self.directory / "hosts.yml", playbook, *arguments),
            env=ansible_command.environment(self.directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, name: str, *arguments: str) -> tuple[int, str]:
        process = self.start(ansible_command.PLAYBOOKS / f"{name}.yml", *arguments)
        return _ended(process)

    def work(self) -> subprocess.Popen[str]:
        """A run that has the lock, and is at work."""
        process = self.start(self.directory / "work.yml")
        end = time.monotonic() + 60
        while not (self.directory / "begun").exists():
            assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
            time.sleep(0.05)
        return process

    def let_end(self) -> None:
        (self.directory / "end").touch()

    def end(self) -> None:
        self.let_end()
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=60)


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _nothing = process.communicate(timeout=120)
    return process.returncode, text


@pytest.fixture(name="controller")
def controller_fixture(tmp_path: Path) -> Iterator[Controller]:
    controller = Controller(tmp_path)
    yield controller
    controller.end()


def test_what_changes_something_is_refused_beside_another_run_and_what_reads_is_not(controller):
    first = controller.work()
    for name in CHANGING:
        status, text = controller.run(name, "-e", "cluster_installer=kubeadm")
        assert status != 0 and REFUSED in text, f"{name}:\n{text}"
        assert re.search(rf"process {first.pid} on \S+ \(ansible-playbook work.yml\), since 20\d\d-", text), text
        assert not (controller.directory / "clusters" / "scratch").exists(), name
    for name, *arguments in (["preflight"], ["site", "--check"]):
        assert REFUSED not in controller.run(name, *arguments)[1], name
    assert first.poll() is None
    controller.let_end()
    status, text = _ended(first)
    assert status == 0, text
    assert REFUSED not in controller.run("site")[1]


def test_a_killed_run_leaves_no_lock_behind_though_its_worker_lives_on(controller):
    first = controller.work()
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    first.send_signal(signal.SIGKILL)
    first.wait()
    # Nobody takes its result: it may stay for ever.
    assert any(b"work.yml" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    assert REFUSED not in controller.run("site")[1]
    assert any(b"work.yml" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
    controller.let_end()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def test_a_changed_directory_is_recorded_once_and_an_api_that_does_not_answer_is_only_told(controller):
    state = controller.directory / "clusters" / "scratch"
    (state / "pki").mkdir(parents=True)
    (state / "pki" / "ca.pem").touch()
    playbook = controller.directory / "record.yml"
    playbook.write_text(RECORD)
    assert _ended(controller.start(controller.directory / "work.yml", "--check"))[0] == 0
    assert os.listdir(state.parent) == [state.name], "check mode has made a lock"
    assert "changed=0" in _ended(controller.start(playbook, "--check"))[1]
    assert not (state / "serial.json").exists()
    for count in (1, 0):
        status, text = _ended(controller.start(playbook))
        assert status == 0 and f"changed={count}" in text, text
    (state / "admin.kubeconfig").write_text("damaged")
    (state / "pki" / "ca.pem").write_text("changed")
    status, text = _ended(controller.start(playbook, "-e", "built=true"))
    assert status == 0 and "changed=1" in text and "not told to the cluster" in text, text
    assert json.loads((state / "serial.json").read_text())["serial"] == 2
