# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of certificates and the sentences below it, from real certificates of known ages."""

from __future__ import annotations

import copy
import re
from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.host import certificates as certificate_info
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.result import as_result
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import (
    COLUMNS,
    NO_BREAK_SPACE,
    UP,
    described,
    report,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
REQUEST = {
    "cas": [{"name": "ca", "subject": {"CN": "ca"}, "validity": "3650d"}],
    "certificates": [
        {
            "name": "server",
            "ca": "ca",
            "profile": "server",
            "subject": {"C": "CN", "ST": "BeiJing", "L": "BeiJing", "OU": "System", "CN": "the server"},
            "hosts": ["10.33.0.11", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
            "validity": "400d",
        },
        {"name": "client", "ca": "ca", "profile": "client", "subject": {"CN": "client"}, "validity": "500d"},
        {"name": "long", "ca": "ca", "profile": "client", "subject": {"CN": "long"}, "validity": "20000d"},
    ],
}


@pytest.fixture(scope="module", name="pki_of")
def make_pki_of(tmp_path_factory):
    """A directory of certificates made so many days ago, as `certificate_info` returns it."""
    made = {}

    def result(age: int = 0) -> dict:
        if age not in made:
            path = tmp_path_factory.mktemp("made") / "pki"
            reconcile_directory(str(path), parse_request(REQUEST), now=NOW - timedelta(days=age))
            found = certificate_info.gather([str(path)])
            for entry in found["certificates"]:
                entry["where"] = entry["path"] = f"/pki/{entry['path'].rpartition('/')[2]}"
            made[age] = {"reachable": True, "readable": True, "error": "", **described(found, NOW)}
        return copy.deepcopy(made[age])

    return result


def served(
    result: dict, name: str, port: int, path: str | None, component: str = "web", state: str = "current"
) -> dict:
    """The result with a server that serves one of its certificates."""
    where = f"127.0.0.1:{port}"
    entry = {
        **of(result, name),
        "source": "endpoint",
        "where": where,
        "endpoint": where,
        "path": path,
        "running": {component: state},
    }
    return {**result, "certificates": [*result["certificates"], entry]}


def of(result: dict, name: str) -> dict:
    return next(entry for entry in result["certificates"] if entry["where"] == f"/pki/{name}.pem")


def made(hosts, controller=None, **settings) -> dict:
    return report(hosts, controller, now=NOW, **settings)


def table(lines: list[str]) -> list[dict]:
    """The rows of the table by the columns of its heading."""
    starts = [re.search(rf"\b{name}\b", lines[1]).start() for name in COLUMNS]
    ends = [*starts[1:], None]
    rows = [line for line in lines[2:] if not line.startswith("warning")]
    return [{name: row[start:end].strip() for name, start, end in zip(COLUMNS, starts, ends)} for row in rows]


# --- what is in them


def test_the_fields_are_those_of_the_module_certificates(tmp_path):
    path = tmp_path / "pki"
    plan = reconcile_directory(str(path), parse_request(REQUEST), now=NOW)
    expected = {entry["name"]: entry for entry in as_result(str(path), plan, NOW)["certificates"]}
    shared = (
        "type",
        "subject",
        "names",
        "usages",
        "issuer",
        "key",
        "serial",
        "not_before",
        "not_after",
        "days_left",
        "fingerprint",
    )
    found = described(certificate_info.gather([str(path)]), NOW)
    assert {entry["path"]: {field: entry[field] for field in shared} for entry in found["certificates"]} == {
        f"{path}/{name}.pem": {field: entry[field] for field in shared} for name, entry in expected.items()
    }
    assert all("pem" not in entry for entry in found["certificates"])


def test_what_the_library_cannot_read_is_a_problem():
    entry = {
        "source": "file",
        "path": "/x.pem",
        "where": "/x.pem (1/2)",
        "position": 1,
        "endpoint": None,
        "running": {},
        "pem": "no PEM",
    }
    found = described({"certificates": [entry], "processes": [], "problems": ["before"]}, NOW)
    assert found["certificates"] == []
    assert found["problems"][0] == "before"
    assert found["problems"][1].startswith("/x.pem (1/2): is no certificate that can be read")


# --- the table


def test_the_table_is_sorted_by_the_days_left(pki_of):
    rows = table(made({"m1": pki_of()}, pki_of(100))["lines"])
    assert [(row["days"], row["host"], row["where"]) for row in rows] == [
        ("300", "controller", "/pki/server.pem"),
        ("400", "controller", "/pki/client.pem"),
        ("400", "m1", "/pki/server.pem"),
        ("500", "m1", "/pki/client.pem"),
        ("3550", "controller", "/pki/ca.pem"),
        ("3550", "controller", "/pki/long.pem"),
        ("3650", "m1", "/pki/ca.pem"),
        ("3650", "m1", "/pki/long.pem"),
    ]
    assert rows[0] == {
        "days": "300",
        "until": "2027-09-17",
        "host": "controller",
        "where": "/pki/server.pem",
        "subject": f"CN=the{NO_BREAK_SPACE}server,C=CN,ST=BeiJing,L=BeiJing,O...",
        "issuer": "ca",
        "names": "kubernetes,kubernetes.default+2",
        "running": "",
    }
    assert rows[4]["issuer"] == "itself"


def test_lines_of_the_table_have_no_place_to_be_broken(pki_of):
    lines = made({f"host-with-a-long-name-{number}": pki_of() for number in range(30)}, pki_of(100))["lines"]
    assert [line for line in lines[1:] if not line.startswith("warning") and re.search(r"\S \S|: ", line)] == []


def test_the_same_on_many_hosts_is_one_line(pki_of):
    rows = table(made({f"master{number}": pki_of() for number in range(1, 8)})["lines"])
    assert [row["host"] for row in rows] == ["master1,master2+5"] * 4


def test_names_that_are_too_long_keep_what_tells_most(pki_of):
    result = pki_of()
    of(result, "client").update(
        where=f"/{'deep/' * 20}client.pem", subject=f"O=group, CN={'x' * 60}", names=["DNS:" + "y" * 60, "IP:10.0.0.1"]
    )
    row = next(row for row in table(made({"m1": result})["lines"]) if row["where"].endswith("client.pem"))
    assert row["where"].startswith("...")
    assert row["subject"] == f"CN={'x' * 38}..."
    assert row["names"] == f"{'y' * 33}...+1"


def test_what_is_served_as_it_stands_in_the_file_is_told_beside_the_file(pki_of):
    result = served(served(pki_of(), "server", 2379, "/pki/server.pem"), "server", 2380, "/pki/server.pem")
    of(result, "client")["running"] = {"web": "older", "proxy": "current"}
    of(result, "server")["running"] = {"web": "current"}
    rows = {row["where"]: row["running"] for row in table(made({"m1": result})["lines"])}
    assert rows == {
        "/pki/server.pem": "web:2379+2380",
        "/pki/client.pem": "proxy,web=older",
        "/pki/ca.pem": "",
        "/pki/long.pem": "",
    }


def test_what_is_served_otherwise_has_a_line_of_its_own(pki_of):
    result = served(
        served(pki_of(), "server", 2379, "/pki/client.pem", state="older"), "client", 10259, None, "scheduler"
    )
    rows = {row["where"]: row["running"] for row in table(made({"m1": result})["lines"])}
    assert rows["127.0.0.1:2379"] == "web=older"
    assert rows["127.0.0.1:10259"] == "scheduler"


def test_the_first_line_sums_up(pki_of):
    assert made({"m1": pki_of(), "m2": pki_of()}, pki_of())["lines"][0] == (
        "4 certificates on the controller and 2 hosts; the first one ends on 2027-12-26T12:00:00Z, in 400 days"
    )
    assert (
        made({"m1": pki_of(401)})["lines"][0]
        == "4 certificates on 1 host; the first one expired on 2026-11-20T12:00:00Z"
    )
    assert made({"m1": {**pki_of(), "certificates": []}})["lines"] == ["No certificate on 1 host"]


# --- warnings and failures


@pytest.mark.parametrize(
    ("age", "warnings", "failures"),
    [
        (370, 0, 0),  # 30 days are left
        (371, 1, 0),
        (400, 1, 0),  # its last moment: none of a day
        (401, 0, 1),
    ],
)
def test_thresholds(pki_of, age, warnings, failures):
    told = made({"m1": pki_of(age)})
    assert (len(told["warnings"]), len(told["failures"])) == (warnings, failures)
    assert [line.removeprefix("warning: ") for line in told["lines"] if line.startswith("warning: ")] == told[
        "warnings"
    ]


def test_thresholds_are_settings(pki_of):
    assert made({"m1": pki_of(371)}, warn_days=29)["warnings"] == []
    told = made({"m1": pki_of(371)}, warn_days=10, fail_days=30)
    assert (told["warnings"], len(told["failures"])) == ([], 1)


def test_a_sentence_names_hosts_file_end_and_fix(pki_of):
    hosts = {"m1": pki_of(371), "m2": pki_of(371)}
    assert made(hosts)["warnings"] == [
        "m1, m2: /pki/server.pem (C=CN, ST=BeiJing, L=BeiJing, OU=System, CN=the server) ends on 2026-12-20T12:00:00Z, in 29 days. Fix: "
        "run site.yml, which renews what has less than cluster_renew_before left"
    ]
    assert made({"m1": pki_of(401)})["failures"] == [
        "m1: /pki/server.pem (C=CN, ST=BeiJing, L=BeiJing, OU=System, CN=the server) expired on 2026-11-20T12:00:00Z. Fix: "
        "run site.yml, which renews what has less than cluster_renew_before left"
    ]


def test_the_fix_fits_the_certificate(pki_of):
    result = pki_of(3640)
    of(result, "client").update(path="/var/lib/kubelet/pki/kubelet-client-current.pem")
    result = served(result, "server", 10259, None, "kube-scheduler")
    fixes = {
        sentence.split(" ")[1]: sentence.rpartition("Fix: ")[2]
        for sentence in [*made({"m1": result})["warnings"], *made({"m1": result})["failures"]]
    }
    assert fixes == {
        "/pki/ca.pem": "run ansible-playbook hardway.kubernetes.rotate_ca, which replaces CAs in stages",
        "/pki/long.pem": "it ends with its CA: run ansible-playbook hardway.kubernetes.rotate_ca",
        "/pki/client.pem": "kubelet renews it by itself: check journalctl -u kubelet and pending requests (kubectl get csr); "
        "or run ansible-playbook hardway.kubernetes.renew",
        "/pki/server.pem": "run site.yml, which renews what has less than cluster_renew_before left",
        "127.0.0.1:10259": "restart the process, which creates it at each start",
    }


def test_one_of_the_future_does_not_serve_either(pki_of):
    (failure, *_others) = made({"m1": pki_of(-2)})["failures"]
    assert failure.startswith("m1: /pki/server.pem (")
    assert failure.endswith(
        "is not valid before 2026-11-23T11:55:00Z. Fix: synchronize the clocks of the hosts and of this computer"
    )


def test_a_server_with_another_certificate_than_its_file(pki_of):
    result = served(
        served(pki_of(), "server", 2379, "/pki/client.pem", state="older"),
        "server",
        6443,
        "/pki/client.pem",
        "api",
        "other",
    )
    assert made({"m1": result})["warnings"] == [
        "m1: web at 127.0.0.1:2379 serves an older certificate than /pki/client.pem. Fix: restart it if it still does so in two minutes",
        "m1: api at 127.0.0.1:6443 serves another certificate than the first of /pki/client.pem. Fix: restart it if it still does so in two minutes",
    ]


def test_hosts_that_do_not_have_what_the_controller_has(pki_of):
    warnings = made({"m1": pki_of(0), "m2": pki_of(10), "m3": pki_of(10)}, pki_of(0))["warnings"]
    assert warnings[:1] == ["m2, m3: /pki/ca.pem (CN=ca) is older than the controller's. Fix: run site.yml"]
    assert len(warnings) == 4
    assert (
        made({"m1": pki_of(0)}, pki_of(10))["warnings"][0]
        == "m1: /pki/ca.pem (CN=ca) is another one than the controller's. Fix: run site.yml"
    )
    assert made({"m1": pki_of(10)})["warnings"] == []


def test_processes_problems_and_hosts_that_were_not_read(pki_of):
    process = {"component": "proxy", "service": "proxy.service", "active": True, "restart": "/x.pem changed"}
    unread = {"certificates": [], "processes": [], "problems": [], "readable": False, "error": "no route"}
    hosts = {
        "m1": {**pki_of(), "processes": [process, {**process, "active": False}, {**process, "restart": ""}]},
        "m2": {**pki_of(), "problems": ["/y.pem: does not exist"]},
        "m3": {**pki_of(), "problems": ["/y.pem: does not exist"]},
        "m4": {**unread, "reachable": False},
        "m5": {**unread, "reachable": True},
    }
    told = made(hosts)
    assert told["warnings"] == [
        "m1: a restart of proxy is pending: /x.pem changed. Fix: run site.yml",
        "m1: proxy.service does not run. Fix: on the host: systemctl status proxy.service; or run site.yml",
        "m2, m3: /y.pem: does not exist",
        f"m4: was not reached: no route. Fix: {UP}",
        f"m5: was not read: no route. Fix: {UP}",
    ]
    assert told["failures"] == []
    assert told["lines"][0].startswith("4 certificates on 3 hosts;")


def test_a_sentence_for_many_hosts_stays_short(pki_of):
    hosts = {f"n{number}": {**pki_of(), "problems": ["/y.pem: does not exist"]} for number in range(500)}
    assert made(hosts)["warnings"] == ["n0, n1, n2, n3, n4, n5, n6, n7 and 492 more: /y.pem: does not exist"]
