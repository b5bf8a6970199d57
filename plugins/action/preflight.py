# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Turns what Ansible knows into the plain data that the checks of module_utils/preflight_*.py look at.

Of hosts that are not in the play, only what stands in the inventory is read, and nothing is templated unless an address is a
template: hundreds of them cost milliseconds.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import socket
import ssl
from dataclasses import fields

import yaml
from ansible import release
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from ansible_collections.hardway.kubernetes.plugins.module_utils.host.facts import fingerprints, read_text
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.hosts import (
    Host,
    Needs,
    Probe,
    Site,
    check_hosts,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.inventory import (
    CLUSTER_GROUPS,
    UNRESOLVED,
    Controller,
    Definition,
    Machine,
    Plan,
    PortUse,
    address_of,
    check_inventory,
    port_of,
    supported_versions,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import errors, report, settle

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # a private name: without it a place is a group or a host, without file and line
    Origin = None

PROBE_TIMEOUT = 1.0
AUTHORITY_FILES = ("ca-bundle.pem", "etcd-ca-bundle.pem")
ROLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "roles")
WITHOUT_DEFAULT = ("cluster_endpoint_address", "cluster_host_address")
ADDRESS_VARIABLES = ("cluster_host_address", "ansible_host")


def is_template(value) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(is_template(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(is_template(item) for item in value)


def is_encrypted(value) -> bool:
    if isinstance(value, dict):
        return any(is_encrypted(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(is_encrypted(item) for item in value)
    return "Encrypted" in type(value).__name__


def origin(*candidates) -> str:
    """File and line of the first of the values that knows where it came from."""
    for value in candidates if Origin else ():
        tag = Origin.get_tag(value)
        if tag is not None and tag.path:
            path = os.path.relpath(tag.path)
            return f"{tag.path if path.startswith('../..') else path}:{tag.line_num or 1}"
    return ""


def role_specs() -> dict[str, dict]:
    """The options of all roles' argument_specs, by name; a default that no spec describes counts as one of any kind."""
    specs: dict[str, dict] = {}
    for path in glob.glob(os.path.join(ROLES, "[!_]*", "meta", "argument_specs.yml")):
        for entry_point in (load_plain(path).get("argument_specs") or {}).values():
            specs.update((entry_point or {}).get("options") or {})
    for path in glob.glob(os.path.join(ROLES, "*", "defaults", "main.yml")):
        for name in load_plain(path):
            specs.setdefault(name, {"type": "raw"})
    for name in WITHOUT_DEFAULT:
        specs.setdefault(name, {"type": "str"})
    return specs


def load_plain(path: str) -> dict:
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def authorities_in(cluster_dir: str) -> frozenset[str]:
    """The fingerprints of the authorities that this controller has, those that are being replaced too."""
    files = [os.path.join(cluster_dir, "pki", name) for name in AUTHORITY_FILES]
    return frozenset(found for file in files for found in fingerprints(read_text(file)))


def probe(address: str, port, authority: str) -> Probe:
    """Who answers at the endpoint: one connection, closed at once."""
    if address_of(address) is None or not port_of(port):
        return Probe()
    try:
        connection = socket.create_connection((address, int(port)), PROBE_TIMEOUT)
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


class Inventory:
    """The inventory as it was written, without templating: groups, and variables with the places where they stand."""

    def __init__(self, hostvars):
        self.manager = hostvars._inventory
        self.loader = hostvars._loader
        self.extra = dict(hostvars._variable_manager.extra_vars)
        self._hostvars = hostvars
        self._own: dict[str, dict] = {}

    def own_variables(self, entity) -> dict:
        """The variables of one group or host: from the inventory's sources, and from group_vars and host_vars beside them and the playbook."""
        key = f"{type(entity).__name__} {entity.name}"
        if key not in self._own:
            found = dict(entity.vars)
            found.update(get_vars_from_inventory_sources(self.loader, self.manager._sources, [entity], "task"))
            found.update(get_vars_from_path(self.loader, self.loader.get_basedir(), [entity], "task"))
            self._own[key] = found
        return self._own[key]

    def address(self, host) -> str:
        """The address of a host as the role cluster has it, from the nearest of its definitions."""
        by_depth = sorted(host.get_groups(), key=lambda group: (group.depth, group.priority, group.name), reverse=True)
        for name in ADDRESS_VARIABLES:
            for entity in (host, *by_depth):
                value = self.own_variables(entity).get(name)
                if value not in (None, ""):
                    return str(self._hostvars[host.name].get(name) if is_template(value) else value)
        return str(host.name)

    def entities(self):
        for group in self.manager.groups.values():
            yield f"group {group.name}", group
        for host in self.manager.hosts.values():
            yield f"host {host.name}", host

    def definitions(self, resolve) -> list[Definition]:
        """Every variable of the inventory and of the command line, those of Ansible itself left out."""
        found = []
        for place, entity in self.entities():
            for name, value in self.own_variables(entity).items():
                if str(name).startswith("ansible_"):
                    continue
                where = ", ".join(filter(None, [place, origin(name, value)]))
                found.append(Definition(str(name), resolve(value), where))
        found.extend(Definition(str(name), resolve(value), "command line, -e") for name, value in self.extra.items())
        return found


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        del tmp
        arguments = self._arguments()
        self._hostvars = task_vars["hostvars"]
        self._defaults = self._role_defaults()
        self._templar_here = self._templar.copy_with_new_env(available_variables={**self._defaults, **task_vars})
        inventory = Inventory(self._hostvars)
        plan = self._plan(arguments, inventory, task_vars)
        site = self._site(arguments, plan, inventory)
        problems = settle([*check_inventory(plan), *check_hosts(site)], words(arguments["accept"]))
        result.update(changed=False, kinds=sorted({problem.kind for problem in problems}), endpoint=site.probe.answer)
        if errors(problems):
            result.update(failed=True, msg=report(problems))
        else:
            result.update(msg=report(problems))
            result["warnings"] = [
                f"{problem.place}: {problem.message} {problem.mend} [{problem.kind}]" for problem in problems
            ]
        return result

    def _arguments(self) -> dict:
        texts = {"type": "list", "elements": "str", "default": []}
        validation, arguments = self.validate_argument_spec(
            {
                # settings of users: one of the wrong kind is a problem among the others, not an end
                "accept": {"type": "raw"},
                "run_group": {"type": "raw"},
                "probe_endpoint": {"type": "raw", "default": True},
                "ports": {"type": "list", "elements": "dict", "default": []},
                "versions": {"type": "dict"},
                "etcd_versions": texts,
                "needs": {"type": "dict", "default": {}},
                "controller_packages": texts,
                "controller_collections": texts,
                "ansible_version": {"type": "str", "default": ""},
            }
        )
        del validation
        return arguments

    def _role_defaults(self) -> dict:
        """All roles' defaults, and what the role cluster derives from them.

        The role preflight does not depend on the role cluster: Ansible would check the settings against that role's argument_specs
        first, and end the run with the first wrong one.
        """
        paths = sorted(glob.glob(os.path.join(ROLES, "*", "defaults", "main.yml"))) + sorted(
            glob.glob(os.path.join(ROLES, "cluster", "vars", "main", "*.yml"))
        )
        variables: dict = {}
        for path in paths:
            variables.update(self._loader.load_from_file(path, cache="all", trusted_as_template=True) or {})
        return variables

    def _resolve(self, value):
        """A value as a role would see it, as far as that can be told here."""
        if is_encrypted(value):
            return UNRESOLVED
        if not is_template(value):
            return value
        try:
            return self._templar_here.template(value)
        except AnsibleError:
            return UNRESOLVED

    def _settings(self, specs: dict, task_vars: dict) -> tuple[dict, dict[str, str]]:
        """Effective values of the cluster's settings and of all ports; and why those that have none could not be evaluated."""
        values, unresolved = {}, {}
        for name in specs:
            wanted = (
                name.startswith(("cluster_", "cni_"))
                or name.endswith("_port")
                or name in ("kube_master_node_cidr_mask_size", "lb_keepalived")
            )
            raw = task_vars.get(name, self._defaults.get(name))
            if not wanted or name == "cluster_host_address" or raw is None:
                continue
            try:
                values[name] = self._templar_here.template(raw)
            except AnsibleError as error:
                values[name], unresolved[name] = None, str(error).splitlines()[0]
        return values, unresolved

    def _plan(self, arguments: dict, inventory: Inventory, task_vars: dict) -> Plan:
        specs = role_specs()
        settings, unresolved = self._settings(specs, task_vars)
        groups = {name: list(hosts) for name, hosts in task_vars["groups"].items()}
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
            definitions=inventory.definitions(self._resolve),
            specs=specs,
            prefixes=tuple(f"{os.path.basename(path)}_" for path in glob.glob(os.path.join(ROLES, "*"))),
            supported=supported_versions(
                arguments["versions"] or self._defaults.get("cluster_version_table"), arguments["etcd_versions"]
            ),
            ports=[port_use(port, settings) for port in arguments["ports"] if is_used(port, settings)],
            unresolved=unresolved,
            run=list(task_vars["ansible_play_hosts_all"]),
            run_group=str(arguments["run_group"] or ""),
            controller=self._controller(arguments, str(settings.get("cluster_dir") or ""), inventory),
        )

    @staticmethod
    def _controller(arguments: dict, cluster_dir: str, inventory: Inventory) -> Controller:
        exists = os.path.isdir(cluster_dir)
        return Controller(
            ansible=release.__version__,
            ansible_minimum=arguments["ansible_version"],
            missing_packages=tuple(
                name for name in arguments["controller_packages"] if importlib.util.find_spec(name) is None
            ),
            missing_collections=tuple(name for name in arguments["controller_collections"] if not has_collection(name)),
            cluster_dir=cluster_dir,
            cluster_dir_mode=os.stat(cluster_dir).st_mode if exists else None,
            cluster_dir_writable=not exists or os.access(cluster_dir, os.W_OK),
            inventory_dirs=tuple(
                os.path.abspath(source) for source in inventory.manager._sources if os.path.isdir(source)
            ),
        )

    def _site(self, arguments: dict, plan: Plan, inventory: Inventory) -> Site:
        site = Site(
            hosts=[self._host(name, plan.hosts[name]) for name in plan.run if name in plan.hosts],
            groups=plan.groups,
            settings=plan.settings,
            ports=plan.ports,
            needs=needs_of(arguments["needs"]),
            authorities=authorities_in(plan.controller.cluster_dir),
        )
        if truth(arguments["probe_endpoint"]) and plan.setting("cluster_lb") != "external":
            authority = os.path.join(plan.controller.cluster_dir, "pki", "ca-bundle.pem")
            site.probe = probe(
                plan.setting("cluster_endpoint_address"), plan.settings.get("cluster_endpoint_port"), authority
            )
        return site

    def _host(self, name: str, machine: Machine) -> Host:
        variables = {**self._defaults, **self._hostvars.raw_get(name)}
        templar = self._templar.copy_with_new_env(available_variables=variables)
        facts = variables.get("ansible_facts", {}).get("hardway_host", {})

        def setting(variable: str, otherwise):
            try:
                value = templar.template(variables[variable])
            except (AnsibleError, KeyError):
                return otherwise
            return value if isinstance(value, type(otherwise)) else otherwise

        return Host(
            name=name,
            groups=machine.groups,
            address=machine.address,
            facts=facts,
            swap_is_turned_off=setting("host_swap_off", False),
            kubelet_config=setting("kube_node_kubelet_config", {}),
        )


def port_use(entry: dict, settings: dict) -> PortUse:
    setting = entry.get("setting") or ""
    return PortUse(
        group=entry["group"],
        port=settings.get(setting, entry["port"]),
        setting=setting,
        component=entry["component"],
        units=tuple(entry.get("units") or ()),
    )


def is_used(entry: dict, settings: dict) -> bool:
    """Whether all settings are as an entry's `where` wants them."""
    return all(
        str(settings.get(name)).lower() == str(value).lower() for name, value in (entry.get("where") or {}).items()
    )


def words(value) -> list[str]:
    return [str(word) for word in value] if isinstance(value, (list, tuple)) else []


def truth(value) -> bool:
    return str(value).lower() not in ("false", "no", "off", "0")


def needs_of(values: dict) -> Needs:
    """What was asked for, as far as it has the right kind: one of the wrong kind is reported as a setting, and its default serves here."""
    standard = Needs()
    fitting = {}
    for item in fields(Needs):
        otherwise = getattr(standard, item.name)
        value = values.get(item.name, otherwise)
        try:
            fitting[item.name] = tuple(value) if isinstance(otherwise, tuple) else type(otherwise)(value)
        except (TypeError, ValueError):
            fitting[item.name] = otherwise
    return Needs(**fitting)


def has_collection(name: str) -> bool:
    try:
        return importlib.util.find_spec(f"ansible_collections.{name}") is not None
    except ImportError:
        return False
