# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with an inventory and with the controller, judged from plain data, before any connection is made.

Every check is a function from a Plan to problems. It passes over what it cannot read: a value of the wrong kind is
reported by the check of values, once, and must not stop the others.
The networks are read with the standard library, not with netaddr, so that a controller without netaddr is told about it
together with everything else.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import static_token
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import ERROR, WARNING, Problem

CLUSTER_GROUPS = ("etcd", "kube_master", "kube_node", "lb")
LABEL = re.compile(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"
)  # RFC 1123, section 2.1, in the lower case that Kubernetes wants
NODE_MASK = {4: 24, 6: 64}  # kube-controller-manager's defaults of --node-cidr-mask-size-ipv4 and -ipv6
SERVICE_BITS = 20  # kube-apiserver refuses a service network with more bits for hosts than this
SECRET_NAME = re.compile(r"pass|secret|token|key\b|credential", re.IGNORECASE)
SIMILAR = 0.8  # difflib's ratio from which a name counts as a misspelling of another
TRUTH = {"true", "false", "yes", "no", "on", "off", "1", "0"}
UNRESOLVED = object()  # value of a definition whose template could not be evaluated where it stands
BLOCK_SIZES = range(20, 33)  # Calico's, of IPv4
KUBEADM_FROM = [1, 31]  # kubeadm.k8s.io/v1beta4 came with it
ETCD_MEMBERS = 7  # etcd's documents advise at most seven: each write goes to a majority


@dataclass(frozen=True)
class Definition:
    """One variable as it stands in the inventory: its name, its value, and where it stands."""

    name: str
    value: Any
    place: str


@dataclass(frozen=True)
class Machine:
    """A host of the inventory: its name, and the address under which other hosts reach it."""

    name: str
    address: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class PortUse:
    """A port on which a component listens on every host of a group."""

    group: str
    port: Any
    setting: str
    component: str
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
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


@dataclass
class Plan:
    """All that the checks of the inventory look at.

    settings: effective values of the cluster's settings. specs: the merged options of all roles' argument_specs, by name.
    supported: by minor version of Kubernetes, the versions of etcd and containerd (as prefixes) and the runtimes that go with it.
    unresolved: settings whose templates cannot be evaluated, with the reason. run: the hosts of this run.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    hosts: dict[str, Machine] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    specs: dict[str, dict] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    supported: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    ports: list[PortUse] = field(default_factory=list)
    unresolved: dict[str, str] = field(default_factory=dict)
    run: list[str] = field(default_factory=list)
    run_group: str = ""
    controller: Controller = field(default_factory=Controller)

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


def address_moves(settings: dict[str, Any]) -> bool:
    """Whether the load balancers hand the endpoint's address over among them. If not, it is an address that a host has of its own."""
    return settings.get("cluster_lb") != "external" and str(settings.get("lb_keepalived", True)).lower() not in (
        "false",
        "no",
        "off",
        "0",
    )


def address_of(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(value).strip())
    except ValueError:
        return None


def network_of(value: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(value).strip()) if "/" in str(value) else None
    except ValueError:
        return None


def overlap(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one.version == other.version and one.overlaps(other)


def contains(network: Any, address: Any) -> bool:
    return network is not None and address is not None and network.version == address.version and address in network


def nearest(name: str, names: Iterable[str], similar: float = SIMILAR) -> str:
    """The most similar of the names, or nothing if none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=similar)
    return found[0] if found else ""


def listed(words: Iterable[Any], conjunction: str = "and") -> str:
    texts = [str(word) for word in words]
    return f" {conjunction} ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def version_of(text: str) -> tuple[int, ...] | None:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]+)?\Z", text)
    return tuple(int(part) for part in match.groups()) if match else None


def minor_of(text: str) -> str:
    version = version_of(text)
    return f"{version[0]}.{version[1]}" if version else ""


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def is_domain(text: str) -> bool:
    """A domain name of RFC 1123 in lower case, without a trailing dot."""
    return 0 < len(text) <= 253 and all(LABEL.match(label) for label in text.split("."))


def supported_versions(table: Any, etcd: Iterable[Any] = ()) -> dict[str, dict[str, list[str]]]:
    """What goes with each minor version of Kubernetes, from the version table of the role cluster, where each tells what is new against the one before.

    An entry's `etcd`, `containerd`, `coredns`, `calico` and `runtime` are lists of versions (as prefixes) and names; `containerd_major` serves, too.
    `tried: false` makes a warning.
    """
    supported = {}
    values: dict[str, Any] = {}
    for minor, entry in sorted((table or {}).items(), key=lambda item: _numbers(str(item[0]))):
        values = {**values, **(entry if isinstance(entry, dict) else {})}
        major = values.get("containerd_major")
        containerd = values.get("containerd") or ([major] if major else [])
        supported[str(minor)] = {
            "etcd": [str(version) for version in values.get("etcd") or etcd],
            "containerd": [str(version) for version in containerd],
            "coredns": [str(version) for version in values.get("coredns") or []],
            "calico": [str(version) for version in values.get("calico") or []],
            "runtime": list(values.get("runtime") or []),
            "untried": [] if values.get("tried", True) else [str(minor)],
        }
    return supported


# --- groups and hosts


def check_groups(plan: Plan) -> Iterator[Problem]:
    wanted = [group for group in CLUSTER_GROUPS if group != "lb" or plan.setting("cluster_lb") != "external"]
    for group in wanted:
        if plan.members(group):
            continue
        others = [name for name in plan.groups if name not in (*CLUSTER_GROUPS, "all", "ungrouped")]
        similar = nearest(group, others, 0.6)
        mend = f"Rename the group {similar} to {group}." if similar else f"List the hosts under the group {group}."
        if group == "lb":
            mend += " If a load balancer of your own serves the endpoint, set cluster_lb: external."
        what = "has no hosts" if group in plan.groups else "is missing"
        yield Problem("missing-group", f"group {group}", f"The group {what}.", mend)
    if plan.setting("cluster_lb") == "external" and plan.members("lb"):
        yield Problem(
            "unused-group",
            "group lb",
            "cluster_lb is external, so nothing will be installed on the hosts of this group.",
            "Empty the group, or set cluster_lb to haproxy or nginx.",
            WARNING,
        )


def check_etcd_members(plan: Plan) -> Iterator[Problem]:
    number = len(plan.members("etcd"))
    if number and number % 2 == 0:
        yield Problem(
            "even-etcd-members",
            "group etcd",
            f"{number} members ({listed(plan.members('etcd'))}) survive no more failures than {number - 1}, and one more host can fail.",
            f"Use {number - 1} or {number + 1} members.",
            # Members come and go one at a time, so a cluster passes through even numbers.
            ERROR if set(plan.members("etcd")) <= set(plan.run) else WARNING,
        )
    if number > ETCD_MEMBERS:
        yield Problem(
            "many-etcd-members",
            "group etcd",
            f"{number} members make every write wait for {number // 2 + 1} of them.",
            "Use 3 or 5 members (etcd's documents advise at most 7).",
            WARNING,
        )


def check_load_balancers(plan: Plan) -> Iterator[Problem]:
    members = plan.members("lb")
    if len(members) > 1 and plan.setting("cluster_lb") != "external" and not plan.address_moves:
        yield Problem(
            "several-load-balancers",
            plan.place("lb_keepalived"),
            f"{listed(members)} cannot share an address, for lb_keepalived is false and nothing moves it among them.",
            "Keep one host in the group lb; or set lb_keepalived: true and choose a free address for cluster_endpoint_address.",
        )
    if len(members) == 1 and plan.address_moves:
        yield Problem(
            "single-load-balancer",
            "group lb",
            f"{members[0]} alone holds the virtual address: when it fails, the API is gone.",
            "Add a second host to the group; or set lb_keepalived: false and take its own address, if one is meant.",
            WARNING,
        )


def check_names(plan: Plan) -> Iterator[Problem]:
    for machine in plan.cluster_hosts():
        if not is_domain(machine.name):
            yield Problem(
                "invalid-host-name",
                f"host {machine.name}",
                "A host's name in the inventory is its node's name, and this is not a name in the sense of RFC 1123 in lower case.",
                "Rename it: letters a-z, digits, hyphens inside, dots between labels, no underscore, at most 63 characters a label.",
            )


def check_addresses(plan: Plan) -> Iterator[Problem]:
    seen: dict[Any, str] = {}
    for machine in plan.cluster_hosts():
        address = address_of(machine.address)
        place = f"host {machine.name}"
        if address is None:
            yield Problem(
                "invalid-address",
                place,
                f"{machine.address!r} is not an IP address.",
                "Set cluster_host_address of the host to the address under which the other hosts reach it (its default is ansible_host).",
            )
            continue
        if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
            yield Problem(
                "unusable-address",
                place,
                f"No other host can reach it at {address}.",
                "Set cluster_host_address of the host to an address that the other hosts can reach.",
            )
        if address in seen:
            yield Problem(
                "duplicate-address",
                place,
                f"It has the same address as {seen[address]}: {address}.",
                "Give each host an address of its own (ansible_host or cluster_host_address), or list the host once, in several groups.",
            )
        seen.setdefault(address, machine.name)


def check_run(plan: Plan) -> Iterator[Problem]:
    known = {name for group in CLUSTER_GROUPS for name in plan.members(group)}
    for name in plan.run:
        if known and name not in known:
            yield Problem(
                "host-outside-cluster",
                f"host {name}",
                f"It is in none of the groups {listed(CLUSTER_GROUPS)}.",
                "Add it to a group, or leave it out of --limit.",
            )
        elif plan.run_group and name not in plan.members(plan.run_group):
            yield Problem(
                "host-outside-group",
                f"host {name}",
                f"This playbook is for hosts of the group {plan.run_group}, and it is not in it.",
                f"Add {name} to the group {plan.run_group}, or name another host with --limit.",
            )


# --- networks and endpoint


def check_networks(plan: Plan) -> Iterator[Problem]:
    networks = {}
    for name in ("cluster_pod_network", "cluster_service_network"):
        networks[name] = network_of(plan.setting(name))
        if networks[name] is None and name not in plan.unresolved:
            yield Problem(
                "invalid-network",
                plan.place(name),
                f"{plan.setting(name)!r} is not a network.",
                "Write its first address and its length, for example 10.244.0.0/16.",
            )
    pod, service = networks["cluster_pod_network"], networks["cluster_service_network"]
    if overlap(pod, service):
        yield Problem(
            "overlapping-networks",
            plan.place("cluster_service_network"),
            f"The service network {service} and the pod network {pod} overlap.",
            "Choose two networks that have no address in common.",
        )
    for name, network in networks.items():
        inside = [machine.name for machine in plan.cluster_hosts() if contains(network, address_of(machine.address))]
        if inside:
            yield Problem(
                "host-inside-network",
                plan.place(name),
                f"The network {network} holds addresses of hosts: {listed(inside)}.",
                "Choose a network that no host, and nothing that the hosts must reach, has an address in.",
            )


def check_network_sizes(plan: Plan) -> Iterator[Problem]:
    pod = network_of(plan.setting("cluster_pod_network"))
    names = set(plan.members("kube_node"))
    nodes = len(names)
    if pod is not None:
        own = plan.setting(
            "cni_calico_block_size" if plan.setting("cluster_cni") == "calico" else "kube_master_node_cidr_mask_size"
        )
        mask = int(own) if own.isdigit() and pod.version == 4 else NODE_MASK[pod.version]
        room = 2 ** (mask - pod.prefixlen) if pod.prefixlen <= mask else 0
        if room < nodes:
            yield Problem(
                "small-network",
                plan.place("cluster_pod_network"),
                f"{pod} has room for {room} nodes (a /{mask} each), and there are {nodes}.",
                f"Use a network of at least /{mask - (nodes - 1).bit_length()}, and leave room to grow.",
                ERROR if names <= set(plan.run) else WARNING,  # the nodes of this run may still fit
            )
    service = network_of(plan.setting("cluster_service_network"))
    if service is None:
        return
    bits = service.max_prefixlen - service.prefixlen
    if bits < 4:
        yield Problem(
            "small-network",
            plan.place("cluster_service_network"),
            f"{service} has room for {2**bits - 2 if bits > 1 else 0} services.",
            "Use a network of at least 16 addresses; 10.96.0.0/16 is usual.",
        )
    if bits > SERVICE_BITS:
        yield Problem(
            "large-network",
            plan.place("cluster_service_network"),
            f"kube-apiserver refuses a service network as large as {service}.",
            f"Use a network of /{service.max_prefixlen - SERVICE_BITS} or smaller.",
        )


def check_families(plan: Plan) -> Iterator[Problem]:
    pod, service = network_of(plan.setting("cluster_pod_network")), network_of(plan.setting("cluster_service_network"))
    if pod is None:
        return
    if service is not None and service.version != pod.version:
        yield Problem(
            "address-family",
            plan.place("cluster_service_network"),
            f"The service network is IPv{service.version}, the pod network IPv{pod.version}.",
            "Use one address family for both.",
        )
    others = [
        machine.name
        for machine in plan.cluster_hosts()
        if getattr(address_of(machine.address), "version", pod.version) != pod.version
    ]
    if others:
        yield Problem(
            "address-family",
            plan.place("cluster_pod_network"),
            f"The pod network is IPv{pod.version}, the addresses of {listed(others)} are not.",
            "Use the family of the hosts' addresses for the cluster's networks.",
        )


def check_endpoint(plan: Plan) -> Iterator[Problem]:
    name = "cluster_endpoint_address"
    if name in plan.unresolved:
        return
    text, place = plan.setting(name), plan.place(name)
    address = address_of(text)
    if not text:
        yield Problem(
            "missing-endpoint",
            place,
            "The address at which the API is reached is not set.",
            "Set it to a free address in the load balancers' subnet (the virtual address), or to that of your own load balancer.",
        )
        return
    if address is None:
        yield Problem(
            "invalid-endpoint",
            place,
            f"{text!r} is not an IP address.",
            "Set an IP address; a domain name belongs into cluster_endpoint_name.",
        )
        return
    if address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local:
        yield Problem(
            "invalid-endpoint",
            place,
            f"No host can reach the API at {address}.",
            "Set an address in the load balancers' subnet.",
        )
    for network in ("cluster_pod_network", "cluster_service_network"):
        if contains(network_of(plan.setting(network)), address):
            yield Problem(
                "endpoint-inside-network",
                place,
                f"{address} lies inside {network}, {plan.setting(network)}.",
                "Choose an address outside of both networks, in the load balancers' subnet.",
            )
    holders = [machine.name for machine in plan.cluster_hosts() if address_of(machine.address) == address]
    if holders and plan.address_moves:
        yield Problem(
            "endpoint-is-host",
            place,
            f"{address} is the address of {listed(holders)}, but the load balancers move it among them.",
            "Choose a free address; or, if nothing should move it, set lb_keepalived: false for a single load balancer, or cluster_lb: external.",
        )
    elif plan.setting("cluster_lb") != "external" and holders and not set(holders) & set(plan.members("lb")):
        yield Problem(
            "endpoint-is-host",
            place,
            f"{address} is the address of {listed(holders)}, and {listed(plan.members('lb'))} is to serve it.",
            "Set an address of the load balancer.",
        )


def check_names_of_cluster(plan: Plan) -> Iterator[Problem]:
    for name, example in (("cluster_dns_domain", "cluster.local"), ("cluster_endpoint_name", "api.example.org")):
        text = plan.setting(name)
        if (text or name == "cluster_dns_domain") and name not in plan.unresolved and not is_domain(text):
            yield Problem(
                "invalid-domain",
                plan.place(name),
                f"{text!r} is not a domain name.",
                f"Use lower case letters, digits, hyphens and dots, as in {example}.",
            )
    cluster = plan.setting("cluster_name")
    if cluster and not LABEL.match(cluster):
        yield Problem(
            "invalid-domain",
            plan.place("cluster_name"),
            f"{cluster!r} cannot name a cluster: it becomes part of names and paths.",
            "Use lower case letters, digits and hyphens.",
        )


def check_static_tokens(plan: Plan) -> Iterator[Problem]:
    tokens = plan.settings.get("cluster_static_tokens") or []
    if not fits(tokens, "list") or not all(
        isinstance(entry, dict) and {"user", "uid"} <= set(entry) for entry in tokens
    ):
        return
    wanted = [
        static_token.Line(
            str(entry["user"]),
            str(entry["uid"]),
            tuple(map(str, entry.get("groups") or ())),
            str(entry.get("token") or ""),
        )
        for entry in tokens
    ]
    for sentence in static_token.check(wanted):
        yield Problem(
            "invalid-static-token",
            plan.place("cluster_static_tokens"),
            f"{sentence}.",
            "The API server would not start with it: correct it.",
        )
    user = plan.setting("cluster_bootstrap_user")
    if user and user not in {line.user for line in wanted}:
        yield Problem(
            "unknown-bootstrap-user",
            plan.place("cluster_bootstrap_user"),
            f"cluster_static_tokens has no user {user!r}, so nodes could not join.",
            "Add the user there, or leave cluster_bootstrap_user empty: then every run makes a token of its own.",
        )


def check_dns(plan: Plan) -> Iterator[Problem]:
    name = "cluster_dns_address"
    text, service = plan.setting(name), network_of(plan.setting("cluster_service_network"))
    if not text or service is None:
        return
    address = address_of(text)
    mend = "Remove the setting (its default is the tenth address of the service network), or choose another address of that network."
    if not contains(service, address):
        yield Problem(
            "dns-outside-service-network",
            plan.place(name),
            f"{text} is not an address of the service network {service}.",
            mend,
        )
    elif address in (service[0], service[1], service[-1]):
        yield Problem(
            "dns-address-reserved",
            plan.place(name),
            f"{text} is reserved: the first address is the API's own service.",
            mend,
        )


# --- versions and choices


def check_kubernetes_version(plan: Plan) -> Iterator[Problem]:
    name = "cluster_kubernetes_version"
    minor = minor_of(plan.setting(name))
    if minor and plan.supported and minor not in plan.supported:
        yield Problem(
            "unsupported-version",
            plan.place(name),
            f"Kubernetes {plan.setting(name)} is not supported.",
            f"Use a version of {listed(sorted(plan.supported, key=_numbers), 'or')}.",
        )
    elif minor in plan.supported and plan.supported[minor].get("untried"):
        tried = [known for known in plan.supported if not plan.supported[known].get("untried")]
        yield Problem(
            "untried-version",
            plan.place(name),
            f"Kubernetes {minor} was not tried with this collection.",
            f"Try it where nothing depends on it, or use a version of {listed(sorted(tried, key=_numbers), 'or')}.",
            WARNING,
        )


def check_versions(plan: Plan) -> Iterator[Problem]:
    for name in sorted(plan.settings):
        if name.startswith("cluster_") and name.endswith("_version") and plan.setting(name):
            text = plan.setting(name)
            # containers' and plugins' versions carry suffixes and two or four parts: pause 3.10, v1.8.0-flannel1
            strict = name in ("cluster_kubernetes_version", "cluster_etcd_version", "cluster_containerd_version")
            if not (version_of(text) if strict else re.match(r"v?\d+(\.\d+)+([-+][\w.+-]+)?\Z", text)):
                yield Problem(
                    "invalid-version",
                    plan.place(name),
                    f"{text!r} is not a version.",
                    "Write it as upstream does, without a v, in quotes: '1.36.3'.",
                )


def check_combination(plan: Plan) -> Iterator[Problem]:
    version = plan.setting("cluster_kubernetes_version")
    minor = minor_of(version)
    tables = [plan.supported[minor]] if minor in plan.supported else list(plan.supported.values())
    for component in ("etcd", "containerd", "coredns"):
        name = f"cluster_{component}_version"
        text, known = (
            plan.setting(name),
            list(dict.fromkeys(prefix for table in tables for prefix in table.get(component) or [])),
        )
        if component == "containerd" and plan.setting("cluster_runtime") == "docker":
            continue
        if known and version_of(text) and not any(text.lstrip("v").startswith(f"{prefix}.") for prefix in known):
            yield Problem(
                "unsupported-combination",
                plan.place(name),
                f"{component} {text} does not go with Kubernetes {version if minor in plan.supported else 'of any supported version'}.",
                f"Use {component} {listed(known, 'or')}.",
            )
    runtimes = [runtime for table in tables for runtime in table.get("runtime") or []]
    if (
        runtimes
        and plan.setting("cluster_runtime") in ("docker", "containerd")
        and plan.setting("cluster_runtime") not in runtimes
    ):
        yield Problem(
            "unsupported-combination",
            plan.place("cluster_runtime"),
            f"The runtime {plan.setting('cluster_runtime')} does not go with Kubernetes {version}.",
            f"Use {listed(runtimes, 'or')}.",
        )


def check_kubeadm(plan: Plan) -> Iterator[Problem]:
    if plan.setting("cluster_installer") != "kubeadm":
        return
    version, runtime = plan.setting("cluster_kubernetes_version"), plan.setting("cluster_runtime")
    if version_of(version) and _numbers(minor_of(version)) < KUBEADM_FROM:
        yield Problem(
            "unsupported-combination",
            plan.place("cluster_kubernetes_version"),
            f"kubeadm {version} does not read the configuration (kubeadm.k8s.io/v1beta4) that is written here.",
            f"Use Kubernetes {'.'.join(map(str, KUBEADM_FROM))} or later, or cluster_installer: binaries.",
        )
    if runtime and runtime != "containerd":
        yield Problem(
            "unsupported-combination",
            plan.place("cluster_runtime"),
            f"Masters and nodes by kubeadm run containerd here, not {runtime}.",
            "Set cluster_runtime: containerd, or cluster_installer: binaries.",
        )
    strangers = plan.masters_without_pods
    if strangers:
        yield Problem(
            "unsupported-combination",
            "group kube_node",
            f"kubeadm makes a node of every master, and {listed(strangers)} {'is' if len(strangers) == 1 else 'are'} not in it.",
            "Put every master into the group kube_node, too.",
        )


def check_calico(plan: Plan) -> Iterator[Problem]:
    if plan.setting("cluster_cni") != "calico":
        return
    method, encapsulation = plan.setting("cni_calico_method"), plan.setting("cni_calico_encapsulation")
    kind = "unsupported-combination"
    if method == "operator" and plan.setting("cni_calico_datastore") == "etcd":
        yield Problem(
            kind,
            plan.place("cni_calico_datastore"),
            "Calico's operator keeps Calico's data in the API alone.",
            "Set cni_calico_method: manifest, or cni_calico_datastore: kubernetes.",
        )
    if (
        encapsulation
        and not encapsulation.startswith("vxlan")
        and plan.setting("cni_calico_bgp")
        and not plan.truth("cni_calico_bgp")
    ):
        yield Problem(
            kind,
            plan.place("cni_calico_bgp"),
            f"With cni_calico_encapsulation={encapsulation} nodes learn of each other's pods by BGP alone.",
            "Set cni_calico_bgp: true, or cni_calico_encapsulation: vxlan.",
        )
    if method == "operator" and plan.truth("cni_calico_apiserver") and plan.masters_without_pods:
        yield Problem(
            kind,
            plan.place("cni_calico_apiserver"),
            f"{listed(plan.masters_without_pods)} would have to ask Calico's API server at its Service, which masters that are no nodes do not reach.",
            "Set cni_calico_apiserver: false, or put the masters into the group kube_node, too.",
        )
    pod, size = network_of(plan.setting("cluster_pod_network")), plan.setting("cni_calico_block_size")
    if size.isdigit() and int(size) not in BLOCK_SIZES:
        yield Problem(
            "invalid-block-size",
            plan.place("cni_calico_block_size"),
            f"Calico has no blocks of /{size}.",
            f"Use a prefix length from {BLOCK_SIZES[0]} to {BLOCK_SIZES[-1]}; 26 is usual.",
        )
    if pod is not None and pod.version != 4:
        yield Problem(
            "address-family",
            plan.place("cluster_pod_network"),
            "Calico is set up for IPv4 here.",
            "Use an IPv4 network, or another cluster_cni.",
        )
    yield from check_calico_version(plan)


def check_calico_version(plan: Plan) -> Iterator[Problem]:
    kubernetes, calico = plan.setting("cluster_kubernetes_version"), plan.setting("cluster_calico_version")
    if minor_of(kubernetes) not in plan.supported or not version_of(calico):
        return
    known = plan.supported[minor_of(kubernetes)].get("calico") or []
    first = next((minor for minor in sorted(plan.supported, key=_numbers) if plan.supported[minor].get("calico")), "")
    if not known:
        yield Problem(
            "unsupported-combination",
            plan.place("cluster_cni"),
            f"No release of Calico that is known here goes with Kubernetes {kubernetes}.",
            f"Use Kubernetes {first} or later, or another cluster_cni." if first else "Use another cluster_cni.",
        )
    elif not any(calico.startswith(f"{prefix}.") for prefix in known):
        yield Problem(
            "unsupported-combination",
            plan.place("cluster_calico_version"),
            f"Calico {calico} does not go with Kubernetes {kubernetes}, by what its makers test.",
            f"Use Calico {listed(known, 'or')}.",
        )


def check_artifacts(plan: Plan) -> Iterator[Problem]:
    name = "cluster_mirror"
    text = plan.setting(name)
    if text:
        parts = urlsplit(text)
        try:
            port_is_wrong = parts.port == 0
        except ValueError:
            port_is_wrong = True
        if (
            parts.scheme not in ("http", "https", "file")
            or (parts.scheme != "file" and not parts.hostname)
            or port_is_wrong
            or re.search(r"\s", text)
        ):
            yield Problem(
                "invalid-mirror",
                plan.place(name),
                f"{text!r} is not an address of a mirror.",
                "Write the base address of a web server, for example http://mirror.example.org:8088, or leave it empty for upstream.",
            )
    elif plan.setting("cluster_image_source") == "archive":
        yield Problem(
            "mirror-needed",
            plan.place("cluster_image_source"),
            "Image archives come from a mirror, and cluster_mirror is empty.",
            "Set cluster_mirror, or set cluster_image_source: registry.",
        )


# --- ports


def port_of(value: Any) -> int | None:
    """A port number, 0 if the value is none, None if it is not set."""
    if value in (None, ""):
        return None
    try:
        number = int(str(value))
    except ValueError:
        return 0
    return number if 1 <= number <= 65535 else 0


def check_ports(plan: Plan) -> Iterator[Problem]:
    names = {use.setting: use.port for use in plan.ports if use.setting}
    names.update({name: value for name, value in plan.settings.items() if name.endswith("_port")})
    for name, value in sorted(names.items()):
        if port_of(value) == 0 and name not in plan.unresolved:
            yield Problem(
                "invalid-port", plan.place(name), f"{value!r} is not a port.", "Use a number from 1 to 65535."
            )


def check_port_conflicts(plan: Plan) -> Iterator[Problem]:
    seen: dict[tuple[int, str, str], list[str]] = {}
    for machine in plan.cluster_hosts():
        uses: dict[int, PortUse] = {}
        for use in plan.ports:
            port = port_of(use.port)
            if not port or machine.name not in plan.members(use.group):
                continue
            other = uses.setdefault(port, use)
            if other.component != use.component:
                first, second = sorted((other, use), key=lambda item: item.setting != "cluster_endpoint_port")
                seen.setdefault(
                    (port, first.setting or second.setting, listed((first.component, second.component))), []
                ).append(machine.name)
    for (port, setting, components), names in seen.items():
        yield Problem(
            "port-conflict",
            plan.place(setting),
            f"{components} would both listen on port {port} of {listed(names)}.",
            f"Choose another port with {setting}, or take the hosts out of one of the groups.",
        )


# --- settings


def secret(name: str, spec: dict | None = None) -> bool:
    return bool((spec or {}).get("no_log")) or SECRET_NAME.search(name) is not None


def shown(name: str, value: Any, spec: dict | None = None) -> str:
    """A value for a message: never a secret, never long."""
    if secret(name, spec):
        return "the value"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind_of(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        tuple: "a list",
        dict: "a dictionary",
    }
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else type(value).__name__


def fits(value: Any, kind: str) -> bool:
    """Whether a role can use a value as this kind. A string that reads as a number or a boolean does: -e and INI files give strings."""
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, (int, str)) and str(value).lower() in TRUTH)
    if kind == "int":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, str) and re.match(r"-?\d+\Z", value.strip()) is not None
        )
    if kind == "float":
        return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (
            isinstance(value, str) and re.match(r"-?\d+(\.\d+)?\Z", value) is not None
        )
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, dict)
    if kind in ("str", "path"):
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return True


WORDS = {
    "bool": "a boolean",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "a dictionary",
    "str": "a string",
    "path": "a path",
}
EXAMPLES = {
    "bool": "true or false",
    "int": "a number without quotes",
    "float": "a number",
    "list": "[a, b]",
    "dict": "{name: value}",
    "str": "text in quotes",
    "path": "an absolute path",
}


def check_value(name: str, value: Any, spec: dict, place: str, hidden: bool = False) -> Iterator[Problem]:
    """A value against its entry in argument_specs, and what is in it against the entry's elements and options."""
    if value is None or value is UNRESOLVED:
        if value is None and spec.get("required"):
            yield Problem(
                "wrong-kind-of-value",
                place,
                f"{name} must have a value.",
                "Give it a value, or remove it if the default serves.",
            )
        return
    kind = spec.get("type", "str")
    hidden = hidden or secret(name, spec)
    if not fits(value, kind):
        value_text = "" if hidden or isinstance(value, (dict, list, tuple)) else f" ({shown(name, value, spec)})"
        yield Problem(
            "wrong-kind-of-value",
            place,
            f"{name} is {kind_of(value)}{value_text} and must be {WORDS.get(kind, kind)}.",
            f"Write {EXAMPLES.get(kind, kind)}; `ansible-doc -t role` describes it.",
        )
        return
    yield from check_choice(name, value, spec, place, hidden)
    if kind == "list":
        element = {"type": spec.get("elements", "raw"), "options": spec.get("options")}
        for index, item in enumerate(value):
            yield from check_value(f"{name}[{index}]", item, element, place, hidden)
    if kind == "dict" and spec.get("options"):
        yield from check_options(name, value, spec["options"], place, hidden)


def check_choice(name: str, value: Any, spec: dict, place: str, hidden: bool) -> Iterator[Problem]:
    choices = spec.get("choices")
    items = value if isinstance(value, (list, tuple)) else [value]
    for item in items if choices else ():
        if item in choices or str(item) in map(str, choices):
            continue
        similar = nearest(str(item), map(str, choices), 0.6)
        yield Problem(
            "unknown-choice",
            place,
            f"{'The value' if hidden else shown(name, item, spec)} is not a choice of {name}.",
            f"Use {listed(choices, 'or')}{f' ({similar} was meant?)' if similar else ''}.",
        )


def check_options(name: str, value: dict, options: dict, place: str, hidden: bool) -> Iterator[Problem]:
    for key in value:
        if str(key) not in options:
            similar = nearest(str(key), options, 0.6)
            yield Problem(
                "misspelt-setting",
                place,
                f"{name} has no entry {key!r}.",
                f"Write {similar}." if similar else f"Use {listed(sorted(options), 'or')}.",
            )
    for key, spec in options.items():
        if spec.get("required") and key not in value:
            yield Problem("wrong-kind-of-value", place, f"{name} lacks its entry {key}.", f"Add {key}.")
        if key in value:
            yield from check_value(f"{name}.{key}", value[key], spec or {}, place, hidden)


def check_values(plan: Plan) -> Iterator[Problem]:
    for definition in plan.definitions:
        spec = plan.specs.get(definition.name)
        if spec is not None:
            yield from check_value(definition.name, definition.value, spec, f"{definition.name} ({definition.place})")


def check_spelling(plan: Plan) -> Iterator[Problem]:
    """Names that no role knows: nearly a setting's name is an error, another that has a role's prefix a warning."""
    judged: dict[str, str] = {}
    for definition in plan.definitions:
        name = definition.name
        if name in plan.specs or not plan.specs:
            continue
        prefixed = name.startswith(plan.prefixes) if plan.prefixes else False
        if name not in judged:
            judged[name] = nearest(name, plan.specs, SIMILAR if prefixed else 0.9)
        place = f"{name} ({definition.place})"
        if judged[name]:
            yield Problem("misspelt-setting", place, "No role has a setting of this name.", f"Write {judged[name]}.")
        elif prefixed:
            yield Problem(
                "unknown-setting",
                place,
                "It has the prefix of a role, and no role has a setting of this name.",
                "Remove it, or choose a name without the prefix if it is a variable of your own.",
                WARNING,
            )


def check_unresolved(plan: Plan) -> Iterator[Problem]:
    for name, reason in sorted(plan.unresolved.items()):
        yield Problem(
            "unresolvable-setting",
            plan.place(name),
            f"Its value cannot be evaluated: {'the reason may hold a secret' if secret(name) else reason}",
            "Define what it refers to in the inventory, for all hosts.",
        )


def check_paths(plan: Plan) -> Iterator[Problem]:
    for name in sorted(plan.settings):
        if name in ("cluster_dir", "cluster_install_dir", "cluster_bin_dir"):
            text = plan.setting(name)
            if text and name not in plan.unresolved and (not os.path.isabs(text) or os.path.normpath(text) == "/"):
                yield Problem(
                    "invalid-path",
                    plan.place(name),
                    f"{text!r} is not an absolute path of a directory.",
                    "Write a path that begins with a slash.",
                )


# --- controller


def check_cluster_dir(plan: Plan) -> Iterator[Problem]:
    controller = plan.controller
    path, place = controller.cluster_dir, plan.place("cluster_dir")
    if not path or not os.path.isabs(path):
        return
    for directory in controller.inventory_dirs:
        if os.path.commonpath([os.path.normpath(path), os.path.normpath(directory)]) == os.path.normpath(directory):
            yield Problem(
                "cluster-dir-inside-inventory",
                place,
                f"{path} lies inside {directory}, which Ansible reads whole as an inventory.",
                "Keep the cluster's keys beside the inventory directory, not in it.",
            )
    if controller.cluster_dir_mode is not None and stat.S_IMODE(controller.cluster_dir_mode) & 0o077:
        mode = stat.S_IMODE(controller.cluster_dir_mode)
        yield Problem(
            "cluster-dir-permissions",
            place,
            f"Others than its owner have access to {path} (mode {mode:04o}), and it holds the keys of the authorities.",
            f"Run: chmod 0700 {path}",
        )
    if not controller.cluster_dir_writable:
        yield Problem(
            "cluster-dir-permissions",
            place,
            f"{path} cannot be written by the user that runs Ansible.",
            "Change its owner, or set cluster_dir to another path.",
        )


def check_controller(plan: Plan) -> Iterator[Problem]:
    controller = plan.controller
    if controller.missing_packages:
        yield Problem(
            "controller-packages",
            "controller",
            f"The Python that runs Ansible lacks {listed(controller.missing_packages)}.",
            f"Install into the environment of ansible-playbook: pip install {' '.join(controller.missing_packages)}",
        )
    if controller.missing_collections:
        yield Problem(
            "controller-collections",
            "controller",
            f"Ansible lacks the collections {listed(controller.missing_collections)}.",
            f"Run: ansible-galaxy collection install {' '.join(controller.missing_collections)}",
        )
    if (
        controller.ansible
        and controller.ansible_minimum
        and numbers(controller.ansible) < numbers(controller.ansible_minimum)
    ):
        yield Problem(
            "controller-ansible",
            "controller",
            f"ansible-core {controller.ansible} is too old.",
            f"Install ansible-core {controller.ansible_minimum} or newer.",
        )


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


INVENTORY_CHECKS = (
    check_groups,
    check_etcd_members,
    check_load_balancers,
    check_names,
    check_addresses,
    check_run,
    check_networks,
    check_network_sizes,
    check_families,
    check_endpoint,
    check_names_of_cluster,
    check_dns,
    check_kubernetes_version,
    check_versions,
    check_combination,
    check_kubeadm,
    check_calico,
    check_artifacts,
    check_ports,
    check_port_conflicts,
    check_static_tokens,
    check_values,
    check_spelling,
    check_unresolved,
    check_paths,
    check_cluster_dir,
    check_controller,
)


def check_inventory(plan: Plan) -> list[Problem]:
    """All problems of the inventory and of the controller."""
    return [problem for check in INVENTORY_CHECKS for problem in check(plan)]
