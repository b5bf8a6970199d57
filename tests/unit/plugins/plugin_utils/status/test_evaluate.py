# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster that is well, what happens to it, and what its page says then."""

from __future__ import annotations

import copy
from datetime import datetime, timezone

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.evaluate import evaluate
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import (
    CRITICAL,
    NOTE,
    OK,
    WARNING,
    Page,
    Settings,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.terminal import as_lines
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.versions import possible

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
MASTERS = ["m1", "m2", "m3"]
GROUPS = {"etcd": MASTERS, "lb": ["lb1", "lb2"], "kube_master": MASTERS, "kube_node": ["n1"]}
HOSTS = [*MASTERS, "lb1", "lb2", "n1"]
VERSION = "1.36.3"
ADDRESS = "192.0.2.100"
COMPONENTS = {
    "etcd": {"etcd": "3.6.16"},
    "lb": {"haproxy": "2.6", "keepalived": "2.2"},
    "kube_master": dict.fromkeys(("kube-apiserver", "kube-controller-manager", "kube-scheduler"), VERSION),
    "kube_node": {"containerd": "2.4.2", "kubelet": VERSION, "kube-proxy": VERSION},
}


def program(component: str, version: str, **other) -> dict:
    known = {"component": component, "service": f"{component}.service", "state": "active", "restarts": 0, "seconds": 90}
    return {
        **known,
        "binary": f"/opt/hardway/{component}/{version}/{component}",
        "version": version,
        "replaced": False,
        "linked": version,
        **other,
    }


def member(name: str, **other) -> dict:
    known = {
        "name": name,
        "id": f"{name}id",
        "peer_urls": [f"https://{name}:2380"],
        "version": "3.6.16",
        "leader": name == "m1",
        "learner": False,
    }
    numbers = {
        "db_size": 9_000_000,
        "db_size_in_use": 8_000_000,
        "quota": 1 << 33,
        "quota_used": 0,
        "raft_index": 500,
        "raft_applied_index": 500,
    }
    return {**known, **numbers, "healthy": True, "problem": "", "alarms": [], **other}


def etcd(*members: dict, **other) -> dict:
    return {
        "members": list(members),
        "voters": 3,
        "leader": "m1",
        "has_quorum": True,
        "revision": 400,
        "fault_tolerance": 1,
        **other,
    }


def certificate(days: int = 300, where: str = "/etc/x.pem", **other) -> dict:
    known = {
        "source": "file",
        "path": where,
        "where": where,
        "position": 1,
        "endpoint": None,
        "running": {},
        "type": "certificate",
        "names": [],
    }
    ends = {
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": f"{2026 + days // 365}-12-01T00:00:00Z",
        "days_left": days,
    }
    return {**known, **ends, "subject": "CN=x", "issuer": "CN=ca", "fingerprint": f"{where}{days}", **other}


def host(name: str) -> dict:
    addresses = {f"192.0.2.{10 + HOSTS.index(name)}": "eth0"} | ({ADDRESS: "eth0"} if name == "lb1" else {})
    mine = {
        component: version
        for group, names in GROUPS.items()
        if name in names
        for component, version in COMPONENTS[group].items()
    }
    servers = [
        {"backend": "kube-apiserver", "name": master, "state": "UP", "check": "passed", "sessions": 1}
        for master in MASTERS
    ]
    return {
        "reachable": True,
        "readable": True,
        "error": "",
        "facts": {
            "kernel": "6.1",
            "distribution": {"name": "Debian 12"},
            "interface_of": addresses,
            "clock_offset": 0.0,
        },
        "load": [0.1, 0.2, 0.3],
        "certificates": [certificate()],
        "processes": [
            {"component": component, "service": f"{component}.service", "active": True, "restart": ""}
            for component in mine
        ],
        "problems": [],
        "programs": [program(component, version) for component, version in mine.items()],
        "etcd": etcd(*map(member, MASTERS)) if name in MASTERS else {},
        "backends": {"servers": servers} if name in GROUPS["lb"] else {},
    }


def node(name: str, **other) -> dict:
    known = {
        "name": name,
        "roles": [],
        "ready": True,
        "reason": "",
        "cordoned": False,
        "pressures": [],
        "kubelet": VERSION,
    }
    return {**known, "runtime": "containerd://2.4.2", "kernel": "6.1", "os": "Debian 12", **other}


def component(host: str, name: str = "kubelet", changed: str = "", restart=None, error: str = "") -> dict:
    changes = [{"kind": "file", "name": changed, "action": "changed"}] if changed else []
    return {"host": host, "component": name, "role": "x", "changes": changes, "restart": restart, "error": error}


@pytest.fixture(name="facts")
def make_facts() -> dict:
    answer = {"version": VERSION, "ready": True, "error": ""}
    made = {
        "cluster": {
            "name": "lab",
            "endpoint": f"https://{ADDRESS}:6443",
            "virtual_address": ADDRESS,
            "version": VERSION,
            "minors": ["1.35", "1.36", "1.37"],
            "balancer": "haproxy",
            "address_program": "keepalived",
        },
        "groups": GROUPS,
        "hosts": {name: host(name) for name in HOSTS},
        "plan": [component(name) for name in HOSTS],
        "controller": {
            "reachable": True,
            "readable": True,
            "error": "",
            "certificates": [],
            "processes": [],
            "problems": [],
        },
        "api": {
            "endpoint": answer,
            "servers": dict.fromkeys(MASTERS, answer),
            "nodes": [node("n1")],
            "leaders": {"kube-controller-manager": "m2", "kube-scheduler": "m3"},
            "waiting": [],
            "error": "",
        },
    }
    return copy.deepcopy(made)


def found(facts: dict, **settings) -> list[tuple[str, str, str]]:
    return [
        (finding.level, finding.place, finding.cause) for finding in evaluate(facts, Settings(**settings), NOW).findings
    ]


def only(facts: dict, level: str, place: str, cause: str, **settings) -> None:
    """There is this finding, and no other."""
    seen = found(facts, **settings)
    assert [(known[0], known[1]) for known in seen] == [(level, place)] and cause in seen[0][2], seen


def rows(page: Page, title: str) -> list[list[str]]:
    return [[cell.text for cell in row] for section in page.sections if section.title == title for row in section.rows]


def summary(page: Page) -> dict[str, tuple[str, str]]:
    return {label: (cell.text, cell.level) for label, cell in page.summary}


# --- a cluster that is well


def test_all_is_well(facts):
    page = evaluate(facts, now=NOW)
    assert (page.findings, page.exit, page.verdict.text, page.verdict.level) == ([], 0, "all is well", OK)
    assert summary(page) == {
        "endpoint": ("https://192.0.2.100:6443", ""),
        "API": ("answers as 1.36.3", OK),
        "etcd": ("3 of 3 members, leader m1, 1 may fail", OK),
        "virtual address": ("192.0.2.100 on lb1", OK),
        "nodes": ("1 of 1 Ready", OK),
        "hosts": ("6 of 6 read", OK),
        "drift": ("none", OK),
        "Kubernetes": ("1.36.3", ""),
        "certificates": ("the first ends in 300 days", OK),
    }
    assert rows(page, "Control plane")[1:] == [
        ["m2", VERSION, "ready", "1.36.3 (leader)", VERSION],
        ["m3", VERSION, "ready", VERSION, "1.36.3 (leader)"],
    ]
    assert rows(page, "etcd")[0] == [
        "m1",
        "m1id",
        "3.6.16",
        "leader",
        "yes",
        "8.6 MiB",
        "7.6 MiB",
        "0 % of 8.0 GiB",
        "500",
        "0",
        "",
    ]
    assert rows(page, "Load balancers")[0] == ["lb1", "holds it", "haproxy 2.6", "2.2", "m1 UP, m2 UP, m3 UP"]
    assert rows(page, "Hosts")[-1] == [
        "n1",
        "kube_node",
        "Ready",
        VERSION,
        "containerd://2.4.2",
        "6.1",
        "Debian 12",
        "0.10 0.20 0.30",
        "right",
    ]
    assert ["etcd", "3.6.16", "m1, m2, m3", "active", "1 min"] in rows(page, "Programs")


# --- what breaks


def test_a_host_that_is_dead_is_a_finding(facts):
    facts["hosts"]["n1"] = {
        "reachable": False,
        "readable": False,
        "error": "timed out",
        "certificates": [],
        "processes": [],
        "problems": [],
    }
    only(facts, CRITICAL, "n1", "was not reached: timed out")
    assert evaluate(facts, now=NOW).exit == 2


def test_without_the_api(facts):
    silent = {"version": "", "ready": False, "error": "no answer within 5 s"}
    facts["api"] = {
        "endpoint": silent,
        "servers": dict.fromkeys(MASTERS, silent),
        "nodes": None,
        "leaders": {},
        "waiting": [],
        "error": "",
    }
    assert found(facts) == [
        (CRITICAL, "API", "no good answer at https://192.0.2.100:6443: no answer within 5 s"),
        (CRITICAL, "m1, m2, m3", "its API server: no answer within 5 s"),
    ]
    assert rows(evaluate(facts, now=NOW), "Control plane")[0][:3] == ["m1", VERSION, "no answer"]


def test_without_quorum(facts):
    ill = [member(name, healthy=False, problem="refused", version="") for name in MASTERS[1:]]
    view = etcd(member("m1", healthy=False, problem="no leader"), *ill, has_quorum=False, leader="", fault_tolerance=0)
    for name in MASTERS:
        facts["hosts"][name]["etcd"] = view if name == "m1" else {"error": "refused"}
    seen = found(facts)
    assert (CRITICAL, "etcd", "no quorum: 0 of 3 members are healthy, 2 are needed") in seen
    assert (CRITICAL, "m2, m3", "this member of etcd is not healthy: refused") in seen
    assert not any("does not answer" in cause for level, place, cause in seen), "reported twice"
    assert summary(evaluate(facts, now=NOW))["etcd"] == ("no quorum, 0 of 3 members", CRITICAL)


def test_without_any_member(facts):
    for name in MASTERS:
        facts["hosts"][name]["etcd"] = {"error": f"{name} refused"}
    only(facts, CRITICAL, "etcd", "no member answers: m1: m1 refused; m2: m2 refused")


def test_a_member_that_is_well_and_does_not_answer_on_its_host(facts):
    facts["hosts"]["m2"]["etcd"] = {"error": "certificate required"}
    only(facts, CRITICAL, "m2", "its member of etcd does not answer: certificate required")


def test_the_view_with_quorum_is_believed(facts):
    facts["hosts"]["m1"]["etcd"] = etcd(
        *(member(name, healthy=False) for name in MASTERS), has_quorum=False, revision=900
    )
    assert found(facts) == []


@pytest.mark.parametrize(
    ("change", "level", "cause"),
    [
        ({"alarms": ["NOSPACE"]}, CRITICAL, "has raised the alarm NOSPACE"),
        ({"quota_used": 60}, WARNING, "uses 60 % of its quota"),
        ({"quota_used": 80}, CRITICAL, "uses 80 % of its quota"),
        ({"raft_applied_index": 500, "raft_index": 5000}, WARNING, "is 4500 entries behind"),
        ({"learner": True}, WARNING, "is a learner"),
        ({"healthy": False, "problem": "slow"}, CRITICAL, "is not healthy: slow"),
    ],
)
def test_a_member(facts, change, level, cause):
    others = [member(name, raft_applied_index=change.get("raft_index", 500)) for name in MASTERS[:2]]
    for name in MASTERS:
        facts["hosts"][name]["etcd"] = etcd(*others, member("m3", **change))
    only(facts, level, "m3", cause)


def test_members_and_inventory_differ(facts):
    for name in MASTERS:
        facts["hosts"][name]["etcd"] = etcd(member("m1"), member("m2"), member("old", version="3.5.1"))
    assert found(facts) == [
        (WARNING, "etcd", "members run different versions: 3.5.1, 3.6.16"),
        (WARNING, "m3", "is in the group etcd, and no member of etcd has its name"),
        (WARNING, "old", "is a member of etcd, and not in the inventory's group etcd"),
    ]


def interfaces(facts: dict, name: str) -> dict:
    return facts["hosts"][name]["facts"]["interface_of"]


def test_nobody_holds_the_virtual_address(facts):
    del interfaces(facts, "lb1")[ADDRESS]
    only(facts, CRITICAL, "virtual address", "no host holds 192.0.2.100")


def test_two_hold_the_virtual_address(facts):
    interfaces(facts, "lb2")[ADDRESS] = "eth0"
    only(facts, CRITICAL, "lb1, lb2", "more than one host holds the virtual address")


def test_who_was_not_read_may_hold_it(facts):
    del facts["hosts"]["lb1"]
    only(facts, NOTE, "virtual address", "none of the load balancers that were read")


def test_nginx_without_keepalived(facts):
    for name in ("lb1", "lb2"):
        programs = [program for program in facts["hosts"][name]["programs"] if program["component"] == "haproxy"]
        programs[0]["component"] = "nginx"
        facts["hosts"][name] |= {"programs": programs, "backends": {}}
    facts["cluster"]["balancer"] = "nginx"
    page = evaluate(facts, now=NOW)
    assert page.findings == []
    assert rows(page, "Load balancers")[0] == ["lb1", "holds it", "nginx 2.6", "none", "nginx does not report them"]


def test_haproxy_sees_a_server_down(facts):
    facts["hosts"]["lb1"]["backends"]["servers"][1] |= {"state": "DOWN", "check": "refused"}
    only(facts, WARNING, "lb1", "haproxy sends no connections to m2: DOWN, refused")


def test_haproxy_sees_all_servers_down(facts):
    for server in facts["hosts"]["lb1"]["backends"]["servers"]:
        server["state"] = "DOWN"
    assert (CRITICAL, "lb1", "haproxy has no API server to send connections to") in found(facts)


@pytest.mark.parametrize(
    ("change", "level", "cause"),
    [
        ({"ready": False, "reason": "kubelet stopped posting"}, CRITICAL, "is not Ready: kubelet stopped posting"),
        ({"cordoned": True}, WARNING, "is cordoned"),
        ({"pressures": ["DiskPressure"]}, WARNING, "reports DiskPressure"),
    ],
)
def test_a_node(facts, change, level, cause):
    facts["api"]["nodes"] = [node("n1", **change)]
    only(facts, level, "n1", cause)


def test_nodes_and_inventory_differ(facts):
    facts["api"]["nodes"] = [node("gone")]
    assert found(facts) == [
        (CRITICAL, "n1", "is in the group kube_node, and not registered as a node"),
        (WARNING, "gone", "is a node of the cluster, and not in the inventory's group kube_node"),
    ]


def test_clocks(facts):
    facts["hosts"]["n1"]["facts"]["clock_offset"] = -2.5
    only(facts, WARNING, "n1", "its clock is -2.5 s off")


def test_requests_that_wait(facts):
    facts["api"]["waiting"] = ["csr-1"]
    only(facts, WARNING, "API", "1 request for certificates is pending")


# --- programs, restarts, drift


@pytest.mark.parametrize(
    ("state", "level"),
    [("failed", CRITICAL), ("inactive", CRITICAL), ("activating", WARNING), ("deactivating", WARNING)],
)
def test_a_program_that_does_not_run(facts, state, level):
    facts["hosts"]["n1"]["programs"][1] |= {"state": state, "seconds": None}
    only(facts, level, "n1", f"kubelet.service is {state}")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"linked": "1.36.4"}, "a restart of kubelet is pending: it runs 1.36.3, and 1.36.4 is installed"),
        (
            {"replaced": True},
            "a restart of kubelet is pending: /opt/hardway/kubelet/1.36.3/kubelet was replaced since it started",
        ),
    ],
)
def test_a_restart_is_pending_for_a_binary(facts, change, cause):
    facts["hosts"]["n1"]["programs"][1] |= change
    only(facts, WARNING, "n1", cause)


def test_a_pending_restart_is_one_finding_for_all_hosts(facts):
    for name in MASTERS:
        facts["hosts"][name]["processes"][0]["restart"] = "/etc/etcd/etcd.yaml changed"
    only(facts, WARNING, "m1, m2, m3", "a restart of etcd is pending: /etc/etcd/etcd.yaml changed")
    assert rows(evaluate(facts, now=NOW), "Pending restarts") == [["etcd", "m1, m2, m3", "/etc/etcd/etcd.yaml changed"]]


def test_drift_is_one_finding_for_all_hosts(facts):
    facts["plan"] += [component(name, "etcd", "/etc/etcd/etcd.yaml", "it changed") for name in MASTERS]
    only(facts, WARNING, "m1, m2, m3", "etcd differs from the settings: /etc/etcd/etcd.yaml: changed")
    page = evaluate(facts, now=NOW)
    assert rows(page, "Drift between settings and hosts") == [
        ["m1, m2, m3", "etcd", "/etc/etcd/etcd.yaml: changed", "yes"]
    ]
    assert summary(page)["drift"] == ("3 components", WARNING)


def test_a_change_of_a_whole_component_names_it_once(facts):
    facts["plan"] = [
        {**component("n1"), "changes": [{"kind": "component", "name": "kubelet", "action": "would be new"}]}
    ]
    only(facts, WARNING, "n1", "kubelet differs from the settings: would be new")


def test_what_cannot_be_compared_is_a_finding(facts):
    facts["plan"].append(component("n1", error="port is undefined"))
    assert found(facts) == [
        (WARNING, "n1", "kubelet could not be compared with its settings: port is undefined"),
    ]


def test_without_a_plan_nothing_is_said_of_drift(facts):
    facts["plan"] = []
    page = evaluate(facts, now=NOW)
    assert "drift" not in summary(page) and not page.findings


# --- versions


def run_everywhere(facts: dict, version: str) -> None:
    for seen in facts["hosts"].values():
        for running in seen["programs"]:
            if running["version"] == VERSION:
                running |= {"version": version, "linked": version}
    for server in facts["api"]["servers"].values():
        server["version"] = version
    for known in facts["api"]["nodes"]:
        known["kubelet"] = version


@pytest.mark.parametrize(
    ("running", "cause", "fix"),
    [
        ("1.36.2", "1.36.2 runs, and the settings say 1.36.3", "upgrade the cluster"),
        ("1.35.9", "1.35.9 runs, and the settings say 1.36.3", "upgrade the cluster"),
        ("1.34.1", "API servers may not skip a minor version", "set cluster_kubernetes_version to 1.35 first"),
        ("1.36.10", "Kubernetes cannot be downgraded", "correct cluster_kubernetes_version"),
    ],
)
def test_settings_want_another_version(facts, running, cause, fix):
    run_everywhere(facts, running)
    only(facts, WARNING, "Kubernetes", cause)
    assert fix in evaluate(facts, now=NOW).findings[0].fix


def test_half_an_upgrade(facts):
    facts["api"]["servers"]["m1"] = {"version": "1.35.4", "ready": True, "error": ""}
    seen = found(facts)
    assert (WARNING, "Kubernetes", "API servers run different versions: 1.35.4, 1.36.3") in seen
    assert (CRITICAL, "n1", "kubelet 1.36.3 is newer than an API server, 1.35.4") in seen


@pytest.mark.parametrize(("version", "reported"), [("1.33.0", False), ("1.32.9", True)])
def test_a_kubelet_may_be_three_minor_versions_older(facts, version, reported):
    facts["hosts"]["n1"]["programs"][1] |= {"version": version, "linked": version}
    facts["api"]["nodes"][0]["kubelet"] = version
    cause = f"kubelet {version} is more than 3 minor versions older than an API server, 1.36.3"
    assert found(facts) == ([(CRITICAL, "n1", cause)] if reported else [])


@pytest.mark.parametrize(
    ("running", "kubelets", "minors", "line"),
    [
        ("1.36.3", ["1.36.3"], ["1.36", "1.37"], "1.37 is possible now: masters first, then nodes."),
        ("1.36.3", ["1.34.0"], ["1.37"], "1.37 is possible now: masters first, then nodes."),
        (
            "1.36.3",
            ["1.33.0"],
            ["1.37"],
            "1.37 comes next, once the kubelets of 1.33.0 are upgraded: they may be 3 minor versions older at most.",
        ),
        (
            "1.36.3",
            ["1.36.3"],
            ["1.36"],
            "1.37 comes next, and this version of the collection does not support it (it supports 1.36).",
        ),
    ],
)
def test_what_may_come_next(running, kubelets, minors, line):
    assert possible(running, kubelets, minors) == ["A later patch of 1.36 is always possible.", line]


# --- certificates


@pytest.mark.parametrize(("days", "level", "cause"), [(29, WARNING, "in 29 days"), (-1, CRITICAL, "expired on")])
def test_a_certificate_near_its_end(facts, days, level, cause):
    facts["hosts"]["n1"]["certificates"] = [certificate(days, "/etc/y.pem")]
    only(facts, level, "n1", cause)
    assert rows(evaluate(facts, now=NOW), "Certificates")[0][0] == str(days)


def test_a_certificate_is_one_line_wherever_it_lies(facts):
    facts["controller"]["certificates"] = [certificate(fingerprint="same", where="/pki/x.pem")]
    facts["hosts"] = {
        name: facts["hosts"][name] | {"certificates": [certificate(fingerprint="same")]} for name in HOSTS
    }
    assert rows(evaluate(facts, now=NOW), "Certificates") == [
        ["300", "2026-12-01", "CN=x", "m1, m2, m3, lb1, lb2, n1", "/etc/x.pem", ""]
    ]


def test_a_rotation_that_has_not_ended(facts):
    facts["cluster"]["rotation"] = "reissue"
    only(facts, NOTE, "rotation", "are being replaced, stage reissue")
    assert evaluate(facts, Settings(strict=True), NOW).exit == 0


# --- the exit code, limits, text


def test_warnings_end_a_run_only_where_asked(facts):
    facts["api"]["nodes"] = [node("n1", cordoned=True)]
    assert (evaluate(facts, now=NOW).exit, evaluate(facts, Settings(strict=True), NOW).exit) == (0, 2)


def test_with_limit_the_others_are_not_evaluated(facts):
    facts["hosts"] = {"n1": facts["hosts"]["n1"]}
    page = evaluate(facts, now=NOW)
    assert page.findings == []
    assert summary(page)["hosts"] == ("1 of 1 read, 5 not in this run", OK)
    assert [section.lines for section in page.sections if section.title == "Hosts"] == [
        ["Not in this run (--limit): lb1, lb2, m1, m2, m3"]
    ]


def test_many_places_are_counted(facts):
    facts["groups"]["kube_node"] = [f"n{number}" for number in range(100)]
    facts["api"]["nodes"] = [node(name, cordoned=True) for name in facts["groups"]["kube_node"]]
    assert {place for level, place, cause in found(facts) if "cordoned" in cause} == {
        "n1, n0, n2, n3, n4, n5, n6, n7 and 92 more"
    }


def test_the_page_as_text(facts):
    facts["api"]["nodes"] = [node("n1", cordoned=True)]
    lines = [line.replace("\u00a0", " ") for line in as_lines(evaluate(facts, now=NOW))]
    assert lines[0] == "Status of lab, 2026-11-21 12:00:00 UTC: 1 warning"
    assert (
        "warning: n1: the node is cordoned: it takes no new pods. Fix: kubectl uncordon NODE, after its maintenance"
        in lines
    )
    assert "Ready, cordoned !" in next(line for line in lines if line.startswith("n1 "))


def test_a_terminal_is_not_driven_by_what_hosts_return(facts):
    facts["hosts"]["n1"]["facts"]["kernel"] = "6.1\x1b[2J\u202e"
    assert not any("\x1b" in line or "\u202e" in line for line in as_lines(evaluate(facts, now=NOW)))
