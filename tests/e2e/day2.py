# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Day-2 operations: every job that changes a cluster, one after the other, while clients watch.

Each job leaves the cluster as it found it, and its last playbook must have nothing to do when it is run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
import typing as t
from collections.abc import Callable, Sequence

from harness import playbooks, sandbox
from harness.checks import Kind, require
from harness.cluster import random_moments
from harness.overlays import inventory_of
from harness.playbooks import Run
from harness.pods import Pods
from harness.registry import drill
from harness.steps import MAX_GAP, assert_nothing_to_do, say, watch_api
from watch import Watch, good, render

#: A setting of the API servers and one of the nodes.
CHANGE = '{"cluster_apiserver_arguments": {"goaway-chance": 0.002}, "cluster_kubelet_arguments": {"v": 1}}'
COLUMNS = (
    "job",
    "seconds",
    "failed API requests",
    "failed web requests",
    "lost writes",
    "longest gap (s)",
    "changed by the second run",
)


@dataclasses.dataclass
class Step:
    """A playbook that is timed, or what happens to machines before it. *killed* runs it for some seconds only."""

    text: str
    do: Callable[[], Run | None]
    killed: Callable[[float], bool] | None = None


@dataclasses.dataclass
class Job:
    """A job in steps; the last one that is a playbook is run twice."""

    name: str
    steps: list[Step]
    #: What its second run changes: a backup is a new archive each time.
    changes: int = 0

    @property
    def planned(self) -> bool:
        """Whether nothing fails before the job begins; otherwise clients may have to wait for those who take over."""
        return not any(step.text.startswith("power-off") for step in self.steps)


def _limited(job: str, machine: str, *spares: str) -> Step:
    return _playbook(job, "--limit", machine, spares=spares)


def _playbook(job: str, *arguments: str, spares: tuple[str, ...] = ()) -> Step:
    def inventories() -> contextlib.AbstractContextManager[tuple[str, ...]]:
        return inventory_of(*spares) if spares else contextlib.nullcontext(())

    def run() -> Run:
        with inventories() as overlays:
            return playbooks.run(job, *arguments, overlays=overlays).require_success()

    def killed(after: float) -> bool:
        with inventories() as overlays:
            return playbooks.run_killed(after, job, *arguments, overlays=overlays)

    return Step(" ".join((job, *arguments)), run, killed)


def _machine(verb: str, machine: str) -> Step:
    def do() -> None:
        sandbox.control(verb, machine)

    return Step(f"{verb} {machine}", do)


def _replaced(machine: str) -> list[Step]:
    """Power is gone and so is the disk; another machine of the same name and address takes its place."""
    return [_machine("power-off", machine), _machine("reset", machine)]


def _added_and_removed(machine: str, kind: str) -> Job:
    new = [_machine("up", machine), _machine("reset", machine)]
    return Job(
        f"{kind} added and removed",
        [*new, _limited(f"add_{kind}", machine, machine), _limited(f"remove_{kind}", machine, machine)],
    )


def jobs() -> list[Job]:
    """All of them, in the order of the docs."""
    return [
        _added_and_removed("node3", "node"),
        _added_and_removed("master4", "master"),
        _added_and_removed("etcd4", "etcd"),
        _added_and_removed("lb3", "lb"),
        Job(
            "first master removed and added again",
            [_limited("remove_master", "master1"), _limited("add_master", "master1")],
        ),
        Job("first master dead and replaced", [*_replaced("master1"), _limited("add_master", "master1")]),
        Job(
            "first load balancer removed and added again",
            [_limited("remove_lb", "lb1"), _limited("add_lb", "lb1")],
        ),
        Job("load balancer dead and replaced", [*_replaced("lb2"), _limited("add_lb", "lb2")]),
        Job(
            "node dead, removed and added again",
            [
                _machine("power-off", "node2"),
                _limited("remove_node", "node2"),
                _machine("reset", "node2"),
                _limited("add_node", "node2"),
            ],
        ),
        Job(
            "dead master replaced by another name",
            [
                _machine("up", "master4"),
                _machine("reset", "master4"),
                _machine("power-off", "master2"),
                _limited("remove_master", "master2", "master4"),
                _limited("add_master", "master4", "master4"),
                _machine("reset", "master2"),
                _limited("add_master", "master2", "master4"),
                _limited("remove_master", "master4", "master4"),
            ],
        ),
        Job("a setting changed and changed back", [_playbook("site", "-e", CHANGE), _playbook("site")]),
        Job("etcd maintained", [_playbook("etcd_maintenance", "-e", "etcd_maintenance_minimum_size=4194304")]),
        Job("backed up", [_playbook("backup")], changes=1),
    ]


def do_steps(job: Job, watch: Watch, kills: Sequence[float] = ()) -> tuple[float, Run]:
    """All steps of a job, each marked for the watchers: the seconds of its playbooks, and the last one's second run.

    With *kills*, a playbook is first killed after that many seconds, once for each of them.
    """
    seconds, last = 0.0, None
    for step in job.steps:
        for moment in kills if step.killed else ():
            watch.mark(f"{step.text}, killed after {moment:.0f} s")
            if step.killed:
                step.killed(moment)
        watch.mark(step.text)
        done = step.do()
        if done is not None:
            seconds, last = seconds + done.seconds, step
    assert last is not None, f"{job.name} has no playbook"
    watch.mark(f"{last.text}, again")
    again = last.do()
    assert again is not None
    return seconds, again


def do_job(job: Job, kills: Sequence[float]) -> tuple[tuple[t.Any, ...], bool]:
    """A job while clients watch: its row of the table, and whether all is as it must be."""
    say(f"{time.strftime('%H:%M:%S')} {job.name}")
    with watch_api(web=[Pods.WEB]) as watch:
        seconds, again = do_steps(job, watch, kills)
    report = watch.report()
    web = sum(client["failed"] for name, client in report["clients"].items() if name.startswith("web"))
    passed = again.changed == job.changes and good(report, None if job.planned else MAX_GAP)
    if not passed:
        say(render(report) + (f"\n{again.end}" if again.changed != job.changes else ""))
    row = (
        job.name,
        f"{seconds:.0f}",
        report["failed"] - web,
        web,
        report["writes"]["lost"],
        f"{report['longest_gap']:.2f}",
        again.changed,
    )
    return row, passed


def all_jobs(short: bool, seed: int, only: str, kills: Sequence[float] = ()) -> str:
    """The jobs in an order that the seed draws, and their table."""
    drawn = random.Random(seed).sample(jobs(), len(jobs()))
    order = [job for job in drawn if only in job.name][: 3 if short else None]
    rows, failed = [], []
    with Pods() as pods:
        for job in order:
            row, passed = do_job(job, kills)
            rows.append(row)
            failed += [] if passed else [job.name]
    say("\n".join("| " + " | ".join(map(str, row)) + " |" for row in [COLUMNS, ["---"] * len(COLUMNS), *rows]))
    assert_nothing_to_do()
    require(not failed, f"not as it must be: {', '.join(failed)}", Kind.CLIENTS)
    return f"{len(rows)} jobs (seed {seed}), {pods.figures()}"


@drill(
    "day2",
    "Every day-2 operation, in an order that the seed draws, while clients of the API and of a web server keep asking.",
    spares=("node3", "master4", "etcd4", "lb3"),
    long=True,
)
def day2(short: bool, seed: int, only: str) -> str:
    return all_jobs(short, seed, only)


@drill(
    "day2-killed",
    "The same operations, each killed at three random moments before it is run to its end.",
    spares=("node3", "master4", "etcd4", "lb3"),
    long=True,
)
def day2_killed(short: bool, seed: int, only: str) -> str:
    return all_jobs(short, seed, only, random_moments(3, 24, seed))
