# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.kubeadm import kubeadm_documents

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


def test_what_is_not_yaml_is_refused_with_a_hint():
    with pytest.raises(AnsibleFilterError, match="look at the settings"):
        kubeadm_documents("a: [")
