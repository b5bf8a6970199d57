# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of the Kubernetes API for the few raw calls that this collection makes.

The C(kubernetes) package costs 0.3 to 0.5 s of imports for each task; this one needs the standard library and PyYAML.
It keeps one connection per thread and follows HTTP's rules as client-go does: 429 with Retry-After is asked again, and so is an
idempotent request on a reused connection that the server closed before the first byte of an answer.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import http.client
import json
import os
import socket
import ssl
import tempfile
import threading
import time
import traceback
import typing as t
from urllib.parse import quote, urlencode, urlsplit

YAML_IMPORT_ERROR: str | None = None
try:
    import yaml
except ImportError:
    YAML_IMPORT_ERROR = traceback.format_exc()

FIELD_MANAGER = "hardway"
IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "PATCH"))
CLOSED_EARLY = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ConnectionAbortedError,
    ssl.SSLEOFError,
)
MOST_RETRIES = 8
LONGEST_RETRY_AFTER = 10.0
SHORTEST_REQUEST, LONGEST_REQUEST = 1.0, 10.0
# what passes while masters restart or etcd elects a leader: too many requests, and errors of the server's side
TEMPORARY = frozenset((429, 500, 502, 503, 504))
PAUSE = 0.5

T = t.TypeVar("T")


class KubeconfigError(Exception):
    """A kubeconfig that cannot be used: names the file, what is wrong, and what to do."""


class ApiUnreachable(Exception):
    """No HTTP answer: names the request, the server, and the cause."""


class ApiError(Exception):
    """An HTTP answer that is an error: names the request, the server, the status, and the API's own message."""

    def __init__(self, request: str, server: str, status: int, body: str) -> None:
        self.status = status
        self.body = body
        details = _status_object(body)
        self.reason = str(details.get("reason", ""))
        self.message = str(details.get("message", "") or body.strip() or "no message")
        super().__init__(f"{request} at {server} answered {status}: {self.message}")


def is_temporary(error: Exception) -> bool:
    """Whether a request that met *error* may well succeed a moment later."""
    return isinstance(error, ApiUnreachable) or (isinstance(error, ApiError) and error.status in TEMPORARY)


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


def argument_spec(**options: t.Any) -> dict[str, t.Any]:
    """A module's *options* with those of the documentation fragment C(api)."""
    return {"kubeconfig": {"type": "path", "required": True}, "timeout": {"type": "int", "default": 120}, **options}


def _status_object(body: str) -> dict[str, t.Any]:
    try:
        details = json.loads(body)
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What a kubeconfig's context says: where the API is, whom to trust, who one is. PEM texts, never paths."""

    server: str
    authority: str | None = None
    certificate: str | None = None
    key: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)
    server_name: str | None = None
    verify: bool = True

    def anonymous(self) -> Credentials:
        """The same server and authority without any identity."""
        return dataclasses.replace(self, certificate=None, key=None, token=None)


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


@contextlib.contextmanager
def as_file(text: str) -> t.Iterator[str]:
    """A path under which *text* can be read for a moment: OpenSSL loads keys from files alone, and a key must not stay on a disk."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hardway", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield file.name


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """The TLS settings that *credentials* ask for. Raises KubeconfigError for PEM that OpenSSL refuses."""
    try:
        context = ssl.create_default_context(cadata=credentials.authority)
        if not credentials.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if credentials.certificate and credentials.key:
            with as_file(credentials.certificate + "\n" + credentials.key) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(
            f"the certificates or the key for {credentials.server} cannot be used: {error}"
        ) from error
    return context


class Connection(http.client.HTTPSConnection):
    """An HTTPS connection that may verify another name than the one it connects to (tls-server-name)."""

    def __init__(self, credentials: Credentials, context: ssl.SSLContext, timeout: float) -> None:
        address = urlsplit(credentials.server)
        self._credentials = credentials
        self._tls = context
        super().__init__(
            t.cast(str, address.hostname),
            address.port or (443 if address.scheme == "https" else 80),
            timeout=timeout,
            context=context,
        )

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._credentials.server.startswith("https"):
            try:
                self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._credentials.server_name or self.host)
            except BaseException:
                self.sock.close()
                raise


class Api:
    """The API server of one set of credentials. Threads may share it: each has a connection of its own.

    *timeout* is for each request, in seconds.
    """

    def __init__(self, credentials: Credentials, timeout: float = 10.0, agent: str = "hardway") -> None:
        self.credentials = credentials
        self.server = credentials.server
        self.timeout = timeout
        self._context = tls_context(credentials)
        self._prefix = urlsplit(credentials.server).path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": agent}
        if credentials.token:
            self._headers["Authorization"] = f"Bearer {credentials.token}"
        self._local = threading.local()

    @classmethod
    def from_kubeconfig(cls, path: str, timeout: float = 10.0, agent: str = "hardway") -> Api:
        return cls(load_kubeconfig(path), timeout, agent)

    @classmethod
    def of_module(cls, params: t.Mapping[str, t.Any], agent: str) -> Api:
        """The API that the options of the documentation fragment C(api) name."""
        return cls.from_kubeconfig(
            params["kubeconfig"], min(LONGEST_REQUEST, max(SHORTEST_REQUEST, params["timeout"])), agent
        )

    def get(
        self, path: str, query: t.Mapping[str, t.Any] | None = None, timeout: float | None = None
    ) -> dict[str, t.Any]:
        return self._object("GET", path, query, timeout=timeout)

    def find(self, path: str) -> dict[str, t.Any] | None:
        """The object at *path*, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
        """All objects of the list at *path*, read in chunks of 500 as the API asks for."""
        found: list[dict[str, t.Any]] = []
        more: dict[str, t.Any] = {**(query or {}), "limit": 500}
        while True:
            answer = self.get(path, more)
            found += answer.get("items") or []
            following = answer.get("metadata", {}).get("continue")
            if not following:
                return found
            more["continue"] = following

    def create(self, path: str, body: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return self._object("POST", path, None, body)

    def replace(self, path: str, body: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return self._object("PUT", path, None, body)

    def patch(self, path: str, body: t.Mapping[str, t.Any], manager: str = FIELD_MANAGER) -> dict[str, t.Any]:
        """Merges *body* into the object at *path* (RFC 7396)."""
        return self._object("PATCH", path, {"fieldManager": manager}, body, content_type="application/merge-patch+json")

    def apply(self, path: str, body: t.Mapping[str, t.Any], manager: str = FIELD_MANAGER) -> dict[str, t.Any]:
        """Server-side apply of *body* to the object at *path*; fields that another manager owns are taken over."""
        query = {"fieldManager": manager, "force": "true"}
        return self._object("PATCH", path, query, body, content_type="application/apply-patch+yaml")

    def delete(self, path: str, query: t.Mapping[str, t.Any] | None = None) -> bool:
        """Deletes the object at *path*; False where there was none."""
        try:
            self._object("DELETE", path, query)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def text(
        self, path: str, query: t.Mapping[str, t.Any] | None = None, timeout: float | None = None
    ) -> tuple[int, str]:
        """Status and body of a GET, whatever the status is."""
        return self._exchange("GET", path, query, None, "application/json", timeout)

    def close(self) -> None:
        """Closes the calling thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection:
            connection.close()
        self._local.connection = None

    def _object(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any] | None,
        body: t.Mapping[str, t.Any] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, t.Any]:
        status, answer = self._exchange(method, path, query, body, content_type, timeout)
        if not 200 <= status < 300:
            raise ApiError(f"{method} {path}", self.server, status, answer)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ApiError(f"{method} {path}", self.server, status, f"not JSON: {answer[:200]!r}") from error

    def _exchange(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any] | None,
        body: t.Mapping[str, t.Any] | None,
        content_type: str,
        timeout: float | None,
    ) -> tuple[int, str]:
        target = self._prefix + quote(path) + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = dict(self._headers) if data is None else {**self._headers, "Content-Type": content_type}
        for attempt in range(MOST_RETRIES):
            response, answer = self._send(method, path, target, data, headers, timeout or self.timeout)
            after = response.getheader("Retry-After", "")
            if response.status != 429 or not after.isdigit() or attempt == MOST_RETRIES - 1:
                break
            time.sleep(min(float(after), LONGEST_RETRY_AFTER))
        return response.status, answer

    def _send(
        self, method: str, path: str, target: str, data: bytes | None, headers: dict[str, str], timeout: float
    ) -> tuple[http.client.HTTPResponse, str]:
        while True:
            connection: Connection | None = getattr(self._local, "connection", None)
            reused = connection is not None and connection.sock is not None
            if connection is None:
                connection = self._local.connection = Connection(self.credentials, self._context, timeout)
            connection.timeout = timeout
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                connection.request(method, target, data, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if reused and method in IDEMPOTENT and isinstance(error, CLOSED_EARLY):
                    continue
                raise self._unreachable(method, path, error, timeout) from error
            try:
                return response, response.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise self._unreachable(method, path, error, timeout) from error

    def _unreachable(self, method: str, path: str, error: Exception, timeout: float) -> ApiUnreachable:
        return ApiUnreachable(f"{method} {path} got no answer from {self.server}: {describe(error, timeout)}")


def describe(error: BaseException, timeout: float | None = None) -> str:
    """A network error in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not verify: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s" if timeout else "no answer in time"
    if type(error).__name__ == "WebSocketTimeoutException":
        return f"no answer within {timeout:g} s" if timeout else "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed before an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"
