# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that answer hardly anything, or without an end."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import http, pace
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts

HEAD = b"HTTP/1.1 200 OK\r\n"
BODY = HEAD + b"Content-Length: 1000000\r\n\r\n"


class Server:
    """Answers each request with some bytes, and then with a part again and again, every *pause* seconds."""

    def __init__(self) -> None:
        self.begin, self.part, self.pause = b"", b"", 0.01
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/file"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(self.begin)
                while self.part and not self.over.wait(self.pause):
                    connection.sendall(self.part)
            except OSError:
                pass

    def close(self) -> None:
        self.over.set()
        self.listener.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(artifacts, "ATTEMPTS", 1)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.close()


def by_download(url: str) -> None:
    artifacts.download(url, timeout=0.5)


def by_probe(url: str) -> None:
    http.fetch(url, timeout=0.25)


def by_client(url: str) -> None:
    http.Client(http.Credentials(url.rpartition("/")[0]), timeout=0.25).get("/file")


@pytest.mark.parametrize("ask", [by_download, by_probe, by_client])
@pytest.mark.parametrize(
    ("begin", "part"),
    [(BODY, b"x"), (HEAD, b"X"), (b"", b"H"), (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")],
    ids=["body", "header", "status", "chunks"],
)
def test_a_byte_now_and_then_does_not_keep_anybody(
    server: Server, ask: Callable[[str], None], begin: bytes, part: bytes
) -> None:
    server.begin, server.part, server.pause = begin, part, 0.02
    began = time.monotonic()
    with pytest.raises(
        (artifacts.ArtifactError, http.Unreachable, pace.TooSlow), match=r"less than 8[.]0 KiB a second"
    ):
        ask(server.url)
    assert time.monotonic() - began < 5


def test_what_comes_fast_and_then_hardly_at_all_is_given_up(server: Server) -> None:
    server.begin, server.part, server.pause = BODY + bytes(900_000), b"x", 0.02
    began = time.monotonic()
    with pytest.raises(artifacts.ArtifactError, match="after 879 KiB less than"):
        by_download(server.url)
    assert time.monotonic() - began < 5, "what came before must not buy time for ever"


def test_what_keeps_its_pace_takes_as_long_as_it_needs(server: Server) -> None:
    server.begin, server.part, server.pause = HEAD + b"Content-Length: 40000\r\n\r\n", bytes(1000), 0.03
    assert artifacts.download(server.url, timeout=0.5) == hashlib.sha256(bytes(40000)).hexdigest()


def test_what_has_no_end_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.begin, server.part, server.pause = HEAD + b"\r\n", bytes(100_000), 0
    sink = io.BytesIO()
    with pytest.raises(artifacts.ArtifactError, match=r"more than 1[.]0 MiB came"):
        artifacts.download(server.url, sink, 5, artifacts.MOST_CHECKSUMS)
    assert len(sink.getvalue()) <= artifacts.MOST_CHECKSUMS
    monkeypatch.setattr(http, "MOST_ANSWER", 1 << 20)
    with pytest.raises(http.Unreachable, match=r"more than 1[.]0 MiB came"):
        by_client(server.url)
