# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of a request: each is read, checked, and its faults are collected."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t
from datetime import timedelta

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    CA_USAGES,
    DEFAULT_KEY,
    EXTENDED_KEY_USAGES,
    KEY_USAGES,
    SUBJECT_FIELDS,
    KeyType,
    Subject,
)

Entry = dict[str, t.Any]

# Upper bounds of RFC 5280, appendix A.1 (ub-common-name and its siblings).
SUBJECT_LENGTHS = {"C": 2, "ST": 128, "L": 128, "O": 64, "OU": 64, "CN": 64}
KEY_SIZES = {"rsa": tuple(range(2048, 4097, 256)), "ecdsa": (256, 384, 521)}
_SIZES_IN_WORDS = {"rsa": "2048 to 4096 in steps of 256", "ecdsa": "256, 384 and 521"}
DEFAULT_KEY_SIZE = {"rsa": 2048, "ecdsa": 256}
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
KEY_OPTIONS = frozenset({"type", "size"})
_DURATION = re.compile(r"(?:[0-9]{1,12}[smhdy])+")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+|urn:[^\s:]+:[^\s]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+=?^_`{|}~-]+"  # RFC 5322, 3.2.3
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@([^@*]+)")


def parse_duration(text: t.Any) -> timedelta:
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


def classify_host(host: t.Any) -> tuple[str, str]:
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


def is_number(value: t.Any) -> bool:
    return not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,6}", str(value)) is not None


def _is_encodable(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


@dataclasses.dataclass
class Problems:
    found: list[str] = dataclasses.field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        self.found.append(f"{where}: {text}")


class Values:
    """Reads values; *where* names the option of each, and *problems* collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems = Problems()

    def items(self, where: str, value: t.Any) -> list[t.Any]:
        if value is None or isinstance(value, (list, tuple)):
            return list(value or [])
        self.problems.add(where, "is not a list")
        return []

    def known_options(self, where: str, entry: Entry, options: frozenset[str]) -> None:
        for unknown in sorted(str(option) for option in entry if option not in options):
            self.problems.add(f"{where}.{unknown}", f"is not an option; there are {', '.join(sorted(options))}")

    def usages(self, where: str, usages: t.Any) -> tuple[frozenset[str], frozenset[str]]:
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
            elif usage in CA_USAGES:
                self.problems.add(
                    f"{where}.usages",
                    f"'{usage}' is for CAs alone; describe an intermediate under cas, with its issuer",
                )
            else:
                known = ", ".join([*KEY_USAGES, *EXTENDED_KEY_USAGES])
                self.problems.add(f"{where}.usages", f"'{usage}' is not a usage; there are {known}")
        # RFC 5280, 4.2.1.3: without keyAgreement these two mean nothing.
        if key_usages & {"encipher_only", "decipher_only"} and "key_agreement" not in key_usages:
            self.problems.add(f"{where}.usages", "'encipher only' and 'decipher only' need 'key agreement' beside them")
        return frozenset(key_usages), frozenset(extended)

    def passphrase(self, where: str, passphrase: t.Any) -> str | None:
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

    def flag(self, where: str, value: t.Any) -> bool:
        if value is not None and not isinstance(value, bool):
            self.problems.add(where, f"'{value}' is neither true nor false")
        return value is True

    def subject(self, where: str, subject: t.Any) -> Subject:
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

    def _subject_value(self, where: str, name: str, value: t.Any) -> str:
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

    def hosts(self, where: str, hosts: t.Any) -> frozenset[tuple[str, str]]:
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

    def key_type(self, where: str, key: t.Any) -> KeyType:
        if not isinstance(key or {}, dict):
            self.problems.add(where, "is not a mapping of type and size")
            return DEFAULT_KEY
        settings = key or {}
        self.known_options(where, settings, KEY_OPTIONS)
        kind = str(settings.get("type") or "ecdsa")
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa and ecdsa")
            return DEFAULT_KEY
        size = settings.get("size") or DEFAULT_KEY_SIZE[kind]
        if not is_number(size) or int(size) not in KEY_SIZES[kind]:
            self.problems.add(
                f"{where}.size", f"'{size}' is not a size of {kind} keys; there are {_SIZES_IN_WORDS[kind]}"
            )
            return DEFAULT_KEY
        return KeyType(kind, int(size))

    def duration(self, where: str, text: t.Any, shortest: timedelta = SHORTEST_VALIDITY) -> timedelta:
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
