# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot becomes the data directory of a member of a new cluster.

Source: https://etcd.io/docs/v3.6/op-guide/recovery/
"""

from __future__ import annotations

import dataclasses
import grp
import json
import os
import pwd
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.data_directory import (
    MEMBER,
    WAL_SPACE,
    check_space,
    in_use,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.snapshot import Commands, Snapshot, verify

RECORD = "hardway-restored.json"


@dataclasses.dataclass(frozen=True)
class RestoreSpec:
    """What a snapshot becomes: the data of member *name* of a new cluster."""

    snapshot: str
    data_dir: str
    name: str
    initial_cluster: str
    initial_cluster_token: str
    peer_urls: tuple[str, ...]
    bump_revision: int = 0
    hash_check: bool = True
    sha256: str | None = None
    force: bool = False
    owner: str | None = None
    group: str | None = None

    def record(self, snapshot: Snapshot) -> dict[str, t.Any]:
        """The record in a restored data directory; two that are equal were restored from the same."""
        return {
            "sha256": snapshot.sha256,
            "name": self.name,
            "initial_cluster": sorted(self.initial_cluster.split(",")),
            "initial_cluster_token": self.initial_cluster_token,
            "peer_urls": sorted(self.peer_urls),
            "bump_revision": self.bump_revision,
        }


@dataclasses.dataclass(frozen=True)
class Restored:
    snapshot: Snapshot
    changed: bool
    reason: str
    old_data: str = ""


def restore(commands: Commands, spec: RestoreSpec, check_mode: bool = False) -> Restored:
    """Make the data directory. It appears whole or not at all, and what was there before is kept next to it. Raises EtcdError."""
    snapshot = _check(commands, spec)
    member = os.path.join(spec.data_dir, MEMBER)
    before = _before(member, spec, snapshot)
    if before == "same":
        return Restored(snapshot, False, "it was restored from this snapshot before")
    old_data = f"{member}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}" if before else ""
    reason = "forced: the data before are kept" if before else "the data directory had no data"
    if check_mode:
        return Restored(snapshot, True, reason, old_data)
    identity = _identity(spec)
    files.make_directory(spec.data_dir)
    with files.lock(spec.data_dir), files.temporary_directory(member) as staging:
        staged = _stage(commands, spec, snapshot, os.path.join(staging, "data"))
        _own(spec.data_dir, staged, identity)
        os.sync()
        if old_data:
            files.move(member, old_data)
        files.move(staged, member, sync=True)
    return Restored(snapshot, True, reason, old_data)


def _check(commands: Commands, spec: RestoreSpec) -> Snapshot:
    mine = sorted(
        pair.partition("=")[2] for pair in spec.initial_cluster.split(",") if pair.partition("=")[0] == spec.name
    )
    if mine != sorted(spec.peer_urls):
        raise EtcdError(
            f"initial_cluster has {spec.name} at {','.join(mine) or 'no place'}, and peer_urls say {','.join(spec.peer_urls)}: etcd would not start. "
            f"Fix: give all members the same initial_cluster, with each at its own peer URLs"
        )
    if spec.bump_revision < 0:
        raise EtcdError(
            f"bump_revision: {spec.bump_revision} is less than 0, and revisions never decrease. Fix: give 0 or more"
        )
    snapshot = verify(commands, spec.snapshot, spec.sha256, spec.hash_check)
    if os.path.lexists(spec.data_dir) and not os.path.isdir(spec.data_dir):
        raise EtcdError(f"{spec.data_dir} is no directory. Fix: move it away")
    there = spec.data_dir
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    check_space(there, snapshot.size + WAL_SPACE, spec.data_dir)
    return snapshot


def _before(member: str, spec: RestoreSpec, snapshot: Snapshot) -> str:
    """What is there: "" nothing, "same" data that were restored from the same, "data" others that may be replaced."""
    if not os.path.lexists(member):
        return ""
    try:
        with open(os.path.join(member, RECORD), encoding="utf-8") as file:
            if json.load(file) == spec.record(snapshot):
                return "same"
    except (OSError, ValueError):
        pass
    if not spec.force:
        raise EtcdError(
            f"{spec.data_dir} has data of a member already, and nothing was changed. Fix: to replace them, stop etcd here and set force: true"
        )
    if in_use(os.path.join(member, "snap", "db")):
        raise EtcdError(
            f"an etcd runs on {spec.data_dir}, and nothing was changed. Fix: stop it, on all hosts of the cluster, before any of them is restored"
        )
    return "data"


def _stage(commands: Commands, spec: RestoreSpec, snapshot: Snapshot, staged: str) -> str:
    words = [
        "snapshot", "restore", spec.snapshot, f"--data-dir={staged}", f"--name={spec.name}", f"--initial-cluster={spec.initial_cluster}",
        f"--initial-cluster-token={spec.initial_cluster_token}", f"--initial-advertise-peer-urls={','.join(spec.peer_urls)}",
    ]  # fmt: skip
    if spec.bump_revision:
        # etcd allows the one only with the other (https://github.com/etcd-io/etcd/pull/16029).
        words += [f"--bump-revision={spec.bump_revision}", "--mark-compacted"]
    if not spec.hash_check:
        words.append("--skip-hash-check")
    commands.etcdutl(words, snapshot.size)
    member = os.path.join(staged, MEMBER)
    files.write(os.path.join(member, RECORD), json.dumps(spec.record(snapshot), indent=1).encode(), files.SECRET)
    return member


def _identity(spec: RestoreSpec) -> tuple[int, int]:
    """Numbers of owner and group; -1 leaves either as it is."""
    try:
        uid = pwd.getpwnam(spec.owner).pw_uid if spec.owner else -1
        gid = grp.getgrnam(spec.group).gr_gid if spec.group else -1
    except KeyError as error:
        raise EtcdError(
            f"{error.args[0]}: there is no such user or group on this host. Fix: install etcd first, which creates them"
        ) from error
    return uid, gid


def _own(data_dir: str, staged: str, identity: tuple[int, int]) -> None:
    if identity == (-1, -1):
        return
    os.chown(data_dir, *identity)
    for place, directories, names in os.walk(staged):
        os.chown(place, *identity)
        for name in [*directories, *names]:
            os.chown(os.path.join(place, name), *identity, follow_symlinks=False)
