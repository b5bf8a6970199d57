# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: one PATH, messages in English, an end after some time, output as text."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

#: An account's own may lack the sbin directories.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The exit statuses of a shell and of timeout(1) for a command that does not exist, and for one that took too long.
NOT_FOUND, TIMED_OUT = 127, 124
TIMEOUT = 60.0
POLL = 0.05
#: What works on so many bytes may take the first, and a second for as many as a slow disk writes in one; no more than the last, for sizes may be told.
_AT_LEAST, _SLOWEST, _AT_MOST = 300.0, 1024**2, 6 * 3600.0


class CommandError(HardwayError):
    """A command that had to succeed, and failed."""


class Result(t.NamedTuple):
    """Exit status, standard output and standard error of a command."""

    status: int
    stdout: str
    stderr: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    @property
    def cause(self) -> str:
        """What the command said of its failure."""
        return (self.stderr or self.stdout).strip()


def run(
    *argv: str,
    timeout: float = TIMEOUT,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run a command, with *text* as its standard input. Its failure is a result, and so is that it does not exist or does not end."""
    try:
        done = subprocess.run(
            argv,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C", "PATH": PATH, **(environment or {})},
            check=False,
        )
    except OSError as error:
        return Result(NOT_FOUND, "", str(error))
    except subprocess.TimeoutExpired:
        return Result(TIMED_OUT, "", f"still running after {timeout:g} s")
    return Result(done.returncode, done.stdout, done.stderr)


def seconds_for(size: int) -> float:
    """The time limit of a command that reads or writes *size* bytes: nothing that works needs more."""
    return min(_AT_LEAST + size / _SLOWEST, _AT_MOST)


def output(
    *argv: str,
    timeout: float = TIMEOUT,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The standard output of a command that must succeed. Raises CommandError."""
    done = run(*argv, timeout=timeout, text=text, environment=environment)
    if done.status == NOT_FOUND and not find(argv[0]):
        raise CommandError("no such command on this host", where=argv[0], fix="install the package that has it")
    if not done.succeeded:
        raise CommandError(f"failed with {done.status}: {done.cause}", where=" ".join(argv))
    return done.stdout


def find(name: str) -> str | None:
    """The path of a command; None where there is none."""
    return shutil.which(name, path=PATH)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; returns whether it holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL)
    return True
