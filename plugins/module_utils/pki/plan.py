# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a whole directory: reads everything, decides everything, writes nothing."""

from __future__ import annotations

import base64
import binascii
import fnmatch
from datetime import datetime

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.chain import (
    bundle_pem,
    intermediates,
    plan_format,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.draft import Draft, some
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    DIRECTORY_MODE,
    KEEP,
    LOCK,
    MISSING,
    RENEWAL,
    BundleStep,
    Current,
    KeyStep,
    Plan,
    Refused,
    Step,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.plan_ca import CAPlanner
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    BundleSpec,
    CertificateSpec,
    KeySpec,
    Request,
    file_names,
)


class Planner:
    def __init__(self, path: str, request: Request, now: datetime) -> None:
        self.draft = Draft(path, request, now)

    def plan(self) -> Plan:
        mode = files.check_directory(self.draft.path)
        directory_reasons = [] if mode == DIRECTORY_MODE else [MISSING if mode is None else f"had mode {mode:04o}"]
        present = files.names(self.draft.path)
        current = {spec.name: self.draft.current(spec) for spec in self.draft.request.certificates}
        cas = CAPlanner(self.draft)
        for spec in self.draft.request.cas:
            cas.plan(spec, current)
        certificates = [self._plan_certificate(spec, current[spec.name]) for spec in self.draft.request.certificates]
        self._warn_of_ends([*self.draft.cas.values(), *certificates])
        self._require_issuers_keys([*self.draft.cas.values(), *certificates])
        keys = [self._plan_key(spec) for spec in self.draft.request.keys]
        bundles = [self._plan_bundle(spec, keys) for spec in self.draft.request.bundles]
        if self.draft.problems:
            raise Refused(self.draft.problems, list(self.draft.fixes))
        return Plan(
            directory_reasons,
            list(self.draft.cas.values()),
            certificates,
            keys,
            bundles,
            self._unwanted(present),
            self.draft.warnings,
            self.draft.request.purge,
        )

    def _plan_certificate(self, spec: CertificateSpec, current: Current) -> Step:
        issuer = self.draft.issuers.get(spec.issuer or "")
        step = Step(spec, current, issuer)
        if issuer is None:  # its CA is among the problems already
            return step
        step.reasons = self._reasons(step, issuer)
        key_reasons = self._key_reasons(step)
        step.reasons += key_reasons
        step.new_key = bool(key_reasons) or bool(step.reasons and self.draft.request.renew_keys) or current.key is None
        if current.certificate is not None and current.key is not None and not key_reasons and not current.matches:
            step.reasons.append("it does not match its key")
        step.chain = intermediates(self.draft.cas, spec.issuer) if spec.chain else []
        plan_format(step)
        return step

    def _warn_of_ends(self, steps: list[Step]) -> None:
        """No certificate outlives its issuer; where that takes a part of the asked lifetime away, it is said when it happens."""
        cut: dict[str, list[str]] = {}
        for step in steps:
            if not step.reasons or step.copied or step.spec.copy_of is not None or step.issuer is None:
                continue
            period = certs.validity_period(step.spec, step.issuer, self.draft.now)
            if compare.limited_by_issuer(step.spec, step.issuer, *period):
                cut.setdefault(step.issuer.name, []).append(step.spec.name)
        for name, shortened in cut.items():
            end = compare.format_time(self.draft.issuers[name].not_after)
            self.draft.warnings.append(
                f"The CA {name} ends on {end}, and with it, before the lifetime asked for: {some(shortened)}"
            )

    def _reasons(self, step: Step, issuer: certs.Issuer) -> list[str]:
        current = step.current
        if current.certificate_fault:
            return [current.certificate_fault]
        if current.certificate is None:
            return [MISSING]
        renewal = [RENEWAL] if step.spec.name in self.draft.request.renew else []
        return (
            compare.differences(current.certificate, step.spec, issuer, self.draft.now, self.draft.request.renew_before)
            + renewal
        )

    @staticmethod
    def _key_reasons(step: Step) -> list[str]:
        current = step.current
        if current.key_fault:
            return [current.key_fault]
        if current.key is None:
            return [] if current.certificate is None and not current.certificate_fault else ["its key is missing"]
        key_type = certs.key_type_of(current.key.public_key())
        return [] if key_type == step.spec.key else [f"key is {key_type}, asked is {step.spec.key}"]

    def _require_issuers_keys(self, steps: list[Step]) -> None:
        """A CA's key may be kept elsewhere, until something is to be signed."""
        unsigned: dict[str, list[str]] = {}
        for step in steps:
            if step.reasons and not step.copied and step.spec.copy_of is None and step.spec.issuer in self.draft.cas:
                unsigned.setdefault(step.spec.issuer, []).append(step.spec.name)
        for name, waiting in unsigned.items():
            if not self.draft.cas[name].current.key_fault and not self._can_sign(self.draft.cas[name]):
                self.draft.refuse(
                    f"cas[{name}]",
                    f"{name}-key.pem is not here, and it is to sign {some(waiting)}; put it back for this run",
                )

    def _can_sign(self, step: Step) -> bool:
        if step.spec.copy_of is not None and step.current.key is None:
            return self._can_sign(self.draft.cas[step.spec.copy_of])
        return step.new_key or step.copied is not None or step.current.key is not None

    def _plan_key(self, spec: KeySpec) -> KeyStep:
        step = KeyStep(spec)
        where = f"keys[{spec.name}]"
        if spec.type == "random":
            data = self.draft.read(f"{spec.name}.key", files.SECRET, step.wrong_modes)
            if data is None:
                self._plan_missing_key(step, where, f"{spec.name}.key")
            elif not spec.existing and _random_size(data) != spec.size:
                self.draft.refuse(where, f"{spec.name}.key is not the base64 of {spec.size} bytes", KEEP)
            return step
        public_name, key_name = file_names(spec)
        public = self.draft.read(public_name, files.PUBLIC, step.wrong_modes)
        data = self.draft.read(key_name, files.SECRET, step.wrong_modes)
        if data is None:
            if public is not None:
                self.draft.refuse(
                    where,
                    f"{key_name} is gone, but {public_name} is here; restore it from a backup, or remove that too to start over",
                )
            self._plan_missing_key(step, where, key_name)
            return step
        try:
            step.key = certs.load_key(data)
        except certs.Unreadable as error:
            self.draft.refuse(where, f"{key_name} {error}; restore it from a backup")
            return step
        key_type = certs.key_type_of(step.key.public_key())
        if not spec.existing and key_type != spec.key_type:
            self.draft.refuse(where, f"{key_name} is {key_type}, asked is {spec.key_type}", KEEP)
        elif public != certs.public_pem(step.key):
            step.reasons.append("its public key was missing" if public is None else "its public key did not match")
        return step

    def _plan_missing_key(self, step: KeyStep, where: str, file: str) -> None:
        if step.spec.existing:
            self.draft.refuse(where, f"{file} is not there, and 'existing' makes none; restore it from a backup")
        step.reasons.append(MISSING)

    def _plan_bundle(self, spec: BundleSpec, keys: list[KeyStep]) -> BundleStep:
        step = BundleStep(spec, None)
        step.current = self.draft.read(f"{spec.name}.pem", files.PUBLIC, step.wrong_modes)
        if step.current is None:
            step.reasons.append(MISSING)
            return step
        cas = [self.draft.cas[name] for name in spec.cas]
        pairs = [key for name in spec.keys for key in keys if key.spec.name == name]
        if any(ca.effective is None for ca in cas):
            step.reasons.append("a CA in it is reissued")
        elif any(pair.key is None for pair in pairs):
            step.reasons.append("a key in it is replaced")
        elif bundle_pem(cas, pairs) != step.current:
            step.reasons.append(f"its {'CAs' if cas else 'keys'} were not {', '.join(spec.cas or spec.keys)}")
        return step

    def _unwanted(self, present: list[str]) -> list[str]:
        request = self.draft.request
        entries: list[CertificateSpec | KeySpec | BundleSpec] = [
            *request.cas,
            *request.certificates,
            *request.keys,
            *request.bundles,
        ]
        expected = {LOCK, *(name for entry in entries for name in file_names(entry))}
        return [
            name
            for name in present
            if name not in expected
            and name.endswith((".pem", ".key"))
            and not files.is_directory(self.draft.file(name))
            and not any(fnmatch.fnmatchcase(name, pattern) for pattern in request.keep)
        ]


def _random_size(data: bytes) -> int | None:
    try:
        return len(base64.b64decode(data.strip(), validate=True))
    except (binascii.Error, ValueError):
        return None
