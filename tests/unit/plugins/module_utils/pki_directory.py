# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of a directory of certificates share."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.result import as_diff, as_result


def reconcile(path, request: dict, check_mode: bool = False, now: datetime | None = None) -> dict:
    plan = reconcile_directory(str(path), parse_request(request), check_mode, now)
    return {**as_result(str(path), plan, now), "diff": as_diff(str(path), plan, now), "warnings": plan.warnings}


def changes(result: dict) -> dict[str, str]:
    return {
        entry["name"]: entry["reason"]
        for kind in ("certificates", "keys", "bundles")
        for entry in result[kind]
        if entry["changed"]
    }


def described(result: dict, name: str) -> dict:
    return next(entry for entry in result["certificates"] if entry["name"] == name)


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def pairs_match(path: Path, passphrases: tuple[str, ...] = ()) -> bool:
    """Whether each certificate there is stands beside its own key."""
    for key in path.glob("*-key.pem"):
        certificate = path / key.name.replace("-key", "")
        if (
            certificate.exists()
            and b"BEGIN CERTIFICATE" in certificate.read_bytes()
            and (
                certs.load_certificate(certificate.read_bytes()).public_key()
                != certs.open_key(key.read_bytes(), passphrases)[0].public_key()
            )
        ):
            return False
    return True


def openssl(*arguments: str, directory: Path) -> str:
    return subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout
