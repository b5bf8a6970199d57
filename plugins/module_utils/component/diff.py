# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences as people may see them: certificates parsed, secrets not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import tempfile

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import File, is_secret
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.plan import Change, Plan

SECRET_TEXT = "(secret, not shown)\n"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def diff(plan: Plan) -> list[dict[str, str]]:
    """Ansible's diff of a plan, read before it is applied: what has no text of its own (a start, a version, a mode) is told in words."""
    return [_entry(change) for change in plan.changes]


def _entry(change: Change) -> dict[str, str]:
    before, after = "", f"{change.action}\n"
    if change.verb == "write":
        before, after = _file(change.subject)
        after = after if before != after else f"{before}{change.action}\n"
    return {"before_header": change.what, "after_header": change.what, "before": before, "after": after}


def _file(wanted: File) -> tuple[str, str]:
    with contextlib.suppress(OSError):
        if not wanted.shown and is_secret(os.stat(wanted.path).st_mode):
            return SECRET_TEXT, SECRET_TEXT.replace("not shown", "changed, not shown")
    before = None if os.path.islink(wanted.path) else files.read_bytes(wanted.path)
    if wanted.secret:
        after = SECRET_TEXT if before is None else SECRET_TEXT.replace("not shown", "changed, not shown")
        return ("" if before is None else SECRET_TEXT), after
    return _text(before), _text(wanted.content)


def _text(content: bytes | None) -> str:
    if not content:
        return ""
    if _BEGIN.encode() in content and b"apiVersion" not in content:
        return "".join(_certificate_text(part) for part in content.split(_BEGIN.encode())[1:])
    return content.decode(errors="replace")


def _certificate_text(part: bytes) -> str:
    pem = _BEGIN + part.decode(errors="replace").partition(_END)[0] + _END
    try:
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as stream:
            stream.write(pem)
            stream.flush()
            # The standard library has no other parser; hosts have no third-party Python.
            parsed = ssl._ssl._test_decode_cert(stream.name)  # type: ignore[attr-defined]
    except (ValueError, OSError):
        return "not a certificate that can be read\n"
    subject = ", ".join(f"{name}={value}" for group in parsed["subject"] for name, value in group)
    issuer = ", ".join(f"{name}={value}" for group in parsed["issuer"] for name, value in group)
    names = ", ".join(f"{kind}:{value}" for kind, value in parsed.get("subjectAltName", ()))
    return (
        f"subject: {subject}\nissuer: {issuer}\nsubjectAltName: {names}\n"
        f"notBefore: {parsed['notBefore']}\nnotAfter: {parsed['notAfter']}\nfingerprint: {fingerprint}\n"
    )
