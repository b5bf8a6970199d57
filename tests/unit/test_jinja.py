# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasoning is Python, with tests: an expression in a role's YAML is short, and is no program with a loop that collects."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
LONGEST = 250


def texts(value: t.Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a value, with the name of the variable or the task that it belongs to."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, name or str(value.get("name") or key))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, name)
    elif isinstance(value, str):
        yield name, value


def is_program(text: str) -> bool:
    return "namespace(" in text or any(len(found) > LONGEST for found in re.findall(r"\{\{.*?\}\}", text, re.DOTALL))


def programs() -> set[str]:
    paths = [path for kind in ("vars", "defaults", "tasks") for path in ROLES.glob(f"*/{kind}/**/*.yml")]
    assert paths
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in paths]
    entries = [entry for document in documents for entry in (document if isinstance(document, list) else [document])]
    return {name for entry in entries for name, text in texts(entry) if is_program(text)}


def test_no_expression_is_a_program():
    assert programs() == set()
