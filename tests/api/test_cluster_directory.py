# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lease that names the state of the cluster's directory, at a real API server: made, changed and left alone, and two controllers at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run import directory, lease, serial
from ansible_collections.hardway.kubernetes.tests.api.cluster import Cluster

LEASE = f"{lease.PLACE}/{lease.NAME}"


@pytest.fixture(name="copies")
def copies_fixture(cluster: Cluster, tmp_path: Path) -> tuple[str, str]:
    """The same state on two controllers, of a cluster that knows nothing of it."""
    cluster.api.delete(LEASE)
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "pki").mkdir(parents=True, mode=0o700)
    change(str(first), "1")
    shutil.copytree(first, second)
    return str(first), str(second)


def change(path: str, text: str) -> None:
    Path(path, "pki", "ca-key.pem").write_text(text)


def revision(cluster: Cluster) -> str:
    return cluster.api.get(LEASE)["metadata"]["resourceVersion"]


def test_the_lease_is_made_left_alone_and_changed(cluster: Cluster, copies: tuple[str, str]) -> None:
    path = copies[0]
    assert directory.check(path, cluster.kubeconfig, False) == directory.Outcome(False, 0)
    assert directory.record(path, cluster.kubeconfig, False) == directory.Outcome(True, 1)
    made = cluster.api.get(LEASE)
    assert made["spec"]["holderIdentity"] == directory.controller()
    assert lease.find(cluster.api) == lease.Seen(
        1, serial.read(path).word, directory.controller(), made["spec"]["acquireTime"], revision(cluster)
    )
    before = revision(cluster)
    assert directory.record(path, cluster.kubeconfig, False) == directory.Outcome(False, 1)
    assert revision(cluster) == before
    change(path, "2")
    assert directory.record(path, cluster.kubeconfig, False) == directory.Outcome(True, 2)
    after = cluster.api.get(LEASE)
    assert after["metadata"]["annotations"] == {lease.SERIAL: "2", lease.WORD: serial.read(path).word}
    assert after["metadata"]["uid"] == made["metadata"]["uid"]


def test_what_others_noted_at_the_lease_stays(cluster: Cluster, copies: tuple[str, str]) -> None:
    directory.record(copies[0], cluster.kubeconfig, False)
    cluster.api.patch(LEASE, {"metadata": {"labels": {"team": "a"}}}, manager="jane")
    change(copies[0], "2")
    assert directory.record(copies[0], cluster.kubeconfig, False).changed
    assert cluster.api.get(LEASE)["metadata"]["labels"] == {"team": "a"}


def test_an_older_copy_is_refused_until_it_is_accepted(cluster: Cluster, copies: tuple[str, str]) -> None:
    first, second = copies
    directory.record(first, cluster.kubeconfig, False)
    for call in (directory.check, directory.record):
        with pytest.raises(directory.OlderDirectory, match=f"{directory.controller()} changed"):
            call(second, cluster.kubeconfig, False)
    assert directory.record(second, cluster.kubeconfig, True) == directory.Outcome(True, 2)
    with pytest.raises(directory.OlderDirectory):
        directory.check(first, cluster.kubeconfig, False)


@pytest.mark.parametrize("is_there", [False, True], ids=["both make it", "both change it"])
def test_the_api_lets_only_the_first_of_two_write(cluster: Cluster, copies: tuple[str, str], is_there: bool) -> None:
    first, second = copies
    if is_there:
        directory.record(first, cluster.kubeconfig, False)
    before = lease.find(cluster.api)
    assert (before is not None) == is_there
    lease.write(cluster.api, serial.Serial(2, ("aa",)), "first", before)
    with pytest.raises(lease.Changed):
        lease.write(cluster.api, serial.Serial(2, ("bb",)), "second", before)
    seen = lease.find(cluster.api)
    assert seen and (seen.word, seen.controller) == ("aa", "first")
    del second


def test_a_user_without_rights_is_told_and_refuses_nothing(cluster: Cluster, copies: tuple[str, str]) -> None:
    identity = {"client_certificate": f"{cluster.pki}/node-a.pem", "client_key": f"{cluster.pki}/node-a-key.pem"}
    path = cluster.make_kubeconfig("node-a", cluster.url, **identity)
    assert Api.from_kubeconfig(path).credentials.certificate
    told = directory.record(copies[0], path, False)
    assert (told.changed, told.number) == (True, 1) and "403" in told.untold
