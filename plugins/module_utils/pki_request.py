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
from dataclasses import dataclass, field
from datetime import timedelta

SUBJECT_FIELDS = ("C", "ST", "L", "O", "OU", "CN")
# Upper bounds of RFC 5280, appendix A.1 (ub-common-name and its siblings).
SUBJECT_LENGTHS = {"C": 2, "ST": 128, "L": 128, "O": 64, "OU": 64, "CN": 64}

KEY_SIZES = {"rsa": (2048, 3072, 4096), "ecdsa": (256, 384, 521)}
DEFAULT_KEY_SIZE = {"rsa": 2048, "ecdsa": 256}

# cfssl's words (config.KeyUsage and config.ExtKeyUsage of github.com/cloudflare/cfssl) and what RFC 5280 calls them.
KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
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
}
# RFC 5480 and RFC 8813: an elliptic curve key enciphers nothing.
RSA_ONLY_USAGES = frozenset({"key_encipherment", "data_encipherment"})

DEFAULT_VALIDITY = "87600h"
DEFAULT_PROFILES = {
    "kubernetes": {"usages": ["signing", "key encipherment", "server auth", "client auth"]},
    "peer": {"usages": ["signing", "key encipherment", "server auth", "client auth"]},
    "server": {"usages": ["signing", "key encipherment", "server auth"]},
    "client": {"usages": ["signing", "key encipherment", "client auth"]},
}

SHORTEST_VALIDITY = timedelta(hours=1)
LONGEST_VALIDITY = timedelta(hours=876000)
DURATION_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "y": timedelta(days=365)}

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_DURATION = re.compile(r"(?:\d+[smhdy])+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+|urn:[^\s:]+:[^\s]+")
_EMAIL = re.compile(r"[^\s@/:]+@[^\s@/:]+")


class InvalidRequest(Exception):
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
    adopt: Adoption | None = None
    same_as: str | None = None
    existing: bool = False  # stands already, and stays what it is
    names: frozenset[tuple[str, str]] = frozenset()
    key_usages: frozenset[str] = frozenset()
    extended_key_usages: frozenset[str] = frozenset()


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
        return sum((int(number) * DURATION_UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdy])", value)), timedelta())
    except OverflowError:
        raise ValueError(f"'{text}' is longer than any certificate may last (876000h)") from None


def classify_host(host: object) -> tuple[str, str]:
    """Tell an address, a URI, a mail address and a DNS name apart as cfssl does; ValueError where it is none of them.

    Unlike cfssl, what only looks like an address (10.0.0.300, 10.0.0.1/24, 10.0.0.1:6443) is refused
    instead of becoming a DNS name or a URI that nothing will ever match.
    """
    text = str(host).strip()
    if not text:
        raise ValueError("an empty host")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        if "%" in text:
            raise ValueError(f"'{text}' carries a zone; a certificate holds plain addresses")
        return ("IP", str(address))
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
    if _EMAIL.fullmatch(text):
        if not text.isascii():
            raise ValueError(f"the mail address '{text}' holds characters beyond ASCII")
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
        self.authority_names: list[str] = []

    def parse(self) -> Request:
        self.authority_names = [str(entry.get("name")) for entry in self._entries("authorities")]
        self.profiles = self._profiles()
        authorities = [self._authority(entry) for entry in self._entries("authorities")]
        certificates = [self._certificate(entry) for entry in self._entries("certificates")]
        keys = [self._key(entry) for entry in self._entries("keys")]
        bundles = [self._bundle(entry) for entry in self._entries("bundles")]
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
        )

    def _entries(self, kind: str) -> list[dict]:
        return self.arguments.get(kind) or []

    def _profiles(self) -> dict[str, _Profile]:
        given = self.arguments.get("profiles") or {}
        profiles = {}
        for name, settings in {**DEFAULT_PROFILES, **given}.items():
            where = f"profiles[{name}]"
            if not isinstance(settings, dict):
                self.problems.add(where, "is not a mapping with 'usages' and 'validity'")
                continue
            for unknown in sorted(set(settings) - {"usages", "validity", "expiry"}):
                self.problems.add(f"{where}.{unknown}", "is not a setting of a profile; there are usages and validity")
            # A profile that has only another validity keeps the usages that its name stands for.
            usages = settings.get("usages") or DEFAULT_PROFILES.get(name, {}).get("usages")
            validity = settings.get("validity") or settings.get("expiry") or DEFAULT_VALIDITY
            key_usages, extended = self._usages(where, usages)
            profiles[name] = _Profile(key_usages, extended, self._duration(f"{where}.validity", validity))
        return profiles

    def _usages(self, where: str, usages: object) -> tuple[frozenset[str], frozenset[str]]:
        if not isinstance(usages, (list, tuple)) or not usages:
            self.problems.add(f"{where}.usages", "is not a list of usages such as 'signing', 'server auth', 'client auth'")
            return frozenset(), frozenset()
        key_usages, extended = set(), set()
        for usage in usages:
            if usage in KEY_USAGES:
                key_usages.add(KEY_USAGES[usage])
            elif usage in EXTENDED_KEY_USAGES:
                extended.add(EXTENDED_KEY_USAGES[usage])
            elif usage in AUTHORITY_USAGES:
                self.problems.add(f"{where}.usages", f"'{usage}' is for authorities alone; describe an intermediate under authorities, with its issuer")
            else:
                known = ", ".join([*KEY_USAGES, *EXTENDED_KEY_USAGES])
                self.problems.add(f"{where}.usages", f"'{usage}' is not a usage; there are {known}")
        return frozenset(key_usages), frozenset(extended)

    def _authority(self, entry: dict) -> Wanted:
        name = self._name("authorities", entry)
        where = f"authorities[{name}]"
        issuer = entry.get("issuer") or None
        if issuer is not None:
            self._known_authority(f"{where}.issuer", issuer)
        same_as = entry.get("same_as") or None
        if same_as is not None:
            self._known_authority(f"{where}.same_as", same_as)
        adopt = self._adoption(where, entry.get("adopt"))
        existing = bool(entry.get("existing"))
        taken_over = [word for word, value in (("issuer", issuer), ("same_as", same_as), ("adopt", adopt), ("existing", existing)) if value]
        if len(taken_over) > 1:
            self.problems.add(where, f"{' and '.join(taken_over)} exclude each other")
        path_length = entry.get("path_length")
        if path_length is not None and (not isinstance(path_length, int) or not 0 <= path_length <= 32):
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
            path_length=path_length,
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
        return Adoption(str(adopt["certificate"]), str(adopt["key"]))

    def _certificate(self, entry: dict) -> Wanted:
        name = self._name("certificates", entry)
        where = f"certificates[{name}]"
        authority = entry.get("authority")
        if not authority:
            self.problems.add(f"{where}.authority", "is missing; name the authority that signs it")
        else:
            self._known_authority(f"{where}.authority", authority)
        profile = self._profile(where, entry.get("profile") or "kubernetes")
        subject = self._subject(where, entry.get("subject"))
        names = self._hosts(where, entry.get("hosts"))
        if not subject.attributes and not names:
            self.problems.add(where, "has neither a subject nor hosts; give it at least subject.CN or one host")
        key = self._key_type(f"{where}.key", entry.get("key"))
        key_usages = profile.key_usages if key.type == "rsa" else profile.key_usages - RSA_ONLY_USAGES
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
        )

    def _profile(self, where: str, name: str) -> _Profile:
        if name not in self.profiles:
            self.problems.add(f"{where}.profile", f"'{name}' is not a profile; there are {', '.join(sorted(self.profiles))}")
            return _Profile(frozenset(), frozenset(), LONGEST_VALIDITY)
        return self.profiles[name]

    def _key(self, entry: dict) -> WantedKey:
        name = self._name("keys", entry)
        where = f"keys[{name}]"
        kind = entry.get("type") or "ecdsa"
        if kind == "random":
            size = entry.get("size") or 32
            if not _is_number(size) or not 16 <= int(size) <= 1024:
                self.problems.add(f"{where}.size", f"'{size}' is not a number of bytes from 16 to 1024")
                size = 32
            return WantedKey(name, "random", int(size), bool(entry.get("existing")))
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa, ecdsa and random")
            kind = "ecdsa"
        key_type = self._key_type(where, {"type": kind, "size": entry.get("size")})
        return WantedKey(name, key_type.type, key_type.size, bool(entry.get("existing")))

    def _bundle(self, entry: dict) -> WantedBundle:
        name = self._name("bundles", entry)
        where = f"bundles[{name}]"
        authorities, keys = entry.get("authorities") or [], entry.get("keys") or []
        if not authorities and not keys:
            self.problems.add(where, "is empty; name at least one of authorities, or of keys")
        elif authorities and keys:
            self.problems.add(where, "authorities and keys exclude each other; a bundle holds certificates or public keys")
        for authority in authorities:
            self._known_authority(f"{where}.authorities", authority)
        for key in keys:
            self._known_key_pair(f"{where}.keys", key)
        return WantedBundle(name, tuple(authorities), tuple(keys))

    def _renew(self, certificates: list[Wanted]) -> frozenset[str]:
        names = [certificate.name for certificate in certificates]
        renewed: set[str] = set()
        for pattern in self._entries("renew"):
            matching = fnmatch.filter(names, str(pattern))
            if not matching:
                self.problems.add("renew", f"'{pattern}' matches no certificate of this call (authorities are rotated, not renewed)")
            renewed.update(matching)
        return frozenset(renewed)

    def _name(self, kind: str, entry: dict) -> str:
        name = str(entry.get("name") or "")
        if not _NAME.fullmatch(name):
            self.problems.add(f"{kind}[{name}].name", f"'{name}' cannot be a file's name; use letters, digits, '.', '_' and '-', not first '.' or '-'")
        elif len(name) > 200:
            self.problems.add(f"{kind}[{name[:20]}...].name", "is longer than 200 characters")
        return name

    def _known_authority(self, where: str, name: str) -> None:
        if name not in self.authority_names:
            self.problems.add(where, f"'{name}' is not an authority of this call; there are {', '.join(self.authority_names) or 'none'}")

    def _known_key_pair(self, where: str, name: str) -> None:
        types = {str(entry.get("name")): entry.get("type") or "ecdsa" for entry in self._entries("keys")}
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
            self.problems.add(f"{where}.subject.{unknown}", f"is not a field of a subject here; there are {', '.join(SUBJECT_FIELDS)}")
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
        if name == "C" and not re.fullmatch(r"[A-Z]{2}", text):
            self.problems.add(where, f"'{text}' is not a country's two capital letters (ISO 3166)")
        elif len(text) > SUBJECT_LENGTHS[name]:
            self.problems.add(where, f"'{text[:40]}...' has {len(text)} characters; RFC 5280 allows {SUBJECT_LENGTHS[name]}")
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
        kind = settings.get("type") or "ecdsa"
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa and ecdsa")
            return DEFAULT_KEY
        size = settings.get("size") or DEFAULT_KEY_SIZE[kind]
        if not _is_number(size) or int(size) not in KEY_SIZES[kind]:
            sizes = ", ".join(str(size) for size in KEY_SIZES[kind])
            self.problems.add(f"{where}.size", f"'{size}' is not a size of {kind} keys; there are {sizes}")
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

    def _unique_files(self, authorities: list[Wanted], certificates: list[Wanted], keys: list[WantedKey], bundles: list[WantedBundle]) -> None:
        owners: dict[str, str] = {}
        for kind, entries in (("authorities", authorities), ("certificates", certificates), ("keys", keys), ("bundles", bundles)):
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
                    self.problems.add(f"authorities[{authority.name}]", f"goes round in a circle: {' <- '.join([*line, current.name])}")
                    return authorities
                line.append(current.name)
                current = by_name.get(current.issuer or current.same_as or "")
            ordered.update((name, by_name[name]) for name in reversed(line))
            self._path_length(authority, by_name)
        return list(ordered.values())

    def _path_length(self, authority: Wanted, by_name: dict[str, Wanted]) -> None:
        """RFC 5280, 4.2.1.9: pathLenConstraint bounds the intermediates that may follow."""
        below = 0
        issuer = by_name.get(authority.issuer or "")
        while issuer is not None and below < len(by_name):
            if issuer.path_length is not None and issuer.path_length <= below:
                self.problems.add(f"authorities[{authority.name}].issuer", f"'{issuer.name}' has path_length {issuer.path_length}, so it cannot stand above it")
                return
            below += 1
            issuer = by_name.get(issuer.issuer or "")


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and re.fullmatch(r"\d{1,6}", str(value)) is not None


def file_names(entry: Wanted | WantedKey | WantedBundle) -> tuple[str, ...]:
    """The files that an entry stands for, as the documents name them."""
    if isinstance(entry, WantedBundle):
        return (f"{entry.name}.pem",)
    if isinstance(entry, WantedKey) and entry.type == "random":
        return (f"{entry.name}.key",)
    return (f"{entry.name}.pem", f"{entry.name}-key.pem")
