# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and HTTPS with client certificates, by the standard library alone: a client of JSON APIs, and a probe of health.

A client keeps one connection per thread and follows HTTP's rules as client-go does: 429 with Retry-After is asked again, and so is an
idempotent request on a reused connection that the server closed before the first byte of an answer.
"""

from __future__ import annotations

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
import typing as t
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import pace
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

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
# what passes while a server restarts or elects a leader: too many requests, and errors of the server's side
TEMPORARY = frozenset((429, 500, 502, 503, 504))
PROBE_TIMEOUT = 5.0
MOST_BODY = 1 << 20
#: Bytes of one answer: 500 objects of the largest size that etcd takes are less.
MOST_ANSWER = 1 << 30
#: An answer may begin at the end of its time limit, and has as long again for itself.
PATIENCE = 2


class CredentialsError(HardwayError):
    """Certificates or a key that cannot be used."""


class Unreachable(HardwayError):
    """No HTTP answer: names the request, the server, and the cause."""


class RequestFailed(HardwayError):
    """An HTTP answer that is an error: names the request, the server, the status, and the server's own message."""

    def __init__(self, request: str, server: str, status: int, body: str) -> None:
        details = _object_of(body)
        message = str(details.get("message", "") or body.strip() or "no message")
        super().__init__(f"{request} at {server} answered {status}: {message}")
        self.status = status
        self.body = body
        self.reason = str(details.get("reason", ""))
        #: the server's, without request and status
        self.message = message


def is_temporary(error: Exception) -> bool:
    """Whether a request that met *error* may well succeed a moment later."""
    return isinstance(error, Unreachable) or (isinstance(error, RequestFailed) and error.status in TEMPORARY)


def _object_of(body: str) -> dict[str, t.Any]:
    try:
        details = json.loads(body)
    except ValueError:
        return {}
    return details if isinstance(details, dict) else {}


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Where a server is, whom to trust, who one is. PEM texts, never paths."""

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


@contextlib.contextmanager
def as_file(text: str) -> Iterator[str]:
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
    """The TLS settings that *credentials* ask for. Raises CredentialsError for PEM that OpenSSL refuses."""
    try:
        context = ssl.create_default_context(cadata=credentials.authority)
        if not credentials.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if credentials.certificate and credentials.key:
            with as_file(credentials.certificate + "\n" + credentials.key) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise CredentialsError(
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
        pace.keep(self, lambda: PATIENCE * t.cast(float, self.timeout), MOST_ANSWER)

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._credentials.server.startswith("https"):
            try:
                self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._credentials.server_name or self.host)
            except BaseException:
                self.sock.close()
                raise


class Client:
    """A client of one server's JSON API. Threads may share it: each has a connection of its own.

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

    def get(
        self, path: str, query: Mapping[str, t.Any] | None = None, timeout: float | None = None
    ) -> dict[str, t.Any]:
        return self.request("GET", path, query, timeout=timeout)

    def find(self, path: str) -> dict[str, t.Any] | None:
        """The object at *path*, or None where there is none."""
        try:
            return self.get(path)
        except RequestFailed as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, t.Any]) -> dict[str, t.Any]:
        return self.request("POST", path, None, body)

    def replace(self, path: str, body: Mapping[str, t.Any]) -> dict[str, t.Any]:
        return self.request("PUT", path, None, body)

    def delete(self, path: str, query: Mapping[str, t.Any] | None = None) -> bool:
        """Deletes the object at *path*; False where there was none."""
        try:
            self.request("DELETE", path, query)
        except RequestFailed as error:
            if error.status == 404:
                return False
            raise
        return True

    def text(
        self, path: str, query: Mapping[str, t.Any] | None = None, timeout: float | None = None
    ) -> tuple[int, str]:
        """Status and body of a GET, whatever the status is."""
        return self._exchange("GET", path, query, None, "application/json", timeout)

    def close(self) -> None:
        """Closes the calling thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection:
            connection.close()
        self._local.connection = None

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, t.Any] | None,
        body: Mapping[str, t.Any] | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, t.Any]:
        status, answer = self._exchange(method, path, query, body, content_type, timeout)
        if not 200 <= status < 300:
            raise RequestFailed(f"{method} {path}", self.server, status, answer)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise RequestFailed(f"{method} {path}", self.server, status, f"not JSON: {answer[:200]!r}") from error

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, t.Any] | None,
        body: Mapping[str, t.Any] | None,
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

    def _unreachable(self, method: str, path: str, error: Exception, timeout: float) -> Unreachable:
        return Unreachable(f"{method} {path} got no answer from {self.server}: {describe(error, timeout)}")


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
    if isinstance(error, HardwayError):
        return str(error)
    return f"{type(error).__name__}: {error}"


# --- one request to a URL


class Answer(t.NamedTuple):
    """Status and text of an answer."""

    status: int
    body: str


def context_of(
    ca: str | None = None, certificate: str | None = None, key: str | None = None, verify: bool = True
) -> ssl.SSLContext:
    """TLS settings from files. *verify* false is for a server on the loopback address with a certificate that it made itself."""
    context = ssl.create_default_context(cafile=ca) if verify else ssl._create_unverified_context()
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def fetch(
    url: str, context: ssl.SSLContext | None = None, timeout: float = PROBE_TIMEOUT, most: int = MOST_BODY
) -> Answer:
    """GET a URL: the status, and *most* bytes of the body at most. Raises OSError and http.client.HTTPException."""
    parts = urlsplit(url)
    host = t.cast(str, parts.hostname)
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=timeout)
    )
    pace.keep(connection, lambda: PATIENCE * timeout, MOST_ANSWER)
    try:
        connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")))
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(most).decode(errors="replace"))
    finally:
        connection.close()


def probe(
    url: str,
    *,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    verify: bool = True,
    timeout: float = PROBE_TIMEOUT,
) -> str | None:
    """Whether a URL answers 200: None, or what is wrong."""
    try:
        context = context_of(ca, certificate, key, verify) if url.startswith("https:") else None
        answer = fetch(url, context, timeout, most=4000)
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    return None if answer.status == 200 else f"{url} answered {answer.status}: {answer.body.strip()[-500:]}"
