#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: component_apply
short_description: The half of the component call that runs on the host
description:
  - Called by the action plugin M(hardway.kubernetes.component), which renders templates and reads certificates on the controller
    and sends the whole description of a component in one round trip. Not meant to be used in a playbook.
author: the hardway.kubernetes authors (@hardway)
options:
  payload:
    description: The description of the component, as JSON compressed by zlib in base64. It may hold keys, so it is never logged.
    type: str
    required: true
  defer_restart:
    description: Where a running process would have to be restarted, change nothing and answer with RV(ignore:deferred=true).
    type: bool
    default: false
  peers:
    description:
      - Who runs the component besides this host, and how it is asked. A running process is restarted only while they are healthy, or where
        it is not healthy itself.
      - Where one is not, nothing is changed, and the answer has it in RV(ignore:ill).
    type: dict
attributes:
  check_mode:
    support: full
    description: Says what would be done without doing it.
  diff_mode:
    support: full
    description: Shows certificates parsed and secrets not at all.
  platform:
    support: full
    platforms: posix
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
# See hardway.kubernetes.component.
"""

RETURN = r"""
changes:
  description: What differed, a line each.
  type: list
  elements: str
  returned: success
restart:
  description: Why a running process was restarted; null where none was.
  type: str
  returned: success
deferred:
  description: Whether nothing was done because a restart has to wait for its turn.
  type: bool
  returned: success
ill:
  description: Hosts that are not healthy, because of which nothing was done, and why.
  type: dict
  returned: where there is one
was_ill:
  description: Whether it was not healthy before its restart either.
  type: bool
  returned: failure
"""

import base64
import zlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import from_payload
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import Peers, RepairFailed
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.reconcile import reconcile


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "payload": {"type": "str", "required": True, "no_log": True},
            "defer_restart": {"type": "bool", "default": False},
            "peers": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    payload = zlib.decompress(base64.b64decode(module.params["payload"])).decode()
    try:
        peers = Peers.of(module.params["peers"])
        result = reconcile(from_payload(payload), module.check_mode, module.params["defer_restart"], peers)
    except (HardwayError, OSError) as error:
        module.fail_json(msg=str(error), was_ill=isinstance(error, RepairFailed))
    # The payload holds keys: neither it nor what it was made from goes back.
    module.exit_json(invocation={"module_args": {}}, **result)


if __name__ == "__main__":
    main()
