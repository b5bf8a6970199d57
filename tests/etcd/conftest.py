# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import importlib
import json

import lab_etcd
import pytest
from ansible.module_utils.testing import patch_module_args


@pytest.fixture(scope="session")
def binaries(tmp_path_factory):
    release = lab_etcd.archive()
    if release is None:
        # Not skipped: these tests say nothing without it, and whoever runs them wants them to say something.
        pytest.fail(f"no release of etcd for this machine in {lab_etcd.RELEASES}; make artifacts puts one there")
    return lab_etcd.unpack(release, tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return lab_etcd.make_pki(tmp_path_factory.mktemp("lab") / "pki")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, binaries, certificates):
    started = lab_etcd.Lab(tmp_path_factory.mktemp("etcd"), binaries, certificates)
    yield started
    started.close()


@pytest.fixture
def call(capsys):
    """A module called as Ansible does, with its result."""

    def run(module: str, check_mode: bool = False, **arguments) -> dict:
        arguments.update(_ansible_check_mode=check_mode, _ansible_diff=True)
        with patch_module_args(arguments), pytest.raises(SystemExit):
            importlib.import_module(f"ansible_collections.hardway.kubernetes.plugins.modules.{module}").main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def succeed(call):
    def run(module: str, **arguments) -> dict:
        result = call(module, **arguments)
        assert not result.get("failed"), result["msg"]
        return result

    return run
