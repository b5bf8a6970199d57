# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of authorities, certificates, keys and bundles, made to be what was asked for.

`reconcile` holds the directory's lock, reads everything, decides everything (`Plan`), and only then writes (`_Writer`).
Whatever stands in the way is raised as `Refused`, all of it at once, before the first byte is written.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    Request,
    Wanted,
    WantedBundle,
    WantedKey,
    file_names,
)

LOCK = ".lock"
DIRECTORY_MODE = 0o700
MISSING = "there was none"
RENEWAL = "renewal was asked for"
ROTATE = (
    "An authority is never replaced silently, for everything below it would lose its trust. Ask for what stands there,"
    " take it over with 'adopt', or rotate: add a new authority beside it, trust both in a bundle, reissue, then drop the old one."
)
KEEP = (
    "A key of its own is never replaced silently, for what it signed or encrypted would be lost with it."
    " Ask for what stands there, or rotate: add a new key under another name, let both be used, then drop the old one."
)


class Refused(HardwayError):
    """The directory stands against what is asked for; ``problems`` holds one sentence for each, the text also what to do."""

    def __init__(self, problems: list[str], mends: list[str]) -> None:
        super().__init__("\n".join([*problems, *mends]))
        self.problems = problems


@dataclass
class Standing:
    """What lies in the directory under a name."""

    certificate: object | None = None
    key: object | None = None
    data: bytes = b""  # the whole file of the certificate
    passphrase: str | None = field(default=None, repr=False)  # the key's; None: it stands in the clear
    certificate_fault: str = ""
    key_fault: str = ""
    key_locked: bool = False
    wrong_modes: dict[str, int] = field(default_factory=dict)

    @property
    def matches(self) -> bool:
        return certs.same_public_key(self.certificate.public_key(), self.key.public_key())


@dataclass
class Step:
    """One certificate: what is asked, what stands, and why another one is needed."""

    wanted: Wanted
    standing: Standing
    issuer: certs.Issuer | None = None
    reasons: list[str] = field(default_factory=list)
    new_key: bool = False
    # Why a file is written again although what it holds, the certificate or the key, stays.
    form_reason: str = ""
    passphrase_reason: str = ""
    # The authorities whose certificates follow in the same file.
    chain: list[Step] = field(default_factory=list)
    # A pair that is taken over as it is, instead of being issued here.
    copied: tuple[object, object] | None = None
    certificate: object | None = None
    key: object | None = None

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.form_reason or self.passphrase_reason or self.standing.wrong_modes)

    @property
    def reason(self) -> str:
        modes = [f"{name} had mode {mode:04o}" for name, mode in sorted(self.standing.wrong_modes.items())]
        return "; ".join([*self.reasons, *filter(None, (self.form_reason, self.passphrase_reason)), *modes])

    @property
    def known(self) -> object | None:
        """Its certificate, the one to come where that is known already; None where it is still to be issued."""
        return self.certificate or (None if self.reasons else self.standing.certificate)


@dataclass
class KeyStep:
    wanted: WantedKey
    reasons: list[str] = field(default_factory=list)
    wrong_modes: dict[str, int] = field(default_factory=dict)
    key: object | None = None  # of a pair whose public half alone is to be written

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.wrong_modes)


@dataclass
class BundleStep:
    wanted: WantedBundle
    standing: bytes | None
    reasons: list[str] = field(default_factory=list)
    wrong_modes: dict[str, int] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.reasons or self.wrong_modes)


@dataclass
class Plan:
    directory_reasons: list[str]
    authorities: list[Step]
    certificates: list[Step]
    keys: list[KeyStep]
    bundles: list[BundleStep]
    unwanted: list[str]
    warnings: list[str]
    purge: bool = False

    @property
    def changed(self) -> bool:
        steps = [*self.authorities, *self.certificates, *self.keys, *self.bundles]
        return bool(self.directory_reasons) or any(step.changed for step in steps) or bool(self.purge and self.unwanted)


def reconcile(path: str, request: Request, check_mode: bool = False, now: datetime | None = None) -> Plan:
    """Make the directory hold what is asked; in check mode only decide. Raises Refused, FileRefused and OSError."""
    moment = now or datetime.now(timezone.utc)
    made: list[str] = []
    if files.check_directory(path) is None:
        plan = _Planner(path, request, moment).plan()
        if check_mode:
            return plan
        if files.make_directory(path):
            made = plan.directory_reasons
    with _held(path, check_mode):
        plan = _Planner(path, request, moment).plan()
        plan.directory_reasons = made or plan.directory_reasons
        if not check_mode:
            _Writer(path, plan, moment).write()
    return plan


@contextmanager
def _held(path: str, check_mode: bool) -> Iterator[None]:
    files.check_directory(path)
    with files.lock(os.path.join(path, LOCK), create=not check_mode):
        if not check_mode:
            files.remove_leftovers(path)
        yield


class _Planner:
    def __init__(self, path: str, request: Request, now: datetime) -> None:
        self.path = path
        self.request = request
        self.now = now
        self.problems: list[str] = []
        self.mends: dict[str, None] = {}
        self.warnings: list[str] = []
        self.authorities: dict[str, Step] = {}
        self.issuers: dict[str, certs.Issuer] = {}

    def plan(self) -> Plan:
        mode = files.check_directory(self.path)
        directory_reasons = [] if mode == DIRECTORY_MODE else [MISSING if mode is None else f"had mode {mode:04o}"]
        present = files.names(self.path)
        standing = {wanted.name: self._standing(wanted) for wanted in self.request.certificates}
        for wanted in self.request.authorities:
            self._plan_authority(wanted, standing)
        certificates = [self._plan_certificate(wanted, standing[wanted.name]) for wanted in self.request.certificates]
        self._warn_of_ends([*self.authorities.values(), *certificates])
        self._require_issuers_keys([*self.authorities.values(), *certificates])
        keys = [self._plan_key(wanted) for wanted in self.request.keys]
        bundles = [self._plan_bundle(wanted, keys) for wanted in self.request.bundles]
        if self.problems:
            raise Refused(self.problems, list(self.mends))
        return Plan(
            directory_reasons,
            list(self.authorities.values()),
            certificates,
            keys,
            bundles,
            self._unwanted(present),
            self.warnings,
            self.request.purge,
        )

    def _refuse(self, where: str, problem: str, mend: str = "") -> None:
        self.problems.append(f"{where}: {problem}")
        if mend:
            self.mends[mend] = None

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _read(self, name: str, mode: int, wrong_modes: dict[str, int]) -> bytes | None:
        try:
            content = files.read(self._file(name))
        except files.FileRefused as error:
            self.problems.append(str(error))
            return None
        if content is None:
            return None
        if content.mode != mode:
            wrong_modes[name] = content.mode
        return content.data

    def _standing(self, wanted: Wanted) -> Standing:
        standing = Standing()
        certificate_name, key_name = file_names(wanted)
        certificate = self._read(certificate_name, files.PUBLIC, standing.wrong_modes)
        key = self._read(key_name, files.SECRET, standing.wrong_modes)
        try:
            standing.certificate = certs.load_certificate(certificate) if certificate is not None else None
            standing.data = certificate or b""
        except certs.Unreadable as error:
            standing.certificate_fault = f"{certificate_name} {error}"
        try:
            standing.key, standing.passphrase = (
                certs.open_key(key, _passphrases(wanted)) if key is not None else (None, None)
            )
        except certs.Unreadable as error:
            standing.key_fault = f"{key_name} {error}"
            standing.key_locked = isinstance(error, certs.Locked)
        return standing

    # Authorities

    def _plan_authority(self, wanted: Wanted, leaves: dict[str, Standing]) -> None:
        step = Step(wanted, self._standing(wanted), self.issuers.get(wanted.issuer or ""))
        self.authorities[wanted.name] = step
        where = f"authorities[{wanted.name}]"
        before = len(self.problems)
        if step.standing.certificate_fault:
            self._refuse(where, f"{step.standing.certificate_fault}; restore it from a backup")
        if step.standing.key_locked:
            self._refuse(
                f"{where}.passphrase",
                f"{step.standing.key_fault}; give the one that it has, as old_passphrase where it is to have another or none",
            )
        elif step.standing.key_fault:
            self._refuse(where, f"{step.standing.key_fault}; restore it from a backup")
        if len(self.problems) == before:
            if wanted.adopt is not None:
                self._plan_adopted(step, where)
            elif wanted.existing:
                self._plan_existing(step, where)
            elif wanted.same_as is not None:
                self._plan_copy(step, where)
            else:
                self._plan_own(step, where, leaves)
            self._plan_passphrase(step)
        certificate = step.certificate or step.standing.certificate
        if certificate is not None:
            self._plan_form(step)
            self.issuers[wanted.name] = certs.Issuer.of(wanted.name, certificate, step.issuer)
            self._judge_lifetime(certificate, step, where)
        elif wanted.same_as in self.issuers:
            self.issuers[wanted.name] = replace(self.issuers[wanted.same_as], name=wanted.name)
        elif wanted.adopt is None and not wanted.existing:
            self.issuers[wanted.name] = certs.planned_issuer(wanted, step.standing.key, step.issuer, self.now)

    def _judge_lifetime(self, certificate, step: Step, where: str) -> None:
        reasons = certs.expiry(certificate, None, self.now, self.request.renew_before)
        if not reasons:
            return
        if self.now >= certificate.not_valid_after_utc or self.now < certificate.not_valid_before_utc:
            self._refuse(where, reasons[0], ROTATE)
        elif step.wanted.same_as is None:
            self.warnings.append(
                f"The authority {step.wanted.name} {reasons[0]}, and every certificate below it no later. Rotate it before"
            )

    @staticmethod
    def _plan_passphrase(step: Step) -> None:
        """The key is written again, and stays the one it is."""
        standing, asked = step.standing, step.wanted.passphrase
        if standing.key is None or standing.passphrase == asked:
            return
        had = (
            "stood in the clear"
            if standing.passphrase is None
            else "had a passphrase"
            if asked is None
            else "had another passphrase"
        )
        step.passphrase_reason = f"its key {had}, asked is {'none' if asked is None else 'a passphrase' if standing.passphrase is None else 'the new one'}"

    @staticmethod
    def _plan_form(step: Step) -> None:
        """Its file holds the certificate, what follows it where that is asked for, and nothing else."""
        if step.reasons:
            return
        chain = [authority.known for authority in step.chain]
        if None in chain:
            step.form_reason = "its chain is issued anew"
        elif step.standing.data != _pem([step.standing.certificate, *chain]):
            standing = certs.load_chain(step.standing.data)
            if standing is None or standing[1:] == chain:
                step.form_reason = f"{step.wanted.name}.pem held more than certificates"
            else:
                step.form_reason = f"the certificate was followed by {_listed(standing[1:])}, asked is {_listed(chain)}"

    def _plan_own(self, step: Step, where: str, leaves: dict[str, Standing]) -> None:
        standing, wanted = step.standing, step.wanted
        if step.issuer is not None and step.issuer.below == 0:
            # RFC 5280, 4.2.1.9: verifiers would refuse it, and all that it signs.
            self._refuse(
                f"{where}.issuer",
                f"the path length of {wanted.issuer}, or of one above it, allows no authority below it",
            )
        if standing.key is not None and certs.key_type_of(standing.key.public_key()) != wanted.key:
            self._refuse(
                f"{where}.key",
                f"its key is {certs.key_type_of(standing.key.public_key())}, asked is {wanted.key}",
                ROTATE,
            )
        if standing.certificate is None:
            step.reasons.append(MISSING)
            if standing.key is None:
                step.new_key = True
                self._refuse_orphans(step, where, leaves)
            return
        if standing.key is not None and not standing.matches:
            self._refuse(
                where, f"{wanted.name}-key.pem is not the key of {wanted.name}.pem; restore the pair from a backup"
            )
        for difference in self._authority_differences(step):
            self._refuse(where, difference, ROTATE)
        self._warn_of_rules(step, where)

    def _authority_differences(self, step: Step) -> list[str]:
        certificate, wanted = step.standing.certificate, step.wanted
        found = []
        if sorted(certs.subject_of(certificate.subject)) != sorted(wanted.subject.attributes):
            found.append(f"subject is {certs.format_subject(certificate.subject)}, asked is {wanted.subject}")
        if not certs.is_authority(certificate):
            found.append(f"{wanted.name}.pem is no authority's certificate")
        if step.standing.key is None and certs.key_type_of(certificate.public_key()) != wanted.key:
            found.append(f"its key is {certs.key_type_of(certificate.public_key())}, asked is {wanted.key}")
        above = self.issuers.get(wanted.issuer or "")
        if above is None and wanted.issuer is None:
            if not certs.signed_by(certificate, certificate.public_key()):
                found.append(f"issued by {certs.format_subject(certificate.issuer)}, asked is a root of its own")
        elif above is not None and (above.public_key is None or not certs.signed_by(certificate, above.public_key)):
            found.append(
                f"issued by {certs.format_subject(certificate.issuer)}, asked is {wanted.issuer}, which has another key"
            )
        return found

    def _warn_of_rules(self, step: Step, where: str) -> None:
        """What an authority was given at its birth and what no longer matters to those that trust it."""
        certificate, wanted = step.standing.certificate, step.wanted
        if certs.is_authority(certificate) and certs.path_length(certificate) != wanted.path_length:
            self.warnings.append(
                f"{where}.path_length: stays {certs.path_length(certificate)} until the authority is rotated, asked is {wanted.path_length}"
            )

    def _refuse_orphans(self, step: Step, where: str, leaves: dict[str, Standing]) -> None:
        """Certificates without their authority are a lost authority, not a fresh directory."""
        below = [wanted.name for wanted in self.request.certificates if wanted.issuer == step.wanted.name]
        orphans = [name for name in below if leaves[name].certificate is not None]
        if orphans:
            self._refuse(
                where,
                f"{step.wanted.name}.pem and {step.wanted.name}-key.pem are gone, but certificates that they signed are here"
                f" ({_some(orphans)}); restore both from a backup, or remove those certificates to begin anew",
            )

    def _plan_existing(self, step: Step, where: str) -> None:
        """Its key may be gone: what it signed is still to be trusted."""
        if step.standing.certificate is None:
            self._refuse(
                where, f"{step.wanted.name}.pem is not there, and 'existing' makes none; restore it from a backup"
            )
        elif step.standing.key is not None and not step.standing.matches:
            self._refuse(
                where,
                f"{step.wanted.name}-key.pem is not the key of {step.wanted.name}.pem; restore the pair from a backup",
            )

    def _plan_adopted(self, step: Step, where: str) -> None:
        adopt, standing = step.wanted.adopt, step.standing
        before = len(self.problems)
        source = self._adopted_pair(step, where)
        if source is None:
            if standing.certificate is None and len(self.problems) == before:
                self._refuse(
                    f"{where}.adopt", f"{adopt.certificate} and {adopt.key} are not both there to be taken over"
                )
            return
        certificate, key = source
        if standing.certificate is not None and not certs.same_public_key(
            standing.certificate.public_key(), certificate.public_key()
        ):
            self._refuse(
                f"{where}.adopt",
                f"{step.wanted.name}.pem is another authority ({certs.format_subject(standing.certificate.subject)})",
                ROTATE,
            )
            return
        if standing.certificate == certificate and standing.key is not None:
            return
        step.reasons.append(
            MISSING
            if standing.certificate is None
            else f"{adopt.certificate} was renewed"
            if standing.key
            else "its key is missing"
        )
        step.copied = (certificate, key)
        step.certificate = certificate

    def _adopted_pair(self, step: Step, where: str) -> tuple[object, object] | None:
        adopt = step.wanted.adopt
        contents = []
        for path in (adopt.certificate, adopt.key):
            try:
                with open(os.path.expanduser(path), "rb") as file:
                    contents.append(file.read())
            except FileNotFoundError:
                return None
            except OSError as error:
                self._refuse(f"{where}.adopt", f"{path} cannot be read: {error.strerror}")
                return None
        try:
            certificate = certs.load_certificate(contents[0])
        except certs.Unreadable as error:
            self._refuse(f"{where}.adopt.certificate", f"{adopt.certificate} {error}")
            return None
        try:
            # One passphrase is enough to say where it is the same.
            key, passphrase = certs.open_key(contents[1], [adopt.passphrase, step.wanted.passphrase])
        except certs.Unreadable as error:
            self._refuse(
                f"{where}.adopt.{'passphrase' if isinstance(error, certs.Locked) else 'key'}", f"{adopt.key} {error}"
            )
            return None
        if not certs.is_authority(certificate):
            self._refuse(
                f"{where}.adopt.certificate",
                f"{adopt.certificate} is no authority's certificate (basic constraints, key usage)",
            )
            return None
        if not certs.same_public_key(certificate.public_key(), key.public_key()):
            self._refuse(f"{where}.adopt.key", f"{adopt.key} is not the key of {adopt.certificate}")
            return None
        return certificate, key

    def _plan_copy(self, step: Step, where: str) -> None:
        """`same_as`: the same pair under another name, so that whoever uses the files need not know that they are one."""
        other = self.authorities[step.wanted.same_as]
        certificate = other.certificate or other.standing.certificate
        key = other.copied[1] if other.copied else other.standing.key
        standing = step.standing
        if other.reasons and not other.copied:
            if standing.certificate is not None and (
                key is None or not certs.same_public_key(standing.certificate.public_key(), key.public_key())
            ):
                self._refuse(
                    f"{where}.same_as",
                    f"{step.wanted.name}.pem is another authority than {step.wanted.same_as}",
                    ROTATE,
                )
            step.reasons.append(MISSING if standing.certificate is None else f"{step.wanted.same_as} is issued anew")
            return
        if certificate is None:
            return
        if standing.certificate is not None and not certs.same_public_key(
            standing.certificate.public_key(), certificate.public_key()
        ):
            self._refuse(
                f"{where}.same_as", f"{step.wanted.name}.pem is another authority than {step.wanted.same_as}", ROTATE
            )
            return
        if standing.certificate == certificate and (standing.key is not None or key is None):
            return
        step.reasons.append(
            MISSING
            if standing.certificate is None
            else "its key is missing"
            if standing.key is None
            else f"{step.wanted.same_as} was renewed"
        )
        step.copied = (certificate, key)
        step.certificate = certificate

    # Certificates

    def _plan_certificate(self, wanted: Wanted, standing: Standing) -> Step:
        issuer = self.issuers.get(wanted.issuer)
        step = Step(wanted, standing, issuer)
        if issuer is None:  # its authority is among the problems already
            return step
        step.reasons = self._reasons(step)
        key_reasons = self._key_reasons(step)
        step.reasons += key_reasons
        step.new_key = bool(key_reasons) or bool(step.reasons and self.request.renew_keys) or standing.key is None
        if standing.certificate is not None and standing.key is not None and not key_reasons and not standing.matches:
            step.reasons.append("it does not match its key")
        step.chain = intermediates(self.authorities, wanted.issuer) if wanted.chain else []
        self._plan_form(step)
        return step

    def _warn_of_ends(self, steps: list[Step]) -> None:
        """No certificate outlives its issuer; where that takes a part of the asked lifetime away, it is said when it happens."""
        cut: dict[str, list[str]] = {}
        for step in steps:
            if step.reasons and not step.copied and step.wanted.same_as is None and step.issuer is not None:
                if certs.capped(step.wanted, step.issuer, *certs.validity_period(step.wanted, step.issuer, self.now)):
                    cut.setdefault(step.wanted.issuer, []).append(step.wanted.name)
        for name, shortened in cut.items():
            end = certs.format_time(self.issuers[name].not_after)
            self.warnings.append(
                f"The authority {name} ends on {end}, and with it, before the lifetime asked for: {_some(shortened)}"
            )

    def _reasons(self, step: Step) -> list[str]:
        standing = step.standing
        if standing.certificate_fault:
            return [standing.certificate_fault]
        if standing.certificate is None:
            return [MISSING]
        renewal = [RENEWAL] if step.wanted.name in self.request.renew else []
        return (
            certs.differences(standing.certificate, step.wanted, step.issuer, self.now, self.request.renew_before)
            + renewal
        )

    @staticmethod
    def _key_reasons(step: Step) -> list[str]:
        standing = step.standing
        if standing.key_fault:
            return [standing.key_fault]
        if standing.key is None:
            return [] if standing.certificate is None and not standing.certificate_fault else ["its key is missing"]
        key_type = certs.key_type_of(standing.key.public_key())
        return [] if key_type == step.wanted.key else [f"key is {key_type}, asked is {step.wanted.key}"]

    def _require_issuers_keys(self, steps: list[Step]) -> None:
        """An authority's key may be kept elsewhere, until something is to be signed."""
        unsigned: dict[str, list[str]] = {}
        for step in steps:
            if (
                step.reasons
                and not step.copied
                and step.wanted.same_as is None
                and step.wanted.issuer in self.authorities
            ):
                unsigned.setdefault(step.wanted.issuer, []).append(step.wanted.name)
        for name, waiting in unsigned.items():
            if not self.authorities[name].standing.key_fault and not self._can_sign(self.authorities[name]):
                self._refuse(
                    f"authorities[{name}]",
                    f"{name}-key.pem is not here, and it is to sign {_some(waiting)}; put it back for this run",
                )

    def _can_sign(self, step: Step) -> bool:
        if step.wanted.same_as is not None and step.standing.key is None:
            return self._can_sign(self.authorities[step.wanted.same_as])
        return step.new_key or step.copied is not None or step.standing.key is not None

    # Keys, bundles, the rest

    def _plan_key(self, wanted: WantedKey) -> KeyStep:
        step = KeyStep(wanted)
        where = f"keys[{wanted.name}]"
        if wanted.type == "random":
            data = self._read(f"{wanted.name}.key", files.SECRET, step.wrong_modes)
            if data is None:
                self._plan_missing_key(step, where, f"{wanted.name}.key")
            elif not wanted.existing and _random_size(data) != wanted.size:
                self._refuse(where, f"{wanted.name}.key is not the base64 of {wanted.size} bytes", KEEP)
            return step
        public_name, key_name = file_names(wanted)
        public = self._read(public_name, files.PUBLIC, step.wrong_modes)
        data = self._read(key_name, files.SECRET, step.wrong_modes)
        if data is None:
            if public is not None:
                self._refuse(
                    where,
                    f"{key_name} is gone, but {public_name} is here; restore it from a backup, or remove that too to begin anew",
                )
            self._plan_missing_key(step, where, key_name)
            return step
        try:
            step.key = certs.load_key(data)
        except certs.Unreadable as error:
            self._refuse(where, f"{key_name} {error}; restore it from a backup")
            return step
        key_type = certs.key_type_of(step.key.public_key())
        if not wanted.existing and key_type != wanted.key_type:
            self._refuse(where, f"{key_name} is {key_type}, asked is {wanted.key_type}", KEEP)
        elif public != certs.public_pem(step.key):
            step.reasons.append("its public key was missing" if public is None else "its public key did not match")
        return step

    def _plan_missing_key(self, step: KeyStep, where: str, file: str) -> None:
        if step.wanted.existing:
            self._refuse(where, f"{file} is not there, and 'existing' makes none; restore it from a backup")
        step.reasons.append(MISSING)

    def _plan_bundle(self, wanted: WantedBundle, keys: list[KeyStep]) -> BundleStep:
        step = BundleStep(wanted, None)
        step.standing = self._read(f"{wanted.name}.pem", files.PUBLIC, step.wrong_modes)
        if step.standing is None:
            step.reasons.append(MISSING)
            return step
        authorities = [self.authorities[name] for name in wanted.authorities]
        pairs = [key for name in wanted.keys for key in keys if key.wanted.name == name]
        if any(authority.known is None for authority in authorities):
            step.reasons.append("an authority in it is issued anew")
        elif any(pair.key is None for pair in pairs):
            step.reasons.append("a key in it is made anew")
        elif bundle_pem(authorities, pairs) != step.standing:
            step.reasons.append(
                f"its {'authorities' if authorities else 'keys'} were not {', '.join(wanted.authorities or wanted.keys)}"
            )
        return step

    def _unwanted(self, present: list[str]) -> list[str]:
        wanted = {LOCK}
        for entry in (*self.request.authorities, *self.request.certificates, *self.request.keys, *self.request.bundles):
            wanted.update(file_names(entry))
        found = [
            name
            for name in present
            if name not in wanted and name.endswith((".pem", ".key")) and not files.is_directory(self._file(name))
        ]
        return [name for name in found if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.request.keep)]


def _passphrases(wanted: Wanted) -> list[str | None]:
    """What may open a key that stands there, the asked one first."""
    return [wanted.passphrase, wanted.old_passphrase, wanted.adopt.passphrase if wanted.adopt is not None else None]


def intermediates(authorities: dict[str, Step], name: str | None) -> list[Step]:
    """From an authority up to the root, without the root, which whoever verifies has already."""
    found = []
    while name in authorities:
        step = authorities[name]
        if step.wanted.same_as is None:
            made_elsewhere = step.wanted.adopt is not None or step.wanted.existing
            if (step.known is None or certs.is_root(step.known)) if made_elsewhere else step.wanted.issuer is None:
                break
            found.append(step)
        name = step.wanted.same_as or step.wanted.issuer
    return found


def _pem(certificates: list) -> bytes:
    return b"".join(map(certs.certificate_pem, certificates))


def _listed(certificates: list) -> str:
    return " and ".join(certs.format_subject(certificate.subject) for certificate in certificates) or "nothing"


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _random_size(data: bytes) -> int | None:
    try:
        return len(base64.b64decode(data.strip(), validate=True))
    except (binascii.Error, ValueError):
        return None


def bundle_pem(authorities: list[Step], pairs: list[KeyStep]) -> bytes:
    """Each once, whatever its names; a bundle of one is the very file of that one."""
    certificates = [certs.certificate_pem(step.certificate or step.standing.certificate) for step in authorities]
    return b"".join(dict.fromkeys([*certificates, *(certs.public_pem(step.key) for step in pairs)]))


class _Writer:
    # Waiting for the disk is what costs; the kernel gathers what several threads wait for.
    THREADS = 8

    def __init__(self, path: str, plan: Plan, now: datetime) -> None:
        self.path = path
        self.plan = plan
        self.now = now
        self.signers: dict[str, tuple[certs.Issuer, object]] = {}

    def write(self) -> None:
        if not self.plan.changed:
            return
        if self.plan.directory_reasons:
            os.chmod(self.path, DIRECTORY_MODE)
        self._fix_modes()
        self._make_keys()
        for step in self.plan.authorities:
            self._authority(step)
        self._issue([step for step in self.plan.certificates if step.reasons])
        with ThreadPoolExecutor(self.THREADS) as pool:
            list(pool.map(self._put, [step for step in self.plan.certificates if step.changed]))
        for step in self.plan.keys:
            self._key(step)
        authorities = {step.wanted.name: step for step in self.plan.authorities}
        keys = {step.wanted.name: step for step in self.plan.keys}
        for step in self.plan.bundles:
            if step.reasons:
                data = bundle_pem(
                    [authorities[name] for name in step.wanted.authorities], [keys[name] for name in step.wanted.keys]
                )
                files.write(self._file(f"{step.wanted.name}.pem"), data, files.PUBLIC)
        if self.plan.purge:
            for name in self.plan.unwanted:
                files.remove(self._file(name))
        files.sync_directory(self.path)

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _fix_modes(self) -> None:
        for step in (*self.plan.authorities, *self.plan.certificates):
            self._chmod(step.standing.wrong_modes)
        for step in (*self.plan.keys, *self.plan.bundles):
            self._chmod(step.wrong_modes)

    def _chmod(self, wrong_modes: dict[str, int]) -> None:
        for name in wrong_modes:
            os.chmod(self._file(name), files.SECRET if name.endswith(("-key.pem", ".key")) else files.PUBLIC)

    def _make_keys(self) -> None:
        """All keys that are to be new, but those of certificates, which are made with them."""
        needing: list[Step | KeyStep] = [step for step in self.plan.authorities if step.reasons and step.new_key]
        needing += [
            step for step in self.plan.keys if step.reasons and step.key is None and step.wanted.type != "random"
        ]
        types = [step.wanted.key_type if isinstance(step, KeyStep) else step.wanted.key for step in needing]
        for step, key in zip(needing, certs.generate_keys(types)):
            step.key = key
        for step in self.plan.authorities:
            if step.key is None:
                step.key = step.standing.key

    def _issue(self, steps: list[Step]) -> None:
        jobs = []
        for step in steps:
            step.issuer, issuer_key = self.signers[step.wanted.issuer]
            jobs.append(certs.Job(step.wanted, None if step.new_key else step.standing.key, step.issuer, issuer_key))
        for step, made in zip(steps, certs.issue_all(jobs, self.now)):
            step.key, step.certificate = made

    def _authority(self, step: Step) -> None:
        if step.wanted.same_as is not None and step.reasons:
            other = next(
                authority for authority in self.plan.authorities if authority.wanted.name == step.wanted.same_as
            )
            step.copied = (other.certificate or other.standing.certificate, other.key)
        if step.copied:
            step.certificate, step.key = step.copied
            step.new_key = step.standing.key is None
        elif step.reasons:
            step.issuer, issuer_key = self.signers.get(step.wanted.issuer or "", (None, None))
            step.certificate = certs.issue(step.wanted, step.key, step.issuer, issuer_key, self.now)
        self._put(step)
        self.signers[step.wanted.name] = (
            certs.Issuer.of(step.wanted.name, step.certificate or step.standing.certificate),
            step.key,
        )

    def _put(self, step: Step) -> None:
        """A kept key is not touched. A new one goes in between: first the old certificate leaves, then the key changes,
        then the new certificate comes, so that at any kill no certificate stands beside a key that is not its own."""
        certificate_name, key_name = file_names(step.wanted)
        if step.passphrase_reason:
            files.write(self._file(key_name), certs.key_pem(step.key, step.wanted.passphrase), files.SECRET)
        if not step.reasons and not step.form_reason:
            return
        following = [authority.certificate or authority.standing.certificate for authority in step.chain]
        certificate = files.stage(
            self._file(certificate_name),
            _pem([step.certificate or step.standing.certificate, *following]),
            files.PUBLIC,
        )
        if step.reasons and step.new_key and step.key is not None:
            key = files.stage(self._file(key_name), certs.key_pem(step.key, step.wanted.passphrase), files.SECRET)
            files.remove(self._file(certificate_name))
            files.move(key, self._file(key_name))
        files.move(certificate, self._file(certificate_name))

    def _key(self, step: KeyStep) -> None:
        if not step.reasons:
            return
        if step.wanted.type == "random":
            data = base64.b64encode(secrets.token_bytes(step.wanted.size)) + b"\n"
            files.write(self._file(f"{step.wanted.name}.key"), data, files.SECRET)
            return
        public_name, key_name = file_names(step.wanted)
        if MISSING in step.reasons:
            files.write(self._file(key_name), certs.key_pem(step.key), files.SECRET)
        files.write(self._file(public_name), certs.public_pem(step.key), files.PUBLIC)


# Results


def result(path: str, plan: Plan, now: datetime | None = None) -> dict:
    """What the module returns; nothing secret is in it."""
    now = now or datetime.now(timezone.utc)
    steps = [(step, "authority") for step in plan.authorities] + [(step, "certificate") for step in plan.certificates]
    return {
        "changed": plan.changed,
        "path": path,
        "certificates": [_described(step, kind, now) for step, kind in steps],
        "keys": [{"name": step.wanted.name, "changed": step.changed, "reason": _reason(step)} for step in plan.keys],
        "bundles": [
            {"name": step.wanted.name, "changed": step.changed, "reason": _reason(step)} for step in plan.bundles
        ],
        "unwanted": plan.unwanted,
        "removed": plan.unwanted if plan.purge else [],
    }


def _reason(step: KeyStep | BundleStep) -> str:
    return "; ".join(
        [*step.reasons, *(f"{name} had mode {mode:04o}" for name, mode in sorted(step.wrong_modes.items()))]
    )


def _described(step: Step, kind: str, now: datetime) -> dict:
    certificate = step.known
    if certificate is not None:
        described = certs.describe(certificate, now)
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    else:
        described = certs.describe_planned(step.wanted, step.issuer, now)
        not_before, not_after = certs.validity_period(step.wanted, step.issuer, now)
    capped = (
        step.wanted.adopt is None
        and step.wanted.same_as is None
        and certs.capped(step.wanted, step.issuer, not_before, not_after)
    )
    return {
        "name": step.wanted.name,
        "type": kind,
        **described,
        "chain": _chain_subjects(step),
        "capped_by": step.wanted.issuer if capped else None,
        "changed": step.changed,
        "reason": step.reason,
    }


def _chain_subjects(step: Step) -> list[str]:
    return [
        certs.format_subject(authority.known.subject) if authority.known is not None else str(authority.wanted.subject)
        for authority in step.chain
    ]


_DIFF_FIELDS = ("subject", "issuer", "names", "usages", "key", "not_before", "not_after", "fingerprint")


def diff(path: str, plan: Plan, now: datetime | None = None) -> list[dict]:
    """Before and after of all that changes, parsed; of a key only that it is new."""
    now = now or datetime.now(timezone.utc)
    entries = []
    if plan.directory_reasons:
        entries.append(
            _diff_entry(f"{path}/", "" if MISSING in plan.directory_reasons else plan.directory_reasons[0], "mode 0700")
        )
    for step in (*plan.authorities, *plan.certificates):
        if step.reasons:
            before = certs.describe(step.standing.certificate, now) if step.standing.certificate is not None else {}
            entries.append(
                _diff_entry(
                    os.path.join(path, f"{step.wanted.name}.pem"),
                    _diff_text(before),
                    _diff_text(_described(step, "", now), step),
                )
            )
        entries += _form_entries(path, step)
    for step in (*plan.keys, *plan.bundles):
        if step.reasons:
            file = os.path.join(path, file_names(step.wanted)[0])
            entries.append(_diff_entry(file, "" if MISSING in step.reasons else "another\n", f"{_kind(step)}\n"))
    for step in (*plan.authorities, *plan.certificates):
        entries += _mode_entries(path, step.standing.wrong_modes)
    for step in (*plan.keys, *plan.bundles):
        entries += _mode_entries(path, step.wrong_modes)
    if plan.purge:
        entries += [_diff_entry(os.path.join(path, name), "present\n", "") for name in plan.unwanted]
    return entries


def _kind(step: KeyStep | BundleStep) -> str:
    if isinstance(step, BundleStep):
        return f"bundle of {', '.join(step.wanted.authorities or step.wanted.keys)}"
    if step.wanted.type == "random":
        return f"{step.wanted.size} random bytes"
    return f"{step.wanted.key_type} key"


def _form_entries(path: str, step: Step) -> list[dict]:
    """Files that are written again with the same certificate or key in them."""
    entries = []
    if step.form_reason:
        chain = certs.load_chain(step.standing.data) or [step.standing.certificate]
        before = [certs.format_subject(certificate.subject) for certificate in chain]
        after = [
            certs.format_subject(step.standing.certificate.subject),
            *_chain_subjects(step),
            f"# reason: {step.form_reason}",
        ]
        entries.append(
            _diff_entry(
                os.path.join(path, f"{step.wanted.name}.pem"), "\n".join([*before, ""]), "\n".join([*after, ""])
            )
        )
    if step.passphrase_reason:
        before, after = (
            "in the clear" if passphrase is None else "with a passphrase"
            for passphrase in (step.standing.passphrase, step.wanted.passphrase)
        )
        after += f"\n# reason: {step.passphrase_reason}"
        entries.append(_diff_entry(os.path.join(path, f"{step.wanted.name}-key.pem"), f"{before}\n", f"{after}\n"))
    return entries


def _mode_entries(path: str, wrong_modes: dict[str, int]) -> list[dict]:
    return [
        _diff_entry(
            os.path.join(path, name),
            f"mode: {mode:04o}\n",
            f"mode: {0o600 if name.endswith(('-key.pem', '.key')) else 0o644:04o}\n",
        )
        for name, mode in sorted(wrong_modes.items())
    ]


def _diff_entry(file: str, before: str, after: str) -> dict:
    return {"before_header": file, "after_header": file, "before": before, "after": after}


def _diff_text(described: dict, step: Step | None = None) -> str:
    lines = []
    for name in _DIFF_FIELDS:
        if name not in described:
            continue
        value = described[name]
        if name == "names":
            # One to a line, so that a diff shows the one that comes or goes.
            lines += ["names:", *(f"  {entry}" for entry in value)]
            continue
        if isinstance(value, list):
            value = ", ".join(value) or "none"
        if name == "key" and step is not None and step.new_key:
            value = f"{value} (new)"
        lines.append(f"{name}: {'known once issued' if value is None else value}")
    if step is not None:
        lines.append(f"# reason: {step.reason}")
    return "".join(f"{line}\n" for line in lines)
