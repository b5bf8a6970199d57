# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role ca with a passphrase: given to keys that are there, changed and taken away, with the same keys, and in no output."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("netaddr")

from cryptography.hazmat.primitives import serialization

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command, rendered

HOSTS = """\
all:
  vars:
    ansible_host: 127.0.0.1
    cluster_endpoint_address: 192.0.2.100
    cluster_dir: {directory}/cluster
  hosts: {{m1: , n1: , l1: }}
  children:
    etcd: {{hosts: {{m1: }}}}
    kube_master: {{hosts: {{m1: }}}}
    kube_node: {{hosts: {{n1: }}}}
    lb: {{hosts: {{l1: }}}}
"""
PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: hardway.kubernetes.ca}
"""
ENCRYPTED = ("ca", "etcd-ca", "front-proxy-ca")
FIRST, SECOND = "correct horse battery", "staple {{ 7 }} 'x'"


@pytest.fixture(name="run")
def make_run(tmp_path):
    """A function from passphrases to exit code and output of the role, as -vvv --diff shows it."""
    (tmp_path / "hosts.yml").write_text(HOSTS.format(directory=tmp_path))
    (tmp_path / "play.yml").write_text(PLAY)

    def run(new: str = "", old: str = "") -> tuple[int, str]:
        given = tmp_path / "given.yml"
        given.write_text(f'cluster_ca_passphrase: !unsafe "{new}"\ncluster_ca_old_passphrase: !unsafe "{old}"\n')
        given_words = ("-i", tmp_path / "hosts.yml", tmp_path / "play.yml", "-e", f"@{given}", "-vvv", "--diff")
        code, text = ansible_command.run(tmp_path, *given_words, timeout=240)
        assert not [word for word in (FIRST, SECOND) if word in text], "a passphrase in the output"
        return code, text

    return run


def numbers(directory: Path, passphrase: str) -> dict[str, int]:
    """What each authority's key is, opened with the passphrase."""
    found = {}
    for name in (*ENCRYPTED, "kubelet-ca"):
        data = (directory / "cluster" / "pki" / f"{name}-key.pem").read_bytes()
        secret = passphrase.encode() if passphrase and name in ENCRYPTED else None
        found[name] = serialization.load_pem_private_key(data, secret).private_numbers().private_value
    return found


def test_keys_get_a_passphrase_another_one_and_none(run, tmp_path):
    code, text = run()
    assert code == 0, text
    keys = numbers(tmp_path, "")
    certificate = (tmp_path / "cluster" / "pki" / "admin.pem").read_bytes()
    for new, old in ((FIRST, ""), (SECOND, FIRST), ("", SECOND)):
        code, text = run(new, old)
        assert code == 0 and "changed=1" in text, text
        assert numbers(tmp_path, new) == keys, "the same keys"
        if new:
            code, text = run(new, old)
            assert code == 0 and "changed=0" in text and "changed=1" not in text, text
            code, text = run("something else")
            assert code == 2 and "old_passphrase" in text, text
            assert numbers(tmp_path, new) == keys
    assert (tmp_path / "cluster" / "pki" / "admin.pem").read_bytes() == certificate


def test_a_users_certificate_is_signed_with_it(tmp_path):
    given = {"cluster_ca_passphrase": FIRST, "cluster_ca_old_passphrase": SECOND}
    (authority,) = rendered.value("master1", "user", "user_cas", tmp_path, **given)
    assert (authority["passphrase"], authority["old_passphrase"]) == (FIRST, SECOND)
    (authority,) = rendered.value("master1", "user", "user_cas", tmp_path)
    assert authority["passphrase"] is None and authority["old_passphrase"] is None, "an empty one is refused"
