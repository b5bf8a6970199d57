# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What playbooks must keep to: one list of phases for all, and a play knows the settings that it asks for."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]
PLAYBOOKS = ROOT / "playbooks"


CONVERGE = PLAYBOOKS / "_converge.yml"
PHASES = PLAYBOOKS / "phases"
VERIFY = PHASES / "verify.yml"
ALONE = PHASES / "alone.yml"
#: They change nothing of a cluster, and run beside anything.
READ_ONLY = {"certificates.yml", "mirror.yml", "preflight.yml", "status.yml", "verify.yml"}


def imported(path: Path) -> list[Path]:
    """The playbooks that a playbook imports, in order; plays of its own are left out."""
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [play["ansible.builtin.import_playbook"] for play in plays if "ansible.builtin.import_playbook" in play]
    return [(path.parent / name).resolve() for name in names]


def test_the_root_has_two_playbooks():
    """Every job is `ansible-playbook hardway.kubernetes.NAME`, in a checkout as installed; two have a short way, too."""
    found = {path.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("*.yml")}
    playbooks = {name: imported(ROOT / name) for name, content in found.items() if isinstance(content, list)}
    assert playbooks == {"site.yml": [PLAYBOOKS / "site.yml"], "add-node.yml": [PLAYBOOKS / "add_node.yml"]}


@pytest.mark.parametrize("name", ["restore.yml", "restore_etcd.yml"])
def test_a_restore_converges_as_site_does_and_verifies_after_what_ran_on_has_learnt_of_it(name):
    members, finish = PHASES / "restore_members.yml", PHASES / "restore_finish.yml"
    assert imported(PLAYBOOKS / name) == [ALONE, members, CONVERGE, PHASES / "post_restore.yml", VERIFY, finish]


def test_each_stage_of_a_rotation_converges_and_verifies():
    assert imported(PHASES / "rotation_stage.yml") == [CONVERGE, VERIFY]


def test_site_converges_and_verifies():
    assert imported(PLAYBOOKS / "site.yml") == imported(PLAYBOOKS / "_add.yml") == [ALONE, CONVERGE, VERIFY]


def reached(path: Path) -> list[Path]:
    """All playbooks that a playbook imports, through others too, in the order of their first play."""
    return [each for child in imported(path) for each in (child, *reached(child))]


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("[!_]*.yml")), ids=lambda path: path.name)
def test_what_changes_something_keeps_other_runs_away_once_and_before_its_first_change(path):
    found = reached(path)
    assert found.count(ALONE) == (0 if path.name in READ_ONLY else 1)
    if ALONE in found:
        # What imports it has no play before it. That of kubeadm.yml only looks at the inventory.
        ways = [path, *found[: found.index(ALONE)]]
        starts = [
            yaml.safe_load(way.read_text(encoding="utf-8"))[path.name == "kubeadm.yml" and way == path] for way in ways
        ]
        assert all("ansible.builtin.import_playbook" in start for start in starts), ways


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.rglob("*.yml")), ids=lambda path: path.name)
def test_a_play_knows_the_settings_that_it_asks_for(path):
    """Those of the role cluster are known in a play that imports a role; of one that is included Ansible learns too late for the condition."""
    for play in yaml.safe_load(path.read_text(encoding="utf-8")):
        tasks = play.get("tasks") or []
        asked = [task["name"] for task in tasks if re.search(r"\b(cluster|cni)_", str(task.get("when", "")))]
        assert not asked or any("ansible.builtin.import_role" in task for task in tasks), asked
