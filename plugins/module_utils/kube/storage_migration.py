# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes objects back as they are, so that the API server encrypts them with its first key.

The API server writes an unchanged object only when what is stored would look otherwise now (another key, another version of the API); then its
resourceVersion moves. Source: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#rotating-a-decryption-key
"""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    EXPIRED,
    Api,
    ApiError,
    ApiUnreachable,
    retry,
)

PAGE = 200
THREADS = 6
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NEEDED_VERBS = frozenset(("list", "get", "update"))


class ResourceError(HardwayError, ValueError):
    """A resource that the API does not serve or does not let be written: names it and how to fix it."""


@dataclasses.dataclass(frozen=True)
class Resource:
    """A kind of objects: *name* as C(kubectl api-resources --output=name) writes it, and where it lies."""

    name: str
    kind: str
    api_version: str
    root: str
    plural: str
    namespaced: bool

    @property
    def path(self) -> str:
        return f"{self.root}/{self.plural}"

    def path_of(self, item: t.Mapping[str, t.Any]) -> str:
        metadata = item["metadata"]
        inside = f"/namespaces/{metadata['namespace']}" if self.namespaced else ""
        return f"{self.root}{inside}/{self.plural}/{metadata['name']}"

    def whole(self, item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """An object of a list, which need not name its kind."""
        return {"apiVersion": self.api_version, "kind": self.kind, **item}


@dataclasses.dataclass
class Count:
    """What came of a resource's objects; *conflicts* were written by someone else meanwhile, and read again."""

    found: int = 0
    rewritten: int = 0
    gone: int = 0
    conflicts: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def report(self) -> dict[str, int]:
        return {"found": self.found, "rewritten": self.rewritten, "gone": self.gone, "conflicts": self.conflicts}


class Catalogue:
    """What the API serves. *timeout* is for each question, in seconds."""

    def __init__(self, api: Api, timeout: float) -> None:
        self.api = api
        self.timeout = timeout

    def resolve(self, names: t.Iterable[str]) -> list[Resource]:
        """The named resources, each once. Knows the wildcards of an EncryptionConfiguration: C(*.GROUP), C(*.) for the core group, and C(*.*)."""
        found: dict[str, Resource] = {}
        for name in names:
            plural, _unused, group = name.partition(".")
            if not plural or name == "*" or "/" in name or name != name.lower():
                raise ResourceError(
                    f"resources: {name!r} is not a resource. Fix: give one such as secrets, deployments.apps, *.apps or *.*"
                )
            chosen = self._all(group) if plural == "*" else [self._one(name, plural, group)]
            found.update((resource.name, resource) for resource in chosen)
        return list(found.values())

    def _one(self, name: str, plural: str, group: str) -> Resource:
        for resource, verbs in self._served(group):
            if resource.plural == plural:
                if not verbs >= NEEDED_VERBS:
                    raise ResourceError(
                        f"resources: {name} can be read but not written, so there is nothing of it in etcd. Fix: leave it out"
                    )
                return resource
        raise ResourceError(
            f"resources: {self.api.server} serves no {name}. Fix: give its plural name and its group, as kubectl api-resources --output=name does"
        )

    def _all(self, group: str) -> list[Resource]:
        foreign = self._aggregated()
        groups = ["", *(item["name"] for item in self._groups())] if group == "*" else [group]
        found = [
            resource
            for each in groups
            for resource, verbs in self._served(each)
            if verbs >= NEEDED_VERBS and resource.api_version not in foreign
        ]
        if not found:
            raise ResourceError(
                f"resources: {self.api.server} serves nothing of the group {group!r} that can be written. Fix: correct the group, or leave it out"
            )
        return found

    def _aggregated(self) -> set[str]:
        """Versions of the API that another server answers, out of a store of its own."""
        services = retry(lambda: self.api.items(API_SERVICES), self.timeout)
        return {
            f"{item['spec']['group']}/{item['spec']['version']}" for item in services if item["spec"].get("service")
        }

    def _groups(self) -> list[dict[str, t.Any]]:
        return retry(lambda: self.api.get("/apis"), self.timeout)["groups"]

    def _roots(self, group: str) -> list[tuple[str, str]]:
        """Each version of a group with its path, the preferred one first."""
        if not group:
            return [("v1", "/api/v1")]
        found = retry(lambda: self.api.find(f"/apis/{group}"), self.timeout)
        if found is None:
            return []
        versions = [found["preferredVersion"], *found["versions"]]
        return [(name, f"/apis/{name}") for name in dict.fromkeys(version["groupVersion"] for version in versions)]

    def _served(self, group: str) -> list[tuple[Resource, set[str]]]:
        """The resources of a group, each in the first version that has it, with what may be done with them."""
        served: dict[str, tuple[Resource, set[str]]] = {}
        for version, root in self._roots(group):
            for item in retry(functools.partial(self.api.get, root), self.timeout)["resources"]:
                plural = item["name"]
                if "/" not in plural and plural not in served:
                    name = f"{plural}.{group}" if group else plural
                    resource = Resource(name, item["kind"], version, root, plural, item["namespaced"])
                    served[plural] = resource, set(item.get("verbs") or [])
        return list(served.values())


class Rewriter:
    """Writes each object of a resource back, several at once. *timeout* is for each object, in seconds."""

    def __init__(self, api: Api, timeout: float, check_mode: bool = False) -> None:
        self.api = api
        self.timeout = timeout
        self.check_mode = check_mode
        self._lock = threading.Lock()

    def run(self, resource: Resource) -> Count:
        count = Count()
        with ThreadPoolExecutor(THREADS) as pool:
            for page in self._pages(resource):
                count.found += len(page)
                if not self.check_mode:
                    list(pool.map(lambda item: self._rewrite(resource, item, count), page))
        return count

    def _pages(self, resource: Resource) -> t.Iterator[list[dict[str, t.Any]]]:
        query: dict[str, t.Any] = {"limit": PAGE}
        while True:
            try:
                answer = retry(lambda: self.api.get(resource.path, query), self.timeout)
            except ApiError as error:
                following = _token_after_compaction(error)
                if not following:
                    raise
            else:
                yield answer.get("items") or []
                following = answer.get("metadata", {}).get("continue")
            if not following:
                return
            query["continue"] = following

    def _rewrite(self, resource: Resource, item: dict[str, t.Any], count: Count) -> None:
        path = resource.path_of(item)
        try:
            rewritten, conflicts = self._write(path, resource.whole(item))
        except (ApiError, ApiUnreachable) as error:
            with self._lock:
                count.failures.append(str(error))
            return
        with self._lock:
            count.conflicts += conflicts
            if rewritten is None:
                count.gone += 1
            else:
                count.rewritten += rewritten

    def _write(self, path: str, item: dict[str, t.Any]) -> tuple[bool | None, int]:
        """Whether the stored object was rewritten, None where it is gone, and how often someone else wrote first."""
        end, conflicts = time.monotonic() + self.timeout, 0
        while True:
            try:
                answer = retry(functools.partial(self.api.replace, path, item), self.timeout)
                return answer["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"], conflicts
            except ApiError as error:
                if error.status == 404:
                    return None, conflicts
                if error.status != 409 or time.monotonic() >= end:
                    raise
            conflicts += 1
            found = retry(lambda: self.api.find(path), self.timeout)
            if found is None:
                return None, conflicts
            item = found


def _token_after_compaction(error: ApiError) -> str:
    """Where to continue when etcd has compacted the revision of the list. What was created since is written with the first key anyway."""
    if error.status != EXPIRED:
        return ""
    try:
        return str(json.loads(error.body)["metadata"]["continue"])
    except (ValueError, KeyError, TypeError):
        return ""
