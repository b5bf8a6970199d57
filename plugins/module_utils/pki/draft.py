# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What planning knows: the request, the directory's files, and what was found wrong."""

from __future__ import annotations

import os
from datetime import datetime

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    Current,
    Step,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    CertificateSpec,
    Request,
    file_names,
)


class Draft:
    """A plan in the making. *now* is the moment that everything is compared with."""

    def __init__(self, path: str, request: Request, now: datetime) -> None:
        self.path = path
        self.request = request
        self.now = now
        self.problems: list[str] = []
        self.fixes: dict[str, None] = {}
        self.warnings: list[str] = []
        self.cas: dict[str, Step] = {}
        self.issuers: dict[str, certs.Issuer] = {}

    def refuse(self, where: str, problem: str, fix: str = "") -> None:
        self.problems.append(f"{where}: {problem}")
        if fix:
            self.fixes[fix] = None

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read(self, name: str, mode: int, wrong_modes: dict[str, int]) -> bytes | None:
        try:
            content = files.read(self.file(name))
        except files.FileRefused as error:
            self.problems.append(str(error))
            return None
        if content is None:
            return None
        if content.mode != mode:
            wrong_modes[name] = content.mode
        return content.data

    def current(self, spec: CertificateSpec) -> Current:
        current = Current()
        certificate_name, key_name = file_names(spec)
        certificate = self.read(certificate_name, files.PUBLIC, current.wrong_modes)
        key = self.read(key_name, files.SECRET, current.wrong_modes)
        try:
            current.certificate = certs.load_certificate(certificate) if certificate is not None else None
            current.data = certificate or b""
        except certs.Unreadable as error:
            current.certificate_fault = f"{certificate_name} {error}"
        try:
            current.key, current.passphrase = (
                certs.open_key(key, _passphrases(spec)) if key is not None else (None, None)
            )
        except certs.Unreadable as error:
            current.key_fault = f"{key_name} {error}"
            current.key_locked = isinstance(error, certs.Locked)
        return current


def _passphrases(spec: CertificateSpec) -> list[str | None]:
    """What may open a key that stands there, the asked one first."""
    return [spec.passphrase, spec.old_passphrase, spec.import_from.passphrase if spec.import_from is not None else None]


def some(names: list[str]) -> str:
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
