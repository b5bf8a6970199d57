# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration may say of its component, as the module hardway.kubernetes.component documents it."""

from __future__ import annotations

_MODE_AND_OWNER = {
    "mode": {"type": "str", "default": "0644"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_ON_CHANGE = {"type": "str", "choices": ["restart", "restart_once", "reload", "none"], "default": "restart"}

ARGUMENTS = {
    "artifacts": {"type": "list", "elements": "str", "default": []},
    "tools": {"type": "list", "elements": "str", "default": []},
    "user": {"type": "str"},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            **_MODE_AND_OWNER,
            "mode": {"type": "str", "default": "0755"},
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "dest": {"type": "path", "required": True},
            "template": {"type": "str"},
            "src": {"type": "str"},
            "content": {"type": "raw"},
            "merge": {"type": "dict"},
            **_MODE_AND_OWNER,
            "shown": {"type": "bool", "default": False},
            "on_change": _ON_CHANGE,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "vars": {"type": "dict"},
        },
    },
    "certificates": {"type": "bool", "default": True},
    "pki": {
        "type": "dict",
        "options": {
            "path": {"type": "path", "required": True},
            "owner": {"type": "str", "default": "root"},
        },
    },
    "unit": {"type": "str"},
    "arguments": {
        "type": "dict",
        "options": {"template": {"type": "str", "required": True}, "merge": {"type": "dict"}},
    },
    "service": {"type": "str"},
    "overwrites_environment": {"type": "bool", "default": False},
    "replaces": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "apply": {"type": "list", "elements": "str"},
    "validate": {"type": "list", "elements": "str"},
    "images": {
        "type": "dict",
        "options": {
            "wanted": {"type": "list", "elements": "str", "required": True},
            "list_command": {"type": "list", "elements": "str", "required": True},
            "load_command": {"type": "list", "elements": "str", "required": True},
        },
    },
    "health": {
        "type": "dict",
        "options": {
            "url": {"type": "str"},
            "ca": {"type": "path"},
            "verify": {"type": "bool", "default": True},
            "certificate": {"type": "path"},
            "key": {"type": "path"},
            "tcp": {"type": "str"},
            "command": {"type": "list", "elements": "str"},
            "timeout": {"type": "float", "default": 120},
            "hold": {"type": "float", "default": 0},
            "skip": {"type": "bool", "default": False},
        },
    },
}
