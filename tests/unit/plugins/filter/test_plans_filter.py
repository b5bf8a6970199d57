# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import inspect
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.action.restore_plan import ARGUMENTS
from ansible_collections.hardway.kubernetes.plugins.filter import plans

FILTERS = plans.FilterModule().filters()
PLUGINS = Path(__file__).resolve().parents[4] / "plugins"


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_the_documentation_of_a_filter_has_its_arguments(name):
    documentation = yaml.safe_load((PLUGINS / "filter" / f"{name}.yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    _first, *others = inspect.signature(FILTERS[name]).parameters.values()
    options = documentation["options"]
    assert list(options) == ["_input", *(each.name for each in others)]
    required = {each.name for each in others if each.default is inspect.Parameter.empty} | {"_input"}
    assert {option for option, described in options.items() if described.get("required")} == required
    assert others == [] or documentation["positional"].split(", ") == list(options)


def test_the_documentation_of_the_plan_of_a_restore_has_its_arguments():
    text = (PLUGINS / "modules" / "restore_plan.py").read_text(encoding="utf-8")
    options = yaml.safe_load(text.split('DOCUMENTATION = r"""')[1].split('"""')[0])["options"]
    described = {
        name: {key: option[key] for key in ("type", "elements", "default", "required") if key in option}
        for name, option in options.items()
    }
    assert described == ARGUMENTS


def test_results_of_hosts_that_ran_the_task():
    hostvars = {"a": {"state": {"x": 1}}, "b": {}, "c": {"state": {"x": 3}}}
    assert plans.host_results(["a", "b"], hostvars, "state") == {"a": {"x": 1}}


def test_a_user_by_the_settings_of_the_role():
    binding = {"metadata": {"name": "hardway:user:jane:ClusterRole:edit"}, "subjects": [{"name": "jane"}]}
    found = plans.user_plan({"name": "jane", "role": "view"}, [binding])
    assert found == {
        "binding": "hardway:user:jane:ClusterRole:view",
        "granted_in": [""],
        "problems": [],
        "unwanted": [binding],
    }


def test_members_that_are_restored_later_count_from_the_same_revision():
    assert plans.restore_bump({"bump_revision": 7, "revision": 1}) == 7
    assert plans.restore_bump({"bump_revision": 0, "revision": 1}) == 0
    assert plans.restore_bump({"bump_revision": None, "revision": 1}) > (time.time() - 60) * 1000
