# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of the hosts of a run, and those of what a host is: access, system, identity, clock, resources."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.versions import minor_of, numbers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.host_network import (
    check_host_addresses,
    check_host_networks,
    check_virtual_address,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.host_state import (
    check_authorities,
    check_foreign_software,
    check_installer,
    check_kubelet_certificates,
    check_network,
    check_taken_ports,
    check_versions_in_use,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import ERROR, WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.site import (
    Host,
    Site,
    gathered,
    largest,
    size,
    whole,
)

FAIL_CGROUP_V1_SINCE = (1, 35)  # kubelet refuses cgroup v1 by default from this minor version on (KEP-5573)


def check_access(site: Site) -> Iterator[Problem]:
    for host in site.hosts:
        if not host.facts:
            yield Problem(
                Kind.UNREAD_HOST,
                host.place,
                "Its facts were not read.",
                "Run the playbook without --tags or --skip-tags that skip the first task of the role preflight.",
            )
        elif not host.readable:
            yield access_problem(host)


def access_problem(host: Host) -> Problem:
    error = str(host.facts.get("error") or "no reason given").strip()
    brief = " ".join(error.split())[-300:]
    if host.facts.get("untrusted"):
        return Problem(
            Kind.UNTRUSTED_FACTS,
            host.place,
            f"It can be reached, but its answer cannot be used: {brief}",
            "Find out what runs as Python on the host (ansible_python_interpreter). Reinstall the host if there is no good reason.",
        )
    if not host.facts.get("reachable"):
        return Problem(
            Kind.UNREACHABLE_HOST,
            host.place,
            f"No connection: {brief}",
            "Check that the host is up, and that ansible_host, ansible_user and the ssh key are right. Try to log in with ssh.",
        )
    if re.search(r"sudo|become|privilege|password|su:|doas", error, re.IGNORECASE):
        return Problem(
            Kind.NO_ROOT,
            host.place,
            f"It can be reached, but root privileges cannot be gained: {brief}",
            "Allow ansible_user to use sudo (set ansible_become_password, or NOPASSWD in sudoers), or connect as root.",
        )
    if re.search(
        r"python\S*:? .*(not found|No such file)|interpreter|No module named|requires a minimum of Python|SyntaxError",
        error,
        re.IGNORECASE | re.DOTALL,
    ):
        return Problem(
            Kind.NO_PYTHON,
            host.place,
            f"It can be reached, but no usable Python was found: {brief}",
            "Install python3 (3.9 or newer), or set ansible_python_interpreter of the host.",
        )
    return Problem(
        Kind.UNREADABLE_HOST,
        host.place,
        f"It can be reached, but its facts could not be read: {brief}",
        "Correct what the message names. -vvv shows more.",
    )


def check_system(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        facts, needs = host.facts, site.needs
        if not facts["root"]:
            yield Problem(
                Kind.NO_ROOT,
                host.place,
                "Tasks do not run as root.",
                "Set ansible_become: true, or connect as root.",
            )
        if not facts["systemd"]:
            yield Problem(
                Kind.NO_SYSTEMD,
                host.place,
                "It was not booted with systemd, and every component is a systemd unit.",
                "Use a machine that boots with systemd.",
            )
        if numbers(facts["python"]) < numbers(needs.python):
            yield Problem(
                Kind.OLD_PYTHON,
                host.place,
                f"Python {facts['python']} is too old.",
                f"Install Python {needs.python} or newer, or set ansible_python_interpreter to an installed one.",
            )
        of_network = needs.network_kernels.get(site.setting("cluster_cni")) if host.runs_pods else None
        oldest = of_network or needs.kernel
        if numbers(facts["kernel"])[:2] < numbers(oldest)[:2]:
            yield Problem(
                Kind.OLD_KERNEL,
                host.place,
                f"The kernel {facts['kernel']} is older than {oldest}.",
                "Upgrade the kernel.",
                WARNING,
            )
        architectures = [site.setting("cluster_arch")] if site.setting("cluster_arch") else needs.architectures
        if facts["architecture"] not in architectures:
            yield Problem(
                Kind.UNSUPPORTED_ARCHITECTURE,
                host.place,
                f"The cluster's binaries do not run on the architecture {facts['architecture']}.",
                f"Use a machine with {listed(architectures, 'or')}, or set cluster_arch.",
            )
        if facts["filesystems"].get("/", {}).get("read_only"):
            yield Problem(
                Kind.READ_ONLY_ROOT,
                host.place,
                "Its root filesystem is read-only.",
                "Find the reason in the kernel's log (dmesg), then remount it: mount -o remount,rw /",
            )
        if facts["selinux"] == "enforcing":
            yield Problem(
                Kind.SELINUX_ENFORCING,
                host.place,
                "SELinux is enforcing, and this collection does not configure it.",
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
            Kind.UNSUPPORTED_DISTRIBUTION,
            host.place,
            f"{distribution['name'] or 'The distribution'} is not among those that this collection was tested on.",
            f"Use {known}, or newer. Others may work.",
            WARNING,
        )


def check_identity(site: Site) -> Iterator[Problem]:
    for fact, kind, noun, fix in (
        ("hostname", Kind.DUPLICATE_HOSTNAME, "hostname", "Set a hostname of its own: hostnamectl set-hostname NAME"),
        (
            "machine_id",
            Kind.DUPLICATE_MACHINE_ID,
            "machine-id (a cloned machine?)",
            "Create a new one on the host: rm /etc/machine-id; systemd-machine-id-setup; reboot",
        ),
    ):
        seen: dict[str, str] = {}
        for host in site.readable:
            value = host.facts[fact]
            if value and value in seen:
                yield Problem(kind, host.place, f"It has the same {noun} as {seen[value]}: {value}.", fix)
            seen.setdefault(value, host.name)
        for host in site.readable:
            if not host.facts[fact]:
                yield Problem(kind, host.place, f"It has no {noun.split(' ', maxsplit=1)[0]}.", fix)


def check_clocks(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        offset = host.facts.get("clock_offset") or 0.0
        if abs(offset) > site.needs.clock_difference:
            yield Problem(
                Kind.CLOCK_APART,
                host.place,
                f"Its clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the controller's.",
                "Synchronize both with a time server (chrony or systemd-timesyncd). Certificates and leases depend on the time.",
            )


def check_memory(site: Site) -> Iterator[Problem]:
    for host in site.readable:
        memory, processors = largest(site.needs.memory, host), largest(site.needs.cpus, host)
        if host.facts["memory_mib"] < memory:
            yield Problem(
                Kind.LITTLE_MEMORY,
                host.place,
                f"It has {size(host.facts['memory_mib'])} of memory and needs {size(memory)} for {listed(host.groups)}.",
                "Add memory, or lower preflight_memory if you know that this is enough.",
            )
        if host.facts["cpus"] < processors:
            yield Problem(
                Kind.FEW_PROCESSORS,
                host.place,
                f"It has {host.facts['cpus']} processors and should have {processors} for {listed(host.groups)}.",
                "Add processors, or lower preflight_cpus.",
                WARNING,
            )
        if host.runs_pods and host.facts["inotify_free"] < site.needs.inotify and not host.joined:
            yield Problem(
                Kind.FEW_INOTIFY_INSTANCES,
                host.place,
                f"Only {host.facts['inotify_free']} inotify instances are free; kubelet and containerd need {site.needs.inotify}.",
                "Raise the sysctl fs.inotify.max_user_instances (of a container: on the machine that runs it).",
            )


def check_space(site: Site) -> Iterator[Problem]:
    """Paths on one filesystem share its space, so their needs are added up."""
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
                    Kind.LITTLE_SPACE,
                    host.place,
                    f"{size(found['free_mib'])} free for {listed(sorted(paths))}, {size(sum(paths.values()))} needed.",
                    "Free space there, enlarge the filesystem, or lower preflight_space if you know that this is enough.",
                    WARNING if host.joined else ERROR,
                )
            if found["read_only"] and not host.facts["filesystems"].get("/", {}).get("read_only"):
                yield Problem(
                    Kind.READ_ONLY_PATH,
                    host.place,
                    f"The filesystem of {listed(sorted(paths))} is read-only.",
                    "Mount it read-write: mount -o remount,rw PATH",
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
                Kind.SWAP_ON,
                host.place,
                f"Swap is on ({listed(swap)}), and kubelet does not start with it.",
                "Set host_swap_off: true, which turns it off. Or turn it off yourself (swapoff -a, and in /etc/fstab), "
                "or set cluster_kubelet_config: {failSwapOn: false}.",
            )


def check_kernel(site: Site) -> Iterator[Problem]:
    version = numbers(minor_of(site.setting("cluster_kubernetes_version")))
    for host in site.readable:
        missing = [
            name for name in gathered(site.needs.features, host) if host.facts["features"].get(name) == "missing"
        ]
        if missing:
            yield Problem(
                Kind.MISSING_KERNEL_FEATURE,
                host.place,
                f"The kernel {host.facts['kernel']} does not have {listed(missing)}.",
                "Load the module with modprobe (of a container: on the machine that runs it), or install the kernel package that contains it.",
            )
        if (
            host.runs_pods
            and host.facts["cgroup"] == 1
            and version >= FAIL_CGROUP_V1_SINCE
            and host.kubelet_config.get("failCgroupV1") is not False
        ):
            yield Problem(
                Kind.CGROUP_V1,
                host.place,
                f"It has cgroup v1, with which kubelet {site.setting('cluster_kubernetes_version')} does not start.",
                "Boot with systemd.unified_cgroup_hierarchy=1, or set cluster_kubelet_config: {failCgroupV1: false}.",
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
                Kind.MISSING_COMMAND,
                host.place,
                f"Commands are missing: {listed(missing)}.",
                "Install the packages that contain them.",
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
