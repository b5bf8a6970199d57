# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.outcome import (
    BUMP,
    Finished,
    bump_revision,
    losses,
    report,
    restored_last,
    survivor,
)

PLAN = {"done": False, "revision": 100, "origin": "/b/a.tar.gz", "members": ["m1"]}


def test_the_newest_member_that_answers_tells_what_is_lost():
    found = losses(
        {
            "m1": {"revision": 9, "written": ["/registry/old"], "keys": []},
            "m2": {
                "revision": 12,
                "written": ["/registry/secrets/default/a", "/registry/leases/x", "compact_rev_key", "/other"],
                "keys": ["/registry/kept"],
            },
            "m3": {"failed": True},
        },
        ["/registry/kept", "/registry/gone", "/registry/events/e", "compact_rev_key"],
    )
    assert (found.revision, found.written, found.deleted) == (12, ["secrets/default/a", "/other"], ["gone"])
    assert found.lines == [
        "Written after the snapshot, and lost: 2 keys.",
        "secrets/default/a",
        "/other",
        "Deleted after the snapshot, and restored: 1 keys.",
        "gone",
    ]


def test_where_no_member_answers_it_is_not_known():
    found = losses({"m1": {"skipped": True}}, ["/registry/kept"])
    assert found.revision is None and found.written == found.deleted == [] and "not known" in found.lines[0]


def test_where_the_keys_of_the_snapshot_are_not_known_nothing_counts_as_deleted():
    assert losses({"m1": {"revision": 1, "written": [], "keys": ["/registry/a"]}}, []).deleted == []


def test_a_hundred_keys_are_named():
    found = losses({"m1": {"revision": 1, "written": [f"/registry/{number}" for number in range(130)]}}, [])
    assert len(found.lines) == 102 and found.lines[-1] == "... and 30 more"


@pytest.mark.parametrize(
    ("revision", "live", "now", "bump"),
    [
        (100, None, 2_000_000.9, 2_000_000_000 - 100),
        (100, 150, 0, 50 + BUMP),
        (5_000_000_000, None, 1.0, BUMP),
    ],
    ids=["time", "a slow clock", "a clock far behind"],
)
def test_revisions_go_on_above_all_that_were(revision, live, now, bump):
    assert bump_revision(revision, live, now) == bump


def test_the_newest_log_is_taken():
    found = survivor(
        {"m1": read(3, 90, 5), "m2": read(4, 10, 4), "m3": read(4, 11, 6), "m4": {"failed": True, "msg": "is damaged"}}
    )
    assert (found.host, found.sha256, found.revision) == ("m3", read(4, 11, 6)["sha256"], 6)
    assert found.lines == ["m3: revision 6", "m2: revision 4", "m1: revision 5", "m4: is damaged"]
    assert found.problems == ["m4: is damaged"]


def read(term, index, revision):
    return {"raft_term": term, "raft_index": index, "revision": revision, "sha256": f"{term}{index}".rjust(64, "0")}


@pytest.mark.parametrize(
    "wrong", [{"raft_term": "9"}, {"raft_index": None}, {"revision": [1]}, {"sha256": "x"}, {"raft_term": True}]
)
def test_a_host_with_a_wrong_answer_spoils_its_own_part(wrong):
    found = survivor({"m1": {**read(9, 90, 50), **wrong}, "m2": read(4, 10, 4)})
    assert (found.host, found.revision) == ("m2", 4)
    assert found.problems[0].startswith(f"m1: its answer is not believed: {next(iter(wrong))}")


def test_a_message_of_a_host_is_one_line():
    assert survivor({"m1": {"msg": "a\n\x1b[2Jb"}}).problems == ["m1: a ?[2Jb"]


def test_without_readable_data_there_is_no_survivor():
    found = survivor({"m1": {"msg": "is damaged"}, "m2": {"skipped": True}})
    assert found.host == "" and found.problems == ["m1: is damaged", "m2: no data"]


def test_the_report_of_a_restore():
    finished = Finished("/c/prod", "/var/lib/etcd", "/c/prod.before-1", True, ["node9"])
    lines = report(PLAN, finished, check_mode=False)
    assert lines == [
        "The cluster is as at revision 100 (/b/a.tar.gz).",
        "The cluster directory from before: /c/prod.before-1",
        "What was lost is listed in /c/prod/restored.json.",
        "Nodes that the inventory does not have (-e restore_remove_nodes=yes removes them): node9",
        "Old data of etcd, to be removed once all is well: /var/lib/etcd/member.before-* on the members.",
    ]
    removed = report(PLAN, Finished("/c", "/d", nodes_gone=["node9"], nodes_removed=True), check_mode=True)
    assert removed == ["Nodes that the inventory does not have, removed: node9"]


def test_what_was_done_before_has_no_report():
    assert report({**PLAN, "done": True}, Finished("/c", "/d"), check_mode=False) == []


@pytest.mark.parametrize(
    "hostile", ["x", None, 5, [], {}, {"stat": 5}, {"stat": {"mtime": "now"}}, {"stat": {"mtime": 1e300}}]
)
def test_a_time_that_is_none_or_to_come_is_not_believed(hostile):
    assert restored_last({"m1": {"stat": {"mtime": 99.5}}, "m2": hostile}, 100.0) == 99
    assert restored_last({"m2": hostile}, 100.0) == 0


def test_a_survivor_says_all_that_it_is_chosen_by():
    whole = {"revision": 5, "raft_term": 1, "raft_index": 9, "sha256": "a" * 64}
    found = survivor({"m1": {**whole, "raft_term": 7, "sha256": "b" * 64}, "m2": {"revision": 2**40}})
    assert found.host == "m1"
    assert [problem.startswith("m2: its answer is not believed: ") for problem in found.problems] == [True]
