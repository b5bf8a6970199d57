# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the audit log is sent: an API server does not start with half a setting, or sends secrets in the clear."""

from __future__ import annotations

import os
import typing as t
from collections.abc import Iterator
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import Kind, Problem

NAME = "cluster_audit_webhook"
FILES = ("ca", "certificate", "key")


def webhook(settings: dict[str, t.Any]) -> dict[str, str]:
    """The setting, as far as it is one."""
    value = settings.get(NAME)
    if not isinstance(value, dict):
        return {}
    return {str(key): text for key, text in value.items() if isinstance(text, str) and text}


def webhook_files(settings: dict[str, t.Any]) -> list[str]:
    """The files on the controller that it names."""
    found = webhook(settings)
    return [found[key] for key in FILES if key in found]


def check_audit_webhook(plan: Plan) -> Iterator[Problem]:
    if not plan.settings.get(NAME) or NAME in plan.unresolved:
        return
    for message, fix in _faults(webhook(plan.settings), plan.controller.unreadable_files):
        yield Problem(Kind.INVALID_AUDIT_WEBHOOK, plan.place(NAME), message, fix)


def _faults(found: dict[str, str], unreadable: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What is wrong, and how to fix it. Neither names a value that may be a credential."""
    if not _is_url(found.get("server", "")):
        yield "Its server is not a URL with https.", "Set server to one, for example https://audit.example.org/events."
    if ("certificate" in found) != ("key" in found):
        there, missing = ("certificate", "key") if "certificate" in found else ("key", "certificate")
        yield f"It has {there} and no {missing}.", f"Set {missing} to a file on the controller, or remove {there}."
    if "token" in found and "certificate" in found:
        yield "It has a token and a certificate, and one of them would not be used.", "Keep one of them."
    for key in FILES:
        path = found.get(key, "")
        if path and not os.path.isabs(path):
            yield f"{key}: {path!r} is not an absolute path.", "Set a path that begins with a slash."
        elif path in unreadable:
            yield (
                f"{key}: {path} cannot be read on the controller.",
                "Create it, or give the user of the run the right to read it.",
            )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        return False
