# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approves the requests of kubelets that agree with the inventory, and waits until their nodes answer."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.csr import (
    CLIENT,
    REQUESTS,
    SERVING,
    Node,
    Request,
    Verdict,
    judge,
    read_request,
)

SIGNER_HINT = "Fix: check journalctl -u kube-controller-manager on its leader, and its --cluster-signing- arguments."


@dataclasses.dataclass
class NodeState:
    """How far a node has come on its way into the cluster."""

    name: str
    registered: bool = False
    answers: bool = False
    cause: str = ""

    def report(self) -> dict[str, t.Any]:
        return {"registered": self.registered, "answers": self.answers, **({"cause": self.cause} if self.cause else {})}


class Approver:
    """Approves what agrees and waits for nodes; *nodes* are those of the play alone."""

    def __init__(
        self,
        api: Api,
        nodes: t.Mapping[str, Node],
        deny: bool = True,
        inventory: t.Collection[str] | None = None,
        probe_timeout: float = 4.0,
    ) -> None:
        self.api = api
        self.nodes = nodes
        self.inventory = inventory
        self.deny = deny
        self.probe_timeout = probe_timeout
        self.requests: list[Request] = []
        self.states = {name: NodeState(name) for name in nodes}
        self.approved: list[Verdict] = []
        self.denied: dict[str, Verdict] = {}
        self.foreign: list[Verdict] = []
        self._objects: dict[str, t.Any] = {}
        #: nodes whose first request this run has approved
        self._joined: set[str] = set()

    @property
    def missing(self) -> list[NodeState]:
        return [state for state in self.states.values() if not state.answers]

    def observe(self) -> list[Verdict]:
        """Reads the requests, judges those that are pending."""
        self._objects = {item["metadata"]["name"]: item for item in self.api.items(REQUESTS)}
        self.requests = [read_request(item) for item in self._objects.values()]
        pending = [request for request in self.requests if request.state == "pending"]
        verdicts = self._once([judge(request, self.nodes, self.inventory) for request in pending])
        self.foreign = [verdict for verdict in verdicts if verdict.action == "foreign"]
        return [verdict for verdict in verdicts if verdict.action in ("approve", "deny")]

    def _once(self, verdicts: list[Verdict]) -> list[Verdict]:
        """A node joins once: of its first requests the newest is approved, which is that of the kubelet that runs, and no other ever."""
        approved = {request.node for request in self.requests if request.state == "approved" and self._is_own(request)}
        joined = self._joined | approved
        newest: dict[str, Request] = {}
        for verdict in verdicts:
            if verdict.action == "approve" and self._is_first(verdict.request):
                known = newest.setdefault(verdict.node, verdict.request)
                newest[verdict.node] = max(known, verdict.request, key=lambda request: (request.created, request.name))

        def judged(verdict: Verdict) -> Verdict:
            if verdict.action != "approve" or not self._is_first(verdict.request):
                return verdict
            if verdict.node in joined:
                reason = f"a first request of {verdict.node} was approved in this run already"
            elif newest[verdict.node] is not verdict.request:
                reason = f"{newest[verdict.node].name}, which is newer, asks for the same"
            else:
                return verdict
            return dataclasses.replace(verdict, action="deny", reasons=(reason,))

        return [judged(verdict) for verdict in verdicts]

    def _is_first(self, request: Request) -> bool:
        return request.node in self.nodes and self.nodes[request.node].is_first_request(request)

    def _is_own(self, request: Request) -> bool:
        """Whether it is a first request by a token of this run; a user of a token file asked in earlier runs, too."""
        return self._is_first(request) and self.nodes[request.node].has_token

    def act(self, verdicts: t.Iterable[Verdict]) -> None:
        """Approves and denies."""
        for verdict in verdicts:
            if verdict.action == "approve":
                if self._decide(
                    verdict,
                    "Approved",
                    "InventoryAgrees",
                    "requester, subject, usages and names agree with the inventory",
                ):
                    self.approved.append(verdict)
                    if self._is_first(verdict.request):
                        self._joined.add(verdict.node)
            elif not self.deny or self._decide(verdict, "Denied", "InventoryDisagrees", "; ".join(verdict.reasons)):
                self.denied[verdict.request.name] = verdict

    def _decide(self, verdict: Verdict, kind: str, reason: str, message: str) -> bool:
        """Sets the condition; False when the request was decided or removed by someone else meanwhile (the next observation shows it)."""
        item = self._objects[verdict.request.name]
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": now}
        status = item.get("status") or {}
        decided = {**item, "status": {**status, "conditions": [*(status.get("conditions") or []), condition]}}
        try:
            self.api.replace(f"{REQUESTS}/{verdict.request.name}/approval", decided)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    def probe(self) -> None:
        """Asks each node that did not answer yet for its health, through the API server, which verifies its serving certificate."""
        missing = self.missing
        if not missing:
            return
        with ThreadPoolExecutor(min(8, len(missing))) as pool:
            list(pool.map(self._probe, missing))

    def _probe(self, state: NodeState) -> None:
        try:
            status, body = self.api.text(f"/api/v1/nodes/{state.name}/proxy/healthz", timeout=self.probe_timeout)
        except ApiUnreachable as error:
            state.cause = str(error)
            return
        failure = ApiError("", "", status, body)
        state.registered = state.registered or status == 200 or failure.reason != "NotFound"
        state.answers = status == 200
        state.cause = "" if state.answers else f"{status}: {failure.message}"

    def explain(self, state: NodeState) -> str:
        """The step that a node has not made, and what to check."""
        denied = [verdict for verdict in self.denied.values() if verdict.node == state.name]
        if denied:
            refused = "; ".join(
                f"{verdict.report()['certificate']} request {verdict.request.name}: {', '.join(verdict.reasons)}"
                for verdict in denied
            )
            return f"{state.name}: {'denied' if self.deny else 'not approved'} {refused}. Fix: correct the inventory or the host."
        journal = f"Fix: check journalctl -u kubelet on {state.name}"
        client, serving = self._last(state.name, CLIENT), self._last(state.name, SERVING)
        if not state.registered:
            if client is None:
                return f"{state.name} did not ask for a client certificate. {journal}; its bootstrap token, its clock, and its way to {self.api.server}."
            if not client.signed:
                return f"{state.name}: its client request {client.name} is {client.state} and not signed. {SIGNER_HINT}"
            return f"{state.name} has its client certificate but has not registered as a Node. {journal}."
        if serving is None:
            return (
                f"{state.name} is registered but its kubelet does not answer ({state.cause}), and it did not ask for a serving certificate. "
                f"{journal}; serverTLSBootstrap in its configuration; port 10250 from the masters."
            )
        if not serving.signed:
            return f"{state.name}: its serving request {serving.name} is {serving.state} and not signed. {SIGNER_HINT}"
        unanswered = (
            f"{state.name} has its serving certificate but its kubelet does not answer the API server ({state.cause})"
        )
        return f"{unanswered}. {journal}; port 10250 from the masters."

    def _last(self, node: str, signer: str) -> Request | None:
        found = [request for request in self.requests if request.signer == signer and request.node == node]
        return max(found, key=lambda request: request.created, default=None)
