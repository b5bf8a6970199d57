#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_maintenance
short_description: Compacts, defragments and disarms etcd
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Compacts the cluster's history to a revision, defragments the database of one member, and disarms alarms, in this order, each where it is asked
    for and due. A second run finds nothing due.
  - A member answers nobody while it is defragmented. So a caller goes member by member, the leader last, in the order
    RV(hardway.kubernetes.etcd_info#module:defragmentation_order). The module ends when the member is healthy again, and refuses where
    another one's illness would cost quorum.
  - Refuses to disarm V(NOSPACE) while a member is still full, for etcd would raise the alarm again with the next write.
options:
  member:
    description: Name of the member that is defragmented. Without it, the one that answers at the first of O(endpoints).
    type: str
  defragment:
    description:
      - Defragment the member, if O(fragmentation) and O(minimum_size) say that it is due.
      - While V(NOSPACE) is raised, a member that uses 80 % of its quota is due in any case, for etcd does not count what was freed until it can write.
    type: bool
    default: false
  fragmentation:
    description: Percent of the database that holds nothing, above which a defragmentation is due.
    type: int
    default: 45
  minimum_size:
    description: Size of the database in bytes, from which on a defragmentation is due.
    type: int
    default: 104857600
  compact_revision:
    description:
      - Compact the history before this revision. Kubernetes' API servers compact every five minutes themselves, so this is for a database that is full.
      - Whoever still reads or watches from an older revision has to start again.
    type: int
  disarm:
    description:
      - Alarms to disarm, wherever they are raised.
      - V(CORRUPT) should be disarmed only after the member was replaced.
    type: list
    elements: str
    choices: [NOSPACE, CORRUPT]
    default: []
  timeout:
    description: Seconds that compaction and defragmentation may take. A database of some GiB takes minutes on a slow disk.
    type: int
    default: 300
extends_documentation_fragment:
  - hardway.kubernetes.etcd
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: RV(steps) is the plan.
  diff_mode:
    support: full
    details: Shows sizes and alarms. In check mode what will be gained is not known.
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.etcd_info
"""

EXAMPLES = r"""
- name: Observe etcd
  hardway.kubernetes.etcd_info:
  register: etcd
  run_once: true

- name: Defragment one member after the other, the leader last
  hardway.kubernetes.etcd_maintenance:
    member: "{{ item }}"
    defragment: true
  loop: "{{ etcd.defragmentation_order }}"
  run_once: true

- name: After NOSPACE, give up the history
  hardway.kubernetes.etcd_maintenance:
    compact_revision: "{{ etcd.revision }}"
  run_once: true

- name: And when all members were defragmented, write again
  hardway.kubernetes.etcd_maintenance:
    disarm: [NOSPACE]
  run_once: true
"""

RETURN = r"""
steps:
  description: What was done, in order; in check mode what would be done.
  returned: success
  type: list
  elements: str
  sample: ["defragment etcd2 (812.0 MiB, of which 95.1 MiB are in use)"]
member:
  description: Name of the member.
  returned: success
  type: str
  sample: etcd2
db_size_before:
  description: Size of its database before, in bytes.
  returned: success
  type: int
  sample: 851443712
db_size:
  description: Size of its database now, in bytes.
  returned: success
  type: int
  sample: 99713024
fragmentation_before:
  description: Percent of it that held nothing before.
  returned: success
  type: int
  sample: 88
fragmentation:
  description: Percent of it that holds nothing now.
  returned: success
  type: int
  sample: 0
revision:
  description: The cluster's revision.
  returned: success
  type: int
  sample: 1203341
alarms:
  description: Alarms that are raised now.
  returned: success
  type: list
  elements: dict
  sample: []
problems:
  description: All reasons for which nothing was changed.
  returned: when refused
  type: list
  elements: str
  sample: ["NOSPACE is not disarmed: etcd2 has 2.0 MiB and a quota of 2.0 MiB. Fix: compact, defragment etcd2, or raise quota-backend-bytes first"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import maintenance as etcd_maintenance
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import ALARMS, EtcdError, Refused
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.maintenance import MaintenanceSpec


def main() -> None:
    module = AnsibleModule(
        argument_spec=etcd.argument_spec(
            member={"type": "str"},
            defragment={"type": "bool", "default": False},
            fragmentation={"type": "int", "default": etcd_maintenance.FRAGMENTATION},
            minimum_size={"type": "int", "default": etcd_maintenance.MINIMUM_SIZE},
            compact_revision={"type": "int"},
            disarm={"type": "list", "elements": "str", "choices": list(ALARMS), "default": []},
            timeout={"type": "int", "default": 300},
        ),
        supports_check_mode=True,
    )
    params = module.params
    spec = MaintenanceSpec(
        member=params["member"],
        defragment=params["defragment"],
        fragmentation=params["fragmentation"],
        minimum_size=params["minimum_size"],
        compact_revision=params["compact_revision"],
        disarm=tuple(params["disarm"]),
    )
    try:
        outcome = etcd_maintenance.maintain(etcd.of_module(params), spec, params["timeout"], module.check_mode)
    except Refused as error:
        module.fail_json(msg=str(error), problems=error.problems)
    except EtcdError as error:
        module.fail_json(msg=str(error))
    result = {"changed": bool(outcome.steps), **etcd_maintenance.report(outcome)}
    if module._diff:
        result["diff"] = etcd_maintenance.diff(outcome, module.check_mode)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
