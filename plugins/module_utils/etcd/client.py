# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a cluster of etcd: it observes all members, and asks the cluster for changes.

It speaks etcd's JSON gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/) on the client port, so that one observation of all members
costs one connection to each and no process.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import re
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Client as Api
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Credentials, CredentialsError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import RequestFailed as ApiError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import Unreachable as ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import (
    NOSPACE,
    Cluster,
    EtcdError,
    Member,
    NotYet,
    Status,
)

UNANSWERED = (ApiError, ApiUnreachable)
# Seconds for one request; a member that takes longer counts as dead.
REQUEST_TIMEOUT = 5.0
# Seconds that an election may take before a cluster counts as one without a leader.
ELECTION = 8.0
PAUSE = 0.3
# etcd's own, where quota-backend-bytes is 0
DEFAULT_QUOTA = 2 * 1024**3
QUOTA_METRIC = re.compile(r"^etcd_server_quota_backend_bytes ([0-9.e+]+)$", re.MULTILINE)
# What etcd answers (api/v3rpc/rpctypes/error.go) when the same request may be granted a moment later, or when a request whose answer was
# lost had done its work: the next observation shows it.
PASSING = (
    "already exist",
    "member not found",
    "only promote a learner member",
    "unhealthy cluster",
    "not enough started members",
    "leader changed",
    "no leader",
    "not leader",
    "request timed out",
    "too many requests",
    "server stopped",
)


@dataclasses.dataclass(frozen=True)
class Tls:
    """PEM texts with which a client reaches etcd; all None for a cluster without TLS."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = dataclasses.field(default=None, repr=False)


def read_tls(ca: str | None, certificate: str | None, key: str | None) -> Tls:
    """Reads the files. Raises EtcdError for one that cannot be read."""
    if bool(certificate) != bool(key):
        raise EtcdError("certificate and key belong together. Fix: name both, or neither")

    def text(option: str, path: str | None) -> str | None:
        if not path:
            return None
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or error
            raise EtcdError(
                f"{option} {path} cannot be read: {cause}. Fix: name a file with which clients reach etcd"
            ) from error

    return Tls(text("ca", ca), text("certificate", certificate), text("key", key))


def connect(endpoint: str, tls: Tls, timeout: float = REQUEST_TIMEOUT) -> Api:
    """A client of one member. Raises EtcdError for an endpoint that is none, and for certificates that cannot be used."""
    address = urlsplit(endpoint)
    if address.scheme not in ("https", "http") or not address.hostname or address.path.strip("/"):
        raise EtcdError(f"endpoint {endpoint!r} is not a URL of a client port. Fix: give https://ADDRESS:PORT")
    try:
        return Api(
            Credentials(server=endpoint.rstrip("/"), authority=tls.ca, certificate=tls.certificate, key=tls.key),
            timeout,
            "hardway-etcd",
        )
    except CredentialsError as error:
        raise EtcdError(str(error)) from error


class Etcd:
    """A client of a whole cluster: of *endpoints* the first that answers names the others."""

    def __init__(
        self, endpoints: t.Sequence[str], tls: Tls, timeout: float = REQUEST_TIMEOUT, peers: t.Sequence[str] = ()
    ) -> None:
        self.endpoints = list(endpoints)
        self.peers = list(peers)
        self.tls = tls
        self.timeout = timeout
        self._clients: dict[str, Api] = {}
        # Client URLs of the others: the only endpoint that was named may be that of a member which is removed.
        self._learnt: list[str] = []

    def client(self, endpoint: str) -> Api:
        if endpoint not in self._clients:
            self._clients[endpoint] = connect(endpoint, self.tls, self.timeout)
        return self._clients[endpoint]

    def observe(self) -> Cluster:
        """The cluster now. Waits for an election to end, and not for anything else."""
        deadline = time.monotonic() + ELECTION
        while True:
            cluster = self._observe()
            answering = [member for member in cluster.voters if member.alive]
            if cluster.has_leader or len(answering) < cluster.quorum or time.monotonic() >= deadline:
                return cluster
            time.sleep(PAUSE)

    def add_learner(self, cluster: Cluster, peer_urls: t.Sequence[str]) -> None:
        self._ask(cluster, "/v3/cluster/member/add", {"peerURLs": list(peer_urls), "isLearner": True})

    def remove(self, cluster: Cluster, identity: int) -> None:
        self._ask(cluster, "/v3/cluster/member/remove", {"ID": str(identity)}, avoid=identity)

    def promote(self, cluster: Cluster, identity: int) -> None:
        self._ask(cluster, "/v3/cluster/member/promote", {"ID": str(identity)})

    def move_leader(self, cluster: Cluster, identity: int) -> None:
        self._ask(cluster, "/v3/maintenance/transfer-leadership", {"targetID": str(identity)})

    def disarm(self, cluster: Cluster, identity: int, alarm: str) -> None:
        self._ask(cluster, "/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": str(identity), "alarm": alarm})

    def compact(self, cluster: Cluster, member: Member, revision: int, timeout: float) -> None:
        """All members compact. Waits until *member* has given the space back to its database (physical)."""
        voter = member.status if member.status and member.healthy and not member.learner else self._voter(cluster)
        self._call(
            connect(voter.endpoint, self.tls, timeout),
            "/v3/kv/compaction",
            {"revision": str(revision), "physical": True},
        )

    def is_compacted(self, cluster: Cluster, revision: int) -> bool:
        """Whether *revision* was compacted before. A revision can be read until a later one was compacted to, so the one before is asked for."""
        if revision <= 1:
            return True
        try:
            self._ask(cluster, "/v3/kv/range", {"key": "AA==", "revision": str(revision - 1), "countOnly": True})
        except EtcdError as error:
            if "has been compacted" in str(error):
                return True
            raise
        return False

    def defragment(self, endpoint: str, timeout: float) -> None:
        """The member does not answer meanwhile."""
        self._call(connect(endpoint, self.tls, timeout), "/v3/maintenance/defragment", {})

    def identity(self, endpoint: str) -> int:
        """The id of the member that answers there."""
        return _number(self._call(self.client(endpoint), "/v3/maintenance/status", {}).get("header", {}), "member_id")

    def database_size(self, endpoint: str) -> int:
        """Bytes of the database of the member that answers there."""
        return _number(self._call(self.client(endpoint), "/v3/maintenance/status", {}), "dbSize")

    def read_index(self, endpoint: str) -> int:
        """The revision that this member has for certain: it has asked the leader, and has applied all that was acknowledged before."""
        return _number(
            self._call(self.client(endpoint), "/v3/kv/range", {"key": "AA==", "countOnly": True}).get("header", {}),
            "revision",
        )

    def _observe(self) -> Cluster:
        header, listed = self._listed()
        cluster = self._inspected(header, listed)
        if not cluster.leader or not cluster.has_quorum:
            return cluster
        # A member that was cut off knows an old list. The leader and a majority agree on the new one.
        answer = self._ask(cluster, "/v3/cluster/member/list", {"linearizable": True})
        agreed = [_member(item) for item in answer.get("members", ())]
        if agreed != listed:
            cluster = self._inspected(header, agreed)
        return self._with_alarms(cluster)

    def _listed(self) -> tuple[int, list[Member]]:
        """The members as the first endpoint that answers has them in its own memory, for without quorum no other list is to be had."""
        causes = []
        for endpoint in [*self.endpoints, *self._learnt]:
            try:
                answer = self.client(endpoint).create("/v3/cluster/member/list", {"linearizable": False})
            except ApiError as error:
                reason = (
                    "it is a learner, which does not list the members"
                    if "not supported for learner" in error.message
                    else error.message
                )
                causes.append(f"{endpoint}: {reason}")
            except ApiUnreachable as error:
                causes.append(str(error))
            else:
                return _number(answer.get("header", {}), "cluster_id"), [
                    _member(item) for item in answer.get("members", ())
                ]
        for peer in self.peers:
            # A member that found no quorum since it started opens no client port. Its peers' list says as much (api/etcdhttp/peer.go).
            try:
                listed = t.cast("list[dict[str, t.Any]]", self.client(peer).get("/members"))
            except UNANSWERED as error:
                causes.append(str(error))
            else:
                return 0, [_member({**item, "ID": item["id"]}) for item in listed]
        raise EtcdError(
            f"no endpoint lists the members: {'; '.join(causes)}. Fix: name the client URLs of members that run, and certificates that they trust"
        )

    def _inspected(self, cluster_id: int, listed: t.Sequence[Member]) -> Cluster:
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(listed))) as pool:
            members = tuple(pool.map(self._inspect, listed))
        self._learnt = [member.status.endpoint for member in members if member.status and not member.learner]
        # The newest term's leader: a member that was cut off may still hold to the one before.
        known = [
            (member.status.raft_term, member.status.leader)
            for member in members
            if member.status and member.status.leader
        ]
        return Cluster(cluster_id, members, max(known)[1] if known else 0)

    def _inspect(self, member: Member) -> Member:
        if not member.started:
            return dataclasses.replace(member, problem="it never started")
        problems = []
        for url in member.client_urls:
            try:
                status = self._status(url)
                return self._with_health(dataclasses.replace(member, status=status), url)
            except (EtcdError, *UNANSWERED) as error:
                problems.append(str(error))
        return dataclasses.replace(member, problem="; ".join(problems) or "it has no client URL")

    def _status(self, url: str) -> Status:
        answer = self.client(url).create("/v3/maintenance/status", {})
        return Status(
            endpoint=url,
            cluster_id=_number(answer.get("header", {}), "cluster_id"),
            version=answer.get("version", ""),
            revision=_number(answer.get("header", {}), "revision"),
            db_size=_number(answer, "dbSize"),
            db_size_in_use=_number(answer, "dbSizeInUse"),
            quota=_number(answer, "dbSizeQuota") or self._quota(url),
            leader=_number(answer, "leader"),
            raft_term=_number(answer, "raftTerm"),
            raft_index=_number(answer, "raftIndex"),
            raft_applied_index=_number(answer, "raftAppliedIndex"),
            errors=tuple(answer.get("errors", ())),
        )

    def _quota(self, url: str) -> int:
        """etcd 3.5 has its quota among the metrics only."""
        status, body = self.client(url).text("/metrics")
        found = QUOTA_METRIC.search(body) if status == 200 else None
        return int(float(found[1])) or DEFAULT_QUOTA if found else 0

    def _with_health(self, member: Member, url: str) -> Member:
        """A full disk is an alarm: a member that raised it still votes, so it counts as healthy."""
        began = time.monotonic()
        try:
            status, body = self.client(url).text("/health", {"exclude": NOSPACE})
        except ApiUnreachable as error:
            return dataclasses.replace(member, problem=str(error))
        latency = round((time.monotonic() - began) * 1000, 1)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        healthy = status == 200 and answer.get("health") == "true"
        return dataclasses.replace(
            member,
            healthy=healthy,
            latency=latency,
            problem="" if healthy else f"{url}/health: {answer.get('reason') or status}",
        )

    def _with_alarms(self, cluster: Cluster) -> Cluster:
        answer = self._ask(cluster, "/v3/maintenance/alarm", {"action": "GET"})
        raised = [(_number(item, "memberID"), item.get("alarm", "")) for item in answer.get("alarms", ())]
        members = tuple(
            dataclasses.replace(
                member, alarms=tuple(sorted(alarm for identity, alarm in raised if identity == member.id))
            )
            for member in cluster.members
        )
        return dataclasses.replace(cluster, members=members)

    def _voter(self, cluster: Cluster, avoid: int = 0) -> Status:
        """The leader, or when that one is to be avoided another healthy voter."""
        able = [member for member in cluster.healthy_voters if member.id != avoid] or cluster.healthy_voters
        chosen = min(able, key=lambda member: (member.id != cluster.leader, member.name), default=None)
        if chosen is None or chosen.status is None:
            raise NotYet("no voting member is healthy. Fix: start those that still have their data")
        return chosen.status

    def _ask(self, cluster: Cluster, path: str, body: dict[str, t.Any], avoid: int = 0) -> dict[str, t.Any]:
        return self._call(self.client(self._voter(cluster, avoid).endpoint), path, body)

    @staticmethod
    def _call(client: Api, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            return client.create(path, body)
        except ApiUnreachable as error:
            raise NotYet(str(error)) from error
        except ApiError as error:
            kind = NotYet if any(words in error.message for words in PASSING) else EtcdError
            raise kind(f"{client.server} answered: {error.message}") from error


def _member(item: dict[str, t.Any]) -> Member:
    return Member(
        id=_number(item, "ID"),
        name=item.get("name", ""),
        peer_urls=tuple(sorted(item.get("peerURLs", ()))),
        client_urls=tuple(item.get("clientURLs", ())),
        learner=bool(item.get("isLearner", False)),
    )


def _number(item: dict[str, t.Any], key: str) -> int:
    """The gateway writes 64 bit numbers as text, and leaves a zero out."""
    return int(item.get(key, 0))


def argument_spec(**options: t.Any) -> dict[str, t.Any]:
    """A module's *options* with those of the documentation fragment C(etcd)."""
    return {
        "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
        "ca": {"type": "path", "default": "/etc/etcd/pki/ca.pem"},
        "certificate": {"type": "path", "default": "/etc/etcd/pki/etcd.pem"},
        "key": {"type": "path", "default": "/etc/etcd/pki/etcd-key.pem", "no_log": False},
        **options,
    }


def of_module(params: t.Mapping[str, t.Any]) -> Etcd:
    """The cluster that the options of the documentation fragment C(etcd) name."""
    if not params["endpoints"]:
        raise EtcdError("endpoints is empty. Fix: name at least one, such as https://127.0.0.1:2379")
    secure = any(endpoint.startswith("https") for endpoint in params["endpoints"])
    tls = read_tls(params["ca"], params["certificate"], params["key"]) if secure else Tls()
    return Etcd(params["endpoints"], tls, peers=params.get("peer_endpoints") or ())
