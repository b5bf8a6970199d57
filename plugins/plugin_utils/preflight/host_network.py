# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the hosts' addresses and networks, and of the cluster's address."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import (
    address_of,
    network_of,
    overlap,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import address_moves
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.site import Host, Site


def check_host_addresses(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        address = address_of(host.address)
        if address is not None and not host.holds(address):
            own = [
                entry["address"]
                for entry in host.facts["addresses"]
                if entry.get("scope") == "global" and not entry["interface"].startswith(site.needs.own_interfaces)
            ]
            yield Problem(
                Kind.ADDRESS_NOT_ON_HOST,
                host.place,
                f"It does not have the address {address}; it has {listed(own) or 'none'}.",
                "Set cluster_host_address of the host to one of these. ansible_host may differ.",
            )
        if not host.facts["default_interface"] and host.runs_pods:
            yield Problem(
                Kind.NO_DEFAULT_ROUTE,
                host.place,
                "It has no default route, so addresses of services cannot be reached from it.",
                "Add a default route. It may lead to an address that does not answer.",
                WARNING,
            )


def check_host_networks(site: Site) -> Iterator[Problem]:
    bridge = site.needs.runtime_bridges.get(site.setting("cluster_runtime"))
    for host in site.readable:
        for name in ("cluster_pod_network", "cluster_service_network"):
            network = network_of(site.setting(name))
            for entry in host.facts["addresses"]:
                if entry["interface"].startswith(site.needs.own_interfaces) or entry.get("scope") == "link":
                    continue
                if name == "cluster_pod_network" and entry["interface"] == bridge:
                    continue  # the runtime's own bridge may be in the node's part of the pod network
                if overlap(network, interface_network(entry)):
                    yield Problem(
                        Kind.HOST_NETWORK_OVERLAP,
                        host.place,
                        f"The network {interface_network(entry)} of its {entry['interface']} overlaps {name}, {network}.",
                        f"Set {name} to a network that does not overlap a network of any host.",
                    )


def interface_network(entry: dict[str, t.Any]) -> t.Any:
    try:
        return ipaddress.ip_interface(f"{entry['address']}/{entry['prefix']}").network
    except ValueError:
        return None


def check_virtual_address(site: Site) -> Iterator[Problem]:
    address = address_of(site.setting("cluster_endpoint_address"))
    if address is None or site.setting("cluster_lb") == "external":
        return
    place = f"virtual address {address}"
    balancers = [host for host in site.readable if "lb" in host.groups]
    if not address_moves(site.settings):
        yield from check_own_address(address, balancers)
        return
    for host in site.readable:
        if host.holds(address) and "lb" not in host.groups:
            yield Problem(
                Kind.VIRTUAL_ADDRESS_IN_USE,
                place,
                f"{host.name} has this address and is not a load balancer.",
                f"Remove the address from {host.name}, or set cluster_endpoint_address to a free one.",
            )
    for host in balancers:
        own = [interface_network(entry) for entry in host.facts["addresses"] if address_of(entry["address"]) != address]
        if not any(
            network is not None and network.version == address.version and address in network for network in own
        ):
            yield Problem(
                Kind.VIRTUAL_ADDRESS_OUTSIDE_SUBNET,
                place,
                f"It is not in a network of {host.name}.",
                f"Choose an address in the subnet of {host.name} ({host.address}), or route the address to the load balancers "
                "and add this kind to preflight_accept.",
            )
    yield from check_answer(site, address, place, balancers)


def check_own_address(address: t.Any, balancers: list[Host]) -> Iterator[Problem]:
    """The endpoint of a single load balancer whose address nothing moves is an address that it has."""
    for host in balancers:
        if not host.holds(address):
            yield Problem(
                Kind.ENDPOINT_NOT_ON_LOAD_BALANCER,
                f"endpoint {address}",
                f"{host.name} does not have this address, and cluster_keepalived is false, so nothing assigns it.",
                f"Set cluster_endpoint_address to an address of {host.name} ({host.address}), or set cluster_keepalived: true.",
            )


def check_answer(site: Site, address: t.Any, place: str, balancers: list[Host]) -> Iterator[Problem]:
    """Who answers at the virtual address. When all load balancers are in the run, nobody else may."""
    answer = site.probe.answer
    if any(host.holds(address) for host in site.readable):
        return
    everyone = {host.name for host in balancers} >= set(site.groups.get("lb") or [])
    port = site.setting("cluster_endpoint_port")
    what = {
        "foreign": f"the server at port {port} is not the API of this cluster (its certificate was issued by another CA)",
        "open": f"something answers at port {port}",
        "refused": f"something refuses connections to port {port}, so a host has the address",
    }.get(answer)
    if what and (answer == "foreign" or everyone):
        yield Problem(
            Kind.VIRTUAL_ADDRESS_IN_USE,
            place,
            f"No load balancer holds it, but {what}." if everyone else f"It is in use: {what}.",
            "Set cluster_endpoint_address to a free address, or remove this one from the host that has it.",
        )
