#!/usr/bin/python3
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop the API server that runs in a pod on this host gracefully, and wait until it has ended; kubelet starts it again.

It may know the member of etcd on this host alone, so it stops before that one does.
"""

from __future__ import annotations

import os
import signal
import sys
import time

NAME = "kube-apiserver"
TIMEOUT = 60
INTERVAL = 0.2


def started(process: str) -> int:
    """When a process started, in ticks after the boot. Its name may have spaces and brackets."""
    with open(f"{process}/stat", encoding="utf-8", errors="replace") as stream:
        return int(stream.read().rpartition(")")[2].split()[19])


def oldest(name: str = NAME, processes: str = "/proc") -> int | None:
    """The process of that name which started first."""
    found = []
    for entry in filter(str.isdigit, os.listdir(processes)):
        try:
            with open(f"{processes}/{entry}/comm", encoding="utf-8", errors="replace") as stream:
                if stream.read().rstrip("\n") == name:
                    found.append((started(f"{processes}/{entry}"), int(entry)))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return min(found)[1] if found else None


def has_ended(process: int, processes: str = "/proc") -> bool:
    """Whether it is gone, or waits only for its parent to read how it ended."""
    try:
        with open(f"{processes}/{process}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def stop(process: int, timeout: float = TIMEOUT, interval: float = INTERVAL) -> bool:
    """Whether it ended in time."""
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        return True
    end = time.monotonic() + timeout
    while not has_ended(process):
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def main() -> int:
    process = oldest()
    return 0 if process is None or stop(process) else 1


if __name__ == "__main__":
    sys.exit(main())
