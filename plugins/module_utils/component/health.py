# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a component's process serves."""

from __future__ import annotations

import socket
import time

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import http
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import (
    Component,
    ComponentError,
    Health,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import (
    UnitState,
    journal,
    unit_state,
)

INTERVAL = 0.25


def wait_until_healthy(host: Host, component: Component, left: str | None = None, hold: float = 0) -> None:
    """Wait until the component's process runs from its inputs and serves.

    :arg left: invocation of a process that has to be gone
    :arg hold: seconds for which it has to stay healthy
    :raises ComponentError: it did not get healthy in time, with the end of its journal
    """
    health, service = component.health, component.service
    if health.skip or not service:
        return
    deadline = time.monotonic() + health.timeout
    healthy_since = None
    while True:
        unit = unit_state(host, service)
        trouble = unit_trouble(unit, component.digest, left) or probe(host, health)
        now = time.monotonic()
        if trouble is None:
            healthy_since = healthy_since or now
            if now - healthy_since >= hold:
                return
        else:
            healthy_since = None
            if unit.failed or now > deadline:
                break
        time.sleep(INTERVAL)
    raise ComponentError(
        f"{service} is not healthy after {health.timeout:g} s: {trouble}. "
        f"The last lines of its journal:\n{journal(host, service)}"
    )


def unit_trouble(unit: UnitState, digest: str, left: str | None = None) -> str | None:
    """What is wrong with a unit whose process should run from inputs with this digest."""
    if unit.properties.get("ActiveState") != "active":
        return f"the unit is {unit.properties.get('ActiveState')} ({unit.properties.get('Result')})"
    same = unit.running_inputs == digest and (left is None or unit.invocation != left)
    if unit.properties.get("MainPID", "0") != "0" and not same:
        return "the old process is still there"
    return None


def trouble_of_previous(host: Host, component: Component, left: str | None) -> str | None:
    """Wait until what was put back runs again and serves; None, or what is wrong in words.

    :arg left: invocation of the process that did not get healthy
    """
    deadline = time.monotonic() + component.health.timeout
    trouble: str | None = "it was not looked at"
    while time.monotonic() < deadline:
        time.sleep(INTERVAL)
        unit = unit_state(host, component.service or "")
        if unit.properties.get("ActiveState") != "active" or unit.invocation == left:
            trouble = f"the unit is {unit.properties.get('ActiveState')}"
            continue
        trouble = None if component.health.skip else probe(host, component.health)
        if trouble is None:
            return None
    return trouble


def probe(host: Host, health: Health) -> str | None:
    """One look at a component's health: None, or what is wrong in words."""
    if health.url:
        trouble = http.probe(
            health.url, ca=health.ca, certificate=health.certificate, key=health.key, verify=health.verify
        )
        if trouble:
            return trouble
    if health.tcp:
        address, port = health.tcp.rsplit(":", 1)
        try:
            socket.create_connection((address.strip("[]"), int(port)), timeout=2).close()
        except OSError as error:
            return f"{health.tcp}: {error}"
    if health.command:
        done = host.run(health.command, timeout=30)
        if done.returncode:
            return f"{' '.join(health.command)}: {(done.stderr or done.stdout).strip()}"
    return None
