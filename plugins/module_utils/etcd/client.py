# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster of etcd as it is: its members, how each of them does, and what may be asked of it.

It speaks etcd's JSON gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/) on the client port, so that one look at all members
costs one connection to each and no process. Everything that a caller decides on is in one value, C(Cluster).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import re
import time
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    Credentials,
    KubeconfigError,
)

UNANSWERED = (ApiError, ApiUnreachable)
# Seconds for one request; a member that takes longer counts as dead.
REQUEST_TIMEOUT = 5.0
# Seconds that an election may take before a cluster counts as one without a leader.
ELECTION = 8.0
PAUSE = 0.3
# Percent of the space quota from which on it is a problem: at 100 etcd takes no more writes.
QUOTA_LIMIT = 80
# etcd's own, where quota-backend-bytes is 0
DEFAULT_QUOTA = 2 * 1024**3
NOSPACE = "NOSPACE"
ALARMS = (NOSPACE, "CORRUPT")
QUOTA_METRIC = re.compile(r"^etcd_server_quota_backend_bytes ([0-9.e+]+)$", re.MULTILINE)
# What etcd answers (api/v3rpc/rpctypes/error.go) when the same request may be granted a moment later, or when a request whose answer was
# lost had done its work: the next look tells.
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


class EtcdError(Exception):
    """What is wrong, where, and what to do."""


class NotYet(EtcdError):
    """What etcd refuses now, or did not answer, and may grant a moment later."""


class Refused(EtcdError):
    """Nothing was changed, for each of these reasons."""

    def __init__(self, problems: t.Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclasses.dataclass(frozen=True)
class Tls:
    """PEM texts with which a client reaches etcd; all None for a cluster without TLS."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = dataclasses.field(default=None, repr=False)


def read_tls(ca: str | None, certificate: str | None, key: str | None) -> Tls:
    """Reads the files. Raises EtcdError for one that cannot be read."""
    if bool(certificate) != bool(key):
        raise EtcdError("certificate and key belong together: name both, or neither")

    def text(option: str, path: str | None) -> str | None:
        if not path:
            return None
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or error
            raise EtcdError(
                f"{option} {path} cannot be read: {cause}. Name a file with which clients reach etcd"
            ) from error

    return Tls(text("ca", ca), text("certificate", certificate), text("key", key))


def connect(endpoint: str, tls: Tls, timeout: float = REQUEST_TIMEOUT) -> Api:
    """A client of one member. Raises EtcdError for an endpoint that is none, and for certificates that cannot be used."""
    address = urlsplit(endpoint)
    if address.scheme not in ("https", "http") or not address.hostname or address.path.strip("/"):
        raise EtcdError(f"endpoint {endpoint!r} is not https://ADDRESS:PORT")
    try:
        return Api(
            Credentials(server=endpoint.rstrip("/"), authority=tls.ca, certificate=tls.certificate, key=tls.key),
            timeout,
            "hardway-etcd",
        )
    except KubeconfigError as error:
        raise EtcdError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class Status:
    """What a member that answers says of itself. Sizes are bytes; *quota* is 0 where it could not be learnt."""

    endpoint: str
    cluster_id: int = 0
    version: str = ""
    revision: int = 0
    db_size: int = 0
    db_size_in_use: int = 0
    quota: int = 0
    leader: int = 0
    raft_term: int = 0
    raft_index: int = 0
    raft_applied_index: int = 0
    errors: tuple[str, ...] = ()

    @property
    def fragmentation(self) -> int:
        """Percent of the file that holds nothing."""
        return round(100 * (self.db_size - self.db_size_in_use) / self.db_size) if self.db_size else 0

    @property
    def quota_used(self) -> int | None:
        """Percent of the space quota; None where the quota is not known."""
        return round(100 * self.db_size / self.quota) if self.quota else None


@dataclasses.dataclass(frozen=True)
class Member:
    """A member. *problem* says why it is not healthy; *latency* is how long it took to say so, in milliseconds."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...] = ()
    learner: bool = False
    healthy: bool = False
    problem: str = ""
    latency: float | None = None
    status: Status | None = None
    alarms: tuple[str, ...] = ()

    @property
    def started(self) -> bool:
        """A member publishes its name when it starts for the first time."""
        return bool(self.name)

    @property
    def alive(self) -> bool:
        return self.status is not None

    @property
    def label(self) -> str:
        return self.name or f"the member at {','.join(self.peer_urls)}"

    def report(self, leader: bool) -> dict[str, t.Any]:
        status = self.status or Status("")
        return {
            "name": self.name,
            "id": f"{self.id:x}",
            "peer_urls": list(self.peer_urls),
            "client_urls": list(self.client_urls),
            "started": self.started,
            "learner": self.learner,
            "leader": leader,
            "healthy": self.healthy,
            "problem": self.problem,
            "latency_ms": self.latency,
            "alarms": list(self.alarms),
            "errors": list(status.errors),
            "version": status.version,
            "revision": status.revision,
            "raft_term": status.raft_term,
            "raft_index": status.raft_index,
            "raft_applied_index": status.raft_applied_index,
            "db_size": status.db_size,
            "db_size_in_use": status.db_size_in_use,
            "fragmentation": status.fragmentation,
            "quota": status.quota,
            "quota_used": status.quota_used,
        }


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All members as they were at one look. *leader* is the leader's id, 0 where a majority knows none."""

    id: int
    members: tuple[Member, ...]
    leader: int = 0

    @property
    def voters(self) -> list[Member]:
        return [member for member in self.members if not member.learner]

    @property
    def healthy_voters(self) -> list[Member]:
        return [member for member in self.voters if member.healthy]

    @property
    def quorum(self) -> int:
        """How many voting members must be healthy."""
        return quorum(len(self.voters))

    @property
    def has_quorum(self) -> bool:
        return bool(self.voters) and len(self.healthy_voters) >= self.quorum

    @property
    def settled(self) -> bool:
        """Whether there is a leader that answers; followers name a dead one until they elect another."""
        leader = self.member(self.leader)
        return self.has_quorum and leader is not None and leader.alive

    @property
    def revision(self) -> int:
        return max((member.status.revision for member in self.members if member.status), default=0)

    def member(self, identity: int) -> Member | None:
        return next((member for member in self.members if member.id == identity), None)

    def defragmentation_order(self) -> list[Member]:
        """As defragmentation and restarts go through them: by name, and the leader last, so that leadership moves once at most."""
        return sorted(
            (member for member in self.members if member.started),
            key=lambda member: (member.id == self.leader, member.name),
        )

    def initial_cluster(self, name: str, peer_urls: t.Sequence[str]) -> str:
        """With which a member starts that joins. Every member must be in it, also one that has no name yet."""
        wanted = set(peer_urls)
        pairs = {
            (name if wanted & set(member.peer_urls) else member.name or f"{member.id:x}", url)
            for member in self.members
            for url in member.peer_urls
        }
        pairs |= {(name, url) for url in wanted}
        return ",".join(f"{name}={url}" for name, url in sorted(pairs))

    def problems(self) -> list[str]:
        """All that an operator should know of, the worst first."""
        found = []
        if not self.has_quorum:
            found.append(no_quorum(self))
        elif not self.leader:
            found.append("no member is known as leader")
        for member in self.members:
            if not member.started:
                found.append(f"{member.label} was added and never started")
            elif not member.healthy:
                found.append(f"{member.label} is not healthy: {member.problem}")
            if member.learner and member.started:
                found.append(f"{member.label} is a learner: it does not vote until it is promoted")
            found += [f"{member.label} has raised the alarm {alarm}" for alarm in member.alarms]
            used = member.status.quota_used if member.status else None
            if used is not None and used >= QUOTA_LIMIT:
                found.append(
                    f"{member.label} uses {used} % of its space quota: compact and defragment, or raise quota-backend-bytes"
                )
        versions = sorted({member.status.version for member in self.members if member.status})
        if len(versions) > 1:
            found.append(f"members run different versions: {', '.join(versions)}")
        return found

    def report(self) -> dict[str, t.Any]:
        leader = self.member(self.leader)
        return {
            "cluster_id": f"{self.id:x}",
            "members": [
                member.report(member.id == self.leader)
                for member in sorted(self.members, key=lambda member: (member.name, member.id))
            ],
            "leader": leader.name if leader else "",
            "revision": self.revision,
            "voters": len(self.voters),
            "quorum": self.quorum,
            "has_quorum": self.has_quorum,
            "fault_tolerance": max(0, len(self.healthy_voters) - self.quorum),
            "defragmentation_order": [member.name for member in self.defragmentation_order() if member.alive],
            "healthy": not any(not member.healthy or member.alarms for member in self.members) and self.has_quorum,
            "problems": self.problems(),
        }


def quorum(voters: int) -> int:
    return voters // 2 + 1


def names(members: t.Iterable[Member]) -> str:
    return ", ".join(sorted(member.label for member in members)) or "none"


def no_quorum(cluster: Cluster) -> str:
    sick = "; ".join(f"{member.label}: {member.problem}" for member in cluster.voters if not member.healthy)
    return (
        f"the cluster has no quorum: of {len(cluster.voters)} voting members {len(cluster.healthy_voters)} are healthy and {cluster.quorum} are "
        f"needed ({sick}). Start those that still have their data; where too many are lost, restore etcd from a snapshot"
    )


class Etcd:
    """A client of a whole cluster: of *endpoints* the first that answers tells of the others."""

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

    def look(self) -> Cluster:
        """The cluster now. Waits for an election to end, and not for anything else."""
        deadline = time.monotonic() + ELECTION
        while True:
            cluster = self._look()
            answering = [member for member in cluster.voters if member.alive]
            if cluster.settled or len(answering) < cluster.quorum or time.monotonic() >= deadline:
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
        """The member answers nobody meanwhile."""
        self._call(connect(endpoint, self.tls, timeout), "/v3/maintenance/defragment", {})

    def identity(self, endpoint: str) -> int:
        """The id of the member that answers there."""
        return _number(self._call(self.client(endpoint), "/v3/maintenance/status", {}).get("header", {}), "member_id")

    def read_index(self, endpoint: str) -> int:
        """The revision that this member has for certain: it has asked the leader, and has applied all that was acknowledged before."""
        return _number(
            self._call(self.client(endpoint), "/v3/kv/range", {"key": "AA==", "countOnly": True}).get("header", {}),
            "revision",
        )

    def _look(self) -> Cluster:
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
                    "it is a learner, and those tell nothing of the others"
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
                listed = self.client(peer).get("/members")
            except UNANSWERED as error:
                causes.append(str(error))
            else:
                return 0, [_member({**item, "ID": item["id"]}) for item in listed]
        raise EtcdError(
            f"no endpoint tells of the cluster: {'; '.join(causes)}. Name the client URLs of members that run, and certificates that they trust"
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
        """etcd 3.5 tells its quota among the metrics alone."""
        status, body = self.client(url).text("/metrics")
        found = QUOTA_METRIC.search(body) if status == 200 else None
        return int(float(found[1])) or DEFAULT_QUOTA if found else 0

    def _with_health(self, member: Member, url: str) -> Member:
        """A full disk is told by the alarm: a member that raised it still votes, so it does not count as sick."""
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
            raise NotYet("no healthy voting member is there to ask")
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
        raise EtcdError("endpoints: name at least one, such as https://127.0.0.1:2379")
    secure = any(endpoint.startswith("https") for endpoint in params["endpoints"])
    tls = read_tls(params["ca"], params["certificate"], params["key"]) if secure else Tls()
    return Etcd(params["endpoints"], tls, peers=params.get("peer_endpoints") or ())
