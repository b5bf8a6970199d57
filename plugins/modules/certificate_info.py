#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
short_description: Read the certificates on a host and in its processes, and how many days they have left
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Reads certificates of files, directories and kubeconfigs, and those that TLS servers serve, in one round trip.
  - With O(components=true) it reads what the components of this collection own on the host, too, and whether their processes run from it.
  - The host needs Python's standard library alone. It sends certificates, never a key, and the controller reads them.
  - Changes nothing.
requirements:
  - cryptography >= 42 (on the controller)
options:
  paths:
    description:
      - Files with certificates in PEM, kubeconfigs (embedded certificates and those that they name by path), directories (with all below them) and globs.
      - It is a problem only for a file that is named itself if it does not exist or contains no certificate.
    type: list
    elements: str
    default: []
  endpoints:
    description: TLS servers, as the host reaches them. Nothing of their certificates is verified, and none of a client is sent.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Address or name of the server; a name is sent to it (SNI).
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        required: true
      path:
        description: File on the host that it serves from, to be compared with what it serves.
        type: str
      component:
        description: Name of the server. With O(components=true) it is asked only where this component of the collection runs.
        type: str
  components:
    description: Whether to read what the components of this collection own on the host, and their processes.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for each endpoint; all are asked at once.
    type: float
    default: 5
  on_failure:
    description:
      - What happens with a host that cannot be reached, or on which the module cannot run.
      - V(fail) ends the run for it, as with any module.
      - V(report) returns RV(reachable) or RV(readable) as false, so that it can be reported together with others.
    type: str
    choices: [fail, report]
    default: fail
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
  - module: hardway.kubernetes.certificates
  - plugin: hardway.kubernetes.certificate_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the certificates of a web server, and what it serves
  hardway.kubernetes.certificate_info:
    paths: [/etc/ssl/private/www.pem]
    endpoints:
      - {address: www.example.org, port: 443, path: /etc/ssl/private/www.pem}
  become: true
  register: web

- name: Check that they are valid for two weeks
  ansible.builtin.assert:
    that: web.certificates | selectattr('days_left', 'lt', 14) | length == 0

- name: Read all that this collection has installed on the host, and its processes
  hardway.kubernetes.certificate_info:
    components: true
    paths: [/var/lib/kubelet/pki/kubelet-*-current.pem, "/etc/kubernetes/*.kubeconfig"]
    endpoints:
      - {component: kubelet, address: 127.0.0.1, port: 10250, path: /var/lib/kubelet/pki/kubelet-server-current.pem}
  become: true
"""

RETURN = r"""
certificates:
  description: Every certificate, those of a bundle one by one.
  returned: success
  type: list
  elements: dict
  contains:
    where: {description: Where it was found., type: str, sample: /etc/kubernetes/pki/client-ca.pem (1/2)}
    source: {description: "V(file), V(kubeconfig) (embedded) or V(endpoint).", type: str, sample: file}
    path: {description: "The file; of an endpoint the one that it serves from, or null.", type: str, sample: /etc/kubernetes/pki/client-ca.pem}
    position: {description: Its place in the file., type: int, sample: 1}
    endpoint: {description: Address and port of the server; null for files., type: str, sample: null}
    running:
      description:
        - Which processes run with it. Of a file, V(current) is a process that was started from it as it is now, V(older) one that was started before it
          was written. Of an endpoint, V(older) is one that serves an older certificate than the first of its file, V(other) another one.
        - Empty where it is unknown, such as for files that a process rereads.
      type: dict
      sample: {kube-apiserver: current}
    type: {description: V(ca) or V(certificate)., type: str, sample: ca}
    subject: {description: Distinguished name., type: str, sample: CN=kubernetes-ca}
    names: {description: Subject alternative names., type: list, elements: str, sample: ["DNS:master1", "IP:10.33.0.11"]}
    usages: {description: Key usages and extended key usages., type: list, elements: str, sample: [cert sign, crl sign]}
    issuer: {description: Distinguished name of the issuer., type: str, sample: CN=kubernetes-ca}
    key: {description: Type and size of the key., type: str, sample: ECDSA P-256}
    serial: {description: Serial number in hexadecimal., type: str, sample: 6cb0f5a3}
    not_before: {description: Start of the validity (UTC)., type: str, sample: "2026-11-21T08:55:00Z"}
    not_after: {description: End of the validity (UTC)., type: str, sample: "2036-11-18T09:00:00Z"}
    days_left: {description: Whole days until then; negative once it has expired., type: int, sample: 3649}
    fingerprint: {description: SHA-256 of the certificate., type: str, sample: "9F:86:D0"}
processes:
  description: The processes of the collection's components, with O(components=true).
  returned: success
  type: list
  elements: dict
  contains:
    component: {description: Name of the component., type: str, sample: kube-proxy}
    service: {description: Its systemd unit., type: str, sample: kube-proxy.service}
    active: {description: Whether it runs., type: bool, sample: true}
    restart: {description: Why a restart is pending; empty if none is., type: str, sample: /etc/kubernetes/pki/kube-proxy.pem changed}
problems:
  description: What could not be read and who did not answer, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["kube-scheduler at 127.0.0.1:10259: serves no certificate: Connection refused"]
reachable:
  description: Whether a connection could be made; only with O(on_failure=report) can it be false.
  returned: success
  type: bool
  sample: true
readable:
  description: Whether the module ran on the host; only with O(on_failure=report) can it be false.
  returned: success
  type: bool
  sample: true
error:
  description: Why the host could not be read; empty if it could.
  returned: success
  type: str
  sample: ""
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.host.certificates import gather


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str", "default": []},
            "endpoints": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "path": {"type": "str"},
                    "component": {"type": "str"},
                },
            },
            "components": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 5},
            "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    wanted = {name: module.params[name] for name in ("paths", "endpoints", "components", "timeout")}
    # What is found goes to the action plugin, which reads it: it has the library for that.
    module.exit_json(changed=False, found=gather(**wanted))


if __name__ == "__main__":
    main()
