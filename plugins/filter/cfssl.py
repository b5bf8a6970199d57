# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From cfssl's JSON files to the arguments of the module ``certificates``: documented in cfssl.yml."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import typing as t
from collections.abc import Callable, Iterable, Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import InvalidRequest, parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import DEFAULT_PROFILES

Json = dict[str, t.Any]

CONFIG = "ca-config.json"
REQUEST_SUFFIX = "-csr.json"
CA_REQUEST = f"ca{REQUEST_SUFFIX}"
# What cfssl takes where a file says nothing: initca.CAPolicy and csr.NewKeyRequest of github.com/cloudflare/cfssl.
CA_EXPIRY = "43800h"
KEY = {"algo": "ecdsa", "size": 256}
DEFAULT_PROFILE = "default"

# The shapes of the files: a type, a list of one shape, or an object; ANY stands for names of the user's own.
ANY = "*"
PROFILE = {"expiry": str, "usages": [str]}
CONFIG_SHAPE = {"signing": {"default": PROFILE, "profiles": {ANY: PROFILE}}}
REQUEST_SHAPE = {
    "CN": str,
    "hosts": [str],
    "key": {"algo": str, "size": int},
    "names": [{"C": str, "ST": str, "L": str, "O": str, "OU": str}],
    "ca": {"expiry": str, "pathlen": int, "pathlenzero": bool},
}
TYPE_WORDS = {
    bool: "true or false",
    str: "a text",
    int: "a number",
    float: "a fraction",
    list: "a list",
    Mapping: "an object",
}
# The module's arguments and the fields of the files that they come from.
FIELDS = {
    "subject": "CN",
    "subject.CN": "CN",
    "key": "key",
    "key.type": "key.algo",
    "key.size": "key.size",
    "validity": "ca.expiry",
    "path_length": "ca.pathlen",
    "usages": "usages",
    "": "CN",
}


@dataclasses.dataclass(frozen=True)
class _File:
    """A JSON file, or what stands for one; ``place`` is what messages call it."""

    place: str
    data: Json

    @property
    def name(self) -> str:
        return os.path.basename(self.place)

    @property
    def stem(self) -> str:
        return self.name.removesuffix(".json").removesuffix("-csr")

    @property
    def is_config(self) -> bool:
        return self.name == CONFIG or _has(self.data, "signing")

    @property
    def is_ca(self) -> bool:
        return self.name == CA_REQUEST or _has(self.data, "ca")


@dataclasses.dataclass
class _Problems:
    found: list[str] = dataclasses.field(default_factory=list)

    def add(self, place: str, where: str, text: str) -> None:
        self.found.append(": ".join(part for part in (place, where, text) if part))

    def end(self) -> None:
        if self.found:
            raise AnsibleFilterError("cfssl: " + "\n".join(self.found))


def cfssl(
    source: str | Iterable[str] | Mapping,
    ca: str = "ca",
    profile: str = "",
    certificates: Mapping | None = None,
    import_from: Mapping | None = None,
) -> Json:
    """What the files ask for; see cfssl.yml for the arguments."""
    problems = _Problems()
    chosen = _chosen(certificates or {}, problems)
    files = _files(source, [entry["file"] for entry in chosen.values()], problems)
    problems.end()
    request = _Request(files, ca, profile, chosen, import_from, problems)
    return request.arguments()


# --- Reading -------------------------------------------------------------------------------------------------------------------------------


def _chosen(certificates: Mapping, problems: _Problems) -> dict[str, Json]:
    """The argument `certificates`: a file's name, or a dictionary with `file` and `profile`, by the name of the certificate."""
    chosen = {}
    for name, entry in certificates.items():
        settings = {"file": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or not settings.get("file") or set(settings) - {"file", "profile"}:
            problems.add(
                "certificates",
                str(name),
                "is neither a file's name nor a dictionary with file and profile; write {server: config.json}",
            )
        else:
            chosen[str(name)] = {key: str(value) for key, value in settings.items()}
    problems.end()
    return chosen


def _files(source: t.Any, named: list[str], problems: _Problems) -> list[_File]:
    if isinstance(source, Mapping):
        texts = {str(name): text for name, text in source.items()}
    else:
        texts = {path: _text(path, problems) for path in _paths(source, named, problems)}
    files = []
    for place, text in texts.items():
        data = _parsed(place, text, problems)
        if data is not None:
            files.append(_File(place, data))
    return files


def _paths(source: t.Any, named: list[str], problems: _Problems) -> list[str]:
    paths: dict[str, None] = {}
    for path in [source] if isinstance(source, str) else list(source):
        absolute = os.path.abspath(os.path.expanduser(str(path)))
        if os.path.isdir(absolute):
            names = sorted(
                name
                for name in os.listdir(absolute)
                if name == CONFIG or name.endswith(REQUEST_SUFFIX) or name in named
            )
            if not names:
                problems.add(
                    absolute,
                    "",
                    f"holds neither {CONFIG} nor any *{REQUEST_SUFFIX}; name the directory that does, or the files themselves",
                )
            paths.update(dict.fromkeys(os.path.join(absolute, name) for name in names))
        else:
            paths[absolute] = None
    if not paths:
        problems.add("", "", f"is given no file; name {CONFIG}, {CA_REQUEST} and the others, or their directory")
    return list(paths)


def _text(path: str, problems: _Problems) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except UnicodeDecodeError as error:
        problems.add(path, "", f"is not UTF-8 (byte {error.start}); save it as such")
    except OSError as error:
        problems.add(
            path, "", f"{error.strerror}; name a file of cfssl, or a directory with such files, on the controller"
        )
    return None


def _parsed(place: str, text: t.Any, problems: _Problems) -> Json | None:
    if text is None:
        return None
    try:
        data = json.loads(text) if isinstance(text, str) else text
    except json.JSONDecodeError as error:
        problems.add(
            place,
            f"line {error.lineno}, column {error.colno}",
            f"is not JSON ({error.msg}); look for a comma or a bracket too many or too few",
        )
        return None
    if not isinstance(data, Mapping):
        problems.add(place, "", f"holds {_type_word(data)}, not an object in braces")
        return None
    is_config = os.path.basename(place) == CONFIG or _has(data, "signing")
    before = len(problems.found)
    shaped = _shaped(dict(data), CONFIG_SHAPE if is_config else REQUEST_SHAPE, place, "", problems)
    return shaped if len(problems.found) == before else None


def _has(data: Mapping, name: str) -> bool:
    return any(str(key).lower() == name for key in data)


def _type_word(value: t.Any) -> str:
    return next((word for known, word in TYPE_WORDS.items() if isinstance(value, known)), "nothing")


def _shaped(value: t.Any, shape: t.Any, place: str, where: str, problems: _Problems) -> t.Any:
    """The value with its fields spelled as cfssl's documents do; all that does not fit becomes a problem. null is as if it were not there."""
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            problems.add(place, where, f"is {_type_word(value)}, not an object in braces")
            return {}
        return _shaped_object(value, shape, place, where, problems)
    if isinstance(shape, list):
        if not isinstance(value, (list, tuple)):
            problems.add(place, where, f"is {_type_word(value)}, not a list in brackets")
            return []
        return [_shaped(item, shape[0], place, f"{where}[{number}]", problems) for number, item in enumerate(value)]
    if not isinstance(value, shape) or isinstance(value, bool) != (shape is bool):
        fix = (
            "; write it without quotes"
            if shape in (int, bool) and isinstance(value, str)
            else "; write it in quotes"
            if shape is str
            else ""
        )
        problems.add(place, where, f"is {_type_word(value)}, not {TYPE_WORDS[shape]}{fix}")
    return value


def _shaped_object(value: Mapping, shape: Json, place: str, where: str, problems: _Problems) -> Json:
    # As Go's encoding/json, which cfssl reads with, the case of a field's letters does not matter.
    known = {name.lower(): name for name in shape}
    found = {}
    for key, item in value.items():
        name = str(key) if ANY in shape else known.get(str(key).lower())
        inner = f"{where}.{name or key}".lstrip(".")
        if name is None:
            # cfssl passes over what it does not know; a misspelt `hosts` then makes a certificate without names.
            near = difflib.get_close_matches(str(key).lower(), list(known), 1)
            fix = f"'{known[near[0]]}' is near" if near else "remove it"
            problems.add(
                place, inner, f"is not a field that the module certificates has; there are {', '.join(shape)}: {fix}"
            )
        elif item is not None:
            found[name] = _shaped(item, shape.get(ANY) or shape[name], place, inner, problems)
    return found


# --- Translating ---------------------------------------------------------------------------------------------------------------------------


class _Request:
    """The files as arguments of the module, and where in the files each of them comes from."""

    def __init__(
        self,
        files: list[_File],
        ca: str,
        profile: str,
        chosen: dict[str, Json],
        import_from: Mapping | None,
        problems: _Problems,
    ) -> None:
        self.ca = ca
        self.profile = profile
        self.chosen = chosen
        self.import_from = import_from
        self.problems = problems
        self.config = self._one([file for file in files if file.is_config], "a configuration with profiles")
        self.requests = [file for file in files if not file.is_config]
        self.profiles = _profiles(self.config.data) if self.config else {}
        self.places: dict[str, str] = {}

    def _one(self, files: list[_File], what: str, fix: str = "") -> _File | None:
        if len(files) > 1:
            places = _listed([file.place for file in files])
            self.problems.add(
                places, "", f"each is {what}, and one is what counts; {fix}call the filter once for each CA"
            )
        return files[0] if files else None

    def arguments(self) -> Json:
        cas = self._cas()
        certificates = [self._certificate(name, file, profile) for name, file, profile in self._named_requests()]
        self.problems.end()
        arguments = {"cas": cas, "profiles": self.profiles, "certificates": certificates}
        self._check(arguments)
        return arguments

    def _cas(self) -> list[Json]:
        requests = [file for file in self.requests if file.is_ca]
        file = self._one(
            requests,
            f"a CA's (by a section 'ca', or by the name {CA_REQUEST})",
            "remove the section, or ",
        )
        if self.import_from:
            return [{"name": self.ca, "import_from": dict(self.import_from)}]
        if file is None:
            return []
        self.places[f"cas[{self.ca}]"] = file.place
        section = file.data.get("ca") or {}
        entry = {
            "name": self.ca,
            "subject": _subject(file.data),
            "key": _key(file.data),
            "validity": section.get("expiry") or CA_EXPIRY,
        }
        path_length = _path_length(section)
        return [entry if path_length is None else {**entry, "path_length": path_length}]

    def _named_requests(self) -> list[tuple[str, _File, str]]:
        """The certificates, in the order of the files: those that the argument names, and each other file under its own name."""
        found = []
        used = set()
        leaves = [file for file in self.requests if not file.is_ca]
        for name, entry in self.chosen.items():
            matching = [file for file in leaves if entry["file"] in (file.name, file.place)]
            if len(matching) != 1:
                problem = (
                    "is not among the files" if not matching else "is the name of several files; write its whole path"
                )
                self.problems.add(
                    "certificates",
                    f"{name}.file",
                    f"'{entry['file']}' {problem}; there are {_listed([file.place for file in leaves])}",
                )
                continue
            used.add(matching[0].place)
            found.append((name, matching[0], entry.get("profile", "")))
        found += [(file.stem, file, "") for file in leaves if file.place not in used]
        return found

    def _certificate(self, name: str, file: _File, profile: str) -> Json:
        self.places[f"certificates[{name}]"] = file.place
        return {
            "name": name,
            "ca": self.ca,
            "profile": self._profile(name, file, profile or self.profile),
            "subject": _subject(file.data),
            "hosts": list(file.data.get("hosts") or []),
            "key": _key(file.data),
        }

    def _profile(self, name: str, file: _File, asked: str) -> str:
        """What stands behind -profile= in the documents' commands: what was asked for, the only one there is, or the one of the certificate's name."""
        known = self.profiles if self.config else DEFAULT_PROFILES
        place = self.config.place if self.config else "the module's own"
        if asked or not self.config:
            asked = asked or "kubernetes"
            if asked not in known:
                self.problems.add(
                    file.place, "profile", f"'{asked}' is not a profile of {place}; there are {_listed(known)}"
                )
            return asked
        if len(known) == 1:
            return next(iter(known))
        if name not in known:
            fix = f"name one, such as profile='{next(iter(known), '')}' or certificates={{'{name}': {{'file': '{file.name}', 'profile': ...}}}}"
            fix = fix if known else "add one"
            self.problems.add(file.place, "profile", f"{place} has {_listed(known)}, and none is called {name}: {fix}")
        return name

    def _check(self, arguments: Json) -> None:
        """The module's own judgement, said in the files' words, so that there is one rule for each thing."""
        cas = arguments["cas"] or [{"name": self.ca, "subject": {"CN": self.ca}}]
        try:
            parse_request({**arguments, "cas": cas})
        except InvalidRequest as error:
            for problem in error.problems:
                self.problems.add("", "", self._in_the_files_words(problem))
        self.problems.end()

    def _in_the_files_words(self, problem: str) -> str:
        where, separator, text = problem.partition(": ")
        parts = re.fullmatch(r"(\w+)\[(.*?)\]\.?(.*)", where)
        if not separator or parts is None:
            return problem
        kind, name, argument = parts.groups()
        if kind == "profiles" and self.config and name in self.profiles:
            return f"{self.config.place}: signing.profiles.{name}.{'expiry' if argument == 'validity' else argument}: {text}"
        place = self.places.get(f"{kind}[{name}]", where)
        if argument == "name":
            return f"{place}: its name: {text}; rename it, or name the certificate in the argument certificates"
        return f"{place}: {FIELDS.get(argument) or argument.replace('subject.', 'names.')}: {text}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _profiles(config: Json) -> dict[str, Json]:
    signing = config.get("signing") or {}
    default = signing.get("default") or {}
    profiles = signing.get("profiles") or {}
    # cfssl signs with `default` where no -profile is given, which needs usages of its own.
    named = {DEFAULT_PROFILE: default, **profiles} if default.get("usages") else profiles
    found = {}
    for name, settings in named.items():
        expiry = settings.get("expiry") or default.get("expiry")
        found[name] = {"usages": settings.get("usages") or [], **({"validity": expiry} if expiry else {})}
    return found


def _subject(request: Json) -> Json:
    """`names` may be a list of several; each field takes what all of them say of it."""
    values: dict[str, list[str]] = {}
    for names in request.get("names") or []:
        for name, value in names.items():
            if value:
                values.setdefault(name, []).append(value)
    subject: dict[str, object] = {name: found if len(found) > 1 else found[0] for name, found in values.items()}
    return {**subject, "CN": request["CN"]} if request.get("CN") else subject


def _key(request: Json) -> Json:
    key = {**KEY, **(request.get("key") or {})}
    return {"type": key["algo"], "size": key["size"]}


def _path_length(section: Json) -> int | None:
    """cfssl's zero means no limit, unless `pathlenzero` says that it is meant; -1 is how it writes no limit."""
    length = section.get("pathlen", 0)
    if length == 0:
        return 0 if section.get("pathlenzero") else None
    return None if length == -1 else length


class FilterModule:
    def filters(self) -> dict[str, Callable[..., t.Any]]:
        return {"cfssl": cfssl}
