# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the lock of a run, in the process of ansible-playbook."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run_lock
short_description: Keep other runs from the same cluster until this one ends
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Locks a file beside the cluster's directory, and keeps the lock until the process of C(ansible-playbook) ends, in any way.
  - Must be evaluated in that process itself, and not in one of its workers, as the condition of C(ansible.builtin.meta) is.
  - Where another run has the lock this lookup waits for nothing, and refuses nothing. M(hardway.kubernetes.cluster_directory) does.
options:
  _terms:
    description: The cluster's directory.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
# The condition is never true.
- name: Lock the cluster for this run
  ansible.builtin.meta: end_play
  when: not ansible_check_mode and lookup('hardway.kubernetes.run_lock', cluster_dir) == 'other'
"""

RETURN = r"""
_raw:
  description: For each directory V(held) or V(refused).
  type: list
  elements: str
"""

import multiprocessing
import os
import typing as t

import ansible.constants as C
from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import FileRefused
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run import lock


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        if multiprocessing.parent_process() is not None:
            raise AnsibleLookupError(
                "run_lock: this is a worker of ansible-playbook, and the lock would end with it. "
                "Fix: use it in the condition of ansible.builtin.meta, with Ansible's own strategies"
            )
        return [self._take(str(term)) for term in terms]

    def _take(self, cluster_dir: str) -> str:
        try:
            taken = lock.take(cluster_dir, C.DEFAULT_LOCAL_TMP, _work())
        except FileRefused as error:
            raise AnsibleLookupError(str(error)) from error
        except OSError as error:
            raise AnsibleLookupError(
                f"{lock.path_of(cluster_dir)}: {error.strerror}. Fix: let cluster_dir be where you can write files and lock them"
            ) from error
        return "held" if taken else "refused"


def _work() -> str:
    """The playbooks of the command line; its options may have passwords."""
    return " ".join(["ansible-playbook", *(os.path.basename(str(name)) for name in context.CLIARGS.get("args") or ())])
