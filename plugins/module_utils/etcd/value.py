# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One key of etcd, for who keeps a setting there; JSON gateway as in :mod:`etcd`."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import RequestFailed as ApiError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Unreachable as ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd, EtcdError


def read(client: Etcd, name: str) -> str | None:
    """The value of a key as the members agree on it; None where there is none. Raises EtcdError."""
    kvs = _ask(client, "/v3/kv/range", {"key": _text(name)}).get("kvs") or ()
    return next((base64.b64decode(item.get("value", "")).decode("utf-8", "replace") for item in kvs), None)


def write(client: Etcd, name: str, value: str) -> None:
    """Raises EtcdError."""
    _ask(client, "/v3/kv/put", {"key": _text(name), "value": _text(value)})


def _ask(client: Etcd, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
    """The answer of the first endpoint that gives one. Reading and writing the same value twice do no harm."""
    troubles = []
    for endpoint in client.endpoints:
        try:
            return client.client(endpoint).create(path, body)
        except (ApiError, ApiUnreachable) as error:
            troubles.append(f"{endpoint}: {error}")
    raise EtcdError(f"no member of etcd answers ({'; '.join(troubles)}). Start etcd, or correct the endpoints")


def _text(words: str) -> str:
    return base64.b64encode(words.encode()).decode()
