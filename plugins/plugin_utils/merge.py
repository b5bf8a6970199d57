# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What settings do to the roles' own configuration: the same for files, for arguments of a command line, and for kubeadm's documents."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping


def merged(base: Mapping[str, t.Any], over: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A mapping with another laid over it: mappings merge, all else replaces, null removes."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def argument(value: t.Any) -> str:
    """The text of a command line argument's value: a list is joined by commas, a mapping is NAME=VALUE."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{name}={argument(value[name])}" for name in sorted(value))
    return ",".join(argument(item) for item in value) if isinstance(value, list) else str(value)
