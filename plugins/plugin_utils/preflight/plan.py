# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of the inventory look at, as plain data."""

from __future__ import annotations

import dataclasses
import typing as t

CLUSTER_GROUPS = ("etcd", "kube_master", "kube_node", "lb")
UNRESOLVED = object()  # value of a definition whose template could not be evaluated where it stands


@dataclasses.dataclass(frozen=True)
class Definition:
    """One variable as it stands in the inventory: its name, its value, and where it stands."""

    name: str
    value: t.Any
    place: str


@dataclasses.dataclass(frozen=True)
class Machine:
    """A host of the inventory: its name, and the address under which other hosts reach it."""

    name: str
    address: str
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PortUse:
    """A port on which a component listens on every host of a group."""

    group: str
    port: t.Any
    setting: str
    component: str
    units: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Controller:
    """The machine that Ansible runs on."""

    ansible: str = ""
    ansible_minimum: str = ""
    missing_packages: tuple[str, ...] = ()
    missing_collections: tuple[str, ...] = ()
    cluster_dir: str = ""
    cluster_dir_mode: int | None = None
    cluster_dir_writable: bool = True
    inventory_dirs: tuple[str, ...] = ()
    #: facts become variables: INJECT_FACTS_AS_VARS of ansible-core, off from 2.24 on
    injects_facts: bool = False
    #: of the files that settings name, those that cannot be read
    unreadable_files: tuple[str, ...] = ()


@dataclasses.dataclass
class Plan:
    """All that the checks of the inventory look at.

    settings: effective values of the cluster's settings. specs: the merged options of all roles' argument_specs, by name.
    supported: by minor version of Kubernetes, the versions of etcd and containerd (as prefixes) and the runtimes that go with it.
    unresolved: settings whose templates cannot be evaluated, with the reason. run: the hosts of this run.
    """

    settings: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    groups: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    hosts: dict[str, Machine] = dataclasses.field(default_factory=dict)
    definitions: list[Definition] = dataclasses.field(default_factory=list)
    specs: dict[str, dict] = dataclasses.field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    supported: dict[str, dict[str, list[str]]] = dataclasses.field(default_factory=dict)
    ports: list[PortUse] = dataclasses.field(default_factory=list)
    unresolved: dict[str, str] = dataclasses.field(default_factory=dict)
    run: list[str] = dataclasses.field(default_factory=list)
    run_group: str = ""
    controller: Controller = dataclasses.field(default_factory=Controller)

    def setting(self, name: str) -> str:
        """A setting's effective value as text; empty if it is not set or not a plain value."""
        value = self.settings.get(name)
        return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()

    def truth(self, name: str) -> bool:
        return self.setting(name).lower() in ("true", "yes", "on", "1")

    def place(self, name: str) -> str:
        """Where a setting got its value: its last definition in the inventory, else the role's default."""
        places = [definition.place for definition in self.definitions if definition.name == name]
        return f"{name} ({places[-1]})" if places else f"{name} (default)"

    @property
    def address_moves(self) -> bool:
        return address_moves(self.settings)

    def members(self, group: str) -> list[str]:
        return list(self.groups.get(group) or [])

    @property
    def masters_without_pods(self) -> list[str]:
        """Masters that are no nodes."""
        return [name for name in self.members("kube_master") if name not in self.members("kube_node")]

    def cluster_hosts(self) -> list[Machine]:
        names = dict.fromkeys(name for group in CLUSTER_GROUPS for name in self.members(group))
        return [self.hosts[name] for name in names if name in self.hosts]


def address_moves(settings: dict[str, t.Any]) -> bool:
    """Whether the load balancers hand the endpoint's address over among them. If not, it is an address that a host has of its own."""
    return settings.get("cluster_lb") != "external" and str(settings.get("cluster_keepalived", True)).lower() not in (
        "false",
        "no",
        "off",
        "0",
    )
