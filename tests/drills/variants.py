"""Other clusters that differ from the sandbox's by settings or by who is in which group; drills.py builds each from fresh machines.

What a variant is there for is looked at in `shown`, which returns a few words with figures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
import tempfile
import time
import typing as t

import lab
import yaml
from lab import require
from watch import Watch

API_NAME = "k8s-api.example.org"
#: Kubernetes 1.20 with docker.
ERA = ("sandbox/eras/1.20",)
FIRST_BALANCER = lab.ADDRESSES["lb1"]


@dataclasses.dataclass
class Variant:
    """settings: extra variables. groups: members of groups, where they are others. spares: machines of sandbox/spare.yml among them.

    inventories: what all this is laid over; the first is a directory.
    """

    settings: dict[str, t.Any]
    shown: t.Callable[[], str]
    groups: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    spares: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ("inventory",)

    @property
    def arguments(self) -> list[str]:
        return ["-e", json.dumps({"cluster_dir": str(lab.CLUSTER), **self.settings})]

    @property
    def machines(self) -> list[str]:
        return [*lab.MACHINES, *self.spares]

    @property
    def name(self) -> str:
        """The domain name under which the API is asked for."""
        return self.settings.get("cluster_endpoint_name", "")


def routed() -> str:
    """Every other node's part of the pod network is behind a plain route to it, and nothing is encapsulated."""
    nodes = len(lab.objects("nodes"))
    routes = re.findall(r"^10\.244\.\S+ via 10\.33\.0\.\d+ dev (?!flannel)", lab.ssh("node1", "ip route"), re.MULTILINE)
    require(len(routes) == nodes - 1, f"node1 has {len(routes)} routes to {nodes - 1} other nodes")
    tunnels = lab.ssh("node1", "ip -brief link show type vxlan")
    require(not tunnels.strip(), f"node1 has a tunnel: {tunnels}")
    return f"{len(routes)} routes, no tunnel"


def asked_by_name() -> str:
    """Everybody's kubeconfig has the name, and the certificate, too."""
    for machine in ("node1", "master1"):
        files = lab.ssh(machine, 'grep --recursive --no-filename "server: https" /etc/kubernetes | sort --unique')
        require(API_NAME in files, f"{machine} does not ask for {API_NAME}: {files}")
    served = lab.ssh("master1", "openssl x509 -noout -ext subjectAltName -in /etc/kubernetes/pki/kube-apiserver.pem")
    require(API_NAME in served, f"{API_NAME} is not in the certificate: {served}")
    return f"{API_NAME} in kubeconfigs and certificate"


def killed(machine: str, service: str, most: float) -> str:
    """A process is killed while clients ask, and its unit starts it again; nobody may wait longer for an answer than *most* seconds."""
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(2)
        lab.ssh(machine, f"systemctl kill --signal=KILL {service}")
        time.sleep(10)
    gap = max(client["longest_gap"] for client in watch.report()["clients"].values())
    require(gap < most, f"{service} of {machine} was killed: no answer for {gap:.1f} s")
    return f"{service} killed: gap {gap:.1f} s"


def routed_behind_nginx() -> str:
    states = lab.ssh("lb1", "systemctl is-active nginx keepalived", check=False).split()
    require(states == ["active", "inactive"], f"lb1: nginx and keepalived are {states}")
    return f"{routed()}; {killed('lb1', 'nginx', 8)}"


def etcd_apart() -> str:
    """flannel's network is in etcd, whose members are on no master; one of them dies, and writes go on."""
    keys = lab.etcdctl("lb1", "get", "--prefix", "/coreos.com/network/subnets", "--keys-only")["kvs"]
    require(len(keys) == len(lab.objects("nodes")), f"etcd has {len(keys)} subnets")
    subjects = {
        lab.ssh("lb1", f"openssl x509 -noout -subject -in {file}").strip()
        for file in ("/etc/etcd/pki/ca.pem", "/etc/haproxy/kubernetes-ca.pem")
    }
    require(len(subjects) == 1, f"two authorities: {subjects}")
    return f"{len(keys)} subnets in etcd, one authority; {killed('lb1', 'etcd', 4)}"


def docker_of_its_archive() -> str:
    """docker runs from the archive's files, and pods are on the bridge of the CNI plugins, not on docker's."""
    runs = lab.ssh("node1", "readlink /proc/$(pidof dockerd)/exe /proc/$(pidof containerd)/exe").split()
    require(len(runs) == 2 and all(path.startswith("/opt/hardway/docker/") for path in runs), f"node1 runs {runs}")
    bridge = lab.ssh("node1", "ip -brief -4 address show docker0").split()
    require(
        not any(word.startswith("10.244.") for word in bridge),
        f"docker has its bridge on the network of pods: {bridge}",
    )
    pods = [pod for pod in lab.objects("pods", "--all-namespaces") if not pod["spec"].get("hostNetwork")]
    require(
        pods and all(pod["status"]["podIP"].startswith("10.244.") for pod in pods),
        "pods are not on the network of pods",
    )
    return f"{runs[0]}, pods on cni0"


HOST_GW = Variant(
    {'cni_flannel_backend': 'host-gw', 'cluster_lb': 'nginx', 'lb_keepalived': False, 'cluster_endpoint_address': FIRST_BALANCER},
    routed_behind_nginx, groups={'lb': ['lb1']},
)  # fmt: skip
VARIANTS = {
    'bridge, a name for the API': Variant({'cluster_cni': 'bridge', 'cluster_endpoint_name': API_NAME}, lambda: f'{routed()}; {asked_by_name()}'),
    'host-gw, nginx alone': HOST_GW,
    'flannel in etcd, etcd on no master, one authority': Variant(
        {'cni_flannel_datastore': 'etcd', 'ca_single': True}, etcd_apart, groups={'etcd': ['lb1', 'lb2', 'etcd4']}, spares=('etcd4',),
    ),
    '1.20: docker on flannel, host-gw, nginx alone': dataclasses.replace(HOST_GW, inventories=ERA),
    '1.20: docker from its archive, flannel in the API': Variant(
        {'docker_source': 'archive', 'host_packages': ['libdevmapper1.02.1'], 'cni_flannel_datastore': 'kubernetes'},
        docker_of_its_archive, inventories=ERA,
    ),
}  # fmt: skip


@contextlib.contextmanager
def inventory_of(variant: Variant) -> t.Iterator[None]:
    """For the time being the drills' inventory is the variant's."""
    before = list(lab.INVENTORIES)
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "inventory"
        first, *further = variant.inventories
        shutil.copytree(lab.ROOT / first, copy)
        hosts = yaml.safe_load((copy / "hosts.yml").read_text(encoding="utf-8"))
        hosts["all"]["hosts"].update({machine: {"ansible_host": lab.ADDRESSES[machine]} for machine in variant.spares})
        hosts["all"]["children"].update(
            {group: {"hosts": {member: {} for member in members}} for group, members in variant.groups.items()}
        )
        (copy / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
        lab.INVENTORIES[:] = [str(copy), *further]
        try:
            yield
        finally:
            lab.INVENTORIES[:] = before


@contextlib.contextmanager
def resolving(name: str, machines: list[str]) -> t.Iterator[None]:
    """The name leads to the virtual address: on the machines, and for the commands of this process, who see another /etc/hosts than the computer's."""
    if not name:
        yield
        return
    line = f"{lab.VIRTUAL_ADDRESS} {name}\n"
    for machine in machines:
        lab.ssh(machine, f'echo "{line.strip()}" >> /etc/hosts')
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(pathlib.Path("/etc/hosts").read_text(encoding="utf-8") + line)
        hosts.flush()
        lab.THROUGH[:] = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts.name} /etc/hosts && exec "$@"', "sh"]
        try:
            yield
        finally:
            lab.THROUGH.clear()
