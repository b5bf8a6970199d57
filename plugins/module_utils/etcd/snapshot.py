# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of etcd: taken from a member, and verified.

etcd's own commands do the work (etcdctl, etcdutl). What is here makes it atomic, and verifies the result.
Source: https://etcd.io/docs/v3.6/op-guide/recovery/
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import typing as t
from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.commands import (
    TIMED_OUT,
    Result,
    run,
    seconds_for,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import size as in_words
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError

CHUNK = 1024 * 1024
# A member appends the SHA-256 of a snapshot to it; the database itself consists of pages, so a remainder shows that it is there.
HASH_SIZE = 32
PAGE_DIVISOR = 512


class Run(t.Protocol):
    """common/commands.run, or like it."""

    def __call__(self, *argv: str, timeout: float) -> Result: ...


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot that was verified. *hash* is etcd's own, of keys and values; *sha256* that of the file."""

    path: str
    size: int
    sha256: str
    hash: str
    revision: int
    total_keys: int
    version: str

    def report(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Commands:
    """etcd's commands on this host. Each has as much time as a database of *size* bytes needs."""

    bin_dir: str
    run: Run = run

    def etcdctl(self, words: Sequence[str], size: int) -> str:
        return self._run("etcdctl", words, size)

    def etcdutl(self, words: Sequence[str], size: int) -> str:
        """etcd 3.4 has no etcdutl yet; its etcdctl has the same subcommands."""
        alone = not os.path.exists(os.path.join(self.bin_dir, "etcdutl")) and os.path.exists(
            os.path.join(self.bin_dir, "etcdctl")
        )
        return self._run("etcdctl" if alone else "etcdutl", words, size)

    def _run(self, name: str, words: Sequence[str], size: int) -> str:
        command = os.path.join(self.bin_dir, name)
        if not os.access(command, os.X_OK):
            raise EtcdError(
                f"{command} is not there, or cannot be run. Fix: install etcd on this host, or name the directory of its commands (bin_dir)"
            )
        status, output, errors = self.run(command, *words, timeout=seconds_for(size))
        what = " ".join([name, *[word for word in words if not word.startswith("-")][:2]])
        if status == TIMED_OUT:
            raise EtcdError(
                f"{what} was ended: it was {errors}, and a database of {in_words(size)} needs less. "
                "Fix: see why the member (journalctl -u etcd) or the disk (dmesg) does not go on, and run again"
            )
        if status != 0:
            raise EtcdError(f"{what} failed: {cause_of(errors or output)}")
        return output


def cause_of(text: str) -> str:
    """The last line that is no log entry, or the error of the last log entry."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("Error:"):
            return line[len("Error:") :].strip()
        if not line.startswith("{"):
            return line
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("error"):
            return str(entry["error"])
    return lines[-1] if lines else "no output"


def digest(path: str) -> tuple[str, bool | None]:
    """SHA-256 of a file, and whether the hash that a member appended agrees; None where there is none."""
    size = os.stat(path).st_size
    appended = size % PAGE_DIVISOR == HASH_SIZE
    content = size - HASH_SIZE if appended else size
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while content:
            block = file.read(min(CHUNK, content))
            if not block:
                raise EtcdError(f"{path} became shorter while it was read. Fix: run again when nothing writes to it")
            hasher.update(block)
            content -= len(block)
        if not appended:
            return hasher.hexdigest(), None
        expected, trailer = hasher.digest(), file.read(HASH_SIZE)
    hasher.update(trailer)
    return hasher.hexdigest(), trailer == expected


def verify(commands: Commands, path: str, sha256: str | None = None, hash_check: bool = True) -> Snapshot:
    """Verify that the snapshot at *path* is complete. Raises EtcdError with what is wrong.

    *hash_check* false is for a database that was copied out of a data directory, to which no member appended a hash.
    """
    if not os.path.isfile(path):
        raise EtcdError(f"{path} is not there, or is no file. Fix: name a snapshot on this host")
    found, agrees = digest(path)
    if sha256 and found != sha256.lower():
        raise EtcdError(
            f"{path} is damaged: its SHA-256 is {found}, and {sha256.lower()} was expected. Fix: take another copy"
        )
    if agrees is None and hash_check:
        raise EtcdError(
            f"{path} is damaged, or no snapshot: it does not end with the hash that a member appends. "
            "Fix: take another copy; for a copy of member/snap/db, skip the check of the hash"
        )
    if agrees is False:
        raise EtcdError(f"{path} is damaged: it does not match the hash at its end. Fix: take another copy")
    try:
        status = json.loads(commands.etcdutl(["snapshot", "status", path, "--write-out=json"], os.stat(path).st_size))
        return Snapshot(
            path=path,
            size=os.stat(path).st_size,
            sha256=found,
            hash=f"{status['hash']:08x}",
            revision=status["revision"],
            total_keys=status["totalKey"],
            version=status.get("version", ""),
        )
    except EtcdError as error:
        raise EtcdError(f"{path} is damaged, or no snapshot: {error}. Fix: take another copy") from error
    except (ValueError, KeyError) as error:
        raise EtcdError(
            f"etcdutl snapshot status printed nothing that could be read of {path}: {error}. Fix: install the etcdutl of the cluster's version"
        ) from error


def source(client: Etcd, consistent: bool) -> tuple[str, int]:
    """The endpoint of which a snapshot is to be taken, and the revision that it must have. Raises EtcdError when it would miss a write."""
    endpoint = client.endpoints[0]
    if not consistent:
        return endpoint, 0
    try:
        return endpoint, client.read_index(endpoint)
    except EtcdError as error:
        fix = "name a voting member of a cluster with quorum; consistent: false takes what this member has"
        raise EtcdError(
            f"no snapshot was taken, because it might miss acknowledged writes: {error}. Fix: {fix}"
        ) from error


def take(commands: Commands, client: Etcd, options: Sequence[str], path: str, consistent: bool) -> Snapshot:
    """Take a snapshot of the member at the first endpoint, verify it, and only then put it at *path*, with mode 0600."""
    directory = os.path.dirname(path)
    endpoint, revision = source(client, consistent)
    with files.lock(directory):
        temporary = files.temporary_of(path)
        try:
            for leftover in (temporary, temporary + ".part"):
                files.remove(leftover)
            commands.etcdctl(
                [f"--endpoints={endpoint}", *options, "snapshot", "save", temporary], client.database_size(endpoint)
            )
            taken = verify(commands, temporary)
            os.chmod(temporary, files.SECRET)
            if taken.revision < revision:
                raise EtcdError(
                    f"the snapshot of {endpoint} is of revision {taken.revision}, but {revision} was acknowledged before. Fix: take it from another member"
                )
            files.sync(temporary)
            files.move(temporary, path, sync=True)
        finally:
            files.remove(temporary)
            files.remove(temporary + ".part")
    return dataclasses.replace(taken, path=path)
