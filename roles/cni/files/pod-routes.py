#!/usr/bin/python3
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain routes: the pod network of every other node leads to that node's address.

    pod-routes /etc/kubernetes/pod-routes.json

The list of nodes comes from the API, with the identity of kube-proxy, which may read nodes: so a node that joins or leaves
changes no file on any other host. The pod network of this node goes into the configuration of the CNI plugin bridge.

A node writes its own Node object, so it is not believed: only parts of the cluster's pod network, of the length that nodes
get, become routes, each with one owner, and only to addresses that the settings allow.
"""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import json
import os
import stat
import subprocess
import sys
import time
import typing as t
from collections.abc import Iterable, Mapping, Sequence

CONFIGURATION = "/etc/cni/net.d/10-bridge.conflist"
# CIS Kubernetes Benchmark 1.1.9: the runtime reads it, and nobody else
MODE = 0o600
# Marks the routes of this program, so that those of a node that is gone can be told from others.
PROTOCOL = "77"
INTERVAL = 5


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the role cni writes beside this program.

    *node_networks* are the networks that nodes' addresses may be of; without any, every address is taken.
    """

    node: str
    kubectl: str
    kubeconfig: str
    cni_version: str
    mtu: int
    pod_networks: Sequence[str]
    node_mask: int
    node_networks: Sequence[str] = ()

    @classmethod
    def read(cls, path: str) -> Settings:
        with open(path, encoding="utf-8") as stream:
            return cls(**json.load(stream))


@dataclasses.dataclass(frozen=True)
class Node:
    name: str
    network: str
    address: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """*own* is the pod network of this node, empty while it has none; *routes* are address by network, and *refused* says why others are not."""

    own: str
    routes: Mapping[str, str]
    refused: Sequence[str]


def parse_nodes(text: str) -> list[Node]:
    """The nodes that have a pod network and an address."""
    found = []
    for item in json.loads(text)["items"]:
        addresses = item["status"].get("addresses", [])
        address = next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), "")
        network = item["spec"].get("podCIDR") or ""
        if network and address:
            found.append(Node(item["metadata"]["name"], network, address))
    return found


def within(network: str, parents: Iterable[str]) -> bool:
    """Whether a network, or an address, is part of one of the *parents*."""
    child = ipaddress.ip_network(network)
    return any(
        child.version == parent.version
        and int(parent.network_address) <= int(child.network_address)
        and int(child.broadcast_address) <= int(parent.broadcast_address)
        for parent in map(ipaddress.ip_network, parents)
    )


def network_problem(node: Node, settings: Settings) -> str:
    """Why the pod network of a node is not taken; empty where it is."""
    try:
        if str(ipaddress.ip_network(node.network)) != node.network:
            return "is not written as a network is"
        if not within(node.network, settings.pod_networks):
            return f"is not part of {', '.join(settings.pod_networks)}"
    except ValueError:
        return "is not a network"
    if ipaddress.ip_network(node.network).prefixlen != settings.node_mask:
        return f"is not a /{settings.node_mask}"
    return ""


def address_problem(node: Node, settings: Settings) -> str:
    """Why the address of a node is not taken; empty where it is."""
    try:
        if ipaddress.ip_address(node.address).version != ipaddress.ip_network(node.network).version:
            return "is not of the pod network's family"
        if settings.node_networks and not within(node.address, settings.node_networks):
            return f"is not part of {', '.join(settings.node_networks)}"
    except ValueError:
        return "is not an address"
    return ""


def plan(nodes: Sequence[Node], settings: Settings, present: Mapping[str, str]) -> Plan:
    """Routes for *nodes*, where those of *present* (address by network) are there already.

    Who has a route keeps it: a node that claims what is another's gets none. Of two that claim the same for the first time neither does.
    """
    refused = []
    valid = []
    for node in nodes:
        problem = network_problem(node, settings)
        if problem:
            refused.append(f"node {node.name}: its pod network {node.network} {problem}")
            continue
        problem = "" if node.name == settings.node else address_problem(node, settings)
        if problem:
            refused.append(f"node {node.name}: its address {node.address} {problem}")
            continue
        valid.append(node)
    for part in ("network", "address"):
        valid, lost = _owners(valid, part, settings.node, present)
        refused += lost
    own = next((node.network for node in valid if node.name == settings.node), "")
    return Plan(own, {node.network: node.address for node in valid if node.name != settings.node}, refused)


def _owners(nodes: Sequence[Node], part: str, me: str, present: Mapping[str, str]) -> tuple[list[Node], list[str]]:
    """The nodes that alone claim their network or address, or had it before; and why the others get no route."""
    claims = collections.defaultdict(list)
    for node in nodes:
        claims[getattr(node, part)].append(node)
    owners, refused = [], []
    for claimed, claimants in claims.items():
        first = claimants
        if len(claimants) > 1:
            first = [node for node in claimants if node.name == me] or [
                node for node in claimants if present.get(node.network) == node.address
            ]
        owner = first[0] if len(first) == 1 else None
        owners += [owner] if owner else []
        names = ", ".join(node.name for node in claimants)
        refused += [
            f"node {node.name}: {claimed} is claimed by {names}, and {owner.name if owner else 'nobody'} gets the route"
            for node in claimants
            if node is not owner
        ]
    return owners, refused


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def conflist(network: str, settings: Settings) -> str:
    """The configuration of the CNI plugins for this node's pod network."""
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    ipam = {"type": "host-local", "ranges": [[{"subnet": network}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins: list[dict[str, t.Any]] = [
        {**bridge, "mtu": settings.mtu, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": settings.cni_version, "name": "bridge", "plugins": plugins}, indent=1)


def write(path: str, text: str) -> None:
    """Write a file so that it is whole whenever the host dies."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.hardway-new")
    with open(temporary, "w", encoding="utf-8") as stream:
        os.chmod(temporary, MODE)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def configure(network: str, settings: Settings, path: str = CONFIGURATION) -> None:
    text = conflist(network, settings)
    try:
        with open(path, encoding="utf-8") as stream:
            if stream.read() == text and stat.S_IMODE(os.fstat(stream.fileno()).st_mode) == MODE:
                return
    except FileNotFoundError:
        pass
    write(path, text)


def masquerade(network: str, settings: Settings) -> None:
    """Pods reach the world under the node's address, and other pods under their own."""
    pods = next(parent for parent in settings.pod_networks if within(network, [parent]))
    rule = ["POSTROUTING", "--source", network, "!", "--destination", pods, "--jump", "MASQUERADE"]
    check = subprocess.run(["iptables", "--wait", "--table", "nat", "--check", *rule], capture_output=True, check=False)
    if check.returncode:
        run("iptables", "--wait", "--table", "nat", "--append", *rule)


def present_routes() -> dict[str, str]:
    listed = json.loads(run("ip", "-json", "route", "show", "proto", PROTOCOL))
    return {item["dst"]: item.get("gateway", "") for item in listed}


def route(wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
    for network, address in wanted.items():
        if present.get(network) != address:
            run("ip", "route", "replace", network, "via", address, "proto", PROTOCOL)
    for network in present.keys() - wanted.keys():
        run("ip", "route", "del", network, "proto", PROTOCOL)


def reconcile(settings: Settings) -> Sequence[str]:
    """Bring the host to what the API says; what was refused."""
    command = (settings.kubectl, f"--kubeconfig={settings.kubeconfig}", "get", "nodes", "--output=json")
    nodes = parse_nodes(run(*command, "--request-timeout=10s"))
    present = present_routes()
    found = plan(nodes, settings, present)
    if found.own:
        configure(found.own, settings)
        masquerade(found.own, settings)
    route(found.routes, present)
    return found.refused


def main(path: str) -> None:
    settings = Settings.read(path)
    reported: Sequence[str] = ()
    while True:
        try:
            refused = reconcile(settings)
            for line in [each for each in refused if each not in reported]:
                print(line, file=sys.stderr, flush=True)
            reported = refused
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            # The API may be away for a while; the routes that are there stay.
            print(getattr(error, "stderr", None) or error, file=sys.stderr, flush=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1])
