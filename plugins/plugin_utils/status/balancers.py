# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancers, and the holder of the virtual address.

Which program passes connections on, and which moves the address, are the cluster's (`balancer`, `address_program`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    NOTE,
    OK,
    WARNING,
    Cell,
    Section,
    few,
)

BACKEND = "kube-apiserver"


def balancers(status: Observation) -> Section | None:
    names = status.groups.get("lb", [])
    if not names:
        status.summarise("load balancer", "not of this collection")
        return None
    address_program = str(status.cluster.get("address_program") or "")
    section = Section(
        "Load balancers", ["host", "virtual address", "load balancer", address_program or "address by", "servers"]
    )
    if not status.of_group("lb"):
        section.lines.append("None is in this run (--limit).")
    present = [name for name in names if name in status.read]
    address = status.cluster.get("virtual_address", "")
    holders = [name for name in present if address in status.facts(name).get("interface_of", {})]
    for name in status.of_group("lb"):
        servers, level = _backends(status, name)
        section.add(
            name,
            Cell("holds it", OK) if name in holders else "" if name in present else "?",
            _program(status, name),
            status.version(name, address_program) or ("none" if status.read.get(name, {}).get("programs") else "?"),
            Cell(servers, level),
        )
    _holder(status, address, holders, present)
    return section


def _holder(status: Observation, address: str, holders: Sequence[str], present: Sequence[str]) -> None:
    all_read = len(present) == len(status.groups.get("lb", []))
    programs = [str(status.cluster[key]) for key in ("address_program", "balancer") if status.cluster.get(key)]
    if len(holders) > 1:
        status.report(
            CRITICAL,
            few(holders),
            f"more than one host holds the virtual address {address}",
            f"allow VRRP between them (IP protocol 112){f'; journalctl -u {programs[0]}' if programs else ''}",
        )
    elif not holders and all_read:
        status.report(
            CRITICAL,
            "virtual address",
            f"no host holds {address}",
            f"on the load balancers: systemctl status {' '.join(programs)}".rstrip(),
        )
    elif not holders and status.of_group("lb"):
        status.report(NOTE, "virtual address", f"none of the load balancers that were read holds {address}")
    text = f"{address} on {few(holders)}" if holders else f"{address}, holder unknown"
    status.summarise("virtual address", text, OK if len(holders) == 1 else CRITICAL if all_read else "")


def _program(status: Observation, name: str) -> str:
    """What passes connections on, with its version."""
    balancer = str(status.cluster.get("balancer") or "")
    return f"{balancer} {status.version(name, balancer) or '?'}" if status.program(name, balancer) else "?"


def _backends(status: Observation, name: str) -> tuple[str, str]:
    """The API servers as the load balancer sees them, and the worst level of them."""
    balancer = str(status.cluster.get("balancer") or "the load balancer")
    view = status.read.get(name, {}).get("backends", {})
    if "error" in view:
        return "?", status.report(WARNING, name, view["error"], f"on the host: systemctl status {balancer}")
    if "servers" not in view:
        return (f"{balancer} does not report them" if name in status.read else ""), ""
    servers = [server for server in view["servers"] if server["backend"] == BACKEND]
    down = [server for server in servers if not server["state"].startswith("UP")]
    for server in down:
        status.report(
            WARNING,
            name,
            f"{balancer} sends no connections to {server['name']}: {server['state']}, {server['check']}",
            "check that API server",
        )
    if servers and len(down) == len(servers):
        status.report(CRITICAL, name, f"{balancer} has no API server to send connections to", "check the masters")
    text = ", ".join(f"{server['name']} {server['state']}" for server in servers)
    return text, "" if not servers else CRITICAL if len(down) == len(servers) else WARNING if down else OK
