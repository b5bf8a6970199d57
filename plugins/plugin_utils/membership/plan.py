# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster cannot survive: the last host of a group removed, two members of etcd at once, members reset alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem

GROUPS = ("etcd", "kube_master", "kube_node", "lb")
# Without one of these there is no cluster.
REQUIRED = ("etcd", "kube_master", "lb")


def playbook(group: str) -> str:
    """The playbook that removes hosts of *group*."""
    return f"hardway.kubernetes.remove_{group.replace('kube_', '')}"


@dataclasses.dataclass(frozen=True)
class Removal:
    """One host that leaves with the hosts *leaving*, by the playbook of *group*; *groups* is the inventory's."""

    host: str
    group: str
    leaving: Sequence[str]
    groups: Mapping[str, Sequence[str]]

    @property
    def host_groups(self) -> list[str]:
        return [name for name in GROUPS if self.host in self.groups.get(name, ())]

    @property
    def removable_groups(self) -> list[str]:
        """The groups that the playbook takes a host out of: a master leaves with its member of etcd and its node."""
        return list(GROUPS) if self.group == "kube_master" else [self.group]

    def problems(self) -> list[Problem]:
        return [*self._wrong_group(), *self._other_groups(), *self._last_host(), *self._several_members()]

    def _wrong_group(self) -> Iterator[Problem]:
        if self.group not in self.host_groups:
            others = " or ".join(playbook(name) for name in self.host_groups) or "hardway.kubernetes.reset"
            yield Problem(
                self.host, f"is not in the group {self.group}.", f"Name another host with --limit, or use {others}."
            )

    def _other_groups(self) -> Iterator[Problem]:
        others = [name for name in self.host_groups if name not in self.removable_groups]
        if others:
            yield Problem(
                self.host,
                f"is also in {', '.join(others)}, and {playbook(self.group)} removes hosts from "
                f"{', '.join(self.removable_groups)} only.",
                f"Use {playbook('kube_master')}, which removes a host from all its groups.",
            )

    def _last_host(self) -> Iterator[Problem]:
        empty = [
            name for name in self.host_groups if name in REQUIRED and not set(self.groups[name]) - set(self.leaving)
        ]
        if empty:
            yield Problem(
                self.host,
                f"No host would be left in {', '.join(empty)}.",
                "Add another host first, or end the cluster with hardway.kubernetes.reset.",
            )

    def _several_members(self) -> Iterator[Problem]:
        members = [host for host in self.groups.get("etcd", ()) if host in self.leaving]
        if len(members) > 1:
            yield Problem(
                "group etcd",
                f"{' and '.join(members)} are members, and etcd can lose one at a time.",
                "Name one of them with --limit.",
            )


@dataclasses.dataclass(frozen=True)
class Reset:
    """The hosts of a run of reset, of all that the inventory's *groups* have."""

    hosts: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    allow_member: bool = False
    remove_state: bool = False

    def problems(self) -> list[Problem]:
        return [*self._members_alone(), *self._state()]

    def _members_alone(self) -> Iterator[Problem]:
        members = list(self.groups.get("etcd", ()))
        going = [host for host in members if host in self.hosts]
        staying = len(members) - len(going)
        if not going or not staying or self.allow_member:
            return
        quorum = len(members) // 2 + 1
        if staying < quorum:
            effect = f"the {staying} that stay would be too few: the cluster would stop at once"
        elif staying == quorum:
            effect = "one more failure would stop the cluster"
        else:
            effect = "the cluster would survive one failure less"
        yield Problem(
            ", ".join(going),
            f"cannot be reset alone. etcd has the members {', '.join(members)} and needs {quorum} of them. A member that was reset "
            f"stays in their list as a dead one, so {effect}.",
            "Reset all members in one run. Where the member was removed from the list before (etcdctl member remove), or where this "
            "is intended, add -e reset_etcd_member=yes.",
        )

    def _state(self) -> Iterator[Problem]:
        known = dict.fromkeys(
            host for name in ("etcd", "lb", "kube_master", "kube_node") for host in self.groups.get(name, ())
        )
        staying = [host for host in known if host not in self.hosts]
        if self.remove_state and staying:
            yield Problem(
                "reset_state",
                f"removes the CAs and keys of the whole cluster, but {', '.join(staying)} would stay in it.",
                "Run without --limit, or without reset_state.",
            )
