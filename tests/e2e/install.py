# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first installation: in check mode, in full, and killed on the way."""

from __future__ import annotations

from harness import cluster, playbooks, sandbox
from harness.checks import require
from harness.cluster import random_moments
from harness.registry import drill
from harness.steps import (
    assert_installed_twice,
    assert_no_private_key,
    assert_nothing_to_do,
    converge,
    reset_all,
    say,
)

KILLS = 10


@drill("check-fresh", "--check --diff runs through on fresh machines and changes nothing on them.")
def check_fresh() -> str:
    reset_all()
    run = converge("--check", "--diff")
    for machine, paths in sandbox.installed_files(sandbox.MACHINES).items():
        ours = [path for path in paths if "hardway" in path or path.startswith(("/etc/kubernetes", "/etc/etcd"))]
        require(not ours, f"{machine}: check mode left {ours[:5]}")
    require(not cluster.DIRECTORY.exists(), f"check mode made {cluster.DIRECTORY}")
    assert_no_private_key(run)
    return f"{run.seconds:.0f} s, would change {run.changed}"


@drill("install", "A first installation, and at once again: changed=0, the very same processes.")
def install() -> str:
    reset_all()
    run, again, count = assert_installed_twice()
    return (
        f"{run.seconds:.0f} s, at most {max(run.tasks.values())} tasks a host; again {again.seconds:.0f} s, changed=0, "
        f"the same {count} processes"
    )


@drill(
    "kill", "The controller is killed in the middle of a first installation; the same command finishes it.", long=True
)
def kill(short: bool, seed: int) -> str:
    reset_all()
    undisturbed = converge()
    wanted = sandbox.installed_files(sandbox.MACHINES)
    moments = random_moments(KILLS, undisturbed.seconds, seed)
    if short:
        moments = moments[6:7]
    for moment in moments:
        reset_all()
        killed = playbooks.run_killed(moment, "site")
        run = converge()
        found = sandbox.installed_files(sandbox.MACHINES)
        for machine in sandbox.MACHINES:
            differs = sorted(set(wanted[machine]) ^ set(found[machine]))
            require(
                not differs, f"killed after {moment:.0f} s, {machine} differs from an undisturbed run: {differs[:6]}"
            )
        again = assert_nothing_to_do()
        when = "in the middle" if killed else "it had ended"
        say(f"killed after {moment:.0f} s ({when}): finished in {run.seconds:.0f} s, then changed={again.changed}")
    return f"{len(moments)} kills (seed {seed}) in {undisturbed.seconds:.0f} s, each finished by the same command, same files"
