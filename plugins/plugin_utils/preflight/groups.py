# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the groups and hosts of the inventory."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import address_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import CLUSTER_GROUPS, Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import ERROR, WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.text import is_domain, nearest

ETCD_MEMBERS = 7  # etcd's documents advise at most seven: each write goes to a majority


def check_groups(plan: Plan) -> Iterator[Problem]:
    wanted = [group for group in CLUSTER_GROUPS if group != "lb" or plan.setting("cluster_lb") != "external"]
    for group in wanted:
        if plan.members(group):
            continue
        others = [name for name in plan.groups if name not in (*CLUSTER_GROUPS, "all", "ungrouped")]
        similar = nearest(group, others, 0.6)
        fix = f"Rename the group {similar} to {group}." if similar else f"List the hosts under the group {group}."
        if group == "lb":
            fix += " If you run a load balancer of your own for the endpoint, set cluster_lb: external."
        what = "has no hosts" if group in plan.groups else "is missing"
        yield Problem(Kind.MISSING_GROUP, f"group {group}", f"The group {what}.", fix)
    if plan.setting("cluster_lb") == "external" and plan.members("lb"):
        yield Problem(
            Kind.UNUSED_GROUP,
            "group lb",
            "cluster_lb is external, so nothing is installed on the hosts of this group.",
            f"Empty the group, or set cluster_lb to {listed(own_balancers(plan), 'or') or 'another value'}.",
            WARNING,
        )


def own_balancers(plan: Plan) -> list[str]:
    """The load balancers that this collection installs."""
    return [choice for choice in plan.specs.get("cluster_lb", {}).get("choices") or [] if choice != "external"]


def check_etcd_members(plan: Plan) -> Iterator[Problem]:
    number = len(plan.members("etcd"))
    if number and number % 2 == 0:
        yield Problem(
            Kind.EVEN_ETCD_MEMBERS,
            "group etcd",
            f"{number} members ({listed(plan.members('etcd'))}) tolerate no more failures than {number - 1}, and there is one more host that can fail.",
            f"Use {number - 1} or {number + 1} members.",
            # Members come and go one at a time, so a cluster passes through even numbers.
            ERROR if set(plan.members("etcd")) <= set(plan.run) else WARNING,
        )
    if number > ETCD_MEMBERS:
        yield Problem(
            Kind.MANY_ETCD_MEMBERS,
            "group etcd",
            f"{number} members make every write wait for {number // 2 + 1} of them.",
            "Use 3 or 5 members (etcd's documentation advises at most 7).",
            WARNING,
        )


def check_load_balancers(plan: Plan) -> Iterator[Problem]:
    members = plan.members("lb")
    if len(members) > 1 and plan.setting("cluster_lb") != "external" and not plan.address_moves:
        yield Problem(
            Kind.SEVERAL_LOAD_BALANCERS,
            plan.place("cluster_keepalived"),
            f"{listed(members)} cannot share an address: cluster_keepalived is false, so nothing moves it between them.",
            "Keep one host in the group lb, or set cluster_keepalived: true and cluster_endpoint_address to a free address.",
        )
    if len(members) == 1 and plan.address_moves:
        yield Problem(
            Kind.SINGLE_LOAD_BALANCER,
            "group lb",
            f"{members[0]} alone holds the virtual address. When it fails, the API cannot be reached.",
            "Add a second host to the group. If you want a single load balancer, set cluster_keepalived: false and "
            "cluster_endpoint_address to its own address.",
            WARNING,
        )


def check_names(plan: Plan) -> Iterator[Problem]:
    for machine in plan.cluster_hosts():
        if not is_domain(machine.name):
            yield Problem(
                Kind.INVALID_HOST_NAME,
                f"host {machine.name}",
                "The name of a host is also the name of its node, and this is no DNS name in lower case (RFC 1123).",
                "Rename the host: letters a-z, digits and hyphens, dots between labels, no underscores, at most 63 characters per label.",
            )


def check_addresses(plan: Plan) -> Iterator[Problem]:
    seen: dict[t.Any, str] = {}
    for machine in plan.cluster_hosts():
        address = address_of(machine.address)
        place = f"host {machine.name}"
        if address is None:
            yield Problem(
                Kind.INVALID_ADDRESS,
                place,
                f"{machine.address!r} is not an IP address.",
                "Set cluster_host_address of the host to the IP address at which the other hosts reach it (default: ansible_host).",
            )
            continue
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            yield Problem(
                Kind.UNUSABLE_ADDRESS,
                place,
                f"Other hosts cannot reach it at {address}.",
                "Set cluster_host_address of the host to an address that the other hosts can reach.",
            )
        if address in seen:
            yield Problem(
                Kind.DUPLICATE_ADDRESS,
                place,
                f"It has the same address as {seen[address]}: {address}.",
                "Give each host its own address (ansible_host or cluster_host_address). A host with several roles is one host in several groups.",
            )
        seen.setdefault(address, machine.name)


def check_run(plan: Plan) -> Iterator[Problem]:
    known = {name for group in CLUSTER_GROUPS for name in plan.members(group)}
    for name in plan.run:
        if known and name not in known:
            yield Problem(
                Kind.HOST_OUTSIDE_CLUSTER,
                f"host {name}",
                f"It is in none of the groups {listed(CLUSTER_GROUPS)}.",
                "Add it to one of these groups, or exclude it with --limit.",
            )
        elif plan.run_group and name not in plan.members(plan.run_group):
            yield Problem(
                Kind.HOST_OUTSIDE_GROUP,
                f"host {name}",
                f"This playbook is for hosts of the group {plan.run_group}, and the host is not in it.",
                f"Add {name} to the group {plan.run_group}, or name another host with --limit.",
            )
