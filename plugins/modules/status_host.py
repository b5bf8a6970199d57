#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: status_host
short_description: Read the state of a host of the cluster in one round trip
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Reads what M(hardway.kubernetes.host_facts) and M(hardway.kubernetes.certificate_info) read, the version of the file that the
    process of each component runs, etcd as seen by its member on this host, and the servers behind the load balancer.
  - Registered as C(hardway_host), it has the facts where M(hardway.kubernetes.host_facts) has them.
  - A host that cannot be reached or read is a result like any other.
  - Changes nothing.
requirements:
  - cryptography >= 42 (on the controller)
options:
  certificates:
    description: Options of M(hardway.kubernetes.certificate_info) - C(paths), C(endpoints), C(timeout).
    type: dict
    default: {}
  facts:
    description: Options of M(hardway.kubernetes.host_facts) - C(paths), C(units), C(commands), C(features), C(kubelet_certificate), C(bin_dir),
      C(etcd_data_dir).
    type: dict
    default: {}
  etcd:
    description: Where a host with a member of etcd asks it; the options of M(hardway.kubernetes.etcd_info). Without it, etcd is not asked.
    type: dict
    suboptions:
      endpoints:
        description: Client URLs.
        type: list
        elements: str
        default: [https://127.0.0.1:2379]
      ca:
        description: File with the authority of the members' certificates.
        type: path
        default: /etc/etcd/pki/ca.pem
      certificate:
        description: File with the client's certificate.
        type: path
        default: /etc/etcd/pki/etcd.pem
      key:
        description: File with its key.
        type: path
        default: /etc/etcd/pki/etcd-key.pem
  statistics_port:
    description: Port of the load balancer's statistics (CSV, as haproxy serves them) on its loopback address. Without it, they are not read.
    type: int
  install_dir:
    description: Directory of the installed versions.
    type: path
    default: /opt/hardway
attributes:
  check_mode:
    description: Does the same in check mode, since it only reads.
    support: full
  diff_mode:
    description: There is nothing to show, since nothing changes.
    support: none
  action:
    description: The host finds the certificates, and the controller reads what is in them.
    support: full
  platform:
    platforms: linux
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
seealso:
  - module: hardway.kubernetes.status
"""

EXAMPLES = r"""
- name: Read a master that has a member of etcd
  hardway.kubernetes.status_host:
    etcd: {}
  become: true
  register: host
"""

RETURN = r"""
reachable: {description: Whether a connection could be made., returned: success, type: bool, sample: true}
readable: {description: "Whether the module ran on the host. If not, C(error) says why.", returned: success, type: bool, sample: true}
error: {description: Why the host could not be read; empty if it could., returned: success, type: str, sample: ""}
facts:
  description: As M(hardway.kubernetes.host_facts) returns them.
  returned: success
  type: dict
load: {description: "Load averages of 1, 5 and 15 minutes.", returned: when readable, type: list, elements: float, sample: [0.4, 0.3, 0.2]}
certificates: {description: As M(hardway.kubernetes.certificate_info) returns them., returned: success, type: list, elements: dict}
processes: {description: As M(hardway.kubernetes.certificate_info) returns them., returned: success, type: list, elements: dict}
problems: {description: As M(hardway.kubernetes.certificate_info) returns them., returned: success, type: list, elements: str}
programs:
  description: The processes of the collection's components.
  returned: when readable
  type: list
  elements: dict
  contains:
    component: {description: Name of the component., type: str, sample: kubelet}
    service: {description: Its systemd unit., type: str, sample: kubelet.service}
    state: {description: State of the unit., type: str, sample: active}
    restarts: {description: How many times systemd started it again by itself., type: int, sample: 0}
    seconds: {description: Since when it runs; null where it does not., type: int, sample: 86400}
    binary: {description: The file that the process runs., type: str, sample: /opt/hardway/kubelet/1.36.3/kubelet}
    version: {description: Version of that file; empty where it is unknown., type: str, sample: 1.36.3}
    replaced: {description: Whether another file is at its path now., type: bool, sample: false}
    linked: {description: Version that the next start would run; empty where it is unknown., type: str, sample: 1.36.3}
etcd:
  description: As M(hardway.kubernetes.etcd_info) returns it; C(error) where no member answers; empty if it was not asked.
  returned: when readable
  type: dict
backends:
  description: >-
    C(servers), the servers behind the load balancer with C(backend), C(name), C(state), C(check), C(sessions); or C(error). Empty if it was
    not asked.
  returned: when readable
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.host.status import gather

CERTIFICATES = {"paths": [], "endpoints": [], "timeout": 5.0}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "dict", "default": {}},
            "facts": {"type": "dict", "default": {}},
            "etcd": {
                "type": "dict",
                "options": {
                    "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
                    "ca": {"type": "path", "default": "/etc/etcd/pki/ca.pem"},
                    "certificate": {"type": "path", "default": "/etc/etcd/pki/etcd.pem"},
                    "key": {"type": "path", "default": "/etc/etcd/pki/etcd-key.pem", "no_log": False},
                },
            },
            "statistics_port": {"type": "int"},
            "install_dir": {"type": "path", "default": "/opt/hardway"},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    certificates = {**CERTIFICATES, **parameters["certificates"], "components": True}
    certificates["timeout"] = float(certificates["timeout"])
    port = parameters["statistics_port"]
    seen = gather(
        certificates,
        parameters["facts"],
        parameters["etcd"],
        ("127.0.0.1", port) if port else None,
        parameters["install_dir"],
    )
    # What is found goes to the action plugin, which reads it: it has the library for that.
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
