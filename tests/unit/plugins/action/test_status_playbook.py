# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook itself, on a cluster of which nothing answers: a page all the same, and nothing changed."""

from __future__ import annotations

import re

import pytest

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command

HOSTS = """\
all:
  vars:
    ansible_host: 127.0.0.1
    ansible_port: 9
    cluster_endpoint_address: 127.0.0.1
    cluster_endpoint_port: 9
    cluster_apiserver_port: 9
    cluster_mirror: http://127.0.0.1:9
    cluster_dir: "{{ inventory_dir | dirname }}/state"
  hosts: {m1: , l1: , n1: }
  children:
    etcd: {hosts: {m1: }}
    lb: {hosts: {l1: }}
    kube_master: {hosts: {m1: }}
    kube_node: {hosts: {n1: }}
"""


@pytest.fixture(name="inventory")
def make_inventory(tmp_path):
    (tmp_path / "state").mkdir()
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "hosts.yml").write_text(HOSTS)
    return directory


def play(inventory, *arguments) -> tuple[int, str]:
    playbook = ansible_command.PLAYBOOKS / "status.yml"
    given = ("-i", inventory, playbook, *arguments)
    code, text = ansible_command.run(inventory.parent, *given, ANSIBLE_CALLBACK_RESULT_FORMAT="yaml")
    return code, re.sub(r"\s+", " ", text.replace("\u00a0", " "))


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["run", "check"])
def test_a_cluster_of_which_nothing_answers(inventory, arguments):
    code, text = play(inventory, *arguments, "-e", "status_drift=false")
    assert code == 2, text
    assert "critical: m1, l1, n1: was not reached:" in text
    assert "critical: etcd: no member answers: none of their hosts could be read" in text
    assert "critical: API: no good answer at https://127.0.0.1:9:" in text
    assert "unreachable=0" in text and not re.search(r"changed=[1-9]", text), text
    written = [path.name for path in (inventory.parent / "state").iterdir()]
    assert written == ([] if arguments else ["status.html"])


def test_with_limit_and_nothing_to_compare_with(inventory):
    code, text = play(inventory, "--limit", "n1", "-e", "status_path=/nowhere/status.html")
    assert code == 2, text
    assert "Not in this run (--limit): l1, m1" in text
    assert "warning: controller: artifacts could not be compared with its settings:" in text
    assert "warning: controller: certificates differs from the settings: ca:" in text
    assert "warning: /nowhere/status.html: the page cannot be written" in text
    assert not list((inventory.parent / "state").iterdir()), (
        "the plan of what lies on the controller made nothing there"
    )
