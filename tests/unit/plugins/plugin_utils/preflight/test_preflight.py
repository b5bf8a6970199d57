# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One good cluster without a problem; every kind of problem is one change of it that is found, and named with its place."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import usable_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.hosts import check_hosts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.inventory import check_inventory
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import (
    UNRESOLVED,
    Controller,
    Definition,
    Machine,
    Plan,
    PortUse,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import (
    WARNING,
    Kind,
    Problem,
    deduplicate,
    errors,
    report,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.site import Host, Needs, Probe, Site
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.versions import supported_versions

SUPPORTED = {
    "1.34": {"coredns": ["1.10"], "tried": False},
    "1.35": {"coredns": [], "tried": True, "containerd_major": 2},
    "1.36": {"containerd": ["2"], "runtime": ["containerd"], "calico": ["3.32"]},
}

SETTINGS = {
    "cluster_name": "kubernetes",
    "cluster_dir": "/srv/clusters/kubernetes",
    "cluster_kubernetes_version": "1.36.3",
    "cluster_etcd_version": "3.6.16",
    "cluster_containerd_version": "2.4.2",
    "cluster_agnhost_version": "2.57",
    "cluster_pod_network": "10.244.0.0/16",
    "cluster_service_network": "10.96.0.0/16",
    "cluster_dns_domain": "cluster.local",
    "cluster_dns_address": "10.96.0.10",
    "cluster_endpoint_address": "10.33.0.100",
    "cluster_endpoint_port": 6443,
    "cluster_endpoint_name": "",
    "cluster_runtime": "containerd",
    "cluster_lb": "haproxy",
    "cluster_mirror": "http://10.33.0.1:8088/",
    "cluster_image_source": "archive",
    "cluster_install_dir": "/opt/hardway",
}
SPECS = {
    **{name: {"type": "str"} for name in SETTINGS},
    "cluster_endpoint_port": {"type": "int"},
    "cluster_static_tokens": {"type": "list", "elements": "dict"},
    "cluster_bootstrap_user": {"type": "str"},
    "cluster_audit_webhook": {"type": "dict"},
    "cluster_lb": {"type": "str", "choices": ["haproxy", "nginx", "external"]},
    "cluster_node_labels": {"type": "dict"},
    "cluster_taint_masters": {"type": "bool"},
    "kube_node_password": {"type": "int"},
    "host_packages": {"type": "list", "elements": "str"},
    "host_required": {"type": "str", "required": True},
    "preflight_memory": {"type": "dict", "options": {"etcd": {"type": "int", "required": True}, "lb": {"type": "int"}}},
}
OURS = "c0ffee"
ADDRESSES = {"master1": 11, "master2": 12, "master3": 13, "lb1": 21, "lb2": 22, "node1": 31, "node2": 32}
GROUPS = {
    "etcd": ["master1", "master2", "master3"],
    "kube_master": ["master1", "master2", "master3"],
    "kube_node": ["node1", "node2"],
    "lb": ["lb1", "lb2"],
}
PORTS = [
    PortUse("etcd", 2379, "cluster_etcd_port", "etcd", ("etcd",)),
    PortUse("lb", 6443, "cluster_endpoint_port", "the load balancer", ("haproxy", "nginx")),
    PortUse("kube_master", 6443, "cluster_apiserver_port", "kube-apiserver", ("kube-apiserver",)),
    PortUse("kube_node", 10250, "", "kubelet", ("kubelet",)),
]
NEEDS = Needs(
    distributions={"debian": "11"},
    memory={"kube_master": 1600, "kube_node": 768},
    cpus={"kube_master": 2},
    space={"etcd": {"/var/lib/etcd": 2048}, "kube_master": {"/opt": 1024}, "kube_node": {"/opt": 1024}},
    commands={"kube_node": ["mount"]},
    features={"kube_node": ["overlay"]},
    foreign_packages={"kubelet": "it would run beside ours"},
    firewalls=("firewalld",),
    packaged=("haproxy",),
    own_interfaces=("cni", "flannel"),
    runtime_bridges={"docker": "docker0"},
    network_kernels={"calico": "5.10"},
)


def groups_of(name: str) -> tuple[str, ...]:
    return tuple(group for group, names in GROUPS.items() if name in names)


def facts_of(name: str) -> dict:
    number = ADDRESSES[name]
    return {
        "reachable": True,
        "readable": True,
        "error": "",
        "time": 1764331200.0,
        "root": True,
        "python": "3.11.2",
        "distribution": {
            "id": "debian",
            "like": [],
            "version": "12",
            "codename": "bookworm",
            "name": "Debian GNU/Linux 12 (bookworm)",
        },
        "architecture": "amd64",
        "kernel": "6.1.0-18-amd64",
        "systemd": True,
        "hostname": name,
        "machine_id": f"{number:032x}",
        "cpus": 2,
        "memory_mib": 4096,
        "swap": [],
        "cgroup": 2,
        "selinux": "disabled",
        "clock_offset": 0.0,
        "addresses": [
            {"address": f"10.33.0.{number}", "prefix": 24, "interface": "host0", "scope": "global"},
            {"address": "10.244.1.0", "prefix": 32, "interface": "flannel.1", "scope": "global"},
        ],
        "interface_of": {f"10.33.0.{number}": "host0"},
        "default_interface": "host0",
        "filesystems": {
            path: {"free_mib": 9000, "size_mib": 20000, "read_only": False, "device": 7}
            for path in ("/", "/opt", "/var/lib/etcd")
        },
        "listeners": [{"address": "0.0.0.0", "port": 22, "process": "sshd", "pid": 1, "unit": "ssh.service"}],
        "units": {
            name: {"state": "inactive", "file": ""}
            for name in ("etcd", "kubelet", "haproxy", "firewalld", "containerd")
        },
        "packages": {},
        "commands": {"mount": "/usr/bin/mount"},
        "features": {"overlay": "present"},
        "inotify_free": 16,
        "etcd_member": False,
        "installed": {},
        "static_pods": [],
        "authorities": {},
        "network": {},
        "etcd_started_with": {},
        "etcd_learner": False,
        "components": {},
        "kubelet_certificate": {
            "path": "/var/lib/kubelet/pki/kubelet-client-current.pem",
            "present": False,
            "not_after": 0,
            "expired": False,
            "pem": "",
        },
    }


class Cluster:
    """A good cluster that a test can spoil."""

    def __init__(self):
        self.plan = Plan(
            settings=dict(SETTINGS),
            groups=copy.deepcopy(GROUPS),
            hosts={name: Machine(name, f"10.33.0.{number}", groups_of(name)) for name, number in ADDRESSES.items()},
            definitions=[
                Definition(name, value, f"group all, group_vars/all.yml:{line}")
                for line, (name, value) in enumerate(SETTINGS.items(), 1)
            ],
            specs=SPECS,
            prefixes=("cluster_", "kube_node_", "host_", "preflight_"),
            supported=supported_versions(SUPPORTED, ["3.5", "3.6"]),
            ports=list(PORTS),
            run=list(ADDRESSES),
            controller=Controller(
                ansible="2.19.14",
                ansible_minimum="2.19.0",
                cluster_dir="/srv/clusters/kubernetes",
                cluster_dir_mode=0o40700,
            ),
        )
        self.site = Site(
            authorities=frozenset({OURS}),
            hosts=[
                Host(name, groups_of(name), f"10.33.0.{number}", facts_of(name)) for name, number in ADDRESSES.items()
            ],
            groups=self.plan.groups,
            settings=self.plan.settings,
            ports=self.plan.ports,
            needs=NEEDS,
        )

    def set(self, **settings) -> Cluster:
        self.plan.settings.update(settings)
        self.plan.definitions += [
            Definition(name, value, "group all, group_vars/all.yml:99") for name, value in settings.items()
        ]
        return self

    def group(self, name: str, *members: str) -> Cluster:
        self.plan.groups[name] = list(members)
        return self

    def address(self, name: str, address: str) -> Cluster:
        self.plan.hosts[name] = Machine(name, address, groups_of(name))
        return self

    def add(self, name: str, *groups: str, address: str = "10.33.0.99") -> Cluster:
        self.plan.hosts[name] = Machine(name, address, groups)
        for group in groups:
            self.plan.groups[group].append(name)
        return self

    def define(self, name: str, value, place: str = "host node1, hosts.yml:7") -> Cluster:
        self.plan.definitions.append(Definition(name, value, place))
        return self

    def controller(self, **values) -> Cluster:
        self.plan.controller = replace(self.plan.controller, **values)
        return self

    def host(self, name: str, **values) -> Cluster:
        self.site.hosts = [replace(host, **values) if host.name == name else host for host in self.site.hosts]
        return self

    def facts(self, name: str, **facts) -> Cluster:
        next(host for host in self.site.hosts if host.name == name).facts.update(facts)
        return self

    def holding(self, name: str, address: str, interface: str = "host0", prefix: int = 24) -> Cluster:
        entry = {"address": address, "prefix": prefix, "interface": interface, "scope": "global"}
        return self.facts(name, addresses=[*facts_of(name)["addresses"], entry])

    def listening(self, name: str, port: int, process: str, unit: str = "", address: str = "0.0.0.0") -> Cluster:
        return self.facts(
            name, listeners=[{"address": address, "port": port, "process": process, "pid": 42, "unit": unit}]
        )

    def unit(self, name: str, unit: str, file: str) -> Cluster:
        return self.facts(name, units={unit: {"state": "active", "file": file}})

    def problems(self) -> list[Problem]:
        return deduplicate([*check_inventory(self.plan), *check_hosts(self.site)])

    def kinds(self) -> set[str]:
        return {problem.kind.value for problem in self.problems()}


def filesystems(**values) -> dict:
    return {path: dict(found, **values) for path, found in facts_of("node1")["filesystems"].items()}


def failed(error: str, reachable: bool = True) -> dict:
    return {"reachable": reachable, "readable": False, "error": error}


CALICO = {
    "cluster_cni": "calico",
    "cluster_calico_version": "3.32.1",
    "cluster_calico_method": "manifest",
    "cluster_calico_datastore": "kubernetes",
    "cni_calico_encapsulation": "vxlan",
    "cni_calico_bgp": False,
    "cni_calico_block_size": 26,
    "cluster_calico_apiserver": False,
}


def with_calico(cluster: Cluster, **settings) -> Cluster:
    return cluster.set(**{**CALICO, **settings})


def by_kubeadm(cluster: Cluster, **settings) -> Cluster:
    cluster.group("kube_node", *GROUPS["kube_master"], "node1", "node2")
    return cluster.set(cluster_installer="kubeadm", **settings)


def with_webhook(cluster: Cluster, **values) -> Cluster:
    hook = {"server": "https://audit.example.org", **values}
    return cluster.set(cluster_audit_webhook=hook).controller(unreadable_files=("/missing.pem",))


def connected(cluster: Cluster, network: dict, **settings) -> Cluster:
    return cluster.facts("node1", network=network).set(**settings)


def alone(cluster: Cluster) -> Cluster:
    """One load balancer at an address of its own, without keepalived."""
    cluster.group("lb", "lb1").set(cluster_keepalived=False, cluster_lb="nginx", cluster_endpoint_address="10.33.0.21")
    return cluster.host("lb2", groups=())


EXPIRED = {"path": "/var/lib/kubelet/pki/kubelet-client-current.pem", "present": True, "not_after": 1, "expired": True}

# kind, a part of its place, the change that makes it, one like it that is fine
CASES = [
    ("missing-group", "group kube_node", lambda c: c.group("kube_node"), lambda c: c.group("kube_node", "node1")),
    ("missing-group", "group lb", lambda c: c.group("lb"), lambda c: c.group("lb").set(cluster_lb="external")),
    (
        "unused-group",
        "group lb",
        lambda c: c.set(cluster_lb="external"),
        lambda c: c.set(cluster_lb="external").group("lb"),
    ),
    (
        "even-etcd-members",
        "group etcd",
        lambda c: c.group("etcd", "master1", "master2"),
        lambda c: c.group("etcd", "master1"),
    ),
    (
        "many-etcd-members",
        "group etcd",
        lambda c: c.group("etcd", *[f"m{number}" for number in range(9)]),
        lambda c: c.group("etcd", *[f"m{number}" for number in range(7)]),
    ),
    (
        "single-load-balancer",
        "group lb",
        lambda c: c.group("lb", "lb1"),
        lambda c: c.group("lb", "lb1").set(cluster_lb="external"),
    ),
    ("single-load-balancer", "group lb", lambda c: c.group("lb", "lb1"), alone),
    (
        "several-load-balancers",
        "cluster_keepalived",
        lambda c: c.set(cluster_keepalived=False, cluster_endpoint_address="10.33.0.21"),
        alone,
    ),
    (
        "endpoint-is-host",
        "cluster_endpoint_address",
        lambda c: alone(c).set(cluster_endpoint_address="10.33.0.11"),
        alone,
    ),
    (
        "endpoint-not-on-load-balancer",
        "endpoint 10.33.0.50",
        lambda c: alone(c).set(cluster_endpoint_address="10.33.0.50"),
        alone,
    ),
    (
        "invalid-host-name",
        "host Node_9",
        lambda c: c.add("Node_9", "kube_node"),
        lambda c: c.add("node9.example.org", "kube_node"),
    ),
    (
        "invalid-address",
        "host node1",
        lambda c: c.address("node1", "node1.example.org"),
        lambda c: c.address("node1", "fd00::31").set(),
    ),
    (
        "unusable-address",
        "host node1",
        lambda c: c.address("node1", "127.0.0.1"),
        lambda c: c.address("node1", "192.168.0.31"),
    ),
    (
        "duplicate-address",
        "host node2",
        lambda c: c.address("node2", "10.33.0.31"),
        lambda c: c.address("node2", "10.33.0.33"),
    ),
    ("host-outside-cluster", "host web1", lambda c: c.plan.run.append("web1"), lambda c: c.plan.run.remove("node1")),
    (
        "host-outside-group",
        "host lb1",
        lambda c: setattr(c.plan, "run_group", "kube_node") or setattr(c.plan, "run", ["lb1"]),
        lambda c: setattr(c.plan, "run_group", "kube_node") or setattr(c.plan, "run", ["node2"]),
    ),
    (
        "invalid-network",
        "cluster_pod_network",
        lambda c: c.set(cluster_pod_network="10.244.0.1/16"),
        lambda c: c.set(cluster_pod_network="10.200.0.0/14"),
    ),
    (
        "overlapping-networks",
        "group_vars/all.yml:99",
        lambda c: c.set(cluster_service_network="10.244.128.0/17"),
        lambda c: c.set(cluster_service_network="10.245.0.0/16"),
    ),
    (
        "host-inside-network",
        "cluster_pod_network",
        lambda c: c.set(cluster_pod_network="10.32.0.0/12"),
        lambda c: c.set(cluster_pod_network="10.48.0.0/12"),
    ),
    (
        "small-network",
        "cluster_pod_network",
        lambda c: c.set(cluster_pod_network="10.244.0.0/24"),
        lambda c: c.set(cluster_pod_network="10.244.0.0/23"),
    ),
    (
        "small-network",
        "cluster_service_network",
        lambda c: c.set(cluster_service_network="10.96.0.0/29"),
        lambda c: c.set(cluster_service_network="10.96.0.0/24"),
    ),
    (
        "large-network",
        "cluster_service_network",
        lambda c: c.set(cluster_service_network="10.96.0.0/11"),
        lambda c: c.set(cluster_service_network="10.96.0.0/12"),
    ),
    (
        "address-family",
        "cluster_service_network",
        lambda c: c.set(cluster_service_network="fd00:96::/112"),
        lambda c: c.set(cluster_service_network="10.97.0.0/16"),
    ),
    (
        "missing-endpoint",
        "cluster_endpoint_address",
        lambda c: c.set(cluster_endpoint_address=""),
        lambda c: c.set(cluster_endpoint_address="10.33.0.101"),
    ),
    (
        "invalid-endpoint",
        "cluster_endpoint_address",
        lambda c: c.set(cluster_endpoint_address="api.example.org"),
        lambda c: c.set(cluster_endpoint_name="api.example.org"),
    ),
    (
        "endpoint-inside-network",
        "cluster_endpoint_address",
        lambda c: c.set(cluster_endpoint_address="10.96.0.1"),
        lambda c: c.set(cluster_endpoint_address="10.33.0.9"),
    ),
    (
        "endpoint-is-host",
        "cluster_endpoint_address",
        lambda c: c.set(cluster_endpoint_address="10.33.0.11"),
        lambda c: c.set(cluster_endpoint_address="10.33.0.11", cluster_lb="external"),
    ),
    (
        "invalid-static-token",
        "cluster_static_tokens",
        lambda c: c.set(cluster_static_tokens=[{"user": "a b", "uid": "1"}]),
        lambda c: c.set(cluster_static_tokens=[{"user": "a", "uid": "1"}]),
    ),
    (
        "invalid-audit-webhook",
        "cluster_audit_webhook",
        lambda c: c.set(cluster_audit_webhook={"server": "http://audit.example.org"}),
        lambda c: c.set(cluster_audit_webhook={"server": "https://audit.example.org", "token": "x"}),
    ),
    *(
        (
            "invalid-audit-webhook",
            "cluster_audit_webhook",
            lambda c, wrong=wrong: with_webhook(c, **wrong),
            lambda c: with_webhook(c, ca="/ca.pem", certificate="/c.pem", key="/k.pem"),
        )
        for wrong in (
            {"ca": "/missing.pem"},
            {"ca": "ca.pem"},
            {"certificate": "/c.pem"},
            {"key": "/k.pem"},
            {"certificate": "/c.pem", "key": "/k.pem", "token": "x"},
            {"server": "https://me:x@audit.example.org"},
            {"server": 5},
        )
    ),
    (
        "unknown-bootstrap-user",
        "cluster_bootstrap_user",
        lambda c: c.set(cluster_bootstrap_user="kubelet"),
        lambda c: c.set(cluster_bootstrap_user="kubelet", cluster_static_tokens=[{"user": "kubelet", "uid": "1"}]),
    ),
    (
        "invalid-domain",
        "cluster_dns_domain",
        lambda c: c.set(cluster_dns_domain="Cluster_Local"),
        lambda c: c.set(cluster_dns_domain="k8s.example.org"),
    ),
    (
        "dns-outside-service-network",
        "cluster_dns_address",
        lambda c: c.set(cluster_dns_address="10.97.0.10"),
        lambda c: c.set(cluster_dns_address="10.96.3.10"),
    ),
    (
        "dns-address-reserved",
        "cluster_dns_address",
        lambda c: c.set(cluster_dns_address="10.96.0.1"),
        lambda c: c.set(cluster_dns_address="10.96.0.2"),
    ),
    (
        "unsupported-version",
        "cluster_kubernetes_version",
        lambda c: c.set(cluster_kubernetes_version="1.20.2"),
        lambda c: c.set(cluster_kubernetes_version="1.35.4"),
    ),
    (
        "untried-version",
        "cluster_kubernetes_version",
        lambda c: c.set(cluster_kubernetes_version="1.34.4"),
        lambda c: c.set(cluster_kubernetes_version="1.35.4"),
    ),
    (
        "unsupported-combination",
        "cluster_coredns_version",
        lambda c: c.set(cluster_coredns_version="1.14.7", cluster_kubernetes_version="1.34.4"),
        lambda c: c.set(cluster_coredns_version="1.14.7"),
    ),
    (
        "invalid-version",
        "cluster_etcd_version",
        lambda c: c.set(cluster_etcd_version="latest"),
        lambda c: c.set(cluster_etcd_version="3.6.17"),
    ),
    (
        "unsupported-combination",
        "cluster_etcd_version",
        lambda c: c.set(cluster_etcd_version="3.4.30"),
        lambda c: c.set(cluster_etcd_version="3.5.35"),
    ),
    (
        "unsupported-combination",
        "cluster_containerd_version",
        lambda c: c.set(cluster_containerd_version="1.7.20"),
        lambda c: c.set(cluster_containerd_version="2.0.0"),
    ),
    (
        "unsupported-combination",
        "cluster_runtime",
        lambda c: c.set(cluster_runtime="docker"),
        lambda c: c.set(cluster_runtime="docker", cluster_kubernetes_version="1.35.3"),
    ),
    (
        "invalid-mirror",
        "cluster_mirror",
        lambda c: c.set(cluster_mirror="mirror.example.org"),
        lambda c: c.set(cluster_mirror="https://mirror.example.org/k8s"),
    ),
    (
        "mirror-needed",
        "cluster_image_source",
        lambda c: c.set(cluster_mirror=""),
        lambda c: c.set(cluster_mirror="", cluster_image_source="registry"),
    ),
    (
        "invalid-port",
        "cluster_endpoint_port",
        lambda c: c.set(cluster_endpoint_port=70000),
        lambda c: c.set(cluster_endpoint_port="8443"),
    ),
    (
        "port-conflict",
        "cluster_endpoint_port",
        lambda c: c.group("lb", "master1", "master2"),
        lambda c: c.group("etcd", "lb1"),
    ),
    (
        "unknown-choice",
        "cluster_lb",
        lambda c: c.define("cluster_lb", "haproxi"),
        lambda c: c.define("cluster_lb", "nginx"),
    ),
    (
        "wrong-kind-of-value",
        "cluster_node_labels (host node1, hosts.yml:7)",
        lambda c: c.define("cluster_node_labels", "a=b"),
        lambda c: c.define("cluster_node_labels", {"a": "b"}),
    ),
    (
        "wrong-kind-of-value",
        "host_packages",
        lambda c: c.define("host_packages", [{"a": 1}]),
        lambda c: c.define("host_packages", ["vim"]),
    ),
    (
        "wrong-kind-of-value",
        "cluster_taint_masters",
        lambda c: c.define("cluster_taint_masters", "perhaps"),
        lambda c: c.define("cluster_taint_masters", "no"),
    ),
    (
        "wrong-kind-of-value",
        "host_required",
        lambda c: c.define("host_required", None),
        lambda c: c.define("host_required", UNRESOLVED),
    ),
    (
        "wrong-kind-of-value",
        "preflight_memory",
        lambda c: c.define("preflight_memory", {"lb": 1}),
        lambda c: c.define("preflight_memory", {"etcd": "512"}),
    ),
    (
        "misspelt-setting",
        "cluster_pod_netwrok (host node1, hosts.yml:7)",
        lambda c: c.define("cluster_pod_netwrok", "10.1.0.0/16"),
        lambda c: c.define("web_pod_network", ""),
    ),
    (
        "misspelt-setting",
        "clutser_name",
        lambda c: c.define("clutser_name", "x"),
        lambda c: c.define("customer_name", "x"),
    ),
    (
        "misspelt-setting",
        "preflight_memory",
        lambda c: c.define("preflight_memory", {"etcd": 1, "lbs": 2}),
        lambda c: c.define("preflight_memory", {"etcd": 1, "lb": 2}),
    ),
    ("unknown-setting", "host_room", lambda c: c.define("host_room", "B12"), lambda c: c.define("room", "B12")),
    (
        "unresolvable-setting",
        "cluster_dns_address",
        lambda c: c.plan.unresolved.update(cluster_dns_address="'nowhere' is undefined"),
        lambda c: c.plan.unresolved.clear(),
    ),
    (
        "invalid-path",
        "cluster_install_dir",
        lambda c: c.set(cluster_install_dir="opt/hardway"),
        lambda c: c.set(cluster_install_dir="/srv/hardway"),
    ),
    (
        "cluster-dir-inside-inventory",
        "cluster_dir",
        lambda c: c.controller(inventory_dirs=("/srv/clusters",)),
        lambda c: c.controller(inventory_dirs=("/srv/clusters/kube",)),
    ),
    (
        "cluster-dir-permissions",
        "cluster_dir",
        lambda c: c.controller(cluster_dir_mode=0o40750),
        lambda c: c.controller(cluster_dir_mode=None),
    ),
    (
        "cluster-dir-permissions",
        "cluster_dir",
        lambda c: c.controller(cluster_dir_writable=False),
        lambda c: c.controller(cluster_dir_writable=True),
    ),
    (
        "controller-packages",
        "controller",
        lambda c: c.controller(missing_packages=("netaddr",)),
        lambda c: c.controller(missing_packages=()),
    ),
    (
        "controller-collections",
        "controller",
        lambda c: c.controller(missing_collections=("kubernetes.core",)),
        lambda c: c.controller(missing_collections=()),
    ),
    (
        "controller-ansible",
        "controller",
        lambda c: c.controller(ansible="2.9.27"),
        lambda c: c.controller(ansible="2.20.0"),
    ),
    (
        "controller-facts",
        "controller",
        lambda c: c.controller(injects_facts=True),
        lambda c: c.controller(injects_facts=False),
    ),
    ("unread-host", "host node1", lambda c: c.host("node1", facts={}), lambda c: c.host("node1")),
    (
        "unreachable-host",
        "host node1",
        lambda c: c.host("node1", facts=failed("timed out", False)),
        lambda c: c.host("node1"),
    ),
    (
        "no-python",
        "host node1",
        lambda c: c.host("node1", facts=failed("/bin/sh: 1: /usr/bin/python3: not found")),
        lambda c: c.host("node1"),
    ),
    (
        "no-root",
        "host node1",
        lambda c: c.host("node1", facts=failed("Missing sudo password")),
        lambda c: c.host("node1"),
    ),
    ("no-root", "host node1", lambda c: c.facts("node1", root=False), lambda c: c.facts("node1", root=True)),
    (
        "untrusted-facts",
        "host node1",
        lambda c: c.host("node1", facts=usable_facts({**facts_of("node1"), "units": "all"})),
        lambda c: c.host("node1"),
    ),
    (
        "unreadable-host",
        "host node1",
        lambda c: c.host("node1", facts=failed("disk quota exceeded")),
        lambda c: c.host("node1"),
    ),
    ("no-systemd", "host lb1", lambda c: c.facts("lb1", systemd=False), lambda c: c.facts("lb1", systemd=True)),
    (
        "old-python",
        "host node1",
        lambda c: c.facts("node1", python="3.6.8"),
        lambda c: c.facts("node1", python="3.9.2"),
    ),
    (
        "old-kernel",
        "host node1",
        lambda c: c.facts("node1", kernel="4.18.0-553.el8"),
        lambda c: c.facts("node1", kernel="5.10.0"),
    ),
    (
        "unsupported-architecture",
        "host node1",
        lambda c: c.facts("node1", architecture="riscv64"),
        lambda c: c.facts("node1", architecture="arm64"),
    ),
    (
        "read-only-root",
        "host node1",
        lambda c: c.facts("node1", filesystems=filesystems(read_only=True)),
        lambda c: c.facts("node1", filesystems=filesystems()),
    ),
    (
        "read-only-path",
        "host node1",
        lambda c: c.facts(
            "node1",
            filesystems={**filesystems(), "/opt": {"free_mib": 9000, "size_mib": 1, "read_only": True, "device": 8}},
        ),
        lambda c: c.facts(
            "lb1",
            filesystems={**filesystems(), "/opt": {"free_mib": 9000, "size_mib": 1, "read_only": True, "device": 8}},
        ),
    ),
    (
        "selinux-enforcing",
        "host node1",
        lambda c: c.facts("node1", selinux="enforcing"),
        lambda c: c.facts("node1", selinux="permissive"),
    ),
    (
        "unsupported-distribution",
        "host node1",
        lambda c: c.facts("node1", distribution={"id": "debian", "version": "9", "name": "Debian 9"}),
        lambda c: c.facts("node1", distribution={"id": "debian", "version": "", "name": "Debian sid"}),
    ),
    (
        "duplicate-hostname",
        "host node2",
        lambda c: c.facts("node2", hostname="node1"),
        lambda c: c.facts("node2", hostname="another"),
    ),
    (
        "duplicate-machine-id",
        "host node2",
        lambda c: c.facts("node2", machine_id=f"{31:032x}"),
        lambda c: c.facts("node2", machine_id="f" * 32),
    ),
    (
        "duplicate-machine-id",
        "host node2",
        lambda c: c.facts("node2", machine_id=""),
        lambda c: c.facts("node2", machine_id="e" * 32),
    ),
    (
        "clock-apart",
        "host node1",
        lambda c: c.facts("node1", clock_offset=-40.0),
        lambda c: c.facts("node1", clock_offset=-4.0),
    ),
    (
        "little-memory",
        "host master1",
        lambda c: c.facts("master1", memory_mib=1024),
        lambda c: c.facts("node1", memory_mib=1024),
    ),
    ("few-processors", "host master1", lambda c: c.facts("master1", cpus=1), lambda c: c.facts("node1", cpus=1)),
    (
        "few-inotify-instances",
        "host node1",
        lambda c: c.facts("node1", inotify_free=3),
        lambda c: c.facts("lb1", inotify_free=3),
    ),
    (
        "little-space",
        "host master1",
        lambda c: c.facts("master1", filesystems=filesystems(free_mib=3000)),
        lambda c: c.facts("node1", filesystems=filesystems(free_mib=3000)),
    ),
    (
        "swap-on",
        "host node1",
        lambda c: c.facts("node1", swap=["/dev/sda2"]),
        lambda c: c.facts("lb1", swap=["/dev/sda2"]),
    ),
    (
        "swap-on",
        "host node1",
        lambda c: c.facts("node1", swap=["/dev/sda2"]).host("node1", kubelet_config={"failSwapOn": True}),
        lambda c: c.facts("node1", swap=["/dev/sda2"]).host("node1", swap_is_turned_off=True),
    ),
    (
        "missing-kernel-feature",
        "host node1",
        lambda c: c.facts("node1", features={"overlay": "missing"}),
        lambda c: c.facts("node1", features={"overlay": "loadable"}),
    ),
    (
        "cgroup-v1",
        "host node1",
        lambda c: c.facts("node1", cgroup=1),
        lambda c: c.facts("node1", cgroup=1).host("node1", kubelet_config={"failCgroupV1": False}),
    ),
    (
        "missing-command",
        "host node1",
        lambda c: c.facts("node1", commands={"mount": ""}),
        lambda c: c.facts("lb1", commands={"mount": ""}),
    ),
    (
        "address-not-on-host",
        "host node1",
        lambda c: c.host("node1", address="10.33.0.77"),
        lambda c: c.host("node1", address="10.33.0.31"),
    ),
    (
        "no-default-route",
        "host node1",
        lambda c: c.facts("node1", default_interface=""),
        lambda c: c.facts("lb1", default_interface=""),
    ),
    (
        "host-network-overlap",
        "host node1",
        lambda c: c.holding("node1", "10.244.7.1", "docker0"),
        lambda c: c.holding("node1", "10.244.7.1", "cni0"),
    ),
    (
        "host-network-overlap",
        "host node1",
        lambda c: c.set(cluster_runtime="docker").holding("node1", "10.96.7.1", "docker0"),
        lambda c: c.set(cluster_runtime="docker").holding("node1", "10.244.7.1", "docker0"),
    ),
    (
        "virtual-address-in-use",
        "10.33.0.100",
        lambda c: c.holding("node1", "10.33.0.100"),
        lambda c: c.holding("lb1", "10.33.0.100"),
    ),
    (
        "virtual-address-in-use",
        "10.33.0.100",
        lambda c: setattr(c.site, "probe", Probe("refused")),
        lambda c: setattr(c.holding("lb1", "10.33.0.100").site, "probe", Probe("refused")),
    ),
    (
        "virtual-address-in-use",
        "10.33.0.100",
        lambda c: setattr(c.site, "probe", Probe("foreign")),
        lambda c: setattr(c.site, "probe", Probe("ours")),
    ),
    (
        "virtual-address-outside-subnet",
        "10.50.0.1",
        lambda c: c.set(cluster_endpoint_address="10.50.0.1"),
        lambda c: c.set(cluster_endpoint_address="10.50.0.1", cluster_lb="external"),
    ),
    (
        "port-taken",
        "host node1",
        lambda c: c.listening("node1", 10250, "nginx"),
        lambda c: c.listening("node1", 10250, "kubelet", "kubelet.service"),
    ),
    (
        "port-taken",
        "host master1",
        lambda c: c.listening("master1", 2379, "etcd", "other.service"),
        lambda c: c.listening("master1", 2379, "etcd", "kubepods"),
    ),
    (
        "port-taken",
        "host node1",
        lambda c: c.listening("node1", 10250, "x", address="10.33.0.31"),
        lambda c: c.listening("node1", 10250, "x", address="10.9.9.9"),
    ),
    (
        "other-version",
        "host node1",
        lambda c: c.facts("node1", installed={"kubelet": "1.35.4"}),
        lambda c: c.facts("node1", installed={"kubelet": "1.36.3"}).facts("master1", installed={}),
    ),
    (
        "other-installer",
        "host master1",
        lambda c: c.facts("master1", static_pods=["kube-apiserver"]).set(cluster_installer="binaries"),
        lambda c: c.facts("master1", static_pods=["kube-apiserver"]).set(cluster_installer="kubeadm"),
    ),
    (
        "other-authorities",
        "host master1",
        lambda c: c.facts(
            "master1", authorities={"/etc/etcd/pki/ca.pem": ["aa"], "/etc/kubernetes/pki/ca.pem": ["bb"]}
        ),
        lambda c: c.facts("master1", authorities={"/etc/etcd/pki/ca.pem": ["aa", OURS]}),
    ),
    (
        "other-cni",
        "host node1",
        lambda c: with_calico(connected(c, {"cni": "flannel", "datastore": "kubernetes"})),
        lambda c: with_calico(connected(c, {"cni": "calico", "method": "manifest", "datastore": "kubernetes"})),
    ),
    (
        "other-cni",
        "host node1",
        lambda c: connected(
            c, {"cni": "flannel", "datastore": "kubernetes"}, cluster_cni="flannel", cluster_flannel_datastore="etcd"
        ),
        # a run that died before it wrote its unit
        lambda c: connected(c, {"cni": "flannel"}, cluster_cni="flannel", cluster_flannel_datastore="etcd"),
    ),
    (
        "other-cni",
        "host node1",
        lambda c: with_calico(
            connected(c, {"cni": "calico", "method": "manifest", "datastore": "kubernetes"}),
            cluster_calico_method="operator",
        ),
        lambda c: with_calico(connected(c, {}), cluster_calico_method="operator"),
    ),
    (
        "other-cni",
        "host node1",
        lambda c: connected(c, {"cni": "bridge"}, cluster_cni="none"),
        lambda c: connected(c, {"cni": "bridge"}, cluster_cni="bridge"),
    ),
    (
        "other-cni",
        "host node1",
        lambda c: connected(c, {"cni": "foreign", "plugin": "cilium-cni"}, cluster_cni="flannel"),
        lambda c: connected(c, {"cni": "foreign", "plugin": "cilium-cni"}, cluster_cni="none"),
    ),
    (
        "unsupported-combination",
        "cluster_calico_datastore",
        lambda c: with_calico(c, cluster_calico_method="operator", cluster_calico_datastore="etcd"),
        lambda c: by_kubeadm(with_calico(c, cluster_calico_datastore="etcd")),
    ),
    (
        "unsupported-combination",
        "cluster_kubernetes_version",
        lambda c: by_kubeadm(c, cluster_kubernetes_version="1.30.2"),
        lambda c: by_kubeadm(c, cluster_kubernetes_version="1.36.3"),
    ),
    (
        "unsupported-combination",
        "cluster_runtime",
        lambda c: by_kubeadm(c, cluster_runtime="docker"),
        lambda c: by_kubeadm(c, cluster_runtime="containerd"),
    ),
    (
        "unsupported-combination",
        "group kube_node",
        lambda c: c.set(cluster_installer="kubeadm"),
        by_kubeadm,
    ),
    (
        "unsupported-combination",
        "cni_calico_bgp",
        lambda c: with_calico(c, cni_calico_encapsulation="ipip"),
        lambda c: with_calico(c, cni_calico_encapsulation="ipip", cni_calico_bgp="true"),
    ),
    (
        "unsupported-combination",
        "cluster_calico_apiserver",
        lambda c: with_calico(c, cluster_calico_method="operator", cluster_calico_apiserver=True),
        lambda c: with_calico(c, cluster_calico_apiserver=True),
    ),
    (
        "unsupported-combination",
        "cluster_calico_version",
        lambda c: with_calico(c, cluster_calico_version="3.31.7"),
        lambda c: with_calico(c, cluster_calico_version="3.32.4"),
    ),
    (
        "unsupported-combination",
        "cluster_cni",
        lambda c: with_calico(c, cluster_kubernetes_version="1.35.4"),
        lambda c: c.set(cluster_cni="bridge", cluster_kubernetes_version="1.35.4"),
    ),
    (
        "invalid-block-size",
        "cni_calico_block_size",
        lambda c: with_calico(c, cni_calico_block_size=33),
        lambda c: with_calico(c, cni_calico_block_size=32),
    ),
    (
        "small-network",
        "cluster_pod_network",
        lambda c: with_calico(c, cluster_pod_network="10.244.0.0/27"),
        # a node's part is a block, not kube-controller-manager's
        lambda c: with_calico(c, cluster_pod_network="10.244.0.0/25"),
    ),
    (
        "old-kernel",
        "host node1",
        lambda c: with_calico(c.facts("node1", kernel="5.4.0-1")),
        lambda c: with_calico(c.facts("lb1", kernel="5.4.0-1")),
    ),
    (
        "foreign-package",
        "host node1",
        lambda c: c.facts("node1", packages={"kubelet": "1.28.0"}),
        lambda c: c.facts("lb1", packages={"kubelet": "1.28.0"}),
    ),
    (
        "foreign-component",
        "host node1",
        lambda c: c.unit("node1", "containerd", "/lib/systemd/system/containerd.service"),
        lambda c: c.unit("node1", "containerd", "/etc/systemd/system/containerd.service"),
    ),
    (
        "foreign-component",
        "host lb1",
        lambda c: c.unit("lb1", "etcd", "/usr/lib/systemd/system/etcd.service"),
        lambda c: c.unit("lb1", "haproxy", "/lib/systemd/system/haproxy.service"),
    ),
    (
        "firewall-active",
        "host node1",
        lambda c: c.unit("node1", "firewalld", "/usr/lib/systemd/system/firewalld.service"),
        lambda c: c.facts("node1"),
    ),
    (
        "kubelet-certificate-expired",
        "host node1",
        lambda c: c.facts("node1", kubelet_certificate=EXPIRED),
        lambda c: c.facts("lb1", kubelet_certificate=EXPIRED),
    ),
]


def test_good_cluster_has_no_problem():
    assert Cluster().problems() == []


@pytest.mark.parametrize(
    ("kind", "place", "spoil", "vary"), CASES, ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)]
)
def test_kind_is_found_with_its_place(kind, place, spoil, vary):
    bad, good = Cluster(), Cluster()
    spoil(bad)
    vary(good)
    found = [problem for problem in bad.problems() if problem.kind.value == kind]
    assert any(place in problem.place for problem in found), bad.problems()
    assert all(problem.message and problem.fix for problem in found)
    assert kind not in good.kinds()


def test_an_even_number_of_members_is_no_error_while_they_come_one_at_a_time():
    cluster = Cluster().group("etcd", "master1", "master2")
    levels = []
    for run in (["master1", "master2"], ["master2"]):
        cluster.plan.run = run
        levels += [problem.level for problem in cluster.problems() if problem.kind.value == "even-etcd-members"]
    assert levels == ["error", "warning"]


def test_every_kind_has_a_case():
    assert {kind.value for kind in Kind} == {kind for kind, place, spoil, vary in CASES}


def test_the_page_names_kinds_that_exist():
    page = Path(os.path.realpath(__file__)).parents[5] / "docs" / "preflight.md"
    table = page.read_text().partition("| --- | --- |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z-]+)`", table))
    assert len(named) > 20 and named <= {kind.value for kind in Kind}


def test_all_problems_of_one_terrible_cluster_are_found_in_one_run():
    terrible = Cluster()
    terrible.group("etcd", "master1", "master2").group("lb", "master1").group(
        "kube_node", "node1", "node2", "Node_3", "node4", "node5", "node6"
    )
    for number, name in enumerate(["Node_3", "node4", "node5", "node6"], 33):
        terrible.plan.hosts[name] = Machine(name, f"10.33.0.{number}", ("kube_node",))
        terrible.site.hosts.append(Host(name, ("kube_node",), f"10.33.0.{number}", facts_of("node1")))
    terrible.address("node2", "10.33.0.31").address("master2", "master2")
    terrible.set(
        cluster_pod_network="10.32.0.0/21",
        cluster_service_network="10.32.4.0/22",
        cluster_endpoint_address="10.32.5.1",
        cluster_dns_address="10.97.0.10",
        cluster_dns_domain="cluster_local",
        cluster_kubernetes_version="1.20.2",
        cluster_etcd_version="new",
        cluster_containerd_version="1.6.1",
        cluster_mirror="nowhere",
        cluster_lb="haproxi",
        cluster_install_dir="opt",
        cluster_endpoint_port="https",
    )
    terrible.define("cluster_node_labels", ["a"]).define("cluster_pod_netwrok", "10.1.0.0/16").define("host_room", 12)
    terrible.plan.unresolved["cluster_name"] = "'nowhere' is undefined"
    terrible.plan.run.append("web1")
    terrible.controller(
        missing_packages=("netaddr",),
        missing_collections=("kubernetes.core",),
        ansible="2.14.0",
        cluster_dir_mode=0o40755,
    )
    terrible.facts(
        "master1", memory_mib=100, cpus=1, filesystems=filesystems(free_mib=10), clock_offset=3600.0, systemd=False
    )
    terrible.listening("master1", 2379, "redis-server", "redis.service").host(
        "lb1", facts=failed("No route to host", False)
    )
    terrible.facts(
        "node1",
        swap=["/swapfile"],
        features={"overlay": "missing"},
        inotify_free=0,
        selinux="enforcing",
        packages={"kubelet": "1.28"},
    )
    terrible.host("node2", facts=failed("python3: not found")).host("lb2", facts=failed("Missing sudo password"))
    terrible.site.probe = Probe("foreign")
    text = report(terrible.problems())
    assert terrible.kinds() >= {
        "even-etcd-members",
        "single-load-balancer",
        "invalid-host-name",
        "duplicate-address",
        "invalid-address",
        "host-outside-cluster",
        "overlapping-networks",
        "endpoint-inside-network",
        "dns-outside-service-network",
        "invalid-domain",
        "unsupported-version",
        "invalid-version",
        "unsupported-combination",
        "invalid-mirror",
        "unknown-choice",
        "invalid-path",
        "invalid-port",
        "wrong-kind-of-value",
        "misspelt-setting",
        "unknown-setting",
        "unresolvable-setting",
        "controller-packages",
        "controller-collections",
        "controller-ansible",
        "cluster-dir-permissions",
        "little-memory",
        "few-processors",
        "little-space",
        "clock-apart",
        "no-systemd",
        "port-taken",
        "unreachable-host",
        "swap-on",
        "missing-kernel-feature",
        "few-inotify-instances",
        "selinux-enforcing",
        "foreign-package",
        "no-python",
        "no-root",
        "duplicate-hostname",
        "duplicate-machine-id",
        "virtual-address-in-use",
        "address-not-on-host",
    }
    assert len(terrible.kinds()) >= 25
    assert all(f"[{kind}]" in text or f"[warning, {kind}]" in text for kind in terrible.kinds())


def test_names_similar_to_a_setting_or_group_are_suggested():
    cluster = Cluster().define("cluster_pod_netwrok", "x").define("cluster_lb", "haproxi")
    del cluster.plan.groups["kube_node"]
    cluster.plan.groups["kube_nodes"] = ["node1"]
    fixes = {problem.kind.value: problem.fix for problem in cluster.problems()}
    assert fixes["misspelt-setting"] == "Write cluster_pod_network."
    assert "did you mean haproxy?" in fixes["unknown-choice"]
    assert "Rename the group kube_nodes to kube_node." in fixes["missing-group"]


def test_secret_values_are_not_shown():
    cluster = Cluster().define("kube_node_password", "hunter2")
    found = [problem for problem in cluster.problems() if problem.kind.value == "wrong-kind-of-value"]
    assert found and "hunter2" not in report(found)


def test_accepted_kinds_are_warnings_and_errors_stand_first():
    problems = deduplicate(
        Cluster().facts("node1", swap=["x"], selinux="enforcing", memory_mib=1).problems(), ["swap-on"]
    )
    assert [problem.kind.value for problem in problems] == ["little-memory", "selinux-enforcing", "swap-on"]
    assert [problem.kind.value for problem in errors(problems)] == ["little-memory"]
    assert report(problems).startswith("Preflight found 1 error and 2 warnings. Nothing was changed")


def test_little_space_is_a_warning_where_the_cluster_runs_already():
    cluster = Cluster().facts(
        "node1",
        filesystems=filesystems(free_mib=10),
        units={"kubelet": {"state": "active", "file": "/etc/systemd/system/kubelet.service"}},
    )
    assert {(problem.kind.value, problem.level) for problem in cluster.problems()} == {("little-space", WARNING)}


def test_answer_at_the_virtual_address_means_nothing_when_its_load_balancers_are_not_in_the_run():
    cluster = Cluster()
    cluster.site.hosts = [host for host in cluster.site.hosts if host.name == "node2"]
    for answer, kinds in (
        ("refused", set()),
        ("open", set()),
        ("ours", set()),
        ("foreign", {"virtual-address-in-use"}),
    ):
        cluster.site.probe = Probe(answer)
        assert cluster.kinds() == kinds


def test_small_network_is_a_warning_when_other_nodes_are_not_in_the_run():
    cluster = Cluster().set(cluster_pod_network="10.244.0.0/24")
    assert [problem.kind.value for problem in errors(cluster.problems())] == ["small-network"]
    cluster.plan.run = ["node1"]
    assert errors(cluster.problems()) == []


def test_a_long_message_is_wrapped():
    text = report([Problem(Kind.NO_ROOT, "host node1", "word " * 100, "Add it.")])
    assert max(map(len, text.splitlines())) <= 150


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(facts_of("node1"))), JSON, st.booleans())
def test_odd_facts_of_one_host_are_its_own_problem(key, value, remove):
    """Whatever a host returns, the other hosts are checked, and the report has no character that drives a terminal."""
    facts = {**facts_of("node1"), key: value}
    if remove:
        del facts[key]
    cluster = Cluster().host("node1", facts=usable_facts(facts)).facts("node2", swap=["/dev/sda2"])
    problems = cluster.problems()
    assert ("swap-on", "host node2") in {(problem.kind.value, problem.place) for problem in problems}
    assert all(line.isprintable() for line in report(problems).splitlines())
    assert all(problem.sentence.isprintable() for problem in problems)


def test_the_reason_why_facts_cannot_be_used_is_named():
    facts = {**facts_of("node1"), "listeners": [{"port": "\x1b[2J"}]}
    assert usable_facts(facts_of("node1"), 0.0) == facts_of("node1")
    (problem,) = Cluster().host("node1", facts=usable_facts(facts)).problems()
    assert "untrusted facts: listeners[0].address is missing" in problem.message
