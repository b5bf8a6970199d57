# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that go into an archive, with their hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.archive import (
    CHUNK,
    MANIFEST,
    SETTINGS,
    Entry,
    Item,
    Refused,
    is_inner,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files

# Files of this collection that have no place in an archive: the lock of a directory of certificates.
SKIPPED = frozenset((".lock",))


@dataclasses.dataclass(frozen=True)
class Source:
    """A file or a directory on this host, and the path that it gets in the archive. *sha256* is what a file must have."""

    src: str
    dest: str
    sha256: str | None = None


def gather(sources: t.Sequence[Source], settings: str | None) -> list[Item]:
    """All files below *sources*, with their hashes. Raises Refused with everything that stands against it."""
    problems: list[str] = []
    items: dict[str, Item] = {}

    def put(item: Item) -> None:
        if item.entry.path in items or item.entry.path == MANIFEST:
            problems.append(
                f"files: {item.src} and another file would both be {item.entry.path} in the archive; give them different dest"
            )
        items[item.entry.path] = item

    if settings is not None:
        data = settings.encode()
        put(Item(Entry(SETTINGS, len(data), files.SECRET, hashlib.sha256(data).hexdigest()), data=data))
    for source in sources:
        if not is_inner(source.dest):
            problems.append(f"files: dest {source.dest!r} is not a plain relative path, such as etcd/snapshot.db")
            continue
        for src, dest in _below(source, problems):
            try:
                put(_item(src, dest))
            except OSError as error:
                problems.append(f"files: {src} cannot be read: {error.strerror}")
        found = items.get(source.dest)
        if source.sha256 and found and found.entry.sha256 != source.sha256.lower():
            problems.append(
                f"files: {source.src} has the SHA-256 {found.entry.sha256}, and {source.sha256.lower()} was expected. Copy it anew"
            )
    if not items and not problems:
        problems.append("files: there is nothing to put into the archive")
    if problems:
        raise Refused(problems)
    return [items[path] for path in sorted(items)]


def _below(source: Source, problems: list[str]) -> list[tuple[str, str]]:
    src = source.src.rstrip("/") or "/"
    try:
        kind = os.lstat(src).st_mode
    except OSError as error:
        problems.append(f"files: {src}: {error.strerror}")
        return []
    if stat.S_ISREG(kind):
        return [(src, source.dest)]
    if not stat.S_ISDIR(kind):
        problems.append(
            f"files: {src} is neither a file nor a directory (a link is not followed, for it may lead anywhere)"
        )
        return []
    found = []
    for name in sorted(os.listdir(src)):
        if name not in SKIPPED and not files.is_temporary(name):
            found += _below(Source(os.path.join(src, name), os.path.join(source.dest, name)), problems)
    return found


def _item(src: str, dest: str) -> Item:
    hasher = hashlib.sha256()
    with open(os.open(src, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        for block in iter(lambda: file.read(CHUNK), b""):
            hasher.update(block)
        size = file.tell()
    return Item(Entry(dest, size, stat.S_IMODE(status.st_mode) & 0o777, hasher.hexdigest()), src)
