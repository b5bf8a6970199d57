#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_keys_info
short_description: Tells the names of etcd's keys, and which were written after a revision
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Asks one member, the first of O(endpoints), which answers without quorum too. No value is read, so nothing of a Secret but its name.
  - A backup keeps the names, and a restore reports with them what it loses.
options:
  revision:
    description: The keys as they were at this revision, which must not have been compacted. Without it, as they are.
    type: int
  since:
    description: Tell which keys were written after this revision.
    type: int
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
  - module: hardway.kubernetes.etcd_snapshot
"""

EXAMPLES = r"""
- name: Name what was written since the snapshot
  hardway.kubernetes.etcd_keys_info:
    since: "{{ snapshot.revision }}"
  register: keys
"""

RETURN = r"""
revision:
  description: Revision of the answer.
  returned: success
  type: int
  sample: 1203341
keys:
  description: All names, in order.
  returned: success
  type: list
  elements: str
  sample: [/registry/configmaps/default/kube-root-ca.crt]
written:
  description: Names of those that were written after O(since).
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import keys as etcd_keys
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError


def main() -> None:
    module = AnsibleModule(
        argument_spec=etcd.argument_spec(revision={"type": "int"}, since={"type": "int"}), supports_check_mode=True
    )
    params = module.params
    try:
        found = etcd_keys.read(etcd.of_module(params), params["revision"], params["since"])
    except EtcdError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, revision=found.revision, keys=list(found.names), written=list(found.written))


if __name__ == "__main__":
    main()
