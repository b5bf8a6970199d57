#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove that a cluster works, with real pods
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - With O(level=light) checks, in a few requests, that the API answers at the kubeconfig's server, that the named nodes are Ready, and that the
    Deployments of C(kube-system) are available, and what an anonymous client gets. Meant for runs that changed nothing.
  - With O(level=pods) checks that the API answers at the kubeconfig's server and is ready, that the named nodes are Ready, and that an anonymous
    client gets health and nothing else. Then it runs a web server on each named node (in the namespace C(hardway-verify), which it deletes at the
    end, also when a check failed). It reads their logs, executes a command in each, forwards a port to each, lets them ask each other by pod address,
    by Service address and by DNS name, and asks each node's NodePort from the controller.
  - With more nodes than O(node_sample), only a sample of them gets a web server and is asked at its NodePort. All other checks are made for all nodes.
  - An API that does not answer in time, or answers with a temporary error (429 and 5xx), is asked again until O(timeout).
  - All failing checks are reported together, each with its cause and how to fix it.
  - The kubeconfig's server is the address that is verified; its user is an administrator.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  nodes:
    description: The nodes that must be there, and work.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      address:
        description: Address under which the controller reaches the node's NodePorts. Default is its name.
        type: str
  level:
    description: How much to check. V(light) takes a few requests and starts no pods, V(pods) takes some seconds.
    type: str
    choices: [light, pods]
    default: pods
  image:
    description: Reference of an agnhost image that the nodes have or can pull. Needed for O(level=pods).
    type: str
  version:
    description: The version that the API server and each kubelet must run. Any, when not given.
    type: str
    default: ""
  node_sample:
    description:
      - With more nodes than this, so many of them get a web server. They are spread evenly over the names in order, so the same nodes always
        have the same sample. V(0) is all nodes.
    type: int
    default: 20
  dns:
    description: Whether to check DNS names.
    type: bool
    default: true
  dns_domain:
    description: The cluster's DNS domain.
    type: str
    default: cluster.local
  outside:
    description: Whether to ask the NodePorts from the controller.
    type: bool
    default: true
  metrics:
    description: Whether the use of each node, and of pods, must be known to metrics-server. Not in check mode, where it may be about to be installed.
    type: bool
    default: false
  network:
    description:
      - C(NAMESPACE/NAME) of the DaemonSet whose pods connect those of each node, where the network is made of pods. Each node must have a ready one
        of what was applied last. Empty asks for none. Not in check mode.
    type: str
    default: ""
requirements:
  - websocket-client (for O(level=pods))
attributes:
  check_mode:
    support: full
    description: With O(level=pods) makes only those checks that read, of the API, the nodes and anonymous access.
  diff_mode:
    support: none
    description: There is nothing to show, because nothing changes.
notes:
  - It never reports a change, because nothing stays.
"""

EXAMPLES = r"""
- name: Prove that the cluster works
  hardway.kubernetes.verify:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
    nodes:
      - name: node1
        address: 192.0.2.31
      - name: node2
        address: 192.0.2.32
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
checks:
  description: Each check.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: nodes, ok: true, seconds: 0.01, skipped: false, text: "nodes: 5 Ready"}
lines:
  description: One line for each check.
  returned: always
  type: list
  elements: str
  sample: ["API: https://192.0.2.100:6443 answers as v1.36.3", "nodes: 5 Ready"]
seconds:
  description: Time that it took.
  returned: always
  type: float
  sample: 6.4
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    YAML_IMPORT_ERROR,
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    api_argument_spec,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.checks import Verifier
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import NODE_SAMPLE, Settings
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.port_forward import WEBSOCKET_IMPORT_ERROR

REQUIRED_IF = [("level", "pods", ["image"])]


def argument_spec() -> dict[str, t.Any]:
    return api_argument_spec(
        nodes={
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"name": {"type": "str", "required": True}, "address": {"type": "str"}},
        },
        level={"type": "str", "choices": ["light", "pods"], "default": "pods"},
        image={"type": "str"},
        version={"type": "str", "default": ""},
        node_sample={"type": "int", "default": NODE_SAMPLE},
        dns={"type": "bool", "default": True},
        dns_domain={"type": "str", "default": "cluster.local"},
        outside={"type": "bool", "default": True},
        metrics={"type": "bool", "default": False},
        network={"type": "str", "default": ""},
    )


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with_pods = params["level"] == "pods" and not task.check_mode
    for library, error in (
        ("PyYAML", YAML_IMPORT_ERROR),
        ("websocket-client", WEBSOCKET_IMPORT_ERROR if with_pods else None),
    ):
        if error:
            raise TaskFailed(missing_required_lib(library), exception=error)
    started = time.monotonic()
    plain = ("version", "node_sample", "dns", "dns_domain", "outside", "metrics", "network", "timeout")
    settings = Settings(
        nodes={node["name"]: node["address"] or node["name"] for node in params["nodes"]},
        image=params["image"] or "",
        **{key: params[key] for key in plain},
    )
    try:
        verifier = Verifier(Api.of_module(params, "hardway-verify"), settings)
        if params["level"] == "light":
            verifier.light()
        else:
            verifier.cluster()
        if with_pods:
            verifier.network()
            verifier.pods()
            verifier.metrics()
    except (KubeconfigError, ApiError, ApiUnreachable) as error:
        raise TaskFailed(error) from error
    result: dict[str, t.Any] = {
        "changed": False,
        "checks": [check.report() for check in verifier.checks],
        "lines": [check.line for check in verifier.checks],
        "seconds": round(time.monotonic() - started, 2),
    }
    if verifier.failed:
        lines = [
            f"{len(verifier.failed)} of {len(verifier.checks)} checks failed.",
            *(check.line for check in verifier.failed),
        ]
        raise TaskFailed("\n".join(lines), **result)
    return result


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), required_if=REQUIRED_IF, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
