# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process of a component leaves on a host besides the paths in its record, and after which others it stops.

A component declares it as data: ``{"component": NAME, "stops_after": [NAMES], "footprint": {FIELD: VALUES}}``, with the fields of
:class:`Footprint`. It counts only where that component has a record.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

#: In ``component``: pods, which end while their runtime still runs; and the components that declare nothing.
PODS, OTHERS = "(pods)", "(others)"
NETWORK_NAMESPACES = "/run/netns/cni-*"
#: By which keepalived learns that what it watches has ended (role lb, lb_ended_file).
LOAD_BALANCER_ENDED = "/run/load-balancer-ended"
#: Of a member: its data, those from before a restore, and what a restore that was killed was making.
ETCD_DATA = ["member", "member.before-*", files.temporary_of("member")]


@dataclasses.dataclass(frozen=True)
class Footprint:
    """The declaration of one component. A field that ends in a plural has several values."""

    component: str
    #: components that use this one, and so stop before it
    stops_after: tuple[str, ...] = ()
    #: removed with all that is in them
    directories: tuple[str, ...] = ()
    #: patterns of glob
    files: tuple[str, ...] = ()
    #: entries of a directory in the component's record (patterns of glob) that are removed with all that is in them
    contents: tuple[str, ...] = ()
    #: patterns of fnmatch, which match mounts in the depth too
    mounts: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    #: patterns of the names of network interfaces
    interfaces: tuple[str, ...] = ()
    #: prefixes of the names of iptables chains
    chains: tuple[str, ...] = ()
    #: prefixes of the comments of iptables rules in chains of others
    comments: tuple[str, ...] = ()
    #: prefixes of the names of ipsets
    sets: tuple[str, ...] = ()
    #: prefixes of the names of nftables' tables, of any family
    tables: tuple[str, ...] = ()
    #: the kernel's counters of packets (nfnetlink_acct)
    counters: tuple[str, ...] = ()
    #: protocols of routes that it sets
    route_protocols: tuple[str, ...] = ()
    #: the kernel's own interfaces, which it gave an address of the pod network
    tunnels: tuple[str, ...] = ()
    #: a unit that a component without a service of its own enabled
    unit: str | None = None
    #: it runs pods
    pods: bool = False
    #: it sets routes into the pod network
    routes: bool = False
    #: it masquerades what leaves the pod network
    masquerade: bool = False
    #: it holds the virtual address
    virtual_address: bool = False

    @classmethod
    def from_dict(cls, declared: Mapping[str, t.Any]) -> Footprint:
        """Raises HardwayError for a declaration with fields that do not exist, or of another type."""
        name = str(declared.get("component") or "")
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        values = {**(declared.get("footprint") or {}), "stops_after": declared.get("stops_after") or []}
        unknown = sorted(set(values) - set(fields) | ({"component"} & set(values)))
        if not name or unknown:
            raise HardwayError(
                f"{', '.join(unknown)} is not part of a footprint" if unknown else "a footprint without its component",
                where=name,
                fix=f"use {', '.join(sorted(set(fields) - {'component'}))}",
            )
        kinds: dict[str, t.Any] = {"tuple[str, ...]": (list, tuple), "bool": bool, "str | None": (str, type(None))}
        for field, value in values.items():
            if not isinstance(value, kinds[str(fields[field])]):
                raise HardwayError(f"{field} is {value!r}", where=name, fix=f"give it as {fields[field]}")
            if isinstance(value, (list, tuple)) and not all(isinstance(entry, str) and entry for entry in value):
                raise HardwayError(
                    f"{field} has an entry that is no text, or empty", where=name, fix="correct or remove it"
                )
        fixed: dict[str, t.Any] = {
            key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in values.items()
        }
        return cls(component=name, **fixed)


def read_footprints(declared: Iterable[Mapping[str, t.Any]]) -> dict[str, Footprint]:
    """Component -> its footprint."""
    found = [Footprint.from_dict(each) for each in declared]
    return {footprint.component: footprint for footprint in found}


FOOTPRINT: tuple[dict[str, t.Any], ...] = (
    {
        "component": "kubelet",
        "footprint": {
            "directories": [
                "/var/lib/kubelet",
                "/var/log/pods",
                "/var/log/containers",
                "/usr/libexec/kubernetes",
                "/etc/kubernetes",
            ],
            "files": ["/etc/systemd/logind.conf.d/99-kubelet.conf"],
            "mounts": ["/var/lib/kubelet/*"],
            "chains": ["KUBE-"],
            "cgroups": ["kubepods", "kubepods.slice"],
            "pods": True,
        },
    },
    {"component": PODS, "stops_after": ["kubelet"]},
    {
        "component": "kube-proxy",
        "stops_after": ["kubelet"],
        "footprint": {
            "directories": ["/etc/kubernetes"],
            "interfaces": ["kube-ipvs0"],
            "chains": ["KUBE-"],
            "sets": ["KUBE-"],
            "tables": ["kube-proxy"],
            "counters": ["ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"],
        },
    },
    {
        "component": "flanneld",
        "stops_after": ["kubelet"],
        "footprint": {
            "directories": ["/run/flannel", "/etc/flannel"],
            "interfaces": ["flannel.[0-9]*", "flannel-v6.[0-9]*", "flannel-wg*"],
            "chains": ["FLANNEL-"],
            "tables": ["flannel-"],
            "routes": True,
        },
    },
    {
        "component": "pod-routes",
        "stops_after": ["kubelet"],
        "footprint": {"routes": True, "route_protocols": ["77"], "masquerade": True},
    },
    {"component": OTHERS, "stops_after": ["kube-proxy", "flanneld", "pod-routes"]},
    {
        "component": "cri-dockerd",
        "stops_after": [OTHERS],
        "footprint": {"directories": ["/var/lib/cri-dockerd"], "files": ["/run/cri-dockerd.sock"]},
    },
    {
        "component": "containerd",
        "stops_after": ["cri-dockerd"],
        "footprint": {
            "directories": [
                "/var/lib/containerd",
                "/run/containerd",
                "/run/nri",
                "/opt/containerd",
                "/opt/cni",
                "/etc/cni/net.d",
                "/var/lib/cni",
            ],
            "files": [NETWORK_NAMESPACES],
            "mounts": ["/run/containerd/*", "/var/lib/containerd/*", NETWORK_NAMESPACES],
            "interfaces": ["cni0"],
            "chains": ["CNI-"],
            "tables": ["cni_hostport", "cni_plugins_masquerade"],
            "pods": True,
        },
    },
    {
        "component": "docker",
        "stops_after": ["cri-dockerd"],
        "footprint": {
            "directories": [
                "/var/lib/docker",
                "/run/docker",
                "/etc/docker",
                "/var/lib/dockershim",
                "/opt/cni",
                "/etc/cni/net.d",
                "/var/lib/cni",
            ],
            "files": ["/run/docker.sock", "/run/docker.pid", NETWORK_NAMESPACES],
            "mounts": ["/run/docker/*", "/var/lib/docker/*", NETWORK_NAMESPACES],
            "interfaces": ["cni0", "docker0"],
            "chains": ["DOCKER", "CNI-"],
            "tables": ["cni_hostport", "cni_plugins_masquerade"],
            "pods": True,
        },
    },
    # What its pods leave; the plugins and their configuration are in directories of the runtime's.
    {
        "component": "calico",
        "footprint": {
            "directories": ["/etc/calico", "/var/lib/calico", "/var/log/calico", "/run/calico", "/run/nodeagent"],
            "mounts": ["/run/calico/*"],
            "interfaces": [
                "cali*",
                "vxlan.calico",
                "vxlan-v6.calico",
                "wireguard.cali",
                "wg-v6.cali",
                "bpfin.cali",
                "bpfout.cali",
            ],
            "chains": ["cali"],
            "comments": ["cali:"],
            "sets": ["cali"],
            "tables": ["calico"],
            "routes": True,
            "tunnels": ["tunl0"],
        },
    },
    {"component": "calicoctl", "footprint": {"directories": ["/etc/calico"]}},
    # Its kube-proxy is a pod, and kubelet makes the lock for it.
    {
        "component": "kubeadm",
        "footprint": {
            "directories": ["/etc/kubernetes", "/var/log/kubernetes"],
            "files": ["/run/xtables.lock"],
            "interfaces": ["kube-ipvs0"],
            "chains": ["KUBE-"],
            "sets": ["KUBE-"],
            "tables": ["kube-proxy"],
        },
    },
    {
        "component": "kube-scheduler",
        "stops_after": ["containerd", "docker"],
        "footprint": {"directories": ["/etc/kubernetes"]},
    },
    {
        "component": "kube-controller-manager",
        "stops_after": ["containerd", "docker"],
        "footprint": {"directories": ["/etc/kubernetes"]},
    },
    {
        "component": "kube-apiserver",
        "stops_after": ["kube-scheduler", "kube-controller-manager"],
        "footprint": {"directories": ["/etc/kubernetes", "/var/log/kubernetes"]},
    },
    {
        "component": "etcd",
        "stops_after": ["kube-apiserver"],
        "footprint": {"directories": ["/etc/etcd"], "contents": ETCD_DATA},
    },
    {"component": "etcd-restore", "footprint": {"contents": ETCD_DATA}},
    {"component": "etcd-backup", "footprint": {"directories": ["/etc/etcd"], "unit": "etcd-backup.timer"}},
    # The virtual address moves on before the load balancer behind it ends.
    {"component": "keepalived", "stops_after": ["etcd"], "footprint": {"virtual_address": True}},
    {
        "component": "haproxy",
        "stops_after": ["keepalived"],
        "footprint": {"files": ["/run/haproxy.pid", "/run/haproxy-master.sock", LOAD_BALANCER_ENDED]},
    },
    {
        "component": "nginx",
        "stops_after": ["keepalived"],
        "footprint": {"files": ["/run/nginx.pid", LOAD_BALANCER_ENDED]},
    },
)
