# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it is implemented as an action plugin that runs on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: objects
short_description: Apply objects to a cluster's API
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Applies each object by server-side apply (U(https://kubernetes.io/docs/reference/using-api/server-side-apply/)) with the field manager
    C(hardway), one after the other in their order. Fields that another manager owns are taken over. Fields that are not given are left alone.
  - Runs in Ansible's own process on the controller. An object costs one request to read it and one to apply it.
  - A kind that an object of the same call defines is waited for.
options:
  kubeconfig:
    description: Path of a kubeconfig, whose current context is used. Its user has a client certificate or a token.
    type: path
    required: true
  templates:
    description: Templates of YAML documents, each an object with C(apiVersion), C(kind) and C(metadata.name). A path, or a name in the role's C(templates/).
    type: list
    elements: str
    default: []
  definitions:
    description: Objects, applied after those of O(templates).
    type: list
    elements: dict
    default: []
  timeout:
    description: Seconds for which a busy API is tried again, and for which a kind that is not served yet is waited for.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description: The API server says what would become of each object (C(dryRun=All)).
  diff_mode:
    support: full
    description: Shows each object that changes, without what the API server writes into it. Values of Secrets are not shown.
notes:
  - Use it with C(run_once). It speaks from the controller, whatever the task's host is.
"""

EXAMPLES = r"""
- name: Apply the addons
  hardway.kubernetes.objects:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    templates: [coredns.yaml.j2, metrics-server.yaml.j2]
  run_once: true

- name: A namespace
  hardway.kubernetes.objects:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    definitions:
      - apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
  run_once: true
"""

RETURN = r"""
objects:
  description: Each object, in the order of the call.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its kind, and its namespace and name.
      type: str
    change:
      description: C(created), C(updated) or C(unchanged).
      type: str
  sample:
    - {name: Deployment kube-system/coredns, change: updated}
"""
