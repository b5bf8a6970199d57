#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_directory
short_description: Puts a cluster's directory back from an extracted archive
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Puts a copy of O(src) at O(path). It appears whole or not at all, and what was there before is kept beside it (RV(before)).
  - A note in it (C(restored.json)) tells of which restore it is. A directory with the same note is left alone, whatever runs after the restore have
    changed in it since.
options:
  src:
    description: The directory, as M(hardway.kubernetes.backup_extract) extracted it. In check mode it need not be there.
    type: path
    required: true
  path:
    description: The cluster's directory.
    type: path
    required: true
  restore:
    description: A word that tells this restore from all others.
    type: str
    required: true
  note:
    description: What else to note, such as what was lost.
    type: dict
    default: {}
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Names the directories.
  platform:
    platforms: posix
notes:
  - Runs on the controller.
seealso:
  - module: hardway.kubernetes.backup_extract
"""

EXAMPLES = r"""
- name: Put the cluster's directory back
  hardway.kubernetes.restore_directory:
    src: "{{ extracted.path }}/cluster"
    path: "{{ cluster_dir }}"
    restore: production-f60341dcea0131a5
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
before:
  description: Where the directory lies that was there before; empty where there was none. Remove it when the cluster is proved well.
  returned: success
  type: str
  sample: /home/me/clusters/production.before-20261121T103000Z
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import cluster_directory as restore_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "restore": {"type": "str", "required": True},
            "note": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        changed, before = restore_directory.put(
            params["src"], params["path"], params["restore"], params["note"], module.check_mode
        )
    except (restore_directory.RestoreError, private_files.FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['path']}: {error.strerror}")
    result = {"changed": changed, "before": before}
    if module._diff and changed:
        was = f"kept as {before}\n" if before else "not there\n"
        result["diff"] = {
            "before_header": params["path"],
            "after_header": params["path"],
            "before": was,
            "after": f"as in {params['src']}\n",
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
