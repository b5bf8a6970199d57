# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates are renewed."""

from __future__ import annotations

import pathlib

from cryptography import x509
from harness import cluster, expectations, playbooks, sandbox
from harness.checks import Kind, require
from harness.registry import drill
from harness.steps import assert_nothing_to_do, run_watched, succeeding

AUTHORITIES = ["ca.pem", "client-ca.pem", "etcd-ca.pem", "front-proxy-ca.pem", "kubelet-ca.pem"]


def certificate_serials() -> dict[str, str]:
    """Serial numbers of all certificates on the controller, and of those that the kubelets have."""
    found = {
        path.name: str(x509.load_pem_x509_certificate(path.read_bytes()).serial_number)
        for path in (cluster.DIRECTORY / "pki").glob("*.pem")
        if _is_certificate(path)
    }
    for machine in sandbox.NODES:
        for kind in ("client", "server"):
            link = f"/var/lib/kubelet/pki/kubelet-{kind}-current.pem"
            found[f"{machine} {kind}"] = sandbox.ssh(machine, f"readlink {link}").strip()
    return found


def _is_certificate(path: pathlib.Path) -> bool:
    return b"BEGIN CERTIFICATE" in path.read_bytes() and "bundle" not in path.name


@drill(
    "renew",
    "hardway.kubernetes.renew: every certificate below the authorities is issued again, rolling; no failed request, changed=0 after it.",
)
def renew() -> str:
    before = certificate_serials()
    figures, runs = run_watched(("renew", succeeding("renew")))
    after = certificate_serials()
    kept = sorted(name for name in before if before[name] == after[name])
    require(kept == AUTHORITIES, f"kept: {kept}")
    assert_nothing_to_do()
    report = playbooks.run("certificates").require_success()
    report.require_says(expectations.CERTIFICATE_REPORT, "there is no report after it")
    require(not report.says(expectations.CERTIFICATE_WARNING), f"the report after it warns:\n{report.end}", Kind.OUTPUT)
    return f"{runs[0].seconds:.0f} s, {len(before) - len(kept)} certificates: {figures}"
