# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process of a component leaves on a host besides the paths in its record, and after which others it stops.

A component declares it as data: ``{"component": NAME, "stops_after": [NAMES], "footprint": {FIELD: VALUES}}``, with the fields of
:class:`Footprint`. It counts only where that component has a record.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

#: In ``component``: pods, which end while their runtime still runs; and the components that declare nothing.
PODS, OTHERS = "(pods)", "(others)"


@dataclasses.dataclass(frozen=True)
class Footprint:
    """The declaration of one component. A field that ends in a plural has several values."""

    component: str
    #: components that use this one, and so stop before it
    stops_after: tuple[str, ...] = ()
    #: removed with all that is in them
    directories: tuple[str, ...] = ()
    #: patterns of glob
    files: tuple[str, ...] = ()
    #: entries of a directory in the component's record (patterns of glob) that are removed with all that is in them
    contents: tuple[str, ...] = ()
    #: patterns of fnmatch, which match mounts in the depth too
    mounts: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    #: patterns of the names of network interfaces
    interfaces: tuple[str, ...] = ()
    #: prefixes of the names of iptables chains
    chains: tuple[str, ...] = ()
    #: prefixes of the comments of iptables rules in chains of others
    comments: tuple[str, ...] = ()
    #: prefixes of the names of ipsets
    sets: tuple[str, ...] = ()
    #: prefixes of the names of nftables' tables, of any family
    tables: tuple[str, ...] = ()
    #: the kernel's counters of packets (nfnetlink_acct)
    counters: tuple[str, ...] = ()
    #: protocols of routes that it sets
    route_protocols: tuple[str, ...] = ()
    #: the kernel's own interfaces, which it gave an address of the pod network
    tunnels: tuple[str, ...] = ()
    #: a unit that a component without a service of its own enabled
    unit: str | None = None
    #: it runs pods
    pods: bool = False
    #: it sets routes into the pod network
    routes: bool = False
    #: it masquerades what leaves the pod network
    masquerade: bool = False
    #: it holds the virtual address
    virtual_address: bool = False

    @classmethod
    def from_dict(cls, declared: Mapping[str, t.Any]) -> Footprint:
        """Raises HardwayError for a declaration with fields that do not exist, or of another type."""
        name = str(declared.get("component") or "")
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        values = {**(declared.get("footprint") or {}), "stops_after": declared.get("stops_after") or []}
        unknown = sorted(set(values) - set(fields) | ({"component"} & set(values)))
        if not name or unknown:
            raise HardwayError(
                f"{', '.join(unknown)} is not part of a footprint" if unknown else "a footprint without its component",
                where=name,
                fix=f"use {', '.join(sorted(set(fields) - {'component'}))}",
            )
        kinds: dict[str, t.Any] = {"tuple[str, ...]": (list, tuple), "bool": bool, "str | None": (str, type(None))}
        for field, value in values.items():
            if not isinstance(value, kinds[str(fields[field])]):
                raise HardwayError(f"{field} is {value!r}", where=name, fix=f"give it as {fields[field]}")
            if isinstance(value, (list, tuple)) and not all(isinstance(entry, str) and entry for entry in value):
                raise HardwayError(
                    f"{field} has an entry that is no text, or empty", where=name, fix="correct or remove it"
                )
        fixed: dict[str, t.Any] = {
            key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in values.items()
        }
        return cls(component=name, **fixed)


def read_footprints(declared: Iterable[Mapping[str, t.Any]]) -> dict[str, Footprint]:
    """Component -> its footprint."""
    found = [Footprint.from_dict(each) for each in (*PSEUDO, *declared)]
    return {footprint.component: footprint for footprint in found}


#: Where pods end, and where components that declare nothing stop, among those that declare it.
PSEUDO: tuple[dict[str, t.Any], ...] = (
    {"component": PODS, "stops_after": ["kubelet"]},
    {"component": OTHERS, "stops_after": ["kube-proxy", "flanneld", "pod-routes"]},
)
