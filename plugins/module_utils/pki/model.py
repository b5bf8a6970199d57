# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found in a directory, and the plan to make it what a request asks for."""

from __future__ import annotations

import dataclasses

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    BundleSpec,
    CertificateSpec,
    KeySpec,
)

LOCK = ".lock"
DIRECTORY_MODE = 0o700
MISSING = "there was none"
RENEWAL = "renewal was asked for"
ROTATE = (
    "A CA is never replaced silently, for everything below it would lose its trust. Ask for what stands there,"
    " take it over with 'import_from', or rotate: add a new CA beside it, trust both in a bundle, reissue, then drop the old one."
)
KEEP = (
    "A key of its own is never replaced silently, for what it signed or encrypted would be lost with it."
    " Ask for what stands there, or rotate: add a new key under another name, let both be used, then drop the old one."
)


class Refused(HardwayError):
    """The directory stands against what is asked for; ``problems`` holds one sentence for each, the text also what to do."""

    def __init__(self, problems: list[str], fixes: list[str]) -> None:
        super().__init__("\n".join([*problems, *fixes]))
        self.problems = problems


@dataclasses.dataclass
class Current:
    """What lies in the directory under a name."""

    certificate: certs.Certificate | None = None
    key: certs.PrivateKey | None = None
    data: bytes = b""  # the whole file of the certificate
    passphrase: str | None = dataclasses.field(default=None, repr=False)  # the key's; None: it stands in the clear
    certificate_fault: str = ""
    key_fault: str = ""
    key_locked: bool = False
    wrong_modes: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def matches(self) -> bool:
        if self.certificate is None or self.key is None:
            raise AssertionError
        return certs.same_public_key(self.certificate.public_key(), self.key.public_key())


@dataclasses.dataclass
class Step:
    """One certificate: what is asked, what stands, and why another one is needed."""

    spec: CertificateSpec
    current: Current
    issuer: certs.Issuer | None = None
    reasons: list[str] = dataclasses.field(default_factory=list)
    new_key: bool = False
    # Why a file is written again although what it holds, the certificate or the key, stays.
    format_reason: str = ""
    passphrase_reason: str = ""
    # The CAs whose certificates follow in the same file.
    chain: list[Step] = dataclasses.field(default_factory=list)
    # A pair that is taken over as it is, instead of being issued here.
    copied: tuple[certs.Certificate, certs.PrivateKey | None] | None = None
    certificate: certs.Certificate | None = None
    key: certs.PrivateKey | None = None

    @property
    def pair(self) -> certs.PrivateKey:
        """Its key, where there is or was made one for sure."""
        if self.key is None:
            raise AssertionError
        return self.key

    @property
    def standing(self) -> certs.Certificate:
        """Its certificate, where there is or will be one for sure."""
        certificate = self.certificate or self.current.certificate
        if certificate is None:
            raise AssertionError
        return certificate

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.format_reason or self.passphrase_reason or self.current.wrong_modes)

    @property
    def reason(self) -> str:
        modes = [f"{name} had mode {mode:04o}" for name, mode in sorted(self.current.wrong_modes.items())]
        return "; ".join([*self.reasons, *filter(None, (self.format_reason, self.passphrase_reason)), *modes])

    @property
    def effective(self) -> certs.Certificate | None:
        """Its certificate, the one to come where that is known already; None where it is still to be issued."""
        return self.certificate or (None if self.reasons else self.current.certificate)


@dataclasses.dataclass
class KeyStep:
    spec: KeySpec
    reasons: list[str] = dataclasses.field(default_factory=list)
    wrong_modes: dict[str, int] = dataclasses.field(default_factory=dict)
    key: certs.PrivateKey | None = None  # of a pair whose public half alone is to be written

    @property
    def pair(self) -> certs.PrivateKey:
        """Its key, where there is or was made one for sure."""
        if self.key is None:
            raise AssertionError
        return self.key

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.wrong_modes)


@dataclasses.dataclass
class BundleStep:
    spec: BundleSpec
    current: bytes | None
    reasons: list[str] = dataclasses.field(default_factory=list)
    wrong_modes: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.wrong_modes)


@dataclasses.dataclass
class Plan:
    directory_reasons: list[str]
    cas: list[Step]
    certificates: list[Step]
    keys: list[KeyStep]
    bundles: list[BundleStep]
    unwanted: list[str]
    warnings: list[str]
    purge: bool = False

    @property
    def changed(self) -> bool:
        steps: list[Step | KeyStep | BundleStep] = [*self.cas, *self.certificates, *self.keys, *self.bundles]
        return bool(self.directory_reasons) or any(step.changed for step in steps) or bool(self.purge and self.unwanted)
