# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate that was found on a host is still good: documented in the file beside this one."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
except ImportError:
    x509 = None  # type: ignore[assignment]


def usable(certificate: Mapping, authority: str) -> bool:
    """Whether it is there, has not ended, and was signed by the authority whose PEM file lies at a path; false where that file is missing."""
    if x509 is None:
        raise AnsibleFilterError("usable: needs the Python library cryptography on the controller")
    if not isinstance(certificate, Mapping) or not {"present", "expired", "pem"} <= set(certificate):
        raise AnsibleFilterError(
            "usable: takes a certificate of the facts hardway_host, such as hardway_host.facts.kubelet_certificate"
        )
    if not certificate["present"] or certificate["expired"] or not certificate["pem"] or not os.path.exists(authority):
        return False
    try:
        x509.load_pem_x509_certificate(certificate["pem"].encode()).verify_directly_issued_by(
            _load(authority, os.path.getmtime(authority))
        )
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@functools.lru_cache(maxsize=4)
def _load(path: str, _changed: float) -> x509.Certificate:
    with open(path, "rb") as stream:
        return x509.load_pem_x509_certificate(stream.read())


class TestModule:
    def tests(self) -> dict:
        return {"usable": usable}
