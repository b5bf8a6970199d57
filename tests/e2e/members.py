# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host joins, alone; what it costs, and what happens when the controller dies meanwhile."""

from __future__ import annotations

import statistics

from harness import cluster, playbooks, sandbox
from harness.checks import Kind, require
from harness.overlays import inventory_of, unreachable_nodes
from harness.registry import drill
from harness.steps import assert_nothing_to_do, spare_machines


@drill(
    "add-node-reset",
    "node2 is lost and reset to fresh: add-node.yml --limit node2 adds it again, no other host runs a task or restarts.",
)
def add_node_reset() -> str:
    others = [name for name in sandbox.MACHINES if name != "node2"]
    before = cluster.processes(others)
    sandbox.reset("node2")
    run = playbooks.run("add_node", "--limit", "node2").require_success().require_hosts("node2")
    sandbox.compare_processes(before, cluster.processes(others))
    again = playbooks.run("add_node", "--limit", "node2").require_success().require_unchanged()
    return f"{run.seconds:.0f} s, {run.tasks['node2']} tasks; again {again.seconds:.0f} s, changed=0"


@drill(
    "add-node-new",
    "node3 is new: it joins; with 500 more, unreachable nodes in the inventory it takes the same time.",
    spares=("node3",),
)
def add_node_new(short: bool) -> str:
    with spare_machines("node3"):
        before = cluster.processes(sandbox.MACHINES)
        run = playbooks.run("add_node", "--limit", "node3", overlays=(sandbox.SPARE,)).require_success()
        run.require_hosts("node3")
        sandbox.compare_processes(before, cluster.processes(sandbox.MACHINES))
        times: dict[bool, list[float]] = {False: [], True: []}
        with unreachable_nodes(500) as inventory:
            for _number in range(1 if short else 3):
                for many in (False, True):
                    cluster.kubectl("delete", "node", "node3")
                    sandbox.reset("node3")
                    overlays = (sandbox.SPARE, *([inventory] if many else []))
                    joined = playbooks.run("add_node", "--limit", "node3", overlays=overlays).require_success()
                    times[many].append(joined.seconds)
        few, many_nodes = (statistics.median(values) for values in (times[False], times[True]))
        figures = f"{run.seconds:.0f} s; median {few:.0f} s, with 500 more nodes {many_nodes:.0f} s"
        require(short or many_nodes <= 1.2 * few, f"500 more nodes cost more than 20 %: {figures}", Kind.COST)
        cluster.kubectl("delete", "node", "node3")
    return figures


@drill(
    "add-etcd-killed",
    "The controller dies while etcd4 runs as a learner: the same command promotes it. Then it is removed.",
    spares=("etcd4",),
)
def add_etcd_killed() -> str:
    with inventory_of("etcd4") as overlays, spare_machines("etcd4"):
        require(
            playbooks.run_killed(cluster.etcd_learners, "add_etcd", "--limit", "etcd4", overlays=overlays),
            "it never was a learner that runs",
        )
        require(cluster.etcd_learners() == ["etcd4"], "it was promoted before the run died")
        run = playbooks.run("add_etcd", "--limit", "etcd4", overlays=overlays).require_success()
        require(not cluster.etcd_learners(), "it still is a learner")
        playbooks.run("add_etcd", "--limit", "etcd4", overlays=overlays).require_success().require_unchanged()
        removed = playbooks.run("remove_etcd", "--limit", "etcd4", overlays=overlays).require_success()
    assert_nothing_to_do()
    return f"finished in {run.seconds:.0f} s, again changed=0, removed in {removed.seconds:.0f} s"
