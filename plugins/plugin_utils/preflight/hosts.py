# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the hosts of a run, judged from the facts that host_facts read of them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.inventory import (
    PortUse,
    address_moves,
    address_of,
    listed,
    minor_of,
    network_of,
    numbers,
    overlap,
    port_of,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import ERROR, WARNING, Problem

# interfaces that a running cluster made itself: their networks are its own
OWN_INTERFACE = re.compile(r"(lo\Z|cni|flannel|kube-|cali|tunl|vxlan|veth|nodelocaldns)")
DOCKER_BRIDGE = "docker0"
# Of a process's name the kernel keeps that many characters (proc(5), /proc/PID/comm).
COMM_LENGTH = 15
WILDCARDS = ("0.0.0.0", "::", "*")
CALICO_KERNEL = "5.10"  # of Calico's requirements
NETWORK_STAYS = "The network of a live cluster is not changed, for its pods would be parted from new ones."
NETWORK_SETTINGS = {"cni": "cluster_cni", "method": "cni_{cni}_method", "datastore": "cni_{cni}_datastore"}
FAIL_CGROUP_V1_SINCE = (1, 35)  # kubelet refuses cgroup v1 by default from this minor version on (KEP-5573)
KUBELET_GROUP = "kube_node"


@dataclass(frozen=True)
class Needs:
    """What a host must have. By group where a dictionary's keys are groups; sizes in MiB, differences in seconds.

    distributions: by id of os-release, the oldest version that is supported. foreign_packages: by name, why they disturb.
    packaged: components that may run from a package's unit, since a role installs them so.
    """

    python: str = "3.9"
    kernel: str = "5.4"
    architectures: tuple[str, ...] = ("amd64", "arm64")
    distributions: dict[str, str] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    cpus: dict[str, int] = field(default_factory=dict)
    space: dict[str, dict[str, int]] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)
    features: dict[str, list[str]] = field(default_factory=dict)
    foreign_packages: dict[str, str] = field(default_factory=dict)
    firewalls: tuple[str, ...] = ()
    packaged: tuple[str, ...] = ()
    clock_difference: float = 5.0
    inotify: int = 8


@dataclass(frozen=True)
class Host:
    """A host of the run: its groups, its facts (hardway_host), and its own values of the settings that the checks need."""

    name: str
    groups: tuple[str, ...] = ()
    address: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    swap_is_turned_off: bool = False
    kubelet_config: dict[str, Any] = field(default_factory=dict)

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

    def holds(self, address: Any) -> bool:
        return address is not None and any(
            address_of(entry.get("address")) == address for entry in self.facts.get("addresses") or []
        )


@dataclass(frozen=True)
class Probe:
    """What a TCP connection from the controller to the endpoint met.

    answer: `none` (no answer, or not asked), `refused`, `open` (no certificate seen), `ours` or `foreign` (its certificate is
    verified by the cluster's authority, or not).
    """

    answer: str = "none"


@dataclass
class Site:
    """All that the checks of hosts look at. groups: those of the whole inventory; hosts: those of the run; authorities: the controller's, by SHA-256."""

    hosts: list[Host] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    ports: list[PortUse] = field(default_factory=list)
    needs: Needs = field(default_factory=Needs)
    probe: Probe = field(default_factory=Probe)
    authorities: frozenset[str] = frozenset()

    @property
    def readable(self) -> list[Host]:
        return [host for host in self.hosts if host.readable]

    def setting(self, name: str) -> str:
        return str(self.settings.get(name) or "")


def whole(value: Any) -> int:
    """A whole number; 0 for what is none, since the inventory's checks report its kind."""
    return int(value) if str(value).isdigit() else 0


def largest(by_group: dict[str, int], host: Host) -> int:
    return max((whole(by_group.get(group)) for group in host.groups), default=0)


def gathered(by_group: dict[str, list[str]], host: Host) -> list[str]:
    return list(dict.fromkeys(name for group in host.groups for name in by_group.get(group) or []))


def size(mib: float) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


# --- can it be read at all


def check_access(site: Site) -> Iterator[Problem]:
    for host in site.hosts:
        if not host.facts:
            yield Problem(
                "unread-host",
                host.place,
                "It was not looked at.",
                "Run the playbook preflight.yml without tags that skip its first task.",
            )
        elif not host.readable:
            yield access_problem(host)


def access_problem(host: Host) -> Problem:
    error = str(host.facts.get("error") or "no reason given").strip()
    brief = " ".join(error.split())[-300:]
    if not host.facts.get("reachable"):
        return Problem(
            "unreachable-host",
            host.place,
            f"No connection: {brief}",
            "See that it runs, that ansible_host, ansible_user and its ssh key are right, and try: ssh.",
        )
    if re.search(r"sudo|become|privilege|password|su:|doas", error, re.IGNORECASE):
        return Problem(
            "no-root",
            host.place,
            f"It can be reached, but root's rights cannot be had: {brief}",
            "Let the user ansible_user use sudo (ansible_become_password or NOPASSWD), or connect as root.",
        )
    if re.search(
        r"python\S*:? .*(not found|No such file)|interpreter|No module named|requires a minimum of Python|SyntaxError",
        error,
        re.IGNORECASE | re.DOTALL,
    ):
        return Problem(
            "no-python",
            host.place,
            f"It can be reached, but no usable Python runs there: {brief}",
            "Install python3 (3.9 or newer), or set ansible_python_interpreter of the host.",
        )
    return Problem(
        "unreadable-host",
        host.place,
        f"It can be reached, but not looked at: {brief}",
        "Mend what the message names; -vvv shows more.",
    )


def check_system(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        facts, needs = host.facts, site.needs
        if not facts["root"]:
            yield Problem(
                "no-root", host.place, "The tasks do not run as root.", "Set ansible_become: true, or connect as root."
            )
        if not facts["systemd"]:
            yield Problem(
                "no-systemd",
                host.place,
                "systemd does not run it, and every component is a systemd unit.",
                "Use a machine that is booted with systemd.",
            )
        if numbers(facts["python"]) < numbers(needs.python):
            yield Problem(
                "old-python",
                host.place,
                f"Python {facts['python']} is too old.",
                f"Install Python {needs.python} or newer, or set ansible_python_interpreter to one that is there.",
            )
        oldest = CALICO_KERNEL if host.runs_pods and site.setting("cluster_cni") == "calico" else needs.kernel
        if numbers(facts["kernel"])[:2] < numbers(oldest)[:2]:
            yield Problem(
                "old-kernel",
                host.place,
                f"The kernel {facts['kernel']} is older than {oldest}.",
                "Upgrade the kernel.",
                WARNING,
            )
        architectures = [site.setting("cluster_arch")] if site.setting("cluster_arch") else needs.architectures
        if facts["architecture"] not in architectures:
            yield Problem(
                "unsupported-architecture",
                host.place,
                f"The cluster's binaries do not run on {facts['architecture']}.",
                f"Use a machine of {listed(architectures, 'or')} (cluster_arch).",
            )
        if facts["filesystems"].get("/", {}).get("read_only"):
            yield Problem(
                "read-only-root",
                host.place,
                "Its root filesystem is read-only.",
                "Remount it (mount -o remount,rw /), and look into the kernel's log for the reason.",
            )
        if facts["selinux"] == "enforcing":
            yield Problem(
                "selinux-enforcing",
                host.place,
                "SELinux is enforcing, which this collection does not set up.",
                "Install a policy for containers (container-selinux), or set SELinux to permissive.",
                WARNING,
            )


def check_distributions(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        distribution = host.facts["distribution"]
        oldest = site.needs.distributions.get(distribution["id"])
        if not site.needs.distributions or (
            oldest is not None and numbers(distribution["version"] or "9999") >= numbers(oldest)
        ):
            continue
        known = listed(sorted(f"{name} {version}" for name, version in site.needs.distributions.items()), "or")
        yield Problem(
            "unsupported-distribution",
            host.place,
            f"{distribution['name'] or 'The distribution'} is not among those that this was tried on.",
            f"Use {known}, or newer; or try.",
            WARNING,
        )


# --- identity, clock


def check_identity(site: Site) -> Iterator[Problem]:
    for fact, kind, noun, mend in (
        ("hostname", "duplicate-hostname", "hostname", "Give each its own: hostnamectl set-hostname NAME."),
        (
            "machine_id",
            "duplicate-machine-id",
            "machine-id (cloned machines?)",
            "On the clones: rm /etc/machine-id, systemd-machine-id-setup, reboot.",
        ),
    ):
        seen: dict[str, str] = {}
        for host in site.readable:
            value = host.facts[fact]
            if value and value in seen:
                yield Problem(kind, host.place, f"It has the same {noun} as {seen[value]}: {value}.", mend)
            seen.setdefault(value, host.name)
        for host in site.readable:
            if not host.facts[fact]:
                yield Problem(kind, host.place, f"It has no {noun.split(' ', maxsplit=1)[0]}.", mend)


def check_clocks(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        offset = host.facts.get("clock_offset") or 0.0
        if abs(offset) > site.needs.clock_difference:
            yield Problem(
                "clock-apart",
                host.place,
                f"Its clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the controller's.",
                "Let both follow a time server (chrony or systemd-timesyncd): certificates and leases depend on the time.",
            )


# --- resources


def check_memory(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        memory, processors = largest(site.needs.memory, host), largest(site.needs.cpus, host)
        if host.facts["memory_mib"] < memory:
            yield Problem(
                "little-memory",
                host.place,
                f"It has {size(host.facts['memory_mib'])} of memory and needs {size(memory)} for {listed(host.groups)}.",
                "Give it more memory, or lower preflight_memory if you know that it suffices.",
            )
        if host.facts["cpus"] < processors:
            yield Problem(
                "few-processors",
                host.place,
                f"It has {host.facts['cpus']} and should have {processors} for {listed(host.groups)}.",
                "Give it more processors.",
                WARNING,
            )
        if host.runs_pods and host.facts["inotify_free"] < site.needs.inotify and not host.joined:
            yield Problem(
                "few-inotify-instances",
                host.place,
                f"Only {host.facts['inotify_free']} inotify instances are free; kubelet and containerd need {site.needs.inotify}.",
                "Raise fs.inotify.max_user_instances (in a container: on the machine that runs it).",
            )


def check_space(site: Site) -> Iterator[Problem]:
    """Paths on one filesystem share its space, so what they need is added up."""
    for host in site.readable:
        needed: dict[int, dict[str, int]] = {}
        for group in host.groups:
            paths = site.needs.space.get(group)
            for path, mib in paths.items() if isinstance(paths, dict) else ():
                found = host.facts["filesystems"].get(path)
                if found is not None:
                    sharing = needed.setdefault(found["device"], {})
                    sharing[path] = max(sharing.get(path, 0), whole(mib))
        for paths in needed.values():
            found = host.facts["filesystems"][min(paths)]
            if found["free_mib"] < sum(paths.values()):
                yield Problem(
                    "little-space",
                    host.place,
                    f"{size(found['free_mib'])} free for {listed(sorted(paths))}, {size(sum(paths.values()))} needed.",
                    "Free space there, enlarge the filesystem, or lower preflight_space if you know that it suffices.",
                    WARNING if host.joined else ERROR,
                )
            if found["read_only"] and not host.facts["filesystems"].get("/", {}).get("read_only"):
                yield Problem(
                    "read-only-path",
                    host.place,
                    f"The filesystem of {listed(sorted(paths))} is read-only.",
                    "Mount it read-write.",
                )


def check_swap(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        swap = host.facts["swap"]
        if (
            swap
            and host.runs_pods
            and not host.swap_is_turned_off
            and host.kubelet_config.get("failSwapOn") is not False
        ):
            yield Problem(
                "swap-on",
                host.place,
                f"Swap is on ({listed(swap)}), and kubelet does not start with it.",
                "Let the role host turn it off (host_swap: false), turn it off yourself (swapoff -a, and /etc/fstab), "
                "or set kube_node_kubelet_config.failSwapOn: false.",
            )


def check_kernel(site: Site) -> Iterator[Problem]:
    version = numbers(minor_of(site.setting("cluster_kubernetes_version")))
    for host in site.readable:
        missing = [
            name for name in gathered(site.needs.features, host) if host.facts["features"].get(name) == "missing"
        ]
        if missing:
            yield Problem(
                "missing-kernel-feature",
                host.place,
                f"The kernel {host.facts['kernel']} lacks {listed(missing)}.",
                "Load the module (in a container: on the machine that runs it), or install the kernel package that has it.",
            )
        if (
            host.runs_pods
            and host.facts["cgroup"] == 1
            and version >= FAIL_CGROUP_V1_SINCE
            and host.kubelet_config.get("failCgroupV1") is not False
        ):
            yield Problem(
                "cgroup-v1",
                host.place,
                f"It has cgroup v1, with which kubelet {site.setting('cluster_kubernetes_version')} does not start.",
                "Boot with systemd.unified_cgroup_hierarchy=1, or set kube_node_kubelet_config.failCgroupV1: false.",
            )


def check_commands(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        missing = [
            name
            for name in gathered(site.needs.commands, host)
            if name in host.facts["commands"] and not host.facts["commands"][name]
        ]
        if missing:
            yield Problem(
                "missing-command", host.place, f"It lacks {listed(missing)}.", "Install the packages that have them."
            )


# --- network


def check_host_addresses(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        address = address_of(host.address)
        if address is not None and not host.holds(address):
            own = [
                entry["address"]
                for entry in host.facts["addresses"]
                if entry.get("scope") == "global" and not OWN_INTERFACE.match(entry["interface"])
            ]
            yield Problem(
                "address-not-on-host",
                host.place,
                f"It does not have the address {address}; it has {listed(own) or 'none'}.",
                "Set cluster_host_address of the host to one of its own (ansible_host may stay, if it only serves to reach it).",
            )
        if not host.facts["default_interface"] and host.runs_pods:
            yield Problem(
                "no-default-route",
                host.place,
                "It has no default route, without which services' addresses cannot be reached from it.",
                "Add one, if need be to an address that does not answer.",
                WARNING,
            )


def check_host_networks(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        for name in ("cluster_pod_network", "cluster_service_network"):
            network = network_of(site.setting(name))
            for entry in host.facts["addresses"]:
                if OWN_INTERFACE.match(entry["interface"]) or entry.get("scope") == "link":
                    continue
                if (
                    name == "cluster_pod_network"
                    and entry["interface"] == DOCKER_BRIDGE
                    and site.setting("cluster_runtime") == "docker"
                ):
                    continue  # where docker is on flannel's subnet
                if overlap(network, interface_network(entry)):
                    yield Problem(
                        "host-network-overlap",
                        host.place,
                        f"The network {interface_network(entry)} of its {entry['interface']} overlaps {name}, {network}.",
                        f"Set {name} to a network that no host is connected to.",
                    )


def interface_network(entry: dict) -> Any:
    try:
        return ipaddress.ip_interface(f"{entry['address']}/{entry['prefix']}").network
    except ValueError:
        return None


def check_virtual_address(site: Site) -> Iterator[Problem]:
    address = address_of(site.setting("cluster_endpoint_address"))
    if address is None or site.setting("cluster_lb") == "external":
        return
    place = f"virtual address {address}"
    balancers = [host for host in site.readable if "lb" in host.groups]
    if not address_moves(site.settings):
        yield from check_own_address(address, balancers)
        return
    for host in site.readable:
        if host.holds(address) and "lb" not in host.groups:
            yield Problem(
                "virtual-address-in-use",
                place,
                f"{host.name} has it, which is not a load balancer.",
                f"Remove it from {host.name}, or choose a free address (cluster_endpoint_address).",
            )
    for host in balancers:
        own = [interface_network(entry) for entry in host.facts["addresses"] if address_of(entry["address"]) != address]
        if not any(
            network is not None and network.version == address.version and address in network for network in own
        ):
            yield Problem(
                "virtual-address-outside-subnet",
                place,
                f"It is in no network that {host.name} is connected to.",
                f"Choose an address in the subnet of {host.name} ({host.address}), or let routers send it there and add the kind to preflight_accept.",
            )
    yield from check_answer(site, address, place, balancers)


def check_own_address(address: Any, balancers: list[Host]) -> Iterator[Problem]:
    """A load balancer without keepalived serves at an address that it has."""
    for host in balancers:
        if not host.holds(address):
            yield Problem(
                "endpoint-not-on-load-balancer",
                f"endpoint {address}",
                f"{host.name} does not have it, and without keepalived nobody gives it the address.",
                f"Set cluster_endpoint_address to an address of {host.name} ({host.address}), or lb_keepalived: true.",
            )


def check_answer(site: Site, address: Any, place: str, balancers: list[Host]) -> Iterator[Problem]:
    """Who answers at the virtual address. With all load balancers in the run, only they may."""
    answer = site.probe.answer
    if any(host.holds(address) for host in site.readable):
        return
    everyone = {host.name for host in balancers} >= set(site.groups.get("lb") or [])
    port = site.setting("cluster_endpoint_port")
    what = {
        "foreign": f"what answers at port {port} is not this cluster's API (its certificate is of another authority)",
        "open": f"something answers at port {port}",
        "refused": f"something refuses connections to port {port}, so a host has the address",
    }.get(answer)
    if what and (answer == "foreign" or everyone):
        yield Problem(
            "virtual-address-in-use",
            place,
            f"No load balancer holds it, and {what}." if everyone else f"It is in use: {what}.",
            "Choose a free address (cluster_endpoint_address), or free this one.",
        )


# --- what is on it already


def check_taken_ports(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        told = set()
        for use in site.ports:
            port = port_of(use.port)
            if not port or use.group not in host.groups:
                continue
            for socket in host.facts["listeners"]:
                if (
                    socket["port"] == port
                    and disturbs(socket, host)
                    and not owned(socket, use, site.ports)
                    and (port, socket["pid"]) not in told
                ):
                    told.add((port, socket["pid"]))
                    owner = f"{socket['process'] or 'an unknown process'}{' (pid %d)' % socket['pid'] if socket['pid'] else ''}"
                    yield Problem(
                        "port-taken",
                        host.place,
                        f"Port {port}, which {use.component} needs, is taken by {owner}.",
                        f"Stop {socket['unit'] or 'it'}{f', or choose another port with {use.setting}' if use.setting else ''}.",
                    )


def disturbs(socket: dict, host: Host) -> bool:
    """Whether a listening socket is where our component would listen: everywhere, on the host's address, or on the loopback."""
    address = address_of(socket["address"])
    return (
        socket["address"] in WILDCARDS or address is None or address.is_loopback or address == address_of(host.address)
    )


def owned(socket: dict, use: PortUse, ports: list[PortUse]) -> bool:
    """Whether it is our own component that listens: its unit, or (with kubeadm) its process in a pod."""
    if socket["unit"] == "kubepods":
        return socket["process"] in {other.component[:COMM_LENGTH] for other in ports}
    return socket["unit"] in {f"{unit}.service" for unit in use.units}


def check_versions_in_use(site: Site) -> Iterator[Problem]:
    settings = {
        "kube-apiserver": "cluster_kubernetes_version",
        "kubelet": "cluster_kubernetes_version",
        "etcd": "cluster_etcd_version",
    }
    for host in site.readable:
        for component, version in (host.facts.get("installed") or {}).items():
            wanted = site.setting(settings[component])
            if wanted and version != wanted:
                yield Problem(
                    "other-version",
                    f"host {host.name}",
                    f"It has {component} {version}, and {settings[component]} says {wanted}.",
                    "Run upgrade.yml, which keeps upstream's order and empties nodes, or correct the setting.",
                )


def check_installer(site: Site) -> Iterator[Problem]:
    """Two control planes on one host would take each other's ports and files."""
    for host in site.readable:
        pods = "kube-apiserver" in (host.facts.get("static_pods") or [])
        unit = (host.facts["units"].get("kube-apiserver") or {}).get("file", "").startswith("/etc/")
        found = "kubeadm" if pods else "binaries" if unit else ""
        wanted = site.setting("cluster_installer")
        if found and wanted and found != wanted:
            yield Problem(
                "other-installer",
                host.place,
                f"Its control plane was made by cluster_installer={found}, and the inventory says {wanted}.",
                f"Set cluster_installer to {found}, or reset the cluster first.",
            )


def check_authorities(site: Site) -> Iterator[Problem]:
    """Certificates of authorities that nobody on a host trusts would part its components from those of the other hosts, one by one."""
    for host in site.readable:
        for path, found in (host.facts.get("authorities") or {}).items():
            if site.authorities.isdisjoint(found):
                directory = f"{site.setting('cluster_dir')}/pki"
                has = (
                    f"{directory} has other authorities"
                    if site.authorities
                    else f"{directory} has no authorities, so new ones would be made"
                )
                yield Problem(
                    "other-authorities",
                    host.place,
                    f"It belongs to a cluster already: {path} trusts authorities that are not this controller's ({has}).",
                    "Bring cluster_dir from the controller that made the cluster, or from a backup; or reset this host, if its cluster is no more.",
                )
                break


def check_network(site: Site) -> Iterator[Problem]:
    """Pods have their addresses from the network that was there when they began: another one would part them from those that begin later."""
    for host in site.readable:
        found = host.facts.get("network") or {}
        if found.get("cni") == "foreign":
            if site.setting("cluster_cni") not in ("", "none"):
                yield Problem(
                    "other-cni",
                    host.place,
                    f"It has joined a cluster whose network is not ours (CNI plugin {found['plugin']}), and cluster_cni says {site.setting('cluster_cni')}. "
                    f"{NETWORK_STAYS}",
                    "Set cluster_cni to none, which leaves that network alone, or reset the cluster first.",
                )
            continue
        made = {
            name.format(cni=found.get("cni")): found[fact] for fact, name in NETWORK_SETTINGS.items() if found.get(fact)
        }
        other = [(name, value) for name, value in made.items() if site.setting(name) and site.setting(name) != value]
        # Of another network the other settings mean nothing.
        for name, value in other[:1] if "cluster_cni" in dict(other) else other:
            yield Problem(
                "other-cni",
                host.place,
                f"Its network was made with {name}={value}, and the inventory says {site.setting(name)}. {NETWORK_STAYS}",
                f"Set {name} to {value}; or make the cluster anew with the other network, after reset.yml.",
            )


def check_foreign_software(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        for name, version in sorted(host.facts["packages"].items()):
            if name in site.needs.foreign_packages and host.runs_pods:
                yield Problem(
                    "foreign-package",
                    host.place,
                    f"The package {name} {version} is installed: {site.needs.foreign_packages[name]}.",
                    f"Remove it: apt-get purge {name} (or dnf remove {name}).",
                )
        for name, unit in sorted(host.facts["units"].items()):
            if unit["state"] != "active":
                continue
            if name in site.needs.firewalls:
                yield Problem(
                    "firewall-active",
                    host.place,
                    f"{name} is active and may drop the cluster's traffic.",
                    "Allow the ports that docs/ lists among the hosts, and forwarding for the pod network, or stop it.",
                    WARNING,
                )
            elif name not in site.needs.packaged and unit["file"].startswith(("/lib/", "/usr/lib/")):
                yield Problem(
                    "foreign-component",
                    host.place,
                    f"{name} runs from a package's unit ({unit['file']}) and not from ours.",
                    f"Stop it and remove its package: systemctl disable --now {name}.",
                )


def check_kubelet_certificates(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        certificate = host.facts["kubelet_certificate"]
        if host.runs_pods and certificate["present"] and certificate["expired"]:
            yield Problem(
                "kubelet-certificate-expired",
                host.place,
                f"kubelet's client certificate ({certificate['path']}) has ended or cannot be read; the host will join anew.",
                "Nothing, if it was off for long; else look why kubelet did not renew it.",
                WARNING,
            )


HOST_CHECKS = (
    check_access,
    check_system,
    check_distributions,
    check_identity,
    check_clocks,
    check_memory,
    check_space,
    check_swap,
    check_kernel,
    check_commands,
    check_host_addresses,
    check_host_networks,
    check_virtual_address,
    check_taken_ports,
    check_versions_in_use,
    check_installer,
    check_authorities,
    check_network,
    check_foreign_software,
    check_kubelet_certificates,
)


def check_hosts(site: Site) -> list[Problem]:
    """All problems of the hosts of the run."""
    return [problem for check in HOST_CHECKS for problem in check(site)]
