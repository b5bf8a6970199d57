# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live cluster: what check mode and the status page report, and how a changed setting is rolled out."""

from __future__ import annotations

import time

from harness import cluster, expectations, playbooks, sandbox
from harness.checks import Kind, require
from harness.registry import drill
from harness.steps import assert_clients_served, assert_nothing_to_do, converge, watch_api

ARGUMENT = ("-e", '{"cluster_apiserver_arguments": {"goaway-chance": 0.002}}')


@drill(
    "check-live",
    "--check --diff on the live cluster reports nothing; after a changed setting just that; nothing is done; the status page reads all hosts.",
)
def check_live() -> str:
    quiet = converge("--check", "--diff").require_unchanged("in check mode on an unchanged cluster")
    before = cluster.processes(sandbox.MACHINES)
    planned = converge("--check", "--diff", *ARGUMENT)
    changed = {host: count["changed"] for host, count in planned.counts.items() if count["changed"]}
    require(
        changed == dict.fromkeys(sandbox.MASTERS, 1),
        f"the plan is {changed}, not one change on each master",
        Kind.CHANGED,
    )
    planned.require_says(expectations.diff_adds("--goaway-chance=0.002"), "the diff does not show the argument")
    restarts = {
        host: expectations.restart_planned(host, "kube-apiserver").count(planned.output) for host in sandbox.MACHINES
    }
    expected = {host: int(host in sandbox.MASTERS) for host in sandbox.MACHINES}
    require(restarts == expected, f"the plan names the restarts {restarts}:\n{planned.end}", Kind.OUTPUT)
    # Once in the plan, and once in the diff of the host.
    named = expectations.RESTART_PLANNED.count(planned.output)
    require(named == 2 * len(sandbox.MASTERS), f"{named} restarts are named:\n{planned.end}", Kind.OUTPUT)
    status = playbooks.run("status").require_success()
    status.require_says(expectations.hosts_read(len(sandbox.MACHINES)), "the status page did not read all hosts")
    sandbox.compare_processes(before, cluster.processes(sandbox.MACHINES))
    return (
        f"no change {quiet.seconds:.0f} s; a changed argument: 1 file and 1 restart on each of {len(sandbox.MASTERS)} masters, nothing done; "
        f"status {status.seconds:.0f} s, nothing critical"
    )


@drill("rolling-change", "A changed API server argument: one master at a time, no failed request.")
def rolling_change() -> str:
    before = cluster.processes(sandbox.MACHINES)
    with watch_api() as watch:
        time.sleep(2)
        run = converge(*ARGUMENT)
        back = converge()
        time.sleep(2)
    for machine, names in sandbox.ended(before, cluster.processes(sandbox.MACHINES)).items():
        others = {name.split("/")[0] for name in names} - ({"kube-apiserver"} if machine in sandbox.MASTERS else set())
        require(not others, f"{machine}: restarted besides: {others}", Kind.RESTARTED)
    figures = assert_clients_served(watch.report())
    assert_nothing_to_do()
    return f"changed {run.seconds:.0f} s and changed back {back.seconds:.0f} s: {figures}"
