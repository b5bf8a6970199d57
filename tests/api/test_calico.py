# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real API server takes what the role cni applies for Calico: in check mode, for real, and again, by both methods and with both datastores.

Upstream's manifests are not part of this project. HARDWAY_CALICO names a directory that has them, under the names that they have at upstream:
calico.yaml, calico-etcd.yaml, operator-crds.yaml and tigera-operator.yaml. What their pods do is another matter: none runs here.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.filter.calico import ENCAPSULATIONS
from ansible_collections.hardway.kubernetes.plugins.modules import certificates
from ansible_collections.hardway.kubernetes.tests.api.cluster import ROOT, Call, Cluster

MANIFESTS = os.environ.get("HARDWAY_CALICO", "")
NEEDED = ("calico.yaml", "calico-etcd.yaml", "operator-crds.yaml", "tigera-operator.yaml")
VERSION = yaml.safe_load((ROOT / "roles/cluster/defaults/main.yml").read_text())["cluster_calico_version"]
pytestmark = pytest.mark.skipif(
    not MANIFESTS, reason="HARDWAY_CALICO names no directory with upstream's manifests of Calico"
)

# The step of site.yml, with the answer of its preflight, without the parts that are for hosts. Each in a process of its own, as in three runs.
PLAYBOOK = """\
- hosts: kube_node
  gather_facts: false
  vars: {preflight_report: {endpoint: ours}}
  tasks:
    - ansible.builtin.import_role: {name: hardway.kubernetes.cluster, tasks_from: lock}
    - ansible.builtin.import_role: {name: hardway.kubernetes.cni, tasks_from: calico_objects}
"""
INVENTORY = {
    "all": {
        "hosts": {"local": {"ansible_connection": "local", "ansible_host": "127.0.0.1"}},
        "children": {group: {"hosts": {"local": None}} for group in ("kube_master", "etcd", "kube_node")},
    }
}
METHODS = {
    "manifest": {"cluster_calico_method": "manifest", "cluster_calico_datastore": "kubernetes"},
    "manifest-etcd": {"cluster_calico_method": "manifest", "cluster_calico_datastore": "etcd"},
    "operator": {"cluster_calico_method": "operator", "cluster_calico_datastore": "kubernetes"},
}
NODE = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
INSTALLATION = "/apis/operator.tigera.io/v1/installations/default"


class Site:
    """An inventory directory whose cluster is the test's, and a mirror that has the manifests."""

    def __init__(self, directory: Path, cluster: Cluster, call: Call) -> None:
        self.directory, self.cluster = directory, cluster
        leaf = {"name": "calico", "ca": "etcd-ca", "profile": "client", "subject": {"CN": "calico"}}
        assert "failed" not in call(
            certificates,
            path=str(cluster.pki),
            cas=[{"name": "etcd-ca", "existing": True}],
            certificates=[leaf],
        )
        mirror = directory / f"mirror/raw.githubusercontent.com/projectcalico/calico/v{VERSION}/manifests"
        mirror.mkdir(parents=True)
        for name in NEEDED:
            shutil.copy(Path(MANIFESTS) / name, mirror)
        (directory / "inventory/group_vars").mkdir(parents=True)
        (directory / "inventory/hosts.yml").write_text(yaml.safe_dump(INVENTORY))
        settings = {
            "ansible_python_interpreter": sys.executable,
            "cluster_cni": "calico",
            "cluster_dir": str(cluster.directory),
            "cluster_endpoint_address": "127.0.0.1",
            "cluster_etcd_port": cluster.etcd_port,
            "cluster_mirror": f"file://{directory}/mirror",
        }
        (directory / "inventory/group_vars/all.yml").write_text(yaml.safe_dump(settings))
        (directory / "play.yml").write_text(PLAYBOOK)

    def run(self, *arguments: str, code: int = 0, **settings: t.Any) -> tuple[int, str]:
        """How many tasks changed something in the cluster, and the output."""
        # Derived variables: only -e overrules them. Of the catalogue nothing else is needed here.
        derived = {
            "cluster_kubeconfig": self.cluster.kubeconfig,
            "cluster_artifact_names": "{{ cluster_calico_manifests }}",
        }
        command = [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "inventory",
            "play.yml",
            "-e",
            json.dumps({**settings, **derived}),
            *arguments,
        ]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == code, (done.stdout + done.stderr)[-6000:]
        recap = next(line for line in done.stdout.splitlines() if line.startswith("local ") and "changed=" in line)
        return int(recap.split("changed=")[1].split()[0]), done.stdout

    def nothing_to_do(self, **settings: t.Any) -> None:
        changed, output = self.run("--diff", **settings)
        assert changed == 0, output[-6000:]


@pytest.fixture(name="site", scope="module")
def site_fixture(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, call: Call) -> Site:
    missing = [name for name in NEEDED if not (Path(MANIFESTS) / name).is_file()]
    assert not missing, f"{MANIFESTS} lacks {', '.join(missing)}"
    return Site(tmp_path_factory.mktemp("calico"), cluster, call)


def environment_of(daemonset: dict[str, t.Any]) -> dict[str, str]:
    (container,) = daemonset["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.mark.parametrize("method", METHODS)
def test_every_object_is_planned_applied_and_left_alone(site: Site, cluster: Cluster, method: str) -> None:
    settings = METHODS[method]
    _locked, planned = site.run("--check", "--diff", **settings)
    assert "PRIVATE KEY" not in planned
    site.run(**settings)
    site.nothing_to_do(**settings)
    if method != "manifest-etcd":
        manifest = "operator-crds.yaml" if method == "operator" else "calico.yaml"
        kinds = [item["metadata"]["name"] for item in yaml.load_all((Path(MANIFESTS) / manifest).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
                 if item and item["kind"] == "CustomResourceDefinition"]  # fmt: skip
        assert len(kinds) > 20
        for name in kinds:
            conditions = {
                item["type"]: item["status"] for item in cluster.api.get(f"{CRDS}/{name}")["status"]["conditions"]
            }
            assert conditions["Established"] == "True", name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("encapsulation", ENCAPSULATIONS)
def test_every_encapsulation(site: Site, cluster: Cluster, method: str, encapsulation: str) -> None:
    settings = {
        **METHODS[method],
        "cni_calico_encapsulation": encapsulation,
        "cluster_pod_network": "10.200.0.0/16",
        "cni_calico_mtu": 1400,
    }
    site.run("--check", **settings)
    site.run(**settings)
    site.nothing_to_do(**settings)
    ipip, vxlan, operator = ENCAPSULATIONS[encapsulation]
    bgp = not encapsulation.startswith("vxlan")
    if method == "operator":
        network = cluster.api.get(INSTALLATION)["spec"]["calicoNetwork"]
        assert (network["ipPools"][0]["encapsulation"], network["ipPools"][0]["cidr"], network["mtu"]) == (
            operator,
            "10.200.0.0/16",
            1400,
        )
        assert network["bgp"] == ("Enabled" if bgp else "Disabled")
        return
    environment = environment_of(cluster.api.get(NODE))
    assert (environment["CALICO_IPV4POOL_IPIP"], environment["CALICO_IPV4POOL_VXLAN"]) == (ipip, vxlan)
    config = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/calico-config")["data"]
    assert (config["calico_backend"], config["veth_mtu"]) == ("bird" if bgp else "vxlan", "1400")


def test_etcd_is_asked_with_the_certificate_of_the_cluster(site: Site, cluster: Cluster) -> None:
    settings = {
        **METHODS["manifest-etcd"],
        "cni_calico_registry": "registry.example.org",
        "cni_calico_image_path": "mirrored",
    }
    output = site.run("-vvv", "--diff", **settings)[1]
    key = (cluster.pki / "calico-key.pem").read_bytes()
    assert "PRIVATE KEY" not in output and base64.b64encode(key).decode()[:60] not in output
    secret = cluster.api.get("/api/v1/namespaces/kube-system/secrets/calico-etcd-secrets")["data"]
    assert base64.b64decode(secret["etcd-key"]) == key
    assert base64.b64decode(secret["etcd-ca"]) == (cluster.pki / "etcd-ca-bundle.pem").read_bytes()
    config = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/calico-config")["data"]
    assert config["etcd_endpoints"] == f"https://127.0.0.1:{cluster.etcd_port}"
    assert config["etcd_key"] == "/calico-secrets/etcd-key"
    pod = cluster.api.get(NODE)["spec"]["template"]["spec"]
    images = {container["image"] for container in pod["initContainers"] + pod["containers"]}
    assert images == {f"registry.example.org/mirrored/{name}:v{VERSION}" for name in ("cni", "node")}


def test_what_the_operator_is_asked_for_may_be_anything_that_its_kind_has(site: Site, cluster: Cluster) -> None:
    detection = {"kubernetes": None, "canReach": "192.0.2.1"}
    over = {
        "controlPlaneReplicas": 1,
        "calicoNetwork": {"linuxDataplane": "Nftables", "nodeAddressAutodetectionV4": detection},
    }
    site.run(**METHODS["operator"], cni_calico_installation=over, cni_calico_registry="registry.example.org")
    spec = cluster.api.get(INSTALLATION)["spec"]
    assert (spec["registry"], spec["controlPlaneReplicas"]) == ("registry.example.org/", 1)
    assert spec["calicoNetwork"]["nodeAddressAutodetectionV4"] == {"canReach": "192.0.2.1"}
    refused = site.run(code=2, **METHODS["operator"], cni_calico_installation={"calicoNetwork": {"bgp": "Perhaps"}})[1]
    assert "Perhaps" in refused
