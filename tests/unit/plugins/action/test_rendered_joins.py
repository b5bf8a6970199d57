# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node that joins is sent: its own token, and none where the controller refuses it. No host is asked."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import Authority, pem

KUBECONFIG = "/etc/kubernetes/bootstrap.kubeconfig"
CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
TOKENS = {"master1": "aaaaaa.0123456789abcdef", "node1": "bbbbbb.fedcba9876543210"}
ROTATING = {"generations": {"kubelet-ca": {"trusted": [1, 2], "active": 2}}, "stage": None}


def certificate(state):
    """What a host returns of its kubelet's certificate, which this cluster's authority has issued."""
    authority = Authority()
    (state / "pki").mkdir()
    (state / "pki/kubelet-ca.pem").write_bytes(pem(authority.certificate))
    return {"present": True, "expired": False, "pem": authority.issue("system:node:node1")[0].decode()}


@pytest.mark.parametrize("host", sorted(TOKENS))
def test_a_node_has_its_own_token_and_no_other(tmp_path, host):
    kubelet = rendered.components(host, tmp_path, kube_node_join={"tokens": TOKENS, "refused": {}})["kubelet"]
    user = yaml.safe_load(kubelet["texts"][KUBECONFIG])["users"][0]["user"]
    assert user == {"token": TOKENS[host]}
    other = next(token for name, token in TOKENS.items() if name != host)
    assert not [path for path, text in kubelet["texts"].items() if other in text]
    assert CERTIFICATE in kubelet["absent"]
    assert kubelet["health"]["skip"]
    effects = {item["path"]: (item["mode"], item["on_change"]) for item in kubelet["files"]}
    assert effects[KUBECONFIG] == ("0600", "restart_once")


def test_a_node_that_is_refused_is_sent_nothing_and_keeps_what_it_has(tmp_path):
    refused = {"tokens": {"master1": TOKENS["master1"]}, "refused": {"node1": "its Node is Ready"}}
    kubelet = rendered.components("node1", tmp_path, kube_node_join=refused)["kubelet"]
    assert KUBECONFIG not in kubelet["texts"]
    assert CERTIFICATE not in kubelet["absent"]
    assert not kubelet["health"]["skip"]


def test_the_plan_knows_no_token_yet(tmp_path):
    kubelet = rendered.components("node1", tmp_path)["kubelet"]
    assert yaml.safe_load(kubelet["texts"][KUBECONFIG])["users"][0]["user"] == {"token": "(made by the run)"}


def test_what_a_node_joined_with_goes_with_kube_proxy(tmp_path):
    assert KUBECONFIG in rendered.components("node1", tmp_path)["kube-proxy"]["absent"]


@pytest.mark.parametrize(
    ("settings", "renewing"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"kube_node_renew": True}, True, id="renew"),
        pytest.param({"kube_node_renew": "false"}, False, id="text of the command line"),
        pytest.param({"rotation_run": {"rotation": ROTATING}}, True, id="rotation of the authority"),
    ],
)
def test_only_the_controller_renews_nodes_that_are_ready(tmp_path, settings, renewing):
    assert rendered.value("node1", "kube_node", "kube_node_renewing", tmp_path, **settings) is renewing


def test_kubeadm_joins_each_host_with_its_own_token(tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca-bundle.pem").write_bytes(pem(Authority().certificate))
    settings = {"cluster_installer": "kubeadm", "kubeadm_join": {"tokens": TOKENS, "joining": ["node1"]}}
    for host, token in TOKENS.items():
        text = rendered.value(host, "kubeadm", "kubeadm_join_config", tmp_path, **settings)
        assert next(yaml.safe_load_all(text))["discovery"]["bootstrapToken"]["token"] == token
    asking = {**settings, "kubeadm_asking": ["master1", "node1"]}
    assert rendered.value("node1", "kubeadm", "kubeadm_joining", tmp_path, **asking) == ["node1"]
    asking["kubeadm_join"] = {"skipped": True}
    assert rendered.value("node1", "kubeadm", "kubeadm_joining", tmp_path, **asking) == ["master1", "node1"]


@pytest.mark.parametrize("renew", [True, "true", False, "false"])
def test_who_asks_to_join(tmp_path, renew):
    """By the command line a setting is a text."""
    assert rendered.value("node1", "kube_node", "kube_node_asks", tmp_path, kube_node_renew=renew) is True
    signed = {"facts": {**rendered.HOST, "kubelet_certificate": certificate(tmp_path)}}
    asks = rendered.value("node1", "kube_node", "kube_node_asks", tmp_path, kube_node_renew=renew, hardway_host=signed)
    assert asks is (str(renew).lower() == "true")
