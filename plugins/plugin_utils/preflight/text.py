# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of messages, and texts that are versions or names."""

from __future__ import annotations

import difflib
import re
import typing as t
from collections.abc import Iterable

SIMILAR = 0.8  # difflib's ratio from which a name counts as a misspelling of another
LABEL = re.compile(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"
)  # RFC 1123, section 2.1, in the lower case that Kubernetes wants


def is_domain(text: str) -> bool:
    """A domain name of RFC 1123 in lower case, without a trailing dot."""
    return 0 < len(text) <= 253 and all(LABEL.match(label) for label in text.split("."))


def nearest(name: str, names: Iterable[str], similar: float = SIMILAR) -> str:
    """The most similar of the names, or nothing if none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=similar)
    return found[0] if found else ""


def listed(words: Iterable[t.Any], conjunction: str = "and") -> str:
    texts = [str(word) for word in words]
    return f" {conjunction} ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)


def version_of(text: str) -> tuple[int, ...] | None:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]+)?\Z", text)
    return tuple(int(part) for part in match.groups()) if match else None


def minor_of(text: str) -> str:
    version = version_of(text)
    return f"{version[0]}.{version[1]}" if version else ""


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
