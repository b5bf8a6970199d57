# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a certificate differs from what is asked for, and what is in it, in words."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    EXTENDED_KEY_USAGES,
    SUBJECT_FIELDS,
    UNFIT_USAGES,
    CertificateSpec,
    format_name,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.x509 import (
    BACKDATE,
    KEY_USAGE_FLAGS,
    Issuer,
    key_type_of,
    signed_by,
    validity_period,
)

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtensionOID
except ImportError:
    pass  # x509.CRYPTOGRAPHY_IMPORT_ERROR is what modules report
else:
    _COMPARED_EXTENSIONS = {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }

_FIELD_OF_OID = {oid: name for name, oid in SUBJECT_FIELDS.items()}
_EXTENDED_KEY_USAGE_WORDS = {oid: word for word, oid in reversed(list(EXTENDED_KEY_USAGES.items()))}


def subject_of(name: x509.Name) -> list[tuple[str, str]]:
    return [
        (_FIELD_OF_OID.get(attribute.oid.dotted_string, attribute.oid.dotted_string), str(attribute.value))
        for attribute in name
    ]


def format_subject(name: x509.Name) -> str:
    return ", ".join(f"{field}={value}" for field, value in subject_of(name)) or "(empty)"


def names_of(certificate: x509.Certificate) -> frozenset[tuple[str, str]]:
    try:
        general_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(_classified(name) for name in general_names)


def _classified(name: x509.GeneralName) -> tuple[str, str]:
    if isinstance(name, x509.IPAddress):
        return ("IP", str(name.value))
    if isinstance(name, x509.DNSName):
        return ("DNS", name.value.lower())
    if isinstance(name, x509.UniformResourceIdentifier):
        return ("URI", name.value)
    if isinstance(name, x509.RFC822Name):
        return ("email", name.value)
    return (type(name).__name__, str(name.value))


def usages_of(certificate: x509.Certificate) -> tuple[frozenset[str], frozenset[str]]:
    flags: frozenset[str] = frozenset()
    extended: frozenset[str] = frozenset()
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.KEY_USAGE:
            flags = frozenset(flag for flag in KEY_USAGE_FLAGS if _has_flag(extension.value, flag))
        elif extension.oid == ExtensionOID.EXTENDED_KEY_USAGE:
            extended = frozenset(usage.dotted_string for usage in extension.value)
    return flags, extended


def _has_flag(usage: x509.KeyUsage, flag: str) -> bool:
    # The library refuses to read these two without key agreement, where they mean nothing.
    if flag in ("encipher_only", "decipher_only") and not usage.key_agreement:
        return False
    return getattr(usage, flag)


def format_usages(flags: frozenset[str], extended: frozenset[str]) -> list[str]:
    words = [flag.replace("_", " ") for flag in KEY_USAGE_FLAGS if flag in flags]
    return words + [_EXTENDED_KEY_USAGE_WORDS.get(oid, oid) for oid in sorted(extended)]


def differences(
    certificate: x509.Certificate, spec: CertificateSpec, issuer: Issuer, now: datetime, renew_before: timedelta
) -> list[str]:
    """Everything in which a certificate is not what is asked for, in words; empty: it may stay."""
    return [
        *_subject_differences(certificate, spec),
        *_name_differences(certificate, spec),
        *_usage_differences(certificate, spec),
        *_extension_differences(certificate, spec),
        *_issuer_differences(certificate, issuer),
        *_validity_differences(certificate, spec, issuer),
        *expiry(certificate, issuer, now, renew_before),
    ]


def _subject_differences(certificate: x509.Certificate, spec: CertificateSpec) -> list[str]:
    if sorted(subject_of(certificate.subject)) == sorted(spec.subject.attributes):
        return []
    return [f"subject is {format_subject(certificate.subject)}, asked is {spec.subject or '(empty)'}"]


def _name_differences(certificate: x509.Certificate, spec: CertificateSpec) -> list[str]:
    current = names_of(certificate)
    reasons = []
    if spec.names - current:
        reasons.append(f"names to add: {', '.join(sorted(map(format_name, spec.names - current)))}")
    if current - spec.names:
        reasons.append(f"names no longer asked for: {', '.join(sorted(map(format_name, current - spec.names)))}")
    return reasons


def _usage_differences(certificate: x509.Certificate, spec: CertificateSpec) -> list[str]:
    current = usages_of(certificate)
    asked = (spec.key_usages, spec.extended_key_usages)
    key_type = key_type_of(certificate.public_key())
    if key_type is None or key_type.type != spec.key.type:
        # Another type of key is a reason of its own, and these usages only follow from it.
        depending = frozenset().union(*UNFIT_USAGES.values())
        current, asked = (current[0] - depending, current[1]), (asked[0] - depending, asked[1])
    if current == asked:
        return []
    return [
        f"usages are {', '.join(format_usages(*current)) or 'none'}, asked are {', '.join(format_usages(*asked)) or 'none'}"
    ]


def _extension_differences(certificate: x509.Certificate, spec: CertificateSpec) -> list[str]:
    reasons = []
    present = {extension.oid: extension for extension in certificate.extensions}
    constraints = present.get(ExtensionOID.BASIC_CONSTRAINTS)
    if constraints is None or constraints.value.ca != spec.is_ca:
        reasons.append(
            "basic constraints are missing"
            if constraints is None
            else "it is a CA"
            if constraints.value.ca
            else "it is no CA"
        )
    if ExtensionOID.SUBJECT_KEY_IDENTIFIER not in present:
        reasons.append("the subject key identifier is missing")
    critical = {ExtensionOID.BASIC_CONSTRAINTS: True, ExtensionOID.KEY_USAGE: True}
    critical[ExtensionOID.SUBJECT_ALTERNATIVE_NAME] = not spec.subject.attributes
    for oid, extension in present.items():
        if oid not in _COMPARED_EXTENSIONS:
            reasons.append(f"carries an extension that was not asked for ({oid.dotted_string})")
        elif extension.critical != critical.get(oid, False):
            reasons.append(f"the extension {oid.dotted_string} is {'' if extension.critical else 'not '}critical")
    return reasons


def _issuer_differences(certificate: x509.Certificate, issuer: Issuer) -> list[str]:
    if issuer.public_key is None:
        return [f"its issuer {issuer.name} is replaced"]
    if certificate.issuer != issuer.subject:
        return [
            f"issued by {format_subject(certificate.issuer)}, asked is {issuer.name} ({format_subject(issuer.subject)})"
        ]
    if not signed_by(certificate, issuer.public_key):
        return [f"signed with another key than that of {issuer.name}"]
    # Compared as a whole: other tools add the issuer's name and serial number, which its next certificate no longer has.
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        identifier = None
    if identifier != x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None):
        return [f"the authority key identifier is not that of {issuer.name}"]
    if not isinstance(certificate.signature_hash_algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)):
        return [f"signed with {getattr(certificate.signature_hash_algorithm, 'name', 'no hash')}"]
    return []


def _tolerance(validity: timedelta) -> timedelta:
    return min(timedelta(days=1), validity / 100) + 2 * BACKDATE


def _validity_differences(certificate: x509.Certificate, spec: CertificateSpec, issuer: Issuer) -> list[str]:
    """The rule, not the date: a lifetime that was asked for when it was issued, or what the issuer left of it."""
    not_after = certificate.not_valid_after_utc
    reasons = []
    if not_after > issuer.not_after:
        reasons.append(f"outlives its issuer {issuer.name}")
    asked = min(certificate.not_valid_before_utc + spec.validity, issuer.not_after)
    if abs(not_after - asked) > _tolerance(spec.validity):
        lifetime = not_after - certificate.not_valid_before_utc
        reasons.append(f"lasts {format_duration(lifetime)}, asked is {format_duration(spec.validity)}")
    return reasons


def limited_by_issuer(spec: CertificateSpec, issuer: Issuer | None, not_before: datetime, not_after: datetime) -> bool:
    """Whether the issuer's end cut off a noticeable part of the asked lifetime."""
    return (
        issuer is not None
        and not_after == issuer.not_after
        and not_before + spec.validity - not_after > _tolerance(spec.validity)
    )


def expiry(certificate: x509.Certificate, issuer: Issuer | None, now: datetime, renew_before: timedelta) -> list[str]:
    not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= not_after:
        return [f"expired on {format_time(not_after)}"]
    if now < not_before:
        return [f"not valid before {format_time(not_before)}"]
    # Where the issuer ends at the same time, a new one would last no longer: that is for the issuer's rotation.
    if issuer is not None and not_after >= issuer.not_after:
        return []
    if now >= not_after - min(renew_before, (not_after - not_before) / 3):
        return [f"expires on {format_time(not_after)}, in {format_duration(not_after - now)}"]
    return []


def format_time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(duration: timedelta) -> str:
    if duration >= timedelta(days=2):
        return f"{duration.days} days"
    hours, rest = divmod(int(duration.total_seconds()), 3600)
    return f"{hours} h" if hours else f"{rest // 60} min"


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def describe(certificate: x509.Certificate, now: datetime) -> dict[str, t.Any]:
    """A certificate as the module's result shows it."""
    return {
        "subject": format_subject(certificate.subject),
        "names": sorted(map(format_name, names_of(certificate))),
        "usages": format_usages(*usages_of(certificate)),
        "issuer": format_subject(certificate.issuer),
        "key": str(key_type_of(certificate.public_key()) or "unknown"),
        "serial": f"{certificate.serial_number:x}",
        "not_before": format_time(certificate.not_valid_before_utc),
        "not_after": format_time(certificate.not_valid_after_utc),
        "days_left": (certificate.not_valid_after_utc - now).days,
        "fingerprint": fingerprint(certificate),
    }


def describe_planned(spec: CertificateSpec, issuer: Issuer | None, now: datetime) -> dict[str, t.Any]:
    """The same of a certificate that a run would issue: what only issuing tells is null."""
    not_before, not_after = validity_period(spec, issuer, now)
    return {
        "subject": str(spec.subject) or "(empty)",
        "names": sorted(map(format_name, spec.names)),
        "usages": format_usages(spec.key_usages, spec.extended_key_usages),
        "issuer": format_subject(issuer.subject) if issuer is not None else str(spec.subject),
        "key": str(spec.key),
        "serial": None,
        "not_before": format_time(not_before),
        "not_after": format_time(not_after),
        "days_left": (not_after - now).days,
        "fingerprint": None,
    }
