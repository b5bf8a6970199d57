# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of certificates: whole in itself, and equal to what the roles' components have."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.pki import component_certificates
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import rotation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki import catalogue, lineage
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import PkiError, Settings

ROLES = Path(os.path.realpath(__file__)).parents[5] / "roles"
PKI = "/pki"
HOST = "master1"
# Rotated, so that an active generation and a bundle are told apart.
GENERATIONS = {name: {"trusted": [1, 2], "active": 2} for name in rotation.NAMES}
EVERYWHERE: dict[str, t.Any] = {"generations": GENERATIONS, "addons": ["calicoctl"]}
# Settings in which each of the table's entries is wanted at least once.
RUNS: list[dict[str, t.Any]] = [
    {},
    {"installer": "kubeadm"},
    {"cni": "flannel"},
    {"cni": "flannel", "datastore": "etcd"},
    {"cni": "bridge"},
    {"cni": "calico"},
    {"cni": "calico", "datastore": "etcd"},
]


def settings(**values: t.Any) -> Settings:
    return Settings.of({**EVERYWHERE, **values})


# --- Who has them


def declared() -> dict[str, list[dict[str, t.Any]]]:
    """The declarations of components, by name."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for path in sorted(ROLES.glob("*/components/*.yml")):
        component = yaml.safe_load(path.read_text(encoding="utf-8"))
        found.setdefault(component["name"], []).append(component)
    return found


def test_who_has_certificates_is_a_component_that_a_role_declares():
    """One of haproxy's lies beside its configuration; all others say where theirs are."""
    components = declared()
    named = {consumer.component for entry in catalogue.ENTRIES for consumer in entry.consumers}
    assert named <= set(components)
    assert {name for name, all_of_it in components.items() if any("pki" in item for item in all_of_it)} == named - {
        "haproxy"
    }


def test_no_declaration_repeats_the_table():
    for components in declared().values():
        for component in components:
            files = component.get("files") or []
            sources = [str(item.get("src")) for item in files if isinstance(item, dict)]
            assert not [source for source in sources if source.startswith("{{ cluster_pki }}")], component["name"]
            assert set(component.get("pki", {})) <= {"path", "owner"}, component["name"]


@pytest.mark.parametrize("effect", ["restart", "reload", "reread"])
def test_each_effect_has_a_user(effect):
    assert effect in {consumer.effect for entry in catalogue.ENTRIES for consumer in entry.consumers}


def test_the_report_asks_servers_for_the_certificates_of_the_table():
    """kubelet has its own from the cluster; the others make none of this table's."""
    served = declarations.endpoints(declarations.declarations(lambda path: yaml.safe_load(Path(path).read_text())))
    assert {endpoint["component"] for endpoint in served} >= {"etcd", "kube-apiserver", "kube-scheduler", "kubelet"}
    for endpoint in served:
        if endpoint["component"] != "kubelet":
            assert (endpoint["path"] or "") == catalogue.served_by(endpoint["component"], settings()), endpoint


# --- The table itself


def test_names_and_paths_are_unique():
    names = [entry.name for entry in catalogue.ENTRIES]
    assert len(set(names)) == len(names)
    for values in RUNS:
        paths = [(file.component, file.path) for file in catalogue.host_files(settings(**values), HOST)]
        assert len(set(paths)) == len(paths)


def test_a_path_has_one_source_whoever_writes_it():
    """Components of a host share a directory: none may write a file of another's differently."""
    for values in RUNS:
        known: dict[str, str] = {}
        for file in catalogue.host_files(settings(**values), HOST):
            assert known.setdefault(file.path, file.source) == file.source, file


def test_what_rotates_is_what_the_table_has():
    rotated = [entry.name for entry in catalogue.ENTRIES if isinstance(entry, catalogue.Rotated)]
    assert tuple(rotated) == rotation.NAMES
    assert {ca for bundle in catalogue.entries(catalogue.Bundle) for ca in bundle.cas} == set(lineage.CAS)


def test_certificates_name_a_ca_and_have_names_where_they_serve():
    for entry in catalogue.entries(catalogue.Certificate):
        assert entry.ca in lineage.CAS, entry.name
        assert bool(entry.names) == (entry.profile != "client"), entry.name
        assert bool(entry.hosts) == (catalogue.HOST in entry.name), entry.name


def test_no_private_key_can_be_read_by_others():
    for file in catalogue.host_files(settings(), HOST):
        assert (file.mode == "0600") == file.source.endswith("-key.pem"), file


def test_the_role_ca_passes_all_settings():
    passed = yaml.safe_load((ROLES / "ca/vars/main.yml").read_text())["ca_settings"]
    assert set(passed) == {field.name for field in dataclasses.fields(Settings)}


# --- What is asked of it


def test_only_the_names_that_a_declaration_asks_for():
    found = catalogue.certificates_of("etcd", settings(), HOST, ["etcd-{host}"])
    assert sorted(found) == ["/etc/etcd/pki/etcd-key.pem", "/etc/etcd/pki/etcd.pem"]


def test_a_name_that_the_component_has_no_file_of_is_refused():
    with pytest.raises(PkiError, match=r"component etcd: admin is not one of .* etcd-ca-bundle, etcd-\{host\}\. Fix: "):
        catalogue.certificates_of("etcd", settings(), HOST, ["etcd-ca-bundle", "admin"])


def test_as_a_filter():
    found = component_certificates("kube-controller-manager", {"generations": GENERATIONS}, HOST)
    assert found["/etc/kubernetes/pki/kubelet-ca-key.pem"] == {
        "name": "kubelet-ca",
        "source": "kubelet-ca-2-key.pem",
        "effect": "restart",
        "mode": "0600",
    }
    with pytest.raises(AnsibleFilterError, match="component_certificates: cnii: no such setting"):
        component_certificates("etcd", {"cnii": "flannel"}, HOST)


def test_who_uses_a_file():
    found = catalogue.consumers_by_path(settings(cni="bridge"), HOST)
    assert [(file.component, file.effect) for file in found["/etc/kubernetes/pki/ca.pem"]] == [
        ("kube-apiserver", "reread"),
        ("kube-controller-manager", "restart"),
        ("kube-scheduler", "restart"),
        ("kubelet", "restart"),
        ("kube-proxy", "restart"),
        ("pod-routes", "restart"),
    ]


@pytest.mark.parametrize(
    ("component", "values", "path"),
    [
        ("etcd", {}, "/etc/etcd/pki/etcd.pem"),
        ("kube-apiserver", {}, "/etc/kubernetes/pki/kube-apiserver.pem"),
        ("kube-apiserver", {"installer": "kubeadm"}, ""),
        ("kubeadm", {"installer": "kubeadm"}, "/etc/kubernetes/pki/apiserver.crt"),
        ("kube-scheduler", {}, ""),
    ],
)
def test_what_a_component_serves_with(component, values, path):
    assert catalogue.served_by(component, settings(**values)) == path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "are not a dictionary"),
        ({"etcd_hosts": "master1"}, "etcd_hosts: 'master1' is not a list"),
        ({"subject": "CN=x"}, "subject: 'CN=x' is not a dictionary"),
        ({"adopted": {}}, "adopted: no such setting"),
    ],
)
def test_settings_that_are_refused(values, message):
    with pytest.raises(PkiError, match=message):
        Settings.of(values)
