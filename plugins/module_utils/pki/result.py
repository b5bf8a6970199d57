# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as the module shows it: its result and its diff. Nothing secret is in them."""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import (
    MISSING,
    BundleStep,
    KeyStep,
    Plan,
    Step,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    file_names,
)

Json = dict[str, t.Any]


def as_result(path: str, plan: Plan, now: datetime | None = None) -> Json:
    """What the module returns; nothing secret is in it."""
    now = now or datetime.now(timezone.utc)
    steps = [(step, "ca") for step in plan.cas] + [(step, "certificate") for step in plan.certificates]
    return {
        "changed": plan.changed,
        "path": path,
        "certificates": [_described(step, kind, now) for step, kind in steps],
        "keys": [{"name": step.spec.name, "changed": step.changed, "reason": _reason(step)} for step in plan.keys],
        "bundles": [
            {"name": step.spec.name, "changed": step.changed, "reason": _reason(step)} for step in plan.bundles
        ],
        "unwanted": plan.unwanted,
        "removed": plan.unwanted if plan.purge else [],
    }


def _reason(step: KeyStep | BundleStep) -> str:
    return "; ".join(
        [*step.reasons, *(f"{name} had mode {mode:04o}" for name, mode in sorted(step.wrong_modes.items()))]
    )


def _described(step: Step, kind: str, now: datetime) -> Json:
    certificate = step.effective
    if certificate is not None:
        described = compare.describe(certificate, now)
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    else:
        described = compare.describe_planned(step.spec, step.issuer, now)
        not_before, not_after = certs.validity_period(step.spec, step.issuer, now)
    limited_by_issuer = (
        step.spec.import_from is None
        and step.spec.copy_of is None
        and compare.limited_by_issuer(step.spec, step.issuer, not_before, not_after)
    )
    return {
        "name": step.spec.name,
        "type": kind,
        **described,
        "chain": _chain_subjects(step),
        "limited_by": step.spec.issuer if limited_by_issuer else None,
        "changed": step.changed,
        "reason": step.reason,
    }


def _chain_subjects(step: Step) -> list[str]:
    return [
        compare.format_subject(ca.effective.subject) if ca.effective is not None else str(ca.spec.subject)
        for ca in step.chain
    ]


_DIFF_FIELDS = ("subject", "issuer", "names", "usages", "key", "not_before", "not_after", "fingerprint")


def as_diff(path: str, plan: Plan, now: datetime | None = None) -> list[Json]:
    """Before and after of all that changes, parsed; of a key only that it is new."""
    now = now or datetime.now(timezone.utc)
    entries = []
    if plan.directory_reasons:
        entries.append(
            _diff_entry(f"{path}/", "" if MISSING in plan.directory_reasons else plan.directory_reasons[0], "mode 0700")
        )
    for step in (*plan.cas, *plan.certificates):
        if step.reasons:
            before = compare.describe(step.current.certificate, now) if step.current.certificate is not None else {}
            entries.append(
                _diff_entry(
                    os.path.join(path, f"{step.spec.name}.pem"),
                    _diff_text(before),
                    _diff_text(_described(step, "", now), step),
                )
            )
        entries += _format_entries(path, step)
    others: list[KeyStep | BundleStep] = [*plan.keys, *plan.bundles]
    for other in others:
        if other.reasons:
            file = os.path.join(path, file_names(other.spec)[0])
            entries.append(_diff_entry(file, "" if MISSING in other.reasons else "another\n", f"{_kind(other)}\n"))
    for step in (*plan.cas, *plan.certificates):
        entries += _mode_entries(path, step.current.wrong_modes)
    for other in others:
        entries += _mode_entries(path, other.wrong_modes)
    if plan.purge:
        entries += [_diff_entry(os.path.join(path, name), "present\n", "") for name in plan.unwanted]
    return entries


def _kind(step: KeyStep | BundleStep) -> str:
    if isinstance(step, BundleStep):
        return f"bundle of {', '.join(step.spec.cas or step.spec.keys)}"
    if step.spec.type == "random":
        return f"{step.spec.size} random bytes"
    return f"{step.spec.key_type} key"


def _format_entries(path: str, step: Step) -> list[Json]:
    """Files that are written again with the same certificate or key in them."""
    entries = []
    if step.format_reason:
        chain = certs.load_chain(step.current.data) or [step.standing]
        before = [compare.format_subject(certificate.subject) for certificate in chain]
        after = [
            compare.format_subject(step.standing.subject),
            *_chain_subjects(step),
            f"# reason: {step.format_reason}",
        ]
        entries.append(
            _diff_entry(os.path.join(path, f"{step.spec.name}.pem"), "\n".join([*before, ""]), "\n".join([*after, ""]))
        )
    if step.passphrase_reason:
        had, has = (
            "in the clear" if passphrase is None else "with a passphrase"
            for passphrase in (step.current.passphrase, step.spec.passphrase)
        )
        reason = f"# reason: {step.passphrase_reason}"
        entries.append(_diff_entry(os.path.join(path, f"{step.spec.name}-key.pem"), f"{had}\n", f"{has}\n{reason}\n"))
    return entries


def _mode_entries(path: str, wrong_modes: dict[str, int]) -> list[Json]:
    return [
        _diff_entry(
            os.path.join(path, name),
            f"mode: {mode:04o}\n",
            f"mode: {0o600 if name.endswith(('-key.pem', '.key')) else 0o644:04o}\n",
        )
        for name, mode in sorted(wrong_modes.items())
    ]


def _diff_entry(file: str, before: str, after: str) -> Json:
    return {"before_header": file, "after_header": file, "before": before, "after": after}


def _diff_text(described: Json, step: Step | None = None) -> str:
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
