#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_value
short_description: Keeps the value of one key in etcd
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - What C(etcdctl put) does, where the key does not have the value already.
  - For settings that are kept in etcd, such as flannel's network. The diff shows them.
options:
  name:
    description: The key.
    type: str
    required: true
  value:
    description: The value, as text.
    type: str
    required: true
extends_documentation_fragment:
  - hardway.kubernetes.etcd
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.etcd_keys_info
"""

EXAMPLES = r"""
- name: Tell flannel its network
  hardway.kubernetes.etcd_value:
    name: /coreos.com/network/config
    value: "{{ {'Network': '10.244.0.0/16', 'Backend': {'Type': 'vxlan'}} | to_json }}"
  run_once: true
"""

RETURN = r"""
before:
  description: The value before, or null.
  returned: success
  type: str
  sample: '{"Network": "10.244.0.0/16"}'
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import value as etcd_value
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError


def main() -> None:
    options = {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}}
    module = AnsibleModule(argument_spec=etcd.argument_spec(**options), supports_check_mode=True)
    params = module.params
    client = etcd.of_module(params)
    try:
        before = etcd_value.read(client, params["name"])
        changed = before != params["value"]
        if changed and not module.check_mode:
            etcd_value.write(client, params["name"], params["value"])
    except EtcdError as error:
        module.fail_json(msg=f"{params['name']}: {error}")
    shown = {
        "before_header": params["name"],
        "after_header": params["name"],
        "before": before or "",
        "after": params["value"],
    }
    module.exit_json(changed=changed, before=before, diff=shown)


if __name__ == "__main__":
    main()
