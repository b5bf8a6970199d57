# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are reset: what is left on them."""

from __future__ import annotations

import json

from harness import expectations, playbooks, sandbox
from harness.checks import require
from harness.registry import drill
from harness.steps import assert_nothing_to_do, converge, reset_all

CONFIRMED = ("-e", "reset_confirm=yes")


@drill(
    "reset",
    "hardway.kubernetes.reset of a node, which joins again, and of all: the machines are as fresh ones, but for the distribution's packages.",
)
def reset() -> str:
    reset_all()
    before = {machine: sandbox.footprint(machine) for machine in sandbox.MACHINES}
    converge()
    alone = playbooks.run("reset", "--limit", "node2", *CONFIRMED).require_success()
    assert_no_leftovers(before, ["node2"])
    playbooks.run("add_node", "--limit", "node2").require_success()
    assert_nothing_to_do()
    playbooks.run("reset").require_refused(expectations.NOT_CONFIRMED, "it did not ask for a confirmation")
    assert_nothing_to_do()
    everything = playbooks.run("reset", *CONFIRMED).require_success()
    assert_no_leftovers(before, sandbox.MACHINES)
    again = converge()
    assert_nothing_to_do()
    return f"a node {alone.seconds:.0f} s, all {everything.seconds:.0f} s, installed again {again.seconds:.0f} s"


def assert_no_leftovers(before: dict[str, set[str]], machines: list[str]) -> None:
    """The machines have nothing that they did not have when they were fresh."""
    left = {machine: sorted(sandbox.footprint(machine) - before[machine]) for machine in machines}
    require(not any(left.values()), f"left on hosts: {json.dumps(left, indent=1)}")
