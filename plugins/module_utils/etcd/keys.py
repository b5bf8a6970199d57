# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of etcd's keys and when each was written, so that what a restore loses can be named. Values are not asked for."""

from __future__ import annotations

import base64
import dataclasses
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import RequestFailed as ApiError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Unreachable as ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd, EtcdError

# Keys of one answer: an answer of some MiB at most.
PAGE = 10000
# A range from the first key on, to the end (https://etcd.io/docs/v3.6/learning/api/).
FIRST = END = b"\0"


@dataclasses.dataclass(frozen=True)
class Keys:
    """All keys as they were at *revision*; *written* are those with a write after the revision that was asked about."""

    revision: int
    names: tuple[str, ...]
    written: tuple[str, ...]


def read(client: Etcd, revision: int | None = None, since: int | None = None) -> Keys:
    """Ask the first endpoint, which answers by itself, without quorum too. Raises EtcdError."""
    endpoint = client.endpoints[0]
    first, asked = FIRST, revision or 0
    names: list[str] = []
    written: list[str] = []
    while True:
        body: dict[str, t.Any] = {
            "key": _text(first),
            "range_end": _text(END),
            "keys_only": True,
            "serializable": True,
            "limit": str(PAGE),
        }
        if asked:
            body["revision"] = str(asked)
        try:
            answer = client.client(endpoint).create("/v3/kv/range", body)
        except (ApiError, ApiUnreachable) as error:
            raise EtcdError(f"{endpoint} does not tell its keys: {error}") from error
        # All pages are of the first one's revision.
        asked = asked or int(answer.get("header", {}).get("revision", 0))
        for item in answer.get("kvs", ()):
            raw = base64.b64decode(item["key"])
            names.append(raw.decode("utf-8", "replace"))
            if since is not None and int(item.get("mod_revision", 0)) > since:
                written.append(names[-1])
            first = raw + b"\0"
        if not answer.get("more"):
            return Keys(asked, tuple(names), tuple(written))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
