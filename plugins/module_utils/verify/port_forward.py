# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to a pod and commands in it, through the API server: it reaches kubelets also where it cannot reach pods."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import traceback
import typing as t
from collections.abc import Callable, Sequence
from urllib.parse import urlencode, urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    TEMPORARY,
    Api,
    ApiError,
    describe,
    tls_context,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import (
    INTERVAL,
    NAMESPACE,
    PORT,
    Pod,
    TemporaryVerifyError,
    VerifyError,
    bracketed,
)

WEBSOCKET_IMPORT_ERROR: str | None = None
try:
    import websocket
except ImportError:
    WEBSOCKET_IMPORT_ERROR = traceback.format_exc()

T = t.TypeVar("T")


class Tunnel:
    """HTTP to a pod's port through a port-forward (websocket, C(v4.channel.k8s.io): channel 0 is data, 1 is errors)."""

    def __init__(self, api: Api, pod: Pod, timeout: float) -> None:
        self._socket = open_websocket(
            api,
            f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/portforward",
            [("ports", PORT)],
            ["v4.channel.k8s.io"],
            timeout,
        )
        self._timeout = timeout
        self._greeted: set[int] = set()
        self._buffer = b""

    def get(self, path: str) -> tuple[int, str]:
        try:
            return self._get(path)
        except (websocket.WebSocketException, OSError) as error:
            raise VerifyError(f"through the port-forward: {describe(error, self._timeout)}") from error

    def _get(self, path: str) -> tuple[int, str]:
        self._socket.send_binary(b"\x00" + f"GET {path} HTTP/1.1\r\nHost: {NAMESPACE}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _unused, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, unused, value in (header.partition(":") for header in headers)
        }
        length = int(fields.get("content-length", 0))
        while len(self._buffer) < length:
            self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(status.split()[1]), body.decode(errors="replace")

    def _receive(self) -> None:
        frame = self._socket.recv()
        data = frame.encode() if isinstance(frame, str) else frame
        if not data:
            raise VerifyError("the port-forward was closed")
        channel, data = data[0], data[1:]
        if channel not in self._greeted:  # the first frame of a channel is its port
            self._greeted.add(channel)
            data = data[2:]
        if channel == 1 and data:
            raise VerifyError(data.decode(errors="replace").strip())
        if channel == 0:
            self._buffer += data

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._socket.close(timeout=1)


def open_websocket(
    api: Api, path: str, query: Sequence[tuple[str, t.Any]], protocols: list[str], timeout: float
) -> t.Any:
    """A websocket to *path* with the client's credentials. Raises VerifyError with the API's message."""
    credentials = api.credentials
    address = urlsplit(credentials.server)
    options: dict[str, t.Any] = {"context": tls_context(credentials)}
    if credentials.server_name:
        options["server_hostname"] = credentials.server_name
    url = f"{'wss' if address.scheme == 'https' else 'ws'}://{address.netloc}{address.path}{path}?{urlencode(query)}"
    header = [f"Authorization: Bearer {credentials.token}"] if credentials.token else []
    try:
        return websocket.create_connection(
            url,
            timeout=timeout,
            sslopt=options,
            header=header,
            subprotocols=protocols,
            suppress_origin=True,
            http_no_proxy=["*"],
            enable_multithread=False,
        )
    except websocket.WebSocketBadStatusException as error:
        body = (
            error.resp_body.decode(errors="replace")
            if isinstance(error.resp_body, bytes)
            else str(error.resp_body or "")
        )
        kind = TemporaryVerifyError if error.status_code in TEMPORARY else VerifyError
        raise kind(f"answered {error.status_code}: {ApiError('', '', error.status_code, body).message}") from error
    except (websocket.WebSocketException, OSError) as error:
        raise TemporaryVerifyError(describe(error, timeout)) from error


def execute(api: Api, pod: Pod, command: Sequence[str], timeout: float) -> str:
    """Runs *command* in *pod* and returns what it wrote. Raises VerifyError when it fails."""
    query = [("command", word) for word in command] + [("stdout", "true"), ("stderr", "true")]
    socket = open_websocket(
        api,
        f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/exec",
        query,
        ["v5.channel.k8s.io", "v4.channel.k8s.io"],
        timeout,
    )
    output, status = b"", b""
    try:
        while True:
            frame = socket.recv()
            data = frame.encode() if isinstance(frame, str) else frame
            if not data:
                break
            if data[0] == 3:
                status += data[1:]
            elif data[0] in (1, 2):
                output += data[1:]
    except websocket.WebSocketConnectionClosedException:
        pass
    except (websocket.WebSocketException, OSError) as error:
        raise VerifyError(describe(error, timeout)) from error
    finally:
        with contextlib.suppress(Exception):
            socket.close(timeout=1)
    try:
        result = json.loads(status)
    except ValueError:
        raise VerifyError("ended without a status") from None
    if result.get("status") != "Success":
        raise VerifyError(f"{result.get('message', 'failed')}: {output.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


def retry(call: Callable[[], T], timeout: float) -> T:
    """What *call* returns; tried again for *timeout* seconds while its cause may pass."""
    end = time.monotonic() + timeout
    while True:
        try:
            return call()
        except TemporaryVerifyError:
            if time.monotonic() >= end:
                raise
        time.sleep(INTERVAL)


def dial(tunnel: Tunnel, host: str, port: int, expected: set[str]) -> str:
    """Lets a pod ask *host* for its name; what is wrong with the answer, or an empty text."""
    status, body = tunnel.get(
        f"/dial?{urlencode({'host': host, 'port': port, 'protocol': 'http', 'request': 'hostname', 'tries': 1})}"
    )
    try:
        answer = json.loads(body)
    except ValueError:
        return f"answered {status}: {body.strip()[:200]}"
    if answer.get("errors"):
        return ", ".join(answer["errors"])
    names = set(answer.get("responses") or [])
    return (
        ""
        if names and names <= expected
        else f"{', '.join(sorted(names)) or 'nothing'} answered instead of {', '.join(sorted(expected))}"
    )


def node_port_problem(address: str, port: int, expected: set[str]) -> str:
    """What is wrong with the answer of a node's port to this machine, or an empty text."""
    connection = http.client.HTTPConnection(address, port, timeout=4)
    try:
        connection.request("GET", "/hostname")
        name = connection.getresponse().read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{bracketed(address)}:{port}: {describe(error, 4)}"
    finally:
        connection.close()
    return "" if name in expected else f"{bracketed(address)}:{port}: {name[:80]!r} answered"
