#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Makes a snapshot of etcd into the data directory of a member
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Makes the data directory of one member of a new cluster from a snapshot, with C(etcdutl snapshot restore). Every member of the cluster is made
    from the same snapshot, with the same O(initial_cluster) and O(initial_cluster_token), while no etcd runs; then all are started.
  - The snapshot is proved whole first. The data appear at once or not at all, and what was there before is kept beside them (RV(old_data)).
  - A data directory that was made of the same snapshot with the same options is left alone, so a run that was killed is finished by the same call.
    A token of its own for each restore distinguishes one restore from another, and keeps members of the old cluster away.
options:
  snapshot:
    description: The snapshot, on the host where the module runs.
    type: path
    required: true
  data_dir:
    description:
      - The data directory. It is made where it is missing, and may be a mount point.
      - A separate C(wal-dir) is not supported.
    type: path
    default: /var/lib/etcd
  name:
    description: Name of the member.
    type: str
    required: true
  peer_urls:
    description: Its peer URLs.
    type: list
    elements: str
    required: true
  initial_cluster:
    description: All members of the new cluster, as C(NAME=PEER_URL,...).
    type: str
    required: true
  initial_cluster_token:
    description: A word that no other cluster has.
    type: str
    required: true
  bump_revision:
    description:
      - By how much the revision is raised above that of the snapshot; what is older counts as compacted. V(0) leaves it as it was.
      - Kubernetes' clients rely on revisions that never decrease. One that saw later ones before the restore would otherwise wait for changes that it
        takes for old, and miss them. The default is more than any cluster writes in weeks (U(https://etcd.io/docs/v3.6/op-guide/recovery/)).
      - Where etcdutl does not know the flag C(--bump-revision) (etcd 3.4, and the first releases of 3.5) it must be V(0).
    type: int
    default: 1000000000
  hash_check:
    description: V(false) is for a copy of C(member/snap/db) of a data directory, to which no member appended a hash.
    type: bool
    default: true
  sha256:
    description: SHA-256 that the snapshot must have.
    type: str
  force:
    description: Replace data of a member that are there. They are kept as RV(old_data). Refused while an etcd runs on them.
    type: bool
    default: false
  owner:
    description: User to whom the data belong.
    type: str
  group:
    description: Group to which the data belong.
    type: str
  bin_dir:
    description: Directory of C(etcdutl).
    type: path
    default: /usr/local/bin
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Names the data and their revision.
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.etcd_snapshot
"""

EXAMPLES = r"""
- name: Make the data of this member
  hardway.kubernetes.etcd_restore:
    snapshot: /srv/restore/etcd.db
    name: "{{ inventory_hostname }}"
    peer_urls: ["https://{{ cluster_address }}:2380"]
    initial_cluster: etcd1=https://192.0.2.11:2380,etcd2=https://192.0.2.12:2380,etcd3=https://192.0.2.13:2380
    initial_cluster_token: production-restored-2026-11-21
    owner: etcd
    group: etcd
"""

RETURN = r"""
reason:
  description: Why something was changed, or nothing.
  returned: success
  type: str
  sample: the data directory had no data
revision:
  description: Revision of the snapshot. What was written after it is lost.
  returned: success
  type: int
  sample: 1203341
restored_revision:
  description: Revision with which the cluster starts.
  returned: success
  type: int
  sample: 1001203341
hash:
  description: etcd's own hash of the content.
  returned: success
  type: str
  sample: fe01cf57
total_keys:
  description: How many keys the snapshot has, with those of older revisions.
  returned: success
  type: int
  sample: 4711
sha256:
  description: SHA-256 of the snapshot.
  returned: success
  type: str
  sample: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b
old_data:
  description: Where the data lie that were replaced; empty where there were none. Remove them when the cluster is proved well.
  returned: success
  type: str
  sample: /var/lib/etcd/member.before-20261121T103000Z
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.restore import RestoreSpec, restore
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.snapshot import Commands


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "snapshot": {"type": "path", "required": True},
            "data_dir": {"type": "path", "default": "/var/lib/etcd"},
            "name": {"type": "str", "required": True},
            "peer_urls": {"type": "list", "elements": "str", "required": True},
            "initial_cluster": {"type": "str", "required": True},
            "initial_cluster_token": {"type": "str", "required": True, "no_log": False},
            "bump_revision": {"type": "int", "default": 1000000000},
            "hash_check": {"type": "bool", "default": True},
            "sha256": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "bin_dir": {"type": "path", "default": "/usr/local/bin"},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    commands = Commands(params.pop("bin_dir"))
    params["data_dir"] = os.path.realpath(params["data_dir"])
    params["peer_urls"] = tuple(params["peer_urls"])
    try:
        restored = restore(commands, RestoreSpec(**params), module.check_mode)
    except (EtcdError, private_files.FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['data_dir']}: {error.strerror}")
    snapshot = restored.snapshot
    result = {
        "changed": restored.changed,
        "reason": restored.reason,
        "old_data": restored.old_data,
        "revision": snapshot.revision,
        "restored_revision": snapshot.revision + params["bump_revision"],
        "hash": snapshot.hash,
        "total_keys": snapshot.total_keys,
        "sha256": snapshot.sha256,
    }
    if module._diff and restored.changed:
        before = f"data of a member, kept as {restored.old_data}\n" if restored.old_data else "no data\n"
        after = f"data of {params['name']} from revision {snapshot.revision}, {snapshot.total_keys} keys\n"
        result["diff"] = {
            "before_header": params["data_dir"],
            "after_header": params["data_dir"],
            "before": before,
            "after": after,
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
