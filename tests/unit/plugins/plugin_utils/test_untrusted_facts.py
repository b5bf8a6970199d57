# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of an honest host pass unchanged; those of another end in one kind of error that names the key."""

from __future__ import annotations

import contextlib
import copy
import importlib
import json

import pytest
import yaml

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.module_utils.host import facts as host_facts
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.facts import (
    FACTS,
    UntrustedFacts,
    checked_facts,
    usable_facts,
)

ASKED = {
    "paths": ["/", "/var/lib/etcd", "/nowhere"],
    "units": ["etcd", "no-such-unit"],
    "commands": ["sh", "no-such-command"],
    "features": ["overlay", "no_such_module"],
}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/==\n-----END CERTIFICATE-----\n"
FULL = {
    "time": 1764331200.25,
    "root": True,
    "python": "3.11.2",
    "distribution": {
        "id": "debian",
        "like": ["x"],
        "version": "12",
        "codename": "bookworm",
        "name": "Debian GNU/Linux 12 (bookworm)",
    },
    "architecture": "amd64",
    "kernel": "6.1.0-18-amd64",
    "systemd": True,
    "hostname": "knoten-ä",
    "machine_id": "f" * 32,
    "cpus": 2,
    "memory_mib": 4096,
    "swap": ["/dev/sda2"],
    "cgroup": 2,
    "selinux": "disabled",
    "addresses": [{"address": "fe80::1", "prefix": 64, "interface": "host0", "scope": "link"}],
    "interface_of": {"fe80::1": "host0"},
    "default_interface": "host0",
    "filesystems": {"/": {"free_mib": 9, "size_mib": 10, "read_only": False, "device": 2**63}},
    "listeners": [{"address": "::", "port": 22, "process": "sshd", "pid": 1, "unit": "ssh.service"}],
    "units": {"etcd": {"state": "active", "file": "/etc/systemd/system/etcd.service"}},
    "packages": {"bash": "5.2-1+b2"},
    "commands": {"ip": "/usr/sbin/ip", "mount": ""},
    "features": {"overlay": "present", "x": "loadable", "y": "missing"},
    "inotify_free": 16,
    "etcd_member": True,
    "installed": {"kubelet": "1.36.3"},
    "static_pods": ["kube-apiserver"],
    "authorities": {"/etc/etcd/pki/ca.pem": ["0a" * 32]},
    "network": {"cni": "calico", "method": "manifest", "datastore": "etcd"},
    "etcd_started_with": {"initial-cluster": "m1=https://192.0.2.11:2380", "initial-cluster-state": "new"},
    "etcd_learner": False,
    "components": {
        "records": {"etcd": {"owns": {"paths": ["/etc/etcd"]}, "version": 1}},
        "trouble": {"etcd": "refused\nat 2379", "kubelet": None},
    },
    "kubelet_certificate": {"path": "/k.pem", "present": True, "not_after": 1, "expired": False, "pem": PEM},
    "reachable": True,
    "readable": True,
    "error": "",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of all values of a structure, the whole not among them."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


def changed(path: tuple, value: object, remove: bool = False) -> dict:
    facts = copy.deepcopy(FULL)
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return facts


def test_this_machine_s_facts_pass_unchanged():
    facts = dict(host_facts.read(ASKED), reachable=True, readable=True, error="")
    assert checked_facts(json.loads(json.dumps(facts))) == facts


def test_facts_with_all_that_there_can_be_pass_unchanged():
    assert checked_facts(FULL) == FULL


def test_each_documented_fact_is_checked():
    """A fact that is new in the module's documentation needs its entry in FACTS, or it does not reach the controller."""
    module = importlib.import_module("ansible_collections.hardway.kubernetes.plugins.modules.host_facts")
    documented = yaml.safe_load(module.RETURN)["facts"]["contains"]
    of_the_controller = {"reachable", "readable", "error", "clock_offset"}
    assert set(documented) - of_the_controller == set(FACTS)


@given(JSON)
@example(None)
@example([])
@example({"readable": True})
def test_anything_is_facts_or_untrusted(raw):
    with contextlib.suppress(UntrustedFacts):
        assert checked_facts(raw)["readable"] is True
    assert usable_facts(raw, raw).get("readable") in (True, False, None)


@given(st.sampled_from(places(FULL)), JSON)
def test_a_change_of_any_place_is_facts_or_untrusted(path, value):
    try:
        facts = checked_facts(changed(path, value))
    except UntrustedFacts:
        return
    assert set(facts) == set(FULL)
    json.dumps(facts, allow_nan=False)
    lines = {"kubelet_certificate": {}, "components": {}}  # texts of several lines
    texts = map(str, flat({**facts, **lines}))
    assert all(text.isprintable() for text in texts), "nothing that drives a terminal"


def flat(value: object) -> list:
    if isinstance(value, dict):
        return [*value, *(leaf for item in value.values() for leaf in flat(item))]
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("key", list(FACTS))
def test_a_key_that_is_missing_is_named(key):
    with pytest.raises(UntrustedFacts, match=f": {key} is missing"):
        checked_facts(changed((key,), None, remove=True))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("units",), [], "units is not a dictionary"),
        (("units", "etcd"), "active", "units.etcd is not a dictionary"),
        (("units", "etcd", "state"), None, "units.etcd.state is not a text"),
        (("cpus",), True, "cpus is not a whole number"),
        (("cpus",), "2", "cpus is not a whole number"),
        (("cgroup",), 3, "cgroup is none of 1, 2"),
        (("components", "records"), [[[[[[[[[[]]]]]]]]]], "is too deep"),
        (("components", "records"), {"etcd": float("inf")}, "components.records.etcd is not between"),
        (("time",), float("nan"), "time is not between"),
        (("time",), 10**400, "time is not between"),
        (("listeners", 0, "port"), 70000, r"listeners\[0\].port is not between"),
        (("addresses", 0, "address"), "{{ x }}", r"addresses\[0\].address is not an IP address"),
        (("features", "overlay"), "perhaps", "features.overlay is none of"),
        (("authorities", "/etc/etcd/pki/ca.pem", 0), "zz", "has not the form"),
        (("etcd_started_with", "initial-cluster"), "a: b\nc: d", "initial-cluster has not the form"),
        (("kubelet_certificate", "pem"), "-----BEGIN RSA PRIVATE KEY-----", "kubelet_certificate.pem has not the form"),
        (("packages",), {str(number): "" for number in range(20_001)}, "packages has more than 20000 entries"),
    ],
)
def test_a_value_that_cannot_be_is_named(path, value, message):
    with pytest.raises(UntrustedFacts, match=message):
        checked_facts(changed(path, value))


def test_no_unknown_key_comes_through():
    raw = {**FULL, "ca_certificates": [{"name": "gift"}], "clock_offset": 9.0, "untrusted": True}
    raw["network"] = {**FULL["network"], "mask": "x"}
    assert checked_facts(raw) == FULL


def test_what_drives_a_terminal_is_replaced_and_what_is_long_is_cut():
    raw = changed(("kernel",), "6.1\x1b[2J\u202e\n" + "x" * 5000)
    kernel = checked_facts(raw)["kernel"]
    assert kernel.startswith("6.1?[2J??x") and len(kernel) == 256


def test_facts_in_a_variable_are_checked_once_more():
    assert usable_facts({}) == {} and usable_facts(None) == {}
    assert usable_facts(FULL, 2.5) == {**FULL, "clock_offset": 2.5}
    assert usable_facts(FULL, "soon")["clock_offset"] == 0.0
    refused = usable_facts({**FULL, "cpus": "many"})
    assert (refused["readable"], refused["untrusted"]) == (False, True) and "cpus" in refused["error"]
    failed = usable_facts({"reachable": False, "readable": False, "error": "no\x1b[1m\nroute"})
    assert failed == {"reachable": False, "readable": False, "untrusted": False, "error": "no?[1m route"}
