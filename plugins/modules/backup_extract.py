#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_extract
short_description: Extracts an archive of a cluster's backup, if it is whole
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Extracts an archive that M(hardway.kubernetes.backup) made. Every byte of it is proved first; of an archive that is damaged nothing is extracted.
  - The directory appears whole or not at all. A second call finds it there, proves it against the archive, and changes nothing.
options:
  archive:
    description: The archive. Where C(ARCHIVE.sha256) stands beside it, they must agree.
    type: path
    required: true
  path:
    description: The directory to extract to. It must be empty, or not there; it gets the mode 0700.
    type: path
    required: true
  identity:
    description: Path of the private key of an encrypted archive, as C(age-keygen) writes it or of ssh without a passphrase.
    type: path
requirements:
  - pyrage, for encrypted archives
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Proves the whole archive.
  diff_mode:
    support: full
    details: Lists the files.
  platform:
    platforms: posix
notes:
  - Runs on the controller. The files are those of the whole cluster, so remove them when they are not needed any more.
seealso:
  - module: hardway.kubernetes.backup
  - module: hardway.kubernetes.etcd_restore
"""

EXAMPLES = r"""
- name: Extract the archive
  hardway.kubernetes.backup_extract:
    archive: ~/production-20261121T103000Z.tar.gz.age
    path: "{{ cluster_dir }}/extracted"
    identity: ~/keys/backup.txt
  register: extracted
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The directory.
  returned: success
  type: str
  sample: /home/me/restore
manifest:
  description: What the archive says of itself.
  returned: success
  type: dict
  sample:
    cluster: production
    files: [{path: etcd/snapshot.db, size: 24821792, sha256: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b}]
    revision: 1203341
    time: "2026-11-21T10:30:00Z"
    versions: {etcd: 3.6.16}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import archive as backup
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import keys as backup_keys
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import store
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "identity": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if backup.PYRAGE_IMPORT_ERROR and params["identity"]:
        module.fail_json(
            msg=missing_required_lib("pyrage", reason="for encrypted archives"), exception=backup.PYRAGE_IMPORT_ERROR
        )
    try:
        identities = backup_keys.read_identities(params["identity"]) if params["identity"] else ()
        manifest, changed = store.extract(params["archive"], params["path"], identities, module.check_mode)
    except (backup.BackupError, private_files.FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['path']}: {error.strerror}")
    result = {"changed": changed, "path": params["path"], "manifest": manifest.report()}
    if module._diff and changed:
        after = "".join(f"{entry.path}\n" for entry in manifest.entries)
        result["diff"] = {"before_header": params["path"], "after_header": params["path"], "before": "", "after": after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
