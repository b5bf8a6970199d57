"""The machines, as the tests of the scenario default have them."""

from __future__ import annotations

import pathlib
import sys

import pytest
import testinfra

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'default' / 'tests'))

from processes import lab  # noqa: E402

SSH_OPTIONS = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'


@pytest.fixture(scope='session')
def machine():
    """A function from a machine's name to its testinfra host."""
    return lambda name: testinfra.get_host(f'ssh://root@{lab.ADDRESSES[name]}', ssh_identity_file=lab.SSH[2], ssh_extra_args=SSH_OPTIONS)
