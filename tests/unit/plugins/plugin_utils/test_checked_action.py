# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of what a host answers a module returns the keys that it has, of the types that they have, or that the host cannot be used."""

from __future__ import annotations

import importlib
import json
import pathlib
import re

import pytest
import yaml

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.plugin_utils import etcd_answers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import checked_outcome

PLUGINS = "ansible_collections.hardway.kubernetes.plugins"
ROOT = pathlib.Path(__file__).parents[4]
CHECKED = [
    "etcd_info", "etcd_keys_info", "etcd_maintenance", "etcd_member", "etcd_restore", "etcd_snapshot", "etcd_value",
    "reset",
]  # fmt: skip
TABLES = [etcd_answers.INFO, etcd_answers.KEYS_INFO, etcd_answers.MEMBER, etcd_answers.SNAPSHOT]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
CLEAR = "\x1b[2J"


def answer_of(module: str):
    return importlib.import_module(f"{PLUGINS}.action.{module}").ActionModule.answer


@pytest.mark.parametrize("module", CHECKED)
def test_each_documented_key_passes_and_its_sample_unchanged(module):
    """A key that is new in the module's documentation needs its entry in the table, or it does not reach the controller."""
    documented = yaml.safe_load(importlib.import_module(f"{PLUGINS}.modules.{module}").RETURN)
    samples = {key: value["sample"] for key, value in documented.items() if "sample" in value and key != "problems"}
    assert checked_outcome({"changed": True, **samples}, answer_of(module)) == {"changed": True, **samples}


def test_a_whole_state_of_etcd_passes_unchanged():
    contains = yaml.safe_load(importlib.import_module(f"{PLUGINS}.modules.etcd_info").RETURN)["members"]["contains"]
    member = {key: value["sample"] for key, value in contains.items()}
    answer = {"changed": False, "members": [member, {**member, "latency_ms": None, "quota_used": None}]}
    assert checked_outcome(answer, etcd_answers.INFO) == answer


def test_keys_of_no_module_are_dropped():
    besides = {"ansible_facts": {"x": 1}, "add_host": {}, "ansible_stats": 5, "warnings": [CLEAR], "exception": CLEAR}
    assert checked_outcome({"changed": False, "revision": 7, **besides}, etcd_answers.KEYS_INFO) == {
        "changed": False,
        "revision": 7,
    }


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        (etcd_answers.SNAPSHOT, {"revision": "7"}),
        (etcd_answers.SNAPSHOT, {"revision": 2**63}),
        (etcd_answers.SNAPSHOT, {"revision": True}),
        (etcd_answers.SNAPSHOT, {"sha256": "../../x"}),
        (etcd_answers.SNAPSHOT, {"raft_term": None}),
        (etcd_answers.KEYS_INFO, {"keys": "x"}),
        (etcd_answers.KEYS_INFO, {"keys": [5]}),
        (etcd_answers.MEMBER, {"initial_cluster": "a=https://192.0.2.1:2380\nlisten-client-urls: http://0.0.0.0:2379"}),
        (etcd_answers.MEMBER, {"initial_cluster_state": "evil"}),
        (etcd_answers.INFO, {"members": {}}),
        (etcd_answers.INFO, {"has_quorum": "yes"}),
        (etcd_answers.INFO, {"changed": "yes"}),
        (etcd_answers.INFO, {"diff": 5}),
    ],
)
def test_a_wrong_value_spoils_the_answer_and_is_named(table, answer):
    result = checked_outcome(answer, table)
    assert result["failed"] is True and set(result) == {"failed", "changed", "msg"}
    assert next(iter(answer)) in result["msg"] and "Fix: " in result["msg"]


def test_escapes_reach_no_text():
    answer = {"failed": True, "msg": f"{CLEAR}\u202egone\nnext", "problems": [CLEAR], "diff": {"before": CLEAR}}
    result = checked_outcome(answer, etcd_answers.INFO)
    assert result["msg"] == "?[2J?gone\nnext" and CLEAR not in json.dumps(result, ensure_ascii=False)


def test_a_host_that_says_it_is_away_is_away():
    result = checked_outcome({"unreachable": True, "msg": "x"}, etcd_answers.INFO)
    assert result == {"unreachable": True, "changed": False, "msg": "x"}


@given(
    st.dictionaries(
        st.sampled_from(["failed", "msg", "module_stderr", "exception", "members", "revision", "diff"]), JSON
    )
)
def test_anything_has_a_result(outcome):
    for table in TABLES:
        result = checked_outcome(outcome, table)
        assert set(result) <= {"failed", "unreachable", "changed", "msg", "diff", "skipped", *table}


def test_each_module_that_runs_on_hosts_has_a_half_that_checks_its_answer():
    """A module without an action returns what its host wants; those that run on the controller alone may."""
    calls = {
        (path.parents[1].name, match[1])
        for path in (ROOT / "roles").glob("*/tasks/*.yml")
        for match in re.finditer(r"hardway\.kubernetes\.(\w+):\n", path.read_text())
    }
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    bare = {name for _role, name in calls if name in modules and not (ROOT / f"plugins/action/{name}.py").exists()}
    assert bare <= ON_THE_CONTROLLER


#: They ask the API or read the controller's own files.
ON_THE_CONTROLLER = {
    "backup", "backup_extract", "bootstrap_token", "node_drain", "reset_nodes", "restore_directory", "rollout_restart",
    "rotation", "storage_migration", "upgrade_plan",
}  # fmt: skip
