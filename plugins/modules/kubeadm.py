#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm
short_description: Initialise, join, change and upgrade a host by kubeadm, as far as it is not done yet
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Looks at what kubeadm has made of the host, compares it with what kubeadm itself would render from its configuration, and runs the
    commands that lead from one to the other. Nothing is remembered, so a run that died is finished by the next.
  - Authorities' keys are not on the host (kubeadm calls that an external CA). Certificates and kubeconfigs are there before.
  - Masters whose control plane has to restart take turns. When one does not get healthy, those behind it are left as they are.
options:
  state:
    description:
      - V(initialised) - a master's static pods are as O(config) has them, and healthy. Where there are none they are made by C(kubeadm init); those of
        another version are upgraded by C(kubeadm upgrade apply) on the first master and C(kubeadm upgrade node) on the others.
      - V(joined) - the host is a node, or a further master. Its requests for certificates are approved from elsewhere.
      - V(configured) - its kubelet is configured as the cluster has it, and what it joined with is gone.
      - V(left) - a master whose kubelet is about to be of another version. kubelet is stopped, and the API server has left gently, for such a kubelet
        makes static pods anew and kills in 2 seconds what it finds. Both are started by kubelet's start.
      - V(settled) - the cluster keeps its configuration, and the RBAC of nodes, as O(config) has them.
      - V(proxied) - all nodes run kube-proxy as O(config) has it. It is rolled out when O(digest) is another one, and waited for.
    type: str
    required: true
    choices: [initialised, settled, joined, configured, left, proxied]
  version:
    description: Version of Kubernetes, without a v.
    type: str
    required: true
  control_plane:
    description: Whether the host is a master.
    type: bool
    default: false
  config:
    description: kubeadm's configuration on the host. Masters have one.
    type: path
    default: /etc/kubernetes/kubeadm.yaml
  join_config:
    description: A JoinConfiguration with a token, for a host that is not a node yet. It is on the host for as long as C(kubeadm join) runs.
    type: str
    default: ""
  inputs:
    description: For each static pod the files that its process reads at its start alone. When one changes it starts anew.
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
    description: Seconds until a static pod that is not healthy counts as failed.
    type: float
    default: 240
  bin_dir:
    description: Directory on the host with kubeadm, kubectl and crictl.
    type: path
    default: /usr/local/bin
  defer_restart:
    description: Set by the action plugin, which gives hosts their turns.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what would be initialised, joined, upgraded or restarted, and why.
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
    state: initialised
    control_plane: true
    version: 1.36.3
"""

RETURN = r"""
changes:
  description: What was done, a line each, with its reason.
  type: list
  elements: str
  returned: success
  sample: ["kube-apiserver: restarted, because --goaway-chance changed"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.component.reconcile import ComponentError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.reconcile import (
    KubeadmError,
    Wanted,
    reconcile,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["initialised", "settled", "joined", "configured", "left", "proxied"],
            },
            "version": {"type": "str", "required": True},
            "control_plane": {"type": "bool", "default": False},
            "config": {"type": "path", "default": Wanted.config},
            "join_config": {"type": "str", "default": "", "no_log": True},
            "inputs": {"type": "dict", "default": {}},
            "digest": {"type": "str", "default": ""},
            "api_port": {"type": "int", "default": Wanted.api_port},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": Wanted.timeout},
            "bin_dir": {"type": "path", "default": Wanted.bin_dir},
            "defer_restart": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = Wanted(
        version=given["version"],
        control_plane=given["control_plane"],
        config=given["config"],
        join=given["join_config"],
        inputs=given["inputs"],
        digest=given["digest"],
        api_port=given["api_port"],
        ignore=tuple(given["ignore_preflight_errors"]),
        timeout=given["timeout"],
        bin_dir=given["bin_dir"],
    )
    try:
        module.exit_json(**reconcile(wanted, given["state"], module.check_mode, given["defer_restart"]))
    except (KubeadmError, ComponentError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
