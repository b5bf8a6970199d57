# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.backup.plan import causes, problems, sources

HOSTS = ["m1", "m2", "m3"]


def state(leader="m1", **over):
    return {
        "members": [
            {"name": name, "healthy": True, "learner": False, "leader": name == leader, **over.get(name, {})}
            for name in HOSTS
        ]
    }


def test_followers_come_first():
    assert sources(dict.fromkeys(HOSTS, state()), HOSTS) == ["m2", "m3", "m1"]


def test_neither_an_unhealthy_member_nor_a_learner_is_a_source():
    states = dict.fromkeys(HOSTS, state(m2={"healthy": False}, m3={"learner": True}))
    assert sources(states, HOSTS) == ["m1"]


def test_a_host_that_failed_or_cannot_be_reached_is_no_source():
    states = {"m1": state(), "m2": {"msg": "refused", "failed": True}, "m3": state()}
    assert sources(states, ["m1", "m2"]) == ["m1"]
    assert causes({**states, "m3": {"msg": "refused"}}) == ["refused"]


# --- where an archive may go

MOUNTS = """/dev/vda1 / ext4 rw 0 0
store:/a /srv/archives nfs4 rw 0 0
/dev/vdb /srv/archives/own xfs rw 0 0
me@store: /mnt/with\\040space fuse.sshfs rw 0 0
tmpfs /run tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("s3", "/var/backups"),
        ("nfs", "/var/backups"),
        ("controller", "/srv/archives"),
        ("controller", "/srv/archives/production"),
        ("controller", "/mnt/with space/production"),
    ],
)
@pytest.mark.parametrize("recipients", [[], ["", "  "]])
def test_an_archive_that_is_not_encrypted_stays_on_the_controller(target, path, recipients):
    (problem,) = problems(target, recipients, [], path, MOUNTS)
    assert problem.where == "backup_recipients" and "backup_recipients" in problem.fix
    assert "[unencrypted-archive]" in problem.what and "backup_accept: [unencrypted-archive]" in problem.fix
    assert problems(target, ["age1abc"], [], path, MOUNTS) == []
    assert problems(target, recipients, ["unencrypted-archive"], path, MOUNTS) == []


@pytest.mark.parametrize("path", ["/var/backups", "/srv/archives/own/x", "/srv/archives-here", "/run/x", ""])
def test_on_its_own_disk_it_may_be_as_it_is(path):
    assert problems("controller", [], [], path, MOUNTS) == []
    assert problems("controller", [], [], path) == []


def test_what_was_mounted_last_counts():
    covered = MOUNTS + "store:/b /srv/archives/own nfs rw 0 0\n"
    assert problems("controller", [], [], "/srv/archives/own", covered)


def test_an_accepted_kind_that_does_not_exist_is_named():
    (problem,) = problems("controller", [], ["unencrypted"])
    assert problem.where == "backup_accept" and "'unencrypted'" in problem.what and "unencrypted-archive" in problem.fix
