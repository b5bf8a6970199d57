# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of CAs, certificates, keys and bundles, made to be what was asked for.

`reconcile` holds the directory's lock, reads everything, decides everything (`plan.Planner`), and only then writes (`write.Writer`).
Whatever stands in the way is raised as `model.Refused`, all of it at once, before the first byte is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    LOCK,
    Plan,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.plan import Planner
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    Request,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.write import Writer


def reconcile(path: str, request: Request, check_mode: bool = False, now: datetime | None = None) -> Plan:
    """Make the directory hold what is asked; in check mode only decide. Raises Refused, FileRefused and OSError."""
    moment = now or datetime.now(timezone.utc)
    made: list[str] = []
    if files.check_directory(path) is None:
        plan = Planner(path, request, moment).plan()
        if check_mode:
            return plan
        if files.make_directory(path):
            made = plan.directory_reasons
    with _held(path, check_mode):
        plan = Planner(path, request, moment).plan()
        plan.directory_reasons = made or plan.directory_reasons
        if not check_mode:
            Writer(path, plan, moment).write()
    return plan


@contextmanager
def _held(path: str, check_mode: bool) -> Iterator[None]:
    files.check_directory(path)
    with files.lock(os.path.join(path, LOCK), create=not check_mode):
        if not check_mode:
            files.remove_leftovers(path)
        yield
