#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_migration
short_description: Rewrite stored objects with the first encryption key
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - An API server encrypts what it writes, with the first key of its encryption configuration. What lies in etcd already stays as it is until it is written
    again.
  - Reads every object of O(resources) page by page and writes it back unchanged, several at once. The API server stores it again only where it is not
    stored with the first key already; so a second run changes nothing.
  - No update of others is lost. An object that someone else writes meanwhile is read again; one that is deleted stays so.
  - The new key must be the first one of every API server before this is run. The old key may go only after it has succeeded.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  resources:
    description:
      - What to rewrite, as an encryption configuration names it, such as V(secrets), V(configmaps) or V(widgets.example.org).
      - V(*.apps) is all of a group, V(*.) all of the core group, V(*.*) everything. What an aggregated API server keeps is left out of them.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
    description: Counts what it would read. It cannot know what is stored with the first key already, and reports a change where there is any object.
  diff_mode:
    support: none
    description: The objects stay as they are.
notes:
  - O(timeout) is for each object.
seealso:
  - name: Encrypting Confidential Data at Rest
    description: How a key is rotated.
    link: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#rotating-a-decryption-key
"""

EXAMPLES = r"""
- name: Store all Secrets with the new key
  hardway.kubernetes.storage_migration:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    resources: [secrets]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
resources:
  description:
    - For each resource how many objects were found, how many were rewritten, how many were deleted meanwhile, and how often someone else wrote one first.
    - Those that are neither rewritten nor gone were stored with the first key already.
  returned: when the resources are known
  type: dict
  sample: {secrets: {found: 120, rewritten: 119, gone: 1, conflicts: 2}}
failures:
  description: What could not be written, with the API's message.
  returned: failure, when the resources are known
  type: list
  elements: str
  sample: []
seconds:
  description: Time that it took.
  returned: when the resources are known
  type: float
  sample: 1.3
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.storage_migration import (
    Catalogue,
    Count,
    ResourceError,
    Rewriter,
)

MOST_SHOWN = 10


def result_of(counts: dict[str, Count], check_mode: bool, started: float) -> dict[str, t.Any]:
    return {
        "changed": any(count.found if check_mode else count.rewritten for count in counts.values()),
        "resources": {name: count.report() for name, count in counts.items()},
        "seconds": round(time.monotonic() - started, 2),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(resources={"type": "list", "elements": "str", "required": True}),
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params, started = module.params, time.monotonic()
    counts: dict[str, Count] = {}
    try:
        api = Api.of_module(params, "hardway-storage-migration")
        rewriter = Rewriter(api, params["timeout"], module.check_mode)
        for resource in Catalogue(api, params["timeout"]).resolve(params["resources"]):
            counts[resource.name] = rewriter.run(resource)
    except (ResourceError, KubeconfigError, ApiError, ApiUnreachable) as error:
        module.fail_json(msg=str(error), failures=[str(error)], **result_of(counts, module.check_mode, started))
    result = result_of(counts, module.check_mode, started)
    failures = [failure for count in counts.values() for failure in count.failures]
    if failures:
        more = f"\nand {len(failures) - MOST_SHOWN} more" if len(failures) > MOST_SHOWN else ""
        shown = "\n".join(failures[:MOST_SHOWN]) + more
        module.fail_json(
            msg=f"{len(failures)} objects were not rewritten. Fix: keep the old key, and run again until they are:\n{shown}",
            failures=failures,
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
