# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the ports on which components listen."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan, PortUse
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import Kind, Problem


def port_of(value: t.Any) -> int | None:
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
                Kind.INVALID_PORT, plan.place(name), f"{value!r} is not a port.", "Set a number from 1 to 65535."
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
            Kind.PORT_CONFLICT,
            plan.place(setting),
            f"{components} would both listen on port {port} of {listed(names)}.",
            f"Set {setting} to another port, or remove the hosts from one of the groups.",
        )
