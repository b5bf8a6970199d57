#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Adds, promotes, replaces and removes a member of etcd
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Makes a member be in the cluster, or not be in it. A new one joins as a learner, which has no vote, and is promoted when it has caught up; so a
    member that does not start, or that is slow, costs the cluster nothing.
  - A member joins in three steps. A call with O(promote=false) puts it into the list of members. Then etcd is started on its host, with
    RV(initial_cluster) and RV(initial_cluster_state). A call with O(promote=true) waits until it has started and caught up, and promotes it.
  - A call that was killed is finished by the same call again, for the cluster itself remembers how far it came.
  - Refuses before anything is changed, with all reasons, what the cluster could not bear - a removal by which quorum would be lost, another
    member while one is not healthy or is still a learner, a name or a peer URL that belongs to a living member.
options:
  name:
    description: Name of the member.
    type: str
    required: true
  peer_urls:
    description:
      - Its peer URLs, as in C(initial-advertise-peer-urls). Required with O(state=present).
      - With O(state=absent) they name a member that never started, and so has no name yet, or the one that is meant where two have the same name.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) makes it a member.
      - V(absent) removes it, alive or dead. A leader hands leadership over first.
    type: str
    choices: [present, absent]
    default: present
  promote:
    description: With V(false) the call ends when the member is in the list. With V(true) it waits until the member has started and caught up, and promotes it.
    type: bool
    default: true
  replace:
    description:
      - With V(true) a member that has this name or one of these peer URLs, and does not answer, is removed first.
      - Say so only when the data directory on the host is empty. A member that comes back with its data needs no replacing.
      - A member that answers is never replaced, so that a second run changes nothing.
    type: bool
    default: false
  leader:
    description: V(true) makes this member the leader, V(false) makes it hand leadership over if it is. Without it, leadership stays where it is.
    type: bool
  timeout:
    description: Seconds to wait for each step - for the cluster to take a change, for the member to start, for it to catch up.
    type: int
    default: 120
extends_documentation_fragment:
  - hardway.kubernetes.etcd
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: RV(steps) is the plan.
  diff_mode:
    support: full
    details: Shows the list of members.
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.etcd_info
"""

EXAMPLES = r"""
- name: Put the new member into the list
  hardway.kubernetes.etcd_member:
    name: etcd4
    peer_urls: [https://192.0.2.14:2380]
    promote: false
    # What this host had is gone, so a dead member of its name is replaced.
    replace: true
  delegate_to: etcd1
  register: joining

# Now etcd is started on etcd4, with joining.initial_cluster and joining.initial_cluster_state.

- name: Promote it when it has caught up
  hardway.kubernetes.etcd_member:
    name: etcd4
    peer_urls: [https://192.0.2.14:2380]
  delegate_to: etcd1

- name: Remove a member whose host is lost
  hardway.kubernetes.etcd_member:
    name: etcd2
    state: absent
  delegate_to: etcd1

- name: Hand leadership over before this host goes down
  hardway.kubernetes.etcd_member:
    name: "{{ inventory_hostname }}"
    peer_urls: ["https://{{ cluster_address }}:2380"]
    leader: false
"""

RETURN = r"""
steps:
  description: What was done, in order; in check mode what would be done.
  returned: success
  type: list
  elements: str
  sample: [remove etcd4 (does not answer), "add etcd4 at https://192.0.2.14:2380 as a learner"]
member:
  description: The member. Empty when it is not in the list.
  returned: success
  type: dict
  sample: {id: 8e9e05c52164694d, name: etcd4, peer_urls: ["https://192.0.2.14:2380"], learner: true, started: false}
members:
  description: Names of all members. One that never started is named by its peer URLs.
  returned: success
  type: list
  elements: str
  sample: [etcd1, etcd2, etcd3, "the member at https://192.0.2.14:2380"]
leader:
  description: Name of the leader.
  returned: success
  type: str
  sample: etcd1
initial_cluster:
  description: The option C(initial-cluster) with which the member must be started for the first time.
  returned: when state is present
  type: str
  sample: etcd1=https://192.0.2.11:2380,etcd2=https://192.0.2.12:2380,etcd4=https://192.0.2.14:2380
initial_cluster_state:
  description: The option C(initial-cluster-state) with which it must be started.
  returned: when state is present
  type: str
  sample: existing
problems:
  description: All reasons for which nothing was changed.
  returned: when refused
  type: list
  elements: str
  sample: ["no member is added while etcd3 is not healthy (https://192.0.2.13:2379: Connection refused). Fix: start it, or remove it first"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError, Refused
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.membership import (
    MemberSpec,
    Outcome,
    check,
    diff,
    found,
    reconcile,
)


def result(outcome: Outcome, spec: MemberSpec) -> dict[str, t.Any]:
    after = outcome.after
    member, leader = found(after, spec), after.member(after.leader)
    answer = {
        "changed": outcome.changed,
        "steps": [step.text for step in outcome.steps],
        "member": member.report(member.id == after.leader) if member else {},
        "members": sorted(each.label for each in after.members),
        "leader": leader.name if leader else "",
    }
    if spec.present:
        answer.update(
            initial_cluster=after.initial_cluster(spec.name, spec.peer_urls), initial_cluster_state="existing"
        )
    return answer


def main() -> None:
    module = AnsibleModule(
        argument_spec=etcd.argument_spec(
            name={"type": "str", "required": True},
            peer_urls={"type": "list", "elements": "str", "default": []},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            promote={"type": "bool", "default": True},
            replace={"type": "bool", "default": False},
            leader={"type": "bool"},
            timeout={"type": "int", "default": 120},
        ),
        supports_check_mode=True,
    )
    params = module.params
    spec = MemberSpec(
        name=params["name"],
        peer_urls=tuple(sorted(set(params["peer_urls"]))),
        present=params["state"] == "present",
        promote=params["promote"],
        replace=params["replace"],
        leader=params["leader"],
    )
    try:
        check(spec)
        outcome = reconcile(etcd.of_module(params), spec, params["timeout"], module.check_mode)
    except Refused as error:
        module.fail_json(msg=str(error), problems=error.problems)
    except EtcdError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result(outcome, spec), **({"diff": diff(outcome)} if module._diff else {}))


if __name__ == "__main__":
    main()
