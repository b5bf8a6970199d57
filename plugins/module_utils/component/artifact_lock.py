# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock file of artifacts, on the controller: the first sum that was seen for a file holds from then on.

A sum belongs to upstream's URL, not to the mirror's: whoever changes to a mirror, or to another one, gets the same files.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import io
import json
import os
import posixpath
import re
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts

ArtifactError = artifacts.ArtifactError
PARALLEL = 8
_SUM = re.compile(r"[0-9a-fA-F]{64}")
_LINE = re.compile(rf"({_SUM.pattern})\s+\*?(\S.*)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """One artifact as the catalogue has it."""

    name: str
    version: str
    #: at upstream; without a scheme, a path below the mirror
    url: str
    #: upstream's file of sums; None where upstream publishes none
    checksum: str | None
    #: the other fields of the entry, which go to the hosts as they are
    fields: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_entry(cls, name: str, entry: dict[str, t.Any]) -> Wanted:
        rest = {key: value for key, value in entry.items() if key not in ("version", "url", "checksum")}
        for key in ("version", "url"):
            if not entry.get(key):
                raise ArtifactError(f"artifact {name} has no {key}: complete its entry in the catalogue")
        return cls(name, str(entry["version"]), entry["url"], entry.get("checksum") or None, rest)

    @property
    def file_name(self) -> str:
        return posixpath.basename(self.url)


@dataclasses.dataclass(frozen=True)
class Locked:
    """What the lock file says of one file."""

    name: str
    version: str
    url: str
    sha256: str


def effective_url(url: str, mirror: str) -> str:
    """Where a file is fetched from: upstream, or the same address without its scheme below the mirror."""
    if mirror:
        return f"{mirror.rstrip('/')}/{_SCHEME.sub('', url, count=1)}"
    if not _SCHEME.match(url):
        raise ArtifactError(
            f"{url} can only come from a mirror, and there is none: set cluster_mirror (or, for images, cluster_image_source: registry)"
        )
    return url


def published_sum(text: str, file_name: str, source: str) -> str:
    """The sum of a file in a published checksum file: a bare sum, or lines of ``sum  name``.

    :raises ArtifactError: it does not name the file
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and _SUM.fullmatch(lines[0]):
        return lines[0].lower()
    named = [match.groups() for match in map(_LINE.fullmatch, lines) if match]
    sums = {digest.lower() for digest, name in named if posixpath.basename(name) == file_name}
    if len(sums) == 1:
        return sums.pop()
    found = (
        f"{len(sums)} different sums for it"
        if sums
        else f"sums for {', '.join(name for _digest, name in named) or 'nothing'}"
    )
    raise ArtifactError(
        f"{source} has no single sha256 for {file_name}, it has {found}: check the entry in the catalogue, and the checksum file if it is on a mirror"
    )


# --- the file


def read(path: str) -> list[Locked]:
    """The entries of a lock file, none where there is no file.

    :raises ArtifactError: it is not a lock file
    """
    content = files.read(path)
    if content is None:
        return []
    try:
        entries = json.loads(content.data)["artifacts"]
        locked = [Locked(**entry) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is not a lock file of artifacts ({error}): restore it; without it the sums are learnt anew from what is published"
        ) from error
    wrong = [entry.url for entry in locked if not _SUM.fullmatch(entry.sha256)]
    if wrong:
        raise ArtifactError(
            f"{path}: the sum of {wrong[0]} is not 64 hexadecimal digits: restore it from what you trust, or remove that entry"
        )
    return locked


def text_of(locked: t.Iterable[Locked]) -> str:
    """A lock file: sorted, one field a line, so that a version control system shows what changed."""
    entries = sorted(locked, key=lambda entry: (entry.name, entry.version, entry.url))
    return json.dumps({"artifacts": [dataclasses.asdict(entry) for entry in entries]}, indent=2) + "\n"


def write(path: str, locked: t.Iterable[Locked]) -> None:
    files.make_directory(os.path.dirname(os.path.abspath(path)))
    files.write(path, text_of(locked).encode(), files.PUBLIC)


# --- learning sums


class Publisher:
    """Reads sums from where they are published; each checksum file once, all at the same time."""

    def __init__(self, mirror: str, timeout: float) -> None:
        self.mirror = mirror
        self.timeout = timeout

    def sums(self, wanted: t.Sequence[Wanted]) -> dict[str, str]:
        """URL -> sum.

        :raises ArtifactError: with everything that could not be learnt, a line each
        """
        sums, problems = {}, []
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            texts = {
                source: pool.submit(self._text, source)
                for source in {item.checksum for item in wanted if item.checksum}
            }
            whole = {item.url: pool.submit(self._sum_of_file, item.url) for item in wanted if not item.checksum}
            for item in wanted:
                try:
                    sums[item.url] = (
                        published_sum(texts[item.checksum].result(), item.file_name, item.checksum)
                        if item.checksum
                        else whole[item.url].result()
                    )
                except ArtifactError as error:
                    problems.append(f"{item.name} {item.version}: {error}")
        if problems:
            raise ArtifactError("\n".join(problems))
        return sums

    def _text(self, source: str) -> str:
        sink = io.BytesIO()
        artifacts.download(effective_url(source, self.mirror), sink, self.timeout, artifacts.MOST_CHECKSUMS)
        return sink.getvalue().decode("utf-8", errors="replace")

    def _sum_of_file(self, url: str) -> str:
        return artifacts.download(effective_url(url, self.mirror), None, self.timeout)


@dataclasses.dataclass(frozen=True)
class Resolution:
    """All artifacts with their sums, and the lock file before and after."""

    artifacts: dict[str, dict[str, t.Any]]
    learnt: list[Locked]
    before: list[Locked]
    after: list[Locked]


def resolve(wanted: t.Sequence[Wanted], mirror: str, lock: str, timeout: float, verify: bool = False) -> Resolution:
    """Give each artifact its sum: the locked one, without network access; where there is none yet, the published one.

    :arg verify: read the published sums of locked artifacts too, and refuse the ones that differ
    :raises ArtifactError: a sum cannot be learnt, or a published one differs from the locked one
    """
    before = read(lock)
    locked = {entry.url: entry for entry in before}
    unknown = [item for item in wanted if item.url not in locked]
    published = Publisher(mirror, timeout).sums(wanted if verify else unknown) if verify or unknown else {}
    _refuse_changed([locked[item.url] for item in wanted if item.url in locked], published, lock)
    learnt = {item.url: Locked(item.name, item.version, item.url, published[item.url]) for item in unknown}
    known = {**locked, **learnt}
    resolved = {
        item.name: {
            **item.fields,
            "version": item.version,
            "url": effective_url(item.url, mirror),
            "sha256": known[item.url].sha256,
        }
        for item in wanted
    }
    return Resolution(resolved, list(learnt.values()), before, list(known.values()))


def _refuse_changed(locked: t.Iterable[Locked], published: dict[str, str], lock: str) -> None:
    changed = [
        f"{entry.name} {entry.version}: {posixpath.basename(entry.url)} ({entry.url}) is published with sha256 {published[entry.url]}, "
        f"the lock file {lock} says {entry.sha256}. The file was replaced where it is published; find out why. "
        "If the new one is meant, remove its entry from the lock file and run again"
        for entry in locked
        if published.get(entry.url, entry.sha256) != entry.sha256
    ]
    if changed:
        raise ArtifactError("\n".join(changed))
