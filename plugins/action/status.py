# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster's status: asks the API from the controller, judges it together with what the hosts told, and draws the page."""

from __future__ import annotations

import os
from dataclasses import asdict, fields

import jinja2
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.action.certificate_info import need_cryptography
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status import api as status_api
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status import evaluate as status

TEMPLATE = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
    "roles",
    "status",
    "templates",
    "status.html.j2",
)
MODE = 0o600
NUMBERS = {"type": "int"}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        del tmp
        need_cryptography()
        validation, arguments = self.validate_argument_spec(ARGUMENTS)
        del validation
        facts = {name: arguments[name] for name in ("cluster", "groups", "hosts", "plans", "controller")}
        facts["api"] = status_api.look(arguments["kubeconfig"], arguments["servers"], arguments["timeout"])
        limits = {
            field.name: arguments[field.name] for field in fields(status.Settings) if arguments[field.name] is not None
        }
        page = status.judge(facts, status.Settings(**limits))
        path = arguments["path"]
        if path and not self._task.check_mode:
            trouble = write(path, as_html(page))
            if trouble:
                page.findings.append(
                    status.Finding(
                        status.WARNING, path, trouble, "name a file in a directory that is there (status_path), or none"
                    )
                )
                path = ""
        return result | {
            "changed": False,
            "lines": status.as_lines(page),
            "findings": [asdict(finding) for finding in page.findings],
            "verdict": page.verdict.text,
            "exit": page.exit,
            "path": path,
        }


def as_html(page: status.Page) -> str:
    """One file without anything from elsewhere, and without a script. Every text is escaped."""
    with open(TEMPLATE, encoding="utf-8") as stream:
        text = stream.read()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(page=page)


def write(path: str, text: str) -> str:
    """In place whole: who has it open sees the page before or this one. Returns why it could not be written; the page is worth showing even so."""
    try:
        private_files.write(path, text.encode(), MODE)
    except private_files.FileRefused as error:
        return f"the page cannot be written: {error}"
    except OSError as error:
        return f"the page cannot be written: {error.strerror}"
    return ""


ARGUMENTS = {
    "cluster": {"type": "dict", "required": True},
    "groups": {"type": "dict", "default": {}},
    "hosts": {"type": "dict", "required": True},
    "plans": {"type": "dict", "default": {}},
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
