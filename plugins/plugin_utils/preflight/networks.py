# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the cluster's networks, endpoint and names."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import ERROR, WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.text import LABEL, is_domain

NODE_MASK = {4: 24, 6: 64}  # kube-controller-manager's defaults of --node-cidr-mask-size-ipv4 and -ipv6
SERVICE_BITS = 20  # kube-apiserver refuses a service network with more bits for hosts than this


def address_of(value: t.Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(value).strip())
    except ValueError:
        return None


def network_of(value: t.Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(value).strip()) if "/" in str(value) else None
    except ValueError:
        return None


def overlap(one: t.Any, other: t.Any) -> bool:
    return one is not None and other is not None and one.version == other.version and one.overlaps(other)


def contains(network: t.Any, address: t.Any) -> bool:
    return network is not None and address is not None and network.version == address.version and address in network


def check_networks(plan: Plan) -> Iterator[Problem]:
    networks = {}
    for name in ("cluster_pod_network", "cluster_service_network"):
        networks[name] = network_of(plan.setting(name))
        if networks[name] is None and name not in plan.unresolved:
            yield Problem(
                Kind.INVALID_NETWORK,
                plan.place(name),
                f"{plan.setting(name)!r} is not a network.",
                "Write the first address and the prefix length, for example 10.244.0.0/16.",
            )
    pod, service = networks["cluster_pod_network"], networks["cluster_service_network"]
    if overlap(pod, service):
        yield Problem(
            Kind.OVERLAPPING_NETWORKS,
            plan.place("cluster_service_network"),
            f"The service network {service} and the pod network {pod} overlap.",
            "Choose two networks without common addresses.",
        )
    for name, network in networks.items():
        inside = [machine.name for machine in plan.cluster_hosts() if contains(network, address_of(machine.address))]
        if inside:
            yield Problem(
                Kind.HOST_INSIDE_NETWORK,
                plan.place(name),
                f"The network {network} contains the addresses of {listed(inside)}.",
                "Choose a network that contains no host, and nothing that the hosts must reach.",
            )


def check_network_sizes(plan: Plan) -> Iterator[Problem]:
    pod = network_of(plan.setting("cluster_pod_network"))
    names = set(plan.members("kube_node"))
    nodes = len(names)
    if pod is not None:
        own = plan.setting(
            "cni_calico_block_size" if plan.setting("cluster_cni") == "calico" else "cluster_node_cidr_mask_size"
        )
        mask = int(own) if own.isdigit() and pod.version == 4 else NODE_MASK[pod.version]
        room = 2 ** (mask - pod.prefixlen) if pod.prefixlen <= mask else 0
        if room < nodes:
            yield Problem(
                Kind.SMALL_NETWORK,
                plan.place("cluster_pod_network"),
                f"{pod} has room for {room} nodes (a /{mask} for each), and there are {nodes}.",
                f"Use a network of at least /{mask - (nodes - 1).bit_length()}, or a larger one if you will add nodes.",
                ERROR if names <= set(plan.run) else WARNING,  # the nodes of this run may still fit
            )
    service = network_of(plan.setting("cluster_service_network"))
    if service is None:
        return
    bits = service.max_prefixlen - service.prefixlen
    if bits < 4:
        yield Problem(
            Kind.SMALL_NETWORK,
            plan.place("cluster_service_network"),
            f"{service} has room for {2**bits - 2 if bits > 1 else 0} services.",
            "Use a network of at least 16 addresses, for example 10.96.0.0/16.",
        )
    if bits > SERVICE_BITS:
        yield Problem(
            Kind.LARGE_NETWORK,
            plan.place("cluster_service_network"),
            f"kube-apiserver refuses a service network as large as {service}.",
            f"Use a network of /{service.max_prefixlen - SERVICE_BITS} or smaller.",
        )


def check_families(plan: Plan) -> Iterator[Problem]:
    pod, service = network_of(plan.setting("cluster_pod_network")), network_of(plan.setting("cluster_service_network"))
    if pod is None:
        return
    if service is not None and service.version != pod.version:
        yield Problem(
            Kind.ADDRESS_FAMILY,
            plan.place("cluster_service_network"),
            f"The service network is IPv{service.version}, the pod network IPv{pod.version}.",
            "Use one address family for both.",
        )
    others = [
        machine.name
        for machine in plan.cluster_hosts()
        if getattr(address_of(machine.address), "version", pod.version) != pod.version
    ]
    if others:
        yield Problem(
            Kind.ADDRESS_FAMILY,
            plan.place("cluster_pod_network"),
            f"The pod network is IPv{pod.version}, the addresses of {listed(others)} are not.",
            "Use the family of the hosts' addresses for the cluster's networks.",
        )


def check_endpoint(plan: Plan) -> Iterator[Problem]:
    name = "cluster_endpoint_address"
    if name in plan.unresolved:
        return
    text, place = plan.setting(name), plan.place(name)
    address = address_of(text)
    if not text:
        yield Problem(
            Kind.MISSING_ENDPOINT,
            place,
            "The address at which the API is reached is not set.",
            "Set cluster_endpoint_address to a free address in the subnet of the load balancers, or to the address of your own load balancer.",
        )
        return
    if address is None:
        yield Problem(
            Kind.INVALID_ENDPOINT,
            place,
            f"{text!r} is not an IP address.",
            "Set an IP address. A domain name can be set with cluster_endpoint_name.",
        )
        return
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
        yield Problem(
            Kind.INVALID_ENDPOINT,
            place,
            f"Hosts cannot reach the API at {address}.",
            "Set an address in the subnet of the load balancers.",
        )
    for network in ("cluster_pod_network", "cluster_service_network"):
        if contains(network_of(plan.setting(network)), address):
            yield Problem(
                Kind.ENDPOINT_INSIDE_NETWORK,
                place,
                f"{address} lies inside {network}, {plan.setting(network)}.",
                "Choose an address in the subnet of the load balancers, outside of both networks.",
            )
    holders = [machine.name for machine in plan.cluster_hosts() if address_of(machine.address) == address]
    if holders and plan.address_moves:
        yield Problem(
            Kind.ENDPOINT_IS_HOST,
            place,
            f"{address} is the address of {listed(holders)}, and the load balancers move the address between them.",
            "Choose a free address. If the address belongs to a single load balancer, set cluster_keepalived: false. "
            "If you run a load balancer of your own, set cluster_lb: external.",
        )
    elif plan.setting("cluster_lb") != "external" and holders and not set(holders) & set(plan.members("lb")):
        yield Problem(
            Kind.ENDPOINT_IS_HOST,
            place,
            f"{address} is the address of {listed(holders)}, but the load balancer is {listed(plan.members('lb'))}.",
            "Set cluster_endpoint_address to an address of the load balancer.",
        )


def check_names_of_cluster(plan: Plan) -> Iterator[Problem]:
    for name, example in (("cluster_dns_domain", "cluster.local"), ("cluster_endpoint_name", "api.example.org")):
        text = plan.setting(name)
        if (text or name == "cluster_dns_domain") and name not in plan.unresolved and not is_domain(text):
            yield Problem(
                Kind.INVALID_DOMAIN,
                plan.place(name),
                f"{text!r} is not a domain name.",
                f"Use lower case letters, digits, hyphens and dots, as in {example}.",
            )
    cluster = plan.setting("cluster_name")
    if cluster and not LABEL.match(cluster):
        yield Problem(
            Kind.INVALID_DOMAIN,
            plan.place("cluster_name"),
            f"{cluster!r} cannot be the name of a cluster, which is part of other names and of paths.",
            "Use lower case letters, digits and hyphens.",
        )


def check_dns(plan: Plan) -> Iterator[Problem]:
    name = "cluster_dns_address"
    text, service = plan.setting(name), network_of(plan.setting("cluster_service_network"))
    if not text or service is None:
        return
    address = address_of(text)
    fix = (
        "Remove the setting to use the tenth address of the service network, or choose another address of that network."
    )
    if not contains(service, address):
        yield Problem(
            Kind.DNS_OUTSIDE_SERVICE_NETWORK,
            plan.place(name),
            f"{text} is not an address of the service network {service}.",
            fix,
        )
    elif address in (service[0], service[1], service[-1]):
        yield Problem(
            Kind.DNS_ADDRESS_RESERVED,
            plan.place(name),
            f"{text} is reserved: the API server and the network itself use the first and the last addresses.",
            fix,
        )
