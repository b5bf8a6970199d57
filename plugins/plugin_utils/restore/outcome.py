# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore loses, from which revision its members count, whose data it takes, and what it reports at the end."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    Untrusted,
    integer,
    one_line,
    record,
    text,
)

# Nobody misses these: they are written all the time.
UNNAMED = re.compile(r"/registry/(leases|masterleases|events)/|compact_rev_key$")
PREFIX = "/registry/"
# So many keys are named.
NAMED = 100
# Above every revision that a client may have seen, whatever the clock says.
BUMP = 1_000_000_000
SALVAGED = record(
    {"raft_term": integer(), "raft_index": integer(), "revision": integer(), "sha256": text(64, "[0-9a-f]{64}")}
)
# Seconds that a host's clock may be ahead of the controller's.
AHEAD = 300


@dataclasses.dataclass(frozen=True)
class Losses:
    """What the newest member that answers has beyond the snapshot, at its *revision*; None where none answers."""

    revision: int | None
    written: list[str]
    deleted: list[str]

    @property
    def lines(self) -> list[str]:
        if self.revision is None:
            return ["What was written after the snapshot is not known, for no member of etcd answers."]
        lines = [f"Written after the snapshot, and lost: {len(self.written)} keys.", *_named(self.written)]
        if self.deleted:
            lines += [f"Deleted after the snapshot, and restored: {len(self.deleted)} keys.", *_named(self.deleted)]
        return lines

    def to_data(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "lines": self.lines}


def losses(members: Mapping[str, Mapping[str, t.Any]], known_keys: Sequence[str]) -> Losses:
    """By what etcd_keys_info returned on the *members*, and the keys of the snapshot; none where these are not known."""
    answers = sorted((each for each in members.values() if "revision" in each), key=lambda each: int(each["revision"]))
    if not answers:
        return Losses(None, [], [])
    live = answers[-1]
    deleted = sorted(set(known_keys) - set(live["keys"])) if "keys" in live else []
    return Losses(int(live["revision"]), _names(live.get("written") or []), _names(deleted))


def bump_revision(revision: int, live_revision: int | None, now: float) -> int:
    """By how much the members' revisions are raised, the same for all of them.

    They go on at the time in milliseconds, which grows from restore to restore, and which no cluster reaches by writing.
    """
    return max(int(now) * 1000 - revision, (live_revision or 0) - revision + BUMP, BUMP)


def restored_last(results: Mapping[str, t.Any], now: float) -> int:
    """When the last member was restored, by the hosts' results of stat for its record; 0 where none was.

    A time that is none, or that is still to come, is not believed: it would have every pod restarted.
    """
    stats = [result.get("stat") for result in results.values() if isinstance(result, Mapping)]
    times = [stat.get("mtime") for stat in stats if isinstance(stat, Mapping)]
    known = [time for time in times if isinstance(time, (int, float)) and not isinstance(time, bool)]
    return max((int(time) for time in known if 0 < time <= now + AHEAD), default=0)


@dataclasses.dataclass(frozen=True)
class Survivor:
    """The *host* whose data is taken; empty where no data can be read. *problems* says why each of the others cannot be."""

    host: str
    sha256: str
    revision: int
    lines: list[str]
    problems: list[str]


def survivor(salvaged: Mapping[str, Mapping[str, t.Any]]) -> Survivor:
    """The member with the newest log, by what etcd_snapshot (state salvaged) returned on each host.

    The newest by raft's rule (raft.go, isUpToDate): of the highest term, and of that the highest index. It alone has all that was acknowledged.
    """
    readable: dict[str, dict[str, t.Any]] = {}
    refused: dict[str, str] = {}
    for host, each in salvaged.items():
        try:
            if "revision" in each:
                readable[host] = SALVAGED(each, "")
            else:
                refused[host] = one_line(str(each.get("msg") or "no data"))
        except Untrusted as error:
            refused[host] = f"its answer is not believed: {error}"
    newest = sorted(
        readable, key=lambda host: (readable[host]["raft_term"], readable[host]["raft_index"]), reverse=True
    )
    problems = [f"{host}: {why}" for host, why in refused.items()]
    lines = [f"{host}: revision {readable[host]['revision']}" for host in newest] + problems
    if not newest:
        return Survivor("", "", 0, lines, problems)
    best = readable[newest[0]]
    return Survivor(newest[0], best["sha256"], best["revision"], lines, problems)


@dataclasses.dataclass(frozen=True)
class Finished:
    """What is known at the end: where the old directory lies (*before*), and nodes that the inventory does not have."""

    cluster_dir: str
    data_dir: str
    before: str = ""
    losses_recorded: bool = False
    nodes_gone: Sequence[str] = ()
    nodes_removed: bool = False


def report(plan: Mapping[str, t.Any], finished: Finished, check_mode: bool) -> list[str]:
    """The last lines of a restore."""
    restored = not plan["done"] and not check_mode
    lines = []
    if restored:
        lines.append(f"The cluster is as at revision {plan['revision']} ({plan['origin']}).")
    if finished.before:
        lines.append(f"The cluster directory from before: {finished.before}")
    if finished.losses_recorded:
        lines.append(f"What was lost is listed in {finished.cluster_dir}/restored.json.")
    if finished.nodes_gone:
        how = ", removed" if finished.nodes_removed else " (-e restore_remove_nodes=yes removes them)"
        lines.append(f"Nodes that the inventory does not have{how}: {', '.join(finished.nodes_gone)}")
    if restored and plan["members"]:
        lines.append(
            f"Old data of etcd, to be removed once all is well: {finished.data_dir}/member.before-* on the members."
        )
    return lines


def _names(keys: Sequence[str]) -> list[str]:
    return [key[len(PREFIX) :] if key.startswith(PREFIX) else key for key in keys if not UNNAMED.match(key)]


def _named(names: Sequence[str]) -> list[str]:
    more = len(names) - NAMED
    return [*names[:NAMED], *([f"... and {more} more"] if more > 0 else [])]
