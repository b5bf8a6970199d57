# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a drill says that something is not as it must be: a kind for programs, a text for people."""

from __future__ import annotations

import enum


class Kind(str, enum.Enum):
    """How a drill ended."""

    PASSED = "passed"
    #: A playbook that had to succeed failed.
    PLAYBOOK_FAILED = "playbook-failed"
    #: A run changed something (or something else than it should), by the recap's counts.
    CHANGED = "changed"
    #: A run took place on a host, or for a time, that it should not.
    COST = "cost"
    #: A process was restarted or is gone.
    RESTARTED = "restarted"
    #: A client got no right answer, waited too long, or lost an acknowledged write.
    CLIENTS = "clients"
    #: Something that had to be refused was not, or without its reason.
    NOT_REFUSED = "not-refused"
    #: The output of a playbook does not have what it must have (expectations.py).
    OUTPUT = "output"
    #: Files, units, rules or data are left, or are not there.
    STATE = "state"
    #: Something did not happen in time.
    TIMEOUT = "timeout"
    #: A command on a machine, or kubectl, failed.
    COMMAND_FAILED = "command-failed"
    #: The drill itself is broken.
    ERROR = "error"


class DrillFailed(Exception):
    """What was not as it must be."""

    def __init__(self, text: str, kind: Kind = Kind.STATE) -> None:
        super().__init__(text)
        self.kind = kind


def require(condition: object, text: str, kind: Kind = Kind.STATE) -> None:
    """Fail the drill unless *condition* holds."""
    if not condition:
        raise DrillFailed(text, kind)
