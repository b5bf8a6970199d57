# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on other machines from its archive, and etcd alone after a lost quorum."""

from __future__ import annotations

import json
import pathlib
import tempfile

from harness import cluster, expectations, playbooks, sandbox
from harness.archives import (
    MOST_RESTORE_SECONDS,
    copy_aside,
    delete_secrets,
    make_archive,
    of_archive,
    remove_kept_data,
    require_secrets,
    restore,
    restore_etcd,
    write_secret,
)
from harness.checks import Kind, require
from harness.playbooks import Run
from harness.registry import drill
from harness.steps import assert_nothing_to_do, converge, reset_all, say
from pyrage import x25519


@drill(
    "restore-fresh",
    "An encrypted archive becomes the whole cluster on fresh machines, within five minutes; then on machines with other addresses.",
)
def restore_fresh(short: bool) -> str:
    assert_nothing_to_do()
    identity = x25519.Identity.generate()
    with tempfile.TemporaryDirectory() as directory:
        key = pathlib.Path(directory) / "key.txt"
        key.write_text(f"{identity}\n", encoding="ascii")
        write_secret("hardway-kept")
        _made, made_archive = make_archive("-e", json.dumps({"backup_recipients": [str(identity.to_public())]}))
        archive = copy_aside(made_archive, directory)
        run = restore_on_fresh_machines(archive, key)
        figures = f"fresh machines {run.seconds:.0f} s"
        if short:
            delete_secrets()
        else:
            elsewhere = restore_on_other_addresses(archive, key, pathlib.Path(directory))
            figures += f", other addresses {elsewhere.seconds:.0f} s"
            reset_all()
            converge()
    remove_kept_data()
    assert_nothing_to_do()
    return figures


def restore_on_fresh_machines(archive: pathlib.Path, key: pathlib.Path) -> Run:
    with_key = ("-e", f"restore_identity={key}")
    authority = (cluster.DIRECTORY / "pki" / "ca.pem").read_bytes()
    reset_all()
    restore(archive).require_refused(
        expectations.ARCHIVE_ENCRYPTED, "an encrypted archive was not refused without its key"
    )
    playbooks.run("restore", *of_archive(archive), *with_key, "--check", "--diff").require_success()
    require(not cluster.DIRECTORY.exists(), f"check mode made {cluster.DIRECTORY}")
    run = restore(archive, *with_key).require_success()
    require(run.seconds <= MOST_RESTORE_SECONDS, f"it took {run.seconds:.0f} s", Kind.COST)
    require_secrets({"hardway-kept"})
    require((cluster.DIRECTORY / "pki" / "ca.pem").read_bytes() == authority, "another authority")
    cluster.wait_for(cluster.nodes_ready, 60, "all nodes Ready")
    assert_nothing_to_do()
    return run


def restore_on_other_addresses(archive: pathlib.Path, key: pathlib.Path, directory: pathlib.Path) -> Run:
    """The same names on each other's machines, so that every address that the archive has is another host's."""
    reset_all()
    overlay = directory / "moved.yml"
    moved = {"master1": "master3", "master3": "master1", "node1": "node2", "node2": "node1"}
    hosts = {name: {"ansible_host": sandbox.ADDRESSES[other]} for name, other in moved.items()}
    overlay.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    overlays = (str(overlay),)
    run = restore(archive, "-e", f"restore_identity={key}", overlays=overlays).require_success()
    require_secrets({"hardway-kept"})
    assert_nothing_to_do(overlays=overlays)
    return run


@drill(
    "restore-etcd",
    "etcd alone, after a lost quorum: from one survivor, from an archive where there is none, from the one whose data are not corrupted.",
    long=True,
)
def restore_etcd_members(short: bool) -> str:
    assert_nothing_to_do()
    _made, archive = make_archive()
    quiet = restore_etcd().require_success().require_unchanged("though there was quorum")
    quiet.require_says(expectations.NOTHING_TO_RESTORE, "the run does not say that there is nothing to restore")
    figures = [from_survivor()]
    if not short:
        figures += [from_archive(archive), from_undamaged()]
    delete_secrets()
    remove_kept_data()
    return ", ".join(figures)


def check_restored(case: str, run: Run, wanted: set[str], *arguments: str) -> str:
    """Restored, with these Secrets, and nothing left to do; *arguments* are those of the second run."""
    run.require_success()
    costliest = ", ".join(f"{seconds:.0f} s {name}" for name, seconds in run.costliest[:4])
    say(f"{case}: {run.seconds:.0f} s, of it {costliest}")
    require_secrets(wanted, case)
    restore_etcd(*arguments).require_success().require_unchanged(f"on the second run ({case})")
    cluster.wait_for(cluster.nodes_ready, 60, f"{case}: all nodes Ready")
    assert_nothing_to_do()
    return f"{case} {run.seconds:.0f} s"


def from_survivor() -> str:
    write_secret("hardway-survives")
    survivor = cluster.etcd_leader()
    for machine in sandbox.MASTERS:
        if machine != survivor:
            sandbox.ssh(machine, "systemctl kill --signal=KILL etcd; systemctl stop etcd; rm -rf /var/lib/etcd/member")
    return check_restored("survivor", restore_etcd(), {"hardway-survives"})


def from_archive(archive: pathlib.Path) -> str:
    for machine in sandbox.MASTERS:
        sandbox.ssh(machine, "systemctl stop etcd; rm -rf /var/lib/etcd/member")
    restore_etcd().require_refused(expectations.ARCHIVE_NEEDED, "without any data it does not ask for an archive")
    arguments = of_archive(archive)
    return check_restored("none", restore_etcd(*arguments), set(), *arguments)


def from_undamaged() -> str:
    write_secret("hardway-survives")
    damage = "dd if=/dev/urandom of=/var/lib/etcd/member/snap/db bs=64k count=8 conv=notrunc status=none"
    for machine in sandbox.MASTERS[1:]:
        sandbox.ssh(machine, f"systemctl stop etcd; {damage}")
    run = restore_etcd()
    run.require_says(expectations.DATA_DAMAGED, "the run does not name the damaged data")
    return check_restored("corrupted", run, {"hardway-survives"})
