# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations: what a component is, once, as data in its role (roles/ROLE/components/NAME.yml).

Everything that must know a component reads its declaration: the plan and the apply, status and upgrade, reset, preflight and the
report on certificates. To add a component is to add a role with a declaration.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import os
import typing as t
from collections.abc import Callable, Mapping, Sequence

import yaml

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.yaml_loader import LOADER

#: In the order in which site.yml applies them.
PHASES = ("hosts", "etcd", "load_balancers", "masters", "nodes", "network")
#: What a declaration says besides the arguments of the component itself.
ABOUT: dict[str, type] = {
    "name": str,
    "phase": str,
    "groups": list,
    "when": list,
    "visit_when": list,
    "packages": dict,
    "ports": list,
    "own_certificates": list,
    "footprint": dict,
    "stops_after": list,
    "peers": dict,
}
#: The collection's directory.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

Load = Callable[[str], t.Any]


class DeclarationError(HardwayError):
    """A declaration, or a role's file, that is not what it has to be; names the file."""


@dataclasses.dataclass(frozen=True)
class Declaration:
    """A component, as its role declares it. What is Jinja in it is not rendered yet."""

    role: str
    #: name of the file, without its ending: one component may have several declarations with conditions that exclude each other
    key: str
    name: str
    #: phase of site.yml that applies it; may be Jinja
    phase: str
    #: groups whose hosts have it
    groups: tuple[str, ...]
    #: conditions, all of which hold on a host that has it
    when: tuple[t.Any, ...] = ()
    #: conditions any of which makes a host with it one with work, whatever the plan says
    visit_when: tuple[t.Any, ...] = ()
    packages: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    ports: Sequence[Mapping[str, t.Any]] = ()
    own_certificates: tuple[str, ...] = ()
    footprint: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    stops_after: tuple[str, ...] = ()
    #: who has to be healthy before a host restarts it, rendered only then; see docs/declarations.md
    peers: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    #: the arguments of the component: see the module hardway.kubernetes.component
    arguments: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def is_for(self, groups: Sequence[str]) -> bool:
        """Whether a host in these groups may have it."""
        return not set(self.groups).isdisjoint(groups)


def declarations(load: Load, root: str = ROOT) -> list[Declaration]:
    """All components of the collection, by role and name.

    :arg load: reads a YAML file
    :raises DeclarationError: names the file and what is wrong in it
    """
    paths = glob.glob(os.path.join(root, "roles", "*", "components", "*.yml"))
    return [declaration(load, path) for path in sorted(paths)]


@functools.cache
def declared_as_text(root: str) -> tuple[Declaration, ...]:
    """All components, read once by a process; what is Jinja in them stays text.

    :raises DeclarationError: names the file and what is wrong in it
    """
    return tuple(declarations(_read, root))


def _read(path: str) -> t.Any:
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.load(stream, LOADER)
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path} is not YAML: {error}. Fix: correct it") from error


def declaration_of(load: Load, role_path: str, key: str) -> Declaration:
    """The component that a role declares under a name.

    :raises DeclarationError: it declares none of that name
    """
    path = os.path.join(role_path, "components", f"{key}.yml")
    if not os.path.isfile(path):
        raise DeclarationError(f"{path} is not there. Fix: declare the component {key} in it, or correct the name")
    return declaration(load, path)


def declaration(load: Load, path: str) -> Declaration:
    """One file of a role's directory ``components``."""
    raw = load(path)
    if not isinstance(raw, Mapping):
        raise DeclarationError(f"{path} is no mapping. Fix: see docs/declarations.md for what a declaration says")
    for key, kind in ABOUT.items():
        if key in raw and not isinstance(raw[key], kind):
            raise DeclarationError(f"{path}: {key} is not a {kind.__name__}. Fix: correct it")
    missing = [key for key in ("name", "phase", "groups") if not raw.get(key)]
    if missing:
        raise DeclarationError(f"{path} does not say {', '.join(missing)}. Fix: add it")
    role = os.path.basename(os.path.dirname(os.path.dirname(path)))
    about: dict[str, t.Any] = {
        key: tuple(raw[key]) if kind is list else raw[key] for key, kind in ABOUT.items() if key in raw
    }
    arguments = {key: value for key, value in raw.items() if key not in ABOUT}
    return Declaration(role=role, key=os.path.basename(path)[: -len(".yml")], arguments=arguments, **about)


def role_files(load: Load, root: str, role: str) -> tuple[list[str], list[str]]:
    """The files of a role's defaults and variables, those of the roles that it depends on before its own."""
    directory = os.path.join(root, "roles", role)
    defaults: list[str] = []
    variables: list[str] = []
    meta = os.path.join(directory, "meta", "main.yml")
    for dependency in ((load(meta) or {}).get("dependencies") or []) if os.path.isfile(meta) else []:
        name = dependency if isinstance(dependency, str) else dependency.get("role") or dependency.get("name")
        inner = role_files(load, root, str(name).rpartition(".")[2])
        defaults += inner[0]
        variables += inner[1]
    for found, kind in ((defaults, "defaults"), (variables, "vars")):
        names = glob.glob(os.path.join(directory, kind, "main.yml"))
        found += sorted(names + glob.glob(os.path.join(directory, kind, "main", "*.yml")))
    return defaults, variables


def role_variables(load: Load, root: str, role: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """A role's defaults and variables, not rendered."""
    defaults: dict[str, t.Any] = {}
    variables: dict[str, t.Any] = {}
    for found, files in zip((defaults, variables), role_files(load, root, role)):
        for path in files:
            found.update(load(path) or {})
    return defaults, variables


# --- what others ask of all of them


def footprints(declared: Sequence[Declaration]) -> list[dict[str, t.Any]]:
    """What each component leaves on a host, and after which others it stops; once for each, whatever its declarations."""
    found: dict[str, dict[str, t.Any]] = {}
    for item in declared:
        known = found.setdefault(item.name, {"component": item.name, "stops_after": [], "footprint": {}})
        known["stops_after"] += [name for name in item.stops_after if name not in known["stops_after"]]
        known["footprint"].update(item.footprint)
    return list(found.values())


def ports(declared: Sequence[Declaration]) -> list[dict[str, t.Any]]:
    """Where components listen, by group: see the option ``ports`` of the module preflight."""
    found: list[dict[str, t.Any]] = []
    for item in declared:
        for port in item.ports:
            seen = {key: value for key, value in port.items() if key != "tls"}
            entry = {"group": item.groups[0], "component": item.name, "units": [item.name], **seen}
            if entry not in found:
                found.append(entry)
    return found


def endpoints(declared: Sequence[Declaration]) -> list[dict[str, t.Any]]:
    """Where components serve with TLS: C(component), C(port) or the C(setting) that says it, C(address) if it is not the
    host's own, and the C(path) of the certificate that is served; None where the process makes one in memory."""
    return [
        {
            "component": port.get("component", item.name),
            "setting": port.get("setting"),
            "port": port["port"],
            "address": port["tls"].get("address"),
            "path": port["tls"].get("path"),
        }
        for item in declared
        for port in item.ports
        if "tls" in port
    ]


def own_certificates(declared: Sequence[Declaration]) -> list[str]:
    """Files, as globs, with certificates that components get for themselves: no record has them."""
    return list(dict.fromkeys(path for item in declared for path in item.own_certificates))


def packages(declared: Sequence[Declaration]) -> dict[str, Mapping[str, t.Any]]:
    """The distribution's packages: component -> family -> names."""
    return {item.name: item.packages for item in declared if item.packages}


def services(declared: Sequence[Declaration]) -> list[str]:
    return list(dict.fromkeys(item.name for item in declared))


def packaged(declared: Sequence[Declaration]) -> list[str]:
    """Components whose unit comes with a package of the distribution: they have no unit of their own."""
    return list(dict.fromkeys(item.name for item in declared if item.packages and "unit" not in item.arguments))


ASKED: dict[str, Callable[[Sequence[Declaration]], t.Any]] = {
    "footprints": footprints,
    "ports": ports,
    "packages": packages,
    "services": services,
    "own_certificates": own_certificates,
    "packaged": packaged,
}
