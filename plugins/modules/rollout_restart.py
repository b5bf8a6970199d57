#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_restart
short_description: Restart the workloads whose pods hold an old CA or token of the API
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - After a change of the cluster's CA or of the key of its service accounts, programs in pods may still trust the old one, because many read it only
    when they start.
  - Finds the running pods that mount a token of their service account or the ConfigMap C(kube-root-ca.crt), and started before O(started_before).
  - Restarts the Deployments, DaemonSets and StatefulSets that own them as C(kubectl rollout restart) does, one after the other, and waits for each
    rollout to be complete. Run again after a failure, it continues where it stopped.
  - Pods that no change of a template replaces (without owner, of Jobs, of paused or C(OnDelete) workloads) are named in RV(ignore:left) with the reason.
extends_documentation_fragment:
  - hardway.kubernetes.api
options:
  started_before:
    description: A time of RFC 3339 with its zone, not in the future. Pods that started before it hold something too old.
    type: str
    required: true
  namespaces:
    description: Only pods of these namespaces. All, when not given.
    type: list
    elements: str
  state:
    description:
      - V(restarted) restarts the workloads.
      - V(report) changes nothing, and only lists them.
    type: str
    choices: [restarted, report]
    default: restarted
attributes:
  check_mode:
    support: full
    description: Lists what it would restart.
  diff_mode:
    support: full
    description: Shows when each workload was restarted before.
notes:
  - O(timeout) is for the rollout of each workload.
  - A token in a Secret of type C(kubernetes.io/service-account-token) is not renewed by a restart. Create such Secrets again after a change of the key.
"""

EXAMPLES = r"""
- name: Restart what has not read the new CA
  hardway.kubernetes.rollout_restart:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    started_before: "2026-11-21T10:30:00Z"
    timeout: 300
  delegate_to: localhost
  run_once: true

- name: Which pods still hold the old one?
  hardway.kubernetes.rollout_restart:
    kubeconfig: clusters/kubernetes/admin.kubeconfig
    started_before: "2026-11-21T10:30:00Z"
    state: report
  delegate_to: localhost
  run_once: true
  register: report
"""

RETURN = r"""
old:
  description: Workloads whose pods hold something too old and can be restarted, with those pods.
  returned: success
  type: list
  elements: dict
  sample:
    - {kind: Deployment, namespace: kube-system, name: coredns, pods: [coredns-5c4b8f-8kx2q, coredns-5c4b8f-v7d9l]}
restarted:
  description: Those that were restarted (in check mode, that would be).
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: Deployment, namespace: kube-system, name: coredns, pods: [coredns-5c4b8f-8kx2q, coredns-5c4b8f-v7d9l]}
left:
  description: What was not restarted though its pods hold something too old, and why. RV(ignore:left[].kind) is empty for a pod without owner.
  returned: success, and when a rollout is not complete
  type: list
  elements: dict
  sample:
    - {kind: "", namespace: default, name: "", pods: [debug], reason: nothing owns it; delete it and create it again}
"""

import datetime
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
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.rollout_restart import (
    TIME_FORMAT,
    Findings,
    Restarter,
    RestartError,
    Workload,
    read_started_before,
    restarted_at,
)


def result_of(findings: Findings, restarted: list[Workload]) -> dict[str, t.Any]:
    def line(workload: Workload, now: str) -> str:
        return f"{workload.title}: restarted {now}\n"

    before = [(workload, restarted_at(workload.object)) for workload in restarted]
    return {
        "changed": bool(restarted),
        "old": [workload.report() for workload in [*findings.rolling, *findings.due]],
        "restarted": [workload.report() for workload in restarted],
        "left": [workload.report(reason) for workload, reason in findings.left],
        "diff": {
            "before": "".join(
                line(workload, since.strftime(TIME_FORMAT) if since else "never") for workload, since in before
            ),
            "after": "".join(line(workload, "by this run") for workload in restarted),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=api_argument_spec(
            started_before={"type": "str", "required": True},
            namespaces={"type": "list", "elements": "str"},
            state={"type": "str", "choices": ["restarted", "report"], "default": "restarted"},
        ),
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    params = module.params
    findings: Findings | None = None
    restarter: Restarter | None = None
    try:
        before = read_started_before(params["started_before"], datetime.datetime.now(datetime.timezone.utc))
        restarter = Restarter(
            Api.of_module(params, "hardway-rollout-restart"), before, params["timeout"], params["namespaces"]
        )
        findings = restarter.find()
        if params["state"] == "report":
            module.exit_json(**result_of(findings, []))
        if module.check_mode:
            module.exit_json(**result_of(findings, findings.due))
        restarter.restart(findings)
        module.exit_json(**result_of(findings, restarter.restarted))
    except (RestartError, KubeconfigError, ApiError, ApiUnreachable) as error:
        result = result_of(findings, restarter.restarted) if findings and restarter else {"restarted": []}
        module.fail_json(msg=str(error), **result)


if __name__ == "__main__":
    main()
