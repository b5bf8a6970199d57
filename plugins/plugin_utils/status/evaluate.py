# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates a cluster's status: facts in, a page out.

It reads nothing itself and nothing makes it fail: what could not be read is a finding.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.balancers import balancers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.certificates import certificates
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.control_plane import control_plane
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.etcd import etcd
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.hosts import hosts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import NOTE, Page, Settings, merged
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.programs import drift, programs, restarts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.versions import versions

#: The sections of the page, in their order. Each adds its findings and its part of the summary.
SECTIONS = (control_plane, etcd, balancers, hosts, programs, restarts, drift, versions, certificates)
STANDARD = Settings()


def evaluate(facts: Mapping[str, t.Any], settings: Settings = STANDARD, now: datetime | None = None) -> Page:
    """The page of a cluster.

    *facts* has `cluster` (`name`, `endpoint`, `virtual_address`, `version`, `minors`, `rotation`, its stage, and `balancer` and
    `address_program`, the components that balance and that move the address), `groups` (names of the inventory's hosts), `hosts` (results
    of `status_host`), `plan` (entries of the module `plan`), `controller` (result of
    `certificate_info`), `api` (of `status.api`).
    """
    moment = now or datetime.now(timezone.utc)
    status = Observation(facts, settings, moment)
    status.summarise("endpoint", status.cluster["endpoint"])
    if status.cluster.get("rotation"):
        status.report(
            NOTE,
            "rotation",
            f"CAs or keys are being replaced, stage {status.cluster['rotation']}",
            "run the same rotation again until it is finished",
        )
    page = Page(f"Status of {status.cluster['name']}", moment.strftime("%Y-%m-%d %H:%M:%S UTC"), strict=settings.strict)
    page.sections = [section for make in SECTIONS if (section := make(status))]
    page.summary = status.summary
    page.findings = merged(status.findings)
    return page
