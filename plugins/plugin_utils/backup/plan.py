# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of etcd a snapshot may be taken of, and where an archive may go."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem

# What the module etcd_info returned on one host; where it failed, its msg.
State = Mapping[str, t.Any]


# The name by which backup_accept accepts it.
UNENCRYPTED = "unencrypted-archive"
KINDS = (UNENCRYPTED,)
CONTROLLER = "controller"
# File systems whose data lie on another machine (Linux, and the programs of libfuse).
ELSEWHERE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|ceph|glusterfs|lustre|afs|9p|davfs\d?|fuse\.(sshfs|s3fs|rclone|glusterfs|gcsfuse|davfs\d?|goofys|ceph)"
)


def problems(
    target: str, recipients: Sequence[str], accepted: Sequence[str], path: str = "", mounts: str = ""
) -> list[Problem]:
    """Why no archive may be made: it has every key of the cluster, and others than the controller's user would read it.

    *mounts* is the text of /proc/self/mounts, by which *path* may lie on another machine, too.
    """
    found = [
        Problem(
            "backup_accept",
            f"{kind!r} is no kind of problem that it knows.",
            f"Name {' or '.join(KINDS)}, or leave it out.",
        )
        for kind in accepted
        if kind not in KINDS
    ]
    place = f"backup_target is {target}" if target != CONTROLLER else _network(path, mounts)
    if place and not any(recipient.strip() for recipient in recipients) and UNENCRYPTED not in accepted:
        found.append(
            Problem(
                "backup_recipients",
                f"The archive would not be encrypted, and {place}: whoever reads it there has all keys of the cluster. [{UNENCRYPTED}]",
                "Set backup_recipients to the public key of an age or ssh key that is kept elsewhere "
                f"(age-keygen --output key.txt prints one), or accept it by backup_accept: [{UNENCRYPTED}].",
            )
        )
    return found


def _network(path: str, mounts: str) -> str:
    """That the path is on another machine; empty if it is on this one."""
    path = os.path.realpath(path) if path else ""
    best, kind = "", ""
    for line in mounts.splitlines():
        words = line.split()
        if len(words) > 2:
            # As the kernel writes spaces and the like in paths (fs/proc_namespace.c).
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[1])
            # What was mounted last covers what was there.
            if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
                best, kind = point, words[2]
    return f"backup_path {path} is on {best}, a file system of type {kind}" if ELSEWHERE.fullmatch(kind) else ""


def sources(states: Mapping[str, State], reachable: Sequence[str]) -> list[str]:
    """Hosts whose member is healthy and votes, followers first: reading the whole database is a load that a leader should not have."""
    found = [
        (bool(member["leader"]), host)
        for host in reachable
        for member in states.get(host, {}).get("members") or []
        if member["name"] == host and member["healthy"] and not member["learner"]
    ]
    return [host for is_leader in (False, True) for leads, host in found if leads is is_leader]


def causes(states: Mapping[str, State]) -> list[str]:
    """Why members did not answer, each reason once."""
    return list(dict.fromkeys(state["msg"] for state in states.values() if state.get("msg")))
