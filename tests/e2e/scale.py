# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty nodes more: what a run costs on 37 machines."""

from __future__ import annotations

import dataclasses
import time

from harness import cluster, playbooks, sandbox
from harness.checks import require
from harness.playbooks import Run
from harness.registry import drill
from harness.steps import assert_nothing_to_do, converge, reset_all

#: The inventory laid over the cluster's, and its group.
OVERLAYS = (sandbox.SCALE,)
GROUP = "sandbox_scale"


@dataclasses.dataclass(frozen=True)
class Figures:
    """The runs of the scenario, in their order."""

    #: All machines boot: the seconds.
    boot: float
    #: site.yml on the seven.
    full: Run
    #: add-node.yml for the thirty.
    join: Run
    #: site.yml on all, and again in check mode.
    quiet: Run
    check: Run

    def __str__(self) -> str:
        return (
            f"{len(sandbox.SCALE_NODES)} machines boot in {self.boot:.0f} s; seven machines {self.full.seconds:.0f} s; "
            f"{len(sandbox.SCALE_NODES)} nodes join {self.join.seconds:.0f} s; no-op {self.quiet.seconds:.0f} s wall, "
            f"{self.quiet.processor_seconds:.0f} s of processor time; check mode {self.check.seconds:.0f} s"
        )


def boot() -> float:
    """The thirty machines are up and fresh; the seconds that it took."""
    # Those of a run that failed are not fresh.
    sandbox.control("down", *sandbox.SCALE_NODES)
    began = time.monotonic()
    sandbox.control("up", *sandbox.SCALE_NODES)
    return time.monotonic() - began


def join() -> Run:
    """All thirty nodes, by one run; no task runs on another host."""
    run = playbooks.run("add_node", "--limit", GROUP, overlays=OVERLAYS).require_success()
    run.require_hosts(*sandbox.SCALE_NODES)
    count = len(sandbox.NODES) + len(sandbox.SCALE_NODES)
    require(cluster.nodes_ready(count), f"not all {count} nodes are Ready")
    return run


def remove() -> None:
    """The cluster forgets the thirty nodes, and their machines are gone."""
    cluster.kubectl("delete", "node", "--ignore-not-found", *sandbox.SCALE_NODES)
    sandbox.control("down", *sandbox.SCALE_NODES)


@drill(
    "scale",
    "Thirty nodes more join by one run of add-node.yml; then a run on 37 machines has nothing to do, in check mode, too. With times.",
    on_request="boots 37 machines: 16 GiB of memory and 60 GiB of disk more",
    own_inventory=True,
    long=True,
)
def scale() -> str:
    seconds = boot()
    reset_all()
    full = converge()
    joined = join()
    quiet = assert_nothing_to_do(overlays=OVERLAYS)
    check = assert_nothing_to_do("--check", overlays=OVERLAYS)
    remove()
    assert_nothing_to_do()
    return str(Figures(seconds, full, joined, quiet, check))
