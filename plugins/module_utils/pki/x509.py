# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates as RFC 5280 has them: making and reading them. No files here."""

from __future__ import annotations

import dataclasses
import ipaddress
import multiprocessing
import os
import signal
import traceback
import typing as t
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    SUBJECT_FIELDS,
    CertificateSpec,
    KeyType,
    Subject,
)

CRYPTOGRAPHY_IMPORT_ERROR: str | None = None
try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.x509.oid import ExtensionOID
except ImportError:
    CRYPTOGRAPHY_IMPORT_ERROR = traceback.format_exc()
else:
    _CURVES: dict[int, t.Any] = {256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}
    # FIPS 186-5: a hash as strong as the key.
    _CURVE_HASHES: dict[int, t.Any] = {256: hashes.SHA256, 384: hashes.SHA384, 521: hashes.SHA512}

if t.TYPE_CHECKING:
    Certificate = x509.Certificate
    PrivateKey = t.Union[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey]
# What a certificate holds may be a key of any kind.
PublicKey = t.Any

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


class Unreadable(HardwayError):
    """Bytes that are no certificate or no key; the message says why."""


class Locked(Unreadable):
    """A key that the passphrase, if there is one, does not open."""


@dataclasses.dataclass(frozen=True)
class Issuer:
    """What a certificate shows of the CA that signs it; no public key yet: the CA is still to be made."""

    name: str
    subject: x509.Name
    public_key: PublicKey | None
    key_identifier: bytes | None
    not_before: datetime
    not_after: datetime
    below: int | None = None  # how many CAs may follow, one below the other; None: any number

    @classmethod
    def of(cls, name: str, certificate: Certificate, above: Issuer | None = None) -> Issuer:
        return cls(
            name,
            certificate.subject,
            certificate.public_key(),
            subject_key_identifier(certificate)
            or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            _cas_below(path_length(certificate), above),
        )


@dataclasses.dataclass(frozen=True)
class Job:
    """A certificate to be issued; without a key one is made for it."""

    spec: CertificateSpec
    key: PrivateKey | None
    issuer: Issuer
    issuer_key: PrivateKey


def load_certificate(data: bytes) -> Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(data)
        # Parsed here, so that a malformed one is known at once.
        list(certificate.extensions)
        list(certificate.subject)
        return certificate
    except ValueError as error:
        raise Unreadable(f"is no certificate that can be read ({_first_line(error)})") from error


def load_chain(data: bytes) -> list[Certificate] | None:
    """All certificates of a file; None where one of them cannot be read."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        return None


def load_key(data: bytes) -> PrivateKey:
    return open_key(data, [])[0]


def open_key(data: bytes, passphrases: Sequence[str | None]) -> tuple[PrivateKey, str | None]:
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


def _try_key(data: bytes, passphrase: str | None) -> t.Any:
    """None: it is locked, and another passphrase is needed."""
    try:
        # Keys of our own directory: validating the primes of an RSA key again costs milliseconds each.
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


def key_type_of(public_key: PublicKey) -> KeyType | None:
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size >= 2048:
        return KeyType("rsa", public_key.key_size)
    if isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(public_key.curve, tuple(_CURVES.values())):
        return KeyType("ecdsa", public_key.curve.key_size)
    return None


T = t.TypeVar("T")
R = t.TypeVar("R")

# Work for other processes is inherited, for a fork copies what pickling cannot.
_inherited: list[tuple[int, Callable[[t.Any], t.Any], t.Any]] = []


def generate_keys(types: list[KeyType]) -> list[PrivateKey]:
    """Make keys, on all cores where that is worth it."""
    several = sum(1 for key_type in types if key_type.type == "rsa")
    return [_load_der(der) for der in _on_all_cores(_generate_der, types, several)]


def issue_all(jobs: list[Job], now: datetime) -> list[tuple[PrivateKey, Certificate]]:
    """The key and the certificate of each, made on all cores where that is worth it."""
    several = sum(1 for job in jobs if job.key is None and job.spec.key.type == "rsa") or len(jobs) // 100
    made = _on_all_cores(_issue_der, [(job, now) for job in jobs], several)
    return [
        (
            _load_der(key) if key is not None else t.cast("PrivateKey", job.key),
            x509.load_der_x509_certificate(certificate),
        )
        for job, (key, certificate) in zip(jobs, made)
    ]


def _on_all_cores(function: Callable[[T], R], work: Sequence[T], several: int) -> list[R]:
    """In processes: the library holds the interpreter's lock for as long as a key or a signature takes."""
    workers = min(len(os.sched_getaffinity(0)), several)
    if workers > 1:
        _inherited[:] = [(os.getpid(), function, item) for item in work]
        try:
            return _in_processes(workers, len(work))
        except OSError:
            pass  # no shared memory, no processes: one core does it too
        finally:
            _inherited.clear()
    return [function(item) for item in work]


def _in_processes(workers: int, count: int) -> list[t.Any]:
    pool = multiprocessing.get_context("fork").Pool(workers, initializer=_end_by_signals)
    try:
        made = pool.map(_do_inherited, range(count))
        # Not by a signal, as at the end of `with`: one that has only just begun still has the handlers of the process that it is a copy of.
        pool.close()
    except BaseException:
        pool.terminate()
        raise
    finally:
        pool.join()
    return made


def _end_by_signals() -> None:
    """In a process for work: Ansible's workers, of which it may be a copy, hand a signal on to all of their processes."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _do_inherited(number: int) -> t.Any:
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


def _load_der(der: bytes) -> t.Any:
    return serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)


def _issue_der(work: tuple[Job, datetime]) -> tuple[bytes | None, bytes]:
    job, now = work
    made = _generate_der(job.spec.key) if job.key is None else None
    key = t.cast("PrivateKey", job.key) if made is None else _load_der(made)
    return made, issue(job.spec, key, job.issuer, job.issuer_key, now).public_bytes(serialization.Encoding.DER)


def key_pem(key: PrivateKey, passphrase: str | None = None) -> bytes:
    """As cfssl and the documents have it: BEGIN RSA PRIVATE KEY, BEGIN EC PRIVATE KEY; PKCS #8 where there is a passphrase."""
    if passphrase is None:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate: Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def same_public_key(first: PublicKey, second: PublicKey) -> bool:
    return first == second


def subject_key_identifier(certificate: Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate: Certificate) -> bool:
    """RFC 5280, 6.1.4 (k) and (n): cA is true, and keyUsage, where there is one, has keyCertSign."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound as missing:
        return missing.oid == ExtensionOID.KEY_USAGE


def is_root(certificate: Certificate) -> bool:
    return certificate.subject == certificate.issuer and signed_by(certificate, certificate.public_key())


def path_length(certificate: Certificate) -> int | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return None


def signed_by(certificate: Certificate, public_key: PublicKey) -> bool:
    """Whether the signature is that of the key; names are not looked at."""
    try:
        algorithm: t.Any = certificate.signature_hash_algorithm
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


def _cas_below(own: int | None, above: Issuer | None) -> int | None:
    """RFC 5280, 6.1.4 (l) and (m): each CA takes one of what is left, and may itself leave less."""
    left = above.below - 1 if above is not None and above.below is not None else None
    return min((length for length in (own, left) if length is not None), default=None)


def x509_name(subject: Subject) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(x509.ObjectIdentifier(SUBJECT_FIELDS[name]), value) for name, value in subject.attributes]
    )


def planned_issuer(spec: CertificateSpec, key: PrivateKey | None, above: Issuer | None, now: datetime) -> Issuer:
    """How a CA that is still to be made will look to those that it signs."""
    not_before, not_after = validity_period(spec, above, now)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest if key is not None else None
    public_key = key.public_key() if key is not None else None
    below = _cas_below(spec.path_length, above)
    return Issuer(spec.name, x509_name(spec.subject), public_key, identifier, not_before, not_after, below)


def validity_period(spec: CertificateSpec, issuer: Issuer | None, now: datetime) -> tuple[datetime, datetime]:
    """A little back, and never beyond the issuer's."""
    now = now.replace(microsecond=0)
    not_before, not_after = now - BACKDATE, now + spec.validity
    if issuer is not None:
        not_before, not_after = max(not_before, issuer.not_before), min(not_after, issuer.not_after)
    return not_before, not_after


def issue(
    spec: CertificateSpec, key: PrivateKey, issuer: Issuer | None, issuer_key: PrivateKey | None, now: datetime
) -> Certificate:
    """Sign a certificate; without an issuer it is signed with its own key."""
    public_key = key.public_key()
    not_before, not_after = validity_period(spec, issuer, now)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509_name(spec.subject))
        .issuer_name(issuer.subject if issuer is not None else x509_name(spec.subject))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    authority_identifier = issuer.key_identifier if issuer is not None else identifier.digest
    extensions = [
        *_extensions(spec),
        (identifier, False),
        (x509.AuthorityKeyIdentifier(authority_identifier, None, None), False),
    ]
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    signer = issuer_key if issuer is not None else key
    if signer is None:
        raise AssertionError
    return builder.sign(signer, _hash_for(signer.public_key()))


def _hash_for(public_key: PublicKey) -> t.Any:
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _CURVE_HASHES[public_key.curve.key_size]()
    return hashes.SHA256()


def _extensions(spec: CertificateSpec) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(spec.is_ca, spec.path_length if spec.is_ca else None), True)
    ]
    if spec.key_usages:
        extensions.append((x509.KeyUsage(**{flag: flag in spec.key_usages for flag in KEY_USAGE_FLAGS}), True))
    if spec.extended_key_usages:
        extensions.append(
            (x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in sorted(spec.extended_key_usages)]), False)
        )
    if spec.names:
        # RFC 5280, 4.2.1.6: critical where the subject is empty.
        extensions.append(
            (
                x509.SubjectAlternativeName([_general_name(name) for name in sorted(spec.names)]),
                not spec.subject.attributes,
            )
        )
    return extensions


def _general_name(name: tuple[str, str]) -> x509.GeneralName:
    kind, value = name
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    kinds: dict[str, t.Any] = {"DNS": x509.DNSName, "URI": x509.UniformResourceIdentifier, "email": x509.RFC822Name}
    return t.cast("x509.GeneralName", kinds[kind](value))
