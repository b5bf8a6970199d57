# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is verified, and how a check reports."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiError, ApiUnreachable

NAMESPACE = "hardway-verify"
PORT = 8080
INTERVAL = 0.4
# kube-proxy, DNS and routes follow a new Service or pod within this many seconds
PROPAGATION = 20.0
# Nodes with pods of their own; beyond that many a sample has them.
NODE_SAMPLE = 20


class VerifyError(HardwayError):
    """A check that failed: the cause in words."""


class TemporaryVerifyError(VerifyError):
    """A cause that may pass: an API server or a kubelet that is busy, restarts or does not answer in time."""


@dataclasses.dataclass
class Check:
    """One thing that is checked; *problems* is empty when it is good, *fix* says what to do otherwise."""

    name: str
    good: str
    fix: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def line(self) -> str:
        if self.skipped:
            return f"{self.name}: skipped, {self.skipped}"
        if self.ok:
            return f"{self.name}: {self.good}"
        return f"{self.name}: FAILED: {'; '.join(self.problems)}." + (f" Fix: {self.fix}" if self.fix else "")

    def report(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "skipped": bool(self.skipped),
            "text": self.line,
            "seconds": round(self.seconds, 2),
        }


class Report:
    """The checks so far, failed ones included."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.ok]

    @contextlib.contextmanager
    def check(self, name: str, good: str, fix: str = "") -> Iterator[Check]:
        """A check that is reported when the block ends; an error of the block is its problem."""
        check, began = Check(name, good, fix), time.monotonic()
        self.checks.append(check)
        try:
            yield check
        except (ApiError, ApiUnreachable, VerifyError) as error:
            check.problems.append(str(error))
        check.seconds = time.monotonic() - began


@dataclasses.dataclass(frozen=True)
class Pod:
    name: str
    node: str
    address: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is verified. *nodes* maps the names of the nodes to the addresses under which the controller reaches them."""

    nodes: Mapping[str, str]
    image: str = ""
    version: str = ""
    dns_domain: str = "cluster.local"
    #: seconds to wait for what is not ready yet, and for an API that answers with temporary errors
    timeout: float = 60.0
    dns: bool = True
    outside: bool = True
    metrics: bool = False
    #: NAMESPACE/NAME of the DaemonSet that connects the pods of each node
    network: str = ""
    #: how many nodes get a pod at most; 0 for all
    node_sample: int = NODE_SAMPLE

    @property
    def sampled(self) -> list[str]:
        """The nodes that get a pod, always the same of the same nodes."""
        return sample(list(self.nodes), self.node_sample)

    @property
    def sampled_words(self) -> str:
        sampled, everyone = len(self.sampled), len(self.nodes)
        return f"{everyone} nodes" if sampled == everyone else f"{sampled} of {everyone} nodes"


def sample(names: Sequence[str], most: int) -> list[str]:
    """All *names*, or *most* of them in even distances of their order (node2 before node10), the first and the last among them."""
    if most <= 0 or len(names) <= most:
        return list(names)
    ordered = sorted(names, key=_natural)
    if most == 1:
        return ordered[:1]
    chosen = {ordered[number * (len(ordered) - 1) // (most - 1)] for number in range(most)}
    return [name for name in names if name in chosen]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", name)]


def bracketed(address: str) -> str:
    """An address as URLs have it."""
    return f"[{address}]" if ":" in address else address
