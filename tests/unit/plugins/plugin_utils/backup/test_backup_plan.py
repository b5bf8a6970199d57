# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.backup.plan import causes, sources

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
