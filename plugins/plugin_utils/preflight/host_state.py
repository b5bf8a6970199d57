# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what is on the hosts already: ports, versions, another cluster, other software."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import address_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import PortUse
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.ports import port_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.site import Host, Site

# Of a process's name the kernel keeps that many characters (proc(5), /proc/PID/comm).
COMM_LENGTH = 15
WILDCARDS = ("0.0.0.0", "::", "*")
NETWORK_STAYS = "The network of a running cluster cannot be changed, since existing pods could not reach new ones."
NETWORK_SETTINGS = {"cni": "cluster_cni", "method": "cluster_{cni}_method", "datastore": "cluster_{cni}_datastore"}


def check_taken_ports(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        seen = set()
        for use in site.ports:
            port = port_of(use.port)
            if not port or use.group not in host.groups:
                continue
            for socket in host.facts["listeners"]:
                if (
                    socket["port"] == port
                    and disturbs(socket, host)
                    and not owned(socket, use, site.ports)
                    and (port, socket["pid"]) not in seen
                ):
                    seen.add((port, socket["pid"]))
                    owner = process_name(socket)
                    yield Problem(
                        Kind.PORT_TAKEN,
                        host.place,
                        f"{owner} listens on port {port}, which {use.component} needs.",
                        f"Stop {socket['unit'] or 'the process'}{f', or set {use.setting} to another port' if use.setting else ''}.",
                    )


def process_name(socket: dict[str, t.Any]) -> str:
    name = socket["process"] or "An unknown process"
    return f"{name} (pid {socket['pid']})" if socket["pid"] else str(name)


def disturbs(socket: dict[str, t.Any], host: Host) -> bool:
    """Whether a listening socket is where our component would listen: everywhere, on the host's address, or on the loopback."""
    address = address_of(socket["address"])
    return (
        socket["address"] in WILDCARDS or address is None or address.is_loopback or address == address_of(host.address)
    )


def owned(socket: dict[str, t.Any], use: PortUse, ports: list[PortUse]) -> bool:
    """Whether it is our own component that listens: its unit, or (with kubeadm) its process in a pod."""
    if socket["unit"] == "kubepods":
        return socket["process"] in {other.component[:COMM_LENGTH] for other in ports}
    return socket["unit"] in {f"{unit}.service" for unit in use.units}


def check_versions_in_use(site: Site) -> Iterator[Problem]:
    settings = {
        "kube-apiserver": "cluster_kubernetes_version",
        "kubelet": "cluster_kubernetes_version",
        "etcd": "cluster_etcd_version",
    }
    for host in site.readable:
        for component, version in (host.facts.get("installed") or {}).items():
            setting = settings.get(component, "")
            wanted = site.setting(setting)
            if wanted and version != wanted:
                yield Problem(
                    Kind.OTHER_VERSION,
                    host.place,
                    f"{component} {version} is installed, and {setting} is {wanted}.",
                    "Upgrade the cluster, which keeps the supported order and drains nodes: "
                    "ansible-playbook hardway.kubernetes.upgrade. Or correct the setting.",
                )


def check_installer(site: Site) -> Iterator[Problem]:
    """Two control planes on one host would use the same ports and files."""
    for host in site.readable:
        pods = "kube-apiserver" in (host.facts.get("static_pods") or [])
        unit = (host.facts["units"].get("kube-apiserver") or {}).get("file", "").startswith("/etc/")
        found = "kubeadm" if pods else "binaries" if unit else ""
        wanted = site.setting("cluster_installer")
        if found and wanted and found != wanted:
            yield Problem(
                Kind.OTHER_INSTALLER,
                host.place,
                f"Its control plane was installed with cluster_installer={found}, and the inventory says {wanted}.",
                f"Set cluster_installer: {found}, or reset the cluster first: ansible-playbook hardway.kubernetes.reset",
            )


def check_authorities(site: Site) -> Iterator[Problem]:
    """With certificates of CAs that nobody on a host trusts, its components could not connect to the others."""
    for host in site.readable:
        for path, found in (host.facts.get("authorities") or {}).items():
            if site.authorities.isdisjoint(found):
                directory = f"{site.setting('cluster_dir')}/pki"
                has = (
                    f"{directory} has other CAs"
                    if site.authorities
                    else f"{directory} has no CAs, so new ones would be created"
                )
                yield Problem(
                    Kind.OTHER_AUTHORITIES,
                    host.place,
                    f"It belongs to another cluster: {path} trusts CAs that this controller does not have ({has}).",
                    "Copy cluster_dir from the controller that created the cluster, or from a backup. "
                    "If that cluster no longer exists, reset the host: ansible-playbook hardway.kubernetes.reset",
                )
                break


def check_network(site: Site) -> Iterator[Problem]:
    """Pods keep the addresses of the network they were started with, and could not reach pods of another network."""
    for host in site.readable:
        found = host.facts.get("network") or {}
        if found.get("cni") == "foreign":
            if site.setting("cluster_cni") not in ("", "none"):
                yield Problem(
                    Kind.OTHER_CNI,
                    host.place,
                    f"Its cluster has a network of another origin (CNI plugin {found.get('plugin') or 'unknown'}), "
                    f"and cluster_cni is {site.setting('cluster_cni')}. "
                    f"{NETWORK_STAYS}",
                    "Set cluster_cni: none, which does not change that network, or reset the cluster first: ansible-playbook hardway.kubernetes.reset",
                )
            continue
        made = {
            name.format(cni=found.get("cni")): found[fact] for fact, name in NETWORK_SETTINGS.items() if found.get(fact)
        }
        other = [(name, value) for name, value in made.items() if site.setting(name) and site.setting(name) != value]
        # The other settings mean nothing for another network.
        for name, value in other[:1] if "cluster_cni" in dict(other) else other:
            yield Problem(
                Kind.OTHER_CNI,
                host.place,
                f"Its network was installed with {name}={value}, and the inventory says {site.setting(name)}. {NETWORK_STAYS}",
                f"Set {name}: {value}. For the other network, reset the cluster (ansible-playbook hardway.kubernetes.reset) and install it again.",
            )


def check_foreign_software(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        for name, version in sorted(host.facts["packages"].items()):
            if name in site.needs.foreign_packages and host.runs_pods:
                yield Problem(
                    Kind.FOREIGN_PACKAGE,
                    host.place,
                    f"The package {name} {version} is installed: {site.needs.foreign_packages[name]}.",
                    f"Remove it: apt-get purge {name} (or dnf remove {name}).",
                )
        for name, unit in sorted(host.facts["units"].items()):
            if unit["state"] != "active":
                continue
            if name in site.needs.firewalls:
                yield Problem(
                    Kind.FIREWALL_ACTIVE,
                    host.place,
                    f"The firewall {name} is active and may drop traffic of the cluster.",
                    "Allow the cluster's ports between the hosts and forwarding for the pod network (docs/preflight.md lists them), or stop it.",
                    WARNING,
                )
            elif name not in site.needs.packaged and unit["file"].startswith(("/lib/", "/usr/lib/")):
                yield Problem(
                    Kind.FOREIGN_COMPONENT,
                    host.place,
                    f"{name} runs from the unit of a package ({unit['file']}), not from the unit of this collection.",
                    f"Stop it and remove its package: systemctl disable --now {name}.",
                )


def check_kubelet_certificates(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        certificate = host.facts["kubelet_certificate"]
        if host.runs_pods and certificate["present"] and certificate["expired"]:
            yield Problem(
                Kind.KUBELET_CERTIFICATE_EXPIRED,
                host.place,
                f"kubelet's client certificate ({certificate['path']}) has expired or cannot be read. The host will join again.",
                "If the host was not off for long, find in kubelet's journal why the certificate was not renewed.",
                WARNING,
            )
