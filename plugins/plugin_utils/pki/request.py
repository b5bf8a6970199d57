# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the settings and the catalogue to the arguments of the module ``certificates``."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki import catalogue
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.lineage import Lineage
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import Host, PkiError, Settings

try:
    import netaddr
except ImportError:
    netaddr = None

# O is left out: in a client's certificate it is a group of Kubernetes' authorization.
COMMON_SUBJECT = ("C", "ST", "L", "OU")

Arguments = dict[str, t.Any]


def request(settings: Settings) -> Arguments:
    """All that a cluster's PKI directory holds. Raises PkiError."""
    settings.require_complete()
    leaves = [*_certificates(settings), *({**_defaults(settings), **extra} for extra in settings.certificates)]
    return {
        "cas": [
            {**_ca(settings, settings.lineages[entry.name], generation), **_passphrase(settings, entry)}
            for entry in catalogue.entries(catalogue.CA)
            for generation in settings.lineages[entry.name].trusted
        ],
        "certificates": [{**leaf, "ca": _active(settings, leaf.get("ca"))} for leaf in leaves],
        "keys": [
            _key(settings, entry, generation)
            for entry in catalogue.entries(catalogue.Key)
            for generation in settings.lineages[entry.name].trusted
        ],
        "bundles": [_bundle(settings, entry) for entry in catalogue.entries(catalogue.Bundle)],
    }


def nth_address(network: str, n: int) -> str:
    """The address at a distance of *n* from a network's first; a negative *n* counts from its end. Raises PkiError."""
    if netaddr is None:
        raise PkiError("nth_address: needs the Python library netaddr on the controller. Fix: pip install netaddr")
    try:
        return str(netaddr.IPNetwork(str(network))[int(n)])
    except (netaddr.AddrFormatError, ValueError) as error:
        raise PkiError(
            f"nth_address: '{network}' is not a network such as 10.96.0.0/16, or {n} no number ({error})"
        ) from error
    except IndexError as error:
        raise PkiError(f"nth_address: {network} has no address number {n}") from error


def _ca(settings: Settings, lineage: Lineage, generation: int) -> Arguments:
    name = lineage.file(generation)
    if generation != lineage.newest:
        # The settings describe the newest; an older one is what it is.
        return {"name": name, "existing": True}
    if settings.single and lineage.name != "ca":
        return {"name": name, "copy_of": settings.lineages["ca"].file(generation)}
    if settings.imports.get(lineage.name):
        return {"name": name, "import_from": dict(settings.imports[lineage.name])}
    own = settings.subject.get("CN") if lineage.name == "ca" else ""
    common_name = own or f"{settings.cluster_name}-{lineage.name}"
    # Names of their own for later generations: some verifiers look an issuer up by its name alone.
    distinct = common_name if generation == 1 else f"{common_name}-{generation}"
    # No intermediates: none is ever signed below them, so a stolen leaf or a mistake cannot make one.
    return {
        "name": name,
        "subject": {**settings.subject, "CN": distinct},
        "key": _ca_key(settings),
        "validity": settings.ca_validity,
        "path_length": 0,
    }


def _passphrase(settings: Settings, entry: catalogue.Entry) -> Arguments:
    """Of the authority's key, in all its generations. A key that masters sign with has none: they start without anybody who knows it."""
    if entry.consumers or (settings.single and entry.name != "ca"):
        return {}
    given = {"passphrase": settings.passphrase, "old_passphrase": settings.old_passphrase}
    return {name: text for name, text in given.items() if text}


def _ca_key(settings: Settings) -> Arguments:
    return dict(settings.ca_key or settings.key)


def _key(settings: Settings, entry: catalogue.Key, generation: int) -> Arguments:
    lineage = settings.lineages[entry.name]
    kind = {"type": "random", "size": entry.size} if entry.size else _ca_key(settings)
    return {"name": lineage.file(generation), **kind, **({} if generation == lineage.newest else {"existing": True})}


def _bundle(settings: Settings, entry: catalogue.Bundle) -> Arguments:
    kind, names = ("cas", entry.cas) if entry.cas else ("keys", entry.keys)
    return {"name": entry.name, kind: [file for name in names for file in settings.lineages[name].files]}


def _active(settings: Settings, ca: str | None) -> str | None:
    """The active generation of a CA of the catalogue; another name stays as it is."""
    return settings.lineages[ca].active_file if ca in settings.lineages else ca


def _defaults(settings: Settings) -> Arguments:
    return {"validity": settings.certificate_validity, "key": dict(settings.key)}


def _certificates(settings: Settings) -> Iterator[Arguments]:
    for entry in catalogue.entries(catalogue.Certificate):
        if entry.when.holds(settings):
            for host in getattr(settings, entry.hosts) if entry.hosts else [{}]:
                yield {**_defaults(settings), **_certificate(settings, entry, host)}


def _certificate(settings: Settings, entry: catalogue.Certificate, host: Host) -> Arguments:
    name = host.get("name", "")
    common = {field: value for field, value in settings.subject.items() if field in COMMON_SUBJECT}
    organization = {"O": entry.organization} if entry.organization else {}
    common_name = (entry.common_name or entry.name).replace(catalogue.HOST, name)
    return {
        "name": entry.file(settings.lineages, name),
        "ca": entry.ca,
        "profile": entry.profile,
        "subject": {**common, **organization, "CN": common_name},
        "hosts": list(dict.fromkeys(_names(settings, entry, host))),
    }


def _names(settings: Settings, entry: catalogue.Certificate, host: Host) -> Iterator[str]:
    known: Mapping[str, t.Callable[[], list[str]]] = {
        "host": lambda: [host["name"]],
        "address": lambda: [host["address"]],
        "endpoint": lambda: [name for name in (settings.endpoint_address, settings.endpoint_name) if name],
        "services": lambda: [nth_address(network, 1) for network in _networks(settings)],
        "nodes": lambda: [node[field] for field in ("name", "address") for node in settings.kube_node],
        "apiserver_hosts": lambda: [str(name) for name in settings.apiserver_hosts],
        "etcd_hosts": lambda: [str(name) for name in settings.etcd_hosts],
    }
    for rule in entry.names:
        several = re.fullmatch(r"\{(\w+)\}", rule)
        yield from known[several[1]]() if several else [rule.format(dns_domain=settings.dns_domain)]


def _networks(settings: Settings) -> list[str]:
    return [network.strip() for network in settings.service_network.split(",") if network.strip()]
