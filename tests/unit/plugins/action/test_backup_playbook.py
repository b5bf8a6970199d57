# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook refuses an archive that others could read before it connects to any host."""

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
    cluster_dir: "{{ inventory_dir | dirname }}/state"
  hosts: {m1: , m2: }
  children:
    etcd: {hosts: {m1: , m2: }}
    kube_master: {hosts: {m1: , m2: }}
"""


@pytest.fixture(name="play")
def make_play(tmp_path):
    """A function from extra variables to the playbook's exit code and output."""
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "hosts.yml").write_text(HOSTS)

    def play(*arguments: str) -> tuple[int, str]:
        environment = dict(
            {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            ANSIBLE_COLLECTIONS_PATH=str(COLLECTION.parents[2]),
            ANSIBLE_CONFIG=str(tmp_path / "ansible.cfg"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_LOCAL_TEMP=str(tmp_path / "tmp"),
        )
        code = "import sys; from ansible.cli.playbook import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "-i", str(tmp_path / "hosts.yml")]
        command += [str(COLLECTION / "playbooks" / "backup.yml"), "-e", "backup_s3_bucket=b", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)

    return play


@pytest.mark.parametrize("arguments", [(), ("--check",)], ids=["run", "check"])
def test_an_archive_that_is_not_encrypted_is_refused_before_anything_is_done(play, arguments):
    code, text = play("-e", "backup_target=s3", *arguments)
    assert code == 2 and "Nothing was changed." in text and "[unencrypted-archive]" in text and "Fix:" in text, text
    assert "UNREACHABLE" not in text and "Find the timer" not in text


def test_with_a_recipient_or_accepted_by_name_it_goes_on(play):
    for given in ('{"backup_recipients": ["age1x"]}', '{"backup_accept": ["unencrypted-archive"]}'):
        _code, text = play("-e", "backup_target=s3", "-e", given)
        assert "Nothing was changed." not in text and "Find the timer" in text and "No backup was made" in text, text
