# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes may join in a run, and a bootstrap token for each of them.

A host says itself that it has no certificate, so that alone gets it no token: its Node must be absent or not Ready, or the controller
must want it to join all the same. A token that an earlier run made for the node, and did not revoke, is such a decision too: that run
was interrupted.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.bootstrap_token import (
    SECRETS,
    Token,
    Tokens,
    random_word,
    read_time,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, retry
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import is_ready

NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#: Seconds without a heartbeat after which nobody is the node: nodeLeaseDurationSeconds of kubelet. kubelet renews the Lease each quarter of it.
LEASE_DURATION = 40.0
#: Seconds until it is certain whether a Lease that is there is still renewed.
LONGEST_LOOK = LEASE_DURATION + 5
REFUSED = (
    "{name} has no certificate that can be used, by its own word, but its Node is registered and Ready, and a kubelet renews its Lease. "
    "It was given no token. Fix: if another machine has the name {name}, remove that one. To give this one new certificates, stop its kubelet, "
    "and run the playbook again."
)
#: Calls at the same time.
AT_ONCE = 8
PAUSE = 1.0

T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Decision:
    """The nodes that join, in the order in which they were asked for; and those that may not, with the reason."""

    joining: list[str]
    refused: dict[str, str]


class Joins:
    """Decides who joins, and keeps the tokens of those who do. *timeout* is for each call, in seconds."""

    def __init__(self, api: Api, timeout: float) -> None:
        self.api = api
        self.timeout = timeout
        self.tokens = Tokens(api, timeout)

    def decide(self, names: t.Sequence[str], known: t.Collection[str], wait: float) -> Decision:
        """Which of the nodes *names* may join. For those of *known* it was decided before.

        What the API says of a node that is lost stays for *wait* seconds; so long it is looked again.
        """
        alive = self._alive([name for name in names if name not in known], wait)
        return Decision(
            [name for name in names if name not in alive],
            {name: REFUSED.format(name=name) for name in names if name in alive},
        )

    def _alive(self, names: t.Sequence[str], wait: float) -> set[str]:
        """Those that a kubelet keeps Ready, as far as can be seen within *wait* seconds."""
        end = time.monotonic() + wait
        beats: dict[str, str] = {}
        renewed: set[str] = set()
        pending = list(names)
        while True:
            for name, beat in zip(pending, self._each(self._heartbeat, pending)):
                if beat is None:
                    beats.pop(name, None)
                elif beats.setdefault(name, beat) != beat:
                    renewed.add(name)
            pending = [name for name in beats if name not in renewed]
            if not pending:
                return renewed
            if time.monotonic() >= end:
                # A Lease that nobody renewed for so long has ended, whatever the clocks say.
                ended = {name for name in pending if beats[name] and wait > LEASE_DURATION}
                return set(beats) - ended
            time.sleep(PAUSE)

    def _heartbeat(self, name: str) -> str | None:
        """When a kubelet was last heard of, as the API has it; None where nobody keeps the node Ready."""
        node = self._find(f"{NODES}/{name}")
        if node is None or not is_ready(node):
            return None
        lease = self._find(f"{LEASES}/{name}") or {}
        beat = str((lease.get("spec") or {}).get("renewTime") or "")
        now = datetime.datetime.now(datetime.timezone.utc)
        # Nothing that can be read is no proof that the node is lost: then what its Node says counts.
        age = (now - read_time(beat, now)).total_seconds()
        return None if age > LEASE_DURATION else beat

    def _find(self, path: str) -> dict[str, t.Any] | None:
        return retry(lambda: self.api.find(path), self.timeout)

    def left(self, names: t.Collection[str]) -> list[Token]:
        """The tokens that were made for these nodes and are still there."""
        return [token for token in self.tokens.all() if token.node in names]

    def make(
        self, names: t.Sequence[str], ttl: datetime.timedelta, usages: t.Sequence[str], now: datetime.datetime
    ) -> dict[str, Token]:
        """A new token for each of the nodes, by the node's name."""
        made = {
            name: Token(
                id=random_word(6),
                secret=random_word(16),
                expires=(now + ttl).replace(microsecond=0),
                usages=tuple(usages),
                description=f"joining {name}",
                node=name,
            )
            for name in names
        }
        self._each(self._create, list(made.values()))
        return made

    def _create(self, token: Token) -> None:
        try:
            retry(lambda: self.api.create(SECRETS, token.to_object()), self.timeout)
        except ApiError as error:
            # Ids are random: one that exists was made by a request whose answer was lost.
            if error.status != 409:
                raise

    def revoke(self, tokens: t.Sequence[Token]) -> None:
        self._each(self.tokens.delete, tokens)

    def _each(self, call: t.Callable[[t.Any], T], items: t.Sequence[t.Any]) -> list[T]:
        if not items:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
            return list(pool.map(call, items))
