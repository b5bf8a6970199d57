# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""etcd goes back to a snapshot below a real API server: who watched before it is told to begin anew, and not left waiting."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.modules import etcd_restore, etcd_snapshot
from ansible_collections.hardway.kubernetes.tests.api.cluster import SETTINGS, Cluster, mirrored

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(name="own")
def own_cluster(call):
    """A cluster of this test's own, for it goes back in time."""
    directory = Path(tempfile.mkdtemp(prefix=f"hardway-restore-{os.getpid()}-"))
    cluster = Cluster(directory, call)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def unpack_commands(directory: Path) -> None:
    name = f"etcd-v{SETTINGS['cluster_etcd_version']}-linux-amd64"
    with tarfile.open(
        mirrored(f"github.com/etcd-io/etcd/releases/download/v{SETTINGS['cluster_etcd_version']}/{name}.tar.gz")
    ) as tar:
        for command in ("etcdctl", "etcdutl"):
            member = tar.getmember(f"{name}/{command}")
            member.name = command
            tar.extract(member, directory, filter="data")


def make(api: Api, name: str) -> str:
    """Make a ConfigMap, and tell its resourceVersion."""
    made = api.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"word": name}}
    )
    return made["metadata"]["resourceVersion"]


def test_who_watched_before_begins_anew(own, call):
    unpack_commands(own.directory)
    make(own.api, "kept")
    arguments = own._etcd_arguments()
    tls = {
        "ca": f"{own.pki}/etcd-ca.pem",
        "certificate": f"{own.pki}/kube-apiserver-etcd-client.pem",
        "key": f"{own.pki}/kube-apiserver-etcd-client-key.pem",
    }
    snapshot = call(
        etcd_snapshot,
        path=str(own.directory / "etcd.db"),
        bin_dir=str(own.directory),
        endpoints=[f"https://127.0.0.1:{own.etcd_port}"],
        **tls,
    )
    assert not snapshot.get("failed"), snapshot
    seen = make(own.api, "late")
    own.stop()
    restored = call(
        etcd_restore, snapshot=snapshot["path"], sha256=snapshot["sha256"], data_dir=str(own.directory / "restored"), name="local",
        peer_urls=[arguments["initial-advertise-peer-urls"]], initial_cluster=arguments["initial-cluster"], initial_cluster_token="restored",
        bump_revision=int(time.time()) * 1000 - snapshot["revision"], bin_dir=str(own.directory),
    )  # fmt: skip
    assert not restored.get("failed"), restored
    own._start("etcd", {**arguments, "data-dir": own.directory / "restored"})
    url = own.start_apiserver("kube-apiserver", ["key1", "key2"])
    identity = {"client_certificate": f"{own.pki}/admin.pem", "client_key": f"{own.pki}/admin-key.pem"}
    path = own.make_kubeconfig("after", url, **identity)
    own.wait_for_api("kube-apiserver", path)
    api = Api.from_kubeconfig(path)
    found = api.get(CONFIG_MAPS)
    assert [item["metadata"]["name"] for item in found["items"] if item["metadata"]["name"] in ("kept", "late")] == [
        "kept"
    ]
    assert int(found["metadata"]["resourceVersion"]) > int(seen)
    status, body = api.text(CONFIG_MAPS, {"watch": "1", "resourceVersion": seen, "timeoutSeconds": "5"})
    assert status == 410 or '"code":410' in body, f"who saw {seen} waits on: {status} {body!r}"
    # And goes on from what it is told then.
    assert int(make(api, "new")) > int(found["metadata"]["resourceVersion"])
