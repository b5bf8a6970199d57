"""The machines over ssh, as testinfra's hosts."""

from __future__ import annotations

import pathlib
import sys

import pytest
import testinfra

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from processes import sandbox

SSH_OPTIONS = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


@pytest.fixture(name="machine", scope="session")
def fixture_machine():
    """A function from a machine's name to its testinfra host."""
    hosts = {}

    def by_name(name):
        if name not in hosts:
            hosts[name] = testinfra.get_host(
                f"ssh://root@{sandbox.ADDRESSES[name]}", ssh_identity_file=sandbox.SSH_KEY, ssh_extra_args=SSH_OPTIONS
            )
        return hosts[name]

    return by_name
