#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts
short_description: Give every artifact the checksum that it is held to
description:
  - Runs on the controller. Finds the SHA-256 of each artifact in the lock file; where it is not there yet, learns it from the checksum
    file that upstream publishes, or, where upstream publishes none, from the file itself, and writes it to the lock file.
  - A sum in the lock file is used without any network access, and is never replaced. Remove an entry from the lock file to have it learnt anew.
  - A sum belongs to upstream's address, so a mirror has to have the very files that upstream (or the first mirror) had.
author: the hardway.kubernetes authors (@hardway)
options:
  artifacts:
    description:
      - The entries of the catalogue by name, see C(cluster_artifacts) of the role P(hardway.kubernetes.cluster#role).
      - Each has C(version), C(url) and C(checksum) (the URL of the published checksum file; null where there is none).
        All its other fields are returned as they are.
      - A URL without a scheme is a path below O(mirror).
      - A checksum file has either the bare sum, or a line with sum and name for each of one or more files.
    type: dict
    required: true
  mirror:
    description: Base URL of a mirror, which holds each file under its upstream URL without the scheme. Empty to fetch from upstream.
    type: str
    default: ""
  lock:
    description: Path of the lock file. Its directory is made with mode 0700 where it is missing.
    type: path
    required: true
  verify:
    description: Whether to read the published sums of locked artifacts too, and to fail where one differs from the lock file.
    type: bool
    default: false
  timeout:
    description: Seconds without an answer after which a connection is given up. It is tried three times.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: Learns and returns the sums, and does not write the lock file.
  diff_mode:
    support: full
    description: Shows the lock file.
  platform:
    platforms: posix
    support: full
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
- name: Lock the artifacts
  hardway.kubernetes.artifacts:
    artifacts: "{{ cluster_artifacts }}"
    mirror: http://mirror.example.org:8088
    lock: clusters/kubernetes/artifacts.lock
  delegate_to: localhost
  run_once: true

- name: See that nothing that is locked was replaced at upstream
  hardway.kubernetes.artifacts:
    artifacts:
      runc:
        version: 1.4.2
        url: https://github.com/opencontainers/runc/releases/download/v1.4.2/runc.amd64
        checksum: https://github.com/opencontainers/runc/releases/download/v1.4.2/runc.sha256sum
        install:
          runc: runc.amd64
    lock: clusters/kubernetes/artifacts.lock
    verify: true
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
artifacts:
  description: The artifacts by name, each with its version, the URL to fetch it from, its SHA-256, and the other fields of its entry.
  type: dict
  returned: success
  sample:
    runc:
      version: 1.4.2
      url: http://mirror.example.org:8088/github.com/opencontainers/runc/releases/download/v1.4.2/runc.amd64
      sha256: 8781ab9f71c12f314d21c8e85f13ca1a82d90cf475aa5131a7b543fcc5487543
      install:
        runc: runc.amd64
locked:
  description: Name and version of each artifact whose sum was not in the lock file yet.
  type: list
  elements: str
  returned: success
  sample: [runc 1.4.2]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import FileRefused
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifact_lock


def argument_spec() -> dict[str, t.Any]:
    return {
        "artifacts": {"type": "dict", "required": True},
        "mirror": {"type": "str", "default": ""},
        "lock": {"type": "path", "required": True},
        "verify": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 60},
    }


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    try:
        wanted = [artifact_lock.Wanted.from_entry(name, entry) for name, entry in params["artifacts"].items()]
        resolution = artifact_lock.resolve(
            wanted, params["mirror"], params["lock"], params["timeout"], params["verify"]
        )
        if resolution.learnt and not task.check_mode:
            artifact_lock.write(params["lock"], resolution.after)
    except (artifact_lock.ArtifactError, FileRefused, OSError) as error:
        raise TaskFailed(error) from error
    result: dict[str, t.Any] = {
        "changed": bool(resolution.learnt),
        "artifacts": resolution.artifacts,
        "locked": [f"{entry.name} {entry.version}" for entry in resolution.learnt],
    }
    if resolution.learnt:
        result["diff"] = {
            "before_header": params["lock"],
            "after_header": params["lock"],
            "before": artifact_lock.text_of(resolution.before) if resolution.before else "",
            "after": artifact_lock.text_of(resolution.after),
        }
    return result


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), run)


if __name__ == "__main__":
    main()
