# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs: wall time, processor time of the controller, remote calls of each host, and `ping` in the same minute to compare with."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import pathlib
import shlex
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping

from . import playbooks
from .context import CONTEXT
from .playbooks import Run

#: Writes the host of a call into a file, and then is the real program. Ansible names a host as ssh's own word, and in brackets for sftp;
#: without a host it only asks for the program's options.
WRAPPER = """#!/bin/sh
for word; do
  case $word in
    [0-9]*.*.*.*) echo "$word" >> {log}; break ;;
    \\[[0-9]*.*.*.*\\]) word=${{word#?}}; echo "${{word%?}}" >> {log}; break ;;
  esac
done
exec {program} "$@"
"""


@dataclasses.dataclass
class Measure:
    """One run. *calls* are remote calls by the address of the host: each start of ssh or sftp is one, over a connection that is kept open.

    *processor* are the controller's seconds, of Ansible and all of its children. *ping* is the wall time of `ping` on the same hosts, right before.
    """

    wall: float
    processor: float
    calls: dict[str, int]
    tasks: dict[str, int]
    changed: int
    costliest: list[tuple[str, float]]
    ping: float = 0.0

    @property
    def pings(self) -> float:
        return self.wall / self.ping if self.ping else 0.0

    @property
    def most_calls(self) -> int:
        return max(self.calls.values(), default=0)

    @property
    def mean_calls(self) -> float:
        return statistics.mean(self.calls.values()) if self.calls else 0.0


def write_wrapper(path: pathlib.Path, program: str, log: pathlib.Path) -> str:
    """A program that counts its calls by host; its path."""
    path.write_text(WRAPPER.format(log=shlex.quote(str(log)), program=shlex.quote(program)), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def calls_in(log: pathlib.Path) -> dict[str, int]:
    """Host -> calls."""
    return dict(collections.Counter(log.read_text(encoding="utf-8").split())) if log.exists() else {}


@contextlib.contextmanager
def counted_calls() -> Iterator[tuple[Mapping[str, str], pathlib.Path]]:
    """The environment in which Ansible's remote calls are counted, and the file in which they are."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        log = directory / "calls"
        variables = {
            f"ANSIBLE_{program.upper()}_EXECUTABLE": write_wrapper(directory / program, program, log)
            for program in ("ssh", "sftp", "scp")
        }
        # The wrappers call the programs by name: they are not in PATH themselves.
        yield variables, log


def measure_of(run: Run, calls: dict[str, int], ping: float = 0.0) -> Measure:
    return Measure(run.seconds, run.processor_seconds, calls, run.tasks, run.changed, run.costliest[:10], ping)


def measure(job: str, *arguments: str, overlays: tuple[str, ...] = (), with_ping: bool = False) -> Measure:
    """A job that must succeed; with `ping` before it, so that what else the computer does counts for both."""
    answered = ping(overlays=overlays).seconds if with_ping else 0.0
    with counted_calls() as (variables, log):
        run = playbooks.run(job, *arguments, overlays=overlays, variables=variables).require_success()
        return measure_of(run, calls_in(log), answered)


def ping(pattern: str = "all", overlays: tuple[str, ...] = ()) -> Run:
    """The least that Ansible can do on all hosts: one module each."""
    sources = [word for inventory in (*CONTEXT.inventories, *overlays) for word in ("-i", inventory)]
    binary = str(pathlib.Path(sys.executable).parent / "ansible")
    command = [*CONTEXT.prefix, binary, *sources, pattern, "-m", "ansible.builtin.ping"]
    return playbooks.run_command(command, f"ansible {pattern} -m ansible.builtin.ping").require_success()
