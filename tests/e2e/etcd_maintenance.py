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

SIZE = ("-e", "etcd_maintenance_minimum_size=4194304")


@drill(
    "etcd-maintenance",
    "hardway.kubernetes.etcd_maintenance: a fragmented database, member by member, the leader last, with no failed request; again with changed=0.",
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
    assert_nothing_to_do()
    return (
        f"{run.seconds:.0f} s, {max(before.values()) / 2**20:.0f} to {max(after.values()) / 2**20:.0f} MiB: {figures}"
    )


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
