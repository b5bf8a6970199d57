# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks for certificates as a kubelet does that joins a cluster, and answers under the one that it gets."""

from __future__ import annotations

import base64
import contextlib
import http.server
import ipaddress
import json
import ssl
import subprocess
import threading
import time
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.csr import CLIENT, REQUESTS, SERVING
from ansible_collections.hardway.kubernetes.tests.api.cluster import Cluster, eventually

USAGES = {CLIENT: ["digital signature", "client auth"], SERVING: ["digital signature", "server auth"]}


def own_address() -> str:
    """An address of this machine that is not loopback: an API server speaks to no node under such a one."""
    found = json.loads(
        subprocess.run(
            ["ip", "-4", "-json", "address", "show", "scope", "global"], capture_output=True, text=True, check=True
        ).stdout
    )
    addresses = [entry["local"] for link in found for entry in link["addr_info"]]
    assert addresses, "this machine has no IPv4 address but loopback, and an API server speaks to no node there"
    return addresses[0]


def make_key() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def make_csr(
    key: ec.EllipticCurvePrivateKey,
    cn: str,
    organizations: t.Sequence[str] = ("system:nodes",),
    names: t.Sequence[str] = (),
) -> bytes:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, word) for word in organizations] + [
        x509.NameAttribute(NameOID.COMMON_NAME, cn)
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([general_name(word) for word in names]), critical=False
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def general_name(word: str) -> x509.GeneralName:
    if "://" in word:
        return x509.UniformResourceIdentifier(word)
    try:
        return x509.IPAddress(ipaddress.ip_address(word))
    except ValueError:
        return x509.DNSName(word)


def ask(api: Api, signer: str, csr: bytes, usages: t.Sequence[str] | None = None) -> str:
    """Posts a request; its name."""
    spec = {"signerName": signer, "request": base64.b64encode(csr).decode(), "usages": list(usages or USAGES[signer])}
    return api.create(REQUESTS, {"metadata": {"generateName": "csr-"}, "spec": spec})["metadata"]["name"]


def wait_for_certificate(api: Api, name: str) -> str:
    return base64.b64decode(eventually(lambda: api.get(f"{REQUESTS}/{name}")["status"].get("certificate"))).decode()


class Healthy(http.server.BaseHTTPRequestHandler):
    """A kubelet's /healthz."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: t.Any) -> None:
        pass


class Joining:
    """A kubelet that joins with a bootstrap token, in a thread of its own."""

    def __init__(self, cluster: Cluster, directory: Path, name: str, token: str, after: float = 0.0) -> None:
        self.cluster = cluster
        self.directory = directory
        self.name = name
        self.token = token
        self.after = after
        self.address = own_address()
        self.problem: Exception | None = None
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Joining:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._thread.join()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        with contextlib.suppress(Exception):
            self.cluster.api.delete(f"/api/v1/nodes/{self.name}")
        if self.problem:
            raise self.problem

    def _run(self) -> None:
        time.sleep(self.after)
        try:
            self._join()
        except Exception as error:  # pylint: disable=broad-exception-caught  # told by the thread that waits
            self.problem = error

    def _join(self) -> None:
        cn = f"system:node:{self.name}"
        bootstrap = self.cluster.as_bearer(self.token)
        key, key_text = make_key()
        api = self.cluster.as_client(
            wait_for_certificate(bootstrap, ask(bootstrap, CLIENT, make_csr(key, cn))), key_text
        )
        self._server = http.server.ThreadingHTTPServer((self.address, 0), Healthy)
        self._register(api, self._server.server_address[1])
        key, key_text = make_key()
        certificate = wait_for_certificate(api, ask(api, SERVING, make_csr(key, cn, names=[self.name, self.address])))
        self._serve(certificate + key_text)

    def _register(self, api: Api, port: int) -> None:
        api.create("/api/v1/nodes", {"metadata": {"name": self.name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": self.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        api.patch(f"/api/v1/nodes/{self.name}/status", {"status": status})

    def _serve(self, identity: str) -> None:
        path = self.directory / f"{self.name}.pem"
        path.write_text(identity)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        assert self._server
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
