# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of a write-ahead log; what etcd makes of it is tried in tests/etcd."""

from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import wal as etcd_wal
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.wal import (
    ENTRY,
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


def test_no_log_is_told(tmp_path, path):
    with pytest.raises(EtcdError, match="no write-ahead log"):
        commit_all(str(tmp_path))
    path.write_bytes(bytes(4096))
    with pytest.raises(EtcdError, match="has no record"):
        commit_all(str(tmp_path))
