# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces, routes and addresses."""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import os
import typing as t
from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope


def run_json(*argv: str) -> list[dict[str, t.Any]]:
    try:
        return [entry for entry in json.loads(commands.run(*argv)[1] or "[]") if entry]
    except ValueError:
        return []


def our_interfaces(links: list[dict[str, t.Any]], patterns: Sequence[str]) -> list[str]:
    """Names of ours among the answer of `ip -json link`: what is plugged into our bridge first."""
    ours = [
        link["ifname"] for link in links if any(fnmatch.fnmatchcase(link["ifname"], pattern) for pattern in patterns)
    ]
    plugged = [link["ifname"] for link in links if link.get("master") in ours and link["ifname"].startswith("veth")]
    return plugged + ours


class Interfaces:
    def __init__(self, scope: Scope) -> None:
        self.patterns = scope.all("interfaces")
        self.kube_proxy = os.path.join(scope.request.bin_dir, "kube-proxy")

    def find(self) -> list[Finding]:
        return [
            Finding(f"interface {name}", name)
            for name in our_interfaces(run_json("ip", "-json", "link"), self.patterns)
        ]

    def remove(self, findings: list[Finding]) -> None:
        if any(finding.target == "kube-ipvs0" for finding in findings) and os.path.exists(self.kube_proxy):
            # Virtual servers have no marks: only kube-proxy itself tells which are its own.
            commands.run(self.kube_proxy, "--cleanup")
        for finding in findings:
            commands.run("ip", "link", "delete", finding.target)


def our_routes(
    routes: list[dict[str, t.Any]],
    pod_networks: Sequence[str],
    interfaces: Sequence[str],
    protocols: Sequence[str] = (),
) -> list[str]:
    """Destinations of our routes among the answer of `ip -json route`; those through our interfaces go with these."""
    networks = [ipaddress.ip_network(network) for network in pod_networks]
    return [
        route["dst"]
        for route in routes
        if route.get("dev") not in interfaces
        and (
            route.get("protocol") in protocols
            or ((route.get("gateway") or route.get("type") == "blackhole") and is_within(route["dst"], networks))
        )
    ]


def is_within(destination: str, networks: Sequence[t.Any]) -> bool:
    try:
        network = ipaddress.ip_network(destination)
    except ValueError:  # default, unreachable ...
        return False
    return any(network.version == other.version and network.subnet_of(other) for other in networks)


class Routes:
    def __init__(self, scope: Scope) -> None:
        self.active = scope.any("routes")
        self.protocols = scope.all("route_protocols")
        self.networks = scope.request.pod_networks
        self.patterns = scope.all("interfaces")

    def find(self) -> list[Finding]:
        if not self.active:
            return []
        interfaces = our_interfaces(run_json("ip", "-json", "link"), self.patterns)
        return [
            Finding(f"route {destination}", (family, destination))
            for family in ("-4", "-6")
            for destination in our_routes(
                run_json("ip", "-json", family, "route"), self.networks, interfaces, self.protocols
            )
        ]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            family, destination = finding.target
            commands.run("ip", family, "route", "delete", destination)


class Tunnel:
    """The kernel's own interface of IP in IP, which cannot be deleted: Calico gave it an address of the pod network."""

    NAME, MODULE = "tunl0", "ipip"

    def __init__(self, scope: Scope) -> None:
        self.networks = (
            [ipaddress.ip_network(network) for network in scope.request.pod_networks]
            if self.NAME in scope.all("tunnels")
            else []
        )

    def find(self) -> list[Finding]:
        if not self.networks:
            return []
        held = [
            entry
            for link in run_json("ip", "-json", "addr")
            if link.get("ifname") == self.NAME
            for entry in link.get("addr_info", [])
        ]
        texts = [f"{entry['local']}/{entry['prefixlen']}" for entry in held if is_within(entry["local"], self.networks)]
        return [Finding(f"address {text} on {self.NAME}", text) for text in texts]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            commands.run("ip", "addr", "delete", finding.target, "dev", self.NAME)
        commands.run("ip", "link", "set", self.NAME, "down")
        # Where nobody else uses the module, the interface goes with it.
        commands.run("modprobe", "--remove", self.MODULE)


def virtual_address(links: list[dict[str, t.Any]], address: str) -> list[tuple[str, str]]:
    """(address with prefix length, interface) of the virtual address; not where it is the only address, for then it is the host's own."""
    found = []
    for link in links:
        held = [entry for entry in link.get("addr_info", []) if entry.get("scope") == "global"]
        found += [
            (f"{entry['local']}/{entry['prefixlen']}", link["ifname"])
            for entry in held
            if entry["local"] == address and len(held) > 1
        ]
    return found


class Addresses:
    """The virtual address, where keepalived had no time to give it back."""

    def __init__(self, scope: Scope) -> None:
        self.address = scope.request.endpoint_address if scope.any("virtual_address") else ""

    def find(self) -> list[Finding]:
        if not self.address:
            return []
        return [
            Finding(f"address {address} on {name}", (address, name))
            for address, name in virtual_address(run_json("ip", "-json", "addr"), self.address)
        ]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            address, interface = finding.target
            commands.run("ip", "addr", "delete", address, "dev", interface)
