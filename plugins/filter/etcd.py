# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's options: the filter is documented in the file of its name."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

# What only etcd's configuration file knows: two groups of options (go.etcd.io/etcd/server/v3, embed/config.go, securityConfig). As arguments
# those of clients have their own names, those of peers one with peer- before it, and these have others.
CLIENTS = "client-transport-security"
PEERS = "peer-transport-security"
OTHERS = {
    (CLIENTS, "allowed-hostname"): "client-cert-allowed-hostname",
    (PEERS, "allowed-cn"): "peer-cert-allowed-cn",
    (PEERS, "allowed-hostname"): "peer-cert-allowed-hostname",
}


def etcd_arguments(options: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Options of etcd's configuration file as arguments of its command line."""
    arguments: dict[str, t.Any] = {}
    for name, value in options.items():
        if name not in (CLIENTS, PEERS):
            arguments[name] = value
        elif isinstance(value, Mapping):
            prefix = "peer-" if name == PEERS else ""
            arguments.update({OTHERS.get((name, key), f"{prefix}{key}"): item for key, item in value.items()})
        elif value is not None:
            raise AnsibleFilterError(
                f"etcd_config: {name} is {value!r}, and not a mapping of options. Fix: write its options below it"
            )
    return arguments


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"etcd_arguments": etcd_arguments}
