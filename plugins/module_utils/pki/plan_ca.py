# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done about the CAs. A CA is never replaced: whatever would need it is refused."""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.chain import (
    plan_format,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.draft import Draft, some
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    MISSING,
    ROTATE,
    Current,
    Step,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    CertificateSpec,
    Import,
)


class CAPlanner:
    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def plan(self, spec: CertificateSpec, leaves: dict[str, Current]) -> None:
        step = Step(spec, self.draft.current(spec), self.draft.issuers.get(spec.issuer or ""))
        self.draft.cas[spec.name] = step
        where = f"cas[{spec.name}]"
        before = len(self.draft.problems)
        if step.current.certificate_fault:
            self.draft.refuse(where, f"{step.current.certificate_fault}; restore it from a backup")
        if step.current.key_locked:
            self.draft.refuse(
                f"{where}.passphrase",
                f"{step.current.key_fault}; give the one that it has, as old_passphrase where it is to have another or none",
            )
        elif step.current.key_fault:
            self.draft.refuse(where, f"{step.current.key_fault}; restore it from a backup")
        if len(self.draft.problems) == before:
            if spec.import_from is not None:
                self._plan_imported(step, spec.import_from, where)
            elif spec.existing:
                self._plan_existing(step, where)
            elif spec.copy_of is not None:
                self._plan_copy(step, self.draft.cas[spec.copy_of], where)
            else:
                self._plan_self_managed(step, where, leaves)
            self._plan_passphrase(step)
        certificate = step.certificate or step.current.certificate
        if certificate is not None:
            plan_format(step)
            self.draft.issuers[spec.name] = certs.Issuer.of(spec.name, certificate, step.issuer)
            self._check_lifetime(certificate, step, where)
        elif spec.copy_of in self.draft.issuers:
            self.draft.issuers[spec.name] = dataclasses.replace(self.draft.issuers[spec.copy_of], name=spec.name)
        elif spec.import_from is None and not spec.existing:
            self.draft.issuers[spec.name] = certs.planned_issuer(spec, step.current.key, step.issuer, self.draft.now)

    def _check_lifetime(self, certificate: certs.Certificate, step: Step, where: str) -> None:
        reasons = compare.expiry(certificate, None, self.draft.now, self.draft.request.renew_before)
        if not reasons:
            return
        if self.draft.now >= certificate.not_valid_after_utc or self.draft.now < certificate.not_valid_before_utc:
            self.draft.refuse(where, reasons[0], ROTATE)
        elif step.spec.copy_of is None:
            self.draft.warnings.append(
                f"The CA {step.spec.name} {reasons[0]}, and every certificate below it no later. Rotate it before"
            )

    @staticmethod
    def _plan_passphrase(step: Step) -> None:
        """The key is written again, and stays the one it is."""
        current, asked = step.current, step.spec.passphrase
        if current.key is None or current.passphrase == asked:
            return
        had = (
            "stood in the clear"
            if current.passphrase is None
            else "had a passphrase"
            if asked is None
            else "had another passphrase"
        )
        step.passphrase_reason = f"its key {had}, asked is {'none' if asked is None else 'a passphrase' if current.passphrase is None else 'the new one'}"

    def _plan_self_managed(self, step: Step, where: str, leaves: dict[str, Current]) -> None:
        current, spec = step.current, step.spec
        if step.issuer is not None and step.issuer.below == 0:
            # RFC 5280, 4.2.1.9: verifiers would refuse it, and all that it signs.
            self.draft.refuse(
                f"{where}.issuer",
                f"the path length of {spec.issuer}, or of one above it, allows no CA below it",
            )
        if current.key is not None and certs.key_type_of(current.key.public_key()) != spec.key:
            self.draft.refuse(
                f"{where}.key",
                f"its key is {certs.key_type_of(current.key.public_key())}, asked is {spec.key}",
                ROTATE,
            )
        if current.certificate is None:
            step.reasons.append(MISSING)
            if current.key is None:
                step.new_key = True
                self._refuse_orphans(step, where, leaves)
            return
        if current.key is not None and not current.matches:
            self.draft.refuse(
                where, f"{spec.name}-key.pem is not the key of {spec.name}.pem; restore the pair from a backup"
            )
        for difference in _ca_differences(step, self.draft.issuers):
            self.draft.refuse(where, difference, ROTATE)
        self._warn_of_rules(step, where)

    def _warn_of_rules(self, step: Step, where: str) -> None:
        """What a CA was given at its birth and what no longer matters to those that trust it."""
        certificate, spec = step.standing, step.spec
        if certs.is_ca(certificate) and certs.path_length(certificate) != spec.path_length:
            self.draft.warnings.append(
                f"{where}.path_length: stays {certs.path_length(certificate)} until the CA is rotated, asked is {spec.path_length}"
            )

    def _refuse_orphans(self, step: Step, where: str, leaves: dict[str, Current]) -> None:
        """Certificates without their CA are a lost CA, not a fresh directory."""
        below = [spec.name for spec in self.draft.request.certificates if spec.issuer == step.spec.name]
        orphans = [name for name in below if leaves[name].certificate is not None]
        if orphans:
            self.draft.refuse(
                where,
                f"{step.spec.name}.pem and {step.spec.name}-key.pem are gone, but certificates that they signed are here"
                f" ({some(orphans)}); restore both from a backup, or remove those certificates to start over",
            )

    def _plan_existing(self, step: Step, where: str) -> None:
        """Its key may be gone: what it signed is still to be trusted."""
        if step.current.certificate is None:
            self.draft.refuse(
                where, f"{step.spec.name}.pem is not there, and 'existing' makes none; restore it from a backup"
            )
        elif step.current.key is not None and not step.current.matches:
            self.draft.refuse(
                where,
                f"{step.spec.name}-key.pem is not the key of {step.spec.name}.pem; restore the pair from a backup",
            )

    def _plan_imported(self, step: Step, origin: Import, where: str) -> None:
        current = step.current
        before = len(self.draft.problems)
        source = _imported_pair(self.draft, step, origin, where)
        if source is None:
            if current.certificate is None and len(self.draft.problems) == before:
                self.draft.refuse(
                    f"{where}.import_from", f"{origin.certificate} and {origin.key} are not both there to be taken over"
                )
            return
        certificate, key = source
        if current.certificate is not None and not certs.same_public_key(
            current.certificate.public_key(), certificate.public_key()
        ):
            self.draft.refuse(
                f"{where}.import_from",
                f"{step.spec.name}.pem is another CA ({compare.format_subject(current.certificate.subject)})",
                ROTATE,
            )
            return
        if current.certificate == certificate and current.key is not None:
            return
        step.reasons.append(
            MISSING
            if current.certificate is None
            else f"{origin.certificate} was renewed"
            if current.key
            else "its key is missing"
        )
        step.copied = (certificate, key)
        step.certificate = certificate

    def _plan_copy(self, step: Step, other: Step, where: str) -> None:
        """`copy_of`: the same pair under another name, so that whoever uses the files need not know that they are one."""
        certificate = other.certificate or other.current.certificate
        key = other.copied[1] if other.copied else other.current.key
        current = step.current
        if other.reasons and not other.copied:
            if current.certificate is not None and (
                key is None or not certs.same_public_key(current.certificate.public_key(), key.public_key())
            ):
                self.draft.refuse(
                    f"{where}.copy_of",
                    f"{step.spec.name}.pem is another CA than {step.spec.copy_of}",
                    ROTATE,
                )
            step.reasons.append(MISSING if current.certificate is None else f"{step.spec.copy_of} is reissued")
            return
        if certificate is None:
            return
        if current.certificate is not None and not certs.same_public_key(
            current.certificate.public_key(), certificate.public_key()
        ):
            self.draft.refuse(
                f"{where}.copy_of", f"{step.spec.name}.pem is another CA than {step.spec.copy_of}", ROTATE
            )
            return
        if current.certificate == certificate and (current.key is not None or key is None):
            return
        step.reasons.append(
            MISSING
            if current.certificate is None
            else "its key is missing"
            if current.key is None
            else f"{step.spec.copy_of} was renewed"
        )
        step.copied = (certificate, key)
        step.certificate = certificate


def _ca_differences(step: Step, issuers: dict[str, certs.Issuer]) -> list[str]:
    certificate, spec = step.standing, step.spec
    found = []
    if sorted(compare.subject_of(certificate.subject)) != sorted(spec.subject.attributes):
        found.append(f"subject is {compare.format_subject(certificate.subject)}, asked is {spec.subject}")
    if not certs.is_ca(certificate):
        found.append(f"{spec.name}.pem is no CA's certificate")
    if step.current.key is None and certs.key_type_of(certificate.public_key()) != spec.key:
        found.append(f"its key is {certs.key_type_of(certificate.public_key())}, asked is {spec.key}")
    above = issuers.get(spec.issuer or "")
    if above is None and spec.issuer is None:
        if not certs.signed_by(certificate, certificate.public_key()):
            found.append(f"issued by {compare.format_subject(certificate.issuer)}, asked is a root of its own")
    elif above is not None and (above.public_key is None or not certs.signed_by(certificate, above.public_key)):
        found.append(
            f"issued by {compare.format_subject(certificate.issuer)}, asked is {spec.issuer}, which has another key"
        )
    return found


def _imported_pair(
    draft: Draft, step: Step, origin: Import, where: str
) -> tuple[certs.Certificate, certs.PrivateKey] | None:
    contents = []
    for path in (origin.certificate, origin.key):
        try:
            with open(os.path.expanduser(path), "rb") as file:
                contents.append(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            draft.refuse(f"{where}.import_from", f"{path} cannot be read: {error.strerror}")
            return None
    try:
        certificate = certs.load_certificate(contents[0])
    except certs.Unreadable as error:
        draft.refuse(f"{where}.import_from.certificate", f"{origin.certificate} {error}")
        return None
    try:
        # One passphrase is enough to say where it is the same.
        key, _passphrase = certs.open_key(contents[1], [origin.passphrase, step.spec.passphrase])
    except certs.Unreadable as error:
        draft.refuse(
            f"{where}.import_from.{'passphrase' if isinstance(error, certs.Locked) else 'key'}", f"{origin.key} {error}"
        )
        return None
    if not certs.is_ca(certificate):
        draft.refuse(
            f"{where}.import_from.certificate",
            f"{origin.certificate} is no CA's certificate (basic constraints, key usage)",
        )
        return None
    if not certs.same_public_key(certificate.public_key(), key.public_key()):
        draft.refuse(f"{where}.import_from.key", f"{origin.key} is not the key of {origin.certificate}")
        return None
    return certificate, key
