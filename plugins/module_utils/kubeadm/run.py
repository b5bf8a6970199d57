# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One phase of kubeadm on one host: observe, plan, apply.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import Peers, may_restart
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.host import Host, System
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import Phase, Spec
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.plan import plan, plan_manifests


def run(
    spec: Spec,
    phase: Phase,
    check_mode: bool = False,
    defer_restart: bool = False,
    system: System | None = None,
    peers: Peers | None = None,
) -> dict[str, t.Any]:
    """Bring the host to *spec*, as far as *phase* is concerned, and return the module's result.

    ``init``: a control plane's static pods are as configured. ``upload-config``: the cluster keeps its configuration. ``join``: the host is a
    node. ``kubelet-config``: its kubelet is as the cluster configures it. ``kube-proxy``: every node runs kube-proxy as configured.
    ``stop-gracefully``: kubelet and the API server are stopped, before a kubelet of another version starts.

    With *defer_restart*, where a running control plane would have to restart, nothing is done and the result says ``deferred``. Where
    one of *peers* is not healthy, nothing is done either, and the result names it (``ill``).
    Raises KubeadmError with what is wrong, where, and how to fix it.
    """
    host = Host(spec, system)
    actions = plan(host, phase)
    result: dict[str, t.Any] = {
        "changed": bool(actions),
        "changes": [str(action) for action in actions],
        "deferred": False,
        "diff": [action.diff() for action in actions],
    }
    if check_mode:
        return result
    if any(action.restarts for action in actions) and host.has_control_plane() and host.sandboxes():
        if defer_restart:
            return {**result, "deferred": True}
        verdict = may_restart(peers, host.system.probe)
        if verdict.refused:
            return {**result, "deferred": True, "ill": dict(verdict.ill)}
    for action in actions:
        action.apply(host)
    if phase == "kubelet-config" or (phase == "init" and not actions):
        host.wait_for_static_pods()
    if actions and phase == "init":
        # An upgrade starts from the cluster's configuration: what this host's own adds to it comes after it.
        for action in plan_manifests(host):
            result["changes"].append(str(action))
            action.apply(host)
    return result
