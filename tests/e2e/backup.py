# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of a cluster, restored on the machines that they come from; snapshots that the members take by themselves."""

from __future__ import annotations

import json
import pathlib
import tempfile

from harness import cluster, expectations, playbooks, sandbox
from harness.archives import (
    MOST_RESTORE_SECONDS,
    damaged_copy,
    delete_secrets,
    make_archive,
    of_archive,
    remove_kept_data,
    require_secrets,
    restore,
    write_secret,
)
from harness.checks import Kind, require
from harness.playbooks import Run
from harness.pods import Pods
from harness.registry import drill
from harness.steps import assert_nothing_to_do

IN_ARCHIVE = {"hardway-kept", "hardway-deleted-later"}


@drill(
    "backup-restore",
    "hardway.kubernetes.backup, then restore on the same machines: later writes are named and gone, pods keep running; refused, killed, repeated.",
    long=True,
)
def backup_restore(short: bool, seed: int) -> str:
    assert_nothing_to_do()
    with Pods(), tempfile.TemporaryDirectory() as directory:
        for name in sorted(IN_ARCHIVE):
            write_secret(name)
        made, archive = make_archive()
        write_secret("hardway-late")
        cluster.kubectl("delete", "secret", "hardway-deleted-later", "--namespace=default")
        before = cluster.processes(sandbox.MACHINES)
        restore_refused(archive, directory)
        sandbox.compare_processes(before, cluster.processes(sandbox.MACHINES))
        run = restore_back(archive)
        kept, total = pods_kept(before)
        again = restore(archive).require_success().require_unchanged()
        assert_nothing_to_do()
        kills = restore_killed(archive, run.seconds, short, seed)
        delete_secrets()
    remove_kept_data()
    assert_nothing_to_do()
    return (
        f"backup {made.seconds:.0f} s, restore {run.seconds:.0f} s, again {again.seconds:.0f} s with changed=0, "
        f"{kept} of {total} pods kept running; {kills} kills, each finished by the same command"
    )


def restore_refused(archive: pathlib.Path, directory: str) -> None:
    """A damaged archive is refused, an unconfirmed restore, too; check mode names what would be lost."""
    restore(damaged_copy(archive, directory)).require_refused(
        expectations.ARCHIVE_DAMAGED, "a damaged archive was not refused"
    )
    unconfirmed = playbooks.run("restore", *of_archive(archive))
    unconfirmed.require_refused(expectations.NOT_CONFIRMED, "an unconfirmed restore was not refused")
    planned = playbooks.run("restore", *of_archive(archive), "--check", "--diff").require_success()
    lost = expectations.object_named("secrets", "hardway-late")
    planned.require_says(lost, "the plan does not name what would be lost")


def restore_back(archive: pathlib.Path) -> Run:
    """The cluster is as it was when the archive was made, in time, and the run names what that means."""
    run = restore(archive).require_success()
    for name in ("hardway-late", "hardway-deleted-later"):
        run.require_says(expectations.object_named("secrets", name), f"the run does not name {name}")
    require_secrets(IN_ARCHIVE)
    require(run.seconds <= MOST_RESTORE_SECONDS, f"it took {run.seconds:.0f} s", Kind.COST)
    cluster.wait_for(cluster.nodes_ready, 60, "all nodes Ready")
    for name in ("web", "client"):
        cluster.kubectl("--namespace=hardway-drill", "rollout", "status", f"deployment/{name}", "--timeout=90s")
    return run


def pods_kept(before: sandbox.Processes) -> tuple[int, int]:
    """How many of the pods of before still run, and how many there were."""
    now = cluster.processes(sandbox.MACHINES)
    shims = [
        (machine, name) for machine, names in before.items() for name in names if name.startswith("containerd-shim")
    ]
    return sum(name in now[machine] for machine, name in shims), len(shims)


def restore_killed(archive: pathlib.Path, seconds: float, short: bool, seed: int) -> int:
    """Restores are killed at random moments; the same command finishes each, and then changes nothing. How many."""
    write_secret("hardway-late")
    moments = cluster.random_moments(3, seconds, seed)[1:2] if short else cluster.random_moments(5, seconds, seed)
    for number, moment in enumerate(moments):
        forced = ("-e", f"restore_force_id=drill{seed}x{number}")
        playbooks.run_killed(moment, "restore", *of_archive(archive), "-e", "restore_confirm=yes", *forced)
        restore(archive, *forced).require_success()
        require_secrets(IN_ARCHIVE, f"killed after {moment:.0f} s, then finished")
        finished = restore(archive, *forced).require_success()
        finished.require_unchanged(f"after it was killed after {moment:.0f} s and finished")
    return len(moments)


@drill(
    "backup-timer",
    "backup_timer: the members take snapshots, verify and prune them by themselves; turned off, the timer is gone and the snapshots stay.",
)
def backup_timer() -> str:
    turned_on = ["-e", json.dumps({"backup_timer": True, "backup_timer_keep": 2})]
    playbooks.run("backup", *turned_on).require_success()
    sizes = []
    for machine in sandbox.MASTERS:
        active = sandbox.ssh(machine, "systemctl is-active etcd-backup.timer").strip()
        require(active == "active", f"{machine}: no timer")
        for _time in range(3):
            sandbox.ssh(machine, "systemctl start etcd-backup.service; sleep 1.1")
        left = sandbox.ssh(machine, 'find /var/backups/etcd -type f -printf "%m %u %s\n"').splitlines()
        require(len(left) == 2 and all(line.startswith("600 ") for line in left), f"{machine} has {left}")
        sizes += [int(line.split()[2]) for line in left]
    require(min(sizes) > 100_000, f"snapshots of {sizes} bytes")
    playbooks.run("backup", *turned_on, "-e", "backup_keep=1").require_success().require_changed(
        1, "for the archive alone"
    )
    playbooks.run("backup").require_success()
    for machine in sandbox.MASTERS:
        left_over = sandbox.ssh(
            machine,
            "systemctl is-active etcd-backup.timer; ls /etc/systemd/system/etcd-backup.* 2>&1; ls /var/backups/etcd",
            check=False,
        )
        require(
            "inactive" in left_over and "No such file" in left_over and ".db" in left_over,
            f"{machine} after it was turned off: {left_over}",
        )
        sandbox.ssh(machine, "rm -r /var/backups/etcd")
    assert_nothing_to_do()
    return f"3 members, snapshots of {min(sizes) / 2**20:.0f} MiB and more, 2 kept"
