# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all errors of this collection."""

from __future__ import annotations


class HardwayError(Exception):
    """What is wrong; its text is shown to the operator as it is.

    *where* is the file, host or setting that the message is about, *fix* what to do; both become part of the text.
    """

    def __init__(self, message: object = "", *, where: str = "", fix: str = "") -> None:
        self.message = str(message)
        self.where = where
        self.fix = fix
        text = f"{where}: {self.message}" if where else self.message
        if fix:
            text = f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} Fix: {fix}"
        super().__init__(text)
