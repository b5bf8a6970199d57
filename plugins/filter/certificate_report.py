# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import report


def certificate_report(
    hosts: Mapping[str, t.Any], controller: Mapping[str, t.Any] | None = None, warn_days: int = 30, fail_days: int = 0
) -> dict[str, t.Any]:
    """The results of certificate_info as a report."""
    return report(hosts, controller, days("warn_days", warn_days), days("fail_days", fail_days))


def days(name: str, value: t.Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise AnsibleFilterError(
            f"certificate_report: {name} is '{value}', which is not a number of days. Fix: set a whole number"
        ) from None


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"certificate_report": certificate_report}
