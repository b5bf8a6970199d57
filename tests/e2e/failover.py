# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A load balancer or a master dies, or changes its program."""

from __future__ import annotations

import time

from harness import cluster, forging, sandbox
from harness.checks import require
from harness.pods import Pods
from harness.registry import drill
from harness.steps import (
    MAX_GAP,
    assert_clients_served,
    assert_nothing_to_do,
    converge,
    fail_service,
    run_watched,
    succeeding,
    watch_api,
)


@drill("failover-haproxy", "The holder of the virtual address loses haproxy.")
def failover_haproxy() -> str:
    return fail_service("haproxy")


@drill(
    "nginx",
    "A live cluster changes from haproxy to nginx, whose holder dies, and back: one load balancer after the other.",
)
def nginx() -> str:
    settings = ("-e", "cluster_lb=nginx")
    changed, runs = run_watched(("to nginx", succeeding("site", *settings)))
    assert_nothing_to_do(*settings)
    for machine in sandbox.BALANCERS:
        left = sandbox.ssh(machine, "systemctl is-active nginx haproxy; ls /etc/haproxy/haproxy.cfg 2>&1", check=False)
        require(left.startswith("active\ninactive\n") and "No such file" in left, f"{machine}: {left}")
    failed = fail_service("nginx", *settings)
    changed_back, runs_back = run_watched(("back to haproxy", converge))
    assert_nothing_to_do()
    return (
        f"to nginx {runs[0].seconds:.0f} s: {changed}; its holder dies: {failed}; "
        f"back {runs_back[0].seconds:.0f} s: {changed_back}"
    )


@drill("failover-power", "The holder of the virtual address loses power.")
def failover_power() -> str:
    first = cluster.address_holder()
    with watch_api() as watch:
        time.sleep(3)
        watch.mark(f"{first} loses power")
        sandbox.control("power-off", first)
        time.sleep(8)
    sandbox.control("power-on", first)
    figures = assert_clients_served(watch.report(), MAX_GAP)
    cluster.wait_for(
        lambda: sandbox.ssh(first, "systemctl is-active haproxy keepalived") == "active\nactive\n",
        60,
        f"{first} runs haproxy and keepalived again",
    )
    assert_nothing_to_do()
    return figures


@drill("master-power", "The master with etcd's leader loses power: nothing acknowledged is lost.")
def master_power() -> str:
    leader = cluster.etcd_leader()
    with watch_api() as watch:
        time.sleep(3)
        watch.mark(f"{leader} loses power")
        sandbox.control("power-off", leader)
        time.sleep(12)
        watch.mark(f"{leader} has power again")
        sandbox.control("power-on", leader)
        time.sleep(12)
    figures = assert_clients_served(watch.report(), MAX_GAP)
    cluster.wait_for(cluster.nodes_ready, 120, "all nodes Ready")
    assert_nothing_to_do()
    return figures


@drill(
    "vrrp-forged",
    "A pod with NET_RAW, and a node, say for 10 s that they have the virtual address: no client notices, and it stays.",
)
def vrrp_forged() -> str:
    first = cluster.address_holder()
    since = {machine: sandbox.ssh(machine, "date +%s").strip() for machine in sandbox.BALANCERS}
    with Pods(), watch_api() as watch:
        before = {machine: dropped_advertisements(machine) for machine in sandbox.BALANCERS}
        pod = cluster.objects("pods", "--namespace=hardway-drill", "--selector=app=web")[0]
        machine, address = pod["spec"]["nodeName"], pod["status"]["podIP"]
        time.sleep(2)
        watch.mark(f"forged advertisements from a pod on {machine}, and from {machine}")
        sent = [line.split() for line in sandbox.ssh(machine, forging.script(address, machine)).splitlines()]
        time.sleep(2)
    dropped = {machine: dropped_advertisements(machine) - before[machine] for machine in sandbox.BALANCERS}
    figures = assert_clients_served(watch.report())
    require(cluster.address_holder() == first, f"{first} lost the virtual address")
    for machine in sandbox.BALANCERS:
        moved = sandbox.ssh(machine, f"journalctl --unit=keepalived --since=@{since[machine]} | grep Entering || true")
        require(not moved.strip(), f"{machine}: the address moved: {moved}")
        # Those from the node itself arrive in any case: without them nothing was shown.
        require(dropped[machine] > 50, f"{machine} dropped {dropped[machine]} forged advertisements")
    counts = ", ".join(f"{count} dropped on {machine}" for machine, count in dropped.items())
    return f"{sum(int(number) for number, _refused in sent)} sent, {counts}: {figures}"


def dropped_advertisements(machine: str) -> int:
    """How many packets the rules of the virtual address have dropped on a load balancer."""
    return forging.dropped(sandbox.ssh(machine, "nft --json list table inet load_balancer_vrrp"))
