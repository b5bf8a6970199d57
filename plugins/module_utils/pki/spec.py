# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a directory of certificates: reading and judging the arguments of the module ``certificates``.

Nothing here touches a file or needs a library. ``parse_request`` either returns a complete request or raises
``InvalidRequest`` with every problem that it found, each naming the entry and its field.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

SUBJECT_FIELDS = ("C", "ST", "L", "O", "OU", "CN")
# Upper bounds of RFC 5280, appendix A.1 (ub-common-name and its siblings).
SUBJECT_LENGTHS = {"C": 2, "ST": 128, "L": 128, "O": 64, "OU": 64, "CN": 64}

KEY_SIZES = {"rsa": tuple(range(2048, 4097, 256)), "ecdsa": (256, 384, 521)}
_SIZES_IN_WORDS = {"rsa": "2048 to 4096 in steps of 256", "ecdsa": "256, 384 and 521"}
DEFAULT_KEY_SIZE = {"rsa": 2048, "ecdsa": 256}

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
# RFC 5280, 4.2.1.3: keyCertSign needs cA, and here cA is what `authorities` are for.
AUTHORITY_USAGES = ("cert sign", "crl sign")
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

SHORTEST_VALIDITY = timedelta(hours=1)
LONGEST_VALIDITY = timedelta(hours=876000)
DURATION_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "y": timedelta(days=365),
}

# The library that encrypts keys takes no more.
LONGEST_PASSPHRASE = 1023

OPTIONS = {
    "authorities": frozenset(
        {
            "name",
            "subject",
            "key",
            "validity",
            "issuer",
            "path_length",
            "passphrase",
            "old_passphrase",
            "adopt",
            "same_as",
            "existing",
        }
    ),
    "certificates": frozenset({"name", "authority", "profile", "subject", "hosts", "key", "validity", "chain"}),
    "keys": frozenset({"name", "type", "size", "existing"}),
    "bundles": frozenset({"name", "authorities", "keys"}),
}
# cfssl calls it expiry.
PROFILE_OPTIONS = frozenset({"usages", "validity", "expiry"})
ADOPT_OPTIONS = frozenset({"certificate", "key", "passphrase"})
KEY_OPTIONS = frozenset({"type", "size"})

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DURATION = re.compile(r"(?:[0-9]{1,12}[smhdy])+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+|urn:[^\s:]+:[^\s]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+=?^_`{|}~-]+"  # RFC 5322, 3.2.3
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@([^@*]+)")


class InvalidRequest(HardwayError):
    """The arguments contradict themselves or the standard; ``problems`` holds one sentence for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class KeyType:
    type: str
    size: int

    def __str__(self) -> str:
        return f"RSA {self.size}" if self.type == "rsa" else f"ECDSA P-{self.size}"


DEFAULT_KEY = KeyType("ecdsa", 256)


@dataclass(frozen=True)
class Subject:
    """The distinguished name as pairs of field and value, in the order C, ST, L, O, OU, CN."""

    attributes: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.attributes)

    @property
    def common_name(self) -> str:
        return next((value for name, value in self.attributes if name == "CN"), "")


@dataclass(frozen=True)
class Adoption:
    """Where the certificate and the key of an authority made elsewhere lie."""

    certificate: str
    key: str
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Wanted:
    """One certificate that is to be in the directory, an authority's or another."""

    name: str
    subject: Subject
    key: KeyType
    validity: timedelta
    issuer: str | None  # None: signed by itself
    is_authority: bool = False
    path_length: int | None = None
    passphrase: str | None = field(default=None, repr=False)  # None: the key stands in the clear
    old_passphrase: str | None = field(default=None, repr=False)
    adopt: Adoption | None = None
    same_as: str | None = None
    existing: bool = False  # stands already, and stays what it is
    names: frozenset[tuple[str, str]] = frozenset()
    key_usages: frozenset[str] = frozenset()
    extended_key_usages: frozenset[str] = frozenset()
    chain: bool = False  # whether its file goes on with the intermediates above it


@dataclass(frozen=True)
class WantedKey:
    """A key without a certificate: a key pair (rsa, ecdsa) or random bytes (random)."""

    name: str
    type: str
    size: int
    existing: bool = False  # stands already, and stays what it is

    @property
    def key_type(self) -> KeyType:
        return KeyType(self.type, self.size)


@dataclass(frozen=True)
class WantedBundle:
    """Several authorities' certificates, or several keys' public halves, in one file."""

    name: str
    authorities: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    authorities: tuple[Wanted, ...]  # every issuer before those that it signs
    certificates: tuple[Wanted, ...]
    keys: tuple[WantedKey, ...] = ()
    bundles: tuple[WantedBundle, ...] = ()
    renew_before: timedelta = timedelta(hours=720)
    renew: frozenset[str] = frozenset()  # names of the certificates that are issued anew in any case
    renew_keys: bool = False
    purge: bool = False
    keep: tuple[str, ...] = ()  # patterns of the names of files that others keep


@dataclass
class _Profile:
    key_usages: frozenset[str]
    extended_key_usages: frozenset[str]
    validity: timedelta


@dataclass
class _Problems:
    found: list[str] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        self.found.append(f"{where}: {text}")


def parse_duration(text: object) -> timedelta:
    """Read `87600h`, `3650d`, `10y` (365 days each) or a sum such as `8760h0m0s`; ValueError otherwise."""
    value = str(text).strip()
    if not _DURATION.fullmatch(value):
        raise ValueError(f"'{text}' is not a duration; write a number and a unit, such as 87600h, 3650d or 10y")
    try:
        return sum(
            (int(number) * DURATION_UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdy])", value)), timedelta()
        )
    except OverflowError:
        raise ValueError(f"'{text}' is longer than any certificate may last (876000h)") from None


def classify_host(host: object) -> tuple[str, str]:
    """Tell an address, a URI, a mail address and a DNS name apart as cfssl does; ValueError where it is none of them.

    Unlike cfssl, what only looks like an address (10.0.0.300, 10.0.0.1/24, 10.0.0.1:6443) is refused
    instead of becoming a DNS name or a URI that nothing will ever match.
    """
    if not isinstance(host, str):
        raise ValueError(f"'{host}' is not a text")
    text = host.strip()
    if not text:
        raise ValueError("an empty host")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"{text!r} holds control characters")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        if "%" in text:
            raise ValueError(f"'{text}' carries a zone; a certificate holds plain addresses")
        # As Go does, and with it cfssl: an address of IPv4 in IPv6's clothes is one of IPv4.
        return ("IP", str(getattr(address, "ipv4_mapped", None) or address))
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"'{text}' is not an IP address")
    if re.fullmatch(r"[0-9a-fA-F:.]+/\d+", text):
        raise ValueError(f"'{text}' is a network; name single addresses")
    if _URI.fullmatch(text):
        if not text.isascii():
            raise ValueError(f"the URI '{text}' holds characters beyond ASCII; percent-encode them")
        return ("URI", text)
    if re.fullmatch(r"\[[0-9a-fA-F:]+\](:\d+)?|[^:]*:\d+", text):
        raise ValueError(f"'{text}' carries brackets or a port; name the address or the DNS name alone")
    if ":" in text:
        raise ValueError(f"'{text}' is neither an IP address, a DNS name nor a URI")
    if "@" in text:
        mail = _EMAIL.fullmatch(text)
        if mail is None:
            raise ValueError(f"'{text}' is not a mail address")
        _dns_name(mail[1])
        return ("email", text)
    return ("DNS", _dns_name(text))


def _dns_name(text: str) -> str:
    if not text.isascii():
        raise ValueError(f"'{text}' holds characters beyond ASCII; write it as punycode (xn--...)")
    if len(text) > 253:
        raise ValueError(f"'{text[:40]}...' is longer than 253 characters")
    labels = text.split(".")
    if labels[0] == "*" and len(labels) > 1:
        labels = labels[1:]
    for label in labels:
        if not _LABEL.fullmatch(label):
            hint = "each label has 1 to 63 letters, digits and inner hyphens"
            if "*" in label:
                hint = "a wildcard stands only as the whole first label (*.example.org)"
            raise ValueError(f"'{text}' is not a DNS name: {hint}")
    # RFC 4343: names are compared without case; one spelling keeps sets comparable.
    return text.lower()


def format_name(name: tuple[str, str]) -> str:
    return f"{name[0]}:{name[1]}"


def parse_request(arguments: dict) -> Request:
    """Judge the arguments of the module; raises InvalidRequest with every problem at once."""
    return _Parser(arguments).parse()


class _Parser:
    def __init__(self, arguments: dict) -> None:
        self.arguments = arguments
        self.problems = _Problems()
        self.profiles: dict[str, _Profile] = {}
        self.entries: dict[str, list[dict]] = {}
        self.nameless: set[str] = set()
        self.authority_names: list[str] = []

    def parse(self) -> Request:
        self.entries = {kind: self._entries(kind) for kind in OPTIONS}
        self.authority_names = [str(entry.get("name")) for entry in self.entries["authorities"]]
        self.profiles = self._profiles()
        authorities = [self._authority(entry) for entry in self.entries["authorities"]]
        certificates = [self._certificate(entry) for entry in self.entries["certificates"]]
        keys = [self._key(entry) for entry in self.entries["keys"]]
        bundles = [self._bundle(entry) for entry in self.entries["bundles"]]
        renew_before = self._duration("renew_before", self.arguments.get("renew_before") or "720h", timedelta())
        renew = self._renew(certificates)
        self._unique_files(authorities, certificates, keys, bundles)
        ordered = self._issuers_first(authorities)
        if self.problems.found:
            raise InvalidRequest(self.problems.found)
        return Request(
            authorities=tuple(ordered),
            certificates=tuple(certificates),
            keys=tuple(keys),
            bundles=tuple(bundles),
            renew_before=renew_before,
            renew=renew,
            renew_keys=bool(self.arguments.get("renew_keys")),
            purge=bool(self.arguments.get("purge")),
            keep=tuple(self.arguments.get("keep") or ()),
        )

    def _list(self, where: str, value: object) -> list:
        if value is None or isinstance(value, (list, tuple)):
            return list(value or [])
        self.problems.add(where, "is not a list")
        return []

    def _entries(self, kind: str) -> list[dict]:
        entries = []
        for number, entry in enumerate(self._list(kind, self.arguments.get(kind)), 1):
            if not isinstance(entry, dict):
                self.problems.add(f"{kind}[number {number}]", "is not a mapping")
                continue
            if entry.get("name") in (None, ""):
                self.problems.add(f"{kind}[number {number}].name", "is missing")
                entry = {**entry, "name": f"number {number}"}
                self.nameless.add(entry["name"])
            self._known_options(f"{kind}[{entry['name']}]", entry, OPTIONS[kind])
            entries.append(entry)
        return entries

    def _known_options(self, where: str, entry: dict, options: frozenset[str]) -> None:
        for unknown in sorted(str(option) for option in entry if option not in options):
            self.problems.add(f"{where}.{unknown}", f"is not an option; there are {', '.join(sorted(options))}")

    def _profiles(self) -> dict[str, _Profile]:
        given = self.arguments.get("profiles") or {}
        if not isinstance(given, dict):
            self.problems.add("profiles", "is not a mapping from a profile's name to 'usages' and 'validity'")
            given = {}
        profiles = {}
        for name, settings in {**DEFAULT_PROFILES, **{str(name): settings for name, settings in given.items()}}.items():
            where = f"profiles[{name}]"
            if not isinstance(settings, dict):
                self.problems.add(where, "is not a mapping with 'usages' and 'validity'")
                continue
            self._known_options(where, settings, PROFILE_OPTIONS)
            # A profile that has only another validity keeps the usages that its name stands for.
            usages = settings.get("usages") or DEFAULT_PROFILES.get(name, {}).get("usages")
            validity = settings.get("validity") or settings.get("expiry") or DEFAULT_VALIDITY
            key_usages, extended = self._usages(where, usages)
            profiles[name] = _Profile(key_usages, extended, self._duration(f"{where}.validity", validity))
        return profiles

    def _usages(self, where: str, usages: object) -> tuple[frozenset[str], frozenset[str]]:
        if not isinstance(usages, (list, tuple)) or not usages:
            self.problems.add(
                f"{where}.usages", "is not a list of usages such as 'signing', 'server auth', 'client auth'"
            )
            return frozenset(), frozenset()
        key_usages, extended = set(), set()
        for usage in map(str, usages):
            if usage in KEY_USAGES:
                key_usages.add(KEY_USAGES[usage])
            elif usage in EXTENDED_KEY_USAGES:
                extended.add(EXTENDED_KEY_USAGES[usage])
            elif usage in AUTHORITY_USAGES:
                self.problems.add(
                    f"{where}.usages",
                    f"'{usage}' is for authorities alone; describe an intermediate under authorities, with its issuer",
                )
            else:
                known = ", ".join([*KEY_USAGES, *EXTENDED_KEY_USAGES])
                self.problems.add(f"{where}.usages", f"'{usage}' is not a usage; there are {known}")
        # RFC 5280, 4.2.1.3: without keyAgreement these two mean nothing.
        if key_usages & {"encipher_only", "decipher_only"} and "key_agreement" not in key_usages:
            self.problems.add(f"{where}.usages", "'encipher only' and 'decipher only' need 'key agreement' beside them")
        return frozenset(key_usages), frozenset(extended)

    def _authority(self, entry: dict) -> Wanted:
        name = self._name("authorities", entry)
        where = f"authorities[{name}]"
        issuer = self._above(f"{where}.issuer", entry.get("issuer"))
        same_as = self._above(f"{where}.same_as", entry.get("same_as"))
        passphrase = self._passphrase(f"{where}.passphrase", entry.get("passphrase"))
        old_passphrase = self._passphrase(f"{where}.old_passphrase", entry.get("old_passphrase"))
        if same_as is not None and (passphrase or old_passphrase):
            self.problems.add(f"{where}.passphrase", f"is that of '{same_as}', of which this is a copy; give it there")
        adopt = self._adoption(where, entry.get("adopt"))
        existing = self._flag(f"{where}.existing", entry.get("existing"))
        taken_over = [
            word
            for word, value in (("issuer", issuer), ("same_as", same_as), ("adopt", adopt), ("existing", existing))
            if value
        ]
        if len(taken_over) > 1:
            self.problems.add(where, f"{' and '.join(taken_over)} exclude each other")
        path_length = entry.get("path_length")
        if path_length is not None and (not _is_number(path_length) or int(path_length) > 32):
            self.problems.add(f"{where}.path_length", f"'{path_length}' is not a number from 0 to 32")
            path_length = None
        subject = Subject(())
        if same_as is None and adopt is None and not existing:
            subject = self._subject(where, entry.get("subject"))
            if not subject.attributes:
                # RFC 5280, 4.1.2.6: the subject of an authority is never empty.
                self.problems.add(f"{where}.subject", "is empty; an authority needs at least a CN")
        return Wanted(
            name=name,
            subject=subject,
            key=self._key_type(f"{where}.key", entry.get("key")),
            validity=self._duration(f"{where}.validity", entry.get("validity") or DEFAULT_VALIDITY),
            issuer=issuer,
            is_authority=True,
            path_length=int(path_length) if path_length is not None else None,
            passphrase=passphrase,
            old_passphrase=old_passphrase,
            adopt=adopt,
            same_as=same_as,
            existing=existing,
            key_usages=frozenset({"key_cert_sign", "crl_sign"}),
        )

    def _adoption(self, where: str, adopt: object) -> Adoption | None:
        if not adopt:
            return None
        if not isinstance(adopt, dict) or not adopt.get("certificate") or not adopt.get("key"):
            self.problems.add(f"{where}.adopt", "needs the paths of both, certificate and key")
            return None
        self._known_options(f"{where}.adopt", adopt, ADOPT_OPTIONS)
        passphrase = self._passphrase(f"{where}.adopt.passphrase", adopt.get("passphrase"))
        return Adoption(str(adopt["certificate"]), str(adopt["key"]), passphrase)

    def _above(self, where: str, name: object) -> str | None:
        if name in (None, ""):
            return None
        self._known_authority(where, str(name))
        return str(name)

    def _passphrase(self, where: str, passphrase: object) -> str | None:
        """The value itself is in no message."""
        if passphrase is None:
            return None
        if not isinstance(passphrase, (str, int)) or isinstance(passphrase, bool):
            self.problems.add(where, "is not a text")
            return None
        if passphrase == "":
            self.problems.add(where, "is empty; leave it out where the key is to stand in the clear")
            return None
        if not _is_encodable(str(passphrase)):
            self.problems.add(where, "holds characters that UTF-8 does not have")
            return None
        if len(str(passphrase).encode()) > LONGEST_PASSPHRASE:
            self.problems.add(where, f"is longer than {LONGEST_PASSPHRASE} bytes")
        return str(passphrase)

    def _flag(self, where: str, value: object) -> bool:
        if value is not None and not isinstance(value, bool):
            self.problems.add(where, f"'{value}' is neither true nor false")
        return value is True

    def _certificate(self, entry: dict) -> Wanted:
        name = self._name("certificates", entry)
        where = f"certificates[{name}]"
        authority = self._above(f"{where}.authority", entry.get("authority"))
        if authority is None:
            self.problems.add(f"{where}.authority", "is missing; name the authority that signs it")
        profile = self._profile(where, str(entry.get("profile") or "kubernetes"))
        subject = self._subject(where, entry.get("subject"))
        names = self._hosts(where, entry.get("hosts"))
        if not subject.attributes and not names:
            self.problems.add(where, "has neither a subject nor hosts; give it at least subject.CN or one host")
        key = self._key_type(f"{where}.key", entry.get("key"))
        key_usages = profile.key_usages - UNFIT_USAGES[key.type]
        if profile.key_usages and not key_usages:
            # Without any the extension would be left out, which allows every usage.
            self.problems.add(
                f"{where}.profile",
                f"none of its key usages fits the key, {key}; give it 'signing', or the certificate another type of key",
            )
        validity = profile.validity
        if entry.get("validity"):
            validity = self._duration(f"{where}.validity", entry["validity"])
        return Wanted(
            name=name,
            subject=subject,
            key=key,
            validity=validity,
            issuer=authority,
            names=names,
            key_usages=key_usages,
            extended_key_usages=profile.extended_key_usages,
            chain=self._flag(f"{where}.chain", entry.get("chain")),
        )

    def _profile(self, where: str, name: str) -> _Profile:
        if name not in self.profiles:
            self.problems.add(
                f"{where}.profile", f"'{name}' is not a profile; there are {', '.join(sorted(self.profiles))}"
            )
            return _Profile(frozenset(), frozenset(), LONGEST_VALIDITY)
        return self.profiles[name]

    def _key(self, entry: dict) -> WantedKey:
        name = self._name("keys", entry)
        where = f"keys[{name}]"
        kind = str(entry.get("type") or "ecdsa")
        existing = self._flag(f"{where}.existing", entry.get("existing"))
        if kind == "random":
            size = entry.get("size") or 32
            if not _is_number(size) or not 16 <= int(size) <= 1024:
                self.problems.add(f"{where}.size", f"'{size}' is not a number of bytes from 16 to 1024")
                size = 32
            return WantedKey(name, "random", int(size), existing)
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa, ecdsa and random")
            kind = "ecdsa"
        key_type = self._key_type(where, {"type": kind, "size": entry.get("size")})
        return WantedKey(name, key_type.type, key_type.size, existing)

    def _bundle(self, entry: dict) -> WantedBundle:
        name = self._name("bundles", entry)
        where = f"bundles[{name}]"
        authorities, keys = (
            list(map(str, self._list(f"{where}.{option}", entry.get(option)))) for option in ("authorities", "keys")
        )
        if not authorities and not keys:
            self.problems.add(where, "is empty; name at least one of authorities, or of keys")
        elif authorities and keys:
            self.problems.add(
                where, "authorities and keys exclude each other; a bundle holds certificates or public keys"
            )
        for authority in authorities:
            self._known_authority(f"{where}.authorities", authority)
        for key in keys:
            self._known_key_pair(f"{where}.keys", key)
        return WantedBundle(name, tuple(authorities), tuple(keys))

    def _renew(self, certificates: list[Wanted]) -> frozenset[str]:
        names = [certificate.name for certificate in certificates]
        renewed: set[str] = set()
        for pattern in self._list("renew", self.arguments.get("renew")):
            matching = fnmatch.filter(names, str(pattern))
            if not matching:
                self.problems.add(
                    "renew", f"'{pattern}' matches no certificate of this call (authorities are rotated, not renewed)"
                )
            renewed.update(matching)
        return frozenset(renewed)

    def _name(self, kind: str, entry: dict) -> str:
        name = str(entry["name"])
        if name in self.nameless:
            return name
        if not _NAME.fullmatch(name):
            self.problems.add(
                f"{kind}[{name}].name",
                f"'{name}' cannot be a file's name; use letters, digits, '.', '_' and '-', not first '.' or '-'",
            )
        elif len(name) > 200:
            self.problems.add(f"{kind}[{name[:20]}...].name", "is longer than 200 characters")
        return name

    def _known_authority(self, where: str, name: str) -> None:
        if name not in self.authority_names:
            self.problems.add(
                where,
                f"'{name}' is not an authority of this call; there are {', '.join(self.authority_names) or 'none'}",
            )

    def _known_key_pair(self, where: str, name: str) -> None:
        types = {str(entry.get("name")): entry.get("type") or "ecdsa" for entry in self.entries["keys"]}
        if name not in types:
            self.problems.add(where, f"'{name}' is not a key of this call; there are {', '.join(types) or 'none'}")
        elif types[name] == "random":
            self.problems.add(where, f"'{name}' is random bytes, which have no public key")

    def _subject(self, where: str, subject: object) -> Subject:
        if not isinstance(subject or {}, dict):
            self.problems.add(f"{where}.subject", f"is not a mapping of {', '.join(SUBJECT_FIELDS)}")
            return Subject(())
        given = subject or {}
        for unknown in sorted(str(name) for name in given if name not in SUBJECT_FIELDS):
            self.problems.add(
                f"{where}.subject.{unknown}", f"is not a field of a subject here; there are {', '.join(SUBJECT_FIELDS)}"
            )
        attributes = []
        for name in SUBJECT_FIELDS:
            values = given.get(name)
            for value in values if isinstance(values, (list, tuple)) else [values]:
                if value is not None and value != "":
                    attributes.append((name, self._subject_value(f"{where}.subject.{name}", name, value)))
        for name in ("C", "CN"):
            if sum(1 for attribute in attributes if attribute[0] == name) > 1:
                self.problems.add(f"{where}.subject.{name}", "has more than one value")
        return Subject(tuple(attributes))

    def _subject_value(self, where: str, name: str, value: object) -> str:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            self.problems.add(where, f"'{value}' is not a text")
            return ""
        text = str(value)
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            self.problems.add(where, "holds control characters")
        if not _is_encodable(text):
            self.problems.add(where, "holds characters that UTF-8 does not have")
        if name == "C" and not re.fullmatch(r"[A-Z]{2}", text):
            self.problems.add(where, f"'{text}' is not a country's two capital letters (ISO 3166)")
        elif name == "CN" and len(text) <= SUBJECT_LENGTHS[name] < len(text.encode(errors="replace")):
            # The RFC counts characters, the library that issues counts bytes.
            self.problems.add(
                where,
                f"'{text}' has {len(text.encode(errors='replace'))} bytes in UTF-8; there may be {SUBJECT_LENGTHS[name]}",
            )
        elif len(text) > SUBJECT_LENGTHS[name]:
            self.problems.add(
                where, f"'{text[:40]}...' has {len(text)} characters; RFC 5280 allows {SUBJECT_LENGTHS[name]}"
            )
        return text

    def _hosts(self, where: str, hosts: object) -> frozenset[tuple[str, str]]:
        if not isinstance(hosts or [], (list, tuple)):
            self.problems.add(f"{where}.hosts", "is not a list of addresses, DNS names and URIs")
            return frozenset()
        names = set()
        for host in hosts or []:
            try:
                names.add(classify_host(host))
            except ValueError as error:
                self.problems.add(f"{where}.hosts", str(error))
        return frozenset(names)

    def _key_type(self, where: str, key: object) -> KeyType:
        if not isinstance(key or {}, dict):
            self.problems.add(where, "is not a mapping of type and size")
            return DEFAULT_KEY
        settings = key or {}
        self._known_options(where, settings, KEY_OPTIONS)
        kind = str(settings.get("type") or "ecdsa")
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa and ecdsa")
            return DEFAULT_KEY
        size = settings.get("size") or DEFAULT_KEY_SIZE[kind]
        if not _is_number(size) or int(size) not in KEY_SIZES[kind]:
            self.problems.add(
                f"{where}.size", f"'{size}' is not a size of {kind} keys; there are {_SIZES_IN_WORDS[kind]}"
            )
            return DEFAULT_KEY
        return KeyType(kind, int(size))

    def _duration(self, where: str, text: object, shortest: timedelta = SHORTEST_VALIDITY) -> timedelta:
        try:
            duration = parse_duration(text)
        except ValueError as error:
            self.problems.add(where, str(error))
            return LONGEST_VALIDITY
        if duration < shortest:
            self.problems.add(where, f"'{text}' is shorter than an hour")
        if duration > LONGEST_VALIDITY:
            self.problems.add(where, f"'{text}' is longer than 876000h (100 years)")
        return duration

    def _unique_files(
        self, authorities: list[Wanted], certificates: list[Wanted], keys: list[WantedKey], bundles: list[WantedBundle]
    ) -> None:
        owners: dict[str, str] = {}
        for kind, entries in (
            ("authorities", authorities),
            ("certificates", certificates),
            ("keys", keys),
            ("bundles", bundles),
        ):
            for entry in entries:
                owner = f"{kind}[{entry.name}]"
                for file in file_names(entry):
                    if file in owners:
                        self.problems.add(f"{owner}.name", f"its file {file} is that of {owners[file]} already")
                        break
                    owners[file] = owner

    def _issuers_first(self, authorities: list[Wanted]) -> list[Wanted]:
        by_name = {authority.name: authority for authority in authorities}
        ordered: dict[str, Wanted] = {}
        for authority in authorities:
            line: list[str] = []
            current: Wanted | None = authority
            while current is not None and current.name not in ordered:
                if current.name in line:
                    self.problems.add(
                        f"authorities[{authority.name}]",
                        f"goes round in a circle: {' <- '.join([*line, current.name])}",
                    )
                    return authorities
                line.append(current.name)
                current = by_name.get(current.issuer or current.same_as or "")
            ordered.update((name, self._like_its_original(by_name[name], ordered)) for name in reversed(line))
        return list(ordered.values())

    @staticmethod
    def _like_its_original(authority: Wanted, ordered: dict[str, Wanted]) -> Wanted:
        original = ordered.get(authority.same_as or "")
        return (
            replace(authority, passphrase=original.passphrase, old_passphrase=original.old_passphrase)
            if original is not None
            else authority
        )


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,6}", str(value)) is not None


def _is_encodable(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


def file_names(entry: Wanted | WantedKey | WantedBundle) -> tuple[str, ...]:
    """The files that an entry stands for, as the documents name them."""
    if isinstance(entry, WantedBundle):
        return (f"{entry.name}.pem",)
    if isinstance(entry, WantedKey) and entry.type == "random":
        return (f"{entry.name}.key",)
    return (f"{entry.name}.pem", f"{entry.name}-key.pem")
