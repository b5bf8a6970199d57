# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate as a list of fields, each a text that two certificates can be compared by, and the differences that are on purpose."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID as OID

SUBJECT_FIELDS = {"2.5.4.6": "C", "2.5.4.8": "ST", "2.5.4.7": "L", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.3": "CN"}
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
KNOWN_EXTENSIONS = (
    OID.BASIC_CONSTRAINTS,
    OID.KEY_USAGE,
    OID.EXTENDED_KEY_USAGE,
    OID.SUBJECT_ALTERNATIVE_NAME,
    OID.SUBJECT_KEY_IDENTIFIER,
    OID.AUTHORITY_KEY_IDENTIFIER,
)


@dataclass(frozen=True)
class Certificate:
    """One certificate, its authority, and when it was asked for."""

    own: x509.Certificate
    authority: x509.Certificate
    asked_at: datetime

    @classmethod
    def read(cls, directory: Path, name: str, asked_at: datetime) -> Certificate:
        own, authority = (
            x509.load_pem_x509_certificate((directory / f"{file}.pem").read_bytes()) for file in (name, "ca")
        )
        return cls(own, authority, asked_at)

    @cached_property
    def extensions(self) -> dict:
        return {extension.oid: extension for extension in self.own.extensions}

    @property
    def lifetime(self) -> timedelta:
        return self.own.not_valid_after_utc - self.own.not_valid_before_utc

    @property
    def names(self) -> list[str]:
        extension = self.extensions.get(OID.SUBJECT_ALTERNATIVE_NAME)
        return [f"{type(name).__name__}:{name.value}" for name in extension.value] if extension else []

    @property
    def key_usages(self) -> list[str]:
        extension = self.extensions.get(OID.KEY_USAGE)
        return [usage for usage in KEY_USAGES if getattr(extension.value, usage)] if extension else []

    @cached_property
    def fields(self) -> dict[str, str]:
        return {name: read(self) for name, read in FIELDS.items()}


@dataclass(frozen=True)
class Pair:
    """The same request, by cfssl and by the module."""

    cfssl: Certificate
    module: Certificate


@dataclass(frozen=True)
class Difference:
    """Why a field differs on purpose, and what the two must be for that to be the reason."""

    field: str
    reason: str
    explains: Callable[[Pair], bool]


def _subject(name: x509.Name) -> str:
    """As RFC 4514 has it: a comma between the parts, a plus between the values of one."""
    return ", ".join(
        "+".join(f"{SUBJECT_FIELDS.get(each.oid.dotted_string, each.oid.dotted_string)}={each.value}" for each in part)
        for part in name.rdns
    )


def _string_types(certificate: Certificate) -> str:
    return (
        ", ".join(
            dict.fromkeys(part._type.name for part in certificate.own.subject if part.oid.dotted_string != "2.5.4.6")
        )
        or "none"
    )


def _key(certificate: Certificate) -> str:
    key = certificate.own.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}, exponent {key.public_numbers().e}"
    return f"ECDSA {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _serial(certificate: Certificate) -> str:
    serial = certificate.own.serial_number
    # RFC 5280, 4.1.2.2: positive and at most 20 octets.
    return (
        "positive, 64 to 159 bits"
        if serial > 0 and 64 <= serial.bit_length() <= 159
        else f"{serial.bit_length()} bits, {serial}"
    )


def _not_before(certificate: Certificate) -> str:
    back = certificate.asked_at - certificate.own.not_valid_before_utc
    # cfssl rounds to a minute.
    return (
        "5 minutes back"
        if timedelta(minutes=4, seconds=20) <= back <= timedelta(minutes=5, seconds=40)
        else f"{back} back"
    )


def _lifetime(certificate: Certificate) -> str:
    hours, rest = divmod(certificate.lifetime, timedelta(hours=1))
    return f"{hours} h" + (f" {rest}" if rest else "")


def _critical(certificate: Certificate, oid: x509.ObjectIdentifier, text: str) -> str:
    extension = certificate.extensions.get(oid)
    return "none" if extension is None else f"{text}{', critical' if extension.critical else ''}"


def _constraints(certificate: Certificate) -> str:
    extension = certificate.extensions.get(OID.BASIC_CONSTRAINTS)
    text = f"cA {extension.value.ca}, pathLenConstraint {extension.value.path_length}" if extension else ""
    return _critical(certificate, OID.BASIC_CONSTRAINTS, text)


def _extended(certificate: Certificate) -> str:
    extension = certificate.extensions.get(OID.EXTENDED_KEY_USAGE)
    return _critical(
        certificate,
        OID.EXTENDED_KEY_USAGE,
        ", ".join(sorted(usage._name for usage in extension.value)) if extension else "",
    )


def _key_identifier(certificate: x509.Certificate) -> bytes:
    """RFC 5280, 4.2.1.2, method (1), which both use."""
    if isinstance(certificate.public_key(), rsa.RSAPublicKey):
        return hashlib.sha1(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)).digest()
    return hashlib.sha1(certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()


def _subject_key_identifier(certificate: Certificate) -> str:
    extension = certificate.extensions.get(OID.SUBJECT_KEY_IDENTIFIER)
    right = extension and extension.value.digest == _key_identifier(certificate.own)
    return _critical(certificate, OID.SUBJECT_KEY_IDENTIFIER, "SHA-1 of the key" if right else "another")


def _authority_key_identifier(certificate: Certificate) -> str:
    extension = certificate.extensions.get(OID.AUTHORITY_KEY_IDENTIFIER)
    right = extension and extension.value.key_identifier == _key_identifier(certificate.authority)
    return _critical(certificate, OID.AUTHORITY_KEY_IDENTIFIER, "that of its authority" if right else "another")


FIELDS: dict[str, Callable[[Certificate], str]] = {
    "version": lambda certificate: certificate.own.version.name,
    "serialNumber": _serial,
    "signature": lambda certificate: certificate.own.signature_algorithm_oid._name,
    "issuer": lambda certificate: _subject(certificate.own.issuer),
    "issuer, byte by byte": lambda certificate: str(
        certificate.own.issuer.public_bytes() == certificate.authority.subject.public_bytes()
    ),
    "notBefore": _not_before,
    "lifetime": _lifetime,
    "subject": lambda certificate: _subject(certificate.own.subject),
    "subject, type of strings": _string_types,
    "subjectPublicKeyInfo": _key,
    "basicConstraints": _constraints,
    "keyUsage": lambda certificate: _critical(certificate, OID.KEY_USAGE, ", ".join(certificate.key_usages)),
    "extendedKeyUsage": _extended,
    "subjectAltName": lambda certificate: _critical(
        certificate, OID.SUBJECT_ALTERNATIVE_NAME, " ".join(certificate.names)
    ),
    "subjectKeyIdentifier": _subject_key_identifier,
    "authorityKeyIdentifier": _authority_key_identifier,
    "other extensions": lambda certificate: (
        ", ".join(oid.dotted_string for oid in certificate.extensions if oid not in KNOWN_EXTENSIONS) or "none"
    ),
}


def _unfit(certificate: Certificate) -> str:
    return (
        "key_encipherment" if isinstance(certificate.own.public_key(), ec.EllipticCurvePublicKey) else "key_agreement"
    )


def _spelt(name: str) -> str:
    return name.lower().replace("dnsname:", "DNSName:") if name.startswith("DNSName:") else name


# The one place where differences on purpose are named. docs/01-certificates.md has the same table, and a test compares them.
DIFFERENCES = {
    "end of validity": Difference(
        "lifetime",
        "The lifetime counts from now. cfssl counts it from notBefore, so it ends five minutes earlier.",
        lambda pair: pair.module.lifetime == pair.cfssl.lifetime + timedelta(minutes=5),
    ),
    "never beyond the issuer": Difference(
        "lifetime",
        "A certificate expires with its CA at the latest, because nothing accepts it afterwards. With cfssl it may outlive its CA.",
        lambda pair: (
            pair.cfssl.own.not_valid_after_utc > pair.cfssl.authority.not_valid_after_utc + timedelta(hours=1)
            and pair.module.own.not_valid_after_utc == pair.module.authority.not_valid_after_utc
        ),
    ),
    "strings of the subject": Difference(
        "subject, type of strings",
        "UTF8String everywhere. cfssl uses PrintableString where the letters allow it. RFC 5280 (4.1.2.4) permits both.",
        lambda pair: (
            pair.cfssl.fields["subject, type of strings"] == "PrintableString"
            and pair.module.fields["subject, type of strings"] == "UTF8String"
        ),
    ),
    "key usage fits the key": Difference(
        "keyUsage",
        "No keyEncipherment for an ECDSA key, which cannot encipher (RFC 8813). No keyAgreement for an RSA key (RFC 3279). cfssl writes what the profile says.",
        lambda pair: (
            [usage for usage in pair.cfssl.key_usages if usage != _unfit(pair.module)] == pair.module.key_usages
        ),
    ),
    "each name once": Difference(
        "subjectAltName",
        "Names are a set: each once, DNS names in lower case, in a fixed order. Reordering a file is no reason to reissue. cfssl keeps the file's order.",
        lambda pair: (
            {_spelt(name) for name in pair.cfssl.names} == set(pair.module.names)
            and len(pair.module.names) == len(set(pair.module.names))
        ),
    ),
    "a root names itself": Difference(
        "authorityKeyIdentifier",
        "A root carries its own authority key identifier. RFC 5280 (4.2.1.1) lets roots omit it, as cfssl does.",
        lambda pair: (
            pair.module.own == pair.module.authority
            and pair.cfssl.fields["authorityKeyIdentifier"] == "none"
            and pair.module.fields["authorityKeyIdentifier"] == "that of its authority"
        ),
    ),
    "several values of a field": Difference(
        "subject",
        "Each value is a part of the name. cfssl puts all organizations into one part with several values. Kubernetes reads the same groups from both.",
        lambda pair: (
            sorted(re.split(r", |\+", pair.cfssl.fields["subject"]))
            == sorted(pair.module.fields["subject"].split(", "))
        ),
    ),
    "hash of a large RSA CA": Difference(
        "signature",
        "SHA-256 for every RSA key, as strong as 3072 bits (NIST SP 800-57, 5.6.1). cfssl uses SHA-384 from 3072 bits on, and SHA-512 from 4096 on.",
        lambda pair: (
            isinstance(pair.module.authority.public_key(), rsa.RSAPublicKey)
            and pair.module.authority.public_key().key_size >= 3072
            and pair.module.fields["signature"] == "sha256WithRSAEncryption"
        ),
    ),
}


def differing(pair: Pair) -> dict[str, str]:
    """The fields that differ, each with the name of the difference on purpose; an empty one: there is none."""
    found = {}
    for name in FIELDS:
        if pair.cfssl.fields[name] != pair.module.fields[name]:
            found[name] = next(
                (key for key, listed in DIFFERENCES.items() if listed.field == name and listed.explains(pair)), ""
            )
    return found


def table(title: str, pair: Pair) -> str:
    """All fields of both, one a line; what differs has its reason."""
    lines = [title]
    explained = differing(pair)
    for name in FIELDS:
        lines.append(f"  {name:<25} {pair.cfssl.fields[name]}")
        if name in explained:
            lines.append(f"  {'':<25} {pair.module.fields[name]}   <- the module's: {explained[name] or 'NOT LISTED'}")
    return "\n".join(lines)


def now() -> datetime:
    return datetime.now(timezone.utc)
