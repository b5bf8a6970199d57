# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's settings as they are for one host, rendered once for all of its components."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping

from ansible.errors import AnsibleError

SETTING = re.compile(r"\bcluster_\w+")


def render_settings(templar: t.Any, variables: dict[str, t.Any]) -> dict[str, t.Any]:
    """All settings of the cluster that can be rendered; of the others the component that uses one says what is wrong.

    A setting comes after those that it names, so that none is rendered twice.

    :arg templar: knows *variables*, which get the rendered values in their place
    """
    settings: dict[str, t.Any] = {}
    visited: set[str] = set()

    def render(name: str) -> None:
        if name in visited or name not in variables:
            return
        visited.add(name)
        for other in _named(variables[name]):
            render(other)
        try:
            settings[name] = variables[name] = templar.template(variables[name])
        except AnsibleError:
            return

    for name in list(variables):
        if SETTING.fullmatch(name):
            render(name)
    return settings


def _named(value: t.Any) -> Iterator[str]:
    """The settings that the texts of a value name."""
    if isinstance(value, str):
        yield from SETTING.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _named(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _named(item)
