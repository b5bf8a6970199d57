# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import retrying
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, ApiUnreachable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.retrying import RetryingApi
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSE", 0.01)


class Answers:
    """Answers by these statuses, then 200; a status of -1 is an answer that comes too late."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)

    def __call__(self, *_request: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        status = self.statuses.pop(0) if self.statuses else 200
        if status < 0:
            time.sleep(0.3)
        return max(status, 200) if status else 0, {"items": []}, {}


def client(fake: FakeApi, patience: float, timeout: float = 5.0) -> RetryingApi:
    return RetryingApi.of(Api.from_kubeconfig(str(fake.kubeconfig), timeout), patience, "test")


@pytest.mark.parametrize("status", [0, 429, 500, 503, 504])
def test_what_is_temporary_is_asked_again(tmp_path: Path, status: int) -> None:
    with FakeApi(tmp_path, Answers(status, status)) as fake:
        assert client(fake, 5).items("/x") == [] and len(fake.requests) == 3


def test_a_request_that_is_not_answered_in_time_gets_more_time(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(*[-1] * 100)) as fake:
        assert client(fake, 5, timeout=0.1).get("/x") == {"items": []}


def test_what_is_not_temporary_is_an_error_at_once(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(403)) as fake, pytest.raises(ApiError):
        client(fake, 5).get("/x")
    assert len(fake.requests) == 1


def test_a_post_is_sent_once(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(503)) as fake, pytest.raises(ApiError):
        client(fake, 5).create("/x", {})
    assert len(fake.requests) == 1


def test_it_gives_up_with_the_last_error(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(*[503] * 1000)) as fake, pytest.raises(ApiError, match="answered 503"):
        client(fake, 0.1).get("/x")
    assert 1 < len(fake.requests) < 100
    with pytest.raises(ApiUnreachable, match="Connection refused"):
        client(fake, 0.1).get("/x")


def test_what_follows_a_request_that_gave_up_is_not_waited_for_again(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(*[503] * 1000)) as fake:
        api = client(fake, 0.2)
        for _number in range(3):
            with pytest.raises(ApiError):
                api.get("/x")
        began = time.monotonic()
        with pytest.raises(ApiError):
            api.get("/x")
        assert time.monotonic() - began < 0.15


def test_text_has_its_status_after_all(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Answers(503)) as fake:
        assert client(fake, 5).text("/readyz")[0] == 200
    with FakeApi(tmp_path, Answers(*[500] * 1000)) as fake:
        assert client(fake, 0.05).text("/readyz")[0] == 500
