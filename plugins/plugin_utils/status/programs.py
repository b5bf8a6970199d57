# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the hosts, the restarts that are pending, and what differs from the settings."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation, Record
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    OK,
    WARNING,
    Cell,
    Section,
    ages,
    few,
)

CHANGING = ("activating", "deactivating", "reloading")
COMPARE = "run site.yml --check --diff, which shows the differences; then site.yml"


def programs(status: Observation) -> Section:
    section = Section("Programs", ["component", "runs", "hosts", "state", "since"])
    rows: dict[tuple[str, str, str], list[tuple[str, int | None]]] = {}
    for name, host in status.read.items():
        for program in host["programs"]:
            key = (program["component"], program["version"], program["state"])
            rows.setdefault(key, []).append((name, program["seconds"]))
            if program["state"] != "active":
                status.report(
                    _level(program["state"]),
                    name,
                    f"{program['service']} is {program['state']}",
                    f"on the host: systemctl status {program['service']}; or run site.yml",
                )
    for (component, version, state), found in sorted(rows.items()):
        names = [name for name, _seconds in found]
        since = ages(seconds for _name, seconds in found)
        section.add(component, version or "?", few(names), Cell(state, _level(state)), since)
    return section


def _level(state: str) -> str:
    return OK if state == "active" else WARNING if state in CHANGING else CRITICAL


def restarts(status: Observation) -> Section:
    """Processes that do not run what is installed on their hosts: a restart is pending, whatever the settings are."""
    section = Section("Pending restarts", ["component", "hosts", "because"])
    pending: dict[tuple[str, str], list[str]] = {}
    for name, host in status.read.items():
        for component, causes in _causes(host).items():
            pending.setdefault((component, "; ".join(causes)), []).append(name)
    for (component, cause), names in pending.items():
        section.add(component, few(names), Cell(cause, WARNING))
        for name in names:
            status.report(
                WARNING,
                name,
                f"a restart of {component} is pending: {cause}",
                "run site.yml, which restarts one host after the other",
            )
    if not pending:
        section.lines.append("None." if status.read else "No host could be read.")
    return section


def _causes(host: Record) -> dict[str, list[str]]:
    causes = {process["component"]: [process["restart"]] for process in host["processes"] if process["restart"]}
    for program in host["programs"]:
        if program["linked"] and program["linked"] != program["version"]:
            cause = f"it runs {program['version']}, and {program['linked']} is installed"
        elif program["replaced"]:
            cause = f"{program['binary']} was replaced since it started"
        else:
            continue
        causes.setdefault(program["component"], []).append(cause)
    return causes


def drift(status: Observation) -> Section | None:
    if not status.plan:
        return None
    section = Section("Drift between settings and hosts", ["where", "component", "site.yml would", "restart"])
    found: dict[tuple[str, tuple[str, ...], str | None], list[str]] = {}
    for entry in status.plan:
        if entry["error"]:
            cause = f"{entry['component']} could not be compared with its settings: {entry['error']}"
            status.report(WARNING, entry["host"], cause, COMPARE)
        elif entry["changes"]:
            changes = tuple(map(_change, entry["changes"]))
            found.setdefault((entry["component"], changes, entry["restart"]), []).append(entry["host"])
    for (component, changes, restart), names in found.items():
        section.add(few(names), component, Cell("; ".join(changes), WARNING), "yes" if restart else "no")
        for name in names:
            status.report(WARNING, name, f"{component} differs from the settings: {'; '.join(changes)}", COMPARE)
    compared = sum(not entry["error"] for entry in status.plan)
    section.lines.append(f"{counted(compared, 'component')} compared{'' if found else ', no difference'}.")
    number = sum(map(len, found.values()))
    status.summarise("drift", counted(number, "component") if found else "none", WARNING if found else OK)
    return section


def _change(change: Record) -> str:
    """A change in words. One of the whole component does not repeat its name."""
    return str(change["action"]) if change["kind"] == "component" else f"{change['name']}: {change['action']}"
