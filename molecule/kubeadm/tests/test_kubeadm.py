"""The cluster that kubeadm made, looked at from inside its machines and from outside."""

from __future__ import annotations

import json

import pytest
from processes import cluster, compare_with_the_first_run, sandbox

NODES = [*sandbox.MASTERS, "node1", "node2"]
STATIC_PODS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
ENDPOINT = f"https://{cluster.VIRTUAL_ADDRESS}:6443"


def test_the_second_run_left_every_process_alone():
    compare_with_the_first_run()


@pytest.mark.parametrize("host", sandbox.MASTERS)
def test_the_control_plane_runs_as_static_pods_and_nothing_else(machine, host):
    pods = cluster.objects("pods", "--namespace=kube-system", f"--field-selector=spec.nodeName={host}")
    running = {pod["metadata"]["labels"].get("component") for pod in pods if pod["status"]["phase"] == "Running"}
    assert set(STATIC_PODS) <= running
    assert not any(machine(host).service(name).is_running for name in STATIC_PODS)


@pytest.mark.parametrize("host", sandbox.MACHINES)
def test_root_keys_stay_on_the_controller(machine, host):
    names = ["ca.key", "ca-key.pem", "etcd-ca-key.pem", "front-proxy-ca.key", "front-proxy-ca-key.pem"]
    wanted = " -o ".join(f"-name '{name}'" for name in names)
    assert machine(host).run(f"find /etc /var/lib /root -xdev \\( {wanted} \\) 2>/dev/null").stdout == ""


@pytest.mark.parametrize("host", NODES)
def test_kubelet_asks_at_the_load_balancer_as_itself(machine, host):
    kubeconfig = machine(host).file("/etc/kubernetes/kubelet.conf").content_string
    assert f"server: {ENDPOINT}" in kubeconfig
    assert "/var/lib/kubelet/pki/kubelet-client-current.pem" in kubeconfig
    assert "client-key-data" not in kubeconfig


def test_kube_proxy_asks_at_the_load_balancer():
    data = json.loads(cluster.kubectl("get", "configmap", "kube-proxy", "--namespace=kube-system", "--output=json"))[
        "data"
    ]
    assert f"server: {ENDPOINT}" in data["kubeconfig.conf"]


@pytest.mark.parametrize("host", NODES)
def test_what_a_node_joined_with_is_gone(machine, host):
    assert not machine(host).file("/etc/kubernetes/bootstrap-kubelet.conf").exists
    assert not machine(host).file("/etc/kubernetes/kubeadm-join.yaml").exists
    secrets = cluster.objects("secrets", "--namespace=kube-system")
    assert not [secret for secret in secrets if secret["type"] == "bootstrap.kubernetes.io/token"]


def test_each_node_joined_with_a_token_of_its_own():
    requests = [item["spec"] for item in cluster.objects("certificatesigningrequests")]
    users = [spec["username"] for spec in requests if spec["username"].startswith("system:bootstrap:")]
    assert len(users) == len(set(users)), users


def test_etcd_s_client_certificate_is_ecdsa(machine):
    text = machine("master1").check_output(
        "openssl x509 -noout -text -in /etc/kubernetes/pki/apiserver-etcd-client.crt"
    )
    assert "id-ecPublicKey" in text and "prime256v1" in text


def test_api_servers_know_of_each_other_by_leases():
    selector = "--selector=kubernetes.io/service-name=kubernetes"
    slices = cluster.objects("endpointslices", "--namespace=default", selector)
    addresses = {address for item in slices for endpoint in item["endpoints"] for address in endpoint["addresses"]}
    assert addresses == {sandbox.ADDRESSES[host] for host in sandbox.MASTERS}
