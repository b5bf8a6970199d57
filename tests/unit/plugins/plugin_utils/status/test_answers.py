# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of an honest host passes unchanged; whatever another host answers, the page of the cluster is drawn."""

from __future__ import annotations

import contextlib
import copy
import json
from datetime import datetime, timezone

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.action import status_host
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import Cluster, Member, Status
from ansible_collections.hardway.kubernetes.plugins.module_utils.host.status import gather
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.answers import checked_answer
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.evaluate import evaluate
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.terminal import as_lines
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Untrusted

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
SILENT = {"version": "", "ready": False, "error": "no answer"}
API = {"endpoint": SILENT, "servers": {}, "nodes": None, "leaders": {}, "waiting": [], "error": ""}
CLUSTER = {"name": "lab", "endpoint": "https://192.0.2.1:6443", "virtual_address": "192.0.2.1", "version": "1.36.3"}
STATE = Status("https://m1:2379", 1, "3.6.16", 400, 9_000_000, 8_000_000, 1 << 33, 1, 2, 500, 500)
VIEW = Cluster(
    1,
    (
        Member(1, "m1", ("https://m1:2380",), ("https://m1:2379",), healthy=True, latency=1.5, status=STATE),
        Member(2, "", ("https://m2:2380",), problem="refused"),
    ),
    1,
)
PROGRAM = {
    "component": "etcd",
    "service": "etcd.service",
    "state": "active",
    "restarts": 0,
    "seconds": None,
    "binary": "/opt/hardway/etcd/3.6.16/etcd",
    "version": "3.6.16",
    "replaced": False,
    "linked": "3.6.16",
}
SERVER = {"backend": "kube-apiserver", "name": "m1", "state": "UP", "check": "passed", "sessions": 1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module", name="answer")
def make_answer() -> dict:
    answer = gather({"paths": [], "components": True}, {})
    answer |= {"etcd": VIEW.report(), "programs": [PROGRAM], "backends": {"servers": [SERVER]}}
    answer["found"]["processes"] = [{"component": "etcd", "service": "etcd.service", "active": True, "restart": "x"}]
    return answer


def page_of(answer: dict) -> list[str]:
    """The lines of the page of a cluster with this host and an unreachable one."""
    host = status_host.read(answer, 0.0, 10.0**11)
    unread = status_host.failed(False, "no route\x1b[2J")
    groups = {"etcd": ["m1", "m2"], "lb": ["m1", "m2"], "kube_node": ["m1", "m2"]}
    facts = {"cluster": CLUSTER, "groups": groups, "hosts": {"m1": host, "m2": unread}, "api": API}
    return as_lines(evaluate(facts, now=NOW))


def places(value: object, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


def test_an_honest_answer_passes_unchanged(answer):
    plain = json.loads(json.dumps(answer))
    checked = checked_answer(plain | {"ansible_facts": {"ca_certificates": []}, "add_host": {}}, "")
    assert {**checked, "facts": {key: checked["facts"][key] for key in answer["facts"]}} == plain
    assert set(status_host.read(checked, 0, 1)) == {
        *("changed", "reachable", "readable", "error", "facts", "load", "programs", "etcd", "backends"),
        *("certificates", "processes", "problems"),
    }


def test_a_host_may_answer_only_an_error(answer):
    errors = {"etcd": {"error": "refused"}, "backends": {"error": "refused"}}
    assert {key: checked_answer(answer | errors, "")[key] for key in errors} == errors
    assert checked_answer(answer | {"etcd": {}}, "")["etcd"] == {}


@given(data=st.data(), value=JSON)
def test_whatever_a_host_answers_the_page_is_drawn(answer, data, value):
    roots = {key: item for key, item in answer.items() if key != "facts"}  # facts have their own test
    changed, path = copy.deepcopy(answer), data.draw(st.sampled_from(places(roots)))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(Untrusted):
        lines = page_of(checked_answer(changed, ""))
        assert all(line.replace("\u00a0", " ").isprintable() for line in lines)


@given(JSON)
def test_anything_is_an_answer_or_untrusted(raw):
    with contextlib.suppress(Untrusted):
        checked_answer(raw, "")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("programs", None, "programs is not a list"),
        ("load", [1, 2, "x"], r"load\[2\] is not a number"),
        ("facts", {}, "facts has untrusted facts: time is missing"),
        ("etcd", {"members": []}, "etcd.cluster_id is missing"),
        ("backends", {"servers": [{}]}, r"backends.servers\[0\].backend is missing"),
        ("found", {"certificates": [{"source": "x"}]}, r"found.certificates\[0\].source is none of file"),
    ],
)
def test_what_cannot_be_is_named(answer, key, value, message):
    with pytest.raises(Untrusted, match=message):
        checked_answer(answer | {key: value}, "")
