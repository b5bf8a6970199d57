# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other tools read of the collection: its groups of actions, its dependencies, its execution environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_builder import ee_schema
from ansible_builder._target_scripts import introspect

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import client

ROOT = Path(os.path.realpath(__file__)).parents[2]
GROUPS = sorted(path.stem for path in (ROOT / "plugins" / "doc_fragments").glob("*.py"))
#: Where this collection is imported from: .collections in a checkout, another directory under ansible-test.
COLLECTIONS = Path(os.path.abspath(client.__file__)).parents[6]
METADATA = ROOT / "meta" / "execution-environment.yml"
EXAMPLE = ROOT / "examples" / "execution-environment.yml"


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def documentation(module: Path) -> dict:
    return yaml.safe_load(re.search(r'^DOCUMENTATION = r?"""(.*?)"""', module.read_text(), re.DOTALL | re.MULTILINE)[1])


# --- groups of actions


def test_every_doc_fragment_has_a_group():
    assert sorted(load(ROOT / "meta" / "runtime.yml")["action_groups"]) == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_the_modules_that_share_its_options(group):
    sharing = [
        module.stem
        for module in sorted((ROOT / "plugins" / "modules").glob("*.py"))
        if f"hardway.kubernetes.{group}" in documentation(module).get("extends_documentation_fragment", [])
    ]
    assert sharing
    assert load(ROOT / "meta" / "runtime.yml")["action_groups"][group] == sharing


@pytest.mark.parametrize(
    ("group", "module", "defaults", "seen"),
    [
        ("api", "csr_approval: {nodes: []}", "{kubeconfig: /nowhere/kubeconfig}", "/nowhere/kubeconfig"),
        ("etcd", "etcd_info:", '{endpoints: ["http://127.0.0.1:9"]}', "127.0.0.1:9"),
    ],
)
def test_module_defaults_reach_the_modules_of_a_group(tmp_path, group, module, defaults, seen):
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(
        f"""
- hosts: localhost
  gather_facts: false
  module_defaults:
    group/hardway.kubernetes.{group}: {defaults}
  tasks:
    - hardway.kubernetes.{module}
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", playbook],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert seen in done.stdout + done.stderr
    assert "missing required arguments" not in done.stdout + done.stderr


# --- dependencies


#: Needed by one choice of a setting alone, which says so.
OPTIONAL = {"amazon.aws"}


def test_the_collections_that_roles_use_are_dependencies():
    module = re.compile(r"^ +(?:- )?([a-z_]+\.[a-z_]+)\.[a-z0-9_]+:$", re.MULTILINE)
    paths = [*ROOT.glob("roles/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    used = {name for path in paths for name in module.findall(path.read_text(encoding="utf-8"))}
    assert used - {"ansible.builtin", "hardway.kubernetes"} - OPTIONAL == set(load(ROOT / "galaxy.yml")["dependencies"])


# --- execution environment


@pytest.mark.parametrize("path", [METADATA, EXAMPLE], ids=lambda path: path.parent.name)
def test_the_execution_environment_is_as_its_schema_wants_it(path):
    ee_schema.validate_schema(load(path))


def test_an_execution_environment_gets_the_python_of_a_controller():
    python, system = introspect.process_collection(str(ROOT))
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert (python, system) == (wanted, [])


def test_the_example_installs_this_version_and_what_the_tests_have():
    dependencies = load(EXAMPLE)["dependencies"]
    first, *others = dependencies["galaxy"]["collections"]
    assert first == {"name": "hardway.kubernetes", "version": load(ROOT / "galaxy.yml")["version"]}
    assert {collection["name"] for collection in others} == OPTIONAL
    assert set(dependencies["python"]) <= set((ROOT / "requirements-test.txt").read_text().splitlines())
    core = load(ROOT / "meta" / "runtime.yml")["requires_ansible"].removesuffix(".0")
    assert dependencies["ansible_core"]["package_pip"].startswith(f"ansible-core{core},")


def test_a_container_file_can_be_made_of_the_example(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ansible_builder", "create", "--file", EXAMPLE, "--context", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hardway.kubernetes" in (tmp_path / "_build" / "requirements.yml").read_text()
