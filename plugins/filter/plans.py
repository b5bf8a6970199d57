# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons to refuse, and plans, of playbooks that change members, etcd, keys and users: documented in the .yml files of the filters' names."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.backup import plan as backup
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.maintenance import plan as maintenance
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.membership.plan import Removal, Reset
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import to_data
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore import outcome
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.model import Settings
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.plan import source_problems
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rotation import plan as rotation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.user.plan import User

Data = Mapping[str, t.Any]


def host_results(hosts: Sequence[str], hostvars: Mapping[str, Data], name: str) -> dict[str, t.Any]:
    return {host: hostvars[host][name] for host in hosts if name in hostvars[host]}


def removal_problems(
    host: str, group: str, leaving: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    return to_data(Removal(host, group, leaving, groups).problems())


def reset_problems(
    hosts: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    allow_member: bool = False,
    remove_state: bool = False,
) -> list[dict[str, str]]:
    return to_data(Reset(hosts, groups, allow_member, remove_state).problems())


def user_plan(settings: Data, bindings: Sequence[Data] = ()) -> dict[str, t.Any]:
    user = User(**settings)
    return {
        "binding": user.binding,
        "granted_in": user.granted_in,
        "problems": to_data(user.problems()),
        "unwanted": user.unwanted(bindings),
    }


def rotation_problems(names: Sequence[str], installer: str) -> list[dict[str, str]]:
    return to_data(rotation.problems(installer, names))


def stale_workloads(restarted: Data, report: bool = False) -> list[str]:
    return rotation.stale_workloads(restarted, report)


def etcd_maintenance_plan(
    states: Mapping[str, Data],
    reachable: Sequence[str],
    compact: str = "when_full",
    minimum_size: int = maintenance.Settings.minimum_size,
    fragmentation: int = maintenance.Settings.fragmentation,
    disarm: Sequence[str] = maintenance.Settings.disarm,
) -> dict[str, t.Any]:
    settings = maintenance.Settings(compact, int(minimum_size), int(fragmentation), disarm)
    return maintenance.plan(states, reachable, settings).to_data()


def etcd_member_lines(cluster: Data) -> list[str]:
    return maintenance.lines(cluster)


def backup_sources(states: Mapping[str, Data], reachable: Sequence[str]) -> list[str]:
    return backup.sources(states, reachable)


def backup_problems(
    target: str, recipients: Sequence[str] = (), accepted: Sequence[str] = (), path: str = ""
) -> list[dict[str, str]]:
    return to_data(backup.problems(target, list(recipients), list(accepted), path, read_mounts()))


def read_mounts() -> str:
    """What is mounted on the controller; nothing where it has no /proc."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            return mounts.read()
    except OSError:
        return ""


def backup_causes(states: Mapping[str, Data]) -> list[str]:
    return backup.causes(states)


def restore_source_problems(
    etcd_hosts: Sequence[str], archive: str, snapshot: str = "", source_host: str = "", alone: bool = False
) -> list[dict[str, str]]:
    settings = Settings("", "", alone, archive, snapshot, source_host)
    return to_data(source_problems(settings, etcd_hosts))


def restore_losses(members: Mapping[str, Data], known_keys: Sequence[str] = ()) -> dict[str, t.Any]:
    return outcome.losses(members, known_keys).to_data()


def restore_bump(plan: Data, live_revision: int | None = None) -> int:
    done: int | None = plan["bump_revision"]
    return outcome.bump_revision(plan["revision"], live_revision, time.time()) if done is None else done


def restored_last(results: Mapping[str, Data]) -> int:
    return outcome.restored_last(results, time.time())


def restore_survivor(salvaged: Mapping[str, Data]) -> dict[str, t.Any]:
    return dataclasses.asdict(outcome.survivor(salvaged))


def restore_report(
    plan: Data,
    cluster_dir: str,
    data_dir: str,
    before: str = "",
    losses_recorded: bool = False,
    nodes_gone: Sequence[str] = (),
    nodes_removed: bool = False,
    check_mode: bool = False,
) -> list[str]:
    finished = outcome.Finished(cluster_dir, data_dir, before, losses_recorded, nodes_gone, nodes_removed)
    return outcome.report(plan, finished, check_mode)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "backup_causes": backup_causes,
            "backup_problems": backup_problems,
            "backup_sources": backup_sources,
            "etcd_maintenance_plan": etcd_maintenance_plan,
            "etcd_member_lines": etcd_member_lines,
            "host_results": host_results,
            "removal_problems": removal_problems,
            "reset_problems": reset_problems,
            "restore_bump": restore_bump,
            "restore_losses": restore_losses,
            "restore_report": restore_report,
            "restore_source_problems": restore_source_problems,
            "restore_survivor": restore_survivor,
            "restored_last": restored_last,
            "rotation_problems": rotation_problems,
            "stale_workloads": stale_workloads,
            "user_plan": user_plan,
        }
