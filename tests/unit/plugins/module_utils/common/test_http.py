# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of JSON APIs and the probe, against a real server; TLS and retries are tested with the client of Kubernetes."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import http as subject


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, body = {
            "/": (200, '{"is": "here"}'),
            "/base/object": (200, '{"kind": "Thing"}'),
            "/text": (200, "no JSON"),
            "/sick?why=1": (503, '{"message": "etcd has no leader", "reason": "Timeout"}'),
        }.get(self.path, (404, ""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def client(server: str) -> subject.Client:
    return subject.Client(subject.Credentials(server=server), timeout=5)


def test_objects_are_got_found_and_deleted(server: str) -> None:
    api = client(f"{server}/base")
    assert api.get("/object") == {"kind": "Thing"}
    assert api.find("/other") is None
    assert not api.delete("/other")
    assert api.text("/other") == (404, "")
    api.close()


def test_an_error_has_the_servers_own_message(server: str) -> None:
    api = client(server)
    with pytest.raises(subject.RequestFailed) as found:
        api.get("/sick", {"why": 1})
    error = found.value
    assert (error.status, error.reason, error.message) == (503, "Timeout", "etcd has no leader")
    assert str(error) == f"GET /sick at {server} answered 503: etcd has no leader"
    assert subject.is_temporary(error)
    with pytest.raises(subject.RequestFailed, match="not JSON") as found:
        api.get("/text")
    assert not subject.is_temporary(found.value)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(subject.Unreachable, match=r"GET / got no answer from http://127.0.0.1:1: Connection refused"):
        client("http://127.0.0.1:1").get("/")


def test_certificates_that_are_none_are_refused() -> None:
    with pytest.raises(subject.CredentialsError, match="https://a"):
        subject.Client(subject.Credentials(server="https://a", authority="no PEM"))


def test_a_probe_is_content_with_200_alone(server: str) -> None:
    assert subject.probe(server) is None
    assert subject.probe(f"{server}/sick?why=1") == (
        f'{server}/sick?why=1 answered 503: {{"message": "etcd has no leader", "reason": "Timeout"}}'
    )
    assert "Connection refused" in str(subject.probe("http://127.0.0.1:1/"))
    assert "No such file" in str(subject.probe("https://127.0.0.1:1/", ca="/no/such/ca.pem"))


def test_a_fetch_takes_a_part_of_a_long_answer(server: str) -> None:
    assert subject.fetch(f"{server}/text", most=4) == (200, "no J")
