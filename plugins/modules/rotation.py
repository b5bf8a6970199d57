#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rotation
short_description: Lead the rotation of CAs and keys from stage to stage
version_added: 0.1.0
author: hardway.kubernetes contributors (@hardway)
description:
  - Writes down how far a rotation has come. It changes nothing else; every playbook of the collection goes by what is written there.
  - There are three stages. In C(trust) a new generation is made and trusted beside the old one. In C(reissue) the new one is used - it issues
    certificates, signs tokens, encrypts. In C(drop) the old one is trusted no more. Each has to be brought into force on all hosts before the next.
  - A stage that has been reached already is left alone, so that a run that died is finished by running it again.
options:
  path:
    description: The file. Without it, everything has its first generation.
    type: path
    required: true
  stage:
    description: The stage to reach; V(done) ends a rotation whose last stage is in force everywhere.
    type: str
    choices: [trust, reissue, drop, done]
    required: true
  names:
    description:
      - What to rotate - C(ca), C(etcd-ca), C(front-proxy-ca), C(kubelet-ca), C(service-account), C(encryption).
      - May be empty while a rotation is under way; others than those under way are refused.
    type: list
    elements: str
    default: []
  published:
    description: Write down, once for each rotation, the time from which on every new pod is given what is trusted now.
    type: bool
    default: false
  assume:
    description: In check mode, the state to go from in place of the file's - what the stage before would have written (RV(ignore:rotation)).
    type: dict
attributes:
  check_mode:
    support: full
    description: Returns the state that would be written.
  diff_mode:
    support: full
    description: Shows the file before and after.
notes:
  - Runs on the controller.
"""

EXAMPLES = r"""
- name: Trust a new CA of etcd beside the old one
  hardway.kubernetes.rotation:
    path: clusters/kubernetes/rotation.json
    stage: trust
    names: [etcd-ca]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
rotation:
  description: The state.
  returned: success
  type: dict
  contains:
    generations: {description: "By name, which generations are trusted and which one is used.", type: dict, sample: {etcd-ca: {trusted: [1, 2], active: 1}}}
    stage: {description: "The stage of the rotation under way, its names, and when its trust was published; null otherwise.", type: dict, sample: null}
"""

import datetime
import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import SECRET, FileRefused, read, write
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import rotation


def text_of(state: dict) -> str:
    return json.dumps(state, indent=1, sort_keys=True) + "\n"


def wanted(state: dict, parameters: dict) -> dict:
    """What is to stand in the file."""
    stage = parameters["stage"]
    after = rotation.finish(state) if stage == "done" else rotation.enter(state, stage, parameters["names"])
    if parameters["published"]:
        after = rotation.note(
            after, published=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    return after


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "stage": {"type": "str", "choices": [*rotation.STAGES, "done"], "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "published": {"type": "bool", "default": False},
            "assume": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    try:
        content = read(path)
        before = content.data.decode() if content else ""
        state = rotation.parse(before, path) if content else rotation.empty()
        if module.check_mode and module.params["assume"]:
            state = module.params["assume"]
        after = wanted(state, module.params)
        if after != state and not module.check_mode:
            write(path, text_of(after).encode(), SECRET)
    except (rotation.RotationError, FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or path}: {error.strerror}")
    result = {"changed": after != state, "rotation": after}
    if after != state:
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": text_of(state) if content else "",
            "after": text_of(after),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
