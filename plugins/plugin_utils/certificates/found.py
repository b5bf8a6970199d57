# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host found of certificates (module certificate_info), made anew key by key before anything on the controller uses it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.x509 import CRYPTOGRAPHY_IMPORT_ERROR
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    LONG,
    boolean,
    dict_of,
    integer,
    list_of,
    one_line,
    one_of,
    optional,
    record,
    text,
)

PEM = 64 * 1024
path = text(LONG)

checked_found = record(
    {
        "certificates": list_of(
            record(
                {
                    "source": one_of("file", "kubeconfig", "endpoint"),
                    "where": path,
                    "path": optional(path),
                    "position": integer(0, 2**31),
                    "endpoint": optional(text()),
                    "running": dict_of(text(64), text(), 1024),
                    "pem": text(PEM, lines=True),
                }
            )
        ),
        "processes": list_of(
            record({"component": text(), "service": text(), "active": boolean, "restart": path}), 1024
        ),
        "problems": list_of(path),
    }
)


def need_cryptography() -> None:
    """Certificates are read on the controller, whatever the hosts have."""
    if CRYPTOGRAPHY_IMPORT_ERROR:
        raise AnsibleActionFail(
            "The Python of ansible-playbook does not have cryptography 42 or newer. Fix: pip install 'cryptography>=42'"
        )


def unread(reachable: bool, error: str) -> dict[str, t.Any]:
    """The result for a host that could not be read."""
    return {
        "changed": False,
        "reachable": reachable,
        "readable": False,
        "error": one_line(error),
        "certificates": [],
        "processes": [],
        "problems": [],
    }
