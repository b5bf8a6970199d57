# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks, run as a user runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from .checks import Kind, require
from .context import CONTEXT, ROOT
from .expectations import Expectation

#: What all playbooks print: a failed request is reported with its moment, and this file shows what ran then.
LOG = ROOT / "clusters" / "drills.log"
#: The jobs that have a file in the root; all others are called by the collection's name.
BY_FILE = {"site": "site.yml", "add_node": "add-node.yml"}
#: The workers of playbooks that were killed.
_WORKERS: set[int] = set()
SHOWN = 3000


def playbook_of(job: str) -> str:
    """What ansible-playbook is given for a job: "upgrade", "rotate_ca", "site"."""
    return BY_FILE.get(job) or f"hardway.kubernetes.{job}"


@dataclasses.dataclass
class Run:
    """A finished run of a playbook. *processor_seconds* are the controller's, with all of its children."""

    code: int
    seconds: float
    output: str
    processor_seconds: float = 0.0

    @functools.cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Host -> ok, changed, failed, ... of the recap."""
        found = {}
        for host, rest in re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE):
            found[host] = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", rest)}
        return found

    @property
    def changed(self) -> int:
        return sum(count["changed"] for count in self.counts.values())

    @property
    def tasks(self) -> dict[str, int]:
        """Host -> tasks, run and skipped."""
        return {host: count["ok"] + count["skipped"] + count["failed"] for host, count in self.counts.items()}

    @property
    def costliest(self) -> list[tuple[str, float]]:
        """The tasks that took longest, from the profile at the end."""
        return [
            (name.strip(), float(value))
            for name, value in re.findall(r"^(\S.*?) -+ ([\d.]+)s$", self.output, re.MULTILINE)
        ]

    @property
    def end(self) -> str:
        return self.output[-SHOWN:]

    def require_success(self) -> Run:
        require(self.code == 0, f"the playbook failed with {self.code}:\n{self.output[-4000:]}", Kind.PLAYBOOK_FAILED)
        return self

    def require_changed(self, count: int, when: str) -> Run:
        """The recap counts just so many changed tasks, on all hosts together."""
        require(self.changed == count, f"changed={self.changed} and not {count} {when}:\n{self.end}", Kind.CHANGED)
        return self

    def require_unchanged(self, when: str = "on the second run") -> Run:
        return self.require_changed(0, when)

    def require_hosts(self, *hosts: str) -> Run:
        """No task ran on other hosts."""
        require(set(self.counts) == set(hosts), f"tasks ran on {sorted(self.counts)}", Kind.COST)
        return self

    def says(self, expected: Expectation) -> bool:
        return expected.found(self.output) is not None

    def require_says(self, expected: Expectation, text: str) -> Run:
        require(self.says(expected), f"{text} (no {expected.pattern!r}):\n{self.end}", Kind.OUTPUT)
        return self

    def require_refused(self, expected: Expectation, text: str = "") -> Run:
        """It failed, with this reason."""
        text = text or f"it is not refused with {expected.pattern!r}"
        require(self.code != 0 and self.says(expected), f"{text}:\n{self.end}", Kind.NOT_REFUSED)
        return self


def arguments_of(job: str, *arguments: str, overlays: tuple[str, ...] = ()) -> list[str]:
    """The command that runs a job; *overlays* are inventories over the cluster's."""
    sources = [word for inventory in (*CONTEXT.inventories, *overlays) for word in ("-i", inventory)]
    binary = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
    return [*CONTEXT.prefix, binary, *sources, playbook_of(job), *arguments]


def environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", **(further or {})}


def run(job: str, *arguments: str, overlays: tuple[str, ...] = (), variables: Mapping[str, str] | None = None) -> Run:
    """Run a job to its end; *variables* are for its environment."""
    return run_command(arguments_of(job, *arguments, overlays=overlays), f"{job} {' '.join(arguments)}", variables)


def run_command(command: list[str], title: str, variables: Mapping[str, str] | None = None) -> Run:
    """Run one of Ansible's commands to its end, with its time and its processor time."""
    before = os.times()
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"\n$ {title}\n{done.stdout}")
    return Run(done.returncode, seconds, done.stdout, processor)


def start(job: str, *arguments: str, overlays: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """A job that runs while others do; its output goes to the log alone. The caller ends it (:func:`end`)."""
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG, "ab") as log:
        return subprocess.Popen(
            arguments_of(job, *arguments, overlays=overlays),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_killed(after: float | Callable[[], object], job: str, *arguments: str, overlays: tuple[str, ...] = ()) -> bool:
    """Run a job and SIGKILL its process group after some seconds, or as soon as something holds; whether it was still running then.

    Its workers have sessions of their own: they end their tasks, and then stay, since nobody takes their results. They are killed by the next call.
    """
    while _WORKERS:
        worker = pathlib.Path(f"/proc/{_WORKERS.pop()}")
        with contextlib.suppress(OSError):
            if "ansible-playbook" in (worker / "cmdline").read_text(encoding="utf-8"):
                os.kill(int(worker.name), signal.SIGKILL)
    process = start(job, *arguments, overlays=overlays)
    if callable(after):
        while process.poll() is None and not after():
            time.sleep(0.1)
    else:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
    if process.poll() is not None:
        return False
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    _WORKERS.update(map(int, children.split()))
    end(process)
    return True
