# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance of etcd: a fragmented database is defragmented."""

from __future__ import annotations

import json
import time

from harness import cluster, expectations, playbooks, sandbox
from harness.checks import Kind, require
from harness.registry import drill
from harness.steps import assert_clients_served, assert_nothing_to_do, watch_api

#: Seconds of a step, by which the time until systemd starts it is reckoned (etcd_maintenance_away).
STEP = 30
SIZE = ("-e", "etcd_maintenance_minimum_size=4194304")


@drill(
    "etcd-maintenance",
    "hardway.kubernetes.etcd_maintenance: a fragmented database, with no failed request; again with changed=0; killed while an API server is stopped.",
)
def etcd_maintenance() -> str:
    fragment()
    before = database_sizes()
    planned = playbooks.run("etcd_maintenance", "--check", "--diff", *SIZE).require_success()
    count = expectations.DEFRAGMENTATION_PLANNED.count(planned.output)
    require(count == len(sandbox.MASTERS), f"the plan names {count} defragmentations:\n{planned.end}", Kind.OUTPUT)
    with watch_api() as watch:
        time.sleep(2)
        run = playbooks.run("etcd_maintenance", *SIZE).require_success()
        time.sleep(2)
    figures = assert_clients_served(watch.report())
    # Under load the leadership moves now and then: whoever led had to wait as long as there were others to do.
    order = expectations.NEXT_MEMBER.all(run.output)
    require(sorted(member for member, _leader in order) == sandbox.MASTERS, f"the order was {order}", Kind.OUTPUT)
    require(all(member != leader for member, leader in order[:-1]), f"a leader was not the last one: {order}")
    after = database_sizes()
    require(
        all(after[machine] < before[machine] / 2 for machine in sandbox.MASTERS),
        f"sizes before {before}, after {after}",
    )
    playbooks.run("etcd_maintenance", *SIZE).require_success().require_unchanged()
    away = killed_while_an_api_server_is_stopped()
    playbooks.run("etcd_maintenance", *SIZE).require_success()
    assert_nothing_to_do()
    return (
        f"{run.seconds:.0f} s, {max(before.values()) / 2**20:.0f} to {max(after.values()) / 2**20:.0f} MiB: {figures}; "
        f"killed: back by itself after {away:.0f} s"
    )


def killed_while_an_api_server_is_stopped() -> float:
    """No further run: systemd starts it again. The seconds that it took."""
    fragment()
    killed = playbooks.run_killed(
        lambda: len(api_servers()) < len(sandbox.MASTERS),
        "etcd_maintenance",
        *SIZE,
        "-e",
        f"etcd_maintenance_timeout={STEP}",
    )
    require(killed, "the playbook was over before an API server stopped")
    return cluster.wait_for(
        lambda: len(api_servers()) == len(sandbox.MASTERS), 2 * STEP + 180 + 60, "an API server stays stopped"
    )


def api_servers() -> list[str]:
    """The masters on which it runs."""
    state = "systemctl is-active kube-apiserver || true"
    return [machine for machine in sandbox.MASTERS if sandbox.ssh(machine, state).strip() == "active"]


def fragment() -> None:
    """Write and delete 27 MB, and compact."""
    names = [f"hardway-{number}" for number in range(30)]
    for name in names:
        metadata = {"name": name, "namespace": "default"}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "x" * 900_000}}
        cluster.kubectl("create", "--filename=-", text=json.dumps(document))
    cluster.kubectl("delete", "configmap", "--namespace=default", *names)
    revision = cluster.etcdctl("master1", "endpoint", "status")[0]["Status"]["header"]["revision"]
    sandbox.ssh("master1", f". /etc/profile.d/etcdctl.sh; etcdctl compact {revision}")


def database_sizes() -> dict[str, int]:
    path = "/var/lib/etcd/member/snap/db"
    return {machine: int(sandbox.ssh(machine, f"stat -c %s {path}")) for machine in sandbox.MASTERS}
