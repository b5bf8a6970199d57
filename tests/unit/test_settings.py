# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One owner for each setting: no role reads another role's defaults or variables, but for those of role cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())
#: Every role depends on it: what two roles need is its setting.
SHARED = "cluster"
#: A word that may be a variable: no attribute, no part of a path or of a longer name.
WORD = re.compile(r"(?<![\w./-])[a-z][a-z0-9]*_[a-z0-9_]+\b(?![/-])")


def variables(role: str) -> set[str]:
    """Names in the defaults and variables of a role."""
    paths = [path for kind in ("defaults", "vars") for path in (ROLES / role / kind).rglob("*.yml")]
    return {name for path in paths for name in yaml.safe_load(path.read_text()) or {}}


def words(role: str) -> dict[str, set[str]]:
    """Word -> the files of a role that have it, comments left out."""
    found: dict[str, set[str]] = {}
    for path in (ROLES / role).rglob("*"):
        if path.suffix not in (".yml", ".j2") or "meta" in path.relative_to(ROLES).parts:
            continue
        text = re.sub(r"^\s*#.*$|\s#\s.*$|\{#.*?#\}", "", path.read_text(), flags=re.MULTILINE)
        for word in WORD.findall(text):
            found.setdefault(word, set()).add(str(path.relative_to(ROLES)))
    return found


def foreign(role: str, owners: dict[str, str]) -> dict[str, str]:
    """Variables of other roles that a role has in its files -> where."""
    return {
        word: ", ".join(sorted(where))
        for word, where in words(role).items()
        if owners.get(word, role) not in (role, SHARED)
    }


OWNERS = {name: role for role in NAMES for name in variables(role)}


@pytest.mark.parametrize("role", NAMES)
def test_a_role_reads_its_own_variables_and_those_of_the_cluster(role):
    assert foreign(role, OWNERS) == {}


@pytest.mark.parametrize("role", NAMES)
def test_variables_are_named_for_their_role(role):
    assert [name for name in variables(role) if not name.startswith(f"{role}_")] == []


def test_no_variable_has_two_owners():
    names = [name for role in NAMES for name in variables(role)]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_search_finds_a_variable_of_another_role():
    a_default = sorted(words("lb").keys() & variables("lb"))[0]
    assert a_default in foreign("lb", {**OWNERS, a_default: "etcd"})


#: It must run whatever the settings are, and so depends on no role: it has the defaults of role cluster once more.
WITHOUT_DEPENDENCIES = "preflight"


def test_a_second_default_is_that_of_role_cluster():
    """A default beside one that role cluster has would be a second opinion."""
    own = yaml.safe_load((ROLES / SHARED / "defaults/main.yml").read_text())
    second = re.compile(r"(?<![\w.])(" + "|".join(own) + r") *\| *default\(([^()]*)\)")
    files = [path for path in ROLES.rglob("*") if path.suffix in (".yml", ".j2") and path.name != "argument_specs.yml"]
    found = [(path.relative_to(ROLES).parts[0], *match) for path in files for match in second.findall(path.read_text())]
    assert {role for role, _name, _value in found} == {WITHOUT_DEPENDENCIES}
    assert [(name, yaml.safe_load(value)) for _role, name, value in found] == [
        (name, own[name]) for _role, name, _value in found
    ]


@pytest.mark.parametrize(
    "path", sorted([*ROLES.rglob("*.yml"), *ROLES.rglob("*.j2"), *(ROLES.parent / "playbooks").rglob("*.yml")]), ids=str
)
def test_nothing_reads_ansible_facts(path):
    """Every module that a host answers for can set them, and one that runs once for all hosts sets those of all."""
    assert "ansible_facts" not in path.read_text()
