"""Where the sandbox keeps things, and the few numbers it goes by."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
INVENTORY = PROJECT / "inventory" / "hosts.yml"
SPARE_INVENTORY = PROJECT / "sandbox" / "spare.yml"
SCALE_INVENTORY = PROJECT / "sandbox" / "scale" / "hosts.yml"
IMAGE_FILES = PROJECT / "sandbox" / "image"

STATE = Path("/var/lib/hardway-sandbox")
SSH_KEY = STATE / "ssh" / "id_ed25519"
LOCK = Path("/run/hardway-sandbox.lock")

BRIDGE = "hardway0"
HOST = ipaddress.ip_interface("10.33.0.1/24")
MIRROR_PORT = 8088

# Every process group, cgroup and unit of the sandbox begins with this, so that leftovers can be told from anything else.
PREFIX = "hardway-"

MIB = 1024**2
GIB = 1024**3
IMAGE_SPACE = 2 * GIB
MACHINE_SPACE = 2 * GIB
MACHINE_MEMORY = 512 * MIB

BOOT_TIMEOUT = 180.0
INOTIFY_INSTANCES = 8192


def cache() -> Path:
    """Return the directory for what is costly to make: ${HARDWAY_CACHE:-${XDG_CACHE_HOME:-~/.cache}/hardway}."""
    named = os.environ.get("HARDWAY_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "hardway"
