#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: reset
short_description: Leaves nothing of this collection behind on a host
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Stops and disables the components' services, ends pods, and removes files, links, mounts, cgroups, interfaces, routes, the virtual address,
    and the rules of kube-proxy, flannel, Calico and the CNI plugins. B(The data of etcd and of pods on this host is lost.)
  - What is ours is known from the records that each component writes before anything else (C(/var/lib/hardway)). So a host that a killed run
    left half installed is cleaned too, and a host that was never ours is not changed, whatever Kubernetes runs there.
  - Firewall rules, links, users and files of others stay, and so do the distribution's packages, such as keepalived, with their services stopped
    and disabled. A configuration file that replaced a package's is removed; RV(kept) names it, for the package's own text is not on the host any more.
  - Kernel parameters that were set, and modules that were loaded, stay in force until the host boots.
  - Searches again at the end. If something is left, the module fails and names it, and keeps the records, so that it can be run again.
attributes:
  check_mode:
    support: full
    description: Lists what would be removed.
  diff_mode:
    support: full
    description: Shows what is there before, and what is after.
options:
  install_dir:
    description: Where artifacts are installed.
    type: path
    default: /opt/hardway
  bin_dir:
    description: Where the links to installed commands are.
    type: path
    default: /usr/local/bin
  pod_networks:
    description: The pod networks. Routes into them, and the rule that masquerades them, are ours.
    type: list
    elements: str
    default: []
  endpoint_address:
    description: The virtual address. It is taken from the host where keepalived left it.
    type: str
    default: ''
  footprints:
    description:
      - What the processes of components leave besides the files in their records, and after which others they stop; an entry for each component.
      - An entry has C(component), C(stops_after) and C(footprint), whose fields are C(directories), C(files), C(mounts), C(cgroups), C(interfaces),
        C(chains), C(sets), C(tables) and others.
      - The lookup P(hardway.kubernetes.declarations#lookup) has those that the roles declare.
    type: list
    elements: dict
    required: true
seealso:
  - module: hardway.kubernetes.reset_nodes
"""

EXAMPLES = r"""
- name: Leave nothing of ours behind
  hardway.kubernetes.reset:
    pod_networks: [10.244.0.0/16]
    endpoint_address: 192.0.2.100
  become: true
"""

RETURN = r"""
removed:
  description: What was removed (in check mode, what would be), a line each. A path ends with nothing; other kinds begin with their name.
  returned: always
  type: list
  elements: str
  sample: [service kubelet.service, interface cni0, "iptables nat: 23 chains KUBE-*", /etc/kubernetes, /var/lib/hardway]
kept:
  description: What was left on purpose, or has to be put back by hand, with the reason.
  returned: always
  type: list
  elements: str
  sample: ["/etc/hostname: it is the system's own"]
leftovers:
  description: What could not be removed. If there is any, the module fails.
  returned: always
  type: list
  elements: str
  sample: []
"""

import ipaddress

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.run import reset
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Request


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "install_dir": {"type": "path", "default": Request.install_dir},
            "bin_dir": {"type": "path", "default": Request.bin_dir},
            "pod_networks": {"type": "list", "elements": "str", "default": []},
            "endpoint_address": {"type": "str", "default": ""},
            "footprints": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    footprints = module.params.pop("footprints")
    request = Request(**{**module.params, "pod_networks": tuple(module.params["pod_networks"])})
    try:
        for network in request.pod_networks:
            ipaddress.ip_network(network)
        result = reset(request, module.check_mode, footprints)
    except (HardwayError, ValueError, OSError) as error:
        module.fail_json(msg=str(error), **{"changed": False, "removed": [], "kept": [], "leftovers": []})
    result["diff"] = {
        "before": "".join(f"{what}\n" for what in result["removed"]),
        "after": "".join(f"{what}\n" for what in result["leftovers"]),
    }
    if result["leftovers"]:
        module.fail_json(
            msg=f"not all could be removed: {'; '.join(result['leftovers'])}. Fix: run it again, or remove them by hand",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
