# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import dataclasses
import json

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore import directory
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.model import (
    Archive,
    Directory,
    Hosts,
    Settings,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.plan import plan, source_problems

HOSTS = ["m1", "m2", "m3"]
SHA = "f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b"
ID = "prod-f60341dcea0131a5"
VERIFIED = {
    "proved": "content",
    "manifest": {
        "cluster": "prod",
        "time": "2026-11-21T10:30:00Z",
        "revision": 100,
        "versions": {"etcd": "3.6.5"},
        "files": [
            {"path": "cluster/pki/ca.pem", "sha256": "ca"},
            {"path": "cluster/pki/ca-key.pem", "sha256": "key"},
            {"path": "cluster/pki/etcd-ca-2.pem", "sha256": "etcd"},
            {"path": "cluster/pki/etcd-ca-bundle.pem", "sha256": "bundle"},
            {"path": "cluster/pki/encryption.key", "sha256": "encryption"},
            {"path": "etcd/snapshot.db", "sha256": SHA},
        ],
    },
}
SETTINGS = Settings("prod", "3.6.16", archive="/b/a.tar.gz")
ALONE = dataclasses.replace(SETTINGS, alone=True)
DIRECTORY = Directory("/c/prod", frozenset({"ca", "etcd"}), frozenset({"encryption"}))
PENDING = {"id": "prod-0123", "sha256": "0123", "revision": 7, "origin": "the data of m2"}
RUNNING = Hosts(
    HOSTS,
    HOSTS,
    bundles=frozenset({"bundle"}),
    states=[{"has_quorum": True, "revision": 120, "problems": ["m3 is not healthy"]}],
)
LOST = dataclasses.replace(RUNNING, states=[{"has_quorum": False, "problems": ["no quorum"]}, {"msg": "refused"}])


def verified(**over):
    return Archive.of({**VERIFIED, "manifest": {**VERIFIED["manifest"], **over}})


ARCHIVE = verified()


def restored(hosts, restore_id, bump=5):
    return {host: {"initial_cluster_token": restore_id, "bump_revision": bump} for host in hosts}


# --- the source


def test_an_archive_is_the_source():
    found = plan(SETTINGS, RUNNING, DIRECTORY, ARCHIVE)
    assert (found.source, found.id, found.sha256, found.revision) == ("archive", ID, SHA, 100)
    assert found.origin == "/b/a.tar.gz, of 2026-11-21T10:30:00Z"
    assert found.staging == "/c/prod.restore-f60341dcea0131a5"
    assert found.snapshot == f"{found.staging}/etcd/snapshot.db"
    assert found.problems == [] and found.confirm and found.extract and not found.done and not found.placed


def test_a_forced_id_is_another_restore():
    settings = dataclasses.replace(SETTINGS, force_id="again")
    hosts = dataclasses.replace(RUNNING, records=restored(HOSTS, ID))
    assert plan(settings, hosts, DIRECTORY, ARCHIVE).id == f"{ID}-again"
    assert not plan(settings, hosts, DIRECTORY, ARCHIVE).done
    assert plan(SETTINGS, hosts, DIRECTORY, ARCHIVE).done


def test_a_snapshot_is_the_source():
    settings = dataclasses.replace(ALONE, archive="", snapshot="/b/etcd.db")
    found = plan(settings, LOST, DIRECTORY, None, SHA, 90)
    assert (found.source, found.id, found.revision, found.snapshot) == ("snapshot", ID, 90, "/b/etcd.db")
    assert found.origin == "/b/etcd.db" and found.staging == "" and not found.extract and found.confirm


def test_with_quorum_nothing_is_restored():
    found = plan(dataclasses.replace(ALONE, archive=""), RUNNING, DIRECTORY)
    assert (found.source, found.id, found.revision) == ("none", "", 120)
    assert found.done and not found.confirm and found.problems == []
    assert "nothing is restored" in found.lines[0] and "m3 is not healthy" in found.lines


def test_without_quorum_the_data_of_a_member_is_the_source():
    found = plan(dataclasses.replace(ALONE, archive=""), LOST, DIRECTORY)
    assert (found.source, found.salvage, found.id) == ("survivor", HOSTS, "planned")
    assert not found.done and found.confirm and not found.has_quorum and found.snapshot == "/c/prod/etcd-restore.db"
    assert "newest log, of m1, m2, m3" in found.lines[0] and "no quorum" in found.lines


def test_a_named_member_is_the_source_with_quorum_too():
    found = plan(dataclasses.replace(ALONE, archive="", source_host="m2"), RUNNING, DIRECTORY)
    assert (found.source, found.salvage, found.has_quorum) == ("survivor", ["m2"], True)
    assert found.lines[0] == "source: the data of m2"


@pytest.mark.parametrize("archive", [None, ARCHIVE])
def test_what_an_earlier_run_chose_comes_first(archive):
    settings = ALONE if archive else dataclasses.replace(ALONE, archive="")
    found = plan(settings, RUNNING, dataclasses.replace(DIRECTORY, pending=PENDING), archive)
    assert (found.source, found.id, found.sha256, found.revision) == ("pending", "prod-0123", "0123", 7)
    assert found.snapshot == "/c/prod/etcd-restore.db" and not found.confirm and not found.extract and not found.done


def test_a_restore_of_the_whole_cluster_takes_its_archive():
    """What a restore of etcd has left lies in the directory that goes."""
    assert plan(SETTINGS, RUNNING, dataclasses.replace(DIRECTORY, pending=PENDING), ARCHIVE).source == "archive"


# --- what is done already


def test_a_restore_is_done_when_all_members_have_it():
    hosts = dataclasses.replace(RUNNING, records=restored(HOSTS, ID))
    found = plan(SETTINGS, hosts, dataclasses.replace(DIRECTORY, restored=ID), ARCHIVE)
    assert found.done and found.placed and not found.confirm and not found.extract
    assert "restore_force_id" in found.lines[-1]


def test_a_restore_that_died_is_not_done_and_keeps_its_bump():
    hosts = dataclasses.replace(RUNNING, records={**restored(["m1"], ID, 42), **restored(["m2"], "other", 1)})
    found = plan(SETTINGS, hosts, dataclasses.replace(DIRECTORY, restored=ID), ARCHIVE)
    assert not found.done and found.bump_revision == 42 and found.placed and found.extract
    assert any("was restored before" in line for line in found.lines)


def test_the_directory_alone_is_extracted_where_it_is_missing():
    hosts = dataclasses.replace(RUNNING, records=restored(HOSTS, ID))
    assert plan(SETTINGS, hosts, DIRECTORY, ARCHIVE).extract
    assert not plan(ALONE, hosts, DIRECTORY, ARCHIVE).extract


def test_a_survivor_is_never_done():
    hosts = dataclasses.replace(LOST, records=restored(HOSTS, "planned"))
    assert not plan(dataclasses.replace(ALONE, archive=""), hosts, DIRECTORY).done


def test_on_fresh_machines_nobody_is_asked():
    found = plan(SETTINGS, Hosts(HOSTS), Directory("/c/prod"), ARCHIVE)
    assert not found.confirm and found.problems == [] and found.bump_revision is None
    assert found.lines[1:] == ["cluster directory: /c/prod is created", "etcd: new data on m1, m2, m3"]


def test_where_something_is_replaced_it_is_asked():
    assert plan(SETTINGS, Hosts(HOSTS), DIRECTORY, ARCHIVE).confirm
    assert plan(SETTINGS, RUNNING, Directory("/c/prod"), ARCHIVE).confirm


# --- what is refused


def problems(settings=SETTINGS, hosts=RUNNING, place=DIRECTORY, archive=ARCHIVE):
    return plan(settings, hosts, place, archive).problems


def test_an_encrypted_archive_is_refused_without_its_key():
    (problem,) = problems(archive=Archive.of({"proved": "sum", "manifest": {}}))
    assert problem.where == "/b/a.tar.gz" and "is encrypted" in problem.what and "restore_identity" in problem.fix


def test_an_archive_of_another_cluster_is_refused():
    (problem,) = problems(archive=verified(cluster="other"))
    assert "of the cluster other" in problem.what


def test_an_archive_without_a_snapshot_is_refused():
    files = [each for each in VERIFIED["manifest"]["files"] if each["path"] != "etcd/snapshot.db"]
    (problem,) = problems(archive=verified(files=files))
    assert "no snapshot of etcd" in problem.what


@pytest.mark.parametrize(
    ("version", "refused"), [("3.7.0", True), ("3.10.1", True), ("4.0", True), ("3.6.99", False), ("", False)]
)
def test_an_archive_of_a_newer_etcd_is_refused(version, refused):
    found = problems(archive=verified(versions={"etcd": version}))
    assert bool(found) == refused
    assert not found or "cluster_etcd_version" in found[0].fix


def test_a_directory_with_other_authorities_is_refused():
    (problem,) = problems(place=dataclasses.replace(DIRECTORY, authorities=frozenset({"stranger"})))
    assert problem.where == "/c/prod" and "restore_allow_other_cluster" in problem.fix


def test_members_of_another_cluster_are_refused():
    (problem,) = problems(hosts=dataclasses.replace(RUNNING, bundles=frozenset({"bundle", "stranger"})))
    assert problem.where == "m1, m2, m3" and "trust another CA" in problem.what


def test_another_cluster_is_replaced_where_it_is_meant():
    settings = dataclasses.replace(SETTINGS, allow_other_cluster=True)
    hosts = dataclasses.replace(RUNNING, bundles=frozenset({"stranger"}))
    assert problems(settings, hosts, dataclasses.replace(DIRECTORY, authorities=frozenset({"stranger"}))) == []


def test_etcd_alone_is_refused_where_its_secrets_could_not_be_read():
    place = dataclasses.replace(DIRECTORY, encryption_keys=frozenset({"new"}))
    (problem,) = problems(ALONE, place=place)
    assert "key which is not in use any more" in problem.what
    assert problems(SETTINGS, place=place) == [], "with the directory the keys come back"


def test_without_any_data_an_archive_is_asked_for():
    hosts = dataclasses.replace(LOST, members=[])
    (problem,) = problems(dataclasses.replace(ALONE, archive=""), hosts, archive=None)
    assert problem.where == "m1, m2, m3" and "restore_archive" in problem.fix


def test_a_named_member_without_data_is_refused():
    hosts = dataclasses.replace(LOST, members=["m1"])
    (problem,) = problems(dataclasses.replace(ALONE, archive="", source_host="m2"), hosts, archive=None)
    assert problem.where == "m2"


def test_every_reason_is_named_at_once():
    hosts = dataclasses.replace(RUNNING, bundles=frozenset({"stranger"}))
    assert (
        len(
            problems(
                ALONE,
                hosts,
                Directory("/c/prod", frozenset({"x"})),
                verified(cluster="other", versions={"etcd": "3.9"}),
            )
        )
        == 5
    )


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (dataclasses.replace(SETTINGS, archive=""), "restore_archive"),
        (dataclasses.replace(ALONE, snapshot="/b/etcd.db"), "restore_archive"),
        (dataclasses.replace(ALONE, archive="", source_host="node1"), "restore_source"),
    ],
)
def test_settings_that_name_no_source_are_refused(settings, where):
    (problem,) = source_problems(settings, HOSTS)
    assert problem.where == where


@pytest.mark.parametrize(
    "settings",
    [SETTINGS, ALONE, dataclasses.replace(ALONE, archive=""), dataclasses.replace(ALONE, archive="", source_host="m1")],
)
def test_settings_that_name_one_source_are_taken(settings):
    assert source_problems(settings, HOSTS) == []


# --- what the plan is made from


def test_hosts_by_the_results_of_their_tasks():
    record = {"initial_cluster_token": ID, "bump_revision": 3}
    content = base64.b64encode(json.dumps(record).encode()).decode()
    hosts = Hosts.of(
        HOSTS,
        ["m1"],
        {"m1": {"content": content}, "m2": {"skipped": True}, "m3": {"failed": True, "msg": "not there"}},
        {
            "m1": {"stat": {"exists": True, "checksum": "bundle"}},
            "m2": {"skipped": True},
            "m3": {"stat": {"exists": False}},
        },
        {"m1": {"has_quorum": False, "problems": ["a"]}, "m2": {"msg": "refused"}, "stranger": {"has_quorum": True}},
    )
    assert hosts.records == {"m1": record} and hosts.bundles == {"bundle"}
    assert not hosts.has_quorum and hosts.problems == ["a"] and hosts.restored(ID) == {"m1": record}


def test_the_directory_as_it_is_read(tmp_path):
    pki = tmp_path / "pki"
    pki.mkdir()
    names = ("ca.pem", "ca-2.pem", "etcd-ca.pem")
    for name in (
        *names,
        "ca-key.pem",
        "ca-2-key.pem",
        "ca-bundle.pem",
        "etcd-ca-bundle.pem",
        "front-proxy-ca.pem",
        "encryption.key",
        "encryption-2.key",
    ):
        (pki / name).write_text(name)
    (tmp_path / "restored.json").write_text(json.dumps({"restore": ID}))
    (tmp_path / "etcd-restore.json").write_text(json.dumps({**PENDING, "more": 1}))
    found = directory.read(str(tmp_path), str(pki), ["encryption-2", "encryption-3"])
    assert found.authorities == {directory.sha256_of(pki / name) for name in names}
    assert found.encryption_keys == {directory.sha256_of(pki / "encryption-2.key")}
    assert found.restored == ID and found.pending == PENDING


def test_a_directory_that_is_not_there_is_empty(tmp_path):
    path = str(tmp_path / "none")
    assert directory.read(path, f"{path}/pki", ["encryption"]) == Directory(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '"x"'])
def test_a_record_that_is_none_of_ours_is_refused(tmp_path, text):
    (tmp_path / "etcd-restore.json").write_text(text)
    with pytest.raises(directory.UnreadableDirectory, match="Fix: Remove it"):
        directory.read(str(tmp_path), str(tmp_path / "pki"), [])


def test_a_plan_is_data_for_playbooks():
    data = plan(SETTINGS, RUNNING, DIRECTORY, verified(cluster="other")).to_data()
    assert json.loads(json.dumps(data)) == data
    assert data["problems"][0]["text"].startswith("/b/a.tar.gz: ") and "\n  Fix: " in data["problems"][0]["text"]


FOREIGN = (
    b"[",
    b"[]",
    b'{"bump_revision": 1e99}',
    b'{"bump_revision": 4611686018427387904}',
    b'{"initial_cluster_token": 5}',
)


@pytest.mark.parametrize("content", [5, "?", "x" * 100_000, *(base64.b64encode(text).decode() for text in FOREIGN)])
def test_a_record_of_a_host_that_is_none_of_ours_counts_as_not_there(content):
    hosts = Hosts.of(HOSTS, ["m1"], {"m1": {"content": content}}, {"m1": {"stat": content}}, {})
    assert hosts.records == {} and hosts.bundles == frozenset()
