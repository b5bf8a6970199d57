# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this collection keeps what it knows on a host."""

from __future__ import annotations

#: The record of each component, and the locks of those that change them.
STATE_DIR = "/var/lib/hardway"
UNIT_DIR = "/etc/systemd/system"
#: Where archives of images lie while they are loaded; /tmp may be memory.
IMAGE_DIR = "/var/lib"
#: Where a unit reports what its process was started with, if the process overwrites its environment.
RUN_DIR = "/run"


def record(component: str) -> str:
    return f"{STATE_DIR}/{component}.json"


def unit(service: str) -> str:
    return f"{UNIT_DIR}/{service}"


def drop_in(service: str) -> str:
    """The drop-in that gives the digest of its inputs to a service's process."""
    return f"{UNIT_DIR}/{service}.d/50-hardway-inputs.conf"


def reported_inputs(service: str) -> str:
    return f"{RUN_DIR}/hardway-{service}.inputs"
