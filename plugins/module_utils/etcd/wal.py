# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a member's write-ahead log, for when its cluster is lost.

A write is acknowledged once a majority has it in its log. That it is committed each member learns a moment later, and writes down later still. An
etcd that is to continue alone (--force-new-cluster) discards what it does not know to be committed, and with it what was acknowledged last. So in
a copy of the log all that is in it is declared committed first. What was never acknowledged may come with it: its client was told nothing of its fate.

A member that was far behind is sent a snapshot in place of entries. Its log then has a record of that snapshot, and the snapshot is the end of its
log until the next entry.

The format: go.etcd.io/etcd/server/v3/storage/wal (encoder.go, decoder.go), walpb/record.proto, raftpb/raft.proto.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError

ENTRY, STATE, CRC, SNAPSHOT = 2, 3, 4, 5
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
    """Declare all of the log committed. Raises EtcdError for a log that cannot be read."""
    names = sorted(name for name in os.listdir(directory) if name.endswith(".wal"))
    if not names:
        raise EtcdError("the data are damaged: there is no write-ahead log. Fix: use another member's data")
    log = Log()
    for name in names:
        path = os.path.join(directory, name)
        with open(path, "rb") as file:
            content = file.read()
        last = before = None
        for record in _records(content):
            if last:
                log.add(last)
            before, last = last, record
        if last and name != names[-1]:
            log.add(last)
    if last is None:
        raise EtcdError(f"the data are damaged: {names[-1]} has no record. Fix: use another member's data")
    torn = before is not None and last.kind != CRC and crc32c(last.data, before.crc) != last.crc
    if torn and before:
        # By a loss of power, before anybody was told that it is there.
        last = before
    else:
        log.add(last)
    if torn or log.end.index > log.commit:
        state = _field(1, max(log.term, log.end.term)) + _field(2, log.vote) + _field(3, max(log.end.index, log.commit))
        _append(path, last, state)
    return log.end


class Log:
    """What a log tells up to a record: raft's state (*term*, *vote*, *commit*), and which entries are in force."""

    def __init__(self) -> None:
        self.term = self.vote = self.commit = self.index = 0
        # The first index of each term, in order: an entry may be replaced by one of another term, and a snapshot replaces all of them.
        self.terms: list[tuple[int, int]] = []

    @property
    def end(self) -> End:
        return End(self.terms[-1][1] if self.terms else 0, self.index)

    def add(self, record: Record) -> None:
        if record.kind == STATE:
            state = fields(record.data)
            self.term, self.vote, self.commit = _integer(state, 1), _integer(state, 2), _integer(state, 3)
        elif record.kind == ENTRY:
            entry = fields(record.data)
            self._append(_integer(entry, 3), _integer(entry, 2))
        elif record.kind == SNAPSHOT:
            snapshot = fields(record.data)
            self._restore(_integer(snapshot, 1), _integer(snapshot, 2))

    def _append(self, index: int, term: int) -> None:
        """An entry takes the place of that with its index, and of those after it."""
        while self.terms and self.terms[-1][0] >= index:
            self.terms.pop()
        if not self.terms or self.terms[-1][1] != term:
            self.terms.append((index, term))
        self.index = index

    def _restore(self, index: int, term: int) -> None:
        """One of the member's own is of entries that it has. One that a leader sent replaces the log, as in raft.go, restore()."""
        known = next((known for first, known in reversed(self.terms) if first <= index), term)
        if index > self.index or known != term:
            self.terms, self.index = [(index, term)], index


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
            fields(data if isinstance(data, bytes) and _integer(found, 1) in (ENTRY, STATE, SNAPSHOT) else b"")
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
