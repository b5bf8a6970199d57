# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook refuses an archive that others could read before it connects to any host."""

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
    cluster_dir: "{{ inventory_dir | dirname }}/state"
  hosts: {m1: , m2: }
  children:
    etcd: {hosts: {m1: , m2: }}
    kube_master: {hosts: {m1: , m2: }}
"""


@pytest.fixture(name="play")
def make_play(tmp_path):
    """A function from extra variables to the playbook's exit code and output."""
    (tmp_path / "hosts.yml").write_text(HOSTS)

    def play(*arguments: str) -> tuple[int, str]:
        playbook = ansible_command.PLAYBOOKS / "backup.yml"
        given = ("-i", tmp_path / "hosts.yml", playbook, "-e", "backup_s3_bucket=b", *arguments)
        code, text = ansible_command.run(tmp_path, *given)
        return code, re.sub(r"\s+", " ", text)

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
