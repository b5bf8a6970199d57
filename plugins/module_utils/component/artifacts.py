# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts on a host: downloaded, verified, installed side by side by version, switched by symbolic links.

``{install_dir}/{name}/{version}/{file}`` holds what was installed, ``{link_dir}/{file}`` points at the version in use. A version
counts as installed when its record (``.artifact.json``, written last) names the sum that is asked for and its files have the sizes
in it: so a run that dies at any moment leaves the version before in use, whole, and the next run begins this one again.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import json
import os
import posixpath
import shutil
import socket
import ssl
import tarfile
import time
import typing as t
import urllib.error
import urllib.request
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files, pace
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

RECORD = ".artifact.json"
ARCHIVES = (".tar.gz", ".tgz")
ATTEMPTS = 3
CHUNK = 1 << 20
#: Bytes that no artifact has, nor an upstream's file of checksums.
MOST, MOST_CHECKSUMS = 4 << 30, 1 << 20
_PASSING_STATUS = frozenset((429, 500, 502, 503, 504))
_CONNECTION_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, socket.timeout, ssl.SSLError)


class ArtifactError(HardwayError):
    """What is wrong, with which file, and what to do; the text is shown to the operator as it is."""


class _Interrupted(HardwayError):
    """A transfer ended before all of it was there."""


@dataclasses.dataclass(frozen=True)
class InstallResult:
    """What :func:`install` found and did (or, in check mode, would do)."""

    changed: bool
    version: str
    #: the version that the links pointed at before; None where there was none
    version_before: str | None
    #: whether the files had to be fetched
    downloaded: bool
    #: the links that were switched
    linked: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Artifact:
    """An entry of the catalogue with its locked sum, and its places on this host."""

    name: str
    version: str
    url: str
    sha256: str
    install: dict[str, str]
    install_dir: str
    link_dir: str

    @property
    def home(self) -> str:
        return os.path.join(self.install_dir, self.name)

    @property
    def directory(self) -> str:
        return os.path.join(self.home, self.version)

    @property
    def file_name(self) -> str:
        return posixpath.basename(self.url)

    @property
    def is_archive(self) -> bool:
        return self.file_name.endswith(ARCHIVES)

    def links(self) -> dict[str, str]:
        """Link -> the installed file that it has to point at."""
        return {os.path.join(self.link_dir, name): os.path.join(self.directory, name) for name in self.install}


# --- downloading


def download(url: str, sink: t.BinaryIO | None = None, timeout: float = 60, most: int = MOST) -> str:
    """Read a URL into ``sink`` (a seekable file; None only computes the sum).

    A connection that fails is tried again, three times in all; what came before is kept if the server can continue.

    :arg timeout: seconds without a byte, or with hardly any (common/pace.py)
    :arg most: bytes that it may have
    :returns: the sha256 of what was read, in hexadecimal digits
    :raises ArtifactError: it cannot be had; names URL and cause
    """
    digest, received = hashlib.sha256(), 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _request(url, received, timeout, most) as answer:
                if received and answer.status != 206:
                    digest, received = hashlib.sha256(), 0
                    if sink:
                        sink.seek(0)
                        sink.truncate()
                for chunk in _chunks(answer):
                    digest.update(chunk)
                    received += len(chunk)
                    if sink:
                        sink.write(chunk)
            return digest.hexdigest()
        except (_Interrupted, *_CONNECTION_ERRORS) as error:
            if attempt == ATTEMPTS or not _may_pass(error):
                raise ArtifactError(_unreachable(url, error)) from error
            time.sleep(attempt / 2)
        except ValueError as error:
            raise ArtifactError(
                f"{url} is not a URL that can be fetched ({error}): correct the catalogue or cluster_mirror"
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _request(url: str, offset: int, timeout: float, most: int) -> t.Any:
    request = urllib.request.Request(url, headers={"User-Agent": "hardway.kubernetes"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    return pace.opener(timeout, most).open(request, timeout=timeout)


def _chunks(answer: t.Any) -> Iterator[bytes]:
    """The body; http.client ends a short one like a whole one when it is read in pieces, so the length is counted here."""
    expected = answer.headers.get("Content-Length")
    missing = int(expected) if expected is not None else None
    while True:
        chunk = answer.read(CHUNK)
        if not chunk:
            break
        if missing is not None:
            missing -= len(chunk)
        yield chunk
    if missing:
        raise _Interrupted(f"the connection ended {missing} bytes early")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _PASSING_STATUS
    if isinstance(error, pace.TooLarge):
        return False
    # A name or a file that is not there (file:// is a URL too) does not appear by asking again.
    return not isinstance(getattr(error, "reason", None), FileNotFoundError)


def _unreachable(url: str, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        cause, mend = (
            f"the server answered {error.code} {error.reason}",
            "check version and URL, and that the mirror (cluster_mirror) holds this file",
        )
    else:
        cause = str(getattr(error, "reason", None) or error) or type(error).__name__
        mend = "check that this host reaches the server, or set cluster_mirror to a server that it reaches"
    return f"{url} cannot be fetched: {cause}; {mend}"


def fetch(url: str, sha256: str, dest: str, timeout: float = 60) -> bool:
    """Put the file at a URL to ``dest``, whole and with this sum, or not at all.

    :returns: whether it was downloaded; False if ``dest`` was that file already
    :raises ArtifactError: it cannot be had, or is another file than the one that was locked
    """
    if os.path.isfile(dest) and sha256_of(dest) == sha256:
        return False
    temporary = files.temporary_of(dest)
    files.remove(temporary)
    try:
        _download_verified(url, sha256, temporary, timeout)
        files.move(temporary, dest)
    finally:
        files.remove(temporary)
    return True


def _download_verified(url: str, sha256: str, path: str, timeout: float) -> None:
    with open(path, "wb") as sink:
        found = download(url, sink, timeout)
    if found != sha256:
        raise ArtifactError(
            f"{posixpath.basename(url)} is refused: {url} has sha256 {found}, the lock file says {sha256}; nothing was installed from it. "
            "The file was damaged or replaced. Put the right one there; or, if the new one is meant, "
            "remove its entry from artifacts.lock in the cluster's directory on the controller, and run again"
        )


def sha256_of(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


# --- installing


def install(
    artifact: dict[str, t.Any],
    install_dir: str = "/opt/hardway",
    bin_dir: str = "/usr/local/bin",
    check_mode: bool = False,
    timeout: float = 60,
) -> InstallResult:
    """Make the host have an artifact, and its links point at it.

    :arg artifact: ``name``, ``version``, ``url``, ``sha256``, ``install`` (installed file -> member of the archive, or the
        name of the bare binary), and perhaps ``link_dir`` (instead of ``bin_dir``)
    :arg check_mode: say what would change, without network access
    :raises ArtifactError: what is wrong with which file, and what to do; the version before stays in use
    """
    wanted = _checked(artifact, install_dir, bin_dir)
    complete = _is_complete(wanted)
    links = tuple(link for link, target in wanted.links().items() if _target(link) != target)
    result = InstallResult(not complete or bool(links), wanted.version, _linked_version(wanted), not complete, links)
    if check_mode or not result.changed:
        return result
    try:
        if not complete:
            _install_files(wanted, timeout)
        for link in links:
            _switch(link, wanted.links()[link])
    except files.FileRefused as error:
        raise ArtifactError(f"{wanted.name} {wanted.version} is not installed: {error}") from error
    except OSError as error:
        raise ArtifactError(
            f"{wanted.name} {wanted.version} cannot be installed in {wanted.directory}: {error}; free or correct that place"
        ) from error
    return result


def _checked(artifact: dict[str, t.Any], install_dir: str, bin_dir: str) -> _Artifact:
    wanted = _Artifact(
        name=artifact["name"],
        version=str(artifact["version"]),
        url=artifact["url"],
        sha256=artifact["sha256"],
        install=artifact["install"],
        install_dir=install_dir,
        link_dir=artifact.get("link_dir") or bin_dir,
    )
    for part in (wanted.name, wanted.version, *wanted.install):
        if not part or part != os.path.basename(part) or part.startswith("."):
            raise ArtifactError(
                f"artifact {wanted.name}: {part!r} is not the name of a file: correct its entry in roles/cluster/vars/main/artifacts.yml"
            )
    if not wanted.is_archive and len(wanted.install) != 1:
        raise ArtifactError(
            f"artifact {wanted.name}: {wanted.file_name} is one binary, `install` names {len(wanted.install)} files: correct its entry"
        )
    return wanted


def _is_complete(wanted: _Artifact) -> bool:
    """Sizes stand in for sums here: hashing 100 MB on every run would cost more than all else, and what a lost power supply leaves
    of a file that was not yet written out is shorter than it was."""
    try:
        with open(os.path.join(wanted.directory, RECORD), encoding="utf-8") as stream:
            record = json.load(stream)
        sizes = {name: os.stat(os.path.join(wanted.directory, name)).st_size for name in wanted.install}
    except (OSError, ValueError):
        return False
    return (
        record.get("sha256") == wanted.sha256
        and record.get("members") == wanted.install
        and record.get("files") == sizes
    )


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _linked_version(wanted: _Artifact) -> str | None:
    for link in wanted.links():
        directory = os.path.dirname(_target(link) or "")
        if os.path.dirname(directory) == wanted.home:
            return os.path.basename(directory)
    return None


def _install_files(wanted: _Artifact, timeout: float) -> None:
    os.makedirs(wanted.home, mode=0o755, exist_ok=True)
    with files.lock(wanted.home):
        # Another run may have been here while this one waited.
        if _is_complete(wanted):
            return
        _remove_leftovers(wanted.home)
        with files.temporary_directory(wanted.directory) as scratch:
            downloaded = os.path.join(scratch, RECORD + ".download")
            _download_verified(wanted.url, wanted.sha256, downloaded, timeout)
            if wanted.is_archive:
                _unpack(wanted, downloaded, scratch)
            else:
                files.move(downloaded, os.path.join(scratch, next(iter(wanted.install))))
            _put_in_place(wanted, scratch)


def _put_in_place(wanted: _Artifact, scratch: str) -> None:
    """Each file is replaced in one step, so that links into a version that is installed anew never point at nothing."""
    os.makedirs(wanted.directory, mode=0o755, exist_ok=True)
    record = os.path.join(wanted.directory, RECORD)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record)
    sizes = {}
    for name in wanted.install:
        source = os.path.join(scratch, name)
        os.chmod(source, 0o755)
        sizes[name] = os.stat(source).st_size
        files.move(source, os.path.join(wanted.directory, name))
    described = {
        "name": wanted.name,
        "version": wanted.version,
        "url": wanted.url,
        "sha256": wanted.sha256,
        "members": wanted.install,
        "files": sizes,
    }
    new_record = os.path.join(scratch, RECORD)
    with open(new_record, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(described, indent=2, sort_keys=True) + "\n")
    os.chmod(new_record, 0o644)
    files.move(new_record, record)


def _unpack(wanted: _Artifact, archive: str, scratch: str) -> None:
    """Only the files that the catalogue names, under the names that it gives them: no path of the archive reaches the disk."""
    missing = {posixpath.normpath(member): name for name, member in wanted.install.items()}
    try:
        with tarfile.open(archive, "r:gz") as stream:
            for member in stream:
                name = missing.pop(posixpath.normpath(member.name), None)
                if name is None:
                    continue
                content = stream.extractfile(member) if member.isreg() else None
                if content is None:
                    raise ArtifactError(
                        f"{wanted.file_name}: {member.name} is not a regular file: correct `install` of {wanted.name} in the catalogue"
                    )
                with content, open(os.path.join(scratch, name), "wb") as sink:
                    shutil.copyfileobj(content, sink, CHUNK)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArtifactError(f"{wanted.file_name} from {wanted.url} cannot be unpacked: {error}") from error
    if missing:
        raise ArtifactError(
            f"{wanted.file_name} does not hold {', '.join(sorted(missing))}: correct `install` of {wanted.name} in the catalogue"
        )


def _switch(link: str, target: str) -> None:
    if os.path.isdir(link) and not os.path.islink(link):
        raise ArtifactError(f"{link} is a directory, a link to {target} has to be there: move it away")
    os.makedirs(os.path.dirname(link), mode=0o755, exist_ok=True)
    files.write_link(link, target)


def _remove_leftovers(home: str) -> None:
    """What killed runs left; for the holder of the lock."""
    for name in os.listdir(home):
        if files.is_temporary(name):
            shutil.rmtree(os.path.join(home, name), ignore_errors=True)


# --- what is there, for plans


@dataclasses.dataclass(frozen=True)
class Installed:
    """A version's directory: the sum of what was installed, its files (name -> member), and whether all are there in their sizes."""

    sha256: str
    members: dict[str, str]
    whole: bool


def installed(directory: str) -> Installed | None:
    """What a version's directory holds; None where nothing was ever installed in it.

    Sizes stand in for sums: hashing 100 MB on every run would cost more than all else, and what a lost power supply leaves of a
    file that was not yet written out is shorter than it was.
    """
    try:
        with open(os.path.join(directory, RECORD), encoding="utf-8") as stream:
            record = json.load(stream)
        members = dict(record["members"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        sizes = {name: os.stat(os.path.join(directory, name)).st_size for name in members}
    except OSError:
        sizes = {}
    return Installed(str(record.get("sha256")), members, record.get("files") == sizes)


def places(artifact: dict[str, t.Any], install_dir: str, bin_dir: str) -> tuple[str, dict[str, str]]:
    """The directory of an artifact's version, and link -> the installed file that it has to point at."""
    wanted = _checked(artifact, install_dir, bin_dir)
    return wanted.directory, wanted.links()
