# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the build of a mirror on the controller, and show its progress while it runs.

A command's output is shown when it ends; a build of ten minutes needs lines as it goes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase

SCRIPT = Path(__file__).resolve().parents[2] / "roles" / "mirror" / "files" / "build.py"
ARGUMENTS = {
    "components": {"type": "list", "elements": "str", "default": []},
    "mirror": {"type": "path", "required": True},
    "cache": {"type": "path", "required": True},
    "arch": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(ARGUMENTS)
        command = [sys.executable, str(SCRIPT), "--mirror", arguments["mirror"], "--cache", arguments["cache"]]
        if arguments["arch"]:
            command += ["--arch", arguments["arch"]]
        if self._task.check_mode:
            command.append("--check")
        lines, status, trouble = self._follow([*command, *arguments["components"]])
        if status:
            return {**result, "failed": True, "msg": trouble or f"{SCRIPT} ended with {status}"}
        # A job says either that it is kept, or that it is (in check mode: would be) built.
        return {
            **result,
            "changed": any("built from" in line or "building from" in line for line in lines),
            "progress": lines,
        }

    def _follow(self, command: list[str]) -> tuple[list[str], int, str]:
        """Run *command* and show each line as it comes: the lines, the exit code, and what it wrote as errors."""
        lines: list[str] = []
        with tempfile.TemporaryFile("w+") as errors:
            with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process:
                for line in process.stdout or ():
                    lines.append(line.rstrip())
                    self._display.display(lines[-1])
            errors.seek(0)
            return lines, process.returncode, errors.read().strip()
