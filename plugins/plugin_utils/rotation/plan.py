# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds a rotation up: an installer that cannot do it, and workloads whose pods hold something from before."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem


def problems(installer: str, names: Sequence[str]) -> list[Problem]:
    """Why CAs and keys called *names* may not be rotated in a cluster made by *installer*."""
    if installer == "binaries" or "ca" not in names:
        return []
    return [
        Problem(
            "cluster_installer",
            f"{installer} knows one CA at a time, so the CAs of this cluster cannot be replaced in stages.",
            "Rotate the keys only (hardway.kubernetes.rotate_keys), or build the cluster with cluster_installer=binaries.",
        )
    ]


def workload(found: Mapping[str, t.Any]) -> str:
    """A workload in one line; a pod without owner has no kind and no name."""
    name = found["name"] or ", ".join(found["pods"])
    return f"{found['kind']} {found['namespace']}/{name}".strip()


def stale_workloads(restarted: Mapping[str, t.Any], report: bool) -> list[str]:
    """Workloads that were not restarted, by the result of rollout_restart; where they are to be reported only, all that are old."""
    left = list(restarted.get("left") or [])
    if report:
        left += restarted.get("old") or []
    return [workload(found) for found in left]
