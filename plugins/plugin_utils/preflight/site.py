# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of hosts look at, as plain data."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import address_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import PortUse

KUBELET_GROUP = "kube_node"


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a host must have. By group where a dictionary's keys are groups; sizes in MiB, differences in seconds.

    distributions: by id of os-release, the oldest version that is supported. foreign_packages: by name, how they disturb.
    packaged: units that a role installs from a package of the distribution. own_interfaces: how the names of interfaces begin that a
    running cluster made itself. runtime_bridges: by container runtime, its bridge. network_kernels: by cluster_cni, its oldest kernel.
    """

    python: str = "3.9"
    kernel: str = "5.4"
    architectures: tuple[str, ...] = ("amd64", "arm64")
    distributions: dict[str, str] = dataclasses.field(default_factory=dict)
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    cpus: dict[str, int] = dataclasses.field(default_factory=dict)
    space: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    commands: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    features: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    foreign_packages: dict[str, str] = dataclasses.field(default_factory=dict)
    firewalls: tuple[str, ...] = ()
    packaged: tuple[str, ...] = ()
    own_interfaces: tuple[str, ...] = ()
    runtime_bridges: dict[str, str] = dataclasses.field(default_factory=dict)
    network_kernels: dict[str, str] = dataclasses.field(default_factory=dict)
    clock_difference: float = 5.0
    inotify: int = 8


@dataclasses.dataclass(frozen=True)
class Host:
    """A host of the run: its groups, its facts, and its own values of the settings that the checks need."""

    name: str
    groups: tuple[str, ...] = ()
    address: str = ""
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    swap_is_turned_off: bool = False
    kubelet_config: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"host {self.name}"

    @property
    def readable(self) -> bool:
        return bool(self.facts.get("readable"))

    @property
    def runs_pods(self) -> bool:
        return KUBELET_GROUP in self.groups

    @property
    def joined(self) -> bool:
        """Whether a component of the cluster runs here already: what it uses is no longer missing."""
        return any(unit.get("state") == "active" for unit in (self.facts.get("units") or {}).values())

    def holds(self, address: t.Any) -> bool:
        return address is not None and any(
            address_of(entry.get("address")) == address for entry in self.facts.get("addresses") or []
        )


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a TCP connection from the controller to the endpoint met.

    answer: `none` (no answer, or not asked), `refused`, `open` (no certificate seen), `ours` or `foreign` (its certificate is
    verified by the cluster's CA, or not).
    """

    answer: str = "none"


@dataclasses.dataclass
class Site:
    """All that the checks of hosts look at. groups: those of the whole inventory; hosts: those of the run; authorities: the controller's CAs, by SHA-256."""

    hosts: list[Host] = dataclasses.field(default_factory=list)
    groups: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    settings: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    ports: list[PortUse] = dataclasses.field(default_factory=list)
    needs: Needs = dataclasses.field(default_factory=Needs)
    probe: Probe = dataclasses.field(default_factory=Probe)
    authorities: frozenset[str] = frozenset()

    @property
    def readable(self) -> list[Host]:
        return [host for host in self.hosts if host.readable]

    def setting(self, name: str) -> str:
        return str(self.settings.get(name) or "")


def whole(value: t.Any) -> int:
    """A whole number; 0 for what is none, since the checks of settings report its type."""
    return int(value) if str(value).isdigit() else 0


def largest(by_group: dict[str, int], host: Host) -> int:
    return max((whole(by_group.get(group)) for group in host.groups), default=0)


def gathered(by_group: dict[str, list[str]], host: Host) -> list[str]:
    return list(dict.fromkeys(name for group in host.groups for name in by_group.get(group) or []))


def size(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"
