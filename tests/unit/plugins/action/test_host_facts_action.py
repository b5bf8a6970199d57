# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.hardway.kubernetes.plugins.action import host_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import clock_offset, error_text


def test_clock_offset_allows_for_the_time_that_the_call_takes():
    assert clock_offset(105.0, 100.0, 110.0) == 0.0
    assert clock_offset(130.0, 100.0, 110.0) == 20.0
    assert clock_offset(40.0, 100.0, 110.0) == -60.0


def test_a_module_that_died_says_of_what():
    assert (
        error_text({"failed": True, "exception": SimpleNamespace(event=SimpleNamespace(msg="'bin_dir'"))})
        == "the module died: 'bin_dir'"
    )
    assert (
        error_text({"failed": True, "exception": "Traceback\n  File\nKeyError: 'bin_dir'\n"})
        == "the module died: KeyError: 'bin_dir'"
    )
    assert error_text({"failed": True, "msg": "no such file", "exception": "x"}) == "no such file"


def run(monkeypatch, outcome: dict, **arguments) -> dict:
    """The result of the action for a host whose module returned this."""
    monkeypatch.setattr(host_facts.ActionBase, "run", lambda self, tmp, task_vars: {})
    action = object.__new__(host_facts.ActionModule)
    action._task = SimpleNamespace(args=arguments)
    action._execute_module = lambda **_unused: outcome
    return action.run(None, {})


HOSTILE = {
    "facts": {"cpus": "many"},
    "ansible_facts": {"hardway_host": {"cpus": 2}, "ca_certificates": [{"name": "gift"}], "cluster_dir": "/x"},
    "add_host": {"host_name": "gift"},
    "cluster_dir": "/x",
}


def test_a_hostile_host_is_an_unreadable_one_and_sets_nothing(monkeypatch):
    result = run(monkeypatch, HOSTILE, on_failure="report")
    assert set(result) == {"changed", "facts"}
    facts = result["facts"]
    assert (facts["reachable"], facts["readable"], facts["untrusted"]) == (True, False, True)
    assert facts["error"] == "untrusted facts: time is missing"


def test_a_hostile_host_fails_where_nobody_reports_it(monkeypatch):
    with pytest.raises(AnsibleActionFail, match=r"untrusted facts: time is missing\. Fix:"):
        run(monkeypatch, HOSTILE)


def test_a_module_that_failed_returns_why_and_nothing_else(monkeypatch):
    failure = {"failed": True, "msg": "no space", "cluster_dir": "/x", "ansible_facts": {"cluster_dir": "/x"}}
    assert run(monkeypatch, failure) == {"failed": True, "changed": False, "msg": "no space"}
    reported = run(monkeypatch, failure, on_failure="report")
    assert reported["facts"]["error"] == "no space" and set(reported) == {"changed", "facts"}
