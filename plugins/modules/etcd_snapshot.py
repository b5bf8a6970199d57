#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Takes a snapshot of etcd, and proves that one is whole
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Takes a snapshot of one member with C(etcdctl), and puts it at O(path) only when it is proved whole - it agrees with the hash that the member
    appended, C(etcdutl) can read it, and it has every write that was acknowledged before.
  - The file has mode 0600 from its first byte, for it holds all Secrets. A killed run leaves the old file, or the new one.
options:
  path:
    description: The file, on the host where the module runs. Its directory must exist. A file that is there is replaced.
    type: path
    required: true
  state:
    description:
      - V(present) takes a snapshot, each time.
      - V(salvaged) takes a snapshot of the data in O(data_dir) of a member that does not run, whose cluster is lost. It has all that the member had,
        also what is in its write-ahead log alone, so of the member whose log is the newest (RV(raft_term), then RV(raft_index)) it has all that was
        acknowledged. The data are only read. Needs twice their size beside O(path).
      - V(verified) changes nothing, and fails when the file at O(path) is damaged. It needs no O(endpoints).
    type: str
    choices: [present, salvaged, verified]
    default: present
  consistent:
    description:
      - Whether the snapshot must have every write that the cluster acknowledged before.
      - V(false) is for a cluster without quorum, of which a survivor's state is to be saved.
    type: bool
    default: true
  sha256:
    description: With O(state=verified), the SHA-256 that the file must have.
    type: str
  data_dir:
    description: With O(state=salvaged), the data directory.
    type: path
    default: /var/lib/etcd
  name:
    description: With O(state=salvaged), the member's name.
    type: str
    default: survivor
  bin_dir:
    description: Directory of C(etcdctl) and C(etcdutl), and with O(state=salvaged) of C(etcd).
    type: path
    default: /usr/local/bin
extends_documentation_fragment:
  - hardway.kubernetes.etcd
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Asks the member whether a snapshot could be taken.
  diff_mode:
    support: full
    details: Shows size and revision.
  platform:
    platforms: posix
notes:
  - The snapshot is taken of the first of O(endpoints), with the load that reading the whole database is. A follower serves best.
seealso:
  - module: hardway.kubernetes.etcd_restore
  - module: hardway.kubernetes.backup
"""

EXAMPLES = r"""
- name: Take a snapshot
  hardway.kubernetes.etcd_snapshot:
    path: /var/backups/etcd.db
  register: snapshot

- name: Take what the only member knew that is left, and that does not run
  hardway.kubernetes.etcd_snapshot:
    path: /var/lib/hardway/salvaged.db
    state: salvaged

- name: See that the copy is whole
  hardway.kubernetes.etcd_snapshot:
    path: /srv/restore/etcd.db
    state: verified
    sha256: "{{ snapshot.sha256 }}"
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /var/backups/etcd.db
endpoint:
  description: The member of which it was taken.
  returned: when state is present
  type: str
  sample: https://127.0.0.1:2379
size:
  description: Bytes.
  returned: success, not in check mode unless state is verified
  type: int
  sample: 24821792
sha256:
  description: SHA-256 of the file.
  returned: success, not in check mode unless state is verified
  type: str
  sample: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b
hash:
  description: etcd's own hash of the content, as C(etcdutl snapshot status) reports it.
  returned: success, not in check mode unless state is verified
  type: str
  sample: fe01cf57
revision:
  description: Revision of the content. In check mode with state present the one that a snapshot would have at least.
  returned: success, not in check mode with state salvaged
  type: int
  sample: 1203341
total_keys:
  description: How many keys it has, with those of older revisions.
  returned: success, not in check mode unless state is verified
  type: int
  sample: 4711
raft_term:
  description: Term of the last entry, or snapshot, of the member's log. Of several survivors the one with the highest has the newest log.
  returned: when state is salvaged, not in check mode
  type: int
  sample: 4
raft_index:
  description: Index of it. Of several survivors of the same term the one with the highest has the newest log.
  returned: when state is salvaged, not in check mode
  type: int
  sample: 1410233
version:
  description: Storage version of etcd that wrote it; empty where etcdutl does not report it.
  returned: success, not in check mode unless state is verified
  type: str
  sample: 3.6.0
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import salvage as etcd_salvage
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import snapshot as etcd_snapshot
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError


def take(module: AnsibleModule, commands: etcd_snapshot.Commands) -> dict[str, t.Any]:
    params = module.params
    directory = os.path.dirname(os.path.abspath(params["path"]))
    if not os.path.isdir(directory):
        raise EtcdError(f"{directory} is not a directory. Fix: create it, with mode 0700")
    client = etcd.of_module(params)
    if module.check_mode:
        endpoint, revision = etcd_snapshot.source(client, params["consistent"])
        result = {"path": params["path"], "revision": revision, "endpoint": endpoint}
    else:
        tls = (
            {"cacert": params["ca"], "cert": params["certificate"], "key": params["key"]}
            if client.endpoints[0].startswith("https")
            else {}
        )
        options = [f"--{name}={path}" for name, path in tls.items() if path]
        path = os.path.join(directory, os.path.basename(params["path"]))
        result = {
            **etcd_snapshot.take(commands, client, options, path, params["consistent"]).report(),
            "endpoint": client.endpoints[0],
        }
    return {"changed": True, **result}


def salvage(module: AnsibleModule, commands: etcd_snapshot.Commands) -> dict[str, t.Any]:
    params = module.params
    survivor = etcd_salvage.Survivor(
        params["data_dir"], params["name"], params["ca"], params["certificate"], params["key"]
    )
    tls = etcd.read_tls(params["ca"], params["certificate"], params["key"])
    if module.check_mode:
        return {"changed": True, "path": params["path"]}
    snapshot, end = etcd_salvage.salvage(commands, survivor, params["path"], tls)
    return {"changed": True, **snapshot.report(), "raft_term": end.term, "raft_index": end.index}


def lines_of(snapshot: dict[str, t.Any]) -> str:
    return "".join(f"{key}: {snapshot[key]}\n" for key in ("size", "revision") if key in snapshot)


def main() -> None:
    module = AnsibleModule(
        argument_spec=etcd.argument_spec(
            path={"type": "path", "required": True},
            state={"type": "str", "choices": ["present", "salvaged", "verified"], "default": "present"},
            consistent={"type": "bool", "default": True},
            sha256={"type": "str"},
            data_dir={"type": "path", "default": "/var/lib/etcd"},
            name={"type": "str", "default": "survivor"},
            bin_dir={"type": "path", "default": "/usr/local/bin"},
        ),
        supports_check_mode=True,
    )
    params = module.params
    commands = etcd_snapshot.Commands(params["bin_dir"])
    try:
        if params["state"] == "verified":
            module.exit_json(changed=False, **etcd_snapshot.verify(commands, params["path"], params["sha256"]).report())
        result = salvage(module, commands) if params["state"] == "salvaged" else take(module, commands)
    except (EtcdError, private_files.FileRefused) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or params['path']}: {error.strerror}")
    if module._diff:
        result["diff"] = {
            "before_header": params["path"],
            "after_header": params["path"],
            "before": "",
            "after": lines_of(result),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
