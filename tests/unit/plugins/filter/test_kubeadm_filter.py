# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.kubeadm import (
    kubeadm_documents,
    kubeadm_overrides,
    kubeadm_proxy,
    kubeadm_registration,
)

TEXT = """
kind: ClusterConfiguration
apiServer: {extraArgs: {profiling: false, kept: [a, b]}, certSANs: [one]}
---
kind: KubeletConfiguration
maxPods: 110
"""


def documents(over=None):
    return {document["kind"]: document for document in yaml.safe_load_all(kubeadm_documents(TEXT, over))}


def test_arguments_become_kubeadms_lists_in_the_order_of_their_names():
    assert documents()["ClusterConfiguration"]["apiServer"]["extraArgs"] == [
        {"name": "kept", "value": "a,b"},
        {"name": "profiling", "value": "false"},
    ]


def test_settings_are_laid_over_by_kind_and_name():
    arguments = {"extraArgs": {"profiling": None, "v": 2}}
    over = {
        "ClusterConfiguration": {"apiServer": arguments},
        "KubeletConfiguration": {"maxPods": 60},
        "JoinConfiguration": {"x": 1},
    }
    merged = documents(over)
    assert merged["ClusterConfiguration"]["apiServer"] == {
        "extraArgs": [{"name": "kept", "value": "a,b"}, {"name": "v", "value": "2"}],
        "certSANs": ["one"],
    }
    assert merged["KubeletConfiguration"]["maxPods"] == 60
    assert set(merged) == {"ClusterConfiguration", "KubeletConfiguration"}


def test_kubeadms_own_form_of_arguments_is_taken_too():
    over = {"ClusterConfiguration": {"apiServer": {"extraArgs": [{"name": "kept", "value": "c"}]}}}
    assert {"name": "kept", "value": "c"} in documents(over)["ClusterConfiguration"]["apiServer"]["extraArgs"]


def test_variables_and_volumes_are_merged_by_their_names():
    text = """
kind: ClusterConfiguration
apiServer:
  extraEnvs: [{name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]
  extraVolumes: [{name: settings, hostPath: /a, mountPath: /a}, {name: audit, hostPath: /b, mountPath: /b}]
"""
    over = {
        "extraEnvs": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
        "extraVolumes": {"audit": {"hostPath": "/c"}, "settings": None},
    }
    assert yaml.safe_load(kubeadm_documents(text, {"ClusterConfiguration": {"apiServer": over}}))["apiServer"] == {
        "extraEnvs": [
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            {"name": "HTTPS_PROXY", "value": "http://proxy"},
        ],
        "extraVolumes": [{"name": "audit", "hostPath": "/c", "mountPath": "/b"}],
    }


def test_what_is_not_yaml_is_refused_with_a_fix():
    with pytest.raises(AnsibleFilterError, match="Fix: check the settings"):
        kubeadm_documents("a: [")


def test_the_last_override_wins_in_kubeadms_form_too():
    first = {"ClusterConfiguration": {"apiServer": {"extraArgs": {"v": 1, "kept": "x", "profiling": True}}}}
    last = {"ClusterConfiguration": {"apiServer": {"extraArgs": [{"name": "v", "value": 2}]}}}
    removed = {"ClusterConfiguration": {"apiServer": {"extraArgs": {"profiling": None}}}}
    texts = kubeadm_documents(TEXT, first, last, None, removed)
    assert next(yaml.safe_load_all(texts))["apiServer"]["extraArgs"] == [
        {"name": "kept", "value": "x"},
        {"name": "v", "value": "2"},
    ]


def test_settings_of_components_go_where_kubeadm_has_them():
    arguments = {"apiserver": {"v": 2}, "kubelet": {"maxPods": 60}, "scheduler": None}
    merged = documents(kubeadm_overrides(arguments))
    assert {"name": "v", "value": "2"} in merged["ClusterConfiguration"]["apiServer"]["extraArgs"]
    assert merged["ClusterConfiguration"]["scheduler"] == {"extraArgs": []}
    assert merged["KubeletConfiguration"]["maxPods"] == 60


def test_a_component_that_kubeadm_does_not_have_is_refused():
    with pytest.raises(AnsibleFilterError, match=r"kubelets is unknown. Fix: use apiserver, "):
        kubeadm_overrides({"kubelets": {}})


def test_a_host_registers_with_its_labels_and_taints():
    found = kubeadm_registration("node1", "192.0.2.31")
    assert (found["name"], found["taints"], found["imagePullPolicy"]) == ("node1", [], "IfNotPresent")
    assert found["kubeletExtraArgs"] == {"node-ip": "192.0.2.31"}
    taints = [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": "c", "effect": "NoExecute"}]
    found = kubeadm_registration(
        "node1", "192.0.2.31", "archive", {"disk": "ssd"}, taints, {"v": 2, "node-ip": "192.0.2.32"}
    )
    assert found["imagePullPolicy"] == "Never"
    assert found["kubeletExtraArgs"] == {
        "node-ip": "192.0.2.32",
        "node-labels": {"disk": "ssd"},
        "register-with-taints": ["a=:NoSchedule", "b=c:NoExecute"],
        "v": 2,
    }


CLUSTER = """
kind: ClusterConfiguration
kubernetesVersion: v1.36.3
controlPlaneEndpoint: 192.0.2.100:6443
{more}
---
kind: KubeProxyConfiguration
mode: iptables
"""


def test_kube_proxy_is_made_from_its_version_place_and_configuration():
    assert kubeadm_proxy(CLUSTER.format(more="imageRepository: mirror.example.org")) == {
        "version": "v1.36.3",
        "repository": "mirror.example.org",
        "server": "192.0.2.100:6443",
        "configuration": {"kind": "KubeProxyConfiguration", "mode": "iptables"},
    }
    assert kubeadm_proxy(CLUSTER.format(more="apiServer: {timeoutForControlPlane: 4m}"))["repository"] == ""
    assert kubeadm_proxy(CLUSTER.format(more="proxy: {disabled: true}")) == {}


def test_documents_without_kube_proxy_are_refused():
    with pytest.raises(AnsibleFilterError, match="no KubeProxyConfiguration among the documents"):
        kubeadm_proxy("kind: ClusterConfiguration")
