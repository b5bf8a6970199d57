# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The serial of a cluster's directory: one more with each change of the keys, the rotation or the locked artifacts.

Two copies that were changed apart from each other may have the same serial, so each also has a word of its own, and the directory
remembers those it had: a copy that has had the word of another is as new as that one, or newer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.cluster_directory import noted
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

NAME = "serial.json"
#: What of the directory counts. The rest is made from it, or says nothing about the cluster.
COUNTS = ("artifacts.lock", "pki", "rotation.json", "token.csv")
#: Lock files of directories.
SKIPPED = (".lock",)
MOST_WORDS = 1000


class SerialError(HardwayError):
    """The file with the serial cannot be used."""


@dataclasses.dataclass(frozen=True)
class Serial:
    """*words* are those that the directory has had, the current one last; *content* is a digest of what counts."""

    number: int = 0
    words: tuple[str, ...] = ()
    content: str = ""
    restore: str = ""

    @property
    def word(self) -> str:
        return self.words[-1] if self.words else ""


def read(cluster_dir: str) -> Serial:
    """The serial as it was written last; 0 where there is none. Raises SerialError, FileRefused and OSError."""
    path = os.path.join(cluster_dir, NAME)
    content = files.read(path)
    if content is None:
        return Serial()
    try:
        found = json.loads(content.data)
        words = found["words"]
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words) or not words:
            raise ValueError
        return Serial(int(found["serial"]), tuple(words), str(found["content"]), str(found["restore"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SerialError(
            "is damaged",
            where=path,
            fix="take it from a backup, or remove it, and accept this directory with -e cluster_dir_accept=true",
        ) from error


def write(cluster_dir: str, serial: Serial) -> None:
    text = {
        "serial": serial.number,
        "content": serial.content,
        "restore": serial.restore,
        "words": serial.words[-MOST_WORDS:],
    }
    files.write(os.path.join(cluster_dir, NAME), json.dumps(text, indent=1).encode() + b"\n", files.SECRET)


def following(cluster_dir: str, before: Serial, beyond: int = 0, also: tuple[str, ...] = ()) -> Serial:
    """What the serial has to be now: *before* where nothing has changed since.

    A directory that came out of an archive is a change, for others may have the state of which it knows nothing. *beyond* and *also* are
    number and words of another directory that this one takes the place of.
    """
    now = dataclasses.replace(before, content=digest(cluster_dir), restore=noted(cluster_dir))
    if before.words and now == before and not also:
        return before
    number = max(before.number, beyond) + 1
    return dataclasses.replace(now, number=number, words=(*before.words, *also, secrets.token_hex(8)))


def digest(cluster_dir: str) -> str:
    """One sum of all files that count, with their names."""
    total = hashlib.sha256()
    for path in sorted(path for name in COUNTS for path in _files(os.path.join(cluster_dir, name))):
        data = files.read_bytes(path)
        if data is not None:
            total.update(f"{os.path.relpath(path, cluster_dir)}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def _files(path: str) -> Iterator[str]:
    if not files.is_directory(path):
        yield path
        return
    for name in files.names(path):
        if name not in SKIPPED:
            yield from _files(os.path.join(path, name))
