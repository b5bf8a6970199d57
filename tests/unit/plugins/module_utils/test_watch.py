# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import importlib.util
import itertools
import json
import signal
import sys
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import ApiUnreachable
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

PATH = Path(__file__).resolve().parents[3] / "e2e" / "watch.py"
spec = importlib.util.spec_from_file_location("watch", PATH)
assert spec and spec.loader
watch = sys.modules["watch"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(watch)


@pytest.fixture(autouse=True)
def signals_as_before() -> t.Iterator[None]:
    """The program handles signals; the workers that a later test ends by SIGTERM must not inherit that."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


RIGHT = (200, {"kind": "Namespace"}, {})


class Server:
    """Right answers, but where *odd* has another for the number of the request (from 0)."""

    def __init__(self, odd: t.Callable[[int], t.Any] = lambda number: None) -> None:
        self.odd = odd
        self.count = itertools.count()
        self.objects: dict[str, dict[str, str]] = {}
        self.forget = 0

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        if method == "PATCH" and path.endswith("hardway-watch"):
            return RIGHT
        if method == "PATCH":
            self.objects.setdefault(path.split("/")[-1], {}).update(body["data"])
            return 200, {"kind": "ConfigMap"}, {}
        if path.endswith("configmaps"):
            for data in self.objects.values():
                for key in list(data)[: self.forget]:
                    del data[key]
            return (
                200,
                {
                    "items": [{"metadata": {"name": name}, "data": data} for name, data in self.objects.items()],
                    "metadata": {},
                },
                {},
            )
        if method == "DELETE":
            return RIGHT
        return self.odd(next(self.count)) or RIGHT


def run(tmp_path: Path, server: Server, seconds: float = 0.5, **options: t.Any) -> dict[str, t.Any]:
    with FakeApi(tmp_path, server) as fake:
        with watch.Watch(str(fake.kubeconfig), **options) as watcher:
            time.sleep(seconds)
        return watcher.report()


def test_a_quiet_cluster(tmp_path: Path) -> None:
    report = run(tmp_path, Server(), 1.0)
    assert watch.good(report)
    for client in report["clients"].values():
        assert 10 <= client["requests"] <= 22  # 20 on a computer that has nothing else to do
        assert client["answered"] == client["requests"]
        assert client["longest_gap"] < 0.5
    assert "failed" in watch.render(report)


def test_a_kept_connection_that_closes_is_retried_and_a_new_one_fails(tmp_path: Path) -> None:
    closing = {6, 7, 8, 9}
    report = run(tmp_path, Server(lambda number: (0, "", {}) if number in closing else None), 1.0)
    kept, new = report["clients"]["kept"], report["clients"]["new"]
    retried = kept["retried"].get("kept connection closed", 0)
    # a retry goes to a new connection, where a further close is a failure
    assert retried >= 1
    assert new["retried"] == {}
    assert kept["failed"] + new["failed"] + retried == len(closing)
    assert not watch.good(report)
    assert all(failure["cause"] == "the connection was closed before an answer" for failure in new["failures"])


def test_429_with_retry_after_is_a_retry_and_without_a_failure(tmp_path: Path) -> None:
    assert watch.good(run(tmp_path, Server(lambda number: (429, {}, {"Retry-After": "0"}) if number == 5 else None)))
    report = run(tmp_path, Server(lambda number: (429, "busy", {}) if number == 5 else None))
    assert report["failed"] == 1
    assert "answered 429: busy" in watch.render(report)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, "oh", {}), "answered 500: oh"),
        ((200, {"kind": "Status"}, {}), "with a Status"),
        ((200, "<html>", {}), "not an object"),
    ],
)
def test_wrong_answers_fail(tmp_path: Path, answer: t.Any, words: str) -> None:
    report = run(tmp_path, Server(lambda number: answer if number == 5 else None))
    assert report["failed"] == 1
    assert words in watch.render(report)


def test_a_hung_request_does_not_stop_the_new_client_and_shows_in_the_kept_one(tmp_path: Path) -> None:
    def hang(number: int) -> None:
        if number in (5, 6):
            time.sleep(1.0)

    report = run(tmp_path, Server(hang), 1.0, timeout=0.5)
    new = report["clients"]["new"]
    assert new["requests"] >= 10
    assert new["longest_gap"] < 0.45 or report["clients"]["kept"]["longest_gap"] < 0.45
    assert report["failed"] >= 2
    assert "no answer within" in watch.render(report)


def test_gaps_are_measured_between_answers_and_by_mark(tmp_path: Path) -> None:
    record = watch.Record("x", 0.0)
    record.answers = [0.5, 1.0, 3.0, 3.2, 9.0]
    assert record.longest_gap(0.0, 10.0) == (pytest.approx(5.8), 3.2)
    assert record.longest_gap(1.5, 2.0) == (pytest.approx(2.0), 1.0)
    assert record.longest_gap(0.0, 0.2) == (pytest.approx(0.5), 0.0)
    assert record.longest_gap(9.5, 12.0) == (pytest.approx(3.0), 9.0)


def test_an_outage_at_the_end_counts(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Server()) as fake:
        with watch.Watch(str(fake.kubeconfig), timeout=0.3) as watcher:
            time.sleep(0.3)
            watcher.mark("the server leaves")
            fake.server.shutdown()
            fake.server.server_close()
            time.sleep(0.7)
        report = watcher.report()
    assert report["marks"][0]["longest_gap"]["new"] > 0.5
    assert report["marks"][0]["failed"]["new"] > 5
    assert not watch.good(report)
    assert watch.good(report, max_gap=1.5)
    assert not watch.good(report, max_gap=0.4)


def test_writes_are_counted_and_lost_ones_named(tmp_path: Path) -> None:
    report = run(tmp_path, Server(), writes=True, write_rate=20)
    assert report["writes"]["acknowledged"] >= 6
    assert report["writes"]["lost"] == 0
    server = Server()
    server.forget = 2
    report = run(tmp_path, server, writes=True, write_rate=20)
    assert report["writes"]["lost"] == 2
    assert not watch.good(report)
    assert not watch.good(report, max_gap=10)


def test_requests_are_bounded(tmp_path: Path) -> None:
    report = run(tmp_path, Server(), 0.6, most=4)
    assert [client["requests"] for client in report["clients"].values()] == [4, 4]


def test_a_watch_that_cannot_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeApi(tmp_path, Server()) as fake:
        kubeconfig = str(fake.kubeconfig)
    with pytest.raises(ApiUnreachable):
        watch.Watch(kubeconfig).__enter__()
    assert watch.main(["--kubeconfig", kubeconfig, "--seconds", "1"]) == 2
    assert "cannot watch: GET /api/v1/namespaces/default got no answer" in capsys.readouterr().err


def test_the_command(tmp_path: Path) -> None:
    done, out = tmp_path / "done", tmp_path / "out.json"
    done.touch()
    with FakeApi(tmp_path, Server()) as fake:
        web = fake.url + "/"
        assert watch.main(["--kubeconfig", str(fake.kubeconfig), "--seconds", "0.4", "--json", str(out)]) == 0
        assert json.loads(out.read_text())["failed"] == 0
        watch.main(["--kubeconfig", str(fake.kubeconfig), "--until-file", str(done), "--web", web])


def test_neighbouring_failures_of_one_cause_are_one_line() -> None:
    failures = [
        {"at": at, "took": 0.1, "cause": cause}
        for at, cause in ((1.0, "refused"), (1.1, "refused"), (1.2, "reset"), (2.0, "refused"))
    ]
    assert [text.partition(" s ")[0] for text in watch.failure_runs(failures)] == [
        "2 failed at +1.000 to +1.100",
        "1 failed at +1.200",
        "1 failed at +2.000",
    ]
