# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's commands as processes of their own, with nothing of the settings of whoever runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ansible_collections.hardway.kubernetes.plugins.action import preflight

#: The collection below its ansible_collections, not the checkout that it may be a link to.
COLLECTION = Path(os.path.abspath(preflight.__file__)).parents[2]
PLAYBOOKS = COLLECTION / "playbooks"


def words(*arguments: object, command: str = "playbook") -> list[str]:
    """The command line: of ansible-playbook, or of ansible (*command* adhoc)."""
    code = f"import sys; from ansible.cli.{command} import main; sys.exit(main())"
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment(directory: Path, **further: str) -> dict[str, str]:
    """All that a run writes for itself is below the directory."""
    (directory / "ansible.cfg").touch()  # the checkout's own would bring its callbacks
    return {
        **{
            name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
        },  # ansible-test sets a lot
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION.parents[2]),
        "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(directory / "remote"),
        **further,
    }


def run(
    directory: Path, *arguments: object, command: str = "playbook", timeout: float = 120, **further: str
) -> tuple[int, str]:
    """The exit code, and all that was shown. *further* is environment."""
    done = subprocess.run(
        words(*arguments, command=command),
        env=environment(directory, **further),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr
