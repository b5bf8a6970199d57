"""docker on flannel's subnet, with Kubernetes 1.20 and etcd 3.4: as document 002 tries it by hand, and what it does not try."""

from __future__ import annotations

import ipaddress
import itertools
import json
import time

import pytest
from processes import cluster, compare_with_the_first_run, require_what_is_on_the_disk, sandbox

NODES = [*sandbox.MASTERS, "node1", "node2"]
MEMBERS = ["master1", "master2", "lb1"]
COMPONENTS = {
    'etcd': MEMBERS, 'kube-apiserver': sandbox.MASTERS, 'kube-controller-manager': sandbox.MASTERS, 'kube-scheduler': sandbox.MASTERS,
    'haproxy': sandbox.BALANCERS, 'keepalived': sandbox.BALANCERS, 'flanneld': NODES, 'docker': NODES, 'kubelet': NODES, 'kube-proxy': NODES,
}  # fmt: skip
PAIRS = [(name, host) for name, hosts in COMPONENTS.items() for host in hosts]
CLIENT = "--cacert /etc/etcd/pki/ca.pem --cert /etc/etcd/pki/etcd.pem --key /etc/etcd/pki/etcd-key.pem"
PLAIN = "hardway-plain"
PORT = 8080


def told(host):
    """What flannel tells of a host's part of the network."""
    lines = host.file("/run/flannel/subnet.env").content_string.split()
    return dict(line.split("=", 1) for line in lines)


def subnet(host):
    """What flannel has got for a host, the address of docker's bridge with it."""
    return ipaddress.ip_interface(told(host)["FLANNEL_SUBNET"])


def container(host, template):
    return host.check_output(f"docker inspect --format '{{{{{template}}}}}' {PLAIN}")


@pytest.fixture(name="plain", scope="module")
def make_plain(machine):
    """A container of plain `docker run` on two hosts: host -> address."""
    images = machine("node1").check_output("docker images --format '{{.Repository}}:{{.Tag}}'").split()
    image = [name for name in images if "/agnhost:" in name].pop()
    hosts = [machine("node1"), machine("node2")]
    for host in hosts:
        host.run(f"docker rm --force {PLAIN}")
        host.check_output(f"docker run --detach --name {PLAIN} {image} netexec --http-port={PORT} --udp-port=-1")
    yield {name: container(machine(name), ".NetworkSettings.IPAddress") for name in ("node1", "node2")}
    for host in hosts:
        host.check_output(f"docker rm --force {PLAIN}")


def connect(host, address):
    return host.run(f"docker exec {PLAIN} /agnhost connect {address}:{PORT} --timeout=3s")


def test_the_second_run_left_every_process_alone():
    compare_with_the_first_run()


@pytest.mark.parametrize(("name", "host"), PAIRS)
def test_component_runs_from_what_is_on_the_disk(machine, name, host):
    require_what_is_on_the_disk(machine(host), name)


def test_nodes_are_of_that_version_and_run_docker():
    nodes = cluster.objects("nodes")
    infos = {item["metadata"]["name"]: item["status"]["nodeInfo"] for item in nodes}
    assert set(infos) == set(NODES)
    assert {info["kubeletVersion"] for info in infos.values()} == {"v1.20.2"}
    assert all(info["containerRuntimeVersion"].startswith("docker://") for info in infos.values())


@pytest.mark.parametrize("host", NODES)
def test_kubelet_is_ordered_after_docker(machine, host):
    assert "docker.service" in machine(host).check_output("systemctl show --property After --value kubelet").split()


def test_kubelets_joined_with_the_token_of_the_file(machine):
    assert machine("master1").file("/etc/kubernetes/token.csv").content_string.split(",")[1] == "kubelet-bootstrap"
    requests = [item["spec"] for item in cluster.objects("certificatesigningrequests")]
    first = [
        spec
        for spec in requests
        if spec["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet" and "node:" not in spec["username"]
    ]
    assert first and {spec["username"] for spec in first} == {"kubelet-bootstrap"}
    secrets = cluster.objects("secrets", "--namespace=kube-system")
    assert not [secret for secret in secrets if secret["type"] == "bootstrap.kubernetes.io/token"]


def test_etcd_has_a_member_on_the_load_balancer(machine):
    addresses = ",".join(f"https://{sandbox.ADDRESSES[name]}:2379" for name in MEMBERS)
    status = json.loads(
        machine("lb1").check_output(
            f"/usr/local/bin/etcdctl --endpoints {addresses} {CLIENT} endpoint status --write-out=json"
        )
    )
    assert {item["Status"]["version"] for item in status} == {"3.4.23"} and len(status) == 3


def test_etcd_and_the_cluster_have_one_authority(machine):
    assert machine("master1").file("/etc/etcd/pki/ca.pem").content_string == (
        cluster.DIRECTORY / "pki" / "ca.pem"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("host", NODES)
def test_docker_s_bridge_is_on_what_flannel_has_got(machine, host):
    shown = json.loads(machine(host).check_output("ip -json -4 address show docker0"))[0]
    (address,) = shown["addr_info"]
    assert ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}") == subnet(machine(host))
    network = subnet(machine(host)).network
    assert (
        machine(host)
        .run(f"iptables --table nat --check POSTROUTING --source {network} ! --out-interface docker0 --jump MASQUERADE")
        .rc
    )


@pytest.mark.parametrize(("here", "there"), list(itertools.permutations(NODES, 2)))
def test_bridges_of_two_hosts_reach_each_other(machine, here, there):
    assert machine(here).run(f"ping -c 1 -W 3 {subnet(machine(there)).ip}").rc == 0


def test_pods_are_on_docker_s_bridge(machine):
    pods = cluster.objects("pods", "--all-namespaces")
    placed = [(pod["spec"]["nodeName"], pod["status"]["podIP"]) for pod in pods if not pod["spec"].get("hostNetwork")]
    assert placed
    for node, address in placed:
        assert ipaddress.ip_address(address) in subnet(machine(node)).network


def test_plain_containers_send_no_more_than_flannel_carries(machine, plain):
    assert plain
    for name in ("node1", "node2"):
        host = machine(name)
        shown = json.loads(
            host.check_output(f"nsenter --target {container(host, '.State.Pid')} --net ip -json link show eth0")
        )[0]
        assert str(shown["mtu"]) == told(host)["FLANNEL_MTU"]


def test_plain_containers_of_two_hosts_reach_each_other(machine, plain):
    for name, other in (("node1", "node2"), ("node2", "node1")):
        done = connect(machine(name), plain[other])
        assert done.rc == 0, done.stderr


def test_a_restart_of_flannel_cuts_no_container_off(machine, plain):
    host = machine("node1")
    docker = host.check_output("systemctl show --property MainPID --value docker")
    started = container(host, ".State.StartedAt")
    host.check_output("systemctl restart --no-block flanneld")
    end, failures, asked = time.monotonic() + 10, [], 0
    while time.monotonic() < end:
        done, asked = connect(host, plain["node2"]), asked + 1
        if done.rc:
            failures.append(done.stderr)
    assert asked > 5 and not failures
    assert host.service("flanneld").is_running
    assert host.check_output("systemctl show --property MainPID --value docker") == docker
    assert container(host, ".State.StartedAt") == started


def test_a_restart_of_docker_leaves_containers_alone(machine, plain):
    host = machine("node1")
    pid = container(host, ".State.Pid")
    host.check_output("systemctl restart docker")
    assert container(host, ".State.Pid") == pid
    assert connect(machine("node2"), plain["node1"]).rc == 0


@pytest.mark.parametrize("host", sandbox.MASTERS)
def test_nothing_serves_without_tls(machine, host):
    listening = machine(host).check_output("ss --listening --tcp --numeric --no-header")
    assert not [port for port in ("8080", "10251", "10252", "10255") if f":{port} " in listening]
