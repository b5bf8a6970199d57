# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate's file holds: the certificate and, where it is asked for, the intermediates above it. And what bundles hold."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    KeyStep,
    Step,
)


def intermediates(cas: dict[str, Step], name: str | None) -> list[Step]:
    """From a CA up to the root, without the root, which whoever verifies has already."""
    found = []
    while name in cas:
        step = cas[name]
        if step.spec.copy_of is None:
            made_elsewhere = step.spec.import_from is not None or step.spec.existing
            if (
                (step.effective is None or certs.is_root(step.effective))
                if made_elsewhere
                else step.spec.issuer is None
            ):
                break
            found.append(step)
        name = step.spec.copy_of or step.spec.issuer
    return found


def plan_format(step: Step) -> None:
    """Its file holds the certificate, what follows it where that is asked for, and nothing else."""
    if step.reasons:
        return
    chain = [ca.effective for ca in step.chain if ca.effective is not None]
    if len(chain) < len(step.chain):
        step.format_reason = "its chain is reissued"
    elif step.current.data != pem([step.standing, *chain]):
        current = certs.load_chain(step.current.data)
        if current is None or current[1:] == chain:
            step.format_reason = f"{step.spec.name}.pem held more than certificates"
        else:
            step.format_reason = f"the certificate was followed by {_listed(current[1:])}, asked is {_listed(chain)}"


def pem(certificates: Iterable[certs.Certificate]) -> bytes:
    return b"".join(map(certs.certificate_pem, certificates))


def _listed(certificates: Iterable[certs.Certificate]) -> str:
    return " and ".join(compare.format_subject(certificate.subject) for certificate in certificates) or "nothing"


def bundle_pem(cas: list[Step], pairs: list[KeyStep]) -> bytes:
    """Each once, whatever its names; a bundle of one is the very file of that one."""
    certificates = [certs.certificate_pem(step.standing) for step in cas]
    return b"".join(dict.fromkeys([*certificates, *(certs.public_pem(step.pair) for step in pairs)]))
