# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the API that follow a text: server-side apply, one request to read and one to apply for each object."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t
from collections.abc import Iterable, Mapping

import yaml

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    PAUSE,
    Api,
    ApiError,
    ApiUnreachable,
    retry,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.yaml_loader import LOADER

Object = Mapping[str, t.Any]

#: Of metadata: what the API server writes, and nobody else.
WRITTEN_BY_SERVER = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
HIDDEN = "(not shown)"


class ObjectsError(HardwayError):
    """An object that cannot be read from its text or applied: names the object, the cause and the fix."""


@dataclasses.dataclass(frozen=True)
class Change:
    """What was done, or in check mode would be done, to one object; *before* is empty for one that is created."""

    name: str
    before: Object
    after: Object

    @property
    def kind(self) -> str:
        if not self.before:
            return "created"
        return "unchanged" if self.before == self.after else "updated"

    @property
    def diff(self) -> dict[str, str]:
        before, after = hidden(self.before, self.after), hidden(self.after, self.before)
        return {
            "before_header": self.name,
            "after_header": self.name,
            "before": _text(before) if before else "",
            "after": _text(after),
        }


def parse(text: str, source: str) -> list[dict[str, t.Any]]:
    """The objects of YAML documents; *source* is for errors. Raises ObjectsError."""
    try:
        documents = [document for document in yaml.load_all(text, LOADER) if document is not None]
    except yaml.YAMLError as error:
        raise ObjectsError(
            f"{source} is not YAML once rendered: {error}. Fix: look at the settings that it uses"
        ) from error
    for document in documents:
        _check(document, source)
    return documents


def given(definitions: list[dict[str, t.Any]], source: str) -> list[dict[str, t.Any]]:
    """The objects that a task gives, as the API gets them: without what Ansible notes at their values. Raises ObjectsError."""
    plain: list[dict[str, t.Any]] = json.loads(json.dumps(definitions))
    for item in plain:
        _check(item, source)
    return plain


def _check(document: t.Any, source: str) -> None:
    """Raises ObjectsError unless *document* says which object it is."""
    document = document if isinstance(document, dict) else {}
    metadata = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    wanted = (document.get("apiVersion"), document.get("kind"), metadata.get("name"))
    if not all(isinstance(value, str) and value for value in wanted):
        raise ObjectsError(f"{source} has a document without apiVersion, kind or metadata.name. Fix: give it all three")
    # As the API server has it for every kind (ValidatePathSegmentName).
    for value in (metadata["name"], metadata.get("namespace") or ""):
        if not isinstance(value, str) or value in (".", "..") or set(value) & set("/%"):
            raise ObjectsError(
                f"{source} has an object named {value!r}. Fix: a name has neither / nor %, and is not . or .."
            )


def content(found: Object | None) -> dict[str, t.Any]:
    """An object without what the API server writes into it, and without its status."""
    if not found:
        return {}
    metadata = {key: value for key, value in found["metadata"].items() if key not in WRITTEN_BY_SERVER}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def hidden(item: Object, other: Object) -> dict[str, t.Any]:
    """*item* as people may see it: of a Secret the keys, and which of them differ from those of *other*."""
    if item.get("kind") != "Secret":
        return dict(item)
    shown = dict(item)
    for part in ("data", "stringData"):
        theirs = other.get(part) or {}
        if part in shown:
            shown[part] = {
                key: HIDDEN if theirs.get(key, value) == value else f"{HIDDEN[:-1]}; it differs)"
                for key, value in (shown[part] or {}).items()
            }
    return shown


def name_of(wanted: Object) -> str:
    """As kubectl says it: Deployment kube-system/coredns."""
    metadata = wanted["metadata"]
    namespace = metadata.get("namespace")
    return f"{wanted['kind']} {namespace + '/' if namespace else ''}{metadata['name']}"


class Objects:
    """Applies objects to one API, whose kinds are asked for once for each group and version.

    *timeout* (seconds) is how long a busy API, or a kind that has only just been defined, is waited for.
    """

    def __init__(self, api: Api, timeout: float) -> None:
        self._api, self._timeout = api, timeout
        self._kinds: dict[str, dict[str, dict[str, t.Any]]] = {}

    def apply(self, wanted: Iterable[Object], check_mode: bool) -> list[Change]:
        """Applies the objects in their order; in check mode the API server says what would become of each. Raises ObjectsError."""
        planned: set[tuple[str, str]] = set()
        return [self._apply_one(item, check_mode, planned) for item in wanted]

    def _apply_one(self, wanted: Object, check_mode: bool, planned: set[tuple[str, str]]) -> Change:
        name = name_of(wanted)
        try:
            path = self._path(wanted, check_mode and _kind(wanted) in planned)
            if path is None:
                return Change(name, {}, content(wanted))
            before = retry(lambda: self._api.find(path), self._timeout)
            after = self._patch(path, wanted, check_mode, new=before is None)
        except (ApiError, ApiUnreachable) as error:
            raise ObjectsError(f"{name} cannot be applied: {error}") from error
        planned |= _defines(wanted)
        return Change(name, content(before), content(after))

    def _patch(self, path: str, wanted: Object, check_mode: bool, new: bool) -> Object:
        try:
            return retry(lambda: self._api.apply(path, wanted, dry_run=check_mode), self._timeout)
        except ApiError as error:
            # Its namespace is among those that would be created.
            if check_mode and new and error.status == 404:
                return wanted
            raise

    def _path(self, wanted: Object, is_planned: bool) -> str | None:
        """Where the object is, or None in check mode for a kind that the same objects would define."""
        version, kind = wanted["apiVersion"], wanted["kind"]
        end = time.monotonic() + self._timeout
        while (resource := self._kinds_of(version).get(kind)) is None:
            if is_planned:
                return None
            if time.monotonic() >= end:
                raise ObjectsError(
                    f"{name_of(wanted)} cannot be applied: the API has no kind {kind} of {version}. "
                    "Fix: correct apiVersion and kind, or have the kind defined first"
                )
            time.sleep(PAUSE)
            self._kinds.pop(version, None)
        metadata = wanted["metadata"]
        namespace = f"/namespaces/{metadata.get('namespace') or 'default'}" if resource["namespaced"] else ""
        return f"{_root(version)}{namespace}/{resource['name']}/{metadata['name']}"

    def _kinds_of(self, version: str) -> dict[str, dict[str, t.Any]]:
        if version not in self._kinds:
            found = retry(lambda: self._api.find(_root(version)), self._timeout) or {}
            # Subresources, such as deployments/status, have the kinds of their objects.
            self._kinds[version] = {
                item["kind"]: item for item in found.get("resources") or [] if "/" not in item["name"]
            }
        return self._kinds[version]


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _kind(wanted: Object) -> tuple[str, str]:
    return wanted["apiVersion"].split("/")[0], wanted["kind"]


def _defines(wanted: Object) -> set[tuple[str, str]]:
    if wanted["kind"] != "CustomResourceDefinition":
        return set()
    spec = wanted.get("spec") or {}
    return {(spec.get("group", ""), (spec.get("names") or {}).get("kind", ""))}


def _text(item: Object) -> str:
    return yaml.safe_dump(item, sort_keys=True, default_flow_style=False)
