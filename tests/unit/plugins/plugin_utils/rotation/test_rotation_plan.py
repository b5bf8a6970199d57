# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rotation.plan import problems, stale_workloads

WEB = {"kind": "Deployment", "namespace": "shop", "name": "web", "pods": ["web-1"]}
BARE = {"kind": "", "namespace": "default", "name": "", "pods": ["debug", "debug-2"], "reason": "nothing owns it"}


def test_kubeadm_rotates_keys_only():
    (problem,) = problems("kubeadm", ["ca", "etcd-ca"])
    assert problem.where == "cluster_installer" and "rotate_keys" in problem.fix
    assert problems("kubeadm", ["service-account"]) == []
    assert problems("binaries", ["ca", "etcd-ca"]) == []


def test_what_was_not_restarted_is_named():
    assert stale_workloads({"left": [BARE], "old": [WEB]}, report=False) == ["default/debug, debug-2"]


def test_to_report_names_what_could_be_restarted_as_well():
    found = stale_workloads({"left": [BARE], "old": [WEB]}, report=True)
    assert found == ["default/debug, debug-2", "Deployment shop/web"]


def test_a_task_that_was_skipped_holds_nothing_up():
    assert stale_workloads({"skipped": True}, report=True) == []
