#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm
short_description: Run a phase of kubeadm on a host, as far as it is not done yet
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Observes what kubeadm has made of the host, compares it with what kubeadm itself would render from its configuration, and runs the
    commands that lead from one to the other. Nothing is remembered, so an interrupted run is continued by the next.
  - The keys of the CAs are not on the host (kubeadm calls that an external CA). Certificates and kubeconfigs are there before.
  - Control planes that have to restart do so one at a time. When one does not become healthy, those after it are not touched.
options:
  phase:
    description:
      - V(init) - the static pods of a control plane are as O(config) has them, and healthy. Where there are none they are created by
        C(kubeadm init); those of another version are upgraded by C(kubeadm upgrade apply) on the first control plane and C(kubeadm upgrade node)
        on the others.
      - V(upload-config) - the cluster keeps its configuration, and the RBAC of nodes, as O(config) has them.
      - V(join) - the host is a node, or a further control plane. Its requests for certificates are approved from the controller.
      - V(kubelet-config) - its kubelet is configured as the cluster has it, and what it joined with is removed.
      - V(stop-gracefully) - for a control plane whose kubelet is about to be of another version. kubelet is stopped, and then the API server
        gracefully, because such a kubelet replaces static pods and kills running ones after 2 seconds. Both start when kubelet starts.
      - V(kube-proxy) - all nodes run kube-proxy as O(config) has it. It is rolled out when O(digest) changes, and waited for.
    type: str
    required: true
    choices: [init, upload-config, join, kubelet-config, stop-gracefully, kube-proxy]
  version:
    description: Version of Kubernetes, without a v.
    type: str
    required: true
  control_plane:
    description: Whether the host runs the control plane.
    type: bool
    default: false
  config:
    description: kubeadm's configuration on the host. Control planes have one.
    type: path
    default: /etc/kubernetes/kubeadm.yaml
  join_config:
    description: A JoinConfiguration with a token, for a host that is not a node yet. It is on the host only while C(kubeadm join) runs.
    type: str
    default: ""
  inputs:
    description: For each static pod the files that its process reads only at its start. When one changes, the pod restarts.
    type: dict
    default: {}
  digest:
    description: Text that stands for the configuration of the whole cluster, kept on the ConfigMap C(kubeadm-config), or of kube-proxy, kept on its pods.
    type: str
    default: ""
  api_port:
    description: Port of kube-apiserver on the host.
    type: int
    default: 6443
  ignore_preflight_errors:
    description: Names of kubeadm's own checks that may fail.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds after which a static pod that is not healthy counts as failed.
    type: float
    default: 240
  bin_dir:
    description: Directory on the host with kubeadm, kubectl and crictl.
    type: path
    default: /usr/local/bin
  defer_restart:
    description: Set by the action plugin, which restarts one host at a time.
    type: bool
    default: false
  peers:
    description:
      - The control planes that have to be healthy before that of a host restarts - C(members) with C(name) and C(address), C(port), C(path),
        and C(ca) on the host.
      - One that is not healthy itself may restart all the same.
    type: dict
attributes:
  check_mode:
    support: full
    description: Reports what would be initialised, joined, upgraded or restarted, and why.
  diff_mode:
    support: full
    description: Shows the manifests of static pods and kubelet's configuration.
seealso:
  - name: kubeadm init
    description: Its phases, and the external CA mode.
    link: https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-init/
"""

EXAMPLES = r"""
- name: Run the control plane
  hardway.kubernetes.kubeadm:
    phase: init
    control_plane: true
    version: 1.36.3
"""

RETURN = r"""
changes:
  description: What was done, one line for each action, with its reason.
  type: list
  elements: str
  returned: success
  sample: ["kube-apiserver: restarted, because --goaway-chance changed"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import Peers
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import PHASES, Spec
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.run import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "phase": {"type": "str", "required": True, "choices": list(PHASES)},
            "version": {"type": "str", "required": True},
            "control_plane": {"type": "bool", "default": False},
            "config": {"type": "path", "default": Spec.config},
            "join_config": {"type": "str", "default": "", "no_log": True},
            "inputs": {"type": "dict", "default": {}},
            "digest": {"type": "str", "default": ""},
            "api_port": {"type": "int", "default": Spec.api_port},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": Spec.timeout},
            "bin_dir": {"type": "path", "default": Spec.bin_dir},
            "defer_restart": {"type": "bool", "default": False},
            "peers": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    spec = Spec(
        version=params["version"],
        control_plane=params["control_plane"],
        config=params["config"],
        join=params["join_config"],
        inputs=params["inputs"],
        digest=params["digest"],
        api_port=params["api_port"],
        ignore=tuple(params["ignore_preflight_errors"]),
        timeout=params["timeout"],
        bin_dir=params["bin_dir"],
    )
    try:
        peers = Peers.of(params["peers"])
        module.exit_json(**run(spec, params["phase"], module.check_mode, params["defer_restart"], peers=peers))
    except (HardwayError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
