# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""metrics-server itself, out of the mirror's image, with the role's arguments: it asks the kubelets that it can verify, and no others."""

from __future__ import annotations

import http.server
import io
import ssl
import tarfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    Credentials,
)
from ansible_collections.hardway.kubernetes.plugins.modules import certificates
from ansible_collections.hardway.kubernetes.tests.api.cluster import (
    ROOT,
    SETTINGS,
    Call,
    Cluster,
    MissingArtifacts,
    Process,
    eventually,
    free_port,
    mirrored,
)


class Kubelet(http.server.BaseHTTPRequestHandler):
    """Tells what the node uses, a little more each time."""

    def log_message(self, *args: t.Any) -> None:
        pass

    def do_GET(self) -> None:
        now = time.time()
        body = f"node_cpu_usage_seconds_total {now - 1.6e9:.3f} {now * 1000:.0f}\nnode_memory_working_set_bytes 5.0e+08 {now * 1000:.0f}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(name="nodes")
def nodes_fixture(cluster: Cluster, call: Call) -> t.Iterator[None]:
    """Two nodes: the kubelet of one has a certificate of kubelets' authority, that of the other one of another authority."""
    leaf = {"profile": "server", "subject": {"CN": "kubelet"}, "hosts": ["127.0.0.1"]}
    leaves = [{**leaf, "name": f"serving-{name}", "ca": name} for name in ("kubelet-ca", "ca")]
    existing = [{"name": name, "existing": True} for name in ("kubelet-ca", "ca")]
    assert "failed" not in call(certificates, path=str(cluster.pki), cas=existing, certificates=leaves)
    servers = []
    for node, authority in (("known", "kubelet-ca"), ("strange", "ca")):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cluster.pki / f"serving-{authority}.pem", cluster.pki / f"serving-{authority}-key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        cluster.api.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
        }
        status["conditions"] = [{"type": "Ready", "status": "True"}]
        cluster.api.apply(
            f"/api/v1/nodes/{node}/status",
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status},
        )
    yield
    for server in servers:
        server.shutdown()
        server.server_close()
    for node in ("known", "strange"):
        cluster.api.delete(f"/api/v1/nodes/{node}")


def arguments(cluster: Cluster, port: int) -> list[str]:
    """Those of the Deployment, with the files' places here, and whom to ask, which a pod knows by itself."""
    text = (ROOT / "roles/addons/templates/metrics-server.yaml.j2").read_text()
    given = [line.strip().removeprefix("- ") for line in text.splitlines() if line.strip().startswith("- --")]
    places = {
        "--secure-port": str(port),
        "--tls-cert-file": f"{cluster.pki}/kube-apiserver-local.pem",
        "--tls-private-key-file": f"{cluster.pki}/kube-apiserver-local-key.pem",
        "--kubelet-certificate-authority": f"{cluster.pki}/kubelet-ca-bundle.pem",
        "--metric-resolution": "10s",
        "--kubelet-request-timeout": "9s",
    }
    names = [argument.partition("=")[0] for argument in given]
    assert set(places) <= set(names)
    own = [f"--{name}kubeconfig={cluster.kubeconfig}" for name in ("", "authentication-", "authorization-")]
    return [f"{name}={places[name]}" if name in places else argument for name, argument in zip(names, given)] + own


@pytest.fixture(name="server")
def server_fixture(cluster: Cluster, nodes: None, tmp_path: Path) -> t.Iterator[tuple[Api, Process]]:
    try:
        archive = mirrored(f"images/metrics-server-{SETTINGS['cluster_metrics_server_version']}.tar")
    except MissingArtifacts as error:
        pytest.skip(str(error))
    with tarfile.open(archive) as image:
        layers = [image.extractfile(name).read() for name in image.getnames() if name.endswith("layer.tar")]
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as layer:
        layer.extract("metrics-server", tmp_path, filter="data")
    (tmp_path / "metrics-server").chmod(0o700)
    port = free_port()
    process = Process(tmp_path, "metrics-server", [str(tmp_path / "metrics-server"), *arguments(cluster, port)])
    pem = {name: (cluster.pki / f"{name}.pem").read_text() for name in ("ca", "admin", "admin-key")}
    try:
        yield (
            Api(
                Credentials(
                    f"https://127.0.0.1:{port}", authority=pem["ca"], certificate=pem["admin"], key=pem["admin-key"]
                )
            ),
            process,
        )
    finally:
        process.stop()


def test_kubelets_are_verified(server: tuple[Api, Process]) -> None:
    api, process = server

    def known() -> list[dict[str, t.Any]]:
        process.check()
        try:
            return api.items("/apis/metrics.k8s.io/v1beta1/nodes")
        except (ApiError, ApiUnreachable):
            return []

    found = eventually(known, timeout=90, pause=0.5)
    assert [item["metadata"]["name"] for item in found] == ["known"]
    assert found[0]["usage"]["memory"] and found[0]["usage"]["cpu"]
    assert "certificate signed by unknown authority" in process.log.read_text()
