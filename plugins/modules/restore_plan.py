#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_plan
short_description: Plan a restore of a cluster, or of etcd alone
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Runs on the controller, as part of the role P(hardway.kubernetes.restore#role). Decides what is restored from what the hosts returned and from
    the cluster's directory, and changes nothing.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  directory:
    description: The cluster's directory.
    type: path
    required: true
  pki:
    description: The directory of its certificates.
    type: path
    required: true
  encryption_keys:
    description: Names of the encryption keys in use.
    type: list
    elements: str
    default: []
  etcd_version:
    description: Version of etcd in the settings.
    type: str
    required: true
  alone:
    description: Whether etcd alone is restored, without the cluster's directory.
    type: bool
    default: false
  archive:
    description: Path of the archive.
    type: str
    default: ""
  verified:
    description: The result of M(hardway.kubernetes.backup) for it, with O(hardway.kubernetes.backup#module:state=verified).
    type: dict
    default: {}
  snapshot:
    description: Path of a snapshot.
    type: str
    default: ""
  snapshot_revision:
    description: Revision of the snapshot.
    type: int
    default: 0
  source_host:
    description: Host whose data is taken.
    type: str
    default: ""
  force_id:
    description: A word, to restore once more what was restored before.
    type: str
    default: ""
  allow_other_cluster:
    description: Whether the directory or the members may be those of another cluster.
    type: bool
    default: false
  hosts:
    description: The hosts of the group etcd.
    type: list
    elements: str
    required: true
  members:
    description: Those of them that have data.
    type: list
    elements: str
    default: []
  records:
    description: For each host the result of M(ansible.builtin.slurp) for C(hardway-restored.json).
    type: dict
    default: {}
  bundles:
    description: For each host the result of M(ansible.builtin.stat) for the CA that its member trusts, with its SHA-256.
    type: dict
    default: {}
  states:
    description: For each host the result of M(hardway.kubernetes.etcd_info).
    type: dict
    default: {}
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.conn
attributes:
  action:
    description: Runs on the controller.
    support: full
  async:
    description: Cannot run in the background.
    support: none
  become:
    description: Needs no privileges.
    support: none
  bypass_host_loop:
    description: Runs once for each host, and is meant to be run once.
    support: none
  check_mode:
    description: Does the same in check mode, for it only reads.
    support: full
  connection:
    description: Uses no connection.
    support: none
  delegation:
    description: Is not delegated.
    support: none
  diff_mode:
    description: Has nothing to show.
    support: none
  platform:
    platforms: posix
"""

EXAMPLES = r"""
- name: Plan the restore
  hardway.kubernetes.restore_plan:
    cluster: production
    directory: /home/me/clusters/production
    pki: /home/me/clusters/production/pki
    etcd_version: 3.6.16
    hosts: "{{ groups['etcd'] }}"
    alone: true
    states: "{{ groups['etcd'] | hardway.kubernetes.host_results(hostvars, 'restore_etcd') }}"
  register: restore_run
  run_once: true
"""

RETURN = r"""
plan:
  description: What is restored.
  returned: success
  type: dict
  contains:
    source:
      description: One of V(archive), V(snapshot), V(survivor), V(pending) (an earlier run chose it) and V(none).
      type: str
      sample: archive
    id: {description: Tells this restore from all others., type: str, sample: production-f60341dcea0131a5}
    sha256: {description: SHA-256 of the snapshot., type: str, sample: f60341dcea0131a5b0ba1ac3ccd1c4efdcc1bdbdcbdc2c4ebd14a2b0be02d96b}
    revision: {description: Revision of the snapshot., type: int, sample: 1203341}
    origin: {description: Where it comes from., type: str, sample: "/backups/production-20261121T103000Z.tar.gz, of 2026-11-21T10:30:00Z"}
    snapshot: {description: Path of the snapshot on the controller., type: str, sample: /home/me/clusters/production.restore-f60341dcea0131a5/etcd/snapshot.db}
    staging: {description: Where the archive is extracted; empty without one., type: str, sample: /home/me/clusters/production.restore-f60341dcea0131a5}
    extract: {description: Whether it has to be extracted., type: bool, sample: true}
    done: {description: Whether all members have been restored from it., type: bool, sample: false}
    placed: {description: Whether the cluster's directory has., type: bool, sample: false}
    confirm: {description: Whether data would be replaced., type: bool, sample: true}
    members: {description: Hosts with data of etcd., type: list, elements: str, sample: [master1, master2]}
    salvage: {description: Hosts whose data may be the source., type: list, elements: str, sample: [master1, master2]}
    has_quorum: {description: Whether etcd has quorum., type: bool, sample: false}
    bump_revision: {description: That of the members that were restored before; null where there are none., type: int, sample: null}
    lines: {description: What it means., type: list, elements: str, sample: ["source: a survivor"]}
    problems: {description: "Every reason to refuse it, each with C(where), C(what), C(fix) and C(text).", type: list, elements: dict, sample: []}
"""
