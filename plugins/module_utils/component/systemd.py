# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd service as it is now."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import (
    INPUTS_VARIABLE,
    ComponentError,
)

PROPERTIES = (
    "ActiveState",
    "SubState",
    "MainPID",
    "UnitFileState",
    "NeedDaemonReload",
    "InvocationID",
    "LoadState",
    "Result",
    "Job",
)
JOURNAL_LINES = 25


@dataclasses.dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit, and the digest of the inputs that its main process was started with."""

    properties: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: None where nothing runs, or what runs was not started by this collection
    running_inputs: str | None = None

    @property
    def active(self) -> bool:
        # Between two attempts of a process that fails there is nothing to interrupt.
        running = self.properties.get("ActiveState") in ("active", "activating", "reloading")
        return running and self.properties.get("SubState") != "auto-restart"

    @property
    def failed(self) -> bool:
        # A process that did not end well is failed for a moment within its restart.
        return self.properties.get("ActiveState") == "failed" and self.properties.get("Job", "") in ("", "0")

    @property
    def enabled(self) -> bool:
        return self.properties.get("UnitFileState") in ("enabled", "static", "alias", "indirect", "generated")

    @property
    def needs_daemon_reload(self) -> bool:
        return self.properties.get("NeedDaemonReload") == "yes"

    @property
    def invocation(self) -> str | None:
        return self.properties.get("InvocationID")


def unit_state(host: Host, name: str) -> UnitState:
    """Ask systemd for a unit, and its main process for its inputs."""
    return unit_states(host, [name])[name]


def unit_states(host: Host, names: list[str]) -> dict[str, UnitState]:
    """The same for several units in one call of systemctl."""
    if not names:
        return {}
    shown = host.run(["systemctl", "show", *names, "--property", ",".join(PROPERTIES)])
    if shown.returncode:
        raise ComponentError(f"systemctl show {' '.join(names)}: {shown.stderr.strip()}")
    blocks = shown.stdout.strip("\n").split("\n\n")
    if len(blocks) != len(names):
        raise ComponentError(f"systemctl show {' '.join(names)}: {len(blocks)} answers for {len(names)} units")
    properties = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {name: UnitState(found, _running_inputs(name, found)) for name, found in zip(names, properties)}


def journal(host: Host, name: str) -> str:
    """The last lines of a unit's journal."""
    command = ["journalctl", "--unit", name, "--lines", str(JOURNAL_LINES), "--no-pager", "--output", "cat"]
    return host.run(command).stdout.strip()


def _running_inputs(name: str, properties: t.Mapping[str, str]) -> str | None:
    pid = properties.get("MainPID", "0")
    if pid == "0":
        return None
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            environment = stream.read().split(b"\0")
    except OSError:
        return None
    prefix = f"{INPUTS_VARIABLE}=".encode()
    found = next((entry[len(prefix) :].decode() for entry in environment if entry.startswith(prefix)), None)
    return found or _reported_inputs(name, properties)


def _reported_inputs(name: str, properties: t.Mapping[str, str]) -> str | None:
    """What the unit reported at its start, where it is this start that reported it."""
    words = [*(files.read_bytes(paths.reported_inputs(name)) or b"").decode(errors="replace").split(), "", ""]
    return words[1] if words[1] and words[0] == properties.get("InvocationID") else None
