# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what Ansible knows into the plain data that the checks look at.

Of hosts that are not in the play, only what stands in the inventory is read, and nothing is templated unless an address is a
template: hundreds of them cost milliseconds.
"""

from __future__ import annotations

import dataclasses
import glob
import importlib.util
import os
import socket
import ssl
import typing as t
from collections.abc import Iterator

import yaml
from ansible import constants, release
from ansible.errors import AnsibleError
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import read_text
from ansible_collections.hardway.kubernetes.plugins.module_utils.host.facts import fingerprints
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import usable_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.audit import webhook_files
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import address_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import (
    CLUSTER_GROUPS,
    UNRESOLVED,
    Controller,
    Definition,
    Machine,
    Plan,
    PortUse,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.ports import port_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.site import Host, Needs, Probe, Site
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.versions import supported_versions
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.yaml_loader import LOADER


def _origin_tag() -> t.Any:
    """The tag that knows where a value was written. Its name is private: without it a place is a group or a host, without file and line."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return None
    return Origin


ORIGIN = _origin_tag()
Variables = dict[str, t.Any]

PROBE_TIMEOUT = 1.0
CA_FILES = ("ca-bundle.pem", "etcd-ca-bundle.pem")
COLLECTION = os.path.abspath(__file__).rsplit(os.sep, 4)[0]
ROLES = os.path.join(COLLECTION, "roles")
WITHOUT_DEFAULT = ("cluster_endpoint_address", "cluster_host_address")
#: Settings of the cluster that hosts, and groups of them, have values of their own for: they are evaluated for each host alone.
HOST_SETTINGS = {
    "cluster_host_address",
    "cluster_apiserver_arguments",
    "cluster_controller_manager_arguments",
    "cluster_scheduler_arguments",
    "cluster_kubelet_arguments",
    "cluster_kubelet_config",
    "cluster_kube_proxy_config",
    "cluster_node_labels",
    "cluster_node_taints",
    "cluster_taint_masters",
    "cluster_resolv_conf",
}
ADDRESS_VARIABLES = ("cluster_host_address", "ansible_host")


# --- values


def is_template(value: t.Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(is_template(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(is_template(item) for item in value)


def is_encrypted(value: t.Any) -> bool:
    if isinstance(value, dict):
        return any(is_encrypted(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(is_encrypted(item) for item in value)
    return "Encrypted" in type(value).__name__


def origin(*candidates: t.Any) -> str:
    """File and line of the first of the values that knows where it came from."""
    for value in candidates if ORIGIN else ():
        tag = ORIGIN.get_tag(value)
        if tag is not None and tag.path:
            path = os.path.relpath(tag.path)
            return f"{tag.path if path.startswith('../..') else path}:{tag.line_num or 1}"
    return ""


def words(value: t.Any) -> list[str]:
    return [str(word) for word in value] if isinstance(value, (list, tuple)) else []


def truth(value: t.Any) -> bool:
    return str(value).lower() not in ("false", "no", "off", "0")


# --- the collection and the controller


def load_plain(path: str) -> dict[str, t.Any]:
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=LOADER) or {}


def role_specs() -> dict[str, dict[str, t.Any]]:
    """The options of all roles' argument_specs, by name; a default that no spec describes counts as one of any kind."""
    specs: dict[str, dict[str, t.Any]] = {}
    for path in glob.glob(os.path.join(ROLES, "*", "meta", "argument_specs.yml")):
        for entry_point in (load_plain(path).get("argument_specs") or {}).values():
            specs.update((entry_point or {}).get("options") or {})
    for path in glob.glob(os.path.join(ROLES, "*", "defaults", "main.yml")):
        for name in load_plain(path):
            specs.setdefault(name, {"type": "raw"})
    for name in WITHOUT_DEFAULT:
        specs.setdefault(name, {"type": "str"})
    return specs


def role_defaults(loader: t.Any) -> Variables:
    """All roles' defaults, and what the role cluster derives from them.

    The role preflight does not depend on the role cluster: Ansible would check the settings against that role's argument_specs
    first, and end the run with the first wrong one.
    """
    paths = sorted(glob.glob(os.path.join(ROLES, "*", "defaults", "main.yml"))) + sorted(
        glob.glob(os.path.join(ROLES, "cluster", "vars", "main", "*.yml"))
    )
    variables: Variables = {}
    for path in paths:
        variables.update(loader.load_from_file(path, cache="all", trusted_as_template=True) or {})
    return variables


def has_collection(name: str) -> bool:
    try:
        return importlib.util.find_spec(f"ansible_collections.{name}") is not None
    except ImportError:
        return False


def own_authorities(cluster_dir: str) -> frozenset[str]:
    """The fingerprints of the CAs that this controller has, those that are being replaced too."""
    files = [os.path.join(cluster_dir, "pki", name) for name in CA_FILES]
    return frozenset(found for file in files for found in fingerprints(read_text(file)))


def probe(address: str, port: t.Any, authority: str) -> Probe:
    """Who answers at the endpoint: one connection, closed at once."""
    number = port_of(port)
    if address_of(address) is None or not number:
        return Probe()
    try:
        connection = socket.create_connection((address, number), PROBE_TIMEOUT)
    except ConnectionRefusedError:
        return Probe("refused")
    except OSError:
        return Probe()
    with connection:
        context = ssl.create_default_context()
        context.check_hostname = False
        try:
            if os.path.isfile(authority):
                context.load_verify_locations(authority)
            with context.wrap_socket(connection):
                return Probe("ours" if os.path.isfile(authority) else "foreign")
        except ssl.SSLCertVerificationError:
            return Probe("foreign")
        except OSError:  # ssl.SSLError too: no TLS, or nobody behind a load balancer
            return Probe("open")


# --- arguments of the module


def port_use(entry: dict[str, t.Any], settings: Variables) -> PortUse:
    setting = entry.get("setting") or ""
    return PortUse(
        group=entry["group"],
        port=settings.get(setting, entry["port"]),
        setting=setting,
        component=entry["component"],
        units=tuple(entry.get("units") or ()),
    )


def is_used(entry: dict[str, t.Any], settings: Variables) -> bool:
    """Whether all settings have the values that an entry's `where` names."""
    return all(
        str(settings.get(name)).lower() == str(value).lower() for name, value in (entry.get("where") or {}).items()
    )


def needs_of(values: dict[str, t.Any]) -> Needs:
    """The needs, as far as they have the right type: one of a wrong type is reported as a setting, and its default is used here."""
    standard = Needs()
    fitting: dict[str, t.Any] = {}
    for item in dataclasses.fields(Needs):
        otherwise = getattr(standard, item.name)
        value = values.get(item.name, otherwise)
        try:
            fitting[item.name] = tuple(value) if isinstance(otherwise, tuple) else type(otherwise)(value)
        except (TypeError, ValueError):
            fitting[item.name] = otherwise
    return Needs(**fitting)


# --- the inventory


class Inventory:
    """The inventory as it was written, without templating: groups, and variables with the places where they stand."""

    def __init__(self, hostvars: t.Any) -> None:
        self.manager = hostvars._inventory
        self.loader = hostvars._loader
        self.extra = dict(hostvars._variable_manager.extra_vars)
        self._hostvars = hostvars
        self._own: dict[str, Variables] = {}

    def own_variables(self, entity: t.Any) -> Variables:
        """The variables of one group or host: from the inventory's sources, and from group_vars and host_vars next to them and the playbook."""
        key = f"{type(entity).__name__} {entity.name}"
        if key not in self._own:
            found = dict(entity.vars)
            found.update(get_vars_from_inventory_sources(self.loader, self.manager._sources, [entity], "task"))
            found.update(get_vars_from_path(self.loader, self.loader.get_basedir(), [entity], "task"))
            self._own[key] = found
        return self._own[key]

    def address(self, host: t.Any) -> str:
        """The address of a host as the role cluster has it, from the nearest of its definitions."""
        by_depth = sorted(host.get_groups(), key=lambda group: (group.depth, group.priority, group.name), reverse=True)
        for name in ADDRESS_VARIABLES:
            for entity in (host, *by_depth):
                value = self.own_variables(entity).get(name)
                if value not in (None, ""):
                    return str(self._hostvars[host.name].get(name) if is_template(value) else value)
        return str(host.name)

    def entities(self) -> Iterator[tuple[str, t.Any]]:
        for group in self.manager.groups.values():
            yield f"group {group.name}", group
        for host in self.manager.hosts.values():
            yield f"host {host.name}", host

    def definitions(self, resolve: t.Callable[[t.Any], t.Any]) -> list[Definition]:
        """Every variable of the inventory and of the command line, except those of Ansible itself."""
        found = []
        for place, entity in self.entities():
            for name, value in self.own_variables(entity).items():
                if str(name).startswith("ansible_"):
                    continue
                where = ", ".join(filter(None, [place, origin(name, value)]))
                found.append(Definition(str(name), resolve(value), where))
        found.extend(Definition(str(name), resolve(value), "command line, -e") for name, value in self.extra.items())
        return found


# --- everything together


class Gathering:
    """Reads the plan and the site of one task. *arguments* are those of the module, *variables* those of the task."""

    def __init__(self, arguments: dict[str, t.Any], variables: Variables, templar: t.Any, loader: t.Any) -> None:
        self.arguments = arguments
        self.variables = variables
        self.hostvars = variables["hostvars"]
        self.defaults = role_defaults(loader)
        self._templar = templar
        self._here = templar.copy_with_new_env(available_variables={**self.defaults, **variables})

    def resolve(self, value: t.Any) -> t.Any:
        """A value as a role would see it, as far as that can be known here."""
        if is_encrypted(value):
            return UNRESOLVED
        if not is_template(value):
            return value
        try:
            return self._here.template(value)
        except AnsibleError:
            return UNRESOLVED

    def settings(self, specs: dict[str, dict[str, t.Any]]) -> tuple[Variables, dict[str, str]]:
        """Effective values of the cluster's settings and of all ports; and why those that have none could not be evaluated."""
        values: Variables = {}
        unresolved: dict[str, str] = {}
        for name in specs:
            wanted = name.startswith(("cluster_", "cni_")) or name.endswith("_port")
            raw = self.variables.get(name, self.defaults.get(name))
            if not wanted or name in HOST_SETTINGS or raw is None:
                continue
            try:
                values[name] = self._here.template(raw)
            except AnsibleError as error:
                values[name], unresolved[name] = None, str(error).splitlines()[0]
        return values, unresolved

    def plan(self) -> Plan:
        inventory = Inventory(self.hostvars)
        specs = role_specs()
        settings, unresolved = self.settings(specs)
        groups = {name: list(hosts) for name, hosts in self.variables["groups"].items()}
        groups_of: dict[str, list[str]] = {}
        for group in CLUSTER_GROUPS:
            for name in groups.get(group, []):
                groups_of.setdefault(name, []).append(group)
        machines = {
            name: Machine(name, inventory.address(inventory.manager.hosts[name]), tuple(own))
            for name, own in groups_of.items()
        }
        return Plan(
            settings=settings,
            groups=groups,
            hosts=machines,
            definitions=inventory.definitions(self.resolve),
            specs=specs,
            prefixes=tuple(f"{os.path.basename(path)}_" for path in glob.glob(os.path.join(ROLES, "*"))),
            supported=supported_versions(
                self.arguments["versions"] or self.defaults.get("cluster_version_table"),
                self.arguments["etcd_versions"],
            ),
            ports=[port_use(port, settings) for port in self.arguments["ports"] if is_used(port, settings)],
            unresolved=unresolved,
            run=list(self.variables["ansible_play_hosts_all"]),
            run_group=str(self.arguments["run_group"] or ""),
            controller=self._controller(settings, inventory),
        )

    def _controller(self, settings: dict[str, t.Any], inventory: Inventory) -> Controller:
        cluster_dir = str(settings.get("cluster_dir") or "")
        exists = os.path.isdir(cluster_dir)
        return Controller(
            ansible=release.__version__,
            injects_facts=bool(constants.INJECT_FACTS_AS_VARS),
            ansible_minimum=self.arguments["ansible_version"],
            missing_packages=tuple(
                name for name in self.arguments["controller_packages"] if importlib.util.find_spec(name) is None
            ),
            missing_collections=tuple(
                name for name in self.arguments["controller_collections"] if not has_collection(name)
            ),
            cluster_dir=cluster_dir,
            unreadable_files=tuple(path for path in webhook_files(settings) if not os.access(path, os.R_OK)),
            cluster_dir_mode=os.stat(cluster_dir).st_mode if exists else None,
            cluster_dir_writable=not exists or os.access(cluster_dir, os.W_OK),
            inventory_dirs=tuple(
                os.path.abspath(source) for source in inventory.manager._sources if os.path.isdir(source)
            ),
        )

    def site(self, plan: Plan) -> Site:
        site = Site(
            hosts=[self.host(plan.hosts[name]) for name in plan.run if name in plan.hosts],
            groups=plan.groups,
            settings=plan.settings,
            ports=plan.ports,
            needs=needs_of(self.arguments["needs"]),
            authorities=own_authorities(plan.controller.cluster_dir),
        )
        if truth(self.arguments["probe_endpoint"]) and plan.setting("cluster_lb") != "external":
            authority = os.path.join(plan.controller.cluster_dir, "pki", "ca-bundle.pem")
            site.probe = probe(
                plan.setting("cluster_endpoint_address"), plan.settings.get("cluster_endpoint_port"), authority
            )
        return site

    def host(self, machine: Machine) -> Host:
        """A host of the run. Its facts are those of a stranger, whoever put them into the variables."""
        variables = {**self.defaults, **self.hostvars.raw_get(machine.name)}
        templar = self._templar.copy_with_new_env(available_variables=variables)
        facts = variables.get("hardway_host", {}).get("facts", {})

        def setting(variable: str, otherwise: t.Any) -> t.Any:
            try:
                value = templar.template(variables[variable])
            except (AnsibleError, KeyError):
                return otherwise
            return value if isinstance(value, type(otherwise)) else otherwise

        return Host(
            name=machine.name,
            groups=machine.groups,
            address=machine.address,
            facts=usable_facts(facts, facts.get("clock_offset") if isinstance(facts, dict) else None),
            swap_is_turned_off=setting("host_swap_off", False),
            kubelet_config=setting("cluster_kubelet_config", {}),
        )
