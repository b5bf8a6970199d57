# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A restore goes on as site.yml does, with one step more."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

PLAYBOOKS = Path(os.path.realpath(__file__)).parents[2] / "playbooks"


def imports(path: Path) -> list[Path]:
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [(path.parent / play["ansible.builtin.import_playbook"]).resolve() for play in plays]


def test_a_restore_leaves_out_no_step_of_site():
    steps = imports(PLAYBOOKS / "steps" / "restore_site.yml")
    settle = PLAYBOOKS / "steps" / "restore_settle.yml"
    assert steps.index(settle) == len(steps) - 2, "it is settled right before it is verified"
    assert [step for step in steps if step != settle] == imports(PLAYBOOKS / "site.yml")
