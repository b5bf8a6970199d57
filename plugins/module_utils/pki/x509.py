# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates as RFC 5280 has them: making, reading, comparing and describing them. No files here."""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    EXTENDED_KEY_USAGES,
    UNFIT_USAGES,
    KeyType,
    Subject,
    Wanted,
    format_name,
)

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import ExtensionOID, NameOID
except ImportError:
    CRYPTOGRAPHY_IMPORT_ERROR = traceback.format_exc()
else:
    CRYPTOGRAPHY_IMPORT_ERROR = None
    _SUBJECT_OIDS = {
        "C": NameOID.COUNTRY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "CN": NameOID.COMMON_NAME,
    }
    _SUBJECT_FIELDS = {oid: name for name, oid in _SUBJECT_OIDS.items()}
    _CURVES = {256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}
    # FIPS 186-5: a hash as strong as the key.
    _CURVE_HASHES = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}
    _COMPARED_EXTENSIONS = {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    }

# Clocks of hosts differ a little; a certificate must be valid on the slowest at once.
BACKDATE = timedelta(minutes=5)
KEY_USAGE_FLAGS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_EXTENDED_KEY_USAGE_WORDS = {oid: word for word, oid in reversed(list(EXTENDED_KEY_USAGES.items()))}


class Unreadable(HardwayError):
    """Bytes that are no certificate or no key; the message says why."""


class Locked(Unreadable):
    """A key that the passphrase, if there is one, does not open."""


@dataclass(frozen=True)
class Issuer:
    """What a certificate shows of the authority that signs it; no public key yet: the authority is still to be made."""

    name: str
    subject: object
    public_key: object | None
    key_identifier: bytes | None
    not_before: datetime
    not_after: datetime
    below: int | None = None  # how many authorities may follow, one below the other; None: any number

    @classmethod
    def of(cls, name: str, certificate, above: Issuer | None = None) -> Issuer:
        return cls(
            name,
            certificate.subject,
            certificate.public_key(),
            subject_key_identifier(certificate)
            or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            _authorities_below(path_length(certificate), above),
        )


@dataclass(frozen=True)
class Job:
    """A certificate to be issued; without a key one is made for it."""

    wanted: Wanted
    key: object | None
    issuer: Issuer
    issuer_key: object


def load_certificate(data: bytes):
    try:
        certificate = x509.load_pem_x509_certificate(data)
        certificate.extensions  # pylint: disable=pointless-statement  # parsed here, so that a malformed one is known at once
        certificate.subject  # pylint: disable=pointless-statement
        return certificate
    except ValueError as error:
        raise Unreadable(f"is no certificate that can be read ({_first_line(error)})") from error


def load_chain(data: bytes) -> list | None:
    """All certificates of a file; None where one of them cannot be read."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        return None


def load_key(data: bytes):
    return open_key(data, [])[0]


def open_key(data: bytes, passphrases: Sequence[str | None]) -> tuple[object, str | None]:
    """The key, and which of the passphrases opens it: None where it stands in the clear."""
    key, opened_by = _try_key(data, None), None
    given = [passphrase for passphrase in passphrases if passphrase is not None]
    for passphrase in given:
        if key is None:
            key, opened_by = _try_key(data, passphrase), passphrase
    if key is None:
        raise Locked(
            "cannot be opened with the passphrase given" if given else "is a key with a passphrase, and none was given"
        )
    if key_type_of(key.public_key()) is None:
        raise Unreadable("is a key of an unknown type; there are RSA from 2048 bits and ECDSA P-256, P-384 and P-521")
    return key, opened_by


def _try_key(data: bytes, passphrase: str | None):
    """None: it is locked, and another passphrase is needed."""
    try:
        # Keys of our own directory: validating the primes of an RSA key anew costs milliseconds each.
        return serialization.load_pem_private_key(
            data, passphrase.encode() if passphrase is not None else None, unsafe_skip_rsa_key_validation=True
        )
    except TypeError:
        return None
    except Exception as error:  # pylint: disable=broad-exception-caught  # ValueError, UnsupportedAlgorithm and others, by version
        if passphrase is not None and isinstance(error, ValueError):
            return None
        raise Unreadable(f"is no private key that can be read ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def key_type_of(public_key) -> KeyType | None:
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size >= 2048:
        return KeyType("rsa", public_key.key_size)
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, tuple(_CURVES.values())):
        return KeyType("ecdsa", public_key.curve.key_size)
    return None


# Work for other processes is inherited, for a fork copies what pickling cannot.
_inherited: list = []


def generate_keys(types: list[KeyType]) -> list:
    """Make keys, on all cores where that is worth it."""
    several = sum(1 for key_type in types if key_type.type == "rsa")
    return [_load_der(der) for der in _on_all_cores(_generate_der, types, several)]


def issue_all(jobs: list[Job], now: datetime) -> list[tuple[object, object]]:
    """The key and the certificate of each, made on all cores where that is worth it."""
    several = sum(1 for job in jobs if job.key is None and job.wanted.key.type == "rsa") or len(jobs) // 100
    made = _on_all_cores(_issue_der, [(job, now) for job in jobs], several)
    return [
        (_load_der(key) if key is not None else job.key, x509.load_der_x509_certificate(certificate))
        for job, (key, certificate) in zip(jobs, made)
    ]


def _on_all_cores(function, work: list, several: int) -> list:
    """In processes: the library holds the interpreter's lock for as long as a key or a signature takes."""
    workers = min(len(os.sched_getaffinity(0)), several)
    if workers > 1:
        _inherited[:] = [(os.getpid(), function, item) for item in work]
        try:
            with multiprocessing.get_context("fork").Pool(workers) as pool:
                return pool.map(_do_inherited, range(len(work)))
        except OSError:
            pass  # no shared memory, no processes: one core does it too
        finally:
            _inherited.clear()
    return [function(item) for item in work]


def _do_inherited(number: int):
    parent, function, item = _inherited[number]
    made = function(item)
    if os.getppid() != parent:
        os._exit(1)  # It was killed: nobody takes this, and its lock, which came with the fork, is to end too.
    return made


def _generate_der(key_type: KeyType) -> bytes:
    key = (
        rsa.generate_private_key(65537, key_type.size)
        if key_type.type == "rsa"
        else ec.generate_private_key(_CURVES[key_type.size]())
    )
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_der(der: bytes):
    return serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)


def _issue_der(work: tuple[Job, datetime]) -> tuple[bytes | None, bytes]:
    job, now = work
    made = _generate_der(job.wanted.key) if job.key is None else None
    key = job.key if made is None else _load_der(made)
    return made, issue(job.wanted, key, job.issuer, job.issuer_key, now).public_bytes(serialization.Encoding.DER)


def key_pem(key, passphrase: str | None = None) -> bytes:
    """As cfssl and the documents have it: BEGIN RSA PRIVATE KEY, BEGIN EC PRIVATE KEY; PKCS #8 where there is a passphrase."""
    if passphrase is None:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def same_public_key(first, second) -> bool:
    return first == second


def subject_key_identifier(certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate) -> bool:
    """RFC 5280, 6.1.4 (k) and (n): cA is true, and keyUsage, where there is one, has keyCertSign."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == ExtensionOID.KEY_USAGE


def is_root(certificate) -> bool:
    return certificate.subject == certificate.issuer and signed_by(certificate, certificate.public_key())


def path_length(certificate) -> int | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return None


def _authorities_below(own: int | None, above: Issuer | None) -> int | None:
    """RFC 5280, 6.1.4 (l) and (m): each authority takes one of what is left, and may itself leave less."""
    left = above.below - 1 if above is not None and above.below is not None else None
    return min((length for length in (own, left) if length is not None), default=None)


def x509_name(subject: Subject):
    return x509.Name([x509.NameAttribute(_SUBJECT_OIDS[name], value) for name, value in subject.attributes])


def planned_issuer(wanted: Wanted, key, above: Issuer | None, now: datetime) -> Issuer:
    """How an authority that is still to be made will look to those that it signs."""
    not_before, not_after = validity_period(wanted, above, now)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest if key is not None else None
    public_key = key.public_key() if key is not None else None
    below = _authorities_below(wanted.path_length, above)
    return Issuer(wanted.name, x509_name(wanted.subject), public_key, identifier, not_before, not_after, below)


def validity_period(wanted: Wanted, issuer: Issuer | None, now: datetime) -> tuple[datetime, datetime]:
    """A little back, and never beyond the issuer's."""
    now = now.replace(microsecond=0)
    not_before, not_after = now - BACKDATE, now + wanted.validity
    if issuer is not None:
        not_before, not_after = max(not_before, issuer.not_before), min(not_after, issuer.not_after)
    return not_before, not_after


def issue(wanted: Wanted, key, issuer: Issuer | None, issuer_key, now: datetime):
    """Sign a certificate; without an issuer it is signed with its own key."""
    public_key = key.public_key()
    not_before, not_after = validity_period(wanted, issuer, now)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509_name(wanted.subject))
        .issuer_name(issuer.subject if issuer is not None else x509_name(wanted.subject))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    authority_identifier = issuer.key_identifier if issuer is not None else identifier.digest
    extensions = [
        *_extensions(wanted),
        (identifier, False),
        (x509.AuthorityKeyIdentifier(authority_identifier, None, None), False),
    ]
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(
        issuer_key if issuer is not None else key, _hash_for((issuer_key if issuer is not None else key).public_key())
    )


def _hash_for(public_key):
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _CURVE_HASHES[public_key.curve.key_size]()
    return hashes.SHA256()


def _extensions(wanted: Wanted) -> list:
    extensions = [
        (x509.BasicConstraints(wanted.is_authority, wanted.path_length if wanted.is_authority else None), True)
    ]
    if wanted.key_usages:
        extensions.append((x509.KeyUsage(**{flag: flag in wanted.key_usages for flag in KEY_USAGE_FLAGS}), True))
    if wanted.extended_key_usages:
        extensions.append(
            (x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in sorted(wanted.extended_key_usages)]), False)
        )
    if wanted.names:
        # RFC 5280, 4.2.1.6: critical where the subject is empty.
        extensions.append(
            (
                x509.SubjectAlternativeName([_general_name(name) for name in sorted(wanted.names)]),
                not wanted.subject.attributes,
            )
        )
    return extensions


def _general_name(name: tuple[str, str]):
    kind, value = name
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    return {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier, "email": x509.RFC822Name}[kind](value)


def subject_of(name) -> list[tuple[str, str]]:
    return [
        (_SUBJECT_FIELDS.get(attribute.oid, attribute.oid.dotted_string), str(attribute.value)) for attribute in name
    ]


def format_subject(name) -> str:
    return ", ".join(f"{field}={value}" for field, value in subject_of(name)) or "(empty)"


def names_of(certificate) -> frozenset[tuple[str, str]]:
    try:
        general_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(_classified(name) for name in general_names)


def _classified(name) -> tuple[str, str]:
    if isinstance(name, x509.IPAddress):
        return ("IP", str(name.value))
    if isinstance(name, x509.DNSName):
        return ("DNS", name.value.lower())
    if isinstance(name, x509.UniformResourceIdentifier):
        return ("URI", name.value)
    if isinstance(name, x509.RFC822Name):
        return ("email", name.value)
    return (type(name).__name__, str(name.value))


def usages_of(certificate) -> tuple[frozenset[str], frozenset[str]]:
    flags, extended = frozenset(), frozenset()
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.KEY_USAGE:
            flags = frozenset(flag for flag in KEY_USAGE_FLAGS if _has_flag(extension.value, flag))
        elif extension.oid == ExtensionOID.EXTENDED_KEY_USAGE:
            extended = frozenset(usage.dotted_string for usage in extension.value)
    return flags, extended


def _has_flag(usage, flag: str) -> bool:
    # The library refuses to read these two without key agreement, where they mean nothing.
    if flag in ("encipher_only", "decipher_only") and not usage.key_agreement:
        return False
    return getattr(usage, flag)


def format_usages(flags: frozenset[str], extended: frozenset[str]) -> list[str]:
    words = [flag.replace("_", " ") for flag in KEY_USAGE_FLAGS if flag in flags]
    return words + [_EXTENDED_KEY_USAGE_WORDS.get(oid, oid) for oid in sorted(extended)]


def signed_by(certificate, public_key) -> bool:
    """Whether the signature is that of the key; names are not looked at."""
    try:
        algorithm = certificate.signature_hash_algorithm
        if isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
        else:
            public_key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(algorithm))
        return True
    except Exception as error:  # pylint: disable=broad-exception-caught
        # A signature of another algorithm than the key's raises what its parser raises.
        if (
            isinstance(error, (InvalidSignature, ValueError, TypeError, AttributeError))
            or type(error).__name__ == "UnsupportedAlgorithm"
        ):
            return False
        raise


def differences(certificate, wanted: Wanted, issuer: Issuer, now: datetime, renew_before: timedelta) -> list[str]:
    """Everything in which a certificate is not what is asked for, in words; empty: it may stay."""
    return [
        *_subject_differences(certificate, wanted),
        *_name_differences(certificate, wanted),
        *_usage_differences(certificate, wanted),
        *_extension_differences(certificate, wanted),
        *_issuer_differences(certificate, issuer),
        *_validity_differences(certificate, wanted, issuer),
        *expiry(certificate, issuer, now, renew_before),
    ]


def _subject_differences(certificate, wanted: Wanted) -> list[str]:
    if sorted(subject_of(certificate.subject)) == sorted(wanted.subject.attributes):
        return []
    return [f"subject is {format_subject(certificate.subject)}, asked is {wanted.subject or '(empty)'}"]


def _name_differences(certificate, wanted: Wanted) -> list[str]:
    standing = names_of(certificate)
    reasons = []
    if wanted.names - standing:
        reasons.append(f"names to add: {', '.join(sorted(map(format_name, wanted.names - standing)))}")
    if standing - wanted.names:
        reasons.append(f"names no longer asked for: {', '.join(sorted(map(format_name, standing - wanted.names)))}")
    return reasons


def _usage_differences(certificate, wanted: Wanted) -> list[str]:
    standing = usages_of(certificate)
    asked = (wanted.key_usages, wanted.extended_key_usages)
    key_type = key_type_of(certificate.public_key())
    if key_type is None or key_type.type != wanted.key.type:
        # Another type of key is a reason of its own, and these usages only follow from it.
        depending = frozenset().union(*UNFIT_USAGES.values())
        standing, asked = (standing[0] - depending, standing[1]), (asked[0] - depending, asked[1])
    if standing == asked:
        return []
    return [
        f"usages are {', '.join(format_usages(*standing)) or 'none'}, asked are {', '.join(format_usages(*asked)) or 'none'}"
    ]


def _extension_differences(certificate, wanted: Wanted) -> list[str]:
    reasons = []
    present = {extension.oid: extension for extension in certificate.extensions}
    constraints = present.get(ExtensionOID.BASIC_CONSTRAINTS)
    if constraints is None or constraints.value.ca != wanted.is_authority:
        reasons.append(
            "basic constraints are missing"
            if constraints is None
            else "it is an authority"
            if constraints.value.ca
            else "it is no authority"
        )
    if ExtensionOID.SUBJECT_KEY_IDENTIFIER not in present:
        reasons.append("the subject key identifier is missing")
    critical = {ExtensionOID.BASIC_CONSTRAINTS: True, ExtensionOID.KEY_USAGE: True}
    critical[ExtensionOID.SUBJECT_ALTERNATIVE_NAME] = not wanted.subject.attributes
    for oid, extension in present.items():
        if oid not in _COMPARED_EXTENSIONS:
            reasons.append(f"carries an extension that was not asked for ({oid.dotted_string})")
        elif extension.critical != critical.get(oid, False):
            reasons.append(f"the extension {oid.dotted_string} is {'' if extension.critical else 'not '}critical")
    return reasons


def _issuer_differences(certificate, issuer: Issuer) -> list[str]:
    if issuer.public_key is None:
        return [f"its issuer {issuer.name} is made anew"]
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
        return [f"signed with {certificate.signature_hash_algorithm.name}"]
    return []


def _tolerance(validity: timedelta) -> timedelta:
    return min(timedelta(days=1), validity / 100) + 2 * BACKDATE


def _validity_differences(certificate, wanted: Wanted, issuer: Issuer) -> list[str]:
    """The rule, not the date: a lifetime that was asked for when it was issued, or what the issuer left of it."""
    not_after = certificate.not_valid_after_utc
    reasons = []
    if not_after > issuer.not_after:
        reasons.append(f"outlives its issuer {issuer.name}")
    asked = min(certificate.not_valid_before_utc + wanted.validity, issuer.not_after)
    if abs(not_after - asked) > _tolerance(wanted.validity):
        lifetime = not_after - certificate.not_valid_before_utc
        reasons.append(f"lasts {format_duration(lifetime)}, asked is {format_duration(wanted.validity)}")
    return reasons


def capped(wanted: Wanted, issuer: Issuer | None, not_before: datetime, not_after: datetime) -> bool:
    """Whether the issuer's end cut off a noticeable part of the asked lifetime."""
    return (
        issuer is not None
        and not_after == issuer.not_after
        and not_before + wanted.validity - not_after > _tolerance(wanted.validity)
    )


def expiry(certificate, issuer: Issuer | None, now: datetime, renew_before: timedelta) -> list[str]:
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


def fingerprint(certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def describe(certificate, now: datetime) -> dict:
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


def describe_planned(wanted: Wanted, issuer: Issuer | None, now: datetime) -> dict:
    """The same of a certificate that a run would issue: what only issuing tells is null."""
    not_before, not_after = validity_period(wanted, issuer, now)
    return {
        "subject": str(wanted.subject) or "(empty)",
        "names": sorted(map(format_name, wanted.names)),
        "usages": format_usages(wanted.key_usages, wanted.extended_key_usages),
        "issuer": format_subject(issuer.subject) if issuer is not None else str(wanted.subject),
        "key": str(wanted.key),
        "serial": None,
        "not_before": format_time(not_before),
        "not_after": format_time(not_after),
        "days_left": (not_after - now).days,
        "fingerprint": None,
    }
