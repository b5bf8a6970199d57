# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of software: 1.34.2, v1.34.2, 1.7.29-2."""

from __future__ import annotations

import re

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]+)?\Z")
_MINOR = re.compile(r"v?(\d+)\.(\d+)")


def version_of(text: str) -> tuple[int, int, int] | None:
    """The three numbers of a whole version; None for what is none."""
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def minor_of(text: str) -> str:
    """1.34 of 1.34.2; empty for what is no whole version."""
    version = version_of(text)
    return f"{version[0]}.{version[1]}" if version else ""


def minor_numbers(text: str) -> tuple[int, int] | None:
    """(1, 34) of 1.34, of 1.34.2 and of what begins like them."""
    match = _MINOR.match(text or "")
    return (int(match[1]), int(match[2])) if match else None


def numbers(text: str, most: int = 3) -> tuple[int, ...]:
    """The first numbers in a text, to sort versions by."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:most])
