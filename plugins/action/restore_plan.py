# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a restore, on the controller: what the hosts said, and what the cluster's directory has. Documented in the module of this name."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore import directory, model
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.restore.plan import plan

ARGUMENTS = {
    "cluster": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "pki": {"type": "path", "required": True},
    "encryption_keys": {"type": "list", "elements": "str", "default": []},
    "etcd_version": {"type": "str", "required": True},
    "alone": {"type": "bool", "default": False},
    "archive": {"type": "str", "default": ""},
    "verified": {"type": "dict", "default": {}},
    "snapshot": {"type": "str", "default": ""},
    "snapshot_revision": {"type": "int", "default": 0},
    "source_host": {"type": "str", "default": ""},
    "force_id": {"type": "str", "default": ""},
    "allow_other_cluster": {"type": "bool", "default": False},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "members": {"type": "list", "elements": "str", "default": []},
    "records": {"type": "dict", "default": {}},
    "bundles": {"type": "dict", "default": {}},
    "states": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(ARGUMENTS)
        try:
            result["plan"] = self._plan(arguments)
        except (directory.UnreadableDirectory, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        result["changed"] = False
        return result

    @staticmethod
    def _plan(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        settings = model.Settings(
            **{name: arguments[name] for name in ("cluster", "etcd_version", "alone", "archive", "snapshot")},
            **{name: arguments[name] for name in ("source_host", "force_id", "allow_other_cluster")},
        )
        hosts = model.Hosts.of(
            arguments["hosts"], arguments["members"], arguments["records"], arguments["bundles"], arguments["states"]
        )
        snapshot = settings.snapshot and not settings.archive
        return plan(
            settings,
            hosts,
            directory.read(arguments["directory"], arguments["pki"], arguments["encryption_keys"]),
            model.Archive.of(arguments["verified"]) if settings.archive else None,
            directory.sha256_of(Path(settings.snapshot).expanduser()) if snapshot else "",
            arguments["snapshot_revision"],
        ).to_data()
