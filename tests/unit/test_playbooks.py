# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What playbooks must keep to: a restore goes on as site.yml does, and a play knows the settings that it asks for."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]
PLAYBOOKS = ROOT / "playbooks"


def imports(path: Path) -> list[Path]:
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [(path.parent / play["ansible.builtin.import_playbook"]).resolve() for play in plays]


def test_the_root_has_two_playbooks():
    """Every job is `ansible-playbook hardway.kubernetes.NAME`, in a checkout as installed; two have a short way, too."""
    found = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("*.yml")}
    playbooks = {name: imports(ROOT / name) for name, content in found.items() if isinstance(content, list)}
    assert playbooks == {"site.yml": [PLAYBOOKS / "site.yml"], "add-node.yml": [PLAYBOOKS / "add_node.yml"]}


def test_a_restore_leaves_out_no_step_of_site():
    steps = imports(PLAYBOOKS / "steps" / "restore_site.yml")
    settle = PLAYBOOKS / "steps" / "restore_settle.yml"
    assert steps.index(settle) == len(steps) - 2, "it is settled right before it is verified"
    assert [step for step in steps if step != settle] == imports(PLAYBOOKS / "site.yml")


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.rglob("*.yml")), ids=lambda path: path.name)
def test_a_play_knows_the_settings_that_it_asks_for(path):
    """Those of the role cluster are known in a play that imports a role; of one that is included Ansible learns too late for the condition."""
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        tasks = play.get("tasks") or []
        asked = [task["name"] for task in tasks if re.search(r"\b(cluster|cni)_", str(task.get("when", "")))]
        assert not asked or any("ansible.builtin.import_role" in task for task in tasks), asked
