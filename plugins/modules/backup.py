#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Keeps dated archives of all that a cluster cannot be made anew from
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Puts files, directories and settings - etcd's snapshot, certificates and keys, tokens - into one archive C(CLUSTER-TIME.tar.gz) with a manifest,
    and proves it before it counts. A killed run leaves no archive.
  - With O(recipients) it is C(CLUSTER-TIME.tar.gz.age), encrypted by age, and no plain text touches the disk. The private key is not needed to make
    backups, and should not lie where they are made; C(age-keygen) makes one.
  - Nothing of this collection is needed to open one - C(age -d -i KEY FILE | tar xz). Beside it stands C(FILE.sha256), for C(sha256sum --check).
  - Archives that are too many or too old are removed once a new one is proved. The last good one always stays, and so do files of others.
  - Files are read and written in blocks, so memory does not grow with a snapshot's size.
options:
  path:
    description: Directory of the archives. It is made, with mode 0700, where it is missing.
    type: path
    required: true
  cluster:
    description: Name of the cluster, with which the names of its archives begin.
    type: str
    required: true
  state:
    description:
      - V(present) makes an archive, each time.
      - V(listed) changes nothing, and lists the archives, the newest first. It does not read them whole.
      - V(verified) changes nothing, reads the whole of O(archive), and fails when a single byte is not as it was written.
    type: str
    choices: [present, listed, verified]
    default: present
  files:
    description: What goes into the archive.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description: Path of a file or of a directory, with all below it. Links are refused.
        type: path
        required: true
      dest:
        description: Path in the archive.
        type: str
        required: true
      sha256:
        description: SHA-256 that a file must have, such as that which M(hardway.kubernetes.etcd_snapshot) returned on another host.
        type: str
  settings:
    description:
      - Settings to keep, as C(settings.json).
      - Give them as text, through C(to_json) - then Ansible hides them in results as a whole, and not each word of them wherever it appears.
    type: json
  versions:
    description: Versions to name in the manifest, by component.
    type: dict
    default: {}
  revision:
    description: Revision of etcd's snapshot, to name in the manifest.
    type: int
  recipients:
    description:
      - Public keys for whom the archive is encrypted, of age (C(age1...)) or of ssh (C(ssh-ed25519 ...), C(ssh-rsa ...)).
      - Each one's private key opens it.
    type: list
    elements: str
    default: []
  keep:
    description: How many good archives stay. V(0) is for no limit.
    type: int
    default: 14
  keep_days:
    description: Days after which an archive goes. V(0) is for no limit.
    type: int
    default: 0
  archive:
    description: With O(state=verified), the archive; the newest without it.
    type: path
  identity:
    description:
      - Path of a private key, as C(age-keygen) writes it or of ssh without a passphrase, to read encrypted archives with.
      - Without it an encrypted archive is verified by the sum beside it.
    type: path
requirements:
  - pyrage, for encrypted archives
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Reads what would go into the archive, and says which others would be removed.
  diff_mode:
    support: full
    details: Lists the archives before and after.
  platform:
    platforms: posix
notes:
  - Runs on the controller.
seealso:
  - module: hardway.kubernetes.backup_extract
  - module: hardway.kubernetes.etcd_snapshot
"""

EXAMPLES = r"""
- name: Put all of it into an archive
  hardway.kubernetes.backup:
    path: "{{ cluster_dir }}/backups"
    cluster: "{{ cluster_name }}"
    files:
      - {src: "{{ fetched }}/etcd.db", dest: etcd/snapshot.db, sha256: "{{ snapshot.sha256 }}"}
      - {src: "{{ cluster_dir }}/pki", dest: pki}
    settings: "{{ hostvars | to_json }}"
    versions: {etcd: 3.6.16, kubernetes: 1.36.3}
    revision: "{{ snapshot.revision }}"
    recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
    keep: 30
    keep_days: 90
  delegate_to: localhost
  run_once: true

- name: See that the newest is whole
  hardway.kubernetes.backup:
    path: "{{ cluster_dir }}/backups"
    cluster: "{{ cluster_name }}"
    state: verified
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
archive:
  description: The archive.
  returned: when state is present or verified
  type: str
  sample: /home/me/clusters/production/backups/production-20261121T103000Z.tar.gz.age
encrypted:
  description: Whether it is encrypted.
  returned: when state is present or verified
  type: bool
  sample: true
sha256:
  description: Its SHA-256. Empty in check mode, and where no sum stands beside it.
  returned: when state is present or verified
  type: str
  sample: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b
manifest:
  description: What it says of itself. Empty for an encrypted one without its key.
  returned: when state is present or verified
  type: dict
  sample:
    cluster: production
    files: [{path: etcd/snapshot.db, size: 24821792, sha256: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b}]
    revision: 1203341
    time: "2026-11-21T10:30:00Z"
    versions: {etcd: 3.6.16}
proved:
  description: By what the archive was proved - V(content), or for an encrypted one without its key V(sum).
  returned: when state is verified
  type: str
  sample: content
removed:
  description: Archives that were removed; in check mode those that would be.
  returned: when state is present
  type: list
  elements: str
  sample: []
damaged:
  description: Archives that were found damaged when it was judged which of them stay. They were left as they are.
  returned: when state is present
  type: list
  elements: str
  sample: []
archives:
  description: The cluster's archives, the newest first.
  returned: when state is listed
  type: list
  elements: dict
  sample:
    - age_hours: 3.4
      encrypted: true
      path: /home/me/clusters/production/backups/production-20261121T103000Z.tar.gz.age
      sha256: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b
      size: 9125431
      time: "2026-11-21T10:30:00Z"
problems:
  description: All reasons for which nothing was written.
  returned: when refused
  type: list
  elements: str
  sample: ["files: /home/me/clusters/production/pki: No such file or directory"]
"""

import os
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import archive as backup
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import gather, store
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import keys as backup_keys
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files


def make(module: AnsibleModule) -> dict:
    params = module.params
    order = store.Order(
        directory=os.path.abspath(params["path"]),
        cluster=params["cluster"],
        sources=tuple(gather.Source(**each) for each in params["files"]),
        settings=params["settings"],
        versions={name: str(version) for name, version in params["versions"].items()},
        revision=params["revision"],
        recipients=tuple(params["recipients"]),
        keep=params["keep"],
        keep_days=params["keep_days"],
    )
    before = [archive.name for archive in store.archives(order.directory, order.cluster)]
    made = store.make(order, module.check_mode)
    for archive in made.damaged:
        module.warn(
            f"{archive.path} is damaged or cannot be judged. It does not count as a backup; look at its disk, and remove it"
        )
    gone = [archive.name for archive in made.removed]
    after = [made.archive.name, *(name for name in before if name not in gone)]
    return {
        "changed": True,
        "archive": made.archive.path,
        "encrypted": made.archive.encrypted,
        "sha256": made.sha256,
        "manifest": made.manifest.report(),
        "removed": [archive.path for archive in made.removed],
        "damaged": [archive.path for archive in made.damaged],
        "diff": {
            "before_header": order.directory,
            "after_header": order.directory,
            "before": "".join(f"{name}\n" for name in sorted(before)),
            "after": "".join(f"{name}\n" for name in sorted(after)),
        },
    }


def verify(module: AnsibleModule) -> dict:
    params = module.params
    path = params["archive"]
    if not path:
        found = store.archives(params["path"], params["cluster"])
        if not found:
            raise backup.BackupError(
                f"{params['path']} has no archive of {params['cluster']}. Make one with state: present, or name it (archive)"
            )
        path = found[0].path
    manifest = backup.verify(path, backup_keys.read_identities(params["identity"]) if params["identity"] else ())
    return {
        "changed": False,
        "archive": path,
        "encrypted": backup.is_encrypted(path),
        "sha256": backup.read_sum(path) or "",
        "manifest": manifest.report() if manifest else {},
        "proved": "content" if manifest else "sum",
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "cluster": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "listed", "verified"], "default": "present"},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "src": {"type": "path", "required": True},
                    "dest": {"type": "str", "required": True},
                    "sha256": {"type": "str"},
                },
            },
            "settings": {"type": "json", "no_log": True},
            "versions": {"type": "dict", "default": {}},
            "revision": {"type": "int"},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "int", "default": 14},
            "keep_days": {"type": "int", "default": 0},
            "archive": {"type": "path"},
            "identity": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if backup.PYRAGE_IMPORT_ERROR and (params["recipients"] or params["identity"]):
        module.fail_json(
            msg=missing_required_lib("pyrage", reason="for encrypted archives"), exception=backup.PYRAGE_IMPORT_ERROR
        )
    try:
        if params["state"] == "listed":
            now = datetime.now(timezone.utc)
            result = {
                "changed": False,
                "archives": [archive.report(now) for archive in store.archives(params["path"], params["cluster"])],
            }
        else:
            result = make(module) if params["state"] == "present" else verify(module)
    except backup.Refused as error:
        module.fail_json(msg=f"No archive was made:\n{error}", problems=error.problems)
    except (backup.BackupError, private_files.FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['path']}: {error.strerror}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
