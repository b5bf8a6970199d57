#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: Tells how a cluster of etcd does
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Observes every member from one host, and reports of each what C(etcdctl member list), C(endpoint status), C(endpoint health) and C(alarm list) show.
  - Does not fail for a member that is ill, nor without quorum, as long as one of O(endpoints) answers. RV(problems) says all that is wrong.
options:
  peer_endpoints:
    description:
      - Peer URLs that are asked for the list of members where none of O(endpoints) answers, for a member that found no quorum since it started serves
        no clients. O(certificate) must be one that peers trust.
      - In a cluster that never had quorum the members of that list have no client URLs yet.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - hardway.kubernetes.etcd
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Changes nothing anyway.
  diff_mode:
    support: none
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.etcd_maintenance
  - module: hardway.kubernetes.etcd_member
"""

EXAMPLES = r"""
- name: Observe etcd
  hardway.kubernetes.etcd_info:
  register: etcd
  run_once: true

- name: Go on only if one more member may fail
  ansible.builtin.assert:
    that: etcd.healthy and etcd.fault_tolerance > 0
    fail_msg: "{{ etcd.problems | join('; ') }}"
"""

RETURN = r"""
cluster_id:
  description: The cluster's id, hexadecimal.
  returned: success
  type: str
  sample: cdf818194e3a8c32
healthy:
  description: Whether there is quorum, every member is healthy, and no alarm is raised.
  returned: success
  type: bool
  sample: true
problems:
  description: All that an operator should know of - lost quorum, members that are ill, learners, alarms, space quota from 80 % on, different versions.
  returned: success
  type: list
  elements: str
  sample: ["etcd3 is not healthy: POST /v3/maintenance/status got no answer from https://192.0.2.13:2379: Connection refused"]
leader:
  description: Name of the leader; empty where a majority knows none.
  returned: success
  type: str
  sample: etcd1
revision:
  description: The highest revision of a member that answers.
  returned: success
  type: int
  sample: 1203341
voters:
  description: How many members vote.
  returned: success
  type: int
  sample: 3
quorum:
  description: How many of them must be healthy.
  returned: success
  type: int
  sample: 2
has_quorum:
  description: Whether as many are.
  returned: success
  type: bool
  sample: true
fault_tolerance:
  description: How many more may fail now.
  returned: success
  type: int
  sample: 1
defragmentation_order:
  description: Names of the members that answer, in the order in which they should be defragmented or restarted - the leader last.
  returned: success
  type: list
  elements: str
  sample: [etcd2, etcd3, etcd1]
members:
  description: Each member. What is asked of the member itself is empty or 0 where it does not answer.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name; empty for one that never started., type: str, sample: etcd1}
    id: {description: "Its id, hexadecimal.", type: str, sample: 8e9e05c52164694d}
    peer_urls: {description: Where the others reach it., type: list, elements: str, sample: ["https://192.0.2.11:2380"]}
    client_urls: {description: Where clients reach it., type: list, elements: str, sample: ["https://192.0.2.11:2379"]}
    started: {description: Whether it ever started., type: bool, sample: true}
    learner: {description: Whether it does not vote yet., type: bool, sample: false}
    leader: {description: Whether it leads., type: bool, sample: true}
    healthy: {description: Whether it can serve a linearizable read. A full database is an alarm., type: bool, sample: true}
    problem: {description: Why it is not healthy., type: str, sample: ""}
    latency_ms: {description: Milliseconds until it said how it does., type: float, sample: 1.4}
    alarms: {description: Alarms that it raised., type: list, elements: str, sample: []}
    errors: {description: What it reports itself., type: list, elements: str, sample: []}
    version: {description: Version of etcd., type: str, sample: 3.6.16}
    revision: {description: Its revision., type: int, sample: 1203341}
    raft_term: {description: Term., type: int, sample: 4}
    raft_index: {description: Last entry of its log that is committed., type: int, sample: 1410233}
    raft_applied_index: {description: Last entry that it has applied., type: int, sample: 1410233}
    db_size: {description: Size of the database in bytes., type: int, sample: 99713024}
    db_size_in_use: {description: Bytes of it that hold something., type: int, sample: 98103296}
    fragmentation: {description: Percent of it that hold nothing., type: int, sample: 2}
    quota: {description: Space quota in bytes; 0 where it is not known., type: int, sample: 8589934592}
    quota_used: {description: Percent of the quota; null where it is not known., type: int, sample: 1}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError


def main() -> None:
    options = etcd.argument_spec(peer_endpoints={"type": "list", "elements": "str", "default": []})
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        cluster = etcd.of_module(module.params).observe()
    except EtcdError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **cluster.report())


if __name__ == "__main__":
    main()
