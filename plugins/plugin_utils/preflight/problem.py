# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A problem found before anything is changed, and how a list of them reads."""

from __future__ import annotations

import dataclasses
import enum
import textwrap
from collections.abc import Iterable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import one_line

ERROR = "error"
WARNING = "warning"
WIDTH = 150


class Kind(enum.Enum):
    """The rules that can be broken. Each value is a word that can be given to the setting preflight_accept."""

    ADDRESS_FAMILY = "address-family"
    ADDRESS_NOT_ON_HOST = "address-not-on-host"
    CGROUP_V1 = "cgroup-v1"
    CLOCK_APART = "clock-apart"
    CLUSTER_DIR_INSIDE_INVENTORY = "cluster-dir-inside-inventory"
    CLUSTER_DIR_PERMISSIONS = "cluster-dir-permissions"
    CONTROLLER_ANSIBLE = "controller-ansible"
    CONTROLLER_FACTS = "controller-facts"
    CONTROLLER_COLLECTIONS = "controller-collections"
    CONTROLLER_PACKAGES = "controller-packages"
    DNS_ADDRESS_RESERVED = "dns-address-reserved"
    DNS_OUTSIDE_SERVICE_NETWORK = "dns-outside-service-network"
    DUPLICATE_ADDRESS = "duplicate-address"
    DUPLICATE_HOSTNAME = "duplicate-hostname"
    DUPLICATE_MACHINE_ID = "duplicate-machine-id"
    ENDPOINT_INSIDE_NETWORK = "endpoint-inside-network"
    ENDPOINT_IS_HOST = "endpoint-is-host"
    ENDPOINT_NOT_ON_LOAD_BALANCER = "endpoint-not-on-load-balancer"
    EVEN_ETCD_MEMBERS = "even-etcd-members"
    FEW_INOTIFY_INSTANCES = "few-inotify-instances"
    FEW_PROCESSORS = "few-processors"
    FIREWALL_ACTIVE = "firewall-active"
    FOREIGN_COMPONENT = "foreign-component"
    FOREIGN_PACKAGE = "foreign-package"
    HOST_INSIDE_NETWORK = "host-inside-network"
    HOST_NETWORK_OVERLAP = "host-network-overlap"
    HOST_OUTSIDE_CLUSTER = "host-outside-cluster"
    HOST_OUTSIDE_GROUP = "host-outside-group"
    INVALID_ADDRESS = "invalid-address"
    INVALID_AUDIT_WEBHOOK = "invalid-audit-webhook"
    INVALID_BLOCK_SIZE = "invalid-block-size"
    INVALID_DOMAIN = "invalid-domain"
    INVALID_ENDPOINT = "invalid-endpoint"
    INVALID_HOST_NAME = "invalid-host-name"
    INVALID_MIRROR = "invalid-mirror"
    INVALID_NETWORK = "invalid-network"
    INVALID_PATH = "invalid-path"
    INVALID_PORT = "invalid-port"
    INVALID_STATIC_TOKEN = "invalid-static-token"
    INVALID_VERSION = "invalid-version"
    KUBELET_CERTIFICATE_EXPIRED = "kubelet-certificate-expired"
    LARGE_NETWORK = "large-network"
    LITTLE_MEMORY = "little-memory"
    LITTLE_SPACE = "little-space"
    MANY_ETCD_MEMBERS = "many-etcd-members"
    MIRROR_NEEDED = "mirror-needed"
    MISSING_COMMAND = "missing-command"
    MISSING_ENDPOINT = "missing-endpoint"
    MISSING_GROUP = "missing-group"
    MISSING_KERNEL_FEATURE = "missing-kernel-feature"
    MISSPELT_SETTING = "misspelt-setting"
    NO_DEFAULT_ROUTE = "no-default-route"
    NO_PYTHON = "no-python"
    NO_ROOT = "no-root"
    NO_SYSTEMD = "no-systemd"
    OLD_KERNEL = "old-kernel"
    OLD_PYTHON = "old-python"
    OTHER_AUTHORITIES = "other-authorities"
    OTHER_CNI = "other-cni"
    OTHER_INSTALLER = "other-installer"
    OTHER_VERSION = "other-version"
    OVERLAPPING_NETWORKS = "overlapping-networks"
    PORT_CONFLICT = "port-conflict"
    PORT_TAKEN = "port-taken"
    READ_ONLY_PATH = "read-only-path"
    READ_ONLY_ROOT = "read-only-root"
    SELINUX_ENFORCING = "selinux-enforcing"
    SEVERAL_LOAD_BALANCERS = "several-load-balancers"
    SINGLE_LOAD_BALANCER = "single-load-balancer"
    SMALL_NETWORK = "small-network"
    SWAP_ON = "swap-on"
    UNKNOWN_BOOTSTRAP_USER = "unknown-bootstrap-user"
    UNKNOWN_CHOICE = "unknown-choice"
    UNKNOWN_SETTING = "unknown-setting"
    UNREACHABLE_HOST = "unreachable-host"
    UNREADABLE_HOST = "unreadable-host"
    UNREAD_HOST = "unread-host"
    UNRESOLVABLE_SETTING = "unresolvable-setting"
    UNSUPPORTED_ARCHITECTURE = "unsupported-architecture"
    UNSUPPORTED_COMBINATION = "unsupported-combination"
    UNSUPPORTED_DISTRIBUTION = "unsupported-distribution"
    UNSUPPORTED_VERSION = "unsupported-version"
    UNTRIED_VERSION = "untried-version"
    UNTRUSTED_FACTS = "untrusted-facts"
    UNUSABLE_ADDRESS = "unusable-address"
    UNUSED_GROUP = "unused-group"
    VIRTUAL_ADDRESS_IN_USE = "virtual-address-in-use"
    VIRTUAL_ADDRESS_OUTSIDE_SUBNET = "virtual-address-outside-subnet"
    WRONG_KIND_OF_VALUE = "wrong-kind-of-value"


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong (*message*), where (*place*: a host, a setting with its file and line, a group), and how to *fix* it."""

    kind: Kind
    place: str
    message: str
    fix: str
    level: str = ERROR

    @property
    def sentence(self) -> str:
        """The problem on one line."""
        return one_line(f"{self.place}: {self.message} Fix: {self.fix} [{self.kind.value}]")


def deduplicate(problems: Iterable[Problem], accepted: Iterable[str] = ()) -> list[Problem]:
    """Each problem once, those of an accepted kind as warnings, errors first, then by place."""
    kinds = set(accepted)
    unique = {
        dataclasses.replace(problem, level=WARNING) if problem.kind.value in kinds else problem for problem in problems
    }
    return sorted(unique, key=lambda problem: (problem.level, problem.place, problem.kind.value, problem.message))


def errors(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.level == ERROR]


def paragraph(label: str, text: str) -> str:
    """Indented lines of a text. What comes from hosts must not drive the terminal of who reads it."""
    indent = " " * 6
    return textwrap.fill(
        f"{label}{one_line(text)}",
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def entry(number: int, problem: Problem) -> str:
    level = "" if problem.level == ERROR else f"{problem.level}, "
    return "\n".join(
        [
            f"{number:3}. {one_line(problem.place)}  [{level}{problem.kind.value}]",
            paragraph("", problem.message),
            paragraph("Fix: ", problem.fix),
        ]
    )


def report(problems: list[Problem]) -> str:
    """All problems as one readable text, place first."""
    wrong = len(errors(problems))
    counts = [counted(wrong, "error")] if wrong else []
    if len(problems) > wrong:
        counts.append(counted(len(problems) - wrong, "warning"))
    head = f"Preflight found {' and '.join(counts) or 'no problem'}. Nothing was changed on any host."
    return "\n".join([head, *(entry(number, problem) for number, problem in enumerate(problems, 1))])
