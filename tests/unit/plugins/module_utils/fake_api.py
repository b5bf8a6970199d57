# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An HTTPS server in this process that stands for kube-apiserver, with a CA and client certificates of its own."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = tuple[int, t.Any, dict[str, str]]
Handler = t.Callable[[str, str, dict[str, str], t.Any], Answer]


def name(**parts: str) -> x509.Name:
    oids = {"cn": NameOID.COMMON_NAME, "o": NameOID.ORGANIZATION_NAME, "ou": NameOID.ORGANIZATIONAL_UNIT_NAME}
    return x509.Name([x509.NameAttribute(oids[key.rstrip("0123456789")], value) for key, value in parts.items()])


def pem(item: t.Any) -> bytes:
    if hasattr(item, "private_bytes"):
        return item.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return item.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A CA that issues what a test needs."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build(name(cn="fake-ca"), self.key.public_key(), ca=True)

    def _build(
        self, subject: x509.Name, key: t.Any, ca: bool = False, names: t.Sequence[x509.GeneralName] = ()
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        authority_key = self.key.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name(cn="fake-ca"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, cn: str, addresses: t.Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Certificate and key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        return pem(self._build(name(cn=cn), key.public_key(), names=names)), pem(key)


class FakeApi:
    """Answers by *handler(method, path, query, body)*; counts requests and connections."""

    def __init__(self, directory: Path, handler: Handler, client_certificates: bool = True) -> None:
        self.authority = Authority()
        self.requests: list[str] = []
        self.connections = 0
        certificate, key = self.authority.issue("fake-api", ["127.0.0.1"])
        (directory / "server.pem").write_bytes(certificate + key)
        (directory / "ca.pem").write_bytes(pem(self.authority.certificate))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(directory / "ca.pem"))
        context.load_cert_chain(directory / "server.pem")
        context.verify_mode = ssl.CERT_REQUIRED if client_certificates else ssl.CERT_OPTIONAL
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class(handler))
        self.server.daemon_threads = True
        self.server.handle_error = lambda *unused: None  # type: ignore[method-assign]  # clients that gave up
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.kubeconfig = directory / "admin.kubeconfig"
        self._write_kubeconfig()
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def _handler_class(self, handler: Handler) -> type:
        fake = self

        class Requests(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                fake.connections += 1
                super().setup()

            def log_message(self, *args: t.Any) -> None:
                pass

            def _answer(self) -> None:
                address = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(address.query).items()}
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                fake.requests.append(f"{self.command} {self.path}")
                status, answer, headers = handler(self.command, address.path, query, body)
                if status == 0:  # closes without a byte
                    self.close_connection = True
                    return
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        return Requests

    def _write_kubeconfig(self) -> None:
        certificate, key = self.authority.issue("admin")

        def data(value: bytes) -> str:
            return base64.b64encode(value).decode()

        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "admin"}}],
            "clusters": [
                {
                    "name": "fake",
                    "cluster": {
                        "server": self.url,
                        "certificate-authority-data": data(pem(self.authority.certificate)),
                    },
                }
            ],
            "users": [
                {"name": "admin", "user": {"client-certificate-data": data(certificate), "client-key-data": data(key)}}
            ],
        }
        self.kubeconfig.write_text(json.dumps(config))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.server.shutdown()
        self.server.server_close()
