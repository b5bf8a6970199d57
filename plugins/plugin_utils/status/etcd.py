# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of etcd."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import size
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import quorum
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.observation import Observation, Record
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import CRITICAL, OK, WARNING, Cell, Section

# Entries of its log that a member may lag behind the others: with 10,000 it would need a snapshot.
RAFT_LAG = 1000
COLUMNS = ("member", "id", "version", "role", "healthy", "database", "in use", "quota", "index", "behind", "alarms")
START = "on the host: systemctl status etcd; journalctl -u etcd"


def etcd(status: Observation) -> Section:
    section = Section("etcd", list(COLUMNS))
    asked = [name for name in status.of_group("etcd") if name in status.read]
    views = {name: status.read[name]["etcd"] for name in asked if "members" in status.read[name].get("etcd", {})}
    if not views:
        _no_view(status, section, asked)
        return section
    view = max(views.values(), key=lambda report: (report["has_quorum"], report["revision"]))
    members = view["members"]
    highest = max((member["raft_index"] for member in members), default=0)
    for member in members:
        _member(status, section, member, highest)
    _quorum(status, view, members)
    _compare_with_inventory(status, members)
    unhealthy = [member["name"] for member in members if not member["healthy"]]
    for name in asked:
        if name not in unhealthy and "error" in status.read[name].get("etcd", {}):
            status.report(
                CRITICAL, name, f"its member of etcd does not answer: {status.read[name]['etcd']['error']}", START
            )
    return section


def _no_view(status: Observation, section: Section, asked: Sequence[str]) -> None:
    if not status.of_group("etcd"):
        section.lines.append("No host of a member is in this run (--limit).")
        return
    causes = [f"{name}: {status.read[name].get('etcd', {}).get('error', 'was not asked')}" for name in asked]
    status.report(
        CRITICAL,
        "etcd",
        f"no member answers: {'; '.join(causes) or 'none of their hosts could be read'}",
        "systemctl status etcd on the host of each member; if a majority is lost, restore a snapshot",
    )
    status.summarise("etcd", "does not answer", CRITICAL)
    section.lines.append("No member answers.")


def _member(status: Observation, section: Section, member: Record, highest: int) -> None:
    name = member["name"] or ",".join(member["peer_urls"])
    answers, health = bool(member["version"]), OK
    if not member["healthy"]:
        health = status.report(CRITICAL, name, f"this member of etcd is not healthy: {member['problem']}", START)
    if member["learner"]:
        status.report(
            WARNING,
            name,
            "this member of etcd is a learner, which does not vote",
            "run site.yml, which promotes it when it has caught up",
        )
    for alarm in member["alarms"]:
        fix = (
            "compact and defragment, then disarm; or raise quota-backend-bytes"
            if alarm == "NOSPACE"
            else "replace the data of this member"
        )
        status.report(CRITICAL, name, f"this member of etcd has raised the alarm {alarm}", fix)
    behind = highest - member["raft_applied_index"] if answers else 0
    if behind > RAFT_LAG:
        status.report(
            WARNING, name, f"this member of etcd is {behind} entries behind", "check the host's disk and network"
        )
    section.add(
        name,
        member["id"],
        member["version"] or "?",
        "leader" if member["leader"] else "learner" if member["learner"] else "follower",
        Cell("yes" if member["healthy"] else "no", health),
        size(member["db_size"]) if answers else "",
        size(member["db_size_in_use"]) if answers else "",
        _quota(status, name, member) if answers else "",
        member["raft_applied_index"] if answers else "",
        Cell(str(behind), WARNING if behind > RAFT_LAG else "") if answers else "",
        Cell(", ".join(member["alarms"]), CRITICAL if member["alarms"] else ""),
    )


def _quota(status: Observation, name: str, member: Record) -> Cell | str:
    percent = member["quota_used"]
    if percent is None:
        return ""
    limits = ((CRITICAL, status.settings.fail_db_percent), (WARNING, status.settings.warn_db_percent))
    level = next((level for level, limit in limits if percent >= limit), OK)
    if level != OK:
        status.report(
            level,
            name,
            f"etcd's database uses {percent} % of its quota",
            "compact and defragment, or raise quota-backend-bytes",
        )
    return Cell(f"{percent} % of {size(member['quota'])}", level)


def _quorum(status: Observation, view: Record, members: Sequence[Record]) -> None:
    healthy = len([member for member in members if member["healthy"] and not member["learner"]])
    if view["has_quorum"]:
        text = f"{healthy} of {view['voters']} members, leader {view['leader'] or 'unknown'}, {view['fault_tolerance']} may fail"
        status.summarise("etcd", text, OK if healthy == view["voters"] else CRITICAL)
    else:
        status.report(
            CRITICAL,
            "etcd",
            f"no quorum: {healthy} of {view['voters']} members are healthy, {quorum(view['voters'])} are needed",
            "start the members that have their data; if too many are lost, restore a snapshot",
        )
        status.summarise("etcd", f"no quorum, {healthy} of {view['voters']} members", CRITICAL)
    versions = sorted({member["version"] for member in members if member["version"]})
    if len(versions) > 1:
        status.report(
            WARNING, "etcd", f"members run different versions: {', '.join(versions)}", "run site.yml to its end"
        )


def _compare_with_inventory(status: Observation, members: Sequence[Record]) -> None:
    names, wanted = {member["name"] for member in members}, set(status.groups.get("etcd", []))
    for name in sorted(wanted - names):
        status.report(
            WARNING,
            name,
            "is in the group etcd, and no member of etcd has its name",
            "add the member, or remove the host from the group",
        )
    for name in sorted(filter(None, names - wanted)):
        status.report(
            WARNING,
            name,
            "is a member of etcd, and not in the inventory's group etcd",
            "remove the member, or add its host to the group",
        )
