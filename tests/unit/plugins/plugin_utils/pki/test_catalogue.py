# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of certificates: whole in itself, and equal to what the roles' components have."""

from __future__ import annotations

import dataclasses
import itertools
import os
import typing as t
from collections.abc import Iterator, Mapping
from pathlib import Path

import jinja2
import jinja2.meta
import jinja2.nativetypes
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.pki import component_certificates
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import rotation
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki import catalogue, lineage
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import PkiError, Settings

ROLES = Path(os.path.realpath(__file__)).parents[5] / "roles"
PKI = "/pki"
HOST = "master1"
# Rotated, so that an active generation and a bundle are told apart.
GENERATIONS = {name: {"trusted": [1, 2], "active": 2} for name in rotation.NAMES}
EVERYWHERE: dict[str, t.Any] = {"generations": GENERATIONS, "addons": ["calicoctl"]}
# The settings with which each file of tasks that has certificates is run.
RUN_WITH: dict[str, list[dict[str, t.Any]]] = {
    "etcd/tasks/run.yml": [{}, {"installer": "kubeadm"}],
    "lb/tasks/main.yml": [{}, {"installer": "kubeadm"}],
    "kube_master/tasks/main.yml": [{}],
    "kube_node/tasks/main.yml": [{}],
    "kubeadm/tasks/masters.yml": [{"installer": "kubeadm"}],
    "cni/tasks/flannel.yml": [{"cni": "flannel"}],
    "cni/tasks/flannel_in_etcd.yml": [{"cni": "flannel", "datastore": "etcd"}],
    "cni/tasks/bridge.yml": [{"cni": "bridge"}],
    "cni/tasks/calicoctl.yml": [{"cni": "calico"}, {"cni": "calico", "datastore": "etcd"}],
}
EFFECTS = {"files": "restart", "reloaded": "reread", "reread": "reread"}


def settings(**values: t.Any) -> Settings:
    return Settings.of({**EVERYWHERE, **values})


# --- What the roles say


class Variables:
    """A role's variables, evaluated where they are asked for."""

    def __init__(self, role: str, values: Mapping[str, t.Any]) -> None:
        file = ROLES / role / "vars/main.yml"
        own = yaml.safe_load(file.read_text()) if file.exists() else {}
        self.values = {
            **own,
            "inventory_hostname": HOST,
            "cluster_pki": PKI,
            "cluster_pki_names": lineage.generation_names(GENERATIONS),
            "cluster_calico_in_etcd": values.get("cni") == "calico" and values.get("datastore") == "etcd",
        }
        self.environment = jinja2.nativetypes.NativeEnvironment()

    def evaluate(self, value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return {key: self.evaluate(item) for key, item in value.items()}
        if not isinstance(value, str) or "{{" not in value:
            return value
        names = jinja2.meta.find_undeclared_variables(self.environment.parse(value))
        return self.environment.from_string(value).render({name: self.evaluate(self.values[name]) for name in names})


def components_of(file: str) -> Iterator[dict[str, t.Any]]:
    for task in yaml.safe_load((ROLES / file).read_text()):
        component = task.get("hardway.kubernetes.component")
        if component and (component.get("pki") or sources(component)):
            yield component


def sources(component: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Files that are no kubeconfig and no template, and come from the PKI directory all the same."""
    files = component.get("files") or []
    return [item for item in files if isinstance(item, dict) and str(item.get("src")).startswith("{{ cluster_pki }}/")]


def described_by_roles(component: Mapping[str, t.Any], variables: Variables) -> dict[str, tuple[str, str]]:
    """By path: the file of the PKI directory, and the effect."""
    found = {item["dest"]: (item["src"].split("/")[-1], item["on_change"]) for item in sources(component)}
    pki = variables.evaluate(component.get("pki") or {})
    for kind, effect in EFFECTS.items():
        for name, source in (pki.get(kind) or {}).items():
            found[os.path.join(pki["path"], name)] = (source, effect)
    return found


@pytest.mark.parametrize(("file", "values"), [(file, values) for file, runs in RUN_WITH.items() for values in runs])
def test_the_table_equals_the_roles(file, values):
    components = list(components_of(file))
    assert components, f"{file} has no component with certificates"
    for component in components:
        expected = described_by_roles(component, Variables(file.split("/")[0], values))
        found = catalogue.certificates_of(component["name"], settings(**values), HOST)
        assert {path: (entry.source, entry.effect) for path, entry in found.items()} == expected, component["name"]


def test_no_component_is_missing():
    """Neither one of the roles in the table, nor one of the table in the roles."""
    files = {str(file.relative_to(ROLES)): list(components_of_any(file)) for file in ROLES.glob("*/tasks/**/*.yml")}
    assert {file for file, names in files.items() if names} == set(RUN_WITH)
    named = {name for names in files.values() for name in names}
    assert {consumer.component for entry in catalogue.ENTRIES for consumer in entry.consumers} == named


def test_the_report_asks_servers_for_the_certificates_of_the_table():
    """kubelet has its own from the cluster; the others make none of this table's."""
    groups = yaml.safe_load((ROLES / "cluster/vars/main/certificates.yml").read_text())
    for endpoint in itertools.chain(*groups["cluster_certificate_group_endpoints"].values()):
        if endpoint["component"] != "kubelet":
            assert endpoint.get("path", "") == catalogue.served_by(endpoint["component"], settings()), endpoint


def components_of_any(file: Path) -> Iterator[str]:
    if isinstance(yaml.safe_load(file.read_text()), list):
        yield from (component["name"] for component in components_of(str(file.relative_to(ROLES))))


# --- The table itself


def test_names_and_paths_are_unique():
    names = [entry.name for entry in catalogue.ENTRIES]
    assert len(set(names)) == len(names)
    for values in [values for runs in RUN_WITH.values() for values in runs]:
        paths = [(file.component, file.path) for file in catalogue.host_files(settings(**values), HOST)]
        assert len(set(paths)) == len(paths)


def test_a_path_has_one_source_whoever_writes_it():
    """Components of a host share a directory: none may write a file of another's differently."""
    for values in [values for runs in RUN_WITH.values() for values in runs]:
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
