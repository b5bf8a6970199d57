# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nodes get of the roles: by runtime, by where flannel keeps its data, by version. No host is asked."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

KUBELET = "/etc/kubernetes/kubelet.yaml"


@pytest.fixture(name="node", scope="module")
def make_node(tmp_path_factory):
    """A function from settings to the components of node1."""
    state = tmp_path_factory.mktemp("state")
    kept = {}

    def node(**settings):
        key = json.dumps(settings, sort_keys=True)
        kept[key] = kept.get(key) or rendered.components("node1", state, **settings)
        return kept[key]

    return node


def test_docker_on_the_subnet_that_flannel_takes_in_etcd(node):
    components = node(**rendered.era("1.20"))
    names = list(components)
    assert names.index("flanneld") < names.index("docker") < names.index("kubelet")
    unit = components["docker"]["unit"]
    assert "After=network-online.target local-fs.target containerd.service flanneld.service" in unit
    assert "--bip=${FLANNEL_SUBNET} --mtu=${FLANNEL_MTU} --ip-masq=false" in unit
    assert not [word for word in ("Requires=", "BindsTo=", "PartOf=") if word in unit], "flannel may restart and docker stays"
    assert json.loads(components["docker"]["texts"]["/etc/docker/daemon.json"])["userland-proxy"] is False
    assert "--etcd-endpoints=https://192.0.2.11:2379,https://192.0.2.21:2379" in components["flanneld"]["unit"]
    assert "--network-plugin" not in components["kubelet"]["unit"]
    assert "After=network-online.target docker.service" in components["kubelet"]["unit"]


def test_docker_with_a_network_plugin(node):
    components = node(**{**rendered.era("1.20"), "cni_flannel_datastore": "kubernetes", "docker_source": "archive"})
    assert "ExecStart=/usr/local/bin/dockerd --host=unix:///run/docker.sock\n" in components["docker"]["unit"]
    assert [artifact["name"] for artifact in components["docker"]["artifacts"]] == ["docker"]
    assert "--network-plugin=cni" in components["kubelet"]["unit"]
    assert list(components).index("docker") < list(components).index("kubelet") < list(components).index("flanneld")


def test_the_socket_of_the_package_is_masked(node):
    texts = node(**rendered.era("1.20"))["docker"]["texts"]
    assert texts["/etc/systemd/system/docker.socket"] == ""


def test_settings_of_daemon_json(node):
    settings = {
        "docker_registry_mirrors": ["https://mirror.example.org"], "docker_log_max_size": "10m", "docker_data_root": "/srv/docker",
        "docker_live_restore": False, "docker_config": {"log-opts": {"max-file": "9"}, "exec-opts": None, "debug": True},
    }  # fmt: skip
    daemon = json.loads(node(**{**rendered.era("1.20"), **settings})["docker"]["texts"]["/etc/docker/daemon.json"])
    assert daemon == {
        "data-root": "/srv/docker", "debug": True, "live-restore": False, "log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "9"},
        "registry-mirrors": ["https://mirror.example.org"], "userland-proxy": False,
    }  # fmt: skip


def test_docker_with_a_kubelet_of_today(node):
    components = node(cluster_runtime="docker")
    assert "--network-plugin=cni" in components["cri-dockerd"]["unit"]
    assert "After=network-online.target cri-dockerd.service" in components["kubelet"]["unit"]
    assert yaml.safe_load(components["kubelet"]["texts"][KUBELET])["containerRuntimeEndpoint"] == "unix:///run/cri-dockerd.sock"


@pytest.mark.parametrize(
    ("version", "arguments", "fields"),
    [
        ("1.23.1", ["--container-runtime=remote", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"], {"shutdownGracePeriod"}),
        ("1.26.1", ["--container-runtime=remote", "--register-with-taints=a=b:NoSchedule"], {"shutdownGracePeriod"}),
        ("1.27.1", [], {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}),
        ("1.36.3", [], {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}),
    ],
)
def test_kubelets_of_the_years_between(node, version, arguments, fields):
    components = node(cluster_kubernetes_version=version, kube_node_taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
    assert "containerd" in components and "docker" not in components
    unit = components["kubelet"]["unit"]
    assert all(argument in unit for argument in arguments)
    assert ("--container-runtime" in unit) == bool(arguments)
    known = {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}
    assert known & set(yaml.safe_load(components["kubelet"]["texts"][KUBELET])) == fields
