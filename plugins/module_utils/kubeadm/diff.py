# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a static pod restarts, from its manifest before and after.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import INPUTS


def difference(before: str, after: str) -> str:
    """The files, arguments and other lines that changed."""
    if not before:
        return "it was not there"
    old, new = set(map(str.strip, before.splitlines())), set(map(str.strip, after.splitlines()))
    changed = [line.strip() for line in after.splitlines() if line.strip() in new - old]
    reasons = [reason for line in changed for reason in _reasons(line, old)]
    removed = sorted(line for line in old - new if line.startswith("- --"))
    return (
        ", ".join(dict.fromkeys([*reasons, *(f"{_flag(line)} changed" for line in removed)])) or "its manifest changed"
    )


def _reasons(line: str, old: set[str]) -> list[str]:
    """What one line of the new manifest says that none of the *old* lines said."""
    if line.startswith(f"{INPUTS}:"):
        known = {word for text in old if text.startswith(f"{INPUTS}:") for word in text.split()}
        return [f"{word.split('=')[0]} changed" for word in line.split()[1:] if word not in known]
    if line.startswith("- --"):
        return [f"{_flag(line)} changed"]
    return [f"{line} is new"]


def _flag(line: str) -> str:
    return line[2:].split("=")[0]
