# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the certificates that hosts found, as a table, and what has to be done about them. Runs on the controller."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import counted, printable
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.compare import describe
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.x509 import (
    Unreadable,
    is_ca,
    load_certificate,
)

CONTROLLER = "controller"
UP = "check that the host is up, and that ssh and become work"
KUBELET_PKI = "/var/lib/kubelet/pki/"
#: A dictionary that a host returned.
Record = Mapping[str, t.Any]

COLUMNS = {"days": 6, "until": 10, "host": 26, "where": 60, "subject": 44, "issuer": 24, "names": 36, "running": 60}
HOSTS_IN_A_SENTENCE = 8
# Without a place to break it, a line stays a line: where results are shown as YAML, long ones are broken at single spaces.
NO_BREAK_SPACE = "\u00a0"


def described(found: Record, now: datetime) -> dict[str, t.Any]:
    """What a host found, with what is in the certificates instead of their PEM, and each server compared with its file."""
    certificates, problems = [], list(found["problems"])
    for entry in found["certificates"]:
        try:
            certificate = load_certificate(entry["pem"].encode())
            content = {
                "type": "ca" if is_ca(certificate) else "certificate",
                **_printable(describe(certificate, now)),
            }
        except Unreadable as error:
            problems.append(f"{entry['where']}: {error}")
            continue
        certificates.append({key: value for key, value in entry.items() if key != "pem"} | content)
    first = {entry["path"]: entry for entry in certificates if entry["source"] == "file" and entry["position"] == 1}
    for entry in certificates:
        if entry["source"] == "endpoint" and entry["path"] in first:
            entry["running"] = dict.fromkeys(entry["running"], _compared(entry, first[entry["path"]]))
    return {"certificates": certificates, "processes": list(found["processes"]), "problems": problems}


def _printable(content: Record) -> dict[str, t.Any]:
    """Names in a certificate are texts of a stranger, too."""
    return {
        key: printable(value)
        if isinstance(value, str)
        else [printable(item) for item in value]
        if isinstance(value, list)
        else value
        for key, value in content.items()
    }


def _compared(served: Record, file: Record) -> str:
    if served["fingerprint"] == file["fingerprint"]:
        return "current"
    return "older" if served["not_before"] < file["not_before"] else "other"


# --- the report


@dataclasses.dataclass
class Report:
    """Lines of a table, and sentences: what is near its end or unknown (warnings), and what has ended (failures)."""

    lines: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Row:
    """One certificate at one place, on all hosts that have it there."""

    entry: dict[str, t.Any]
    running: str
    hosts: list[str] = dataclasses.field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.entry['where']} ({self.entry['subject']})"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong with the certificates of some *hosts* (*cause*), and how to *fix* it, where there is a way to name; a *failure* or a warning."""

    hosts: tuple[str, ...]
    cause: str
    fix: str = ""
    failure: bool = False

    @property
    def sentence(self) -> str:
        return f"{_hosts(self.hosts)}: {self.cause}{f'. Fix: {self.fix}' if self.fix else ''}"


def report(
    hosts: Mapping[str, Record],
    controller: Record | None = None,
    warn_days: int = 30,
    fail_days: int = 0,
    now: datetime | None = None,
) -> dict[str, t.Any]:
    """The results of `certificate_info` by host, and that of the controller, as a report; a dictionary of its fields."""
    rows, findings = evaluate(hosts, controller, warn_days, fail_days, now)
    made = Report(lines=[_summary(rows, _results(hosts, controller)), *_table(rows)])
    made.warnings += [finding.sentence for finding in findings if not finding.failure]
    made.failures += [finding.sentence for finding in findings if finding.failure]
    made.lines += [f"warning: {sentence}" for sentence in made.warnings]
    return dataclasses.asdict(made)


def evaluate(
    hosts: Mapping[str, Record],
    controller: Record | None = None,
    warn_days: int = 30,
    fail_days: int = 0,
    now: datetime | None = None,
) -> tuple[list[Row], list[Finding]]:
    """The same results as rows, the first to end first, and what was found in them."""
    results = _results(hosts, controller)
    rows = _rows(results)
    moment = (now or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ends = {row.entry["subject"]: row.entry["not_after"] for row in rows if row.entry["type"] == "ca"}
    findings = [finding for row in rows for finding in _check(row, ends, moment, warn_days, fail_days)]
    return rows, findings + _grouped(_differences(hosts, controller or {})) + _grouped(_troubles(results))


def _results(hosts: Mapping[str, Record], controller: Record | None) -> list[tuple[str, Record]]:
    return ([(CONTROLLER, controller)] if controller else []) + list(hosts.items())


def _rows(results: Iterable[tuple[str, Record]]) -> list[Row]:
    rows: dict[tuple[str, str, str], Row] = {}
    for host, result in results:
        for entry in _with_servers(result["certificates"]):
            running = _running(entry)
            row = rows.setdefault((entry["where"], entry["fingerprint"], running), Row(entry, running))
            row.hosts.append(host)
    return sorted(
        rows.values(), key=lambda row: (row.entry["days_left"], row.entry["not_after"], row.entry["where"], row.hosts)
    )


def _with_servers(certificates: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The certificates of a host, without those that are served just as they stand in a file: these say where, beside the file."""
    files = {
        (entry["path"], entry["fingerprint"]): {**entry, "served": []}
        for entry in certificates
        if entry["source"] == "file"
    }
    others = []
    for entry in certificates:
        file = files.get((entry["path"], entry["fingerprint"]))
        if entry["source"] == "endpoint" and file and "current" in entry["running"].values():
            file["served"].append(entry)
        elif entry["source"] != "file":
            others.append({**entry, "served": []})
    return [*files.values(), *others]


def _running(entry: Record) -> str:
    """Processes with the ports at which they serve it; another state than the current one is named."""
    ports: dict[str, list[str]] = {}
    for served in entry["served"]:
        for name in served["running"]:
            ports.setdefault(name, []).append(served["endpoint"].rpartition(":")[2])
    states = {**dict.fromkeys(ports, "current"), **entry["running"]}
    served = {name: f":{'+'.join(numbers)}" for name, numbers in ports.items()}
    return ",".join(
        sorted(
            f"{name}{served.get(name, '')}{'' if state == 'current' else f'={state}'}" for name, state in states.items()
        )
    )


def _summary(rows: list[Row], results: list[tuple[str, Record]]) -> str:
    count = len({row.entry["fingerprint"] for row in rows})
    hosts = len([host for host, result in results if result["readable"] and host != CONTROLLER])
    places = [*([f"the {CONTROLLER}"] if results and results[0][0] == CONTROLLER else []), counted(hosts, "host")]
    if not rows:
        return f"No certificate on {' and '.join(places)}"
    entry = rows[0].entry
    return f"{counted(count, 'certificate')} on {' and '.join(places)}; the first one {_end(entry)}"


def _end(entry: Record) -> str:
    if entry["days_left"] < 0:
        return f"expired on {entry['not_after']}"
    return f"ends on {entry['not_after']}, in {counted(entry['days_left'], 'day')}"


# --- the table


def _table(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    cells = [list(COLUMNS), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]


def _cells(row: Row) -> list[str]:
    entry = row.entry
    cells = {
        "days": str(entry["days_left"]),
        "until": entry["not_after"][:10],
        "host": _few(row.hosts, COLUMNS["host"]),
        "where": _end_of(entry["where"], COLUMNS["where"]),
        "subject": _begin_of(",".join(_fields(entry["subject"])), COLUMNS["subject"]),
        "issuer": "itself"
        if entry["issuer"] == entry["subject"]
        else _begin_of(_fields(entry["issuer"])[0].removeprefix("CN="), COLUMNS["issuer"]),
        "names": _few([name.partition(":")[2] for name in entry["names"]], COLUMNS["names"]),
        "running": _begin_of(row.running, COLUMNS["running"]),
    }
    return [cells[name].replace(" ", NO_BREAK_SPACE) for name in COLUMNS]


def _fields(name: str) -> list[str]:
    """The common name first, which says most."""
    return sorted(name.split(", "), key=lambda part: not part.startswith("CN="))


def _few(values: list[str], width: int) -> str:
    """As many as there is room for, at least one, and the number of the others."""
    shown = list(values)
    while len(shown) > 1 and len(",".join(shown)) + (4 if len(shown) < len(values) else 0) > width:
        shown.pop()
    left = len(values) - len(shown)
    return _begin_of(",".join(shown), width) + (f"+{left}" if left else "")


def _begin_of(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _end_of(text: str, width: int) -> str:
    return text if len(text) <= width else f"...{text[len(text) - width + 3 :]}"


# --- the findings


def _check(row: Row, ends: Mapping[str, str], now: str, warn_days: int, fail_days: int) -> Iterable[Finding]:
    entry, hosts = row.entry, tuple(row.hosts)
    if entry["not_before"] > now:
        yield Finding(
            hosts,
            f"{row.place} is not valid before {entry['not_before']}",
            "synchronize the clocks of the hosts and of this computer",
            failure=True,
        )
    elif entry["days_left"] < max(fail_days, warn_days):
        yield Finding(hosts, f"{row.place} {_end(entry)}", _fix(entry, ends), failure=entry["days_left"] < fail_days)
    for process, state in entry["running"].items():
        if entry["source"] == "endpoint" and state != "current":
            what = "an older certificate than" if state == "older" else "another certificate than the first of"
            yield Finding(
                hosts,
                f"{process} at {entry['endpoint']} serves {what} {entry['path']}",
                "restart it if it still does so in two minutes",
            )


def _fix(entry: Record, ends: Mapping[str, str]) -> str:
    if entry["type"] == "ca":
        return "run ansible-playbook hardway.kubernetes.rotate_ca, which replaces CAs in stages"
    if entry["source"] == "endpoint" and entry["path"] is None and entry["where"] not in entry["running"]:
        return "restart the process, which creates it at each start"
    if (entry["path"] or "").startswith(KUBELET_PKI):
        return (
            "kubelet renews it by itself: check journalctl -u kubelet and pending requests (kubectl get csr); "
            "or run ansible-playbook hardway.kubernetes.renew"
        )
    if entry["not_after"] >= ends.get(entry["issuer"], "9999"):
        return "it ends with its CA: run ansible-playbook hardway.kubernetes.rotate_ca"
    return "run site.yml, which renews what has less than cluster_renew_before left"


def _differences(hosts: Mapping[str, Record], controller: Record) -> Iterable[tuple[str, str, str]]:
    """Files on hosts that the controller has another one of: a renewal that has not arrived."""
    own: dict[tuple[str, str], dict[str, str]] = {}
    for entry in controller.get("certificates", []):
        own.setdefault((entry["type"], entry["subject"]), {})[entry["fingerprint"]] = entry["not_before"]
    for host, result in hosts.items():
        for entry in result["certificates"]:
            known = own.get((entry["type"], entry["subject"]), {}) if entry["source"] == "file" else {}
            if known and entry["fingerprint"] not in known:
                word = "older" if entry["not_before"] < max(known.values()) else "another one"
                yield host, f"{entry['where']} ({entry['subject']}) is {word} than the controller's", "run site.yml"


def _troubles(results: Iterable[tuple[str, Record]]) -> Iterable[tuple[str, str, str]]:
    for host, result in results:
        if not result["readable"]:
            yield host, f"was not {'read' if result['reachable'] else 'reached'}: {result['error']}", UP
        for process in result["processes"]:
            if not process["active"]:
                yield (
                    host,
                    f"{process['service']} does not run",
                    f"on the host: systemctl status {process['service']}; or run site.yml",
                )
            elif process["restart"]:
                yield host, f"a restart of {process['component']} is pending: {process['restart']}", "run site.yml"
        for problem in result["problems"]:
            yield host, problem, ""


def _grouped(found: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """The same of several hosts as one finding."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, cause, fix in found:
        hosts.setdefault((cause, fix), []).append(host)
    return [Finding(tuple(names), cause, fix) for (cause, fix), names in hosts.items()]


def _hosts(names: Sequence[str]) -> str:
    shown = ", ".join(names[:HOSTS_IN_A_SENTENCE])
    return f"{shown} and {len(names) - HOSTS_IN_A_SENTENCE} more" if len(names) > HOSTS_IN_A_SENTENCE else shown
