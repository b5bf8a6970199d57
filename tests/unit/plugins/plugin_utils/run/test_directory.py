# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial of a cluster's directory, and copies of it on other controllers that are behind, ahead or apart."""

from __future__ import annotations

import copy
import json
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import cluster_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run import directory, lease, serial


class Cluster:
    """An API with that one Lease."""

    def __init__(self) -> None:
        self.lease: dict[str, t.Any] | None = None
        self.writes = 0
        self.errors: list[Exception] = []
        #: What another controller does between a run's look and its write.
        self.meanwhile: t.Callable[[], None] | None = None

    def find(self, path: str) -> dict[str, t.Any] | None:
        assert path == "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/hardway-run"
        for error in self.errors:
            raise error
        return copy.deepcopy(self.lease)

    def request(self, method: str, path: str, query: t.Any, body: dict[str, t.Any]) -> dict[str, t.Any]:
        assert method == "POST"
        self._others()
        if self.lease is not None:
            raise ApiError("POST", "server", 409, "")
        return self._put(body)

    def apply(self, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        self._others()
        assert self.lease
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError("PATCH", "server", 409, "")
        return self._put(body)

    def _others(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()

    def _put(self, body: dict[str, t.Any]) -> dict[str, t.Any]:
        self.writes += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.writes)
        return self.lease


class Controller:
    """One with a copy of the directory."""

    def __init__(self, root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.name, self._monkeypatch = root / name, name, monkeypatch

    def made(self) -> Controller:
        (self.path / "pki").mkdir(parents=True, mode=0o700)
        self.change("first")
        (self.path / "admin.kubeconfig").touch()
        return self

    def change(self, text: str) -> None:
        (self.path / "pki" / "ca-key.pem").write_text(text)

    def copy_to(self, other: Controller) -> Controller:
        shutil.rmtree(other.path, ignore_errors=True)
        shutil.copytree(self.path, other.path)
        return other

    def check(self, accept: bool = False) -> directory.Outcome:
        return directory.check(str(self.path), str(self.path / "admin.kubeconfig"), accept)

    def record(self, accept: bool = False) -> directory.Outcome:
        self._monkeypatch.setattr(directory, "controller", lambda: f"jane@{self.name}")
        return directory.record(str(self.path), str(self.path / "admin.kubeconfig"), accept)

    def run(self, text: str = "", accept: bool = False) -> directory.Outcome:
        """A whole run, which makes something anew."""
        self.check(accept)
        if text:
            self.change(text)
        return self.record(accept)


@pytest.fixture(name="cluster")
def cluster_fixture(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(directory, "_api", lambda kubeconfig: cluster)
    return cluster


@pytest.fixture(name="a")
def a_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(tmp_path, "a", monkeypatch).made()


@pytest.fixture(name="b")
def b_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    return Controller(tmp_path, "b", monkeypatch)


def test_a_cluster_without_a_lease_gets_one_and_a_second_run_writes_nothing(cluster, a):
    assert a.run() == directory.Outcome(True, 1)
    before = (a.path / serial.NAME).read_bytes()
    assert a.run() == directory.Outcome(False, 1)
    assert (cluster.writes, (a.path / serial.NAME).read_bytes()) == (1, before)
    assert (a.path / serial.NAME).stat().st_mode & 0o777 == 0o600
    assert cluster.lease and cluster.lease["spec"]["holderIdentity"] == "jane@a"


@pytest.mark.parametrize("name", ["pki/new.pem", "rotation.json", "artifacts.lock", "token.csv"])
def test_each_change_that_counts_is_one_more(cluster, a, name):
    a.run()
    (a.path / name).write_text("changed")
    assert a.run() == directory.Outcome(True, 2)


@pytest.mark.parametrize("name", ["status.html", "admin.kubeconfig", "pki/.lock", "locks/etcd"])
def test_what_says_nothing_about_the_cluster_does_not_count(cluster, a, name):
    a.run()
    (a.path / "locks").mkdir()
    (a.path / name).write_text("changed")
    assert a.run() == directory.Outcome(False, 1)


def test_an_older_copy_is_refused_by_name_and_a_newer_one_is_not(cluster, a, b):
    a.run()
    a.copy_to(b)
    a.run("second")
    for call in (b.check, b.record):
        with pytest.raises(directory.OlderDirectory) as caught:
            call()
        text = str(caught.value)
        assert "jane@a changed" in text and "serial 2" in text and "serial 1" in text and "cluster_dir_accept" in text
    assert cluster.writes == 2
    a.copy_to(b)
    assert b.run() == directory.Outcome(False, 2)
    assert b.run("third") == directory.Outcome(True, 3)
    with pytest.raises(directory.OlderDirectory):
        a.run()


def test_copies_that_were_changed_apart_have_the_same_serial_and_the_second_is_refused(cluster, a, b):
    a.run()
    a.copy_to(b)
    cluster.errors = [ApiUnreachable("nobody answers")]
    assert (a.run("this").number, b.run("that").number) == (2, 2)
    cluster.errors = []
    a.run()
    with pytest.raises(directory.OlderDirectory):
        b.run()


def test_of_two_at_once_the_later_is_refused_before_hosts_are_changed(cluster, a, b):
    a.run()
    a.copy_to(b)
    a.check()
    b.check()
    a.change("this")
    b.change("that")
    cluster.meanwhile = lambda: a.record() and None
    with pytest.raises(directory.OlderDirectory):
        b.record()
    with pytest.raises(directory.OlderDirectory):
        b.check()
    assert not a.run().changed


def test_two_that_make_the_lease_at_once(cluster, a, b):
    a.copy_to(b)
    cluster.meanwhile = lambda: a.record() and None
    with pytest.raises(directory.OlderDirectory):
        b.record()


def test_an_accepted_copy_takes_the_place_of_the_newer_one(cluster, a, b):
    a.run()
    a.copy_to(b)
    a.run("second")
    assert b.run(accept=True) == directory.Outcome(True, 3)
    assert b.run() == directory.Outcome(False, 3)
    with pytest.raises(directory.OlderDirectory):
        a.run()


def test_a_directory_without_a_serial_is_refused_where_the_cluster_has_one(cluster, a, b):
    a.copy_to(b)
    a.run()
    with pytest.raises(directory.OlderDirectory):
        b.check()


@pytest.mark.parametrize(
    "error",
    [ApiUnreachable("nobody answers"), ApiError("GET", "server", 403, "no"), ApiError("GET", "server", 500, "")],
)
def test_an_api_that_does_not_answer_refuses_nothing_and_learns_of_it_later(cluster, a, error):
    a.run()
    cluster.errors = [error]
    assert a.check().untold == str(error)
    a.change("second")
    assert a.record() == directory.Outcome(True, 2, str(error))
    cluster.errors = []
    assert a.run() == directory.Outcome(True, 2)
    assert not a.run().changed


def test_a_run_that_was_killed_before_it_could_record_is_made_up_for(cluster, a, b):
    a.run()
    a.copy_to(b)
    a.change("second")
    assert a.run() == directory.Outcome(True, 2)
    with pytest.raises(directory.OlderDirectory):
        b.check()


def test_a_restore_brings_an_older_state_which_is_the_newest_from_then_on(cluster, a, b, tmp_path):
    a.run()
    archive, data = tmp_path / "archive", None
    shutil.copytree(a.path, archive)
    data = copy.deepcopy(cluster.lease)
    a.run("second")
    a.copy_to(b)
    cluster_directory.put(str(archive), str(a.path), "restore-1", {})
    # etcd's data are of the archive, too.
    cluster.lease = data
    assert a.record(accept=True) == directory.Outcome(True, 2)
    assert not a.run().changed
    # Its serial is the same, and it knows all that the archive knew.
    with pytest.raises(directory.OlderDirectory):
        b.check()


def test_a_moved_directory_is_the_same(cluster, a, b):
    a.run()
    a.path.rename(b.path)
    assert b.run() == directory.Outcome(False, 1)


def test_a_first_installation_has_no_api_yet(cluster, a):
    (a.path / "admin.kubeconfig").unlink()
    assert a.check() == directory.Outcome(False, 0)
    assert a.record() == directory.Outcome(True, 1)
    assert cluster.lease is None


@pytest.mark.parametrize(
    "found",
    [
        {"metadata": {"resourceVersion": "1"}},
        {
            "metadata": {
                "annotations": {"hardway.kubernetes/serial": "x", "hardway.kubernetes/word": "ab"},
                "resourceVersion": "1",
            }
        },
        {"metadata": {"annotations": ["x"], "resourceVersion": "1"}, "spec": "y"},
        {
            "metadata": {
                "annotations": {"hardway.kubernetes/serial": "1", "hardway.kubernetes/word": "\u001b"},
                "resourceVersion": "1",
            }
        },
    ],
)
def test_a_lease_that_says_nothing_is_written_anew(cluster, a, found):
    a.run()
    cluster.lease = copy.deepcopy(found)
    cluster.writes = 1
    assert a.run() == directory.Outcome(True, 1)
    assert lease._seen(cluster.lease).usable


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"serial": 1}', '{"serial": 1, "words": [1], "content": "", "restore": ""}']
)
def test_a_damaged_serial_is_named(cluster, a, text):
    (a.path / serial.NAME).write_text(text)
    (a.path / serial.NAME).chmod(0o600)
    with pytest.raises(serial.SerialError, match=serial.NAME):
        a.check()


def test_the_lease_has_no_more_than_it_needs(cluster, a):
    a.run()
    assert cluster.lease
    assert serial.digest(str(a.path)) not in json.dumps(cluster.lease)
