# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of the Kubernetes API for the few raw calls that this collection makes.

The C(kubernetes) package costs 0.3 to 0.5 s of imports for each task; this one needs the standard library and PyYAML.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
import traceback
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import (
    CLOSED_EARLY,
    TEMPORARY,
    Client,
    Connection,
    Credentials,
    CredentialsError,
    as_file,
    describe,
    is_temporary,
    tls_context,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import RequestFailed as ApiError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Unreachable as ApiUnreachable

__all__ = (
    "CLOSED_EARLY",
    "TEMPORARY",
    "Api",
    "ApiError",
    "ApiUnreachable",
    "Connection",
    "Credentials",
    "KubeconfigError",
    "as_file",
    "describe",
    "tls_context",
)

YAML_IMPORT_ERROR: str | None = None
try:
    import yaml
except ImportError:
    YAML_IMPORT_ERROR = traceback.format_exc()

FIELD_MANAGER = "hardway"
#: Gone: the revision of a list, or of a watch, was compacted.
EXPIRED = 410
SHORTEST_REQUEST, LONGEST_REQUEST = 1.0, 10.0
PAUSE = 0.5
#: How often a list is begun whose revision etcd compacts before it was read to its end. It has five minutes each time.
MOST_LISTS = 3

T = t.TypeVar("T")


class KubeconfigError(HardwayError):
    """A kubeconfig that cannot be used: names the file, what is wrong, and what to do."""


def retry(call: t.Callable[[], T], timeout: float) -> T:
    """What *call* returns; tried again for *timeout* seconds while its error is temporary. Only for what may be sent twice."""
    end = time.monotonic() + timeout
    while True:
        try:
            return call()
        except (ApiError, ApiUnreachable) as error:
            if not is_temporary(error) or time.monotonic() >= end:
                raise
        time.sleep(PAUSE)


def api_argument_spec(**options: t.Any) -> dict[str, t.Any]:
    """A module's *options* with those of the documentation fragment C(api)."""
    return {"kubeconfig": {"type": "path", "required": True}, "timeout": {"type": "int", "default": 120}, **options}


def load_kubeconfig(path: str, context: str | None = None) -> Credentials:
    """Reads the context (default: the current one) of the kubeconfig at *path*.

    Raises KubeconfigError for a file that is missing, damaged, or has credentials other than certificates and tokens.
    """
    path = os.path.expanduser(path)
    try:
        with open(path, encoding="utf-8") as file:
            config = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise KubeconfigError(
            f"kubeconfig {path}: {error.strerror}. Name the kubeconfig of the cluster's administrator."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"kubeconfig {path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise KubeconfigError(f"kubeconfig {path} is empty or not a mapping")
    name = context or config.get("current-context")
    if not name:
        raise KubeconfigError(f"kubeconfig {path} has no current-context")
    chosen = _entry(path, config, "contexts", "context", name)
    cluster = _entry(path, config, "clusters", "cluster", chosen.get("cluster"))
    user = _entry(path, config, "users", "user", chosen["user"]) if chosen.get("user") else {}
    server = cluster.get("server", "")
    if urlsplit(server).scheme not in ("https", "http") or not urlsplit(server).hostname:
        raise KubeconfigError(
            f"kubeconfig {path}: cluster {chosen.get('cluster')} has server {server!r}; give https://ADDRESS:PORT"
        )
    unsupported = sorted(set(user) & {"exec", "auth-provider", "username"})
    if unsupported:
        raise KubeconfigError(
            f"kubeconfig {path}: user {chosen['user']} has {', '.join(unsupported)}; use a client certificate or a token"
        )
    token = user.get("token") or _from_file(path, user.get("tokenFile"))
    credentials = Credentials(
        server=server.rstrip("/"),
        authority=_material(path, cluster, "certificate-authority"),
        certificate=_material(path, user, "client-certificate"),
        key=_material(path, user, "client-key"),
        token=token.strip() if token else None,
        server_name=cluster.get("tls-server-name"),
        verify=not cluster.get("insecure-skip-tls-verify", False),
    )
    if bool(credentials.certificate) != bool(credentials.key):
        raise KubeconfigError(f"kubeconfig {path}: user {chosen['user']} needs both a client certificate and its key")
    return credentials


def _entry(path: str, config: dict[str, t.Any], many: str, one: str, name: t.Any) -> dict[str, t.Any]:
    for entry in config.get(many) or []:
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry.get(one) or {}
    raise KubeconfigError(f"kubeconfig {path}: no {one} named {name!r} among its {many}")


def _material(path: str, entry: dict[str, t.Any], key: str) -> str | None:
    data = entry.get(f"{key}-data")
    if not data:
        return _from_file(path, entry.get(key))
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError) as error:
        raise KubeconfigError(f"kubeconfig {path}: {key}-data is not base64 of PEM: {error}") from error


def _from_file(kubeconfig: str, name: str | None) -> str | None:
    if not name:
        return None
    path = os.path.join(os.path.dirname(os.path.abspath(kubeconfig)), name)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"kubeconfig {kubeconfig} names {path}: {error}") from error


class Api(Client):
    """The API server of one set of credentials."""

    def __init__(self, credentials: Credentials, timeout: float = 10.0, agent: str = "hardway") -> None:
        try:
            super().__init__(credentials, timeout, agent)
        except CredentialsError as error:
            raise KubeconfigError(str(error)) from error

    @classmethod
    def from_kubeconfig(cls, path: str, timeout: float = 10.0, agent: str = "hardway") -> Api:
        return cls(load_kubeconfig(path), timeout, agent)

    @classmethod
    def of_module(cls, params: t.Mapping[str, t.Any], agent: str) -> Api:
        """The API that the options of the documentation fragment C(api) name."""
        return cls.from_kubeconfig(
            params["kubeconfig"], min(LONGEST_REQUEST, max(SHORTEST_REQUEST, params["timeout"])), agent
        )

    def items(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
        """All objects of the list at *path*, read in chunks of 500 as the API asks for, and all as they were at one time.

        Where the token of the next chunk has expired, the list is read again from its beginning, as client-go's reflector does.
        """
        for _attempt in range(1, MOST_LISTS):
            try:
                return self._items(path, query)
            except ApiError as error:
                if error.status != EXPIRED:
                    raise
        return self._items(path, query)

    def _items(self, path: str, query: t.Mapping[str, t.Any] | None) -> list[dict[str, t.Any]]:
        found: list[dict[str, t.Any]] = []
        more: dict[str, t.Any] = {**(query or {}), "limit": 500}
        while True:
            answer = self.get(path, more)
            found += answer.get("items") or []
            following = answer.get("metadata", {}).get("continue")
            if not following:
                return found
            more["continue"] = following

    def patch(self, path: str, body: t.Mapping[str, t.Any], manager: str = FIELD_MANAGER) -> dict[str, t.Any]:
        """Merges *body* into the object at *path* (RFC 7396)."""
        return self.request("PATCH", path, {"fieldManager": manager}, body, content_type="application/merge-patch+json")

    def apply(
        self, path: str, body: t.Mapping[str, t.Any], manager: str = FIELD_MANAGER, dry_run: bool = False
    ) -> dict[str, t.Any]:
        """Server-side apply of *body* to the object at *path*; fields that another manager owns are taken over.

        With *dry_run* the API server only says what the object would be.
        """
        query = {"fieldManager": manager, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        return self.request("PATCH", path, query, body, content_type="application/apply-patch+yaml")
