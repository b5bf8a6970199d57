"""The machines that the inventory names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import settings
from .errors import SandboxError

# systemd-nspawn names a machine's link vb-NAME, and an interface's name has at most 15 characters.
NAME = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")


@dataclass(frozen=True)
class Machine:
    """A machine by the name and the address under which Ansible knows it."""

    name: str
    address: ipaddress.IPv4Address
    #: It boots only when it is named, or with `up --spare`, or with `up --scale`.
    spare: bool = False
    scale: bool = False

    @property
    def always(self) -> bool:
        """Whether it is one of those that `up` boots."""
        return not self.spare and not self.scale


def read() -> dict[str, Machine]:
    """Return all machines by name: those of the inventory first, then the spare ones, then those of the scenario for scale."""
    machines: dict[str, Machine] = {}
    for path in (settings.INVENTORY, settings.SPARE_INVENTORY, settings.SCALE_INVENTORY):
        for name, address in _hosts(path):
            _check(path, name, address, machines)
            spare, scale = path == settings.SPARE_INVENTORY, path == settings.SCALE_INVENTORY
            machines[name] = Machine(name, ipaddress.IPv4Address(address), spare, scale)
    return machines


def select(machines: Mapping[str, Machine], names: list[str]) -> list[Machine]:
    """Return the machines with these names, refusing names that the inventory does not have."""
    unknown = [name for name in names if name not in machines]
    if unknown:
        raise SandboxError(f"No machine is called {', '.join(unknown)}. There are: {', '.join(machines)}")
    return [machines[name] for name in dict.fromkeys(names)]


def _hosts(path: Path) -> Iterator[tuple[str, str]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SandboxError(f"{path}: cannot be read as an inventory: {error}") from error
    group: Any = content.get("all") if isinstance(content, dict) else None
    hosts = group.get("hosts") if isinstance(group, dict) else None
    if not isinstance(hosts, dict):
        raise SandboxError(
            f"{path}: the sandbox looks for its machines under all.hosts, each with ansible_host; there are none"
        )
    for name, variables in hosts.items():
        yield str(name), str((variables or {}).get("ansible_host", ""))


def _check(path: Path, name: str, address: str, known: Mapping[str, Machine]) -> None:
    if not NAME.fullmatch(name):
        raise SandboxError(
            f"{path}: {name!r} cannot be a machine's name: use at most 12 lower case letters, digits and hyphens"
        )
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError as error:
        raise SandboxError(f"{path}: {name}: ansible_host must be an IPv4 address, not {address!r}") from error
    if parsed not in settings.HOST.network or parsed == settings.HOST.ip:
        raise SandboxError(
            f"{path}: {name}: the address {address} must lie in {settings.HOST.network} and not be {settings.HOST.ip}"
        )
    for other in known.values():
        if name == other.name or parsed == other.address:
            raise SandboxError(
                f"{path}: {name} ({address}) has the name or the address of {other.name} ({other.address})"
            )
