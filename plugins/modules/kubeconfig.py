#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Keep a context of a kubeconfig file true
version_added: 0.1.0
author: hardway.kubernetes contributors (@hardway)
description:
  - Does what C(kubectl config set-cluster), C(set-credentials), C(set-context) and C(use-context) do, in one call that
    changes nothing when all of it stands there already.
  - A cluster, a user and a context are merged into the file. Entries of other names stay as they are, in their order;
    comments do not survive a change.
  - The file has mode 0600 from its first byte and is replaced as a whole. A symbolic link or another user's file is refused.
  - Secrets appear neither in results nor in diffs.
requirements:
  - PyYAML (comes with Ansible)
options:
  path:
    description: The file. Directories above it are made, with mode 0700, where they are missing.
    type: path
    required: true
  state:
    description: V(absent) removes the context, and its cluster and user unless another context needs them.
    type: str
    choices: [present, absent]
    default: present
  cluster:
    description: Name of the cluster's entry.
    type: str
    required: true
  user:
    description: Name of the user's entry.
    type: str
    required: true
  context:
    description: Name of the context; C(USER@CLUSTER) without it.
    type: str
  server:
    description: Address of the API, such as C(https://10.33.0.100:6443). Required with O(state=present).
    type: str
  certificate_authority:
    description: The authority's certificate, as a path or as PEM. There may be several, when more than one authority is trusted.
    type: str
  tls_server_name:
    description: Name to look for in the server's certificate, where it is not that of O(server).
    type: str
  client_certificate:
    description: The user's certificate, as a path or as PEM.
    type: str
  client_key:
    description: Path of its key, which has no passphrase.
    type: path
  embed:
    description: Whether certificates, keys and the token of O(token_file) stand in the file; otherwise it names their paths. The files must be there.
    type: bool
    default: true
  token:
    description: The user's bearer token, instead of a certificate.
    type: str
  token_file:
    description: Path of a file with the user's bearer token, instead of O(token). By path (with O(embed=false)) clients read it again once a minute.
    type: path
  exec:
    description: A command that gets the user's credentials, instead of a certificate.
    type: dict
    suboptions:
      command:
        description: The command.
        type: str
        required: true
      args:
        description: Its arguments.
        type: list
        elements: str
      env:
        description: Its further environment.
        type: dict
      api_version:
        description: Version of the protocol.
        type: str
        default: client.authentication.k8s.io/v1
      interactive_mode:
        description: Whether it may ask the user.
        type: str
        choices: [Never, IfAvailable, Always]
        default: IfAvailable
      install_hint:
        description: What to tell a user who does not have it.
        type: str
      provide_cluster_info:
        description: Whether it is told about the cluster, in C(KUBERNETES_EXEC_INFO).
        type: bool
        default: false
  namespace:
    description: Namespace of the context.
    type: str
  current_context:
    description: Whether the context becomes the current one. Where the file has no current one, it does anyway.
    type: bool
    default: true
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Complete even where the certificates do not exist yet.
  diff_mode:
    support: full
    details: Secrets are hidden; one that changes says so.
  platform:
    platforms: posix
seealso:
  - module: hardway.kubernetes.certificates
"""

EXAMPLES = r"""
- name: The admin's kubeconfig
  hardway.kubernetes.kubeconfig:
    path: "{{ cluster_dir }}/admin.kubeconfig"
    cluster: kubernetes
    server: https://10.33.0.100:6443
    certificate_authority: "{{ cluster_dir }}/pki/ca.pem"
    user: admin
    client_certificate: "{{ cluster_dir }}/pki/admin.pem"
    client_key: "{{ cluster_dir }}/pki/admin-key.pem"
  delegate_to: localhost
  run_once: true

- name: A context among others, with a token
  hardway.kubernetes.kubeconfig:
    path: ~/.kube/config
    cluster: kubernetes
    server: https://k8s.example.org:6443
    certificate_authority: "{{ cluster_dir }}/pki/ca.pem"
    user: robot
    token: "{{ robot_token }}"
    current_context: false
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /home/me/clusters/kubernetes/admin.kubeconfig
context:
  description: Name of the context.
  returned: success
  type: str
  sample: admin@kubernetes
current_context:
  description: Name of the file's current context.
  returned: success
  type: str
  sample: admin@kubernetes
reason:
  description: What changed, in words; empty where nothing did.
  returned: success
  type: str
  sample: cluster kubernetes, user admin
problems:
  description: Everything that is wrong with the arguments or the file, one sentence each.
  returned: failure
  type: list
  elements: str
  sample: [client_certificate and client_key belong together]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import kubeconfig

REQUIRED_IF = [("state", "present", ["server"])]


def argument_spec() -> dict[str, t.Any]:
    return {
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "cluster": {"type": "str", "required": True},
        "user": {"type": "str", "required": True},
        "context": {"type": "str"},
        "server": {"type": "str"},
        "certificate_authority": {"type": "str"},
        "tls_server_name": {"type": "str"},
        "client_certificate": {"type": "str"},
        "client_key": {"type": "path", "no_log": False},
        "embed": {"type": "bool", "default": True},
        "token": {"type": "str", "no_log": True},
        "token_file": {"type": "path", "no_log": False},
        "exec": {
            "type": "dict",
            "options": {
                "command": {"type": "str", "required": True},
                "args": {"type": "list", "elements": "str"},
                "env": {"type": "dict", "no_log": True},
                "api_version": {"type": "str", "default": kubeconfig.EXEC_API_VERSION},
                "interactive_mode": {
                    "type": "str",
                    "choices": ["Never", "IfAvailable", "Always"],
                    "default": "IfAvailable",
                },
                "install_hint": {"type": "str"},
                "provide_cluster_info": {"type": "bool", "default": False},
            },
        },
        "namespace": {"type": "str"},
        "current_context": {"type": "bool", "default": True},
    }


def _reconcile(task: Task, path: str, entry: kubeconfig.Entry | None, context: str) -> dict[str, t.Any]:
    before, mode = kubeconfig.load(path)
    if entry is not None:
        after = kubeconfig.merged(before, entry, task.params["current_context"])
    else:
        after = kubeconfig.absent(before, task.params["cluster"], task.params["user"], context)
    reasons = kubeconfig.reasons(before, after)
    if mode is not None and mode != files.SECRET:
        reasons.append(f"mode was {mode:04o}")
    if reasons and not task.check_mode:
        kubeconfig.save(path, after)
    result: dict[str, t.Any] = {
        "changed": bool(reasons),
        "path": path,
        "context": context,
        "current_context": after.get("current-context") or "",
        "reason": ", ".join(reasons),
    }
    if task.diff and reasons:
        result["diff"] = {
            "before_header": path,
            "after_header": path,
            "before": kubeconfig.diff_text(before),
            "after": kubeconfig.diff_text(after, before),
        }
    return result


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    if not kubeconfig.HAS_YAML:
        raise TaskFailed(missing_required_lib("PyYAML"))
    path = os.path.abspath(params["path"])
    context = params["context"] or f"{params['user']}@{params['cluster']}"
    try:
        entry = kubeconfig.resolve(params, task.check_mode) if params["state"] == "present" else None
        with kubeconfig.held(path, make=not task.check_mode and entry is not None):
            return _reconcile(task, path, entry, context)
    except kubeconfig.InvalidKubeconfig as error:
        raise TaskFailed(f"{path} was not written:\n{error}", problems=error.problems, path=path) from error
    except files.FileRefused as error:
        raise TaskFailed(error, problems=[str(error)], path=path) from error
    except OSError as error:
        raise TaskFailed(f"{error.filename or path}: {error.strerror}", problems=[str(error)], path=path) from error


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), required_if=REQUIRED_IF, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
