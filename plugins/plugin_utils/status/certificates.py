# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import CONTROLLER, Row, evaluate
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    OK,
    WARNING,
    Cell,
    Section,
    few,
)


def certificates(status: Observation) -> Section:
    section = Section("Certificates", ["days", "until", "subject", "hosts", "where", "running"])
    # Programs that do not run and pending restarts have sections of their own.
    hosts = {name: {**host, "processes": []} for name, host in status.read.items()}
    controller = {**status.controller, "processes": []} if status.controller else None
    settings = status.settings
    rows, findings = evaluate(hosts, controller, settings.warn_days, settings.fail_days, status.now)
    same: dict[str, list[Row]] = {}
    for row in rows:
        same.setdefault(row.entry["fingerprint"], []).append(row)
    for places in same.values():
        _certificate(status, section, places)
    for finding in findings:
        for host in finding.hosts:
            status.report(CRITICAL if finding.failure else WARNING, host, finding.cause, finding.fix)
    if rows:
        text = f"the first ends in {counted(rows[0].entry['days_left'], 'day')}"
        status.summarise("certificates", text, section.rows[0][0].level)
    else:
        section.lines.append("None could be read.")
    return section


def _certificate(status: Observation, section: Section, places: Sequence[Row]) -> None:
    """One line for a certificate, wherever it is. The controller is named only where it is the only place."""
    entry = places[0].entry
    days = entry["days_left"]
    level = CRITICAL if days < status.settings.fail_days else WARNING if days < status.settings.warn_days else OK
    there = [row for row in places if row.hosts != [CONTROLLER]] or places
    where = list(dict.fromkeys(row.entry["where"] for row in there))
    named = ", ".join(where[:2]) + (f" and {len(where) - 2} more" if len(where) > 2 else "")
    running = sorted({name for row in there for name in row.running.split(",") if name})
    hosts = list(dict.fromkeys(host for row in there for host in row.hosts))
    section.add(
        Cell(str(days), level), entry["not_after"][:10], entry["subject"], few(hosts), named, ", ".join(running)
    )
