# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nodes get of the roles: by runtime, by where flannel keeps its data, by version. No host is asked."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

KUBELET = "/etc/kubernetes/kubelet.yaml"


@pytest.fixture(name="host", scope="module")
def make_host(tmp_path_factory):
    """A function from a host and settings to its components."""
    state = tmp_path_factory.mktemp("state")
    kept = {}

    def host(name, **settings):
        key = json.dumps([name, settings], sort_keys=True)
        kept[key] = kept.get(key) or rendered.components(name, state, **settings)
        return kept[key]

    return host


@pytest.fixture(name="node")
def make_node(host):
    """A function from settings to the components of node1."""
    return lambda **settings: host("node1", **settings)


def test_docker_on_the_subnet_that_flannel_takes_in_etcd(node):
    components = node(**rendered.era("1.20"))
    names = list(components)
    assert names.index("flanneld") < names.index("docker") < names.index("kubelet")
    unit = components["docker"]["unit"]
    assert "After=network-online.target local-fs.target containerd.service flanneld.service" in unit
    assert "--bip=${FLANNEL_SUBNET} --mtu=${FLANNEL_MTU} --ip-masq=false" in unit
    assert not [word for word in ("Requires=", "BindsTo=", "PartOf=") if word in unit], (
        "flannel may restart and docker stays"
    )
    assert json.loads(components["docker"]["texts"]["/etc/docker/daemon.json"])["userland-proxy"] is False
    assert "--etcd-endpoints=https://192.0.2.11:2379,https://192.0.2.21:2379" in components["flanneld"]["unit"]
    assert "--network-plugin" not in components["kubelet"]["unit"]
    assert "After=network-online.target docker.service" in components["kubelet"]["unit"]


def test_docker_with_a_network_plugin(node):
    components = node(
        **{**rendered.era("1.20"), "cluster_flannel_datastore": "kubernetes", "cluster_docker_source": "archive"}
    )
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
    assert (
        yaml.safe_load(components["kubelet"]["texts"][KUBELET])["containerRuntimeEndpoint"]
        == "unix:///run/cri-dockerd.sock"
    )


@pytest.mark.parametrize(
    ("version", "arguments", "fields"),
    [
        (
            "1.23.1",
            ["--container-runtime=remote", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"],
            {"shutdownGracePeriod"},
        ),
        ("1.26.1", ["--container-runtime=remote", "--register-with-taints=a=b:NoSchedule"], {"shutdownGracePeriod"}),
        ("1.27.1", [], {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}),
        ("1.36.3", [], {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}),
    ],
)
def test_kubelets_of_the_years_between(node, version, arguments, fields):
    components = node(
        cluster_kubernetes_version=version, cluster_node_taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}]
    )
    assert "containerd" in components and "docker" not in components
    unit = components["kubelet"]["unit"]
    assert all(argument in unit for argument in arguments)
    assert ("--container-runtime" in unit) == bool(arguments)
    known = {"shutdownGracePeriod", "containerRuntimeEndpoint", "registerWithTaints"}
    assert known & set(yaml.safe_load(components["kubelet"]["texts"][KUBELET])) == fields


# --- networks

INSTALLERS = ["binaries", "kubeadm"]
NETWORKS = {"flannel": {"flanneld"}, "bridge": {"pod-routes"}, "calico": {"calico"}, "none": set()}
CONTAINERD = "/etc/containerd/config.toml"


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.parametrize("cni", NETWORKS)
def test_a_node_has_the_parts_of_its_network_and_of_no_other(node, cni, installer):
    components = node(cluster_cni=cni, cluster_installer=installer)
    assert set(components) & set().union(*NETWORKS.values()) == NETWORKS[cni]
    assert "cni-plugins" in [artifact["name"] for artifact in components["containerd"]["tools"]], (
        "a network of somebody's own needs them, too"
    )
    assert "/etc/cni/net.d" in [directory["path"] for directory in components["containerd"]["directories"]]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_plain_routes_have_an_identity_to_ask_with(node, installer):
    component = node(cluster_cni="bridge", cluster_installer=installer)["pod-routes"]
    configuration = component["unit"].split("ExecStart=/usr/local/libexec/pod-routes ")[1].splitlines()[0]
    settings = json.loads(component["texts"][configuration])
    assert settings["pod_networks"] and settings["node_mask"] == 24 and settings["mtu"] == 1500
    kubeconfig = settings["kubeconfig"]
    user = yaml.safe_load(component["texts"][kubeconfig])["users"][0]["user"]
    authority = yaml.safe_load(component["texts"][kubeconfig])["clusters"][0]["cluster"]["certificate-authority"]
    paths = [item["path"] for item in component["files"]]
    assert {authority, user["client-certificate"], user["client-key"]} <= set(paths)


def test_calicos_plugins_and_ours_are_in_directories_of_their_own(node):
    assert 'bin_dirs = ["/opt/cni/bin"]' in node()["containerd"]["texts"][CONTAINERD]
    assert (
        'bin_dirs = ["/opt/cni/bin", "/opt/cni/calico"]'
        in node(cluster_cni="calico")["containerd"]["texts"][CONTAINERD]
    )
    assert (
        "--cni-bin-dir=/opt/cni/bin,/opt/cni/calico"
        in node(cluster_cni="calico", cluster_runtime="docker")["cri-dockerd"]["unit"]
    )


def test_a_host_tells_how_its_network_was_made(node):
    text = node(cluster_cni="calico", cluster_calico_method="operator")["calico"]["texts"]["/etc/calico/network.yaml"]
    assert yaml.safe_load(text) == {"cni": "calico", "method": "operator", "datastore": "kubernetes"}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_calicoctl_on_masters(host, installer):
    calicoctl = host("master1", cluster_cni="calico", cluster_installer=installer)["calicoctl"]
    modes = {item["path"]: item["mode"] for item in calicoctl["files"] if not item.get("absent")}
    assert (
        modes["/etc/calico/calicoctl.cfg"]
        == modes["/etc/calico/pki/calicoctl-key.pem"]
        == modes["/etc/calico/calicoctl.kubeconfig"]
        == "0600"
    )
    spec = yaml.safe_load(calicoctl["texts"]["/etc/calico/calicoctl.cfg"])["spec"]
    assert spec == {"datastoreType": "kubernetes", "kubeconfig": "/etc/calico/calicoctl.kubeconfig"}
    assert [artifact["name"] for artifact in calicoctl["tools"]] == ["calicoctl"]
    assert "calicoctl" not in host("node1", cluster_cni="calico", cluster_installer=installer)
    assert "calicoctl" not in host(
        "master1", cluster_cni="calico", cluster_installer=installer, cluster_calicoctl=False
    )
    assert "calicoctl" not in host("master1", cluster_installer=installer)


def test_calicoctl_with_its_data_in_etcd(host):
    calicoctl = host("master1", cluster_cni="calico", cluster_calico_datastore="etcd")["calicoctl"]
    spec = yaml.safe_load(calicoctl["texts"]["/etc/calico/calicoctl.cfg"])["spec"]
    assert spec["etcdEndpoints"] == "https://192.0.2.11:2379,https://192.0.2.21:2379"
    paths = {item["path"]: item["mode"] for item in calicoctl["files"]}
    assert {spec["etcdCACertFile"], spec["etcdCertFile"], spec["etcdKeyFile"]} <= set(paths) and paths[
        spec["etcdKeyFile"]
    ] == "0600"
    assert "/etc/calico/calicoctl.kubeconfig" in calicoctl["absent"]


@pytest.mark.parametrize(
    ("settings", "allocated"),
    [
        ({}, True),
        ({"cluster_cni": "bridge"}, True),
        ({"cluster_cni": "none"}, True),
        ({"cluster_cni": "calico"}, False),
        ({"cluster_flannel_datastore": "etcd"}, False),
    ],
)
def test_who_gives_nodes_their_part_of_the_pod_network(host, settings, allocated):
    unit = host("master1", **settings)["kube-controller-manager"]["unit"]
    assert f"--allocate-node-cidrs={str(allocated).lower()}" in unit
    assert ("--cluster-cidr=10.244.0.0/16" in unit) == allocated
    config = host("master1", cluster_installer="kubeadm", **settings)["kubeadm"]["texts"][
        "/etc/kubernetes/kubeadm.yaml"
    ]
    arguments = next(
        document["controllerManager"]["extraArgs"]
        for document in yaml.safe_load_all(config)
        if document["kind"] == "ClusterConfiguration"
    )
    # Without the argument kubeadm has it do so, for the configuration names the pod network.
    assert ({"name": "allocate-node-cidrs", "value": "false"} not in arguments) == allocated


def test_images_of_calico_that_nodes_load(node):
    def images(**settings):
        return {
            image["ref"]
            for image in node(cluster_image_source="archive", cluster_cni="calico", **settings)["containerd"]["images"][
                "wanted"
            ]
        }

    manifest = {"image-calico-node", "image-calico-cni", "image-calico-kube-controllers"}
    assert {ref for ref in images() if "calico" in ref} == manifest
    operator = manifest | {"image-calico-operator", "image-calico-typha"}
    assert {ref for ref in images(cluster_calico_method="operator") if "calico" in ref} == operator | {
        "image-calico-apiserver"
    }
    assert {
        ref for ref in images(cluster_calico_method="operator", cluster_calico_apiserver=False) if "calico" in ref
    } == operator


# --- kubeadm


def test_by_kubeadm_only_masters_have_the_certificates_of_a_control_plane(host):
    settings = {"cluster_installer": "kubeadm"}
    there = {item["path"] for item in host("master1", **settings)["kubeadm"]["files"]}
    assert "/etc/kubernetes/pki/apiserver.key" in there
    assert host("node1", **settings)["kubeadm"]["files"] == []


# --- who may say that it has the virtual address

ADVERTISEMENTS = "/etc/keepalived/advertisements.nft"


def statements(text):
    """The lines of a file of nft, without comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_only_advertisements_of_the_other_load_balancers_are_accepted(host):
    """node1 is a node and a load balancer at once."""
    groups = {**rendered.GROUPS, "lb": ["lb1", "node1"]}
    networks = "10.244.0.0/16,fd00:10:244::/56"
    settings = {
        "lb_interface": "eth0",
        "groups": groups,
        "group_names": ["kube_node", "lb"],
        "cluster_pod_network": networks,
    }
    keepalived = host("node1", **settings)["keepalived"]
    lines = statements(keepalived["texts"][ADVERTISEMENTS])
    # Of a table that is there already nothing is left, in one transaction.
    assert lines[:3] == [
        "table inet load_balancer_vrrp",
        "delete table inet load_balancer_vrrp",
        "table inet load_balancer_vrrp {",
    ]
    assert lines[lines.index("chain input {") : lines.index("chain forward {")] == [
        "chain input {",
        "type filter hook input priority -10; policy accept;",
        "meta l4proto != 112 accept",
        'iifname != "eth0" counter drop',
        "ip saddr { 10.244.0.0/16 } counter drop",
        "ip saddr { 192.0.2.21 } ip ttl 255 accept",
        "counter drop",
        "}",
    ]
    assert "meta l4proto 112 ip daddr { 192.0.2.21 } counter drop" in lines
    assert keepalived["validate"] == ["nft", "--check", "--file", ADVERTISEMENTS]
    assert "192.0.2.21\n    }" in keepalived["texts"]["/etc/keepalived/keepalived.conf"]
    one = statements(host("lb1", lb_interface="eth0")["keepalived"]["texts"][ADVERTISEMENTS])
    assert not [line for line in one if "{  }" in line or line == "chain forward {"], "an empty set is an error"
    assert one[-3:] == ["counter drop", "}", "}"]


def test_the_rules_come_and_go_with_keepalived(host):
    unit = host("lb1", lb_interface="eth0")["keepalived"]["texts"][
        "/etc/systemd/system/keepalived.service.d/40-load-balancer.conf"
    ].splitlines()
    for word in ("ExecStartPre=-", "ExecReload="):
        assert f"{word}/usr/sbin/nft --file {ADVERTISEMENTS}" in unit
    assert unit[-1] == "ExecStopPost=-/usr/sbin/nft delete table inet load_balancer_vrrp"
    assert "ReloadPropagatedFrom=nftables.service" in unit


# --- peers

HAS_DATA = {"etcd_member": True}


def asked(described) -> dict[str, str]:
    return {name: how.get("url") or how["tcp"] for name, how in described["peers"]["members"].items()}


def test_a_member_asks_the_others_that_vote(host):
    """lb1 has a member of etcd too."""
    member = host("master1", facts={"master1": HAS_DATA, "lb1": HAS_DATA})["etcd"]
    everyone = {"master1": "https://192.0.2.11:2379/health", "lb1": "https://192.0.2.21:2379/health"}
    assert asked(member) == everyone
    how = member["peers"]["members"]["lb1"]
    assert {how[key] for key in ("ca", "certificate", "key")} <= set(member["texts"]) | {
        "/etc/etcd/pki/ca.pem",
        "/etc/etcd/pki/etcd.pem",
        "/etc/etcd/pki/etcd-key.pem",
    }
    alone = {"master1": everyone["master1"]}
    # A first installation, one that has no vote yet, and one of which this run has seen nothing.
    assert asked(host("master1")["etcd"]) == alone
    for other in ({**HAS_DATA, "etcd_learner": True}, {**HAS_DATA, "components": {"records": {}}}):
        assert asked(host("master1", facts={"master1": HAS_DATA, "lb1": other})["etcd"]) == alone, other


def test_a_master_asks_the_others(host):
    assert asked(host("master1")["kube-apiserver"]) == {"master1": "https://192.0.2.11:6443/readyz"}


def test_a_load_balancer_asks_for_one_that_can_hold_the_address(host):
    settings = {"lb_interface": "eth0"}
    for name in ("haproxy", "keepalived"):
        described = host("lb1", **settings)[name]
        assert asked(described) == {"lb1": "192.0.2.21:6443"} and described["peers"]["enough"] == 1
    # Without an address that moves, nobody else could have it.
    assert asked(host("lb1", **settings, cluster_lb="nginx", cluster_keepalived=False)["nginx"]) == {}


def test_what_is_on_one_node_alone_asks_nobody(node):
    assert {name for name, described in node().items() if described["peers"]} == set()
