# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a managed host returns, which is whatever the host's administrator, or an intruder, wants it to be.

A check takes a value and the name of its key, and returns the value made anew: of the expected type, within limits, and without
characters that drive a terminal. It raises `Untrusted` for everything else, and nothing else. Checks are combined into tables.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import printable

Check = t.Callable[[t.Any, str], t.Any]

#: Characters of a text, entries of a list or a dictionary: more than any honest host has.
LONG, MANY = 4096, 20_000
SHORT = 256


class Untrusted(HardwayError):
    """A host's answer is not what it must be. *key* names the place in it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key} {reason}" if key else f"the answer {reason}")
        self.key = key
        self.reason = reason


def one_line(text: str) -> str:
    """A text for a message: printable, with single spaces for all white space."""
    return printable(" ".join(text.split()))


def boolean(value: t.Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise Untrusted(key, "is not a boolean")
    return bool(value)


def integer(low: int = 0, high: int = 2**63) -> Check:
    def check(value: t.Any, key: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Untrusted(key, "is not a whole number")
        if not low <= value <= high:
            raise Untrusted(key, f"is not between {low} and {high}")
        return int(value)

    return check


def number(low: float, high: float) -> Check:
    def check(value: t.Any, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Untrusted(key, "is not a number")
        if not low <= value <= high:  # nor is NaN
            raise Untrusted(key, f"is not between {low:g} and {high:g}")
        return int(value) if isinstance(value, int) else float(value)

    return check


def text(limit: int = SHORT, pattern: str = "", lines: bool = False) -> Check:
    """A text of one line, or of several where *lines* is true, that matches *pattern* as a whole; what is beyond *limit* is cut off."""
    wanted = re.compile(pattern) if pattern else None

    def check(value: t.Any, key: str) -> str:
        if not isinstance(value, str):
            raise Untrusted(key, "is not a text")
        clean = printable(value[:limit], "\r\n\t" if lines else "")
        if wanted is not None and not wanted.fullmatch(clean):
            raise Untrusted(key, "has not the form that it must have")
        return clean

    return check


def address(value: t.Any, key: str) -> str:
    """An IP address as a text."""
    clean = text(64)(value, key)
    try:
        ipaddress.ip_address(clean)
    except ValueError:
        raise Untrusted(key, "is not an IP address") from None
    return t.cast(str, clean)


def one_of(*choices: t.Any) -> Check:
    def check(value: t.Any, key: str) -> t.Any:
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value in choices:
            return choices[choices.index(value)]
        raise Untrusted(key, f"is none of {', '.join(map(str, choices))}")

    return check


def optional(inner: Check) -> Check:
    """A value, or none."""
    return lambda value, key: None if value is None else inner(value, key)


def plain(limit: int = LONG, depth: int = 8) -> Check:
    """Data of any shape, for a reader that checks it further: dictionaries, lists, texts and numbers, none of them large or deep."""

    def check(value: t.Any, key: str) -> t.Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return integer(-(2**63), 2**64)(value, key)
        if isinstance(value, float):
            return number(-1e18, 1e18)(value, key)
        if isinstance(value, str):
            return text(limit, lines=True)(value, key)
        if depth == 0:
            raise Untrusted(key, "is too deep")
        inner = plain(limit, depth - 1)
        return dict_of(inner)(value, key) if isinstance(value, Mapping) else list_of(inner)(value, key)

    return check


def list_of(inner: Check, most: int = MANY) -> Check:
    def check(value: t.Any, key: str) -> list[t.Any]:
        if not isinstance(value, list):
            raise Untrusted(key, "is not a list")
        if len(value) > most:
            raise Untrusted(key, f"has more than {most} entries")
        return [inner(item, f"{key}[{index}]") for index, item in enumerate(value)]

    return check


def dict_of(inner: Check, name: Check | None = None, most: int = MANY) -> Check:
    """A dictionary with names that are not known beforehand."""
    named = name or text(LONG)

    def check(value: t.Any, key: str) -> dict[str, t.Any]:
        if not isinstance(value, Mapping):
            raise Untrusted(key, "is not a dictionary")
        if len(value) > most:
            raise Untrusted(key, f"has more than {most} entries")
        made = {}
        for given, item in value.items():
            clean = named(given, f"a name in {key}")
            made[clean] = inner(item, f"{key}.{clean[:SHORT]}")
        return made

    return check


def record(entries: Mapping[str, Check], extra: Mapping[str, Check] | None = None) -> Check:
    """A dictionary with exactly these *entries*, and with those of *extra* that are there; others are dropped."""

    def check(value: t.Any, key: str) -> dict[str, t.Any]:
        if not isinstance(value, Mapping):
            raise Untrusted(key, "is not a dictionary")
        made = {}
        for name, inner in {**entries, **(extra or {})}.items():
            place = f"{key}.{name}" if key else name
            if name in value:
                made[name] = inner(value[name], place)
            elif name in entries:
                raise Untrusted(place, "is missing")
        return made

    return check
