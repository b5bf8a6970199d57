# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real API server takes what the role addons applies: the playbook's own step, in check mode, for real, and again."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiError
from ansible_collections.hardway.kubernetes.plugins.modules import certificates
from ansible_collections.hardway.kubernetes.tests.api.cluster import ROOT, Call, Cluster, eventually

# The step of site.yml, with the answer of its preflight.
PLAYBOOK = """\
- hosts: kube_master
  gather_facts: false
  vars: {preflight_report: {endpoint: ours}}
  tasks:
    - ansible.builtin.import_role: {name: hardway.kubernetes.addons}
"""
INVENTORY = {
    "all": {
        "hosts": {
            "local": {"ansible_connection": "local", "ansible_host": "127.0.0.1"},
            "node-a": {"ansible_host": "192.0.2.31"},
        },
        "children": {group: {"hosts": {"local": None}} for group in ("kube_master", "etcd")}
        | {"kube_node": {"hosts": {"node-a": None}}},
    }
}
ALL_ON = {"cluster_metrics_server": True, "cluster_dashboard": True}


class Site:
    """An inventory directory whose cluster is the test's."""

    def __init__(self, directory: Path, cluster: Cluster, call: Call) -> None:
        self.directory, self.cluster = directory, cluster
        leaf = {"ca": "ca", "profile": "server", "hosts": ["metrics-server.kube-system.svc"]}
        issued = [{**leaf, "name": name, "subject": {"CN": name}} for name in ("metrics-server", "dashboard")]
        existing = [{"name": "ca", "existing": True}]
        assert "failed" not in call(certificates, path=str(cluster.pki), cas=existing, certificates=issued)
        (directory / "inventory/group_vars").mkdir(parents=True)
        (directory / "inventory/hosts.yml").write_text(yaml.safe_dump(INVENTORY))
        settings = {
            "cluster_endpoint_address": "127.0.0.1",
            "cluster_dir": str(cluster.directory),
            "cluster_kubeconfig": cluster.kubeconfig,
        }
        (directory / "inventory/group_vars/all.yml").write_text(
            yaml.safe_dump({**settings, "ansible_python_interpreter": sys.executable})
        )
        (directory / "play.yml").write_text(PLAYBOOK)

    def run(self, *arguments: str, **settings: t.Any) -> tuple[int, str]:
        """How many tasks changed something, and the output."""
        command = [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "inventory",
            "play.yml",
            "-e",
            json.dumps(settings),
            *arguments,
        ]
        # The kubeconfig is a derived variable: only -e overrules it.
        command += ["-e", json.dumps({"cluster_kubeconfig": self.cluster.kubeconfig})]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        recap = next(line for line in done.stdout.splitlines() if line.startswith("local ") and "changed=" in line)
        return int(recap.split("changed=")[1].split()[0]), done.stdout


@pytest.fixture(name="site")
def site_fixture(tmp_path: Path, cluster: Cluster, call: Call) -> Site:
    return Site(tmp_path, cluster, call)


DEPLOYMENTS = {"coredns": "kube-system", "metrics-server": "kube-system", "headlamp": "headlamp"}


def test_addons_are_planned_applied_and_left_alone(site: Site, cluster: Cluster) -> None:
    assert site.run("--check", "--diff")[0] == 1
    assert cluster.api.find("/apis/apps/v1/namespaces/kube-system/deployments/coredns") is None
    assert site.run(**ALL_ON)[0] == 2
    assert site.run(**ALL_ON)[0] == 0, "a second run changes nothing"
    changed = {
        "addons_coredns_stub_domains": {"example.org": ["192.0.2.53"]},
        "addons_coredns_extra": "log\nrewrite name a.example b.example",
    }
    assert site.run(**ALL_ON, **changed)[0] == 1
    corefile = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/coredns")["data"]["Corefile"]
    assert "    log\n    rewrite name a.example b.example\n}" in corefile and "example.org:53 {" in corefile
    for name, namespace in DEPLOYMENTS.items():
        path = f"/apis/apps/v1/namespaces/{namespace}"
        found = cluster.api.get(f"{path}/deployments/{name}")
        assert eventually(lambda found=found, path=path: made_by(cluster, path, found)), (
            "a controller makes its pods' ReplicaSet"
        )
    assert site.run("--check", "--diff", **ALL_ON, **changed, addons_metrics_server_replicas=3)[0] == 1
    key = (cluster.pki / "metrics-server-key.pem").read_bytes()
    assert (
        base64.b64decode(
            cluster.api.get("/api/v1/namespaces/kube-system/secrets/metrics-server-tls")["data"]["tls.key"]
        )
        == key
    )
    service = cluster.api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io")["spec"]
    assert base64.b64decode(service["caBundle"]) == (cluster.pki / "ca-bundle.pem").read_bytes() and not service.get(
        "insecureSkipTLSVerify"
    )
    trusted = cluster.api.get("/api/v1/namespaces/kube-system/configmaps/kubelet-serving-ca")["data"]["ca.crt"]
    assert trusted == (cluster.pki / "kubelet-ca-bundle.pem").read_text()
    pod = cluster.api.get("/apis/apps/v1/namespaces/kube-system/deployments/metrics-server")["spec"]["template"]["spec"]
    assert pod["hostNetwork"], "the master here is no node, and reaches nodes' addresses alone"
    assert not [argument for argument in pod["containers"][0]["args"] if "insecure" in argument]
    assert site.run(**changed, addons_absent=["metrics-server", "dashboard"])[0] == 1
    assert cluster.api.find("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io") is None
    assert cluster.api.find("/apis/apps/v1/namespaces/kube-system/deployments/coredns")


def made_by(cluster: Cluster, path: str, deployment: dict[str, t.Any]) -> bool:
    sets = cluster.api.items(f"{path}/replicasets")
    return any(
        owner["uid"] == deployment["metadata"]["uid"]
        for item in sets
        for owner in item["metadata"].get("ownerReferences", [])
    )


def test_who_looks_at_the_dashboard_may_look_and_nothing_else(site: Site, cluster: Cluster) -> None:
    def finished() -> bool:
        return cluster.api.find("/api/v1/namespaces/headlamp") is None

    eventually(finished, timeout=60)
    site.run(cluster_dashboard=True)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = cluster.api.create("/api/v1/namespaces/headlamp/serviceaccounts/viewer/token", request)["status"]["token"]
    viewer = cluster.as_bearer(token)
    for path in (
        "/api/v1/nodes",
        "/api/v1/pods",
        "/apis/apps/v1/deployments",
        "/api/v1/namespaces",
        "/apis/storage.k8s.io/v1/storageclasses",
    ):
        viewer.items(path)
    for path in ("/api/v1/secrets", "/api/v1/namespaces/kube-system/secrets"):
        with pytest.raises(ApiError, match="forbidden"):
            viewer.items(path)
    with pytest.raises(ApiError, match="forbidden"):
        viewer.delete("/apis/apps/v1/namespaces/headlamp/deployments/headlamp")
    site.run(addons_absent=["dashboard"])
