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
"""

import base64
import zlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError, from_payload
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.reconcile import reconcile


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "payload": {"type": "str", "required": True, "no_log": True},
            "defer_restart": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    payload = zlib.decompress(base64.b64decode(module.params["payload"])).decode()
    try:
        result = reconcile(from_payload(payload), module.check_mode, module.params["defer_restart"])
    except (ComponentError, OSError) as error:
        module.fail_json(msg=str(error))
    # The payload holds keys: neither it nor what it was made from goes back.
    module.exit_json(invocation={"module_args": {}}, **result)


if __name__ == "__main__":
    main()
