"""The cluster of the scenario, looked at from inside its machines and from outside."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request

import pytest
from processes import DrillFailed, cluster, compare_with_the_first_run, require_what_is_on_the_disk, sandbox

NODES = [*sandbox.MASTERS, "node1", "node2"]
COMPONENTS = {
    "etcd": sandbox.MASTERS,
    "kube-apiserver": sandbox.MASTERS,
    "kube-controller-manager": sandbox.MASTERS,
    "kube-scheduler": sandbox.MASTERS,
    "haproxy": sandbox.BALANCERS,
    "keepalived": sandbox.BALANCERS,
    "containerd": NODES,
    "kubelet": NODES,
    "kube-proxy": NODES,
    "flanneld": NODES,
}
PAIRS = [(name, host) for name, hosts in COMPONENTS.items() for host in hosts]
CLIENT = "--cacert /etc/etcd/pki/ca.pem --cert /etc/etcd/pki/etcd.pem --key /etc/etcd/pki/etcd-key.pem"


def test_the_second_run_left_every_process_alone():
    compare_with_the_first_run()


@pytest.mark.parametrize(("name", "host"), PAIRS)
def test_component_runs_from_what_is_on_the_disk(machine, name, host):
    require_what_is_on_the_disk(machine(host), name)


@pytest.mark.parametrize("host", sandbox.MACHINES)
def test_keys_are_for_root_alone(machine, host):
    loose = (
        machine(host)
        .run(
            r"find /etc/kubernetes /etc/etcd /etc/haproxy /var/lib/hardway /var/lib/kubelet/pki -type f "
            r"\( -name '*-key.pem' -o -name '*.key' -o -name 'encryption.yaml' -o -path '/var/lib/hardway/*.json' \) -perm /077 2>/dev/null"
        )
        .stdout
    )
    assert loose == ""


@pytest.mark.parametrize("host", NODES)
def test_loaded_images_are_safe_from_kubelet(machine, host):
    images = json.loads(machine(host).check_output("/usr/local/bin/crictl images --output json"))["images"]
    pinned = {tag.split("/")[-1].split(":")[0]: image["pinned"] for image in images for tag in image["repoTags"]}
    assert pinned == {"pause": True, "coredns": True, "agnhost": True}


@pytest.mark.parametrize("host", sandbox.MACHINES)
def test_root_keys_stay_on_the_controller(machine, host):
    kept = (
        machine(host)
        .run(
            "find / -xdev \\( -name 'ca-key.pem' -o -name 'etcd-ca-key.pem' -o -name 'front-proxy-ca-key.pem' \\) 2>/dev/null"
        )
        .stdout
    )
    assert kept == ""


@pytest.mark.parametrize("host", NODES)
def test_what_a_node_joined_with_is_gone(machine, host):
    assert not machine(host).file("/etc/kubernetes/bootstrap.kubeconfig").exists
    assert not [
        secret
        for secret in cluster.objects("secrets", "--namespace=kube-system")
        if secret["type"] == "bootstrap.kubernetes.io/token"
    ]


def test_each_node_joined_with_a_token_of_its_own():
    requests = [item["spec"] for item in cluster.objects("certificatesigningrequests")]
    users = [spec["username"] for spec in requests if spec["username"].startswith("system:bootstrap:")]
    assert len(users) == len(set(users)), users


def test_state_on_the_controller_is_private():
    assert cluster.DIRECTORY.stat().st_mode & 0o777 == 0o700
    for path in (cluster.DIRECTORY / "pki").iterdir():
        if path.name.endswith(("-key.pem", ".key")):
            assert path.stat().st_mode & 0o777 == 0o600, path


def test_etcd_wants_a_client_certificate(machine):
    master = machine("master1")
    healthy = master.run(f"/usr/local/bin/etcdctl --endpoints https://10.33.0.12:2379 {CLIENT} endpoint health")
    refused = master.run(
        "/usr/local/bin/etcdctl --endpoints https://10.33.0.12:2379 --cacert /etc/etcd/pki/ca.pem --command-timeout=3s endpoint health"
    )
    assert healthy.rc == 0
    assert refused.rc != 0


def test_a_secret_is_unreadable_in_etcd(machine):
    cluster.kubectl("delete", "secret", "molecule", "--ignore-not-found")
    cluster.kubectl("create", "secret", "generic", "molecule", "--from-literal=word=unmistakable")
    try:
        kept = (
            machine("master1")
            .run(
                f"/usr/local/bin/etcdctl --endpoints https://127.0.0.1:2379 {CLIENT} get /registry/secrets/default/molecule"
            )
            .stdout_bytes
        )
        assert b"k8s:enc:secretbox" in kept
        assert b"unmistakable" not in kept
    finally:
        cluster.kubectl("delete", "secret", "molecule")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/livez", 200),
        ("/readyz", 200),
        ("/healthz", 200),
        ("/version", 401),
        ("/api", 401),
        ("/metrics", 401),
        ("/api/v1/namespaces/kube-system/secrets", 401),
    ],
)
def test_anonymous_requests_get_health_alone(path, status):
    context = ssl.create_default_context(cafile=str(cluster.DIRECTORY / "pki" / "ca.pem"))
    try:
        answer = urllib.request.urlopen(
            f"https://{cluster.VIRTUAL_ADDRESS}:6443{path}", context=context, timeout=5
        ).status
    except urllib.error.HTTPError as error:
        answer = error.code
    assert answer == status


def test_pods_of_a_plain_namespace_may_not_be_privileged(tmp_path):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged"},
        "spec": {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]},
    }
    manifest = tmp_path / "pod.json"
    manifest.write_text(json.dumps(pod), encoding="utf-8")
    with pytest.raises(DrillFailed, match="PodSecurity"):
        cluster.kubectl("create", "--namespace=default", "--dry-run=server", f"--filename={manifest}")


def test_every_request_is_written_down_and_no_secret_with_it(machine):
    cluster.kubectl("create", "secret", "generic", "audited", "--from-literal=word=unmistakable")
    cluster.kubectl("delete", "secret", "audited")
    logs = "".join(machine(host).run("cat /var/log/kubernetes/audit.log").stdout for host in sandbox.MASTERS)
    assert '"name":"audited"' in logs
    assert "unmistakable" not in logs
