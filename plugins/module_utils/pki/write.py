# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a plan says, in an order that a kill at any moment leaves whole."""

from __future__ import annotations

import base64
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.chain import (
    bundle_pem,
    pem,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    DIRECTORY_MODE,
    MISSING,
    KeyStep,
    Plan,
    Step,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    file_names,
)


class Writer:
    # Waiting for the disk is what costs; the kernel gathers what several threads wait for.
    THREADS = 8

    def __init__(self, path: str, plan: Plan, now: datetime) -> None:
        self.path = path
        self.plan = plan
        self.now = now
        self.signers: dict[str, tuple[certs.Issuer, certs.PrivateKey | None]] = {}

    def write(self) -> None:
        if not self.plan.changed:
            return
        if self.plan.directory_reasons:
            os.chmod(self.path, DIRECTORY_MODE)
        self._fix_modes()
        self._make_keys()
        for step in self.plan.cas:
            self._ca(step)
        self._issue([step for step in self.plan.certificates if step.reasons])
        with ThreadPoolExecutor(self.THREADS) as pool:
            list(pool.map(self._put, [step for step in self.plan.certificates if step.changed]))
        for key in self.plan.keys:
            self._key(key)
        self._write_bundles()
        if self.plan.purge:
            for name in self.plan.unwanted:
                files.remove(self._file(name))
        files.sync_directory(self.path)

    def _write_bundles(self) -> None:
        cas = {step.spec.name: step for step in self.plan.cas}
        keys = {step.spec.name: step for step in self.plan.keys}
        for step in self.plan.bundles:
            if step.reasons:
                data = bundle_pem([cas[name] for name in step.spec.cas], [keys[name] for name in step.spec.keys])
                files.write(self._file(f"{step.spec.name}.pem"), data, files.PUBLIC)

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _fix_modes(self) -> None:
        for step in (*self.plan.cas, *self.plan.certificates):
            self._chmod(step.current.wrong_modes)
        for key in self.plan.keys:
            self._chmod(key.wrong_modes)
        for bundle in self.plan.bundles:
            self._chmod(bundle.wrong_modes)

    def _chmod(self, wrong_modes: dict[str, int]) -> None:
        for name in wrong_modes:
            os.chmod(self._file(name), files.SECRET if name.endswith(("-key.pem", ".key")) else files.PUBLIC)

    def _make_keys(self) -> None:
        """All keys that are to be new, but those of certificates, which are made with them."""
        needing: list[Step | KeyStep] = [step for step in self.plan.cas if step.reasons and step.new_key]
        needing += [step for step in self.plan.keys if step.reasons and step.key is None and step.spec.type != "random"]
        types = [step.spec.key_type if isinstance(step, KeyStep) else step.spec.key for step in needing]
        for step, key in zip(needing, certs.generate_keys(types)):
            step.key = key
        for step in self.plan.cas:
            if step.key is None:
                step.key = step.current.key

    def _issue(self, steps: list[Step]) -> None:
        jobs = []
        for step in steps:
            issuer, issuer_key = self.signers[step.spec.issuer or ""]
            if issuer_key is None:
                raise AssertionError
            step.issuer = issuer
            jobs.append(certs.Job(step.spec, None if step.new_key else step.current.key, issuer, issuer_key))
        for step, made in zip(steps, certs.issue_all(jobs, self.now)):
            step.key, step.certificate = made

    def _ca(self, step: Step) -> None:
        if step.spec.copy_of is not None and step.reasons:
            other = next(ca for ca in self.plan.cas if ca.spec.name == step.spec.copy_of)
            step.copied = (other.standing, other.key)
        if step.copied:
            step.certificate, step.key = step.copied
            step.new_key = step.current.key is None
        elif step.reasons:
            step.issuer, issuer_key = self.signers.get(step.spec.issuer or "", (None, None))
            step.certificate = certs.issue(step.spec, step.pair, step.issuer, issuer_key, self.now)
        self._put(step)
        self.signers[step.spec.name] = (certs.Issuer.of(step.spec.name, step.standing), step.key)

    def _put(self, step: Step) -> None:
        """A kept key is not touched. A new one goes in between: first the old certificate leaves, then the key changes,
        then the new certificate comes, so that at any kill no certificate stands beside a key that is not its own."""
        certificate_name, key_name = file_names(step.spec)
        if step.passphrase_reason:
            files.write(self._file(key_name), certs.key_pem(step.pair, step.spec.passphrase), files.SECRET)
        if not step.reasons and not step.format_reason:
            return
        following = [ca.standing for ca in step.chain]
        certificate = files.stage(self._file(certificate_name), pem([step.standing, *following]), files.PUBLIC)
        if step.reasons and step.new_key and step.key is not None:
            key = files.stage(self._file(key_name), certs.key_pem(step.key, step.spec.passphrase), files.SECRET)
            files.remove(self._file(certificate_name))
            files.move(key, self._file(key_name))
        files.move(certificate, self._file(certificate_name))

    def _key(self, step: KeyStep) -> None:
        if not step.reasons:
            return
        if step.spec.type == "random":
            data = base64.b64encode(secrets.token_bytes(step.spec.size)) + b"\n"
            files.write(self._file(f"{step.spec.name}.key"), data, files.SECRET)
            return
        public_name, key_name = file_names(step.spec)
        if MISSING in step.reasons:
            files.write(self._file(key_name), certs.key_pem(step.pair), files.SECRET)
        files.write(self._file(public_name), certs.public_pem(step.pair), files.PUBLIC)
