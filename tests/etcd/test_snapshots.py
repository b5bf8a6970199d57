# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A snapshot of a real cluster becomes another cluster, on other ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import wal

NAMES = ("etcd1", "etcd2", "etcd3")
BUMP = 1_000_000


@pytest.fixture(scope="module")
def source(lab):
    members = lab.cluster("etcd1")
    for number in range(20):
        lab.etcdctl(members[0], "put", f"/before/{number}", "x" * 1000)
    return members[0]


@pytest.fixture
def take(lab, source, succeed, tmp_path):
    def run(**arguments) -> dict:
        return succeed(
            "etcd_snapshot",
            path=str(tmp_path / "etcd.db"),
            bin_dir=str(lab.binaries),
            **lab.access(source),
            **arguments,
        )

    return run


@pytest.fixture
def snapshot(take):
    return take()


@pytest.fixture
def restoring(lab, snapshot):
    """The arguments that make *member* one of a new cluster of *members*."""

    def arguments(member, *members, **more) -> dict:
        return {
            "snapshot": snapshot["path"],
            "data_dir": str(member.data_dir),
            "name": member.name,
            "peer_urls": [member.peer_url],
            "initial_cluster": lab.initial_cluster(*(members or [member])),
            "initial_cluster_token": "restored",
            "bump_revision": BUMP,
            "bin_dir": str(lab.binaries),
            **more,
        }

    return arguments


def test_a_snapshot_is_taken_and_proved(lab, source, take, succeed, tmp_path):
    planned = take(check_mode=True)
    assert planned["changed"] and list(tmp_path.iterdir()) == []
    taken = take()
    path = Path(taken["path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["etcd.db"], "something was left beside it"
    told = json.loads(subprocess.check_output([lab.binaries / "etcdutl", "snapshot", "status", path, "-w", "json"]))
    assert (taken["revision"], taken["total_keys"], int(taken["hash"], 16)) == (
        told["revision"],
        told["totalKey"],
        told["hash"],
    )
    assert taken["revision"] == planned["revision"] == 21
    assert taken["sha256"] == subprocess.check_output(["sha256sum", path], text=True).split()[0]
    verified = succeed(
        "etcd_snapshot", path=str(path), state="verified", sha256=taken["sha256"], bin_dir=str(lab.binaries)
    )
    assert not verified["changed"] and verified["hash"] == taken["hash"]


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999, 1.0])
def test_a_damaged_snapshot_is_refused(lab, snapshot, call, restoring, place):
    path = Path(snapshot["path"])
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * place), len(content) - 1)] ^= 1
    path.write_bytes(content)
    refused = call("etcd_snapshot", path=str(path), state="verified", bin_dir=str(lab.binaries))
    assert refused["failed"] and "is damaged" in refused["msg"]
    member = lab.member("etcd1")
    refused = call("etcd_restore", **restoring(member))
    assert refused["failed"] and "is damaged" in refused["msg"] and not member.data_dir.exists()


def test_a_snapshot_that_is_cut_off_is_refused(lab, snapshot, call):
    path = Path(snapshot["path"])
    for size in (path.stat().st_size - 1, path.stat().st_size - 32, 4096, 0):
        os.truncate(path, size)
        refused = call("etcd_snapshot", path=str(path), state="verified", bin_dir=str(lab.binaries))
        assert refused["failed"] and "is damaged" in refused["msg"], size


def test_another_snapshot_than_the_one_expected_is_refused(lab, snapshot, call):
    refused = call("etcd_snapshot", path=snapshot["path"], state="verified", sha256="0" * 64, bin_dir=str(lab.binaries))
    assert refused["failed"] and snapshot["sha256"] in refused["msg"]


@pytest.fixture
def broken(lab, tmp_path_factory):
    """etcd's commands, of which etcdctl does what a shell script says with its last argument, the file."""
    directory = tmp_path_factory.mktemp("broken")
    (directory / "etcdutl").symlink_to(lab.binaries / "etcdutl")

    def run(script: str) -> str:
        (directory / "etcdctl").write_text(
            f'#!/bin/sh\n{lab.binaries}/etcdctl "$@" || exit 1\nfor file; do :; done\n{script}\n'
        )
        (directory / "etcdctl").chmod(0o755)
        return str(directory)

    return run


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('mv "$file" "$file.part"; echo broken off >&2; exit 1', "broken off"),
        ('truncate -s -100 "$file"', "is damaged"),
        ('rm "$file"', "is not there"),
    ],
)
def test_a_failed_snapshot_leaves_the_old_one(lab, source, snapshot, broken, call, tmp_path, script, words):
    failed = call("etcd_snapshot", path=snapshot["path"], bin_dir=broken(script), **lab.access(source))
    assert failed["failed"] and words in failed["msg"]
    assert os.listdir(tmp_path) == ["etcd.db"]
    assert (
        call(
            "etcd_snapshot",
            path=snapshot["path"],
            state="verified",
            sha256=snapshot["sha256"],
            bin_dir=str(lab.binaries),
        )["revision"]
        == 21
    )


def test_a_snapshot_that_misses_a_write_is_refused(lab, source, snapshot, broken, call, succeed):
    """As if the member were behind: what comes is the old one."""
    old = snapshot["path"] + ".old"
    shutil.copy(snapshot["path"], old)
    lab.etcdctl(source, "put", "/acknowledged", "write")
    failed = call("etcd_snapshot", path=snapshot["path"], bin_dir=broken(f'cp {old} "$file"'), **lab.access(source))
    assert failed["failed"] and "of revision 21, but 22 was acknowledged" in failed["msg"]
    lab.etcdctl(source, "del", "/acknowledged")


def test_a_restored_cluster_is_as_at_the_snapshot(lab, source, snapshot, succeed, restoring):
    lab.etcdctl(source, "put", "/after", "the snapshot")
    members = [lab.member(name) for name in NAMES]
    planned = succeed("etcd_restore", check_mode=True, **restoring(members[0], *members))
    assert planned["changed"] and not members[0].data_dir.exists()
    for member in members:
        restored = succeed("etcd_restore", **restoring(member, *members))
        assert restored["changed"] and restored["old_data"] == "" and restored["revision"] == snapshot["revision"]
        assert os.listdir(member.data_dir) == ["member"]
        again = succeed("etcd_restore", **restoring(member, *members))
        assert not again["changed"] and "before" in again["reason"]
    for member in members:
        member.start(lab.initial_cluster(*members), "existing")
    for member in members:
        member.wait_healthy()
    info = succeed("etcd_info", **lab.access(members[2]))
    assert info["healthy"] and [member["name"] for member in info["members"]] == list(NAMES)
    assert info["revision"] >= snapshot["revision"] + BUMP
    assert len(lab.etcdctl(members[1], "get", "/before/", "--prefix", "--keys-only").split()) == 20
    assert lab.etcdctl(members[1], "get", "/after") == "", "a write after the snapshot is there"
    # A client that watches from a revision of before must be told that it is gone, and not wait for a change that never comes.
    with pytest.raises(AssertionError, match="has been compacted"):
        lab.etcdctl(members[0], "watch", "/before/0", f"--rev={snapshot['revision']}")
    lab.etcdctl(members[0], "put", "/new", "write")
    for member in members:
        member.kill()


def test_data_are_replaced_only_when_forced_and_no_etcd_runs(lab, snapshot, call, succeed, restoring):
    member = lab.cluster("etcd7")[0]
    lab.etcdctl(member, "put", "/precious", "data")
    refused = call("etcd_restore", **restoring(member))
    assert refused["failed"] and "force: true" in refused["msg"]
    refused = call("etcd_restore", force=True, **restoring(member))
    assert refused["failed"] and "an etcd runs on" in refused["msg"]
    member.kill()
    planned = succeed("etcd_restore", force=True, check_mode=True, **restoring(member))
    assert planned["changed"] and os.listdir(member.data_dir) == ["member"]
    restored = succeed("etcd_restore", force=True, **restoring(member))
    assert sorted(os.listdir(member.data_dir)) == ["member", Path(restored["old_data"]).name]
    member.start(lab.initial_cluster(member), "existing").wait_healthy()
    assert lab.etcdctl(member, "get", "/precious") == ""
    assert lab.etcdctl(member, "get", "/before/0", "--print-value-only").startswith("xxx")
    member.kill()
    again = succeed("etcd_restore", force=True, **restoring(member))
    assert not again["changed"], "the same restore twice"
    # What was replaced is whole: it can be put back.
    shutil.rmtree(member.data_dir / "member")
    os.rename(restored["old_data"], member.data_dir / "member")
    member.start(lab.initial_cluster(member), "existing").wait_healthy()
    assert lab.etcdctl(member, "get", "/precious", "--print-value-only") == "data"
    member.kill()


def test_an_initial_cluster_without_the_member_is_refused(lab, call, restoring):
    member, other = lab.member("etcd1"), lab.member("etcd2")
    refused = call("etcd_restore", **restoring(member, other))
    assert (
        refused["failed"] and "initial_cluster has etcd1 at no place" in refused["msg"] and not member.data_dir.exists()
    )


def test_a_survivor_without_quorum_is_saved(lab, call, succeed, restoring, tmp_path):
    members = lab.cluster(*NAMES)
    lab.etcdctl(members[0], "put", "/last", "words")
    for member in members[1:]:
        member.kill()
    arguments = {"path": str(tmp_path / "survivor.db"), "bin_dir": str(lab.binaries), **lab.access(members[0])}
    refused = call("etcd_snapshot", **arguments)
    assert refused["failed"] and "consistent: false" in refused["msg"] and not (tmp_path / "survivor.db").exists()
    saved = succeed("etcd_snapshot", consistent=False, **arguments)
    members[0].kill()
    # And as a copy of its database, when not even etcd starts there any more.
    copy = tmp_path / "copy.db"
    shutil.copy(members[0].data_dir / "member/snap/db", copy)
    for path, more in ((saved["path"], {}), (str(copy), {"hash_check": False})):
        member = lab.member("etcd1")
        arguments = restoring(member, **more)
        arguments["snapshot"] = path
        if more:
            assert "member/snap/db" in call("etcd_restore", **{**arguments, "hash_check": True})["msg"]
        assert succeed("etcd_restore", **arguments)["changed"]
        member.start(lab.initial_cluster(member), "existing").wait_healthy()
        assert lab.etcdctl(member, "get", "/last", "--print-value-only") == "words"
        member.kill()


KILLED = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hardway.kubernetes.plugins.modules import etcd_restore
with patch_module_args(json.loads(sys.argv[1])):
    etcd_restore.main()
"""


def test_a_killed_restore_leaves_nothing_half(lab, succeed, restoring, tmp_path_factory):
    """Killed when etcdutl has done its work, but before anything of it counts."""
    slow = tmp_path_factory.mktemp("slow")
    (slow / "etcdutl").write_text(
        f'#!/bin/sh\n{lab.binaries}/etcdutl "$@" || exit 1\n[ "$2" != restore ] || sleep 60\n'
    )
    (slow / "etcdutl").chmod(0o755)
    member = lab.member("etcd1")
    arguments = restoring(member)
    words = [sys.executable, "-c", KILLED, json.dumps({**arguments, "bin_dir": str(slow)})]
    with subprocess.Popen(
        words, start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as process:
        deadline = time.monotonic() + 20
        while not list(member.data_dir.glob(".member.hardway-new/data/member/wal/*.wal")):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert os.listdir(member.data_dir) == [".member.hardway-new"]
    assert succeed("etcd_restore", **arguments)["changed"]
    assert os.listdir(member.data_dir) == ["member"]
    member.start(lab.initial_cluster(member), "existing").wait_healthy()
    assert lab.etcdctl(member, "get", "/before/19", "--print-value-only").startswith("xxx")
    member.kill()


def salvaging(lab, member, path, **more) -> dict:
    return {
        "state": "salvaged",
        "data_dir": str(member.data_dir),
        "name": member.name,
        "path": str(path),
        "bin_dir": str(lab.binaries),
        **lab.tls(),
        **more,
    }


def test_the_only_member_that_is_left_loses_nothing(lab, succeed, call, tmp_path):
    """Killed at once after a write: what was acknowledged is in its log, and perhaps not in its database yet."""
    members = lab.cluster("etcd1", "etcd2", "etcd3")
    for number in range(30):
        lab.etcdctl(members[0], "put", f"/registry/{number}", "y" * 1000)
    refused = call("etcd_snapshot", **salvaging(lab, members[0], tmp_path / "salvaged.db"))
    assert refused["failed"] and "stop it first" in refused["msg"]
    for member in members:
        member.kill()
    survivor = max(
        members,
        key=lambda member: end_of_log(
            succeed("etcd_snapshot", **salvaging(lab, member, tmp_path / f"{member.name}.db"))
        ),
    )
    before = {path: path.read_bytes() for path in survivor.data_dir.rglob("*") if path.is_file()}
    assert succeed("etcd_snapshot", check_mode=True, **salvaging(lab, survivor, tmp_path / "planned.db"))["changed"]
    assert not (tmp_path / "planned.db").exists()
    taken = succeed("etcd_snapshot", **salvaging(lab, survivor, tmp_path / "salvaged.db"))
    assert taken["revision"] == 31 and stat.S_IMODE(os.stat(taken["path"]).st_mode) == 0o600
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")], "a copy of the data was left"
    assert before == {path: path.read_bytes() for path in survivor.data_dir.rglob("*") if path.is_file()}, (
        "the data were changed"
    )
    made = [lab.member(name) for name in NAMES]
    for member in made:
        succeed(
            "etcd_restore", snapshot=taken["path"], data_dir=str(member.data_dir), name=member.name, peer_urls=[member.peer_url],
            initial_cluster=lab.initial_cluster(*made), initial_cluster_token="salvaged", bump_revision=BUMP, bin_dir=str(lab.binaries),
        )  # fmt: skip
    for member in made:
        member.restart()
    for member in made:
        member.wait_healthy()
    assert lab.etcdctl(made[1], "get", "/registry/29", "--print-value-only") == "y" * 1000
    known = succeed("etcd_keys_info", since=31, **lab.access(made[0]))
    assert known["revision"] == BUMP + 31 and len(known["keys"]) == 30 and known["written"] == []
    lab.etcdctl(made[0], "put", "/registry/late", "z")
    assert succeed("etcd_keys_info", since=31, **lab.access(made[0]))["written"] == ["/registry/late"]
    for member in made:
        member.kill()


def end_of_log(salvaged: dict) -> tuple[int, int]:
    return salvaged["raft_term"], salvaged["raft_index"]


def test_a_follower_that_was_sent_a_snapshot_has_the_newest_log(lab, succeed, tmp_path):
    """It was away since the term before, and caught up by one message. It was killed before any entry came; another has entries of the new term,
    but not the last ones. By those alone, the other would seem to be the newer one, and acknowledged writes would be lost."""
    catch_up = next(
        option
        for option in ("snapshot-catchup-entries", "experimental-snapshot-catchup-entries")
        if f"--{option}"
        in subprocess.check_output([lab.binaries / "etcd", "--help"], stderr=subprocess.STDOUT, text=True).split()
    )
    few = ("--snapshot-count=5", f"--{catch_up}=5")
    members = lab.cluster(*NAMES, "etcd4", "etcd5", options=few)
    identities = {member: status(lab, member)["header"]["member_id"] for member in members}
    leader = next(member for member in members if identities[member] == status(lab, member)["leader"])
    follower, older, heir, _last = [member for member in members if member is not leader]
    follower.kill()
    lab.etcdctl(leader, "move-leader", f"{identities[heir]:x}")
    for number in range(10):
        lab.etcdctl(leader, "put", f"/registry/{number}", "x")
    older.kill()
    for number in range(10, 40):
        lab.etcdctl(leader, "put", f"/registry/{number}", "x")
    # What it would commit to its database by itself is lost by the kill, as the rest of its log is.
    follower.restart(*few, "--backend-batch-interval=1h").wait_healthy()
    for member in members:
        member.kill()
    sent = cut_after_the_snapshot_of_its_leader(follower)
    found = {
        member: succeed("etcd_snapshot", **salvaging(lab, member, tmp_path / f"{member.name}.db"))
        for member in (older, follower)
    }
    assert end_of_log(found[follower]) == sent
    assert max(found, key=lambda member: end_of_log(found[member])) is follower
    assert found[older]["revision"] < found[follower]["revision"] == 41


def status(lab, member) -> dict:
    return json.loads(lab.etcdctl(member, "endpoint", "status", "--write-out=json"))[0]["Status"]


def cut_after_the_snapshot_of_its_leader(member) -> tuple[int, int]:
    """As if it had been killed right after it wrote that down; term and index of the snapshot."""
    (log,) = (member.data_dir / "member" / "wal").glob("0*.wal")
    content = log.read_bytes()
    last = 0
    for record in wal._records(content):
        told = wal.fields(record.data) if record.kind in (wal.ENTRY, wal.SNAPSHOT) else {}
        if record.kind == wal.SNAPSHOT and told[1] > last:
            log.write_bytes(content[: record.end] + bytes(len(content) - record.end))
            return told[2], told[1]
        last = told[3] if record.kind == wal.ENTRY else last
    raise AssertionError("it was sent no snapshot")


@pytest.mark.parametrize("lost", [1, 4, 9, 30])
def test_a_log_whose_last_entry_is_torn(lab, succeed, tmp_path, lost):
    """A loss of power in the middle of a write: what is whole is kept."""
    member = lab.cluster("etcd1")[0]
    for number in range(10):
        lab.etcdctl(member, "put", f"/{number}", "z" * 100)
    member.kill()
    (log,) = (member.data_dir / "member" / "wal").glob("0*.wal")
    content = bytearray(log.read_bytes())
    end = len(content.rstrip(b"\0"))
    content[end - lost : end] = bytes(lost)
    log.write_bytes(content)
    taken = succeed("etcd_snapshot", **salvaging(lab, member, tmp_path / "salvaged.db"))
    assert taken["revision"] >= 10


def test_data_that_are_damaged_are_not_salvaged(lab, call, tmp_path):
    member = lab.cluster("etcd1")[0]
    lab.etcdctl(member, "put", "/a", "b")
    member.kill()
    database = member.data_dir / "member" / "snap" / "db"
    database.write_bytes(b"\xff" * database.stat().st_size)
    refused = call("etcd_snapshot", **salvaging(lab, member, tmp_path / "salvaged.db"))
    assert refused["failed"] and "damaged" in refused["msg"] and os.listdir(tmp_path) == []


def test_keys_are_read_page_by_page(lab, source, succeed, monkeypatch):
    from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import keys as etcd_keys

    whole = succeed("etcd_keys_info", since=15, **lab.access(source))
    monkeypatch.setattr(etcd_keys, "PAGE", 3)
    assert succeed("etcd_keys_info", since=15, **lab.access(source)) == whole
    assert {f"/before/{number}" for number in range(20)} <= set(whole["keys"])
    assert [name for name in whole["written"] if name.startswith("/before/")] == sorted(
        f"/before/{number}" for number in range(14, 20)
    )
    earlier = succeed("etcd_keys_info", revision=11, **lab.access(source))
    assert earlier["revision"] == 11 and len(earlier["keys"]) == 10
