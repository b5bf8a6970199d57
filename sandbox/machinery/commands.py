"""Running the host's commands."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

from .errors import SandboxError


def run(*argv: object, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command with its output captured as text; a failure becomes an error that shows the command and what it said."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    except FileNotFoundError as error:
        raise SandboxError(f"The command {words[0]} is not installed. Run: sandbox/machines.py setup") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or "no message"
        raise SandboxError(f"{shlex.join(words)} failed with status {done.returncode}: {said}")
    return done
