# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a member's write-ahead log, for when its cluster is lost.

A write is acknowledged once a majority has it in its log. That it is committed each member learns a moment later, and writes down later still. An
etcd that is to continue alone (--force-new-cluster) discards what it does not know to be committed, and with it what was acknowledged last. So in
a copy of the log all that is in it is declared committed first. What was never acknowledged may come with it: its client was told nothing of its fate.

The format: go.etcd.io/etcd/server/v3/storage/wal (encoder.go, decoder.go), walpb/record.proto, raftpb/raft.proto.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError

ENTRY, STATE, CRC = 2, 3, 4
FRAME = struct.Struct("<Q")
LENGTH = (1 << 56) - 1
_CASTAGNOLI = 0x82F63B78


@dataclasses.dataclass(frozen=True)
class Record:
    start: int
    end: int
    kind: int
    crc: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class End:
    """Term and index of the last entry, by which raft tells which of two logs is the newer one."""

    term: int
    index: int


def commit_all(directory: str) -> End:
    """Declare all entries of the log committed. Raises EtcdError for a log that cannot be read."""
    names = sorted(name for name in os.listdir(directory) if name.endswith(".wal"))
    if not names:
        raise EtcdError("the data are damaged: there is no write-ahead log. Fix: use another member's data")
    known = Known()
    for name in names:
        path = os.path.join(directory, name)
        with open(path, "rb") as file:
            content = file.read()
        last = before = None
        earlier = known
        for record in _records(content):
            before, last = last, record
            earlier, known = known, known.after(record)
    if last is None:
        raise EtcdError(f"the data are damaged: {names[-1]} has no record. Fix: use another member's data")
    torn = before is not None and last.kind != CRC and crc32c(last.data, before.crc) != last.crc
    if torn and before:
        # By a loss of power, before anybody was told that it is there.
        last, known = before, earlier
    if torn or known.index > known.commit:
        state = (
            _field(1, max(known.term, known.entry_term))
            + _field(2, known.vote)
            + _field(3, max(known.index, known.commit))
        )
        _append(path, last, state)
    return End(known.entry_term, max(known.index, known.commit))


@dataclasses.dataclass(frozen=True)
class Known:
    """What a log tells up to a record: raft's state, and the last entry."""

    term: int = 0
    vote: int = 0
    commit: int = 0
    entry_term: int = 0
    index: int = 0

    def after(self, record: Record) -> Known:
        if record.kind == STATE:
            state = fields(record.data)
            return dataclasses.replace(
                self, term=_integer(state, 1), vote=_integer(state, 2), commit=_integer(state, 3)
            )
        if record.kind == ENTRY:
            entry = fields(record.data)
            return dataclasses.replace(self, entry_term=_integer(entry, 2), index=_integer(entry, 3))
        return self


def _append(path: str, last: Record, state: bytes) -> None:
    body = _field(1, STATE) + _field(2, crc32c(state, last.crc)) + b"\x1a" + varint(len(state)) + state
    padding = -len(body) % 8
    length = len(body) | ((0x80 | padding) << 56 if padding else 0)
    with open(path, "r+b") as file:
        file.truncate(last.end)
        file.seek(last.end)
        file.write(FRAME.pack(length) + body + b"\0" * padding)
        file.flush()
        os.fsync(file.fileno())


def _records(content: bytes) -> t.Iterator[Record]:
    """Up to the end, or to what was allocated and not written yet, or to what cannot be read: etcd judges that."""
    offset = 0
    while offset + FRAME.size <= len(content):
        (frame,) = FRAME.unpack_from(content, offset)
        size, padding = frame & LENGTH, (frame >> 56) & 7 if frame >> 63 else 0
        end = offset + FRAME.size + size + padding
        if not size or end > len(content):
            return
        try:
            found = fields(content[offset + FRAME.size : offset + FRAME.size + size])
        except (IndexError, ValueError):
            return
        data = found.get(3, b"")
        try:
            fields(data if isinstance(data, bytes) and _integer(found, 1) in (ENTRY, STATE) else b"")
        except (IndexError, ValueError):
            return
        yield Record(offset, end, _integer(found, 1), _integer(found, 2), data if isinstance(data, bytes) else b"")
        offset = end


def fields(message: bytes) -> dict[int, int | bytes]:
    """The fields of a protobuf message by number, of the two kinds that these messages have. Raises ValueError and IndexError for others."""
    found: dict[int, int | bytes] = {}
    offset = 0
    while offset < len(message):
        tag, offset = _read_varint(message, offset)
        value, offset = _read_varint(message, offset)
        if tag & 7 == 0:
            found[tag >> 3] = value
        elif tag & 7 == 2 and offset + value <= len(message):
            found[tag >> 3] = message[offset : offset + value]
            offset += value
        else:
            raise ValueError(f"field of kind {tag & 7}")
    return found


def _integer(message: t.Mapping[int, int | bytes], number: int) -> int:
    value = message.get(number, 0)
    return value if isinstance(value, int) else 0


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def _table() -> tuple[int, ...]:
    values = []
    for value in range(256):
        for _bit in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        values.append(value)
    return tuple(values)


TABLE = _table()


def crc32c(data: bytes, crc: int = 0) -> int:
    """RFC 3720's, continued from *crc*, as Go's crc32.Update does."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
