# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another encryption key takes the place of the first, in a real etcd."""

from __future__ import annotations

import base64
import threading
import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError
from ansible_collections.hardway.kubernetes.plugins.modules import storage_migration
from ansible_collections.hardway.kubernetes.tests.api.cluster import Call, Cluster

SECRETS = "/api/v1/namespaces/default/secrets"
COUNT = 450  # more than two pages
KEY1, KEY2 = b"k8s:enc:secretbox:v1:key1:", b"k8s:enc:secretbox:v1:key2:"


def secret(name: str, value: str) -> dict[str, t.Any]:
    return {"metadata": {"name": name}, "data": {"value": base64.b64encode(value.encode()).decode()}}


@pytest.fixture(name="secrets", scope="module", autouse=True)
def secrets_fixture(cluster: Cluster) -> None:
    for number in range(COUNT):
        cluster.api.create(SECRETS, secret(f"rewritten-{number}", str(number)))


class Writers:
    """Others who write while everything is rewritten: one counts in a few Secrets, one makes and deletes others."""

    def __init__(self, kubeconfig: str) -> None:
        self.api = Api.from_kubeconfig(kubeconfig)
        self.counts = dict.fromkeys((f"rewritten-{number}" for number in range(0, COUNT, 60)), 0)
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._count), threading.Thread(target=self._delete)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _count(self) -> None:
        while not self._done.is_set():
            for name in self.counts:
                found = self.api.get(f"{SECRETS}/{name}")
                annotations = found["metadata"].setdefault("annotations", {})
                annotations["count"] = str(int(annotations.get("count", 0)) + 1)
                try:
                    self.api.replace(f"{SECRETS}/{name}", found)
                    self.counts[name] += 1
                except ApiError as error:
                    assert error.status == 409

    def _delete(self) -> None:
        for number in range(1, COUNT, 60):
            self.api.delete(f"{SECRETS}/rewritten-{number}")


def test_every_secret_is_stored_with_the_second_key_and_no_update_is_lost(
    cluster: Cluster, call: Call, second: str
) -> None:
    assert {value[: len(KEY1)] for value in cluster.stored("/registry/secrets/default/").values()} == {KEY1}
    planned = call(storage_migration, check=True, kubeconfig=second, resources=["secrets"])
    assert planned["resources"]["secrets"] == {"found": COUNT, "rewritten": 0, "gone": 0, "conflicts": 0}
    with Writers(second) as writers:
        result = call(storage_migration, kubeconfig=second, resources=["secrets", "configmaps"])
    assert result["changed"], result
    assert {value[: len(KEY2)] for value in cluster.stored("/registry/secrets/").values()} == {KEY2}
    assert {value[: len(KEY2)] for value in cluster.stored("/registry/configmaps/").values()} == {KEY2}
    assert min(writers.counts.values()) > 0
    left = {item["metadata"]["name"]: item for item in writers.api.items(SECRETS)}
    assert len(left) == COUNT - len(range(1, COUNT, 60))
    assert {name: left[name]["metadata"]["annotations"]["count"] for name in writers.counts} == {
        key: str(value) for key, value in writers.counts.items()
    }
    assert all(
        item["data"]["value"] == secret("", name.partition("-")[2])["data"]["value"] for name, item in left.items()
    )
    assert {entry["manager"] for entry in left["rewritten-3"]["metadata"]["managedFields"]} == {"hardway-tests"}


def test_again_writes_nothing(cluster: Cluster, call: Call, second: str) -> None:
    before = cluster.stored("/registry/secrets/")
    result = call(storage_migration, kubeconfig=second, resources=["secrets", "configmaps"])
    assert not result["changed"]
    assert result["resources"]["secrets"]["found"] == len(before)
    assert cluster.stored("/registry/secrets/") == before


def test_all_that_there_is(call: Call, second: str) -> None:
    found = call(storage_migration, check=True, kubeconfig=second, resources=["*.*"])["resources"]
    assert {
        "secrets",
        "configmaps",
        "clusterroles.rbac.authorization.k8s.io",
        "deployments.apps",
        "leases.coordination.k8s.io",
    } <= set(found)
    assert not call(storage_migration, kubeconfig=second, resources=["*.apps", "priorityclasses.scheduling.k8s.io"])[
        "changed"
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("secret", "serves no secret."),
        ("widgets.example.org", "serves no widgets.example.org"),
        ("*", "is not a resource"),
    ],
)
def test_unknown_resources_are_named(call: Call, second: str, name: str, words: str) -> None:
    result = call(storage_migration, kubeconfig=second, resources=[name])
    assert result["failed"]
    assert words in result["msg"]
