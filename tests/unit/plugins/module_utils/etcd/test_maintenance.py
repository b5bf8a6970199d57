# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When etcd's database is due for care, and what stands against it; what a snapshot's file tells. tests/etcd tries it on real members."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.commands import Result
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import maintenance as etcd_maintenance
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import snapshot as etcd_snapshot
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import (
    Cluster,
    EtcdError,
    Member,
    Refused,
    Status,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.maintenance import MaintenanceSpec, plan

MIB = 1024**2
GIB = 1024**3


def member(
    number: int,
    size: int = 200 * MIB,
    used: int = 20 * MIB,
    dead: bool = False,
    alarms: tuple[str, ...] = (),
    learner: bool = False,
) -> Member:
    status = (
        None
        if dead
        else Status(f"https://192.0.2.{number}:2379", db_size=size, db_size_in_use=used, quota=GIB, revision=1000)
    )
    return Member(number, f"etcd{number}", (), (), learner, not dead, "it is dead" if dead else "", 1.0, status, alarms)


def cluster(*members: Member) -> Cluster:
    return Cluster(1, members, 1)


THREE = cluster(member(1), member(2), member(3))
DEFRAGMENT = MaintenanceSpec(defragment=True)


def kinds(now: Cluster, spec: MaintenanceSpec, compacted: bool = False) -> list[str]:
    return [step.kind for step in plan(now, now.members[0], spec, compacted)]


@pytest.mark.parametrize(
    ("size", "used", "due"),
    [
        (200, 20, True),
        (200, 109, True),
        (200, 110, False),
        (200, 199, False),
        (99, 1, False),
        (100, 1, True),
        (0, 0, False),
    ],
)
def test_when_defragmentation_is_due(size, used, due):
    assert bool(kinds(cluster(member(1, size * MIB, used * MIB)), DEFRAGMENT)) is due


def test_a_full_member_is_due_whatever_is_counted():
    full, fuller = member(1, 900 * MIB, 890 * MIB), member(2, 900 * MIB, alarms=("NOSPACE",))
    assert kinds(cluster(full, fuller), DEFRAGMENT) == ["defragment"]
    assert kinds(cluster(full, member(2)), DEFRAGMENT) == []
    assert kinds(cluster(member(1, 500 * MIB, 490 * MIB), fuller), DEFRAGMENT) == []


@pytest.mark.parametrize(
    ("now", "borne"),
    [
        (cluster(member(1)), True),
        (cluster(member(1), member(2)), True),
        (THREE, True),
        (cluster(member(1), member(2), member(3, dead=True)), False),
        (cluster(*(member(number) for number in range(1, 5)), member(5, dead=True)), True),
        (cluster(member(1, learner=True), member(2), member(3), member(4, dead=True)), True),
    ],
)
def test_what_quorum_bears(now, borne):
    if borne:
        assert kinds(now, DEFRAGMENT) == ["defragment"]
    else:
        with pytest.raises(Refused, match=r"etcd1 is not defragmented.*etcd3: it is dead.*Fix: start etcd3 first"):
            plan(now, now.members[0], DEFRAGMENT, False)
    if all(each.healthy for each in now.members):
        assert kinds(now, MaintenanceSpec()) == []


def test_a_dead_member_is_not_defragmented():
    with pytest.raises(Refused, match="does not answer: it is dead"):
        kinds(cluster(member(1, dead=True), member(2), member(3)), DEFRAGMENT)


def test_disarming():
    alarmed = cluster(member(1, alarms=("NOSPACE", "CORRUPT")), member(2, alarms=("NOSPACE",)), member(3))
    assert kinds(alarmed, MaintenanceSpec()) == []
    assert kinds(alarmed, MaintenanceSpec(disarm=("NOSPACE",))) == ["disarm", "disarm"]
    assert kinds(alarmed, MaintenanceSpec(disarm=("CORRUPT",))) == ["disarm"]
    assert kinds(THREE, MaintenanceSpec(disarm=("NOSPACE", "CORRUPT"))) == []
    full = cluster(member(1, GIB, alarms=("NOSPACE",)), member(2, GIB - MIB), member(3, GIB - 2 * MIB))
    with pytest.raises(Refused) as refused:
        plan(full, full.members[0], MaintenanceSpec(disarm=("NOSPACE",)), False)
    assert len(refused.value.problems) == 2
    assert kinds(cluster(full.members[0], THREE.members[1]), MaintenanceSpec(disarm=("NOSPACE",), defragment=True)) == [
        "defragment",
        "disarm",
    ]


def test_compaction():
    assert kinds(THREE, MaintenanceSpec(compact_revision=1000)) == ["compact"]
    assert kinds(THREE, MaintenanceSpec(compact_revision=1000), compacted=True) == []
    with pytest.raises(Refused, match="1001 is in the future, the cluster is at 1000"):
        kinds(THREE, MaintenanceSpec(compact_revision=1001))
    # What it gives back is not known before.
    small = cluster(member(1, MIB, MIB))
    assert kinds(small, MaintenanceSpec(compact_revision=1000, defragment=True)) == ["compact", "defragment"]
    assert kinds(small, MaintenanceSpec(compact_revision=1000, defragment=True), compacted=True) == []


def test_no_quorum():
    with pytest.raises(Refused, match="the cluster has no quorum"):
        kinds(
            cluster(member(1, alarms=("CORRUPT",)), member(2, dead=True), member(3, dead=True)),
            MaintenanceSpec(disarm=("CORRUPT",)),
        )


# --- etcd 3.5, which tells its quota among the metrics alone


class Older(http.server.BaseHTTPRequestHandler):
    metrics = b""

    def do_GET(self) -> None:
        self._answer(self.metrics)

    def do_POST(self) -> None:
        self._answer(
            json.dumps(
                {"header": {"member_id": "7", "revision": "9"}, "version": "3.5.9", "dbSize": "50", "dbSizeInUse": "10"}
            ).encode()
        )

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused) -> None:
        pass


@pytest.mark.parametrize(
    ("metrics", "quota", "used"),
    [
        (b"a 1\netcd_server_quota_backend_bytes 8.589934592e+09\nb 2\n", 8 * GIB, 0),
        (b"etcd_server_quota_backend_bytes 0\n", 2 * GIB, 0),
        (b"", 0, None),
    ],
)
def test_the_quota_of_an_older_etcd(metrics, quota, used):
    Older.metrics = metrics
    with http.server.HTTPServer(("127.0.0.1", 0), Older) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        client = etcd.Etcd([endpoint], etcd.Tls())
        status = client._status(endpoint)
        assert client.identity(endpoint) == 7
        server.shutdown()
    assert (status.quota, status.quota_used, status.fragmentation, status.version) == (quota, used, 80, "3.5.9")


# --- a snapshot's file


def test_the_hash_that_a_member_appends(tmp_path):
    database = b"x" * 4096
    path = tmp_path / "etcd.db"
    for content, agrees in (
        (database + hashlib.sha256(database).digest(), True),
        (database + hashlib.sha256(b"other").digest(), False),
        (database, None),
        (database + b"\0" * 31, None),
    ):
        path.write_bytes(content)
        assert etcd_snapshot.digest(str(path)) == (hashlib.sha256(content).hexdigest(), agrees)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"level":"info","msg":"a"}\nError: snapshot missing hash\n', "snapshot missing hash"),
        ('{"level":"fatal","msg":"failed","error":"open x: no such file"}\n', "open x: no such file"),
        ("usage\nunknown flag: --bump-revision\n", "unknown flag: --bump-revision"),
        ("", "no output"),
    ],
)
def test_the_cause_that_a_command_names(tmp_path, text, cause):
    (tmp_path / "etcdutl").touch(mode=0o755)
    commands = etcd_snapshot.Commands(str(tmp_path), lambda *argv, timeout: Result(1, "", text))
    with pytest.raises(EtcdError, match=r"^etcdutl snapshot restore failed: ") as error:
        commands.etcdutl(["snapshot", "restore", "x"], MIB)
    assert str(error.value).endswith(cause)
    with pytest.raises(EtcdError, match="etcdctl is not there"):
        commands.etcdctl(["version"], 0)


def test_a_command_that_does_not_end_is_ended(tmp_path, monkeypatch):
    """As of a member that stops to send its snapshot, without an end of the connection."""
    (tmp_path / "etcdctl").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "etcdctl").chmod(0o755)
    asked = []
    monkeypatch.setattr(etcd_snapshot, "seconds_for", lambda size: asked.append(size) or 0.2)
    with pytest.raises(EtcdError, match=r"^etcdctl snapshot save was ended: .* database of 1[.]0 MiB .*Fix: ") as error:
        etcd_snapshot.Commands(str(tmp_path)).etcdctl(["--key=x", "snapshot", "save", "x"], MIB)
    assert "still running after 0.2 s" in str(error.value) and asked == [MIB]


def test_the_report_is_for_people_and_tools():
    outcome = etcd_maintenance.Outcome(
        member(1), member(1, 20 * MIB), THREE, tuple(plan(THREE, THREE.members[0], DEFRAGMENT, False))
    )
    told = etcd_maintenance.report(outcome)
    assert told["steps"] == ["defragment etcd1 (200.0 MiB, of which 20.0 MiB are in use)"]
    assert (told["db_size_before"], told["db_size"]) == (200 * MIB, 20 * MIB)
