# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what a domain name is, and which name is the nearest to a misspelt one."""

from __future__ import annotations

import difflib
import re
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
