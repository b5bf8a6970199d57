# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that need what not every mirror has."""

from __future__ import annotations

import json
import typing as t

from harness import expectations, playbooks, sandbox
from harness.checks import Kind, require
from harness.registry import drill
from harness.steps import (
    assert_installed_twice,
    converge,
    fill_mirror,
    join_spare_node,
    reset_all,
    spare_machines,
)

#: The ways to install Calico; the first is the one of a short drill.
CALICO: dict[str, dict[str, t.Any]] = {
    "manifest": {},
    "etcd and IP in IP": {"cluster_calico_datastore": "etcd", "cni_calico_encapsulation": "ipip"},
    "operator": {"cluster_calico_method": "operator", "cni_calico_encapsulation": "vxlan-cross-subnet"},
}
TRACES = (
    "(iptables-save; ip -brief link; ip route; ipset list -name) 2>/dev/null | grep -i cali; "
    "ls -d /etc/cni /var/lib/calico 2>/dev/null"
)


@drill(
    "calico",
    "Calico, where the mirror has its images: an installation, again, calicoctl, a node more, another network refused, reset; in each way to install it.",
    spares=("node3",),
    on_request="needs Calico's images",
    own_inventory=True,
    long=True,
)
def calico(short: bool) -> str:
    mirrored = fill_mirror("-e", json.dumps({"mirror_components": ["calico"]}))
    refusal = expectations.CALICO_NOT_BUILT.found(mirrored.output)
    require(
        not refusal,
        f"the mirror lacks what Calico needs, and it cannot be built here: {refusal and refusal.group()}",
        Kind.PLAYBOOK_FAILED,
    )
    mirrored.require_success()
    ways = list(CALICO.items())[: 1 if short else None]
    figures = [install_calico(name, settings) for name, settings in ways]
    reset_all()
    converge()
    return "; ".join(figures)


def install_calico(name: str, settings: dict[str, t.Any]) -> str:
    chosen = ["-e", json.dumps({"cluster_cni": "calico", **settings})]
    reset_all()
    run, again, _count = assert_installed_twice(*chosen)
    listed = sandbox.ssh("master1", "/usr/local/bin/calicoctl get nodes").split()
    require(set(sandbox.NODES) <= set(listed), f"{name}: calicoctl knows {listed}")
    with spare_machines("node3"):
        added = join_spare_node(*chosen)
    # The inventory of the sandbox has another network.
    playbooks.run("preflight").require_refused(expectations.OTHER_CNI, f"{name}: another network is not refused")
    playbooks.run("reset", "-e", "reset_confirm=yes", *chosen).require_success()
    for machine in sandbox.NODES:
        left = sandbox.ssh(machine, TRACES, check=False)
        require(not left.strip(), f"{name}: a reset leaves on {machine}: {left}")
    return f"{name}: {run.seconds:.0f} s, again {again.seconds:.0f} s, a node {added:.0f} s"
