# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real kubeadm with our certificates, without an authority's key, against a real API server; its files are below a directory of the test."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.filter import core

from ansible_collections.hardway.kubernetes.plugins.filter import pki
from ansible_collections.hardway.kubernetes.plugins.filter.kubeadm import ca_hashes, kubeadm_documents
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, Credentials
from ansible_collections.hardway.kubernetes.plugins.modules import bootstrap_token
from ansible_collections.hardway.kubernetes.tests.api.cluster import ROOT, SETTINGS, Cluster
from ansible_collections.hardway.kubernetes.tests.e2e.harness import cis

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="kubeadm --rootfs needs root")
PKI = "/etc/kubernetes/pki"
HARDENING = yaml.safe_load((ROOT / "roles/cluster/vars/main/hardening.yml").read_text())
FILES = {
    "ca.crt": "ca-bundle",
    "apiserver.crt": "kube-apiserver-local",
    "apiserver.key": "kube-apiserver-local-key",
    "apiserver-kubelet-client.crt": "kube-apiserver-kubelet-client",
    "apiserver-kubelet-client.key": "kube-apiserver-kubelet-client-key",
    "front-proxy-ca.crt": "front-proxy-ca-bundle",
    "front-proxy-client.crt": "front-proxy-client",
    "front-proxy-client.key": "front-proxy-client-key",
    "sa.pub": "service-account-bundle",
    "sa.key": "service-account-key",
    "kubeadm-admin.pem": "kubeadm-admin",
    "kubeadm-admin-key.pem": "kubeadm-admin-key",
    "node-a.pem": "node-a",
    "node-a-key.pem": "node-a-key",
    "etcd-ca.crt": "etcd-ca",
}


def kubeconfig(server: str, user: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": user}}],
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": f"{PKI}/ca.crt"}}],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate": f"{PKI}/{user}.pem", "client-key": f"{PKI}/{user}-key.pem"},
                }
            ],
        }
    )


def render(name: str, **variables: object) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(core.FilterModule().filters())
    environment.filters.update(
        {f"hardway.kubernetes.{name}": function for name, function in pki.FilterModule().filters().items()}
    )
    environment.globals["lookup"] = lambda *_unused: ""
    return environment.from_string((ROOT / "roles/kubeadm/templates" / name).read_text()).render(variables)


class Host:
    """A master, as far as kubeadm sees it."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster = root, cluster
        port = int(cluster.url.rsplit(":", 1)[1])
        for name, source in FILES.items():
            self.write(f"{PKI}/{name}", (cluster.pki / f"{source}.pem").read_text())
        # The API server is on the loopback address, which kubeadm does not take for that of a master: it is led there by a kubeconfig of another name.
        for name in ("admin", "super-admin", "controller-manager", "scheduler", "here"):
            self.write(f"/etc/kubernetes/{name}.conf", kubeconfig(cluster.url, "kubeadm-admin"))
        self.write("/etc/kubernetes/kubelet.conf", kubeconfig(cluster.url, "node-a"))
        registration = {
            "name": "node-a",
            "criSocket": "unix:///run/containerd/containerd.sock",
            "taints": [],
            "kubeletExtraArgs": {"node-ip": "127.0.0.1"},
        }
        self.variables = {
            "cluster_address": "192.0.2.1",
            "cluster_apiserver_port": port,
            "kubeadm_registration": registration,
            "cluster_name": "local",
            "kubeadm_pki": PKI,
            "cluster_kubernetes_version": SETTINGS["cluster_kubernetes_version"],
            "cluster_endpoint": cluster.url,
            "cluster_dns_domain": "cluster.local",
            "cluster_pod_network": "10.244.0.0/16",
            "cluster_service_network": "10.96.0.0/16",
            "cluster_dns_address": "10.96.0.10",
            "kubeadm_apiserver_dir": "/etc/kubernetes/apiserver",
            **HARDENING,
            **{name: value for name, value in SETTINGS.items() if name.startswith("cluster_audit_")},
            "cluster_has": {"anonymous_conditions": True, "kubelet_hardening": {"seccompDefault": True}},
            "cluster_admission_plugins": ["NodeRestriction", "DenyServiceExternalIPs"],
            "cluster_etcd_port": cluster.etcd_port,
            "kubeadm_etcd_endpoints": [f"https://127.0.0.1:{cluster.etcd_port}"],
            "group_names": [],
        }
        both = render("init.yaml.j2", **self.variables) + "---\n" + render("cluster.yaml.j2", **self.variables)
        self.write("/etc/kubernetes/kubeadm.yaml", kubeadm_documents(both, {"KubeletConfiguration": {"maxPods": 42}}))
        (root / "etc/kubernetes/patches").mkdir()
        (root / "tmp").mkdir()

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def kubeadm(self, *arguments: str, **environment: str) -> str:
        command = [str(self.cluster.binary("kubeadm")), *arguments, f"--rootfs={self.root}"]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120, check=False
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(name="host", scope="module")
def make_host(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Host:
    host = Host(tmp_path_factory.mktemp("kubeadm"), cluster)
    for document in filter(None, yaml.safe_load_all(render("objects.yaml.j2"))):
        group, kind, namespace = (
            "rbac.authorization.k8s.io/v1",
            document["kind"].lower() + "s",
            document["metadata"].get("namespace"),
        )
        path = f"/apis/{group}/" + (f"namespaces/{namespace}/" if namespace else "") + kind
        cluster.api.create(path, document)
    return host


def test_the_cluster_keeps_its_configuration_and_a_kubelet_gets_it(host: Host, cluster: Cluster) -> None:
    for phase in (("upload-config", "all"), ("bootstrap-token",), ("addon", "kube-proxy")):
        extra = ("--skip-token-print",) if phase == ("bootstrap-token",) else ()
        host.kubeadm(
            "init",
            "phase",
            *phase,
            "--config=/etc/kubernetes/kubeadm.yaml",
            "--kubeconfig=/etc/kubernetes/here.conf",
            *extra,
        )
    kept = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/kubelet-config")
    assert "maxPods: 42" in kept["data"]["kubelet"]

    cluster.api.create(
        "/api/v1/nodes",
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "node-a", "labels": {"kubernetes.io/hostname": "node-a"}},
        },
    )
    (host.root / "tmp/rendered").mkdir()
    host.write("/var/lib/kubelet/kubeadm-flags.env", "")
    arguments = ("upgrade", "node", "phase", "kubelet-config", "--dry-run", "--kubeconfig=/etc/kubernetes/kubelet.conf")
    host.kubeadm(*arguments, KUBEADM_UPGRADE_DRYRUN_DIR="/tmp/rendered")
    rendered = (host.root / "tmp/rendered/config.yaml").read_text()
    assert "maxPods: 42" in rendered
    # What a look leaves behind would be more with every run.
    assert not list((host.root / "etc/kubernetes").glob("tmp/*"))


def test_the_control_plane_that_kubeadm_renders_passes_the_cis_benchmark(host: Host) -> None:
    (host.root / "tmp/manifests").mkdir()
    phase = ("init", "phase", "control-plane", "all", "--dry-run", "--config=/etc/kubernetes/kubeadm.yaml")
    host.kubeadm(*phase, KUBEADM_INIT_DRYRUN_DIR="/tmp/manifests")

    class Manifests:
        installer = "kubeadm"

        @staticmethod
        def arguments(process: str) -> dict[str, str]:
            manifest = yaml.safe_load((host.root / f"tmp/manifests/{process}.yaml").read_text())
            return cis.arguments(manifest["spec"]["containers"][0]["command"])

    wanted = [
        control for control in cis.CONTROLS if control.automated and control.id.startswith(("1.2.", "1.3.", "1.4."))
    ]
    assert len(wanted) == 30
    assert {control.id: trouble for control in wanted if (trouble := control.check(Manifests()))} == {}


def test_who_has_a_token_finds_the_cluster_and_reads_what_it_is_and_no_more(host: Host, cluster: Cluster) -> None:
    token = cluster.call(
        bootstrap_token, kubeconfig=cluster.kubeconfig, ttl="10m", usages=["authentication", "signing"]
    )["token"]
    joining, nobody = (
        cluster.as_bearer(token),
        Api(Credentials(cluster.url, authority=(cluster.pki / "ca.pem").read_text())),
    )
    for name in ("kubeadm-config", "kubelet-config", "kube-proxy"):
        assert joining.get(f"/api/v1/namespaces/kube-system/configmaps/{name}")["data"]
        assert nobody.text(f"/api/v1/namespaces/kube-system/configmaps/{name}")[0] == 401
    assert joining.text("/api/v1/nodes/node-a")[0] == 200
    assert joining.text("/api/v1/namespaces/kube-system/secrets")[0] == 403
    found = nobody.get("/api/v1/namespaces/kube-public/configmaps/cluster-info")["data"]["kubeconfig"]
    authority = base64.b64decode(yaml.safe_load(found)["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    assert ca_hashes(authority) == ca_hashes((cluster.pki / "ca-bundle.pem").read_text())
