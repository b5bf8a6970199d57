# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors, words and versions."""

from __future__ import annotations

import pickle

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import text, versions
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "the port is in use"),
        ({"where": "node1"}, "node1: the port is in use"),
        ({"fix": "stop nginx"}, "the port is in use. Fix: stop nginx"),
        ({"where": "node1", "fix": "stop nginx"}, "node1: the port is in use. Fix: stop nginx"),
    ],
)
def test_an_error_shows_where_it_is_and_how_to_fix_it(options: dict[str, str], expected: str) -> None:
    error = HardwayError("the port is in use", **options)
    assert str(error) == expected
    assert error.message == "the port is in use"
    assert str(pickle.loads(pickle.dumps(error))) == expected


def test_a_sentence_keeps_its_end_before_the_fix() -> None:
    assert str(HardwayError("It is full.", fix="make room")) == "It is full. Fix: make room"


def test_an_error_takes_another_error_as_its_message() -> None:
    assert str(HardwayError(OSError("disk full"), where="/var")) == "/var: disk full"


@pytest.mark.parametrize(("number", "expected"), [(0, "0 hosts"), (1, "1 host"), (2, "2 hosts")])
def test_numbers_go_with_their_noun(number: int, expected: str) -> None:
    assert text.counted(number, "host") == expected


@pytest.mark.parametrize(
    ("words", "expected"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), ([1, 2, 3], "1, 2 and 3")]
)
def test_lists_read_as_english(words: list[object], expected: str) -> None:
    assert text.listed(words, none="none") == expected


def test_lists_take_another_conjunction() -> None:
    assert text.listed("abc", "or") == "a, b or c"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("", ""), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("abcde", "a, b, c and 2 more")],
)
def test_long_lists_are_cut(words: str, expected: str) -> None:
    assert text.some(words, 3) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (20 * 1024**2, "20 MiB"),
        (8 * 1024**3, "8.0 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_sizes_are_in_the_largest_unit_that_fits(count: int, expected: str) -> None:
    assert text.size(count) == expected


@pytest.mark.parametrize(
    ("version", "whole", "minor", "numbers"),
    [
        ("1.34.2", (1, 34, 2), "1.34", (1, 34)),
        ("v1.34.2", (1, 34, 2), "1.34", (1, 34)),
        ("1.7.29-2", (1, 7, 29), "1.7", (1, 7)),
        ("1.34", None, "", (1, 34)),
        ("newest", None, "", None),
        ("", None, "", None),
    ],
)
def test_versions_are_read(
    version: str, whole: tuple[int, ...] | None, minor: str, numbers: tuple[int, int] | None
) -> None:
    assert versions.version_of(version) == whole
    assert versions.minor_of(version) == minor
    assert versions.minor_numbers(version) == numbers


def test_versions_are_sorted_by_their_numbers() -> None:
    assert sorted(["1.9.3", "1.10.0", "1.10"], key=versions.numbers) == ["1.9.3", "1.10", "1.10.0"]
    assert versions.numbers("1.7.29-2") == (1, 7, 29)
