# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of all that a cluster cannot be made anew from: etcd's snapshot, certificates and keys, tokens, settings.

An archive is what its name says, so that no more than C(age -d) and C(tar xzf) is needed to open it: a C(.tar.gz), and with a recipient's key
that one encrypted by age (https://age-encryption.org/v1). In it C(manifest.json) comes first, with the SHA-256 of every file.

A byte that changed anywhere is found. age authenticates all that it encrypts. gzip does not: its header and the last bits of its data count for
nothing. So the archive ends with an empty gzip member, as gzip's format allows, whose comment has the SHA-256 of all before it.
Beside the archive stands C(NAME.sha256), for C(sha256sum --check), and to judge an encrypted one without its key.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import threading
import traceback
import typing as t
import zlib
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

PYRAGE_IMPORT_ERROR: str | None = None
try:
    import pyrage
except ImportError:
    PYRAGE_IMPORT_ERROR = traceback.format_exc()
    pyrage = None

CHUNK = 1024 * 1024
FORMAT = 1
MANIFEST = "manifest.json"
SETTINGS = "settings.json"
MOST_MANIFEST = 64 * 1024**2
PLAIN, ENCRYPTED, SUM = ".tar.gz", ".tar.gz.age", ".sha256"
TIME = "%Y%m%dT%H%M%SZ"
CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
AGE = b"age-encryption.org/v1\n"
# RFC 1952: magic, deflate, flag FCOMMENT, no time, no extra flags, unknown system; and an empty block with its CRC and size.
_MEMBER = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff"
_EMPTY = b"\x03\0" + b"\0" * 8
SEAL_SIZE = len(_MEMBER) + len(b"sha256:") + 64 + 1 + len(_EMPTY)
# Files of this collection that have no place in an archive: the lock of a directory of certificates.
SKIPPED = frozenset((".lock",))


class BackupError(HardwayError):
    """What is wrong, where, and what to do. Nothing half was left."""


class Refused(BackupError):
    """Nothing was written, for each of these reasons."""

    def __init__(self, problems: t.Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class Damaged(BackupError):
    """An archive that is not what was written once."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file of an archive."""

    path: str
    size: int
    mode: int
    sha256: str

    def to_json(self) -> dict[str, t.Any]:
        return {"path": self.path, "size": self.size, "mode": f"{self.mode:04o}", "sha256": self.sha256}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What an archive says of itself. *time* is when it was made, in UTC; *revision* that of etcd's snapshot."""

    cluster: str
    time: datetime
    entries: tuple[Entry, ...]
    versions: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    revision: int | None = None

    def to_json(self) -> bytes:
        content = {
            "format": FORMAT,
            "cluster": self.cluster,
            "time": self.time.strftime(TIME),
            "versions": dict(sorted(self.versions.items())),
            "revision": self.revision,
            "files": [entry.to_json() for entry in self.entries],
        }
        return json.dumps(content, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Raises Damaged for a text that is no manifest, or whose paths lead out of the archive."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise Damaged(
                    f"its format is {content['format']}, and {FORMAT} is known here. Use the release of this collection that made it"
                )
            entries = tuple(
                Entry(item["path"], int(item["size"]), int(item["mode"], 8), item["sha256"])
                for item in content["files"]
            )
            manifest = cls(
                content["cluster"], time_of(content["time"]), entries, content["versions"], content["revision"]
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Damaged(f"{MANIFEST} cannot be read: {type(error).__name__}: {error}") from error
        if not all(is_inner(entry.path) for entry in entries) or len({entry.path for entry in entries}) != len(entries):
            raise Damaged(f"{MANIFEST} has paths that no archive of this collection has")
        return manifest

    def report(self) -> dict[str, t.Any]:
        return {
            "cluster": self.cluster,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "versions": dict(self.versions),
            "revision": self.revision,
            "files": [{"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in self.entries],
        }


@dataclasses.dataclass(frozen=True)
class Item:
    """An entry with where its content is: a file of this host, or *data*."""

    entry: Entry
    src: str | None = None
    data: bytes = b""


def time_of(text: str) -> datetime:
    return datetime.strptime(text, TIME).replace(tzinfo=timezone.utc)


def is_inner(path: t.Any) -> bool:
    """Whether *path* is a plain relative path below the archive's root."""
    return (
        isinstance(path, str)
        and bool(path)
        and path == os.path.normpath(path)
        and not path.startswith(("/", ".."))
        and "\0" not in path
        and path != "."
    )


# --- writing


class _Hashing:
    """A stream to write to, with the SHA-256 of what was written."""

    def __init__(self, stream: t.Any) -> None:
        self.stream = stream
        self.hasher = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hasher.update(data)
        self.stream.write(data)
        return len(data)

    def flush(self) -> None:
        self.stream.flush()


def seal(digest: str) -> bytes:
    return _MEMBER + b"sha256:" + digest.encode() + b"\0" + _EMPTY


def _write_tar(stream: t.Any, manifest: Manifest, items: t.Sequence[Item]) -> None:
    hashing = _Hashing(stream)
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=t.cast(t.Any, hashing), mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        text = manifest.to_json()
        _add(tar, manifest, MANIFEST, files.SECRET, len(text), io.BytesIO(text))
        for item in items:
            _add_item(tar, manifest, item)
    stream.write(seal(hashing.hasher.hexdigest()))


def _add_item(tar: tarfile.TarFile, manifest: Manifest, item: Item) -> None:
    entry = item.entry
    with (
        open(os.open(item.src, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        if item.src
        else io.BytesIO(item.data) as file
    ):
        reader = _Reading(file)
        try:
            _add(tar, manifest, entry.path, entry.mode, entry.size, reader)
        except OSError as error:
            if error.args != ("unexpected end of data",):
                raise
        if reader.hasher.hexdigest() != entry.sha256 or file.read(1):
            raise BackupError(f"{item.src} changed while it was read. Run again when nothing writes it")


def _add(tar: tarfile.TarFile, manifest: Manifest, path: str, mode: int, size: int, stream: t.Any) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, mode, int(manifest.time.timestamp())
    tar.addfile(info, stream)


class _Reading:
    """A stream to read from, with the SHA-256 of what was read."""

    def __init__(self, stream: t.Any) -> None:
        self.stream = stream
        self.hasher = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.hasher.update(data)
        return data


def write_archive(path: str, manifest: Manifest, items: t.Sequence[Item], recipients: t.Sequence[t.Any]) -> str:
    """Write the archive to *path*, which must not exist, durably and with mode 0600; returns its SHA-256."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, files.SECRET)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, files.SECRET)
        hashing = _Hashing(file)
        if recipients:
            _write_encrypted(hashing, manifest, items, recipients)
        else:
            _write_tar(hashing, manifest, items)
        file.flush()
        os.fsync(descriptor)
    return hashing.hasher.hexdigest()


def _write_encrypted(
    stream: _Hashing, manifest: Manifest, items: t.Sequence[Item], recipients: t.Sequence[t.Any]
) -> None:
    """age reads, and the archive is written: a pipe between the two, so that no plain text touches the disk and memory stays small."""
    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def produce() -> None:
        try:
            with os.fdopen(writer, "wb") as pipe:
                _write_tar(pipe, manifest, items)
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    cause: BaseException | None = None
    try:
        with os.fdopen(reader, "rb") as pipe:
            pyrage.encrypt_io(pipe, stream, list(recipients))
    except (pyrage.EncryptError, OSError) as error:
        cause = error
    producer.join()
    # When age fails, the producer's pipe breaks too; that one is the effect.
    real = [failure for failure in failures if not isinstance(failure, BrokenPipeError)]
    if real:
        raise real[0]
    if cause or failures:
        raise BackupError(f"the archive could not be encrypted: {cause or failures[0]}")


# --- reading


class _Sealed:
    """What stands before the seal; at its end, the seal must be that of what was read."""

    def __init__(self, stream: t.Any) -> None:
        self.stream = stream
        self.hasher = hashlib.sha256()
        self.tail = b""
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        wanted = CHUNK if size < 0 else size
        while not self.ended and len(self.tail) < wanted + SEAL_SIZE:
            more = self.stream.read(max(wanted, io.DEFAULT_BUFFER_SIZE))
            self.ended = not more
            self.tail += more
        given = self.tail[: max(0, min(wanted, len(self.tail) - SEAL_SIZE))]
        self.tail = self.tail[len(given) :]
        self.hasher.update(given)
        return given

    def finish(self) -> None:
        while self.read(CHUNK):
            pass
        if self.tail != seal(self.hasher.hexdigest()):
            raise Damaged("its last bytes are not the SHA-256 of those before")


class _Nothing:
    """Takes files, and keeps none."""

    def put(self, entry: Entry, blocks: t.Iterable[bytes]) -> None:
        for _unused in blocks:
            pass


class Staging:
    """Takes files into a directory that nobody uses yet."""

    def __init__(self, path: str) -> None:
        self.path = path

    def put(self, entry: Entry, blocks: t.Iterable[bytes]) -> None:
        path = os.path.join(self.path, entry.path)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, files.SECRET
            )
        except OSError as error:
            raise BackupError(f"{path} cannot be written: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                try:
                    file.write(block)
                except OSError as error:
                    raise BackupError(f"{path} cannot be written: {error.strerror}") from error
            os.fchmod(descriptor, entry.mode & 0o777)


def is_encrypted(path: str) -> bool:
    """By its first bytes, whatever its name."""
    with open(path, "rb") as file:
        return file.read(len(AGE)) == AGE


def read_archive(path: str, identities: t.Sequence[t.Any] = (), sink: _Nothing | Staging | None = None) -> Manifest:
    """Read all of an archive and prove it: each file, the archive as a whole, and the sum beside it where there is one.

    Raises Damaged where anything differs from what was written once, and BackupError where it cannot be opened. *sink* gets the files as they
    come, so what it has counts only when this returns.
    """
    try:
        with open(path, "rb") as file:
            reading = _Reading(file)
            with _opened(path, reading, identities) as stream:
                manifest = _read_tar(stream, sink or _Nothing())
            while reading.read(CHUNK):
                pass
    except Damaged as error:
        raise Damaged(
            f"{path} is damaged: {error}. Nothing of it was used; take another copy, or another archive"
        ) from error
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror or error}") from error
    expected = read_sum(path)
    if expected and expected != reading.hasher.hexdigest():
        raise Damaged(
            f"{path} is damaged, or {path}{SUM} is: the one does not agree with the other. Nothing of it was used"
        )
    return manifest


@contextlib.contextmanager
def _opened(path: str, stream: _Reading, identities: t.Sequence[t.Any]) -> t.Iterator[t.Any]:
    if not is_encrypted(path):
        yield stream
        return
    if not identities:
        raise BackupError(f"{path} is encrypted, or its first bytes are: name the file with the private key (identity)")
    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def decrypt() -> None:
        try:
            with os.fdopen(writer, "wb") as pipe:
                pyrage.decrypt_io(stream, pipe, list(identities))
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)

    decrypter = threading.Thread(target=decrypt, daemon=True)
    decrypter.start()
    cause: BackupError | None = None
    with os.fdopen(reader, "rb") as pipe:
        try:
            yield pipe
            while pipe.read(CHUNK):
                pass
        except Damaged as error:
            cause = error
    decrypter.join()
    if failures and "No matching keys" in str(failures[0]):
        raise BackupError(f"{path} is encrypted for others: none of the private keys that were named opens it")
    if failures and not isinstance(failures[0], BrokenPipeError):
        raise Damaged(f"it cannot be decrypted ({failures[0]})")
    if cause:
        raise cause


def _read_tar(stream: t.Any, sink: _Nothing | Staging) -> Manifest:
    sealed = _Sealed(stream)
    try:
        with gzip.GzipFile(fileobj=t.cast(t.Any, sealed), mode="rb") as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                manifest = _read_manifest(tar)
                _read_entries(tar, manifest, sink)
            while packed.read(CHUNK):
                pass
        sealed.finish()
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, LookupError, OverflowError) as error:
        # What comes out of damaged data is anything, and tarfile has no error of its own for some of it.
        raise Damaged(f"it cannot be read as a whole ({str(error) or type(error).__name__})") from error
    return manifest


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    info = tar.next()
    if info is None or info.name != MANIFEST or not info.isreg() or info.size > MOST_MANIFEST:
        raise Damaged(f"it does not begin with {MANIFEST}")
    stream = tar.extractfile(info)
    return Manifest.from_json(stream.read() if stream else b"")


def _read_entries(tar: tarfile.TarFile, manifest: Manifest, sink: _Nothing | Staging) -> None:
    missing = {entry.path: entry for entry in manifest.entries}
    for info in iter(tar.next, None):
        entry = missing.pop(info.name, None)
        stream = tar.extractfile(info) if info.isreg() else None
        if entry is None or stream is None or info.size != entry.size:
            raise Damaged(f"{info.name} is not as {MANIFEST} has it")
        reading = _Reading(stream)
        sink.put(entry, iter(functools.partial(reading.read, CHUNK), b""))
        if reading.hasher.hexdigest() != entry.sha256:
            raise Damaged(f"{entry.path} is not as {MANIFEST} has it")
    if missing:
        raise Damaged(f"{', '.join(sorted(missing)[:3])} is missing")


# --- the sum next to an archive


def read_sum(path: str) -> str | None:
    """The SHA-256 that stands in the file beside an archive."""
    try:
        with open(path + SUM, encoding="ascii", errors="replace") as file:
            words = file.read(1024).split()
    except OSError:
        return None
    return words[0] if words else ""


def check_sum(path: str) -> None:
    """Prove an archive by the sum beside it. Raises Damaged, and BackupError where there is no sum."""
    expected = read_sum(path)
    if expected is None:
        raise BackupError(
            f"{path} is encrypted and has no {os.path.basename(path)}{SUM} beside it: it cannot be judged without the private key (identity)"
        )
    hasher = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(CHUNK), b""):
                hasher.update(block)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    if hasher.hexdigest() != expected:
        raise Damaged(f"{path} is damaged, or {path}{SUM} is: the one does not agree with the other")


def verify(path: str, identities: t.Sequence[t.Any] = ()) -> Manifest | None:
    """Prove an archive: by its content, or when that is encrypted and there is no key, by the sum beside it (None)."""
    try:
        sealed = is_encrypted(path) or (path.endswith(ENCRYPTED) and not identities)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    if sealed and not identities:
        check_sum(path)
        return None
    return read_archive(path, identities)
