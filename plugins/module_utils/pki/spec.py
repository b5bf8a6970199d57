# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a request: what a directory is to hold. Nothing here reads a file or needs a library."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

# In the order of a subject, with their object identifiers.
SUBJECT_FIELDS = {
    "C": "2.5.4.6",
    "ST": "2.5.4.8",
    "L": "2.5.4.7",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "CN": "2.5.4.3",
}
# cfssl's words (config.KeyUsage and config.ExtKeyUsage of github.com/cloudflare/cfssl) and what RFC 5280 calls them.
KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
# RFC 5280, 4.2.1.3: keyCertSign needs cA, and here cA is what `cas` are for.
CA_USAGES = ("cert sign", "crl sign")
EXTENDED_KEY_USAGES = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "email protection": "1.3.6.1.5.5.7.3.4",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5",
    "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}
# What the other type of key has no use for. RFC 5480 and RFC 8813: an elliptic curve key enciphers nothing;
# RFC 3279, 2.3.1: an RSA key agrees on nothing.
UNFIT_USAGES = {
    "ecdsa": frozenset({"key_encipherment", "data_encipherment"}),
    "rsa": frozenset({"key_agreement", "encipher_only", "decipher_only"}),
}
DEFAULT_VALIDITY = "87600h"
DEFAULT_PROFILES = {
    "kubernetes": {"usages": ["signing", "key encipherment", "server auth", "client auth"]},
    "peer": {"usages": ["signing", "key encipherment", "server auth", "client auth"]},
    "server": {"usages": ["signing", "key encipherment", "server auth"]},
    "client": {"usages": ["signing", "key encipherment", "client auth"]},
}


@dataclasses.dataclass(frozen=True)
class KeyType:
    type: str
    size: int

    def __str__(self) -> str:
        return f"RSA {self.size}" if self.type == "rsa" else f"ECDSA P-{self.size}"


DEFAULT_KEY = KeyType("ecdsa", 256)


@dataclasses.dataclass(frozen=True)
class Subject:
    """The distinguished name as pairs of field and value, in the order C, ST, L, O, OU, CN."""

    attributes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.attributes)

    @property
    def common_name(self) -> str:
        return next((value for name, value in self.attributes if name == "CN"), "")


@dataclasses.dataclass(frozen=True)
class Import:
    """Where the certificate and the key of a CA made elsewhere lie."""

    certificate: str
    key: str
    passphrase: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class CertificateSpec:
    """One certificate that is to be in the directory, a CA's or another."""

    name: str
    subject: Subject
    key: KeyType
    validity: timedelta
    issuer: str | None  # None: signed by itself
    is_ca: bool = False
    path_length: int | None = None
    passphrase: str | None = dataclasses.field(default=None, repr=False)  # None: the key stands in the clear
    old_passphrase: str | None = dataclasses.field(default=None, repr=False)
    import_from: Import | None = None
    copy_of: str | None = None
    existing: bool = False  # stands already, and stays what it is
    names: frozenset[tuple[str, str]] = frozenset()
    key_usages: frozenset[str] = frozenset()
    extended_key_usages: frozenset[str] = frozenset()
    chain: bool = False  # whether its file goes on with the intermediates above it


@dataclasses.dataclass(frozen=True)
class KeySpec:
    """A key without a certificate: a key pair (rsa, ecdsa) or random bytes (random)."""

    name: str
    type: str
    size: int
    existing: bool = False  # stands already, and stays what it is

    @property
    def key_type(self) -> KeyType:
        return KeyType(self.type, self.size)


@dataclasses.dataclass(frozen=True)
class BundleSpec:
    """Several CAs' certificates, or several keys' public halves, in one file."""

    name: str
    cas: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Request:
    cas: tuple[CertificateSpec, ...]  # every issuer before those that it signs
    certificates: tuple[CertificateSpec, ...]
    keys: tuple[KeySpec, ...] = ()
    bundles: tuple[BundleSpec, ...] = ()
    renew_before: timedelta = timedelta(hours=720)
    renew: frozenset[str] = frozenset()  # names of the certificates that are reissued in any case
    renew_keys: bool = False
    purge: bool = False
    keep: tuple[str, ...] = ()  # patterns of the names of files that others keep


def format_name(name: tuple[str, str]) -> str:
    return f"{name[0]}:{name[1]}"


def file_names(entry: CertificateSpec | KeySpec | BundleSpec) -> tuple[str, ...]:
    """The files that an entry stands for, as the documents name them."""
    if isinstance(entry, BundleSpec):
        return (f"{entry.name}.pem",)
    if isinstance(entry, KeySpec) and entry.type == "random":
        return (f"{entry.name}.key",)
    return (f"{entry.name}.pem", f"{entry.name}-key.pem")
