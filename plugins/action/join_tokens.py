# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which nodes join and make their tokens, from this process where it can."""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.modules import join_tokens
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.in_process import InProcessAction


class ActionModule(InProcessAction):
    work = staticmethod(join_tokens.run)
    spec = join_tokens.argument_spec()
