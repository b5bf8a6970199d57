# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of the module ``certificates`` as a request.

`parse_request` either returns a complete request or raises `InvalidRequest` with every problem that it found, each naming
the entry and its option.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t
from datetime import timedelta

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import (
    DEFAULT_PROFILES,
    DEFAULT_VALIDITY,
    UNFIT_USAGES,
    BundleSpec,
    CertificateSpec,
    Import,
    KeySpec,
    Request,
    Subject,
    file_names,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.values import (
    KEY_SIZES,
    LONGEST_VALIDITY,
    Entry,
    Problems,
    Values,
    is_number,
)

OPTIONS = {
    "cas": frozenset(
        {
            "name",
            "subject",
            "key",
            "validity",
            "issuer",
            "path_length",
            "passphrase",
            "old_passphrase",
            "import_from",
            "copy_of",
            "existing",
        }
    ),
    "certificates": frozenset({"name", "ca", "profile", "subject", "hosts", "key", "validity", "chain"}),
    "keys": frozenset({"name", "type", "size", "existing"}),
    "bundles": frozenset({"name", "cas", "keys"}),
}
# cfssl calls it expiry.
PROFILE_OPTIONS = frozenset({"usages", "validity", "expiry"})
IMPORT_OPTIONS = frozenset({"certificate", "key", "passphrase"})
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class InvalidRequest(Exception):
    """The arguments contradict themselves or the standard; ``problems`` holds one sentence for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclasses.dataclass
class _Profile:
    key_usages: frozenset[str]
    extended_key_usages: frozenset[str]
    validity: timedelta


def parse_request(arguments: Entry) -> Request:
    """Judge the arguments of the module; raises InvalidRequest with every problem at once."""
    return _Parser(arguments).parse()


class _Parser:
    def __init__(self, arguments: Entry) -> None:
        self.arguments = arguments
        self.values = Values()
        self.problems = self.values.problems
        self.profiles: dict[str, _Profile] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.nameless: set[str] = set()
        self.ca_names: list[str] = []

    def parse(self) -> Request:
        self.entries = {kind: self._entries(kind) for kind in OPTIONS}
        self.ca_names = [str(entry.get("name")) for entry in self.entries["cas"]]
        self.profiles = self._profiles()
        cas = [self._ca(entry) for entry in self.entries["cas"]]
        certificates = [self._certificate(entry) for entry in self.entries["certificates"]]
        keys = [self._key(entry) for entry in self.entries["keys"]]
        bundles = [self._bundle(entry) for entry in self.entries["bundles"]]
        renew_before = self.values.duration("renew_before", self.arguments.get("renew_before") or "720h", timedelta())
        renew = _renewed(self.values.items("renew", self.arguments.get("renew")), certificates, self.problems)
        _check_files_are_unique(self.problems, cas, certificates, keys, bundles)
        ordered = _issuers_first(self.problems, cas)
        if self.problems.found:
            raise InvalidRequest(self.problems.found)
        return Request(
            cas=tuple(ordered),
            certificates=tuple(certificates),
            keys=tuple(keys),
            bundles=tuple(bundles),
            renew_before=renew_before,
            renew=renew,
            renew_keys=bool(self.arguments.get("renew_keys")),
            purge=bool(self.arguments.get("purge")),
            keep=tuple(self.arguments.get("keep") or ()),
        )

    def _entries(self, kind: str) -> list[Entry]:
        entries = []
        for number, entry in enumerate(self.values.items(kind, self.arguments.get(kind)), 1):
            if not isinstance(entry, dict):
                self.problems.add(f"{kind}[number {number}]", "is not a mapping")
                continue
            if entry.get("name") in (None, ""):
                self.problems.add(f"{kind}[number {number}].name", "is missing")
                entry = {**entry, "name": f"number {number}"}
                self.nameless.add(entry["name"])
            self.values.known_options(f"{kind}[{entry['name']}]", entry, OPTIONS[kind])
            entries.append(entry)
        return entries

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
            self.values.known_options(where, settings, PROFILE_OPTIONS)
            # A profile that has only another validity keeps the usages that its name stands for.
            usages = settings.get("usages") or DEFAULT_PROFILES.get(name, {}).get("usages")
            validity = settings.get("validity") or settings.get("expiry") or DEFAULT_VALIDITY
            key_usages, extended = self.values.usages(where, usages)
            profiles[name] = _Profile(key_usages, extended, self.values.duration(f"{where}.validity", validity))
        return profiles

    def _ca(self, entry: Entry) -> CertificateSpec:
        name = self._name("cas", entry)
        where = f"cas[{name}]"
        issuer = self._above(f"{where}.issuer", entry.get("issuer"))
        copy_of = self._above(f"{where}.copy_of", entry.get("copy_of"))
        passphrase = self.values.passphrase(f"{where}.passphrase", entry.get("passphrase"))
        old_passphrase = self.values.passphrase(f"{where}.old_passphrase", entry.get("old_passphrase"))
        if copy_of is not None and (passphrase or old_passphrase):
            self.problems.add(f"{where}.passphrase", f"is that of '{copy_of}', of which this is a copy; give it there")
        import_from = self._import(where, entry.get("import_from"))
        existing = self.values.flag(f"{where}.existing", entry.get("existing"))
        origins = [
            word
            for word, value in (
                ("issuer", issuer),
                ("copy_of", copy_of),
                ("import_from", import_from),
                ("existing", existing),
            )
            if value
        ]
        if len(origins) > 1:
            self.problems.add(where, f"{' and '.join(origins)} exclude each other")
        path_length = entry.get("path_length")
        if path_length is not None and (not is_number(path_length) or int(path_length) > 32):
            self.problems.add(f"{where}.path_length", f"'{path_length}' is not a number from 0 to 32")
            path_length = None
        subject = Subject(())
        if copy_of is None and import_from is None and not existing:
            subject = self.values.subject(where, entry.get("subject"))
            if not subject.attributes:
                # RFC 5280, 4.1.2.6: the subject of a CA is never empty.
                self.problems.add(f"{where}.subject", "is empty; a CA needs at least a CN")
        return CertificateSpec(
            name=name,
            subject=subject,
            key=self.values.key_type(f"{where}.key", entry.get("key")),
            validity=self.values.duration(f"{where}.validity", entry.get("validity") or DEFAULT_VALIDITY),
            issuer=issuer,
            is_ca=True,
            path_length=int(path_length) if path_length is not None else None,
            passphrase=passphrase,
            old_passphrase=old_passphrase,
            import_from=import_from,
            copy_of=copy_of,
            existing=existing,
            key_usages=frozenset({"key_cert_sign", "crl_sign"}),
        )

    def _import(self, where: str, import_from: t.Any) -> Import | None:
        if not import_from:
            return None
        if not isinstance(import_from, dict) or not import_from.get("certificate") or not import_from.get("key"):
            self.problems.add(f"{where}.import_from", "needs the paths of both, certificate and key")
            return None
        self.values.known_options(f"{where}.import_from", import_from, IMPORT_OPTIONS)
        passphrase = self.values.passphrase(f"{where}.import_from.passphrase", import_from.get("passphrase"))
        return Import(str(import_from["certificate"]), str(import_from["key"]), passphrase)

    def _above(self, where: str, name: t.Any) -> str | None:
        if name in (None, ""):
            return None
        self._known_ca(where, str(name))
        return str(name)

    def _certificate(self, entry: Entry) -> CertificateSpec:
        name = self._name("certificates", entry)
        where = f"certificates[{name}]"
        ca = self._above(f"{where}.ca", entry.get("ca"))
        if ca is None:
            self.problems.add(f"{where}.ca", "is missing; name the CA that signs it")
        profile = self._profile(where, str(entry.get("profile") or "kubernetes"))
        subject = self.values.subject(where, entry.get("subject"))
        names = self.values.hosts(where, entry.get("hosts"))
        if not subject.attributes and not names:
            self.problems.add(where, "has neither a subject nor hosts; give it at least subject.CN or one host")
        key = self.values.key_type(f"{where}.key", entry.get("key"))
        key_usages = profile.key_usages - UNFIT_USAGES[key.type]
        if profile.key_usages and not key_usages:
            # Without any the extension would be left out, which allows every usage.
            self.problems.add(
                f"{where}.profile",
                f"none of its key usages fits the key, {key}; give it 'signing', or the certificate another type of key",
            )
        validity = profile.validity
        if entry.get("validity"):
            validity = self.values.duration(f"{where}.validity", entry["validity"])
        return CertificateSpec(
            name=name,
            subject=subject,
            key=key,
            validity=validity,
            issuer=ca,
            names=names,
            key_usages=key_usages,
            extended_key_usages=profile.extended_key_usages,
            chain=self.values.flag(f"{where}.chain", entry.get("chain")),
        )

    def _profile(self, where: str, name: str) -> _Profile:
        if name not in self.profiles:
            self.problems.add(
                f"{where}.profile", f"'{name}' is not a profile; there are {', '.join(sorted(self.profiles))}"
            )
            return _Profile(frozenset(), frozenset(), LONGEST_VALIDITY)
        return self.profiles[name]

    def _key(self, entry: Entry) -> KeySpec:
        name = self._name("keys", entry)
        where = f"keys[{name}]"
        kind = str(entry.get("type") or "ecdsa")
        existing = self.values.flag(f"{where}.existing", entry.get("existing"))
        if kind == "random":
            size = entry.get("size") or 32
            if not is_number(size) or not 16 <= int(size) <= 1024:
                self.problems.add(f"{where}.size", f"'{size}' is not a number of bytes from 16 to 1024")
                size = 32
            return KeySpec(name, "random", int(size), existing)
        if kind not in KEY_SIZES:
            self.problems.add(f"{where}.type", f"'{kind}' is not a type of key; there are rsa, ecdsa and random")
            kind = "ecdsa"
        key_type = self.values.key_type(where, {"type": kind, "size": entry.get("size")})
        return KeySpec(name, key_type.type, key_type.size, existing)

    def _bundle(self, entry: Entry) -> BundleSpec:
        name = self._name("bundles", entry)
        where = f"bundles[{name}]"
        cas, keys = (
            list(map(str, self.values.items(f"{where}.{option}", entry.get(option)))) for option in ("cas", "keys")
        )
        if not cas and not keys:
            self.problems.add(where, "is empty; name at least one of cas, or of keys")
        elif cas and keys:
            self.problems.add(where, "cas and keys exclude each other; a bundle holds certificates or public keys")
        for ca in cas:
            self._known_ca(f"{where}.cas", ca)
        for key in keys:
            self._known_key_pair(f"{where}.keys", key)
        return BundleSpec(name, tuple(cas), tuple(keys))

    def _name(self, kind: str, entry: Entry) -> str:
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

    def _known_ca(self, where: str, name: str) -> None:
        if name not in self.ca_names:
            self.problems.add(
                where,
                f"'{name}' is not a CA of this call; there are {', '.join(self.ca_names) or 'none'}",
            )

    def _known_key_pair(self, where: str, name: str) -> None:
        types = {str(entry.get("name")): entry.get("type") or "ecdsa" for entry in self.entries["keys"]}
        if name not in types:
            self.problems.add(where, f"'{name}' is not a key of this call; there are {', '.join(types) or 'none'}")
        elif types[name] == "random":
            self.problems.add(where, f"'{name}' is random bytes, which have no public key")


def _renewed(patterns: list[t.Any], certificates: list[CertificateSpec], problems: Problems) -> frozenset[str]:
    names = [certificate.name for certificate in certificates]
    renewed: set[str] = set()
    for pattern in patterns:
        matching = fnmatch.filter(names, str(pattern))
        if not matching:
            problems.add("renew", f"'{pattern}' matches no certificate of this call (CAs are rotated, not renewed)")
        renewed.update(matching)
    return frozenset(renewed)


def _check_files_are_unique(
    problems: Problems,
    cas: list[CertificateSpec],
    certificates: list[CertificateSpec],
    keys: list[KeySpec],
    bundles: list[BundleSpec],
) -> None:
    owners: dict[str, str] = {}
    for kind, entries in (
        ("cas", cas),
        ("certificates", certificates),
        ("keys", keys),
        ("bundles", bundles),
    ):
        for entry in entries:
            owner = f"{kind}[{entry.name}]"
            for file in file_names(entry):
                if file in owners:
                    problems.add(f"{owner}.name", f"its file {file} is that of {owners[file]} already")
                    break
                owners[file] = owner


def _issuers_first(problems: Problems, cas: list[CertificateSpec]) -> list[CertificateSpec]:
    by_name = {ca.name: ca for ca in cas}
    ordered: dict[str, CertificateSpec] = {}
    for ca in cas:
        line: list[str] = []
        current: CertificateSpec | None = ca
        while current is not None and current.name not in ordered:
            if current.name in line:
                problems.add(
                    f"cas[{ca.name}]",
                    f"goes round in a circle: {' <- '.join([*line, current.name])}",
                )
                return cas
            line.append(current.name)
            current = by_name.get(current.issuer or current.copy_of or "")
        ordered.update((name, _like_its_original(by_name[name], ordered)) for name in reversed(line))
    return list(ordered.values())


def _like_its_original(ca: CertificateSpec, ordered: dict[str, CertificateSpec]) -> CertificateSpec:
    original = ordered.get(ca.copy_of or "")
    return (
        dataclasses.replace(ca, passphrase=original.passphrase, old_passphrase=original.old_passphrase)
        if original is not None
        else ca
    )
