# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of service_pause: it checks what the host answered."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.checked_action import CheckedAction, sentences
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import Check


class ActionModule(CheckedAction):
    answer: t.ClassVar[Mapping[str, Check]] = {"commands": sentences}
