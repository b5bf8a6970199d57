#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: static_token
short_description: Keep an API server's static token file
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Keeps a file of lines C(token,user,uid,"groups"), as the documents' C(token.csv), for kube-apiserver's C(--token-auth-file).
  - A user's token is made once, and kept from then on. A line that a file has already is adopted with its token.
  - The file has mode 0600 from its first byte and is replaced as a whole. A symbolic link or another user's file is refused.
  - A token in such a file is valid for ever, and the API server reads the file only when it starts. M(hardway.kubernetes.bootstrap_token) makes tokens that
    end by themselves.
options:
  path:
    description: The file. Directories above it are made, with mode 0700, where they are missing.
    type: path
    required: true
  tokens:
    description: The users that are to have a token.
    type: list
    elements: dict
    required: true
    suboptions:
      user:
        description: Name of the user.
        type: str
        required: true
      uid:
        description: The user's uid, any text that no other user has.
        type: str
        required: true
      groups:
        description: The user's groups.
        type: list
        elements: str
        default: []
      token:
        description: The token, when it was made elsewhere; at least 16 characters.
        type: str
  purge:
    description: Whether lines that nothing here asks for are removed. They are named in any case.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Complete even where the file does not exist yet.
  diff_mode:
    support: full
    description: Shows everything but the tokens.
notes:
  - Runs on the controller.
  - No result has a token. P(ansible.builtin.csvfile#lookup) reads it from the file.
seealso:
  - module: hardway.kubernetes.bootstrap_token
"""

EXAMPLES = r"""
- name: The documents' token.csv
  hardway.kubernetes.static_token:
    path: "{{ cluster_dir }}/token.csv"
    tokens:
      - user: kubelet-bootstrap
        uid: "10001"
        groups: [system:bootstrappers]
  delegate_to: localhost
  run_once: true

- name: Its token, for a bootstrap kubeconfig
  ansible.builtin.set_fact:
    bootstrap_token: "{{ lookup('ansible.builtin.csvfile', 'kubelet-bootstrap', file=cluster_dir ~ '/token.csv', delimiter=',', keycol=1, col=0) }}"
  no_log: true
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
  sample: /home/me/clusters/kubernetes/token.csv
users:
  description: The users that were asked for, and why a line changed; empty where it did not.
  returned: success
  type: list
  elements: dict
  sample: [{user: kubelet-bootstrap, uid: "10001", groups: [system:bootstrappers], reason: there was none}]
unwanted:
  description: Users of lines that nothing here asks for. A user's second line is one of them.
  returned: success
  type: list
  elements: str
  sample: [someone]
removed:
  description: Those of them that were removed.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: Everything that is wrong with the arguments or the file, one sentence each.
  returned: failure
  type: list
  elements: str
  sample: ["tokens: kubelet-bootstrap is given twice. Fix: leave one out"]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import static_token


def argument_spec() -> dict[str, t.Any]:
    token = {
        "user": {"type": "str", "required": True},
        "uid": {"type": "str", "required": True},
        "groups": {"type": "list", "elements": "str", "default": []},
        "token": {"type": "str", "no_log": True},
    }
    return {
        "path": {"type": "path", "required": True},
        "tokens": {"type": "list", "elements": "dict", "required": True, "no_log": False, "options": token},
        "purge": {"type": "bool", "default": False},
    }


def _reconcile(task: Task, path: str, wanted: list[static_token.Line]) -> dict[str, t.Any]:
    present, mode = static_token.read(path)
    outcome = static_token.reconcile(present, wanted, task.params["purge"])
    loose = mode is not None and mode != private_files.SECRET
    changed = outcome.lines != present or loose or mode is None
    if changed and not task.check_mode:
        static_token.write(path, outcome.lines)
    return {
        "changed": changed,
        "path": path,
        "users": [{**line.report(), "reason": outcome.reasons[line.user]} for line in wanted],
        "unwanted": outcome.unwanted,
        "removed": outcome.unwanted if task.params["purge"] else [],
        "diff": {
            "before_header": path,
            "after_header": path,
            "before": {**({"mode": f"{mode:04o}"} if loose else {}), "users": [line.report() for line in present]},
            "after": {
                **({"mode": "0600"} if loose else {}),
                "users": [_shown(line, outcome.reasons) for line in outcome.lines],
            },
        },
    }


def _shown(line: static_token.Line, reasons: dict[str, str]) -> dict[str, t.Any]:
    return {**line.report(), **({"token": "(another)"} if "token" in reasons.get(line.user, "") else {})}


def run(task: Task) -> dict[str, t.Any]:
    path = os.path.abspath(task.params["path"])
    wanted = [
        static_token.Line(entry["user"], entry["uid"], tuple(entry["groups"]), entry["token"] or "")
        for entry in task.params["tokens"]
    ]
    problems = static_token.check(wanted)
    if problems:
        raise TaskFailed(f"{path} was not written:\n" + "\n".join(problems), problems=problems, path=path)
    try:
        if not task.check_mode:
            private_files.make_directory(os.path.dirname(path))
        with private_files.lock(os.path.realpath(os.path.dirname(path)), create=False):
            return _reconcile(task, path, wanted)
    except (static_token.TokenFileError, private_files.FileRefused) as error:
        raise TaskFailed(error, problems=[str(error)], path=path) from error
    except OSError as error:
        raise TaskFailed(f"{error.filename or path}: {error.strerror}", problems=[str(error)], path=path) from error


def main() -> None:
    run_module(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), run)


if __name__ == "__main__":
    main()
