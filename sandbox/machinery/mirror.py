"""The mirror: a web server in the background over ${cache}/mirror, from which the machines fetch artifacts."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from . import settings, units
from .errors import SandboxError
from .progress import Progress

UNIT = "mirror"
SERVER = settings.PROJECT / "sandbox" / "mirror.py"


def directory() -> Path:
    return settings.cache() / "mirror"


def address() -> str:
    return f"http://{settings.HOST.ip}:{settings.MIRROR_PORT}/"


def start(progress: Progress) -> None:
    """Start the server in the background, unless it runs already and serves the same directory."""
    directory().mkdir(parents=True, exist_ok=True)
    unit = units.unit(UNIT)
    arguments = [str(settings.HOST.ip), str(settings.MIRROR_PORT), str(directory())]
    # Another Python or another checkout serves as well; restarting it would cut downloads off.
    if any(_command_line(pid)[-3:] == arguments for pid in unit.pids()):
        return
    unit.kill()
    log = settings.STATE / "mirror.log"
    log.unlink(missing_ok=True)
    unit.start([sys.executable, str(SERVER), *arguments], log, {})
    deadline = time.monotonic() + 20
    while not (unit.pids() and _answers()):
        said = log.read_text(encoding="utf-8") if log.exists() else ""
        if "Error" in said or time.monotonic() > deadline:
            raise SandboxError(
                f"The mirror does not start at {address()}; see whether something else uses that port. It said:\n{said or '(nothing)'}"
            )
        time.sleep(0.1)
    progress.say(f"mirror: {directory()} is served at {address()}")


def stop() -> None:
    units.unit(UNIT).kill()


def _answers() -> bool:
    try:
        with socket.create_connection((str(settings.HOST.ip), settings.MIRROR_PORT), timeout=1):
            return True
    except OSError:
        return False


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []
