# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of a write-ahead log; what etcd makes of it is tried in tests/etcd."""

from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import wal as etcd_wal
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.wal import (
    ENTRY,
    SNAPSHOT,
    STATE,
    End,
    _field,
    commit_all,
    crc32c,
)


def frame(kind: int, data: bytes, crc: int) -> bytes:
    body = _field(1, kind) + _field(2, crc) + b"\x1a" + etcd_wal.varint(len(data)) + data
    padding = -len(body) % 8
    return etcd_wal.FRAME.pack(len(body) | ((0x80 | padding) << 56 if padding else 0)) + body + b"\0" * padding


def log(*records: tuple[int, bytes]) -> bytes:
    crc, out = 0, b""
    for kind, data in records:
        crc = crc32c(data, crc)
        out += frame(kind, data, crc)
    return out


def state(term: int, vote: int, commit: int) -> tuple[int, bytes]:
    return STATE, _field(1, term) + _field(2, vote) + _field(3, commit)


def entry(term: int, index: int) -> tuple[int, bytes]:
    return ENTRY, _field(2, term) + _field(3, index)


def snapshot(term: int, index: int) -> tuple[int, bytes]:
    return SNAPSHOT, _field(1, index) + _field(2, term)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "0000000000000000-0000000000000000.wal"


def test_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


def test_all_is_committed(path):
    path.write_bytes(log(state(3, 7, 4), entry(3, 5), entry(3, 6)) + bytes(4096))
    assert commit_all(str(path.parent)) == End(3, 6)
    assert path.read_bytes() == log(state(3, 7, 4), entry(3, 5), entry(3, 6), state(3, 7, 6))
    assert commit_all(str(path.parent)) == End(3, 6)
    assert path.read_bytes() == log(state(3, 7, 4), entry(3, 5), entry(3, 6), state(3, 7, 6)), (
        "a second time something was appended"
    )


def test_what_is_committed_is_left_alone(path):
    whole = log(state(3, 7, 6), entry(3, 6)) + bytes(512)
    path.write_bytes(whole)
    assert commit_all(str(path.parent)) == End(3, 6) and path.read_bytes() == whole


def test_a_torn_entry_is_dropped(path):
    whole = log(state(3, 7, 4), entry(3, 5), entry(4, 6))
    path.write_bytes(whole[:-6] + bytes(6 + 512))
    assert commit_all(str(path.parent)) == End(3, 5)
    assert path.read_bytes() == log(state(3, 7, 4), entry(3, 5), state(3, 7, 5))


def end_of(path, *records: tuple[int, bytes]) -> End:
    path.write_bytes(log(*records) + bytes(4096))
    return commit_all(str(path.parent))


def test_a_snapshot_of_the_leader_is_the_end_of_a_log(path):
    """As of a follower that was away since term 3: it was sent the state at index 1000, and no entry since."""
    records = [snapshot(0, 0), state(3, 7, 4), entry(3, 5), entry(3, 6), snapshot(5, 1000), state(5, 0, 1000)]
    assert end_of(path, *records) == End(5, 1000)
    assert path.read_bytes() == log(*records) + bytes(4096), "what is committed was declared so again"
    assert end_of(path, *records, entry(5, 1001)) == End(5, 1001)


def test_a_snapshot_before_its_state_is_committed(path):
    """etcd writes the record of the snapshot first, and passes over a snapshot that is not committed."""
    records = [snapshot(0, 0), state(3, 7, 4), entry(3, 5), snapshot(5, 1000)]
    assert end_of(path, *records) == End(5, 1000)
    assert path.read_bytes() == log(*records, state(5, 7, 1000))


def test_a_torn_snapshot_is_dropped(path):
    whole = log(snapshot(0, 0), state(3, 7, 5), entry(3, 5), snapshot(5, 1000))
    path.write_bytes(whole[:-3] + bytes(3 + 512))
    assert commit_all(str(path.parent)) == End(3, 5)


def test_a_snapshot_of_its_own_is_not_the_end(path):
    """Each member takes them of what it has applied, with entries after it in the log already."""
    entries = [entry(3, 5), entry(4, 6), entry(4, 7)]
    assert end_of(path, snapshot(0, 0), *entries, snapshot(3, 5), state(4, 7, 5)) == End(4, 7)
    assert end_of(path, snapshot(0, 0), *entries, snapshot(4, 6), state(4, 7, 5)) == End(4, 7)
    assert end_of(path, snapshot(0, 0), *entries, snapshot(4, 7), state(4, 7, 7)) == End(4, 7)


def test_the_first_file_that_is_left_begins_in_the_middle(path):
    """etcd removes the files before a snapshot: what is not known is not of another term."""
    assert end_of(path, state(4, 7, 900), entry(4, 901), entry(4, 902), snapshot(3, 890)) == End(4, 902)


def test_a_snapshot_replaces_entries_that_no_majority_had(path):
    """A former leader has written alone to index 1100; the leader of a later term sends it the state at index 1000."""
    alone = [entry(3, 999), entry(3, 1000), entry(3, 1100)]
    records = [snapshot(0, 0), state(3, 7, 900), *alone, snapshot(5, 1000)]
    assert end_of(path, *records) == End(5, 1000)
    assert path.read_bytes() == log(*records, state(5, 7, 1000)), "entries that were never acknowledged are committed"


def test_entries_are_replaced_by_those_of_a_later_leader(path):
    """Also by earlier terms: that a term was in the log once says nothing of its end."""
    records = [snapshot(0, 0), state(3, 7, 5), entry(2, 5), entry(3, 6), entry(3, 7), entry(2, 6)]
    assert end_of(path, *records) == End(2, 6)
    assert end_of(path, *records, entry(4, 7)) == End(4, 7)


def test_a_log_goes_on_in_the_next_file(path):
    path.write_bytes(log(snapshot(0, 0), entry(3, 5), snapshot(5, 1000)))
    path.with_name("0000000000000001-00000000000003e9.wal").write_bytes(log(state(5, 7, 1000)) + bytes(512))
    assert commit_all(str(path.parent)) == End(5, 1000)


def test_no_log_is_told(tmp_path, path):
    with pytest.raises(EtcdError, match="no write-ahead log"):
        commit_all(str(tmp_path))
    path.write_bytes(bytes(4096))
    with pytest.raises(EtcdError, match="has no record"):
        commit_all(str(tmp_path))
