# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The judge of a cluster's status: facts in, a page out. Terminal and HTML are drawn from the same page.

It reads nothing itself and fails for nothing: what could not be read is a finding.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import quorum
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import (
    CONTROLLER,
    NO_BREAK_SPACE,
    judged,
)

CRITICAL, WARNING, NOTE = "critical", "warning", "note"
LEVELS = (CRITICAL, WARNING, NOTE)
OK = "ok"
# A kubelet may be three minor versions older than the API servers, and never newer; so may kube-proxy. Controller managers and schedulers
# may be one older (https://kubernetes.io/releases/version-skew-policy/).
OLDEST_NODE, OLDEST_CONTROLLER = 3, 1
NODE_COMPONENTS = ("kubelet", "kube-proxy")
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
# Entries of its log that a member of etcd may lag behind the others: with 10,000 it would need a snapshot.
RAFT_LAG = 1000
# Seconds between the clocks of a host and of this computer: from here on leases and elections suffer.
CLOCK = 2.0
MOST_PLACES = 8
COMPARE = "run site.yml --check --diff, which shows the text of the differences; then site.yml"
SETTLING = ("activating", "deactivating", "reloading")


@dataclasses.dataclass(frozen=True)
class Settings:
    """From when on something is worth a finding."""

    warn_days: int = 30
    fail_days: int = 0
    warn_db_percent: int = 60
    fail_db_percent: int = 80
    strict: bool = False


@dataclasses.dataclass(frozen=True)
class Finding:
    level: str
    place: str
    cause: str
    mend: str = ""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A text, and what it means: nothing, ok, a warning, or something critical."""

    text: str
    level: str = ""


@dataclasses.dataclass
class Section:
    title: str
    columns: list[str]
    rows: list[list[Cell]] = dataclasses.field(default_factory=list)
    #: what stands below the table, or instead of it
    lines: list[str] = dataclasses.field(default_factory=list)

    def add(self, *cells: Cell | str | int) -> None:
        self.rows.append([cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in cells])


@dataclasses.dataclass
class Page:
    title: str
    time: str
    summary: list[tuple[str, Cell]] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    sections: list[Section] = dataclasses.field(default_factory=list)
    strict: bool = False

    @property
    def exit(self) -> int:
        """2, as Ansible's own for a host that failed, where something is critical."""
        counted = (CRITICAL, WARNING) if self.strict else (CRITICAL,)
        return 2 if any(finding.level in counted for finding in self.findings) else 0

    @property
    def verdict(self) -> Cell:
        counts = [
            (level, len([finding for finding in self.findings if finding.level == level]))
            for level in (CRITICAL, WARNING)
        ]
        told = [_counted(count, level) if level == WARNING else f"{count} {level}" for level, count in counts if count]
        worst = next((level for level, count in counts if count), OK)
        return Cell(", ".join(told) if told else "all is well", worst)


def judge(facts: t.Mapping[str, t.Any], settings: Settings = Settings(), now: datetime | None = None) -> Page:
    """The page of a cluster.

    :arg facts: ``cluster`` (``name``, ``endpoint``, ``virtual_address``, ``version``, ``minors``, ``rotation``, its stage), ``groups`` (names of the
        inventory's hosts), ``hosts`` (results of ``status_host``), ``plans`` (results of ``component_plan`` by host, the controller's under
        ``controller``), ``controller`` (result of ``certificate_info``), ``api`` (:func:`status_api.look`)
    """
    moment = now or datetime.now(timezone.utc)
    status = _Status(facts, settings, moment)
    page = Page(
        f"Status of {facts['cluster']['name']}", moment.strftime("%Y-%m-%d %H:%M:%S UTC"), strict=settings.strict
    )
    parts = [status.control_plane, status.etcd, status.balancers, status.hosts, status.programs, status.restarts]
    parts += [status.drift, status.upgrade, status.certificates]
    page.sections = [section for part in parts if (section := part())]
    page.summary = status.summary
    page.findings = _merged(status.findings)
    return page


def _merged(findings: t.Iterable[tuple[str, str, str, str]]) -> list[Finding]:
    """The same of several places told once, the worst first."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for level, place, cause, mend in findings:
        known = places.setdefault((level, cause, mend), [])
        known += [] if place in known else [place]
    told = [Finding(level, _few(names), cause, mend) for (level, cause, mend), names in places.items()]
    return sorted(told, key=lambda finding: LEVELS.index(finding.level))


def _few(names: t.Sequence[str]) -> str:
    more = len(names) - MOST_PLACES
    return ", ".join(names[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


class _Status:
    def __init__(self, facts: t.Mapping[str, t.Any], settings: Settings, now: datetime) -> None:
        self.cluster = facts["cluster"]
        self.groups = facts.get("groups") or {}
        self.seen = facts.get("hosts") or {}
        self.plans = facts.get("plans") or {}
        self.controller = facts.get("controller")
        self.api = facts["api"]
        self.settings = settings
        self.now = now
        self.read = {name: host for name, host in self.seen.items() if host.get("readable")}
        self.summary: list[tuple[str, Cell]] = [("endpoint", Cell(self.cluster["endpoint"]))]
        self.findings: list[tuple[str, str, str, str]] = []
        if self.cluster.get("rotation"):
            self.tell(
                NOTE,
                "rotation",
                f"authorities or keys are being replaced, stage {self.cluster['rotation']}",
                "run the same rotation again, to its end",
            )

    def tell(self, level: str, place: str, cause: str, mend: str = "") -> str:
        self.findings.append((level, place, " ".join(str(cause).split()), mend))
        return level

    def of_group(self, group: str) -> list[str]:
        return [name for name in self.groups.get(group, []) if name in self.seen]

    def program(self, host: str, component: str) -> t.Mapping[str, t.Any]:
        programs = self.read.get(host, {}).get("programs", [])
        return next((program for program in programs if program["component"] == component), {})

    def version(self, host: str, component: str) -> str:
        return str(self.program(host, component).get("version", ""))

    # --- the API and its masters

    def control_plane(self) -> Section:
        endpoint = self.api["endpoint"]
        if endpoint["ready"]:
            self.summary.append(("API", Cell(f"answers as {endpoint['version']}", OK)))
        else:
            mend = "look at the load balancers and the masters below; etcd without quorum takes the API with it"
            self.tell(CRITICAL, "API", f"does not answer well at {self.cluster['endpoint']}: {endpoint['error']}", mend)
            self.summary.append(("API", Cell("is not ready" if endpoint["version"] else "does not answer", CRITICAL)))
        if self.api.get("error") not in ("", None, endpoint["error"]):
            self.tell(WARNING, "API", f"could not be read: {self.api['error']}", "look at the API servers' journals")
        if self.api["waiting"]:
            self.tell(
                WARNING,
                "API",
                f"{_counted(len(self.api['waiting']), 'request')} for certificates that nobody decided",
                "kubectl get csr; site.yml approves those of its nodes",
            )
        section = Section("Control plane", ["master", "API server", "answers", "controller manager", "scheduler"])
        for name, server in self.api["servers"].items():
            level = OK
            if not server["ready"]:
                level = self.tell(
                    CRITICAL,
                    name,
                    f"its API server: {server['error']}",
                    "on the host: systemctl status kube-apiserver, journalctl -u kube-apiserver",
                )
            section.add(
                name,
                server["version"] or self.version(name, "kube-apiserver") or "?",
                Cell("ready" if server["ready"] else "not ready" if server["version"] else "no answer", level),
                *(
                    f"{self.version(name, component) or '?'}{' (leads)' if self.api['leaders'].get(component) == name else ''}"
                    for component in CONTROLLERS
                ),
            )
        for component in CONTROLLERS if self.api["nodes"] is not None else ():
            if self.api["servers"] and self.api["leaders"].get(component) not in self.api["servers"]:
                self.tell(
                    WARNING,
                    component,
                    "no master of the inventory leads",
                    "journalctl -u on the masters tells why none gets the lease",
                )
        return section

    # --- etcd

    def etcd(self) -> Section:
        section = Section(
            "etcd",
            ["member", "id", "version", "role", "healthy", "database", "in use", "quota", "index", "behind", "alarms"],
        )
        asked = [name for name in self.of_group("etcd") if name in self.read]
        views = {name: self.read[name]["etcd"] for name in asked if "members" in self.read[name].get("etcd", {})}
        if not views:
            if not self.of_group("etcd"):
                section.lines.append("No member's host is in this run (--limit).")
                return section
            causes = [f"{name}: {self.read[name].get('etcd', {}).get('error', 'was not asked')}" for name in asked]
            cause = f"no member tells of the others: {'; '.join(causes) or 'none of their hosts could be read'}"
            self.tell(
                CRITICAL,
                "etcd",
                cause,
                "systemctl status etcd on each member's host; where a majority is lost, restore a snapshot",
            )
            self.summary.append(("etcd", Cell("does not answer", CRITICAL)))
            section.lines.append("No member answers.")
            return section
        view = max(views.values(), key=lambda report: (report["has_quorum"], report["revision"]))
        members = view["members"]
        highest = max((member["raft_index"] for member in members), default=0)
        for member in members:
            self._member(section, member, highest)
        self._etcd_as_a_whole(view, members)
        ill = [member["name"] for member in members if not member["healthy"]]
        for name in asked:
            if name not in ill and "error" in self.read[name].get("etcd", {}):
                self.tell(
                    CRITICAL,
                    name,
                    f"its member of etcd does not answer: {self.read[name]['etcd']['error']}",
                    "on the host: systemctl status etcd",
                )
        return section

    def _member(self, section: Section, member: t.Mapping[str, t.Any], highest: int) -> None:
        name = member["name"] or ",".join(member["peer_urls"])
        answers = bool(member["version"])
        health, used, behind = OK, "", 0
        if not member["healthy"]:
            health = self.tell(
                CRITICAL,
                name,
                f"this member of etcd is not healthy: {member['problem']}",
                "on the host: systemctl status etcd, journalctl -u etcd",
            )
        if member["learner"]:
            self.tell(
                WARNING,
                name,
                "this member of etcd is a learner: it does not vote",
                "it is promoted once it has caught up",
            )
        for alarm in member["alarms"]:
            mend = (
                "compact and defragment, then disarm; or raise quota-backend-bytes"
                if alarm == "NOSPACE"
                else "replace this member's data"
            )
            self.tell(CRITICAL, name, f"this member of etcd has raised the alarm {alarm}", mend)
        percent = member["quota_used"]
        if answers and percent is not None:
            limits = ((CRITICAL, self.settings.fail_db_percent), (WARNING, self.settings.warn_db_percent))
            used = next((level for level, limit in limits if percent >= limit), OK)
            if used != OK:
                self.tell(
                    used,
                    name,
                    f"etcd's database uses {percent} % of its quota",
                    "compact and defragment, or raise quota-backend-bytes",
                )
        if answers:
            behind = highest - member["raft_applied_index"]
            if behind > RAFT_LAG:
                self.tell(
                    WARNING, name, f"this member of etcd is {behind} entries behind", "look at its disk and its network"
                )
        section.add(
            name,
            member["id"],
            member["version"] or "?",
            "leader" if member["leader"] else "learner" if member["learner"] else "follower",
            Cell("yes" if member["healthy"] else "no", health),
            _size(member["db_size"]) if answers else "",
            _size(member["db_size_in_use"]) if answers else "",
            Cell(f"{percent} % of {_size(member['quota'])}", used) if answers and percent is not None else "",
            member["raft_applied_index"] if answers else "",
            Cell(str(behind), WARNING if behind > RAFT_LAG else "") if answers else "",
            Cell(", ".join(member["alarms"]), CRITICAL if member["alarms"] else ""),
        )

    def _etcd_as_a_whole(self, view: t.Mapping[str, t.Any], members: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        healthy = len([member for member in members if member["healthy"] and not member["learner"]])
        told = f"{healthy} of {view['voters']} members, leader {view['leader'] or 'unknown'}, {view['fault_tolerance']} may fail"
        if not view["has_quorum"]:
            cause = f"no quorum: {healthy} of {view['voters']} members are healthy, {quorum(view['voters'])} are needed"
            self.tell(
                CRITICAL, "etcd", cause, "start those that have their data; where too many are lost, restore a snapshot"
            )
            self.summary.append(("etcd", Cell(f"no quorum, {healthy} of {view['voters']} members", CRITICAL)))
        else:
            self.summary.append(("etcd", Cell(told, OK if healthy == view["voters"] else CRITICAL)))
        versions = sorted({member["version"] for member in members if member["version"]})
        if len(versions) > 1:
            self.tell(
                WARNING, "etcd", f"members run different versions: {', '.join(versions)}", "run site.yml to the end"
            )
        names, wanted = {member["name"] for member in members}, set(self.groups.get("etcd", []))
        for name in sorted(wanted - names):
            self.tell(
                WARNING,
                name,
                "is in the group etcd, and no member of etcd has its name",
                "add the member, or take the host out of the group",
            )
        for name in sorted(filter(None, names - wanted)):
            self.tell(
                WARNING,
                name,
                "is a member of etcd, and not in the inventory's group etcd",
                "remove the member, or put its host into the group",
            )

    # --- load balancers

    def balancers(self) -> Section | None:
        names = self.groups.get("lb", [])
        address = self.cluster.get("virtual_address", "")
        if not names:
            self.summary.append(("load balancer", Cell("not of this collection")))
            return None
        section = Section("Load balancers", ["host", "virtual address", "load balancer", "keepalived", "servers"])
        if not self.of_group("lb"):
            section.lines.append("None is in this run (--limit).")
        present = [name for name in names if name in self.read]
        holders = [
            name
            for name in present
            if address in self.read[name]["ansible_facts"]["hardway_host"].get("interface_of", {})
        ]
        for name in self.of_group("lb"):
            servers, level = self._backends(name)
            packages = (
                self._balancer(name),
                self.version(name, "keepalived") or ("none" if self.read.get(name, {}).get("programs") else "?"),
            )
            section.add(
                name,
                Cell("holds it", OK) if name in holders else "" if name in present else "?",
                *packages,
                Cell(servers, level),
            )
        if len(holders) > 1:
            self.tell(
                CRITICAL,
                _few(holders),
                f"both hold the virtual address {address}",
                "let VRRP pass between them (protocol 112), see journalctl -u keepalived",
            )
        elif not holders and len(present) == len(names):
            self.tell(
                CRITICAL,
                "virtual address",
                f"nobody holds {address}",
                "systemctl status keepalived, and haproxy or nginx, on the load balancers",
            )
        elif not holders and self.of_group("lb"):
            self.tell(NOTE, "virtual address", f"none of the load balancers that were read holds {address}", "")
        text = f"{address} on {_few(holders)}" if holders else f"{address}, holder not seen"
        self.summary.append(
            ("virtual address", Cell(text, OK if len(holders) == 1 else CRITICAL if len(present) == len(names) else ""))
        )
        return section

    def _balancer(self, name: str) -> str:
        """What passes connections on, with its version."""
        found = [component for component in ("haproxy", "nginx") if self.program(name, component)]
        return ", ".join(f"{component} {self.version(name, component) or '?'}" for component in found) or "?"

    def _backends(self, name: str) -> tuple[str, str]:
        told = self.read.get(name, {}).get("backends", {})
        if self.program(name, "nginx"):
            return "nginx does not tell", ""
        if "error" in told:
            return "?", self.tell(WARNING, name, told["error"], "on the host: systemctl status haproxy")
        servers = [server for server in told.get("servers", []) if server["backend"] == "kube-apiserver"]
        down = [server for server in servers if not server["state"].startswith("UP")]
        for server in down:
            self.tell(
                WARNING,
                name,
                f"haproxy sends nothing to {server['name']}: {server['state']}, {server['check']}",
                "look at that API server",
            )
        if servers and len(down) == len(servers):
            self.tell(CRITICAL, name, "haproxy has no API server to send to", "look at the masters")
        text = ", ".join(f"{server['name']} {server['state']}" for server in servers)
        return text, "" if not servers else CRITICAL if len(down) == len(servers) else WARNING if down else OK

    # --- hosts

    def hosts(self) -> Section:
        section = Section(
            "Hosts", ["host", "groups", "node", "kubelet", "runtime", "kernel", "system", "load", "clock"]
        )
        nodes = {node["name"]: node for node in self.api["nodes"] or []}
        wanted = set(self.groups.get("kube_node", []))
        for name in self.seen:
            self._host(section, name, nodes.get(name), name in wanted)
        for name in sorted(set(nodes) - wanted):
            self.tell(
                WARNING,
                name,
                "is a node of the cluster, and not in the inventory's group kube_node",
                "put it into the group, or kubectl delete node",
            )
        for name in [name for name in nodes if name in wanted and name not in self.seen]:
            self._node(name, nodes[name])
        total, ready = len(nodes), len([node for node in nodes.values() if node["ready"]])
        if self.api["nodes"] is not None:
            self.summary.append(("nodes", Cell(f"{ready} of {total} Ready", OK if ready == total else CRITICAL)))
        missing = [name for names in self.groups.values() for name in names if name not in self.seen]
        read = f"{len(self.read)} of {len(self.seen)} read"
        if missing:
            section.lines.append(f"Not in this run (--limit): {_few(sorted(set(missing)))}")
        self.summary.append(
            (
                "hosts",
                Cell(
                    read + (f", {len(set(missing))} not in this run" if missing else ""),
                    OK if len(self.read) == len(self.seen) else CRITICAL,
                ),
            )
        )
        return section

    def _host(self, section: Section, name: str, node: t.Mapping[str, t.Any] | None, wanted: bool) -> None:
        host = self.seen[name]
        groups = ", ".join(group for group, names in self.groups.items() if name in names)
        state = Cell("")
        if node:
            state = self._node(name, node)
        elif wanted and self.api["nodes"] is not None:
            state = Cell(
                "not registered",
                self.tell(
                    CRITICAL,
                    name,
                    "is in the group kube_node, and not registered as a node",
                    "run add-node.yml with --limit",
                ),
            )
        known = node or {}
        if not host.get("readable"):
            word = "read" if host.get("reachable") else "reached"
            self.tell(
                CRITICAL,
                name,
                f"was not {word}: {host.get('error')}",
                "see that it is up, and that ssh and become work",
            )
            section.add(
                Cell(name, CRITICAL),
                groups,
                state,
                *(known.get(key, "") for key in ("kubelet", "runtime", "kernel", "os")),
                "",
                Cell(f"not {word}", CRITICAL),
            )
            return
        facts = host["ansible_facts"]["hardway_host"]
        offset = facts.get("clock_offset", 0.0)
        late = abs(offset) > CLOCK
        if late:
            self.tell(
                WARNING,
                name,
                f"its clock is {offset:+.1f} s off this computer's",
                "let chrony or another time service run on both",
            )
        section.add(
            name,
            groups,
            state,
            self.version(name, "kubelet") or known.get("kubelet", ""),
            known.get("runtime", "") or self.version(name, "containerd"),
            facts.get("kernel", ""),
            facts.get("distribution", {}).get("name", ""),
            " ".join(f"{value:.2f}" for value in host.get("load", [])),
            Cell(f"{offset:+.1f} s" if offset else "right", WARNING if late else ""),
        )

    def _node(self, name: str, node: t.Mapping[str, t.Any]) -> Cell:
        level, words = OK, ["Ready" if node["ready"] else "NotReady"]
        if node["pressures"]:
            words += node["pressures"]
            level = self.tell(
                WARNING, name, f"the node reports {', '.join(node['pressures'])}", "kubectl describe node"
            )
        if node["cordoned"]:
            words.append("cordoned")
            level = self.tell(
                WARNING,
                name,
                "the node is cordoned: it takes no new pods",
                "kubectl uncordon, once its maintenance has ended",
            )
        if not node["ready"]:
            level = self.tell(
                CRITICAL, name, f"the node is not Ready: {node['reason']}", "on the host: journalctl -u kubelet"
            )
        return Cell(", ".join(words), level)

    # --- programs and their restarts

    def programs(self) -> Section:
        section = Section("Programs", ["component", "runs", "hosts", "state", "since"])
        rows: dict[tuple, list[tuple[str, int | None]]] = {}
        for name, host in self.read.items():
            for program in host["programs"]:
                rows.setdefault((program["component"], program["version"], program["state"]), []).append(
                    (name, program["seconds"])
                )
                if program["state"] != "active":
                    level = WARNING if program["state"] in SETTLING else CRITICAL
                    self.tell(
                        level,
                        name,
                        f"{program['service']} is {program['state']}",
                        f"on the host: systemctl status {program['service']}; or run site.yml",
                    )
        for (component, version, state), found in sorted(rows.items()):
            level = OK if state == "active" else WARNING if state in SETTLING else CRITICAL
            ages = [seconds for name, seconds in found if seconds is not None]
            age = (
                _age(min(ages)) + (f" to {_age(max(ages))}" if _age(min(ages)) != _age(max(ages)) else "")
                if ages
                else ""
            )
            section.add(component, version or "?", _few([name for name, seconds in found]), Cell(state, level), age)
        return section

    def restarts(self) -> Section:
        """Processes that do not run from what lies on their hosts: a restart that is owed, whatever the settings say."""
        section = Section("Pending restarts", ["component", "hosts", "because"])
        owed: dict[tuple[str, str], list[str]] = {}
        for name, host in self.read.items():
            reasons = {
                process["component"]: [process["restart"]] for process in host["processes"] if process["restart"]
            }
            for program in host["programs"]:
                if program["linked"] and program["linked"] != program["version"]:
                    reasons.setdefault(program["component"], []).append(
                        f"it runs {program['version']}, and {program['linked']} is installed"
                    )
                elif program["replaced"]:
                    reasons.setdefault(program["component"], []).append(
                        f"{program['binary']} was replaced since it started"
                    )
            for component, causes in reasons.items():
                owed.setdefault((component, "; ".join(causes)), []).append(name)
        for (component, cause), names in owed.items():
            section.add(component, _few(names), Cell(cause, WARNING))
            for name in names:
                self.tell(
                    WARNING,
                    name,
                    f"{component} has to start anew: {cause}",
                    "run site.yml, which restarts one host after the other",
                )
        if not owed:
            section.lines.append("None." if self.read else "No host could be read.")
        return section

    # --- settings and hosts

    def drift(self) -> Section | None:
        if not self.plans:
            return None
        section = Section("Drift between settings and hosts", ["where", "component", "site.yml would", "restart"])
        found: dict[tuple, list[str]] = {}
        for name, plan in self.plans.items():
            if plan.get("error"):
                self.tell(
                    WARNING,
                    name,
                    f"settings and host could not be compared: {plan['error']}",
                    "run site.yml --check --diff",
                )
            for entry in plan.get("components", []):
                if entry["error"]:
                    self.tell(
                        WARNING,
                        name,
                        f"{entry['component']} could not be compared with its settings: {entry['error']}",
                        "run site.yml --check --diff",
                    )
                elif entry["changes"]:
                    found.setdefault((entry["component"], tuple(entry["changes"]), entry["restart"]), []).append(name)
        for (component, changes, restart), names in found.items():
            section.add(_few(names), component, Cell("; ".join(changes), WARNING), "yes" if restart else "no")
            for name in names:
                self.tell(WARNING, name, f"{component} differs from the settings: {'; '.join(changes)}", COMPARE)
        compared = sum(not entry["error"] for plan in self.plans.values() for entry in plan.get("components", []))
        section.lines.append(f"{_counted(compared, 'component')} compared{'' if found else ', no difference'}.")
        self.summary.append(
            (
                "drift",
                Cell(
                    _counted(sum(map(len, found.values())), "component") if found else "none", WARNING if found else OK
                ),
            )
        )
        return section

    # --- versions

    def upgrade(self) -> Section:
        section = Section("Versions and upgrade", ["of", "version"])
        wanted = str(self.cluster["version"])
        servers = {
            name: server["version"] or self.version(name, "kube-apiserver")
            for name, server in self.api["servers"].items()
        }
        running = sorted({version for version in servers.values() if minor_of(version)}, key=_order)
        nodes = {name: self.version(name, "kubelet") for name in self.read} | {
            node["name"]: node["kubelet"] for node in self.api["nodes"] or []
        }
        kubelets = sorted({version for version in nodes.values() if minor_of(version)}, key=_order)
        section.add("settings", wanted)
        section.add("API servers", Cell(", ".join(running) or "?", WARNING if len(running) > 1 else ""))
        section.add("kubelets", ", ".join(kubelets) or "?")
        if not running:
            section.lines.append("No API server tells its version: nothing can be said of an upgrade.")
            return section
        self._skew(running, nodes)
        if len(running) > 1:
            self.tell(
                WARNING,
                "Kubernetes",
                f"API servers run different versions: {', '.join(running)}",
                "an upgrade has not ended: run it again",
            )
        elif running != [wanted]:
            self.tell(*self._wanted(running[0], wanted))
        section.lines += possible(running[0], kubelets, self.cluster.get("minors", []))
        self.summary.append(
            (
                "Kubernetes",
                Cell(
                    f"{', '.join(running)}{'' if running == [wanted] else f', settings say {wanted}'}",
                    "" if running == [wanted] else WARNING,
                ),
            )
        )
        return section

    @staticmethod
    def _wanted(running: str, wanted: str) -> tuple[str, str, str, str]:
        place, cause = "Kubernetes", f"{running} runs, and the settings say {wanted}"
        before, after = minor_of(running), minor_of(wanted)
        if before and after and (after[0] != before[0] or after[1] > before[1] + 1):
            return (
                WARNING,
                place,
                f"{cause}: API servers may not skip a minor version",
                f"set cluster_kubernetes_version to {before[0]}.{before[1] + 1} first",
            )
        if _order(wanted) < _order(running):
            return WARNING, place, f"{cause}: Kubernetes does not go back", "correct cluster_kubernetes_version"
        return WARNING, place, cause, "upgrade the cluster, or correct cluster_kubernetes_version"

    def _skew(self, running: t.Sequence[str], kubelets: t.Mapping[str, str]) -> None:
        """Against the oldest and the newest API server, for a client may meet either."""
        oldest, newest = t.cast(tuple, minor_of(running[0])), t.cast(tuple, minor_of(running[-1]))
        parts = [("kubelet", kubelets, OLDEST_NODE)]
        parts += [
            (component, {name: self.version(name, component) for name in self.read}, OLDEST_NODE)
            for component in NODE_COMPONENTS[1:]
        ]
        parts += [
            (component, {name: self.version(name, component) for name in self.read}, OLDEST_CONTROLLER)
            for component in CONTROLLERS
        ]
        for component, versions, distance in parts:
            for name, version in versions.items():
                minor = minor_of(version)
                if minor and minor > oldest:
                    self.tell(
                        CRITICAL,
                        name,
                        f"{component} {version} is newer than an API server, {running[0]}",
                        "upgrade the API servers first",
                    )
                elif minor and newest[1] - minor[1] > distance:
                    mend = "upgrade it before the API servers go on"
                    self.tell(
                        CRITICAL,
                        name,
                        f"{component} {version} is more than {_counted(distance, 'minor version')} older than an API server, {running[-1]}",
                        mend,
                    )

    # --- certificates

    def certificates(self) -> Section:
        section = Section("Certificates", ["days", "until", "subject", "hosts", "where", "running"])
        # What does not run, and what has to start anew, is told above.
        hosts = {name: {**host, "processes": []} for name, host in self.read.items()}
        controller = {**self.controller, "processes": []} if self.controller else None
        rows, findings = judged(hosts, controller, self.settings.warn_days, self.settings.fail_days, self.now)
        same: dict[str, list] = {}
        for row in rows:
            same.setdefault(row.entry["fingerprint"], []).append(row)
        for places in same.values():
            days, until = places[0].entry["days_left"], places[0].entry["not_after"][:10]
            level = CRITICAL if days < self.settings.fail_days else WARNING if days < self.settings.warn_days else OK
            # What the controller keeps is told where it is the only place.
            there = [row for row in places if row.hosts != [CONTROLLER]] or places
            where = list(dict.fromkeys(row.entry["where"] for row in there))
            named = ", ".join(where[:2]) + (f" and {len(where) - 2} more" if len(where) > 2 else "")
            running = sorted({name for row in there for name in row.running.split(",") if name})
            hosts_of = list(dict.fromkeys(host for row in there for host in row.hosts))
            section.add(
                Cell(str(days), level), until, places[0].entry["subject"], _few(hosts_of), named, ", ".join(running)
            )
        for finding in findings:
            for host in finding.hosts:
                self.tell(CRITICAL if finding.failure else WARNING, host, finding.cause, finding.mend)
        if rows:
            self.summary.append(
                (
                    "certificates",
                    Cell(f"the first ends in {_counted(rows[0].entry['days_left'], 'day')}", section.rows[0][0].level),
                )
            )
        else:
            section.lines.append("None could be read.")
        return section


# --- versions


def minor_of(version: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    return (int(found[1]), int(found[2])) if found else None


def _order(version: str) -> tuple:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0]))


def possible(running: str, kubelets: t.Sequence[str], minors: t.Sequence[str]) -> list[str]:
    """What may come next, by the skew policy and by what this collection knows."""
    major, minor = t.cast(tuple, minor_of(running))
    following = f"{major}.{minor + 1}"
    lines = [f"A later patch of {major}.{minor} is always possible."]
    old = [version for version in kubelets if minor + 1 - t.cast(tuple, minor_of(version))[1] > OLDEST_NODE]
    if following not in minors:
        lines.append(
            f"{following} comes next, and this version of the collection does not know it (it knows {', '.join(minors) or 'none'})."
        )
    elif old:
        lines.append(
            f"{following} comes next, once the kubelets of {', '.join(old)} are upgraded: they may be {OLDEST_NODE} minor versions older at most."
        )
    else:
        lines.append(f"{following} is possible now: masters first, then nodes.")
    return lines


# --- words


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def _age(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


# --- the page in a terminal

WIDEST = 72


def as_lines(page: Page) -> list[str]:
    """The page as lines of text. Without a place to break it, a line stays a line where results are shown as YAML."""
    lines = [
        f"{page.title}, {page.time}: {page.verdict.text}",
        *_columns([[label, cell.text] for label, cell in page.summary]),
    ]
    for finding in page.findings:
        lines.append(f"{finding.level}: {sentence(finding)}")
    for section in page.sections:
        lines += ["", section.title.upper()]
        if section.rows:
            lines += _columns([section.columns] + [[_marked(cell) for cell in row] for row in section.rows])
        lines += section.lines
    return [line if line.startswith(LEVELS) else line.replace(" ", NO_BREAK_SPACE) for line in map(_printable, lines)]


def sentence(finding: Finding) -> str:
    return f"{finding.place}: {finding.cause}{f': {finding.mend}' if finding.mend else ''}"


def _marked(cell: Cell) -> str:
    """Colours do not reach every terminal: what is not well has a mark."""
    text = cell.text if len(cell.text) <= WIDEST else f"{cell.text[: WIDEST - 3]}..."
    return f"{text} !" if cell.level in (CRITICAL, WARNING) else text


def _columns(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]


def _printable(line: str) -> str:
    """What a host tells must not drive the terminal of who reads it."""
    return "".join(character if character.isprintable() else "?" for character in line)
