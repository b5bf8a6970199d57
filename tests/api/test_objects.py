# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects are applied to a real API server: created, changed and left alone, and in check mode what would become of them."""

from __future__ import annotations

import base64
import typing as t

import pytest
from ansible.template import trust_as_template

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.objects import Objects, ObjectsError, given, parse
from ansible_collections.hardway.kubernetes.tests.api.cluster import Cluster

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "objects"}}
LABEL = "example.org/team"
CONFIG = "/api/v1/namespaces/objects/configmaps/settings"


def config(**data: str) -> dict[str, t.Any]:
    metadata = {"name": "settings", "namespace": "objects"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(value: str) -> dict[str, t.Any]:
    metadata = {"name": "password", "namespace": "objects"}
    data = {"password": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def definition(kind: str) -> dict[str, t.Any]:
    """A kind of its own, and with it an object of that kind."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.objects.example.org"},
        "spec": {
            "group": "objects.example.org",
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def custom(kind: str) -> dict[str, t.Any]:
    return {"apiVersion": "objects.example.org/v1", "kind": kind, "metadata": {"name": "one"}, "size": 1}


@pytest.fixture(name="objects")
def objects_fixture(cluster: Cluster) -> Objects:
    return Objects(cluster.api, 20)


def kinds(objects: Objects, *wanted: dict[str, t.Any], check: bool = False) -> list[str]:
    return [change.kind for change in objects.apply(wanted, check)]


def test_check_mode_foresees_what_the_run_does(objects: Objects, cluster: Cluster) -> None:
    wanted = (NAMESPACE, config(a="1"), secret("first"))
    assert kinds(objects, *wanted, check=True) == ["created"] * 3
    assert cluster.api.find("/api/v1/namespaces/objects") is None, "check mode creates nothing"
    assert kinds(objects, *wanted) == ["created"] * 3
    version = cluster.api.get(CONFIG)["metadata"]["resourceVersion"]
    assert kinds(objects, *wanted, check=True) == kinds(objects, *wanted) == ["unchanged"] * 3
    assert cluster.api.get(CONFIG)["metadata"]["resourceVersion"] == version
    changed = (NAMESPACE, config(b="2"), secret("first"))
    assert kinds(objects, *changed, check=True) == ["unchanged", "updated", "unchanged"]
    assert cluster.api.get(CONFIG)["data"] == {"a": "1"}
    assert kinds(objects, *changed) == ["unchanged", "updated", "unchanged"]
    assert cluster.api.get(CONFIG)["data"] == {"b": "2"}, "a key that is not given any more goes"


def test_what_others_changed_comes_back_and_what_they_added_stays(objects: Objects, cluster: Cluster) -> None:
    kinds(objects, NAMESPACE, config(a="1"))
    cluster.api.patch(CONFIG, {"metadata": {"labels": {LABEL: "shop"}}, "data": {"a": "other"}}, manager="someone")
    assert kinds(objects, config(a="1")) == ["updated"]
    found = cluster.api.get(CONFIG)
    assert found["data"] == {"a": "1"} and found["metadata"]["labels"] == {LABEL: "shop"}


def test_the_diff_shows_what_changes_and_no_value_of_a_secret(objects: Objects) -> None:
    kinds(objects, NAMESPACE, config(a="1"), secret("old-value"))
    settings, password = (change.diff for change in objects.apply([config(a="2"), secret("new-value")], True))
    assert "a: '1'" in settings["before"] and "a: '2'" in settings["after"]
    assert "managedFields" not in settings["before"] + settings["after"]
    text = str(password)
    assert password["before"] != "" and "differs" in password["after"]
    for value in ("old-value", "new-value"):
        assert value not in text and base64.b64encode(value.encode()).decode() not in text


def test_a_kind_and_an_object_of_it_go_in_one_call(objects: Objects, cluster: Cluster) -> None:
    wanted = (definition("Widget"), custom("Widget"))
    assert kinds(objects, *wanted, check=True) == ["created", "created"]
    assert kinds(objects, *wanted) == ["created", "created"]
    assert cluster.api.get("/apis/objects.example.org/v1/widgets/one")["size"] == 1
    assert kinds(objects, *wanted) == ["unchanged", "unchanged"]


def test_a_value_that_ansible_rendered_is_shown_in_check_mode(objects: Objects) -> None:
    """Such a value knows where it came from, and YAML cannot write that. What the API has not seen is shown as it was given."""
    rendered = {**custom("Gizmo"), "size": trust_as_template("large")}
    change = objects.apply(given([definition("Gizmo"), rendered], "definitions"), True)[1]
    assert (change.kind, "size: large" in change.diff["after"]) == ("created", True)


def test_a_kind_that_the_api_lacks_is_named(cluster: Cluster) -> None:
    with pytest.raises(ObjectsError, match=r"Gadget one cannot be applied: the API has no kind Gadget of .* Fix: "):
        Objects(cluster.api, 1).apply([custom("Gadget")], False)


def test_an_object_that_the_api_refuses_is_named(objects: Objects) -> None:
    kinds(objects, NAMESPACE)
    with pytest.raises(ObjectsError, match=r"ConfigMap objects/settings cannot be applied: .*422"):
        objects.apply(
            [{**config(), "metadata": {"name": "settings", "namespace": "objects", "labels": {"a b": ""}}}], True
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML once rendered"),
        ("just text", "without apiVersion, kind or metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}", "without apiVersion, kind or metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a/b}", "named 'a/b'"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ..}", "named '..'"),
    ],
)
def test_a_text_that_names_no_object_is_refused_with_its_source(text: str, message: str) -> None:
    with pytest.raises(ObjectsError, match=r"^template x\.yaml\.j2 ") as refused:
        parse(text, "template x.yaml.j2")
    assert message in str(refused.value) and "Fix: " in str(refused.value)
