# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The CIS Kubernetes Benchmark 1.12 on what the roles render: each control by its id, for both installers, and its row in docs/cis.md."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import from_description
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import KUBELET_CONFIG_MODE
from ansible_collections.hardway.kubernetes.tests.e2e.harness import cis
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

PAGE = rendered.ROOT / "docs" / "cis.md"
INSTALLERS = ["binaries", "kubeadm"]
OURS = cis.Entry(0o600, "root:root")
# What Kubernetes' own programs write, and no role: kubelet its kubeconfig, and kubeadm the static pods
# (k8s.io/kubernetes/cmd/kubeadm/app/util/staticpod/utils.go, WriteStaticPodToDisk). The mode of kubelet's configuration is that of a plan.
MADE = {
    "binaries": {"/etc/kubernetes/kubelet.kubeconfig": OURS},
    "kubeadm": {
        **{f"/etc/kubernetes/manifests/{name}.yaml": OURS for name in (cis.APISERVER, cis.MANAGER, cis.SCHEDULER)},
        "/etc/kubernetes/kubelet.conf": OURS,
        "/var/lib/kubelet/config.yaml": cis.Entry(KUBELET_CONFIG_MODE, "root:root"),
    },
}
# What kubeadm gives each process beside what its configuration says (cmd/kubeadm/app/phases/controlplane/manifests.go).
GIVEN_BY_KUBEADM = {
    cis.APISERVER: (
        "kubelet-client-certificate kubelet-client-key authorization-mode=Node,RBAC enable-admission-plugins=NodeRestriction "
        "service-account-key-file etcd-certfile etcd-keyfile etcd-cafile tls-cert-file tls-private-key-file client-ca-file"
    ),
    cis.MANAGER: "use-service-account-credentials=true service-account-private-key-file root-ca-file bind-address=127.0.0.1",
    cis.SCHEDULER: "bind-address=127.0.0.1",
}
SECTIONS = {cis.APISERVER: "apiServer", cis.MANAGER: "controllerManager", cis.SCHEDULER: "scheduler"}


class Rendered:
    """A host of which nothing is there but what its components are described to be."""

    def __init__(self, installer, components):
        self.installer = installer
        self.components = components
        self.texts = {path: text for item in components.values() for path, text in item["texts"].items()}
        documents = yaml.safe_load_all(self.texts.get("/etc/kubernetes/kubeadm.yaml", ""))
        self.documents = {item["kind"]: item for item in documents if item}
        self.entries = dict(MADE[installer])
        for item in components.values():
            kept = {key: value for key, value in item.items() if key not in ("texts", "absent", "peers")}
            component = from_description(kept)
            owned = [file for file in component.files if not file.absent] + component.directories
            for thing in owned + ([component.unit_file] if component.unit else []):
                self.entries[thing.path] = cis.Entry(thing.mode, f"{thing.owner}:{thing.group}")

    def arguments(self, process):
        if self.installer == "kubeadm" and process in SECTIONS:
            extra = self.documents["ClusterConfiguration"][SECTIONS[process]]["extraArgs"]
            given = [word if "=" in word else f"{word}=/x" for word in GIVEN_BY_KUBEADM[process].split()]
            return {
                **cis.arguments(f"--{word}" for word in given),
                **{item["name"]: item["value"] for item in extra},
            }
        command = re.search(r"^ExecStart=((?:.*\\\n)*.*)", self.components[process]["unit"], re.MULTILINE)
        return cis.arguments(shlex.split(command.group(1).replace("\\\n", " ")))

    def entry(self, path):
        return self.entries.get(path)

    def below(self, directory):
        return {path: entry for path, entry in self.entries.items() if path.startswith(f"{directory}/")}

    def text(self, path):
        return self.texts.get(path, "")

    def configuration(self, name):
        if self.installer == "kubeadm":
            return self.documents["KubeletConfiguration" if name == "kubelet" else "KubeProxyConfiguration"]
        return yaml.safe_load(self.texts[f"/etc/kubernetes/{name}.yaml"])


@pytest.fixture(name="host", scope="module")
def make_host(tmp_path_factory):
    """A function from an installer and settings to a master that is a node and a member of etcd."""
    state, kept = tmp_path_factory.mktemp("state"), {}

    def host(installer, **settings):
        key = json.dumps([installer, settings], sort_keys=True)
        if key not in kept:
            components = rendered.components("master1", state, cluster_installer=installer, **settings)
            kept[key] = Rendered(installer, components)
        return kept[key]

    return host


def ids(controls):
    return [control.id for control in controls]


CHECKED = [control for control in cis.CONTROLS if control.check]
AUTOMATED = [control for control in CHECKED if control.automated]


def test_the_benchmark_is_there_as_a_whole():
    """As many as the benchmark has: of control planes, etcd, their configuration, and nodes."""
    counted = {
        (group, kind): len([c for c in cis.CONTROLS if c.id.startswith(f"{group}.") and c.kind == kind])
        for group in "1234"
        for kind in ("automated", "manual")
    }
    assert counted == {
        ("1", "automated"): 47, ("1", "manual"): 13, ("2", "automated"): 6, ("2", "manual"): 1,
        ("3", "automated"): 0, ("3", "manual"): 5, ("4", "automated"): 12, ("4", "manual"): 13,
    }  # fmt: skip


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.parametrize("control", AUTOMATED, ids=ids(AUTOMATED))
def test_every_automated_control_passes_by_default(host, control, installer):
    assert control.check(host(installer)) == ""


def rows():
    """id -> (kind, state) of the page's tables."""
    found = re.findall(
        r"^\| (\d(?:\.\d+)+) \| (\w+) \|[^|]*\| (\w+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len({row[0] for row in found}) == len(found), "a control has one row"
    return {number: (kind, state) for number, kind, state in found}


def test_the_page_has_each_control():
    assert {number: kind for number, (kind, _state) in rows().items()} == {c.id: c.kind for c in cis.CONTROLS}


@pytest.mark.parametrize("control", CHECKED, ids=ids(CHECKED))
def test_the_page_says_what_holds(host, control):
    if not any(control.check(host(installer)) for installer in INSTALLERS):
        state = "passes"
    elif not any(control.check(host(installer, cluster_hardening="cis")) for installer in INSTALLERS):
        state = "cis"
    else:
        state = "no"
    assert rows()[control.id][1] == state


def test_what_cannot_be_looked_at_is_not_said_to_pass():
    unchecked = [control.id for control in cis.CONTROLS if not control.check]
    assert {rows()[number][1] for number in unchecked} <= {"met", "yours"}


def test_the_page_tells_a_scanner_where_the_files_are():
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    told = next(block for block in map(yaml.safe_load, blocks) if "master" in block)
    places = cis.PLACES["binaries"]
    master, kubelet = told["master"], told["node"]["kubelet"]
    assert [master[name]["confs"] for name in ("apiserver", "controllermanager", "scheduler", "etcd")] == [
        places[name] for name, _number in cis.SPECIFICATIONS
    ]
    assert master["scheduler"]["kubeconfig"] == places["scheduler kubeconfig"]
    assert master["controllermanager"]["kubeconfig"] == places["manager kubeconfig"]
    assert told["etcd"]["etcd"]["confs"] == places["etcd"]
    assert (kubelet["svc"], kubelet["confs"]) == (places["kubelet"], places["kubelet configuration"])
    assert kubelet["kubeconfig"] == places["kubelet kubeconfig"]
    assert told["node"]["proxy"]["kubeconfig"] == places["proxy kubeconfig"]


# --- by version


def test_arguments_that_a_version_does_not_know_are_left_out(host):
    def plugins(version):
        return host("binaries", cluster_kubernetes_version=version).arguments(cis.APISERVER)["enable-admission-plugins"]

    def kubelet(version):
        return host("binaries", cluster_kubernetes_version=version).configuration("kubelet")

    assert "DenyServiceExternalIPs" not in plugins("1.20.15") and "DenyServiceExternalIPs" in plugins("1.21.1")
    assert "seccompDefault" not in kubelet("1.24.1") and kubelet("1.25.1")["seccompDefault"] is True
    assert kubelet("1.20.15")["podPidsLimit"] == 4096


@pytest.mark.parametrize("installer", INSTALLERS)
def test_hardening_limits_events_and_pulls_what_can_be_pulled(host, installer):
    place = {"binaries": "/etc/kubernetes/admission.yaml", "kubeadm": "/etc/kubernetes/apiserver/admission.yaml"}
    hardened = host(installer, cluster_hardening="cis")
    plugins = {item["name"] for item in yaml.safe_load(hardened.text(place[installer]))["plugins"]}
    assert plugins == {"PodSecurity", "EventRateLimit"}
    archives = host(installer, cluster_hardening="cis", cluster_image_source="archive").arguments(cis.APISERVER)
    assert archives["enable-admission-plugins"] == "NodeRestriction,DenyServiceExternalIPs,EventRateLimit"
    default = yaml.safe_load(host(installer).text(place[installer]))
    assert [item["name"] for item in default["plugins"]] == ["PodSecurity"]


def test_options_of_etcd_are_laid_over_its_arguments(host):
    given = {"snapshot-count": 5000, "log-level": None, "peer-transport-security": {"allowed-cn": "member"}}
    arguments = host("binaries", etcd_config=given).arguments("etcd")
    assert arguments["snapshot-count"] == "5000" and arguments["peer-cert-allowed-cn"] == "member"
    assert "log-level" not in arguments and "peer-transport-security" not in arguments
    assert arguments["peer-client-cert-auth"] == "true"
