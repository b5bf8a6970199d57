# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook itself, on a cluster of which nothing answers: a page all the same, and nothing changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.action import status

# the collection below its ansible_collections, not the checkout that it may be a link to
COLLECTION = Path(os.path.abspath(status.__file__)).parents[2]

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
    (tmp_path / "ansible.cfg").touch()  # the checkout's own would bring its callbacks
    (tmp_path / "state").mkdir()
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "hosts.yml").write_text(HOSTS)
    return directory


def play(inventory, *arguments) -> tuple[int, str]:
    environment = dict(
        {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},  # ansible-test sets a lot
        ANSIBLE_COLLECTIONS_PATH=str(COLLECTION.parents[2]),
        ANSIBLE_CONFIG=str(inventory.parent / "ansible.cfg"),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_HOST_KEY_CHECKING="false",
        ANSIBLE_LOCAL_TEMP=str(inventory.parent / "tmp"),
        ANSIBLE_REMOTE_TEMP=str(inventory.parent / "remote"),
        ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
    )
    code = "import sys; from ansible.cli.playbook import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        code,
        "-i",
        str(inventory),
        str(COLLECTION / "playbooks" / "status.yml"),
        *arguments,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, re.sub(r"\s+", " ", (done.stdout + done.stderr).replace("\u00a0", " "))


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
