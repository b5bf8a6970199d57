# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the catalogue of certificates, and over the hosts of the inventory: documented in the files next to this one."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki import catalogue
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki import request as builder
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.lineage import generation_names
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import PkiError, Settings


def members(hosts: Iterable[str], hostvars: Mapping[str, t.Any]) -> list[dict[str, str]]:
    """The name and the address of each host, in the order of the group; no other host's variables are read."""
    if isinstance(hosts, (str, Mapping)):
        raise AnsibleFilterError("members: takes a list of host names, such as groups['etcd'] | default([])")
    return [{"name": str(host), "address": _address(host, hostvars)} for host in hosts]


def _address(host: str, hostvars: Mapping[str, t.Any]) -> str:
    if host not in hostvars:
        raise AnsibleFilterError(f"members: '{host}' is not a host of the inventory")
    variables = hostvars[host]
    return str(variables.get("cluster_host_address") or variables.get("ansible_host") or host)


def urls(hosts: Iterable[Mapping[str, str]], port: int) -> list[str]:
    """Where a component listens by TLS on each of these hosts, as `members` yields them, in their order."""
    return [f"https://{host['address']}:{port}" for host in hosts]


def nth_address(network: str, n: int) -> str:
    try:
        return builder.nth_address(network, n)
    except PkiError as error:
        raise AnsibleFilterError(str(error)) from error


def pki(settings: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The arguments of the module ``certificates`` for a whole cluster; see pki.yml for the settings."""
    try:
        return builder.request(Settings.of(settings))
    except PkiError as error:
        raise AnsibleFilterError(f"pki: {error}") from error


def component_certificates(
    component: str, settings: Mapping[str, t.Any], host: str, names: Sequence[str] | None = None
) -> dict[str, dict[str, str]]:
    """By path on *host*: source, effect and mode of each file that *component* has; see component_certificates.yml."""
    try:
        found = catalogue.certificates_of(component, Settings.of(settings), host, names)
    except PkiError as error:
        raise AnsibleFilterError(f"component_certificates: {error}") from error
    return {
        path: {"name": file.name, "source": file.source, "effect": file.effect, "mode": file.mode}
        for path, file in found.items()
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., t.Any]]:
        return {
            "component_certificates": component_certificates,
            "generation_names": generation_names,
            "members": members,
            "nth_address": nth_address,
            "pki": pki,
            "urls": urls,
        }
