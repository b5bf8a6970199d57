# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hardway.kubernetes.tests.api.cluster import Cluster


def run_module(module: t.Any, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
    """The result of a module, run as Ansible runs it but in this process."""
    out = io.StringIO()
    with (
        patch_module_args({**arguments, "_ansible_check_mode": check, "_ansible_diff": True}),
        contextlib.redirect_stdout(out),
        pytest.raises(SystemExit),
    ):
        module.main()
    return json.loads(out.getvalue())


@pytest.fixture(name="call", scope="session")
def call_fixture() -> t.Callable[..., dict[str, t.Any]]:
    return run_module


@pytest.fixture(name="cluster", scope="module")
def cluster_fixture() -> t.Iterator[Cluster]:
    """Of each file its own: what one leaves is not in another's way."""
    directory = Path(tempfile.mkdtemp(prefix=f"hardway-api-{os.getpid()}-"))
    cluster = Cluster(directory, run_module)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(name="second", scope="module")
def second_fixture(cluster: Cluster) -> str:
    """The kubeconfig of another API server, which encrypts with the second key, as after the stage that makes it the first."""
    identity = {"client_certificate": f"{cluster.pki}/admin.pem", "client_key": f"{cluster.pki}/admin-key.pem"}
    path = cluster.make_kubeconfig("second", cluster.start_apiserver("second", ["key2", "key1"]), **identity)
    cluster.wait_for_api("second", path)
    return path
