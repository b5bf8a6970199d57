# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the other hosts of a component are healthy, asked by the host that is about to restart it, right before it does.

It reaches them as its own process does, with the certificates that it has for that. Nothing is asked of a host without a restart.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import health
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError, Health

#: Seconds: longer than an election of etcd, during which no member is healthy, and than the API servers that wait for it.
PATIENCE = 10.0
INTERVAL = 0.5
PROBES_AT_ONCE = 8
FAILED = "it failed in this run"

Probe = t.Callable[[Health], t.Optional[str]]


class RepairFailed(ComponentError):
    """A host that was not healthy before its restart is not healthy after it: this says nothing against the restart of others."""


@dataclasses.dataclass(frozen=True)
class Peers:
    """Those that run a component, this host among them, and how each is asked."""

    #: this host's name
    own: str
    members: t.Mapping[str, Health]
    #: how many of the others have to be healthy; None: all
    enough: int | None = None
    #: hosts of which this run knows already that they are not healthy
    failed: tuple[str, ...] = ()

    @classmethod
    def of(cls, raw: t.Mapping[str, t.Any] | None) -> Peers | None:
        """What the controller sent."""
        if not raw:
            return None
        members = {name: Health(**how) for name, how in raw["members"].items()}
        return cls(raw["own"], members, raw.get("enough"), tuple(raw.get("failed") or ()))

    @property
    def others(self) -> list[str]:
        return [name for name in self.members if name != self.own]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether this host may restart: nobody is *ill*, or it is not healthy itself (*repair*), so that nothing is lost by it."""

    ill: t.Mapping[str, str]
    repair: bool = False

    @property
    def refused(self) -> bool:
        return bool(self.ill) and not self.repair


def ask(peers: Peers, probe: Probe) -> Verdict:
    """Ask all members until the others are healthy, for some seconds at most.

    A host counts as not healthy itself if it was not at any of these looks: an election is no reason to let two go at once.
    """
    deadline = time.monotonic() + PATIENCE
    repair = peers.own in peers.members
    while True:
        troubles = _troubles(peers, probe)
        repair = repair and peers.own in troubles
        ill = {name: trouble for name, trouble in troubles.items() if name != peers.own}
        if peers.enough is not None and len(peers.others) - len(ill) >= min(peers.enough, len(peers.others)):
            ill = {}
        ill.update({name: ill.get(name, FAILED) for name in peers.failed})
        if not ill:
            return Verdict({})
        if time.monotonic() > deadline or (peers.failed and not repair):
            return Verdict(ill, repair)
        time.sleep(INTERVAL)


def _troubles(peers: Peers, probe: Probe) -> dict[str, str]:
    """Those that are not healthy now, and why."""
    if not peers.others:
        return {}
    with concurrent.futures.ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
        answers = pool.map(lambda how: _trouble(how, probe), peers.members.values())
        return {name: trouble for name, trouble in zip(peers.members, answers) if trouble}


def _trouble(how: Health, probe: Probe) -> str | None:
    try:
        return probe(how)
    except (OSError, ValueError) as error:
        return str(error)


def may_restart(peers: Peers | None, probe: Probe | None = None) -> Verdict:
    """The same for a component that may have no peers."""
    return ask(peers, probe or (lambda how: health.probe(Host(), how))) if peers else Verdict({})
