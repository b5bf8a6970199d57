"""The jobs of the years after, one by one, on a cluster that is watched; drills.py draws their order from its seed.

Each job leaves the cluster as it found it, and its last playbook must have nothing to do when it is run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import typing as t

import lab

#: Where the inventory does not name a machine yet: what a user would write into it.
GROUPS = {"node3": ["kube_node"], "master4": ["etcd", "kube_master", "kube_node"], "etcd4": ["etcd"], "lb3": ["lb"]}
#: A setting of the API servers and one of the nodes.
CHANGE = '{"kube_master_apiserver_arguments": {"goaway-chance": 0.002}, "kube_node_kubelet_arguments": {"v": 1}}'


@dataclasses.dataclass
class Step:
    """A playbook that is timed, or what happens to machines before it. *killed* runs it for some seconds only."""

    text: str
    do: t.Callable[[], lab.Run | None]
    killed: t.Callable[[float], bool] | None = None


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


@contextlib.contextmanager
def inventory_of(*machines: str) -> t.Iterator[tuple[str, ...]]:
    """The inventories of a user who wrote these spare machines into theirs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        hosts = "\n".join(f"    {name}: {{ansible_host: {lab.ADDRESSES[name]}}}" for name in machines)
        groups = sorted({group for name in machines for group in GROUPS[name]})
        children = "\n".join(
            f"    {group}: {{hosts: {{{', '.join(f'{name}: {{}}' for name in machines if group in GROUPS[name])}}}}}"
            for group in groups
        )
        file.write(f"all:\n  hosts:\n{hosts}\n  children:\n{children}\n")
        file.flush()
        yield (file.name,)


def _play(playbook: str, machine: str, *spares: str) -> Step:
    return _step(playbook, "--limit", machine, spares=spares)


def _step(*arguments: str, spares: tuple[str, ...] = ()) -> Step:
    def inventories() -> t.ContextManager[tuple[str, ...]]:
        return inventory_of(*spares) if spares else contextlib.nullcontext(())

    def run() -> lab.Run:
        with inventories() as named:
            return lab.play(*arguments, beside=named).succeed()

    def killed(after: float) -> bool:
        with inventories() as named:
            return lab.play_killed(after, *arguments, beside=named)

    return Step(" ".join(arguments), run, killed)


def _machines(verb: str, machine: str) -> Step:
    return Step(f"{verb} {machine}", lambda: lab.sandbox(verb, machine) and None)


def _lost(machine: str) -> list[Step]:
    """Power is gone and so is the disk; another machine of the same name and address takes its place."""
    return [_machines("power-off", machine), _machines("reset", machine)]


def _there_and_back(machine: str, kind: str) -> Job:
    new = [_machines("up", machine), _machines("reset", machine)]
    return Job(
        f"{kind} added and removed",
        [*new, _play(f"add-{kind}.yml", machine, machine), _play(f"remove-{kind}.yml", machine, machine)],
    )


def jobs() -> list[Job]:
    """All of them, in the order of the text."""
    return [
        _there_and_back('node3', 'node'),
        _there_and_back('master4', 'master'),
        _there_and_back('etcd4', 'etcd'),
        _there_and_back('lb3', 'lb'),
        Job('first master removed and added again', [_play('remove-master.yml', 'master1'), _play('add-master.yml', 'master1')]),
        Job('first master dead and replaced', [*_lost('master1'), _play('add-master.yml', 'master1')]),
        Job('first load balancer removed and added again', [_play('remove-lb.yml', 'lb1'), _play('add-lb.yml', 'lb1')]),
        Job('load balancer dead and replaced', [*_lost('lb2'), _play('add-lb.yml', 'lb2')]),
        Job(
            'node dead, removed and added again',
            [_machines('power-off', 'node2'), _play('remove-node.yml', 'node2'), _machines('reset', 'node2'), _play('add-node.yml', 'node2')],
        ),
        Job(
            'dead master replaced by another name',
            [
                _machines('up', 'master4'), _machines('reset', 'master4'), _machines('power-off', 'master2'),
                _play('remove-master.yml', 'master2', 'master4'), _play('add-master.yml', 'master4', 'master4'),
                _machines('reset', 'master2'), _play('add-master.yml', 'master2', 'master4'), _play('remove-master.yml', 'master4', 'master4'),
            ],
        ),
        Job('a setting changed and changed back', [_step('site.yml', '-e', CHANGE), _step('site.yml')]),
        Job('etcd cared for', [_step('etcd-maintenance.yml', '-e', 'etcd_maintenance_minimum_size=4194304')]),
        Job('backed up', [_step('backup.yml')], changes=1),
    ]  # fmt: skip


def run(job: Job, watch: t.Any, kills: t.Sequence[float] = ()) -> tuple[float, lab.Run]:
    """All steps of a job, each marked for the watchers: the seconds of its playbooks, and the last one's second run.

    With *kills*, a playbook is first killed after that many seconds, once for each of them.
    """
    seconds, last = 0.0, None
    for step in job.steps:
        for moment in kills if step.killed else ():
            watch.mark(f"{step.text}, killed after {moment:.0f} s")
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
