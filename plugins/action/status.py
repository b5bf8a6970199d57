# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's status: asks the API from the controller, evaluates it together with what the hosts answered, and draws the page."""

from __future__ import annotations

import dataclasses
import os
import typing as t

import jinja2
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.found import need_cryptography
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.api import observe
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.evaluate import evaluate
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.page import WARNING, Finding, Page, Settings
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status.terminal import as_lines

TEMPLATE = os.path.join(
    os.path.abspath(__file__).rsplit(os.sep, 3)[0], "roles", "status", "templates", "status.html.j2"
)
MODE = 0o600
NUMBERS = {"type": "int"}
ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "cluster": {"type": "dict", "required": True},
    "groups": {"type": "dict", "default": {}},
    "hosts": {"type": "dict", "required": True},
    "plan": {"type": "list", "elements": "dict", "default": []},
    "controller": {"type": "dict"},
    "kubeconfig": {"type": "path", "required": True},
    "servers": {"type": "dict", "default": {}},
    "timeout": {"type": "float", "default": 5},
    "path": {"type": "path", "default": ""},
    "warn_days": NUMBERS,
    "fail_days": NUMBERS,
    "warn_db_percent": NUMBERS,
    "fail_db_percent": NUMBERS,
    "strict": {"type": "bool"},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        del tmp
        need_cryptography()
        _validation, arguments = self.validate_argument_spec(ARGUMENTS)
        facts = {name: arguments[name] for name in ("cluster", "groups", "hosts", "plan", "controller")}
        facts["api"] = observe(arguments["kubeconfig"], arguments["servers"], arguments["timeout"])
        page = evaluate(facts, settings_of(arguments))
        path = arguments["path"]
        if path and not self._task.check_mode:
            error = write(path, as_html(page))
            if error:
                fix = "set status_path to a file in an existing directory, or to an empty text for no page"
                page.findings.append(Finding(WARNING, path, error, fix))
                path = ""
        return result | {
            "changed": False,
            "lines": as_lines(page),
            "findings": [dataclasses.asdict(finding) for finding in page.findings],
            "failures": [finding.sentence for finding in page.failures],
            "verdict": page.verdict.text,
            "exit": page.exit,
            "path": path,
        }


def settings_of(arguments: dict[str, t.Any]) -> Settings:
    """The limits; one that is not named has its default."""
    names = [field.name for field in dataclasses.fields(Settings)]
    return Settings(**{name: arguments[name] for name in names if arguments[name] is not None})


def as_html(page: Page) -> str:
    """One file that loads nothing from elsewhere and has no script. Every text is escaped."""
    with open(TEMPLATE, encoding="utf-8") as stream:
        text = stream.read()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(page=page)


def write(path: str, text: str) -> str:
    """Replaces the file as a whole: a reader sees the page before or this one. Returns why it could not be written; the page is shown even so."""
    try:
        private_files.write(path, text.encode(), MODE)
    except private_files.FileRefused as error:
        return f"the page cannot be written: {error}"
    except OSError as error:
        return f"the page cannot be written: {error.strerror}"
    return ""
