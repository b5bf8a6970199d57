#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_pause
short_description: Stops a service for a while, and has systemd start it again where the run dies
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Stops a service only after a transient timer of systemd was set, which starts it when O(seconds) are over. So a controller that dies meanwhile
    leaves nothing stopped, and no further run is needed.
options:
  name:
    description: The service, without C(.service). It should be enabled, for a restart of the machine ends the timer.
    type: str
    required: true
  state:
    description:
      - V(paused) stops the service. A timer that an earlier run has set begins anew.
      - V(resumed) starts the service where it does not run, and removes the timer.
      - V(stopped) removes the timer, and stops the service for good.
    type: str
    choices: [paused, resumed, stopped]
    required: true
  seconds:
    description: With O(state=paused), after how many seconds systemd starts it at the latest. Give more than what is done meanwhile can take.
    type: int
    default: 900
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: RV(commands) is the plan.
  diff_mode:
    support: none
  platform:
    platforms: posix
"""

EXAMPLES = r"""
- name: Stop the API server, for ten minutes at most
  hardway.kubernetes.service_pause:
    name: kube-apiserver
    state: paused
    seconds: 600

- name: Start it again
  hardway.kubernetes.service_pause:
    name: kube-apiserver
    state: resumed
"""

RETURN = r"""
commands:
  description: The commands that were run; in check mode those that would be run.
  returned: success
  type: list
  elements: str
  sample: ["systemctl start kube-apiserver", "systemctl stop hardway-resume-kube-apiserver.timer"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import pause


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": [pause.PAUSED, pause.RESUMED, pause.STOPPED], "required": True},
            "seconds": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        result = pause.reconcile(params["name"], params["state"], params["seconds"], module.check_mode)
    except HardwayError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
