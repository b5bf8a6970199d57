# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters that differ from the sandbox's by settings or by who is in which group, each built from fresh machines.

What a variant is there for is checked by its `check`, which returns a few words with figures.
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
from collections.abc import Callable, Iterator

import yaml
from harness import cluster, sandbox
from harness.checks import Kind, require
from harness.context import ROOT, using
from harness.registry import drill
from harness.steps import (
    assert_nothing_to_do,
    converge,
    fill_mirror,
    join_spare_node,
    reset_all,
    say,
    spare_machines,
    watch_api,
)

API_NAME = "k8s-api.example.org"
#: Kubernetes 1.20 with docker.
ERA = ("sandbox/eras/1.20",)
FIRST_BALANCER = sandbox.ADDRESSES["lb1"]


@dataclasses.dataclass
class Variant:
    """settings: extra variables. groups: members of groups, where they are others. spares: machines of sandbox/spare.yml among them.

    inventories: what all this is laid over; the first is a directory.
    """

    settings: dict[str, t.Any]
    check: Callable[[], str]
    groups: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    spares: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ("inventory",)

    @property
    def arguments(self) -> list[str]:
        return ["-e", json.dumps({"cluster_dir": str(cluster.DIRECTORY), **self.settings})]

    @property
    def machines(self) -> list[str]:
        return [*sandbox.MACHINES, *self.spares]

    @property
    def name(self) -> str:
        """The domain name under which the API is asked for."""
        return self.settings.get("cluster_endpoint_name", "")


def routed() -> str:
    """Every other node's part of the pod network is behind a plain route to it, and nothing is encapsulated."""
    nodes = len(cluster.objects("nodes"))
    routes = re.findall(
        r"^10\.244\.\S+ via 10\.33\.0\.\d+ dev (?!flannel)", sandbox.ssh("node1", "ip route"), re.MULTILINE
    )
    require(len(routes) == nodes - 1, f"node1 has {len(routes)} routes to {nodes - 1} other nodes")
    tunnels = sandbox.ssh("node1", "ip -brief link show type vxlan")
    require(not tunnels.strip(), f"node1 has a tunnel: {tunnels}")
    return f"{len(routes)} routes, no tunnel"


def uses_name() -> str:
    """Every kubeconfig has the name, and the certificate, too."""
    for machine in ("node1", "master1"):
        files = sandbox.ssh(machine, 'grep --recursive --no-filename "server: https" /etc/kubernetes | sort --unique')
        require(API_NAME in files, f"{machine} does not use {API_NAME}: {files}")
    served = sandbox.ssh(
        "master1", "openssl x509 -noout -ext subjectAltName -in /etc/kubernetes/pki/kube-apiserver.pem"
    )
    require(API_NAME in served, f"{API_NAME} is not in the certificate: {served}")
    return f"{API_NAME} in kubeconfigs and certificate"


def kill_service(machine: str, service: str, most: float) -> str:
    """A process is killed while clients ask, and its unit starts it again; nobody may wait longer for an answer than *most* seconds."""
    with watch_api() as watch:
        time.sleep(2)
        sandbox.ssh(machine, f"systemctl kill --signal=KILL {service}")
        time.sleep(10)
    gap = max(client["longest_gap"] for client in watch.report()["clients"].values())
    require(gap < most, f"{service} of {machine} was killed: no answer for {gap:.1f} s", Kind.CLIENTS)
    return f"{service} killed: gap {gap:.1f} s"


def routed_behind_nginx() -> str:
    states = sandbox.ssh("lb1", "systemctl is-active nginx keepalived", check=False).split()
    require(states == ["active", "inactive"], f"lb1: nginx and keepalived are {states}")
    return f"{routed()}; {kill_service('lb1', 'nginx', 8)}"


def etcd_separate() -> str:
    """flannel's network is in etcd, whose members are on no master; one of them dies, and writes go on."""
    keys = cluster.etcdctl("lb1", "get", "--prefix", "/coreos.com/network/subnets", "--keys-only")["kvs"]
    require(len(keys) == len(cluster.objects("nodes")), f"etcd has {len(keys)} subnets")
    subjects = {
        sandbox.ssh("lb1", f"openssl x509 -noout -subject -in {file}").strip()
        for file in ("/etc/etcd/pki/ca.pem", "/etc/haproxy/kubernetes-ca.pem")
    }
    require(len(subjects) == 1, f"two authorities: {subjects}")
    return f"{len(keys)} subnets in etcd, one authority; {kill_service('lb1', 'etcd', 4)}"


def docker_of_its_archive() -> str:
    """docker runs from the archive's files, and pods are on the bridge of the CNI plugins, not on docker's."""
    runs = sandbox.ssh("node1", "readlink /proc/$(pidof dockerd)/exe /proc/$(pidof containerd)/exe").split()
    require(len(runs) == 2 and all(path.startswith("/opt/hardway/docker/") for path in runs), f"node1 runs {runs}")
    bridge = sandbox.ssh("node1", "ip -brief -4 address show docker0").split()
    require(
        not any(word.startswith("10.244.") for word in bridge),
        f"docker has its bridge on the network of pods: {bridge}",
    )
    pods = [pod for pod in cluster.objects("pods", "--all-namespaces") if not pod["spec"].get("hostNetwork")]
    require(
        pods and all(pod["status"]["podIP"].startswith("10.244.") for pod in pods),
        "pods are not on the network of pods",
    )
    return f"{runs[0]}, pods on cni0"


HOST_GW = Variant(
    {
        "cni_flannel_backend": "host-gw",
        "cluster_lb": "nginx",
        "cluster_keepalived": False,
        "cluster_endpoint_address": FIRST_BALANCER,
    },
    routed_behind_nginx,
    groups={"lb": ["lb1"]},
)
VARIANTS = {
    "bridge, a name for the API": Variant(
        {"cluster_cni": "bridge", "cluster_endpoint_name": API_NAME}, lambda: f"{routed()}; {uses_name()}"
    ),
    "host-gw, nginx alone": HOST_GW,
    "flannel in etcd, etcd on no master, one authority": Variant(
        {"cluster_flannel_datastore": "etcd", "cluster_single_ca": True},
        etcd_separate,
        groups={"etcd": ["lb1", "lb2", "etcd4"]},
        spares=("etcd4",),
    ),
    "1.20: docker on flannel, host-gw, nginx alone": dataclasses.replace(HOST_GW, inventories=ERA),
    "1.20: docker from its archive, flannel in the API": Variant(
        {
            "cluster_docker_source": "archive",
            "host_packages": ["libdevmapper1.02.1"],
            "cluster_flannel_datastore": "kubernetes",
        },
        docker_of_its_archive,
        inventories=ERA,
    ),
}


@contextlib.contextmanager
def inventory_of(variant: Variant) -> Iterator[None]:
    """Inside the block the drills' inventory is the variant's."""
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "inventory"
        first, *further = variant.inventories
        shutil.copytree(ROOT / first, copy)
        hosts = yaml.safe_load((copy / "hosts.yml").read_text(encoding="utf-8"))
        hosts["all"]["hosts"].update(
            {machine: {"ansible_host": sandbox.ADDRESSES[machine]} for machine in variant.spares}
        )
        hosts["all"]["children"].update(
            {group: {"hosts": {member: {} for member in members}} for group, members in variant.groups.items()}
        )
        (copy / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
        with using(inventories=[str(copy), *further]):
            yield


@contextlib.contextmanager
def resolving(name: str, machines: list[str]) -> Iterator[None]:
    """The name resolves to the virtual address: on the machines, and for the commands of this process, which get an /etc/hosts of their own."""
    if not name:
        yield
        return
    line = f"{cluster.VIRTUAL_ADDRESS} {name}\n"
    for machine in machines:
        sandbox.ssh(machine, f'echo "{line.strip()}" >> /etc/hosts')
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(pathlib.Path("/etc/hosts").read_text(encoding="utf-8") + line)
        hosts.flush()
        mounted = f'mount --bind {hosts.name} /etc/hosts && exec "$@"'
        with using(prefix=["unshare", "--mount", "sh", "-c", mounted, "sh"]):
            yield


def build_variant(name: str, variant: Variant) -> str:
    spares = ("node3", *variant.spares)
    with spare_machines(*spares):
        reset_all()
        with inventory_of(variant), resolving(variant.name, [*variant.machines, "node3"]):
            fill_mirror(*variant.arguments).require_success()
            run = converge(*variant.arguments)
            before = cluster.processes(variant.machines)
            again = assert_nothing_to_do(*variant.arguments)
            sandbox.compare_processes(before, cluster.processes(variant.machines))
            checked = variant.check()
            added = join_spare_node(*variant.arguments)
    return f"{name}: {run.seconds:.0f} s, again {again.seconds:.0f} s with changed=0, {checked}, a node {added:.0f} s"


@drill(
    "variants",
    "Clusters that differ by settings or groups, each: an installation, again, what it is there for, a node more.",
    spares=("node3", "etcd4"),
    own_inventory=True,
    long=True,
)
def variants(only: str) -> str:
    chosen = {name: variant for name, variant in VARIANTS.items() if only in name}
    require(chosen, f'no variant has "{only}" in its name; there are: {"; ".join(VARIANTS)}', Kind.ERROR)
    figures = []
    for name, variant in chosen.items():
        figures.append(build_variant(name, variant))
        say(figures[-1])
    reset_all()
    converge()
    return "; ".join(figures)
