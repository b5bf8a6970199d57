# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of etcd_keys_info: it checks what the host answered."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils import etcd_answers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import CheckedAction


class ActionModule(CheckedAction):
    answer = etcd_answers.KEYS_INFO
    required = tuple(etcd_answers.KEYS_INFO)
