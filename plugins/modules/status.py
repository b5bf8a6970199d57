#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Evaluate the state of a cluster, and show it on one page
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Asks the API from the controller, and evaluates its answers together with the results of M(hardway.kubernetes.status_host) and
    M(hardway.kubernetes.plan) for the hosts.
  - Draws one page, as lines for a terminal and as an HTML file that loads nothing from elsewhere. It contains no secrets.
  - Runs on the controller. Does not fail for what is wrong with the cluster - see RV(exit).
  - Changes nothing but the page.
requirements:
  - cryptography >= 42
options:
  cluster:
    description:
      - The cluster by its settings - C(name), C(endpoint), C(virtual_address), C(version), C(minors), the minor versions that are supported,
        C(rotation), the stage of an unfinished rotation, and C(balancer) and C(address_program), the components that balance the API servers
        and that hold the virtual address.
    type: dict
    required: true
  groups:
    description: Names of the inventory's hosts by group.
    type: dict
    default: {}
  hosts:
    description: Results of M(hardway.kubernetes.status_host) by name of the host.
    type: dict
    required: true
  plan:
    description: The entries of M(hardway.kubernetes.plan). Without any, the page has no section about drift.
    type: list
    elements: dict
    default: []
  controller:
    description: Result of M(hardway.kubernetes.certificate_info) on the controller.
    type: dict
  kubeconfig:
    description: The administrator's kubeconfig; its server is the endpoint.
    type: path
    required: true
  servers:
    description: The URL of each API server by the name of its host.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for each answer of the API.
    type: float
    default: 5
  path:
    description: The HTML file, written whole with mode 0600; none with an empty text, and none in check mode.
    type: path
    default: ""
  warn_days:
    description: A certificate with fewer whole days left is a warning.
    type: int
  fail_days:
    description: A certificate with fewer whole days left is critical.
    type: int
  warn_db_percent:
    description: From this percentage of its quota on, etcd's database is a warning.
    type: int
  fail_db_percent:
    description: From this percentage of its quota on, etcd's database is critical.
    type: int
  strict:
    description: Whether warnings count for RV(exit) and RV(failures), too.
    type: bool
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: Writes no page in check mode.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    platforms: posix
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
seealso:
  - module: hardway.kubernetes.status_host
  - module: hardway.kubernetes.plan
"""

EXAMPLES = r"""
- name: Evaluate the cluster
  hardway.kubernetes.status:
    cluster: {name: production, endpoint: "https://192.0.2.100:6443", virtual_address: 192.0.2.100, version: 1.36.3, minors: ["1.36"]}
    groups: "{{ groups }}"
    hosts: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'status_host'))) }}"
    kubeconfig: clusters/production/admin.kubeconfig
    path: clusters/production/status.html
  run_once: true
  register: status
"""

RETURN = r"""
lines: {description: The page as lines of text., returned: success, type: list, elements: str}
verdict: {description: The page in a few words., returned: success, type: str, sample: "1 critical, 2 warnings"}
findings:
  description: What is wrong, the worst first.
  returned: success
  type: list
  elements: dict
  contains:
    level: {description: "V(critical), V(warning) or V(note).", type: str, sample: warning}
    place: {description: Hosts or parts of the cluster., type: str, sample: node1}
    cause: {description: What is wrong., type: str, sample: "the node is cordoned: it takes no new pods"}
    fix: {description: How to fix it; empty where no way can be named., type: str, sample: "kubectl uncordon NODE, after its maintenance"}
failures: {description: "The findings that count for RV(exit), one sentence each.", returned: success, type: list, elements: str}
exit: {description: 0 where nothing is critical; 2 otherwise., returned: success, type: int, sample: 0}
path: {description: The HTML file., returned: success, type: str, sample: clusters/production/status.html}
"""
