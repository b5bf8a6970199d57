# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a cluster decides which certificates it has."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.lineage import CAS, Lineage, lineages

Host = Mapping[str, str]
Json = Mapping[str, t.Any]
REQUIRED = ("endpoint_address", "service_network", "dns_domain")


class PkiError(HardwayError):
    """Settings from which no certificates can be made; the message says what to fix."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings, by the names that the filters ``pki`` and ``component_certificates`` document."""

    etcd: tuple[Host, ...] = ()  # each with name and address
    kube_master: tuple[Host, ...] = ()
    kube_node: tuple[Host, ...] = ()
    endpoint_address: str = ""
    endpoint_name: str = ""
    service_network: str = ""
    dns_domain: str = ""
    cluster_name: str = "kubernetes"
    subject: Json = dataclasses.field(default_factory=dict)
    key: Json = dataclasses.field(default_factory=dict)
    ca_key: Json = dataclasses.field(default_factory=dict)
    ca_validity: str = "87600h"
    certificate_validity: str = "87600h"
    single: bool = False
    imports: Json = dataclasses.field(default_factory=dict)
    # Of authorities' keys that stay on the controller; empty: they stand in the clear.
    passphrase: str = dataclasses.field(default="", repr=False)
    old_passphrase: str = dataclasses.field(default="", repr=False)
    apiserver_hosts: tuple[str, ...] = ()
    etcd_hosts: tuple[str, ...] = ()
    certificates: tuple[Json, ...] = ()
    generations: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    installer: str = "binaries"
    cni: str = ""
    datastore: str = "kubernetes"
    addons: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Json) -> Settings:
        """The settings of a dictionary. Raises PkiError for names that are none, and for values of another kind."""
        if not isinstance(values, Mapping):
            raise PkiError("the settings are not a dictionary. Fix: pass a dictionary with endpoint_address and others")
        kinds = {field.name: field.default for field in dataclasses.fields(cls)}
        unknown = sorted(str(name) for name in values if name not in kinds)
        if unknown:
            raise PkiError(f"{', '.join(unknown)}: no such setting. Fix: use one of {', '.join(kinds)}")
        return cls(**{name: _value(name, value, kinds[name]) for name, value in values.items() if value is not None})

    @functools.cached_property
    def lineages(self) -> dict[str, Lineage]:
        return lineages(self.generations, self.single)

    def require_complete(self) -> None:
        """Raise PkiError unless all is there that a request takes."""
        missing = [name for name in REQUIRED if not getattr(self, name)]
        if missing:
            raise PkiError(f"{', '.join(missing)}: missing. Fix: add it to the settings")
        if self.single and self.passphrase:
            raise PkiError(
                "cluster_ca_passphrase: with cluster_single_ca masters sign with the one key, which cannot have a passphrase there. "
                "Fix: remove one of the two settings"
            )
        unknown = sorted(set(self.imports) - set(CAS))
        if unknown:
            raise PkiError(f"imports names {', '.join(unknown)}. Fix: name CAs, which are {', '.join(CAS)}")


def _value(name: str, value: t.Any, default: object) -> t.Any:
    if isinstance(default, str):
        return str(value)
    if isinstance(default, bool):
        return bool(value)
    if default == ():
        if isinstance(value, Mapping):
            # Whether each is wanted, by name.
            return tuple(str(item) for item, wanted in value.items() if wanted)
        if isinstance(value, str):
            raise PkiError(f"{name}: '{value}' is not a list. Fix: write a list")
        return tuple(value)
    if not isinstance(value, Mapping):
        raise PkiError(f"{name}: '{value}' is not a dictionary. Fix: write a dictionary")
    return dict(value)
