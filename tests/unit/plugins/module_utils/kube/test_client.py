# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import itertools
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import client as api_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    load_kubeconfig,
    retry,
)
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import Authority, FakeApi, pem


def answers(*these: tuple[int, t.Any, dict[str, str]]) -> t.Callable[..., tuple[int, t.Any, dict[str, str]]]:
    following = itertools.chain(these, itertools.repeat((200, {"kind": "OK"}, {})))
    return lambda *unused: next(following)


def test_one_connection_serves_many_requests(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        for _unused in range(5):
            assert api.get("/x")["kind"] == "OK"
        assert fake.connections == 1


def test_an_idempotent_request_on_a_closed_kept_connection_is_sent_again(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers((200, {}, {}), (0, "", {}), (200, {"kind": "again"}, {}))) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        api.get("/x")
        assert api.get("/x")["kind"] == "again"
        assert fake.connections == 2


@pytest.mark.parametrize("before", [0, 1], ids=["GET on a new connection", "POST on a kept connection"])
def test_no_other_request_is_sent_again(tmp_path: Path, before: int) -> None:
    with FakeApi(tmp_path, answers(*[(200, {}, {})] * before, (0, "", {}))) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        for _unused in range(before):
            api.get("/x")
        with pytest.raises(
            ApiUnreachable, match=f"/y got no answer from {fake.url}: the connection was closed before an answer"
        ):
            if before:
                api.create("/y", {})
            else:
                api.get("/y")


def test_429_with_retry_after_is_asked_again(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers((429, {}, {"Retry-After": "0"}))) as fake:
        assert Api.from_kubeconfig(str(fake.kubeconfig)).create("/x", {})["kind"] == "OK"


def test_429_without_retry_after_is_an_error(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers((429, {}, {}))) as fake, pytest.raises(ApiError) as error:
        Api.from_kubeconfig(str(fake.kubeconfig)).get("/x")
    assert error.value.status == 429


def test_an_error_has_the_api_own_words(tmp_path: Path) -> None:
    status = {"kind": "Status", "reason": "Forbidden", "message": "nodes is forbidden"}
    with FakeApi(tmp_path, answers((403, status, {}))) as fake, pytest.raises(ApiError) as error:
        Api.from_kubeconfig(str(fake.kubeconfig)).get("/x")
    assert str(error.value) == f"GET /x at {fake.url} answered 403: nodes is forbidden"
    assert error.value.reason == "Forbidden"


def test_absent_objects_and_lists_in_chunks(tmp_path: Path) -> None:
    chunks = (200, {"items": [1], "metadata": {"continue": "c"}}, {}), (200, {"items": [2], "metadata": {}}, {})
    with FakeApi(tmp_path, answers((404, {}, {}), (404, {}, {}), *chunks)) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        assert api.find("/x") is None
        assert api.delete("/x") is False
        assert api.items("/x") == [1, 2]
        assert fake.requests[-1] == "GET /x?limit=500&continue=c"


FIRST = (200, {"items": [1], "metadata": {"continue": "c"}}, {})
GONE = (410, {"kind": "Status", "reason": "Expired", "metadata": {"continue": "d"}}, {})


def test_a_list_whose_token_has_expired_is_read_again(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers(FIRST, GONE, FIRST, GONE, FIRST, (200, {"items": [2]}, {}))) as fake:
        assert Api.from_kubeconfig(str(fake.kubeconfig)).items("/x", {"fieldSelector": "a"}) == [1, 2]
        assert fake.requests[2] == "GET /x?fieldSelector=a&limit=500"


def test_a_list_that_never_comes_to_its_end_is_told(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers(*[FIRST, GONE] * 3)) as fake, pytest.raises(ApiError, match="answered 410"):
        Api.from_kubeconfig(str(fake.kubeconfig)).items("/x")


def test_apply_is_server_side(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        Api.from_kubeconfig(str(fake.kubeconfig)).apply("/x", {"kind": "X"})
        assert fake.requests == ["PATCH /x?fieldManager=hardway&force=true"]


def test_other_authority_and_dead_server_are_named(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        credentials = load_kubeconfig(str(fake.kubeconfig))
        stranger = dataclasses.replace(credentials, authority=pem(Authority().certificate).decode())
        with pytest.raises(ApiUnreachable, match="its certificate does not verify: "):
            Api(stranger).get("/x")
    with pytest.raises(ApiUnreachable, match="Connection refused"):
        Api(credentials).get("/x")


def test_timeout_is_named(tmp_path: Path) -> None:
    import time

    def slow(*unused: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        time.sleep(1)
        return 200, {}, {}

    with FakeApi(tmp_path, slow) as fake, pytest.raises(ApiUnreachable, match=r"no answer within 0.2 s"):
        Api.from_kubeconfig(str(fake.kubeconfig), timeout=0.2).get("/x")


def damage(config: dict[str, t.Any], where: str, value: t.Any) -> dict[str, t.Any]:
    if where in ("current-context",):
        config[where] = value
    else:
        kind, key = where.split(".")
        config[f"{kind}s"][0][kind][key] = value
    return config


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("current-context", None, "has no current-context"),
        ("current-context", "other", "no context named 'other'"),
        ("context.cluster", "other", "no cluster named 'other'"),
        ("context.user", "other", "no user named 'other'"),
        ("cluster.server", "10.0.0.1:6443", "has server '10.0.0.1:6443'"),
        ("cluster.certificate-authority-data", "%", "certificate-authority-data is not base64"),
        ("user.client-key-data", None, "needs both"),
        ("user.exec", {"command": "x"}, "has exec"),
    ],
)
def test_bad_kubeconfigs(tmp_path: Path, where: str, value: t.Any, words: str) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        config = json.loads(fake.kubeconfig.read_text())
    path = tmp_path / "bad"
    path.write_text(json.dumps(damage(config, where, value)))
    with pytest.raises(KubeconfigError, match=words) as error:
        load_kubeconfig(str(path))
    assert str(path) in str(error.value)


def test_missing_kubeconfig_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="No such file"):
        load_kubeconfig(str(tmp_path / "none"))
    (tmp_path / "list").write_text("[]")
    with pytest.raises(KubeconfigError, match="not a mapping"):
        load_kubeconfig(str(tmp_path / "list"))


def test_certificates_beside_the_kubeconfig_and_no_key_file_left(tmp_path: Path) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        credentials = load_kubeconfig(str(fake.kubeconfig))
        (tmp_path / "c.pem").write_text(credentials.certificate or "")
        (tmp_path / "k.pem").write_text(credentials.key or "")
        config = json.loads(fake.kubeconfig.read_text())
        config["users"][0]["user"] = {"client-certificate": "c.pem", "client-key": "k.pem"}
        (tmp_path / "files").write_text(json.dumps(config))
        before = sorted(tmp_path.iterdir())
        api = Api.from_kubeconfig(str(tmp_path / "files"))
        assert api.get("/x")["kind"] == "OK"
        assert sorted(tmp_path.iterdir()) == before
        assert (credentials.key or "-") not in repr(credentials)


def test_a_patch_merges(tmp_path: Path) -> None:
    sent: list[t.Any] = []
    with FakeApi(
        tmp_path, lambda method, path, query, body: (sent.append((method, query, body)), (200, {}, {}))[1]
    ) as fake:
        Api.from_kubeconfig(str(fake.kubeconfig)).patch("/x", {"spec": None}, "someone")
    assert sent == [("PATCH", {"fieldManager": "someone"}, {"spec": None})]


@pytest.mark.parametrize("status", sorted(api_module.TEMPORARY))
def test_what_passes_is_asked_for_again(tmp_path: Path, status: int, monkeypatch: t.Any) -> None:
    monkeypatch.setattr(api_module, "PAUSE", 0.01)
    with FakeApi(tmp_path, answers((status, {}, {}), (status, {}, {}))) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        assert retry(lambda: api.get("/x"), 5)["kind"] == "OK"


def test_what_does_not_pass_is_told_at_once_and_what_lasts_in_time(tmp_path: Path, monkeypatch: t.Any) -> None:
    monkeypatch.setattr(api_module, "PAUSE", 0.01)
    with FakeApi(tmp_path, answers((403, {}, {}), *[(503, {}, {})] * 1000)) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        for timeout, status in ((60, 403), (0.1, 503), (0, 503)):
            with pytest.raises(ApiError) as error:
                retry(lambda: api.get("/x"), timeout)
            assert error.value.status == status


@pytest.mark.parametrize(("timeout", "request_timeout"), [(0, 1), (5, 5), (300, 10)])
def test_a_request_waits_neither_for_nothing_nor_for_ever(tmp_path: Path, timeout: int, request_timeout: float) -> None:
    with FakeApi(tmp_path, answers()) as fake:
        assert (
            Api.of_module({"kubeconfig": str(fake.kubeconfig), "timeout": timeout}, "test").timeout == request_timeout
        )
