# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import copy
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import storage_migration as rewrite
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

VERBS = ["get", "list", "update", "delete"]
DISCOVERY: dict[str, t.Any] = {
    "/api/v1": [
        {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": VERBS},
        {"name": "secrets/status", "kind": "Secret", "namespaced": True, "verbs": VERBS},
        {"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]},
    ],
    "/apis/example.org/v2": [{"name": "widgets", "kind": "Widget", "namespaced": False, "verbs": VERBS}],
    "/apis/example.org/v1": [
        {"name": "widgets", "kind": "Widget", "namespaced": False, "verbs": VERBS},
        {"name": "oldies", "kind": "Oldie", "namespaced": True, "verbs": VERBS},
    ],
    "/apis/metrics.example.org/v1": [{"name": "numbers", "kind": "Number", "namespaced": False, "verbs": VERBS}],
}


def group(name: str, *versions: str) -> dict[str, t.Any]:
    known = [{"groupVersion": f"{name}/{version}"} for version in versions]
    return {"name": name, "preferredVersion": known[0], "versions": list(reversed(known))}


GROUPS = [group("example.org", "v2", "v1"), group("metrics.example.org", "v1")]


def failure(status: int, message: str = "no", **metadata: str) -> tuple[int, t.Any, dict[str, str]]:
    return status, {"kind": "Status", "message": message, "metadata": metadata}, {}


class Store:
    """Secrets, of which some are stored with an old key: they alone get another version when they are written."""

    def __init__(self, count: int) -> None:
        self.secrets = {
            name: {"metadata": {"name": name, "namespace": "default", "resourceVersion": "1"}}
            for name in map("s{:02}".format, range(count))
        }
        self.old = set(self.secrets)
        self.failures: dict[str, list[t.Callable[[], t.Any]]] = {}
        self.page_failures: list[t.Any] = []
        self.lock = threading.Lock()

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        with self.lock:
            if path in DISCOVERY:
                return 200, {"resources": DISCOVERY[path]}, {}
            if path == "/apis":
                return 200, {"groups": GROUPS}, {}
            if path == rewrite.API_SERVICES:
                foreign = {"group": "metrics.example.org", "version": "v1", "service": {"name": "metrics"}}
                return (
                    200,
                    {"items": [{"spec": foreign}, {"spec": {"group": "example.org", "version": "v2"}}], "metadata": {}},
                    {},
                )
            found = next((item for item in GROUPS if path == f"/apis/{item['name']}"), None)
            if found:
                return 200, found, {}
            if path == "/api/v1/secrets":
                return self._page(query.get("continue", ""), int(query["limit"]))
            return self._one(method, path.rpartition("/")[2], body)

    def _page(self, after: str, limit: int) -> tuple[int, t.Any, dict[str, str]]:
        if after and self.page_failures:
            return self.page_failures.pop(0)
        names = [name for name in self.secrets if name > after]
        metadata = {"continue": names[limit - 1]} if len(names) > limit else {}
        return 200, {"items": [copy.deepcopy(self.secrets[name]) for name in names[:limit]], "metadata": metadata}, {}

    def _one(self, method: str, name: str, body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        if method == "PUT" and self.failures.get(name):
            answer = self.failures[name].pop(0)()
            if answer:
                return answer
        item = self.secrets.get(name)
        if item is None:
            return failure(404)
        if method == "PUT":
            assert (body["kind"], body["apiVersion"]) == ("Secret", "v1")
            if body["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                return failure(409)
            self.secrets[name] = copy.deepcopy(body)
            if name in self.old:
                self.old.remove(name)
                self.secrets[name]["metadata"]["resourceVersion"] += "1"
        return 200, {"kind": "Secret", "apiVersion": "v1", **self.secrets[name]}, {}

    def write(self, name: str) -> None:
        self.secrets[name]["metadata"]["resourceVersion"] += "9"
        self.secrets[name]["metadata"]["written"] = "by another"

    def remove(self, name: str, status: int) -> tuple[int, t.Any, dict[str, str]]:
        del self.secrets[name]
        return failure(status)


@pytest.fixture(name="quick", autouse=True)
def quick_fixture(monkeypatch: t.Any) -> None:
    monkeypatch.setattr("ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client.PAUSE", 0.01)
    monkeypatch.setattr(rewrite, "PAGE", 4)


def run(directory: Path, store: Store, check_mode: bool = False, timeout: float = 5) -> rewrite.Count:
    with FakeApi(directory, store) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        (resource,) = rewrite.Catalogue(api, timeout).resolve(["secrets"])
        return rewrite.Rewriter(api, timeout, check_mode).run(resource)


def test_what_is_old_is_stored_anew_on_every_page_and_only_once(tmp_path: Path) -> None:
    store = Store(11)
    store.old.discard("s03")
    assert run(tmp_path, store).report() == {"found": 11, "rewritten": 10, "gone": 0, "conflicts": 0}
    assert not store.old
    assert run(tmp_path, store).rewritten == 0


def test_check_mode_only_counts(tmp_path: Path) -> None:
    store = Store(9)
    assert run(tmp_path, store, check_mode=True).report() == {"found": 9, "rewritten": 0, "gone": 0, "conflicts": 0}
    assert len(store.old) == 9


def test_updates_of_others_stay_and_what_is_gone_stays_gone(tmp_path: Path) -> None:
    store = Store(6)
    store.failures = {
        "s01": [lambda: store.write("s01")] * 3,
        "s02": [lambda: store.remove("s02", 404)],
        "s05": [lambda: store.remove("s05", 409)],
    }
    assert run(tmp_path, store).report() == {"found": 6, "rewritten": 4, "gone": 2, "conflicts": 4}
    assert store.secrets["s01"]["metadata"]["written"] == "by another"


def test_what_passes_is_tried_again(tmp_path: Path) -> None:
    store = Store(2)
    again = [
        lambda: failure(503),
        lambda: failure(500, "etcdserver: leader changed"),
        lambda: (429, {}, {"Retry-After": "0"}),
        lambda: (0, "", {}),
    ]
    store.failures = {"s00": again}
    count = run(tmp_path, store)
    assert (count.rewritten, count.failures) == (2, [])
    assert not again


def test_a_compacted_list_goes_on_at_the_same_place(tmp_path: Path) -> None:
    store = Store(10)
    store.page_failures = [failure(410, "too old", **{"continue": "s03"})]
    assert run(tmp_path, store).rewritten == 10
    store.page_failures = [failure(410, "too old")]
    with pytest.raises(ApiError, match="too old"):
        run(tmp_path, store)


def test_what_cannot_be_written_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    store = Store(5)
    store.failures = {
        "s01": [lambda: failure(422, "spec is invalid")],
        "s02": [lambda: failure(503, "overloaded")] * 100,
    }
    count = run(tmp_path, store, timeout=0.1)
    assert count.rewritten == 3
    words = sorted(failure.partition(" at ")[0] + failure.partition(" answered")[2] for failure in count.failures)
    assert words == [
        "PUT /api/v1/namespaces/default/secrets/s01 422: spec is invalid",
        "PUT /api/v1/namespaces/default/secrets/s02 503: overloaded",
    ]


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["secrets", "secrets"], ["/api/v1/secrets"]),
        (
            ["widgets.example.org", "oldies.example.org"],
            ["/apis/example.org/v2/widgets", "/apis/example.org/v1/oldies"],
        ),
        (["*.example.org"], ["/apis/example.org/v2/widgets", "/apis/example.org/v1/oldies"]),
        (["*."], ["/api/v1/secrets"]),
        (["*.*", "secrets"], ["/api/v1/secrets", "/apis/example.org/v2/widgets", "/apis/example.org/v1/oldies"]),
    ],
)
def test_names_and_wildcards(tmp_path: Path, names: list[str], paths: list[str]) -> None:
    with FakeApi(tmp_path, Store(0)) as fake:
        found = rewrite.Catalogue(Api.from_kubeconfig(str(fake.kubeconfig)), 5).resolve(names)
    assert [resource.path for resource in found] == paths


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Secret", "'Secret' is not a resource"),
        ("secrets/status", "is not a resource"),
        ("*", "is not a resource"),
        ("", "is not a resource"),
        ("secret", "serves no secret. Fix: "),
        ("bindings", "bindings can be read but not written"),
        ("widgets.example.com", "serves no widgets.example.com"),
        ("*.metrics.example.org", "nothing of the group 'metrics.example.org'"),
    ],
)
def test_bad_resources_are_named(tmp_path: Path, name: str, words: str) -> None:
    with FakeApi(tmp_path, Store(0)) as fake, pytest.raises(rewrite.ResourceError, match=r"^resources: ") as error:
        rewrite.Catalogue(Api.from_kubeconfig(str(fake.kubeconfig)), 5).resolve([name])
    assert words in str(error.value)
