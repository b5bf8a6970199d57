#!/usr/bin/env python3
# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches a cluster through its virtual address while something is done to it, and reports what its users would have seen.

Clients, each 20 times a second:
  new    opens a new connection for each request
  kept   keeps its connection
  web    (one for each --web URL) opens a new connection for each request
  writes (--writes, 5 times a second) counts the writes that were acknowledged, and reads all of them back at the end

All follow HTTP's rules as client-go does, and count it as `retried`, not as failed: 429 with Retry-After is asked again after that time, and an
idempotent request on a reused connection that was closed before the first byte of an answer is sent again on a new one. Anything else that is not
the right answer is failed. `longest gap` is the longest time between two right answers: with --max-gap it decides.

  watch.py --kubeconfig clusters/sandbox/admin.kubeconfig --seconds 60 --json watch.json
  watch.py --kubeconfig F --until-file /tmp/done --web http://10.33.0.31:30080/ --writes
  watch.py --kubeconfig F --seconds 30 --max-gap 2

Exit code 0: nothing failed (with --max-gap: no longer gap, whatever failed in it) and no acknowledged write was lost; 1: otherwise; 2: cannot start.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import datetime
import http.client
import itertools
import json
import os
import secrets
import signal
import sys
import threading
import time
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

# In a checkout the collection is below .collections; ansible-test finds it by itself.
_COLLECTIONS = Path(__file__).resolve().parents[2] / ".collections"
if _COLLECTIONS.is_dir():
    sys.path.insert(0, str(_COLLECTIONS))

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import client as api  # noqa: E402

PATH = "/api/v1/namespaces/default"
NAMESPACE = "hardway-watch"
KEYS_PER_OBJECT = 400
LONGEST_RUN = 3 * 3600.0
MOST_THREADS = 250
SHOWN_FAILURES = 40


@dataclasses.dataclass(frozen=True)
class Failure:
    """A request that got no right answer. *at* is in seconds since the start of the watch, *took* from the request to giving up."""

    at: float
    took: float
    cause: str


class Record:
    """What one client saw. Times are in seconds since *start* (time.monotonic)."""

    def __init__(self, name: str, start: float) -> None:
        self.name = name
        self.start = start
        self.requests = 0
        self.skipped = 0
        self.slowest = 0.0
        self.answers: list[float] = []
        self.failures: list[Failure] = []
        self.retried: dict[str, int] = {}
        self._lock = threading.Lock()

    def asked(self) -> None:
        with self._lock:
            self.requests += 1

    def skip(self, ticks: int) -> None:
        with self._lock:
            self.skipped += ticks

    def retry(self, rule: str) -> None:
        with self._lock:
            self.retried[rule] = self.retried.get(rule, 0) + 1

    def finish(self, began: float, cause: str) -> None:
        """A request that *began* (time.monotonic) ended now, rightly when *cause* is empty."""
        now = time.monotonic()
        with self._lock:
            self.slowest = max(self.slowest, now - began)
            if cause:
                self.failures.append(Failure(began - self.start, now - began, cause))
            else:
                self.answers.append(now - self.start)

    def longest_gap(self, since: float, until: float) -> tuple[float, float]:
        """Length and begin of the longest time without a right answer that touches [since, until].

        A gap that began before *since* counts from its last answer, and one that lasts beyond *until* up to the next.
        """
        with self._lock:
            times = sorted(self.answers)
        before = max((at for at in times if at <= since), default=since)
        after = min((at for at in times if at >= until), default=until)
        points = [before, *(at for at in times if before < at < after), after]
        return max(((end - begin, begin) for begin, end in itertools.pairwise(points)), default=(0.0, since))

    def report(self, seconds: float) -> dict[str, t.Any]:
        gap, began = self.longest_gap(0.0, seconds)
        return {
            "requests": self.requests,
            "answered": len(self.answers),
            "failed": len(self.failures),
            "retried": dict(self.retried),
            "skipped": self.skipped,
            "longest_gap": round(gap, 3),
            "longest_gap_at": round(began, 3),
            "slowest": round(self.slowest, 3),
            "failures": [dataclasses.asdict(failure) for failure in self.failures],
        }


class Wrong(Exception):
    """An answer that is not the right one."""


class Access:
    """Where to ask and as whom. A kubeconfig is read again when it has changed, as clients do that outlive a rotation of certificates."""

    def __init__(self, kubeconfig: str = "", credentials: api.Credentials | None = None) -> None:
        self.kubeconfig = kubeconfig
        self._lock = threading.Lock()
        self._seen = self._state()
        self.credentials = credentials or api.load_kubeconfig(kubeconfig)
        self.tls = api.tls_context(self.credentials)

    def _state(self) -> tuple[int, int] | None:
        if not self.kubeconfig:
            return None
        found = os.stat(self.kubeconfig)
        return found.st_ino, found.st_mtime_ns

    def current(self) -> tuple[api.Credentials, t.Any]:
        with self._lock:
            state = self._state()
            if state != self._seen:
                self.credentials = api.load_kubeconfig(self.kubeconfig)
                self.tls = api.tls_context(self.credentials)
                self._seen = state
            return self.credentials, self.tls


@dataclasses.dataclass(frozen=True)
class Target:
    """What is asked, and what a right answer is."""

    access: Access
    path: str
    kind: str = ""  # of the object in the answer

    def check(self, status: int, body: bytes) -> None:
        if status != 200 and status != 201:
            raise Wrong(f"answered {status}: {' '.join(body[:200].decode(errors='replace').split())}")
        if not self.kind:
            return
        try:
            kind = json.loads(body).get("kind")
        except (ValueError, AttributeError):
            raise Wrong(f"answered {status} with {len(body)} bytes that are not an object") from None
        if kind != self.kind:
            raise Wrong(f"answered {status} with a {kind}")


class Client:
    """Asks a target; keeps its connection or not."""

    def __init__(self, target: Target, record: Record, timeout: float, kept: bool) -> None:
        self.target = target
        self.record = record
        self.timeout = timeout
        self.kept = kept
        self.headers = {
            "Accept": "application/json" if target.kind else "*/*",
            "User-Agent": f"hardway-watch-{record.name}",
        }
        if not kept:
            self.headers["Connection"] = "close"
        self._connection: api.Connection | None = None
        self._connected_as: api.Credentials | None = None

    def ask(
        self, method: str = "GET", path: str = "", body: bytes | None = None, content_type: str = "application/json"
    ) -> bool:
        """One request with what HTTP's rules ask for after it; whether it got a right answer."""
        self.record.asked()
        began = time.monotonic()
        cause = ""
        try:
            self._follow_rules(began, method, path or self.target.path, body, content_type)
        except Wrong as error:
            cause = str(error)
        except (OSError, http.client.HTTPException) as error:
            cause = api.describe(error, self.timeout)
        self.record.finish(began, cause)
        return not cause

    def _follow_rules(self, began: float, method: str, path: str, body: bytes | None, content_type: str) -> None:
        while True:
            reused = self._connection is not None and self._connection.sock is not None
            try:
                response, answer = self._send(began, method, path, body, content_type)
            except api.CLOSED_EARLY:
                if not reused:
                    raise
                self.record.retry("kept connection closed")
                continue
            after = response.getheader("Retry-After") or ""
            if response.status != 429 or not after.isdigit() or time.monotonic() + float(after) > began + self.timeout:
                self.target.check(response.status, answer)
                return
            self.record.retry("429 with Retry-After")
            time.sleep(float(after))

    def _send(
        self, began: float, method: str, path: str, body: bytes | None, content_type: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        credentials, tls = self.target.access.current()
        if self._connection is not None and self._connected_as is not credentials:
            self._connection.close()
            self._connection = None
        connection = self._connection
        left = max(0.05, began + self.timeout - time.monotonic())
        if connection is None:
            connection = api.Connection(credentials, tls, left)
        headers = {**self.headers, "Content-Type": content_type} if body is not None else self.headers
        if credentials.token:
            headers = {**headers, "Authorization": f"Bearer {credentials.token}"}
        partial = False
        try:
            connection.timeout = left
            if connection.sock is not None:
                connection.sock.settimeout(left)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            partial = True
            answer = response.read()
        except BaseException as error:
            connection.close()
            self._connection = None
            if partial and isinstance(error, api.CLOSED_EARLY):
                raise Wrong("the connection was closed in the middle of an answer") from error
            raise
        if self.kept:
            self._connection, self._connected_as = connection, credentials
        else:
            connection.close()
        return response, answer


class Schedule:
    """The ticks of a client, *rate* a second. Ticks that passed while the caller was busy are skipped, not made up for."""

    def __init__(self, rate: float, stop: threading.Event, record: Record, most: int) -> None:
        self.period = 1.0 / rate
        self.stop = stop
        self.record = record
        self.most = most

    def __iter__(self) -> t.Iterator[None]:
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            if self.record.requests >= self.most:
                return
            yield None
            due += self.period
            missed = int((time.monotonic() - due) / self.period)
            if missed > 0:
                self.record.skip(missed)
                due += missed * self.period


def make_namespace(admin: api.Api) -> None:
    """Where the writes go. That of an earlier watch may still be ending, and takes nothing."""
    deadline = time.monotonic() + 60
    while (found := admin.find(f"/api/v1/namespaces/{NAMESPACE}")) and found.get("metadata", {}).get(
        "deletionTimestamp"
    ):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the namespace {NAMESPACE} does not end. Fix: kubectl describe namespace {NAMESPACE} names what it waits for"
            )
        time.sleep(0.2)
    admin.apply(
        f"/api/v1/namespaces/{NAMESPACE}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )


class Writes:
    """Acknowledged writes: each adds a key of its own to a ConfigMap, so that at the end each can be looked for."""

    def __init__(self, client: Client, kubeconfig_api: api.Api) -> None:
        self.client = client
        self.api = kubeconfig_api
        self.run = secrets.token_hex(4)
        self.acknowledged: dict[str, str] = {}
        self.number = 0
        self._objects: set[str] = set()

    def write(self) -> None:
        """One write. Sent again it has the same effect, so the rule for idempotent requests holds for it."""
        name = f"{self.run}-{self.number // KEYS_PER_OBJECT}"
        key, value = f"w{self.number:06d}", secrets.token_hex(4)
        self.number += 1
        body: dict[str, t.Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {key: value},
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}"
        # each key has a manager of its own, for applying one manager's keys again would remove its former ones
        target = f"{path}?fieldManager={key}&force=true" if name not in self._objects else path
        content_type = "application/apply-patch+yaml" if name not in self._objects else "application/merge-patch+json"
        if self.client.ask("PATCH", target, json.dumps(body).encode(), content_type):
            self._objects.add(name)
            self.acknowledged[f"{name}/{key}"] = value

    def read_back(self) -> list[str]:
        """The acknowledged writes that are not there."""
        found = {}
        for item in self.api.items(f"/api/v1/namespaces/{NAMESPACE}/configmaps"):
            for key, value in (item.get("data") or {}).items():
                found[f"{item['metadata']['name']}/{key}"] = value
        return sorted(key for key, value in self.acknowledged.items() if found.get(key) != value)

    def clean(self) -> None:
        self.api.delete(f"/api/v1/namespaces/{NAMESPACE}")


class Watch:
    """The watchers as a context manager: they run inside it, and `report()` has the figures afterwards.

    *rate* and *write_rate* are requests a second for each client; *timeout* is for each request, in seconds; *most* bounds each client's requests.
    """

    def __init__(
        self,
        kubeconfig: str,
        web: t.Sequence[str] = (),
        writes: bool = False,
        rate: float = 20.0,
        write_rate: float = 5.0,
        timeout: float = 10.0,
        most: int = 200_000,
    ) -> None:
        self.access = Access(kubeconfig)
        self.timeout = timeout
        self.rate = rate
        self.write_rate = write_rate
        self.most = most
        self.web = list(web)
        self.records: dict[str, Record] = {}
        self.marks: list[tuple[float, str]] = []
        self.lost: list[str] | None = None
        self.trouble = ""
        self.seconds = 0.0
        self._writes_wanted = writes
        self._writes: Writes | None = None
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Watch:
        """Asks once first: a watch that cannot begin raises api.ApiUnreachable or api.ApiError."""
        admin = self._admin()
        admin.get(PATH)
        if self._writes_wanted:
            # The time that this waits is no gap of the cluster's.
            make_namespace(admin)
        self.began = datetime.datetime.now(datetime.timezone.utc)
        self.start = time.monotonic()
        target = Target(self.access, PATH, "Namespace")
        if self._writes_wanted:
            self._writes = Writes(
                Client(Target(self.access, PATH, "ConfigMap"), self._record("writes"), self.timeout, kept=True), admin
            )
        self._thread(self._run_pool, Client(target, self._record("new"), self.timeout, kept=False))
        self._thread(self._run_kept, Client(target, self._record("kept"), self.timeout, kept=True))
        for url in self.web:
            address = urlsplit(url)
            web = Target(
                Access(credentials=api.Credentials(f"{address.scheme}://{address.netloc}", verify=False)),
                address.path or "/",
            )
            self._thread(self._run_pool, Client(web, self._record(f"web {url}"), self.timeout, kept=False))
        if self._writes:
            self._thread(self._run_writes, self._writes)
        return self

    def __exit__(self, *unused: object) -> None:
        self.seconds = time.monotonic() - self.start
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * self.timeout + 1)
        if self._writes:
            try:
                self._writes.api = self._admin()
                self.lost = self._writes.read_back()
                self._writes.clean()
            except (api.ApiError, api.ApiUnreachable) as error:
                self.trouble = f"the acknowledged writes could not be read back: {error}"

    def _admin(self) -> api.Api:
        return api.Api(self.access.current()[0], self.timeout, "hardway-watch")

    def mark(self, text: str) -> None:
        """Notes what is being done to the cluster now; the report has the gaps and failures from here to the next mark."""
        self.marks.append((time.monotonic() - self.start, text))

    def _record(self, name: str) -> Record:
        self.records[name] = Record(name, self.start)
        return self.records[name]

    def _thread(self, run: t.Callable[..., None], *arguments: t.Any) -> None:
        self._threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self._threads[-1].start()

    def _run_pool(self, client: Client) -> None:
        # a hung request must not stop the following ones
        workers = min(MOST_THREADS, int(self.rate * self.timeout) + 2)
        busy = threading.Semaphore(workers)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for _unused in Schedule(self.rate, self._stop, client.record, self.most):
                if busy.acquire(blocking=False):
                    pool.submit(client.ask).add_done_callback(lambda _unused: busy.release())
                else:
                    client.record.skip(1)

    def _run_kept(self, client: Client) -> None:
        for _unused in Schedule(self.rate, self._stop, client.record, self.most):
            client.ask()

    def _run_writes(self, writes: Writes) -> None:
        for _unused in Schedule(self.write_rate, self._stop, writes.client.record, self.most):
            writes.write()

    def report(self) -> dict[str, t.Any]:
        """Everything, for JSON. While the watch runs: so far."""
        seconds = self.seconds or time.monotonic() - self.start
        result: dict[str, t.Any] = {
            "server": self.access.credentials.server,
            "began": self.began.isoformat(timespec="milliseconds"),
            "seconds": round(seconds, 2),
            "clients": {name: record.report(seconds) for name, record in self.records.items()},
            "marks": [self._interval(number, seconds) for number in range(len(self.marks))],
            "failed": sum(len(record.failures) for record in self.records.values()),
            "longest_gap": max(
                round(record.longest_gap(0.0, seconds)[0], 3)
                for name, record in self.records.items()
                if name != "writes"
            ),
            "trouble": self.trouble,
        }
        if self._writes:
            result["writes"] = {
                "acknowledged": len(self._writes.acknowledged),
                "lost": None if self.lost is None else len(self.lost),
                "lost_keys": self.lost,
            }
        return result

    def _interval(self, number: int, seconds: float) -> dict[str, t.Any]:
        begin, text = self.marks[number]
        end = self.marks[number + 1][0] if number + 1 < len(self.marks) else seconds
        return {
            "at": round(begin, 3),
            "text": text,
            "longest_gap": {name: round(record.longest_gap(begin, end)[0], 3) for name, record in self.records.items()},
            "failed": {
                name: sum(begin <= failure.at < end for failure in record.failures)
                for name, record in self.records.items()
            },
        }


def good(report: dict[str, t.Any], max_gap: float | None = None) -> bool:
    """Whether users saw nothing (with *max_gap*, in seconds: nothing for longer), and no acknowledged write was lost."""
    if report["trouble"] or report.get("writes", {}).get("lost"):
        return False
    if not all(client["answered"] for client in report["clients"].values()):
        return False
    return report["failed"] == 0 if max_gap is None else report["longest_gap"] <= max_gap


def failure_runs(failures: t.Iterable[dict[str, t.Any]]) -> list[str]:
    """The failures in words; neighbours of one cause together."""
    found = []
    for cause, group in itertools.groupby(
        sorted(failures, key=lambda failure: failure["at"]), lambda failure: failure["cause"]
    ):
        run = list(group)
        until = f" to +{run[-1]['at']:.3f}" if len(run) > 1 else ""
        slowest = max(failure["took"] for failure in run)
        found.append(f"{len(run)} failed at +{run[0]['at']:.3f}{until} s after at most {slowest:.3f} s: {cause}")
    return found


def render(report: dict[str, t.Any]) -> str:
    """The report for people."""
    width = max(6, *(len(name) for name in report["clients"]))
    lines = [
        f"Watched {report['server']} for {report['seconds']:.1f} s from {report['began']}",
        f"{'client':<{width}}  requests  failed  retried  skipped  longest gap       slowest",
    ]
    for name, client in report["clients"].items():
        gap = f"{client['longest_gap']:.3f} s at +{client['longest_gap_at']:.1f}"
        retried = sum(client["retried"].values())
        lines.append(
            f"{name:<{width}}  {client['requests']:>8}  {client['failed']:>6}  {retried:>7}  {client['skipped']:>7}  {gap:<16}  {client['slowest']:.3f} s"
        )
    for name, client in report["clients"].items():
        lines += [f"  {name}: retried by rule: {count} x {rule}" for rule, count in client["retried"].items()]
        runs = failure_runs(client["failures"])
        lines += [f"  {name}: {text}" for text in runs[:SHOWN_FAILURES]]
        if len(runs) > SHOWN_FAILURES:
            lines.append(f"  {name}: and more, see the JSON")
    for mark in report["marks"]:
        gaps = ", ".join(f"{name} {gap:.3f} s" for name, gap in mark["longest_gap"].items())
        lines.append(f"  +{mark['at']:.1f} s {mark['text']}: longest gap {gaps}; failed {sum(mark['failed'].values())}")
    if "writes" in report:
        writes = report["writes"]
        lines.append(
            f"writes: {writes['acknowledged']} acknowledged, {'?' if writes['lost'] is None else writes['lost']} lost"
            + "".join(f"\n  lost: {key}" for key in (writes["lost_keys"] or [])[:SHOWN_FAILURES])
        )
    if report["trouble"]:
        lines.append(report["trouble"])
    return "\n".join(lines)


def main(arguments: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument(
        "--seconds", type=float, help=f"how long; with --until-file at most (default {LONGEST_RUN:.0f})"
    )
    parser.add_argument("--until-file", type=Path, help="until this file exists")
    parser.add_argument("--web", action="append", default=[], metavar="URL", help="watch this URL too")
    parser.add_argument("--writes", action="store_true", help="count acknowledged writes")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second of each client")
    parser.add_argument("--write-rate", type=float, default=5.0, help="writes a second")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for each request")
    parser.add_argument("--max-requests", type=int, default=200_000, help="of each client")
    parser.add_argument(
        "--max-gap", type=float, help="decide by the longest gap, in seconds, instead of by failed requests"
    )
    parser.add_argument("--json", type=Path, help="write the report to this file too")
    options = parser.parse_args(arguments)
    if options.seconds is None and options.until_file is None:
        parser.error("give --seconds or --until-file")
    if not 0 < options.rate <= 100 or not 0 < options.write_rate <= 100 or options.timeout <= 0:
        parser.error("--rate and --write-rate are above 0 and at most 100, --timeout above 0")
    ended = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_unused: ended.set())
    end = time.monotonic() + min(options.seconds or LONGEST_RUN, LONGEST_RUN)
    try:
        watch = Watch(
            options.kubeconfig,
            options.web,
            options.writes,
            options.rate,
            options.write_rate,
            options.timeout,
            options.max_requests,
        )
        with watch:
            while time.monotonic() < end and not (options.until_file and options.until_file.exists()):
                if ended.wait(min(0.1, max(0.0, end - time.monotonic()))):
                    break
    except (api.KubeconfigError, api.ApiError, api.ApiUnreachable) as error:
        print(f"cannot watch: {error}", file=sys.stderr)
        return 2
    report = watch.report()
    print(render(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if good(report, options.max_gap) else 1


if __name__ == "__main__":
    sys.exit(main())
