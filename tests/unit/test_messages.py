# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A setting that a message names exists: messages are checked as the pages are (test_docs.py).

Whoever follows a fix that names a setting of another spelling is refused by preflight for a misspelt setting.
"""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
WORD = re.compile(rf"(?<![\w./@-])((?:{'|'.join(ROLES)})_[a-z0-9_]*[a-z0-9])(?![\w/-]*\.(?:md|py|yml|j2)\b)(?![\w-])")
# Keys of tasks whose texts are for people.
MESSAGES = {"fail_msg", "success_msg", "msg", "prompt", "question"}
GROUPS = {"kube_master", "kube_node"}
# Names of others that begin as a role's do.
FOREIGN = {
    "cni_hostport": "a table of nftables, by the CNI plugin portmap",
    "cni_plugins_masquerade": "a table of nftables, by the CNI plugin bridge",
    "etcd_endpoints": "a key of Calico's ConfigMap",
    "etcd_server_is_learner": "a metric of etcd",
    "etcd_server_quota_backend_bytes": "a metric of etcd",
    "host_vars": "Ansible's directory",
}
PYTHON = sorted(path for path in ROOT.glob("plugins/**/*.py"))
YAML = sorted(
    path
    for pattern in ("roles/*/tasks/**/*.yml", "roles/*/vars/**/*.yml", "roles/*/components/*.yml", "playbooks/**/*.yml")
    for path in ROOT.glob(pattern)
)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads past the tags of Ansible (!unsafe, !vault)."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def load(path: Path) -> object:
    return yaml.load(path.read_text(), Loader=Loader)


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def settings() -> frozenset[str]:
    return frozenset(
        name
        for role in ROLES
        for entry in load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"].values()
        for name in (entry.get("options") or {})
    )


@functools.cache
def documented() -> frozenset[str]:
    """Names that begin as a role's settings do, and are no settings: groups, roles, plugins, their options and return values."""
    found = {
        *GROUPS,
        *ROLES,
        *(path.stem for path in ROOT.glob("plugins/*/*")),
        *(path.stem for path in ROOT.glob("playbooks/*")),
    }
    for path in [*ROOT.glob("plugins/modules/*.py"), *ROOT.glob("plugins/doc_fragments/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("DOCUMENTATION", "RETURN"):
                found |= names_of(yaml.safe_load(node.value.value))
    for path in ROOT.glob("plugins/*/*.yml"):
        found |= names_of(load(path))
    return frozenset(found)


@functools.cache
def variables() -> frozenset[str]:
    """What the roles define for themselves, with the keys in it."""
    found = set()
    for path in ROOT.glob("roles/*/vars/**/*.yml"):
        found |= names_of(load(path))
    for path in [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        found |= set(re.findall(r"(?:register|loop_var): (\w+)", path.read_text()))
    return frozenset(found)


@functools.cache
def for_people() -> frozenset[str]:
    """What a message may name: a setting, or what the pages describe."""
    pages = " ".join(path.read_text() for path in [*ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")])
    return settings() | documented() | (variables() & words(pages)) | set(FOREIGN)


def names_of(documentation: object) -> set[str]:
    """The names of options and return values at any depth."""
    found: set[str] = set()
    if isinstance(documentation, dict):
        for key, value in documentation.items():
            found.add(str(key))
            found |= names_of(value)
    return found


def words(text: str) -> set[str]:
    return set(WORD.findall(text))


# --- Python


def literals(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """The text literals with their lines, and whether each is documentation: a docstring, or that of a module."""
    documentation = {node.value for node in ast.walk(tree) if is_documentation(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, node in documentation


def is_documentation(node: ast.AST) -> bool:
    return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("DOCUMENTATION", "EXAMPLES", "RETURN")
    )


def is_sentence(text: str) -> bool:
    """Not a key, a path or a pattern alone."""
    return " " in text.strip()


@pytest.mark.parametrize("path", PYTHON, ids=page_id)
def test_code_names_what_exists(path):
    """Sentences name what people know; keys and documentation may name what the roles define for themselves, too."""
    tree = ast.parse(path.read_text())
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    unknown = []
    for line, text, documentation in literals(tree):
        own = variables() | arguments if documentation or not is_sentence(text) else set()
        unknown += [f"line {line}: {word}" for word in words(text) - for_people() - own]
    assert unknown == []


# --- YAML


def texts(value: object, key: str = "") -> Iterator[str]:
    """The texts for people: of messages what is not an expression, and everywhere the sentences within expressions."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, key)
    elif isinstance(value, str):
        expressions = re.findall(r"\{\{.*?\}\}|\{%.*?%\}", value, re.DOTALL)
        for expression in expressions:
            yield from filter(is_sentence, quoted(expression))
        if key in MESSAGES:
            yield re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", value, flags=re.DOTALL)


def quoted(expression: str) -> list[str]:
    return [one or other for one, other in re.findall(r"'([^']*)'|\"([^\"]*)\"", expression)]


@pytest.mark.parametrize("path", YAML, ids=page_id)
def test_messages_of_tasks_name_settings(path):
    assert sorted({word for text in texts(load(path)) for word in words(text) - for_people()}) == []
