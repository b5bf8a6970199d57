# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of archives: one is made and proved there, the surplus ones go; and a directory that one is extracted to."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import stat
import time
import typing as t
from datetime import datetime, timedelta, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.archive import (
    CLUSTER,
    MANIFEST,
    PLAIN,
    SUM,
    TIME,
    BackupError,
    Item,
    Manifest,
    Refused,
    Staging,
    check_sum,
    read_archive,
    read_sum,
    time_of,
    verify,
    write_archive,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.gather import Source, gather
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.keys import read_recipients
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files


@dataclasses.dataclass(frozen=True)
class Archive:
    """An archive in a directory, as its name tells."""

    path: str
    cluster: str
    time: datetime
    encrypted: bool

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def report(self, now: datetime) -> dict[str, t.Any]:
        return {
            "path": self.path,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "age_hours": round((now - self.time).total_seconds() / 3600, 1),
            "size": os.stat(self.path).st_size,
            "encrypted": self.encrypted,
            "sha256": read_sum(self.path) or "",
        }


def archives(directory: str, cluster: str) -> list[Archive]:
    """Archives of *cluster*, the newest first. Whatever else lies in the directory is not ours."""
    pattern = re.compile(re.escape(cluster) + r"-(\d{8}T\d{6}Z)" + re.escape(PLAIN) + r"(\.age)?")
    found = []
    for name in files.names(directory):
        match = pattern.fullmatch(name)
        path = os.path.join(directory, name)
        if match and stat.S_ISREG(os.lstat(path).st_mode):
            with contextlib.suppress(ValueError):
                found.append(Archive(path, cluster, time_of(match[1]), bool(match[2])))
    return sorted(found, key=lambda archive: (archive.time, archive.name), reverse=True)


def expired(
    found: t.Sequence[Archive],
    keep: int,
    keep_days: int,
    now: datetime,
    is_good: t.Callable[[Archive], bool],
    fresh: Archive | None = None,
) -> tuple[list[Archive], list[Archive]]:
    """Of archives, the newest first: those that go, and those among the others that are damaged.

    *keep* good ones stay, and none that is older than *keep_days* (0: no limit). A damaged one takes nobody's place. The newest good one stays,
    whatever its age, and so does *fresh*, whatever its time. Nothing is read when there is nothing to remove.
    """

    def old(archive: Archive) -> bool:
        return bool(keep_days) and now - archive.time > timedelta(days=keep_days)

    if not (keep and len(found) > keep) and not any(old(archive) for archive in found):
        return [], []
    going, damaged, good = [], [], 0
    for archive in found:
        whole = archive == fresh or is_good(archive)
        surplus = bool(keep) and good >= keep
        if archive != fresh and (surplus or (old(archive) and (good or not whole))):
            going.append(archive)
        elif not whole:
            damaged.append(archive)
        good += whole
    if not good:
        return [], [*damaged, *going]
    return going, damaged


@dataclasses.dataclass(frozen=True)
class Made:
    archive: Archive
    manifest: Manifest
    sha256: str
    removed: tuple[Archive, ...]
    damaged: tuple[Archive, ...]


@dataclasses.dataclass(frozen=True)
class Order:
    """What archive is to be made, and which of the others stay."""

    directory: str
    cluster: str
    sources: tuple[Source, ...]
    settings: str | None = None
    versions: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    revision: int | None = None
    recipients: tuple[str, ...] = ()
    keep: int = 0
    keep_days: int = 0


def is_good(archive: Archive) -> bool:
    try:
        if read_sum(archive.path) is not None:
            check_sum(archive.path)
        else:
            verify(archive.path)
    except BackupError:
        return False
    return True


def make(
    order: Order, check_mode: bool = False, now: t.Callable[[], datetime] = lambda: datetime.now(timezone.utc)
) -> Made:
    """Make an archive, prove it, put it into its place with its sum, and remove those that need not stay. Raises BackupError."""
    if not CLUSTER.fullmatch(order.cluster):
        raise Refused(
            [f"cluster: {order.cluster!r} cannot be part of a file's name; use letters, digits, dots and hyphens"]
        )
    recipients = read_recipients(order.recipients) if order.recipients else []
    with contextlib.ExitStack() as held:
        if not check_mode:
            files.make_directory(order.directory)
            held.enter_context(files.lock(order.directory))
            files.remove_leftovers(order.directory)
        for source in order.sources:
            # So that no certificate is read whose key is just being replaced.
            if os.path.isfile(os.path.join(source.src, ".lock")):
                held.enter_context(files.lock(os.path.join(source.src, ".lock"), create=False))
        archive = _next(order, now)
        items = gather(order.sources, order.settings)
        manifest = Manifest(
            order.cluster, archive.time, tuple(item.entry for item in items), order.versions, order.revision
        )
        digest = "" if check_mode else _put(archive, manifest, items, recipients)
        found = archives(order.directory, order.cluster)
        if check_mode:
            found = sorted([archive, *found], key=lambda each: each.time, reverse=True)
        going, damaged = expired(found, order.keep, order.keep_days, archive.time, is_good, archive)
        if not check_mode:
            _remove(order, going)
    return Made(archive, manifest, digest, tuple(going), tuple(damaged))


def _next(order: Order, now: t.Callable[[], datetime]) -> Archive:
    """The archive of this second. One that has its name already was made in the same second, so the next is waited for."""
    while True:
        moment = now().replace(microsecond=0)
        path = os.path.join(order.directory, f"{order.cluster}-{moment.strftime(TIME)}{PLAIN}")
        if not any(os.path.lexists(path + suffix) for suffix in ("", ".age")):
            return Archive(path + (".age" if order.recipients else ""), order.cluster, moment, bool(order.recipients))
        time.sleep(0.1)


def _put(archive: Archive, manifest: Manifest, items: t.Sequence[Item], recipients: t.Sequence[t.Any]) -> str:
    name = os.path.basename(archive.path)
    temporary = files.temporary_of(archive.path)
    try:
        digest = write_archive(temporary, manifest, items, recipients)
        # First the sum: an archive never stands without one.
        files.write(temporary + SUM, f"{digest}  {name}\n".encode(), files.SECRET)
        check_sum(temporary)
        if not recipients:
            read_archive(temporary)
        files.move(temporary + SUM, archive.path + SUM)
        files.move(temporary, archive.path, sync=True)
    except OSError as error:
        raise BackupError(
            f"{archive.path} cannot be written: {error.strerror or error}. Nothing was left of it, and no other archive was touched"
        ) from error
    finally:
        files.remove(temporary)
        files.remove(temporary + SUM)
    return digest


def _remove(order: Order, going: t.Sequence[Archive]) -> None:
    for archive in going:
        files.remove(archive.path)
        files.remove(archive.path + SUM)
    # What a run left that was killed between the two.
    pattern = re.compile(re.escape(order.cluster) + r"-\d{8}T\d{6}Z" + re.escape(PLAIN) + r"(\.age)?" + re.escape(SUM))
    for name in files.names(order.directory):
        path = os.path.join(order.directory, name)
        if pattern.fullmatch(name) and not os.path.lexists(path[: -len(SUM)]):
            files.remove(path)


# --- extracting


def extract(
    path: str, directory: str, identities: t.Sequence[t.Any] = (), check_mode: bool = False
) -> tuple[Manifest, bool]:
    """Extract an archive to *directory*, which appears whole or not at all; tells whether it had to. Raises Damaged and BackupError."""
    directory = os.path.abspath(directory)
    present = os.listdir(directory) if os.path.isdir(directory) else []
    if present or check_mode:
        manifest = read_archive(path, identities)
        if present and not _holds(directory, manifest):
            raise BackupError(
                f"{directory} has other files than the archive, and nothing was changed. Name a directory that is empty or not there"
            )
        return manifest, not present
    parent = os.path.dirname(directory)
    files.make_directory(parent)
    with files.lock(parent), files.temporary_directory(directory) as temporary:
        manifest = read_archive(path, identities, Staging(temporary))
        files.write(os.path.join(temporary, MANIFEST), manifest.to_json(), files.SECRET)
        os.sync()
        files.move(temporary, directory, sync=True)
    return manifest, True


def _holds(directory: str, manifest: Manifest) -> bool:
    """Whether a directory has exactly the archive's files."""
    try:
        items = gather([Source(directory, "root")], None)
    except BackupError:
        return False
    found = {os.path.relpath(item.entry.path, "root"): (item.entry.sha256, item.entry.mode) for item in items}
    found.pop(MANIFEST, None)
    return found == {entry.path: (entry.sha256, entry.mode) for entry in manifest.entries}
