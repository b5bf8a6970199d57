# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of messages: numbers with their noun, lists, sizes, and texts of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST = 5
REPLACEMENT = "?"


def counted(number: int, noun: str) -> str:
    """1 host, 2 hosts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: Iterable[object], conjunction: str = "and", none: str = "") -> str:
    """a, b and c."""
    texts = [str(word) for word in words]
    if len(texts) < 2:
        return texts[0] if texts else none
    return f"{', '.join(texts[:-1])} {conjunction} {texts[-1]}"


def some(words: Sequence[object], most: int = MOST) -> str:
    """a, b and 7 more."""
    more = len(words) - most
    return ", ".join(str(word) for word in words[:most]) + (f" and {more} more" if more > 0 else "")


def size(count: float) -> str:
    """A number of bytes in the largest unit that it fills."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def printable(text: str, allowed: str = "") -> str:
    """The text with a question mark for each character that is not printed as itself: escapes, controls, directions, surrogates."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in allowed else REPLACEMENT for character in text)
