# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig files: one cluster, user and context merged into whatever else a file holds.

The format is clientcmd's (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible.module_utils.common.yaml import HAS_YAML, SafeDumper, SafeLoader

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import as_file

__all__ = [
    "HAS_YAML",
    "Entry",
    "InvalidKubeconfig",
    "absent",
    "diff_text",
    "held",
    "load",
    "merged",
    "reasons",
    "render",
    "resolve",
    "save",
]

LISTS = ("clusters", "users", "contexts")
SECRET_FIELDS = ("token", "password", "client-key-data")
CERTIFICATE_FIELDS = ("certificate-authority-data", "client-certificate-data")
IDENTITIES = ("client_certificate", "token", "token_file", "exec")
EXEC_API_VERSION = "client.authentication.k8s.io/v1"
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_CERTIFICATES = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_PLAIN = re.compile(r"[A-Za-z/(][^\n]")
_TOKEN = re.compile(r"[!-~]+")
_TO_COME = b"(issued by the run)"


if HAS_YAML:
    import yaml

    class _Loader(SafeLoader):
        """Reads as numbers what clients do: neither dates nor sexagesimal numbers (12:30), which would not survive being written."""

    class _Dumper(SafeDumper):
        """Quotes what a client would take for a number or a truth value where PyYAML would not: 1e3, 0o7, n."""

    _NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp")}
    _Loader.yaml_implicit_resolvers = {
        first: [entry for entry in entries if entry[0] not in _NUMBERS]
        for first, entries in SafeLoader.yaml_implicit_resolvers.items()
    }
    _Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(0|[1-9][0-9]*)$"), list("-0123456789"))
    _Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+$"), list("-0123456789")
    )

    def _represent_text(dumper: SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _PLAIN.match(text) else '"')

    _Dumper.add_representer(str, _represent_text)


def _dump(document: dict) -> str:
    return yaml.dump(document, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True)


class InvalidKubeconfig(HardwayError):
    """Arguments or a file that make no kubeconfig; ``problems`` holds one sentence for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Entry:
    """What one run adds to a file: names, and the bodies of the three entries."""

    cluster_name: str
    user_name: str
    context_name: str
    cluster: dict = field(default_factory=dict)
    user: dict = field(default_factory=dict)
    context: dict = field(default_factory=dict)


def resolve(arguments: dict, check_mode: bool = False) -> Entry:
    """Turn the module's arguments into entries; in check mode, certificates that are still to be issued stand for themselves."""
    return _Resolver(arguments, check_mode).entry()


class _Resolver:
    def __init__(self, arguments: dict, check_mode: bool) -> None:
        self.arguments = arguments
        self.check_mode = check_mode
        self.problems: list[str] = []

    def entry(self) -> Entry:
        cluster, user = self.arguments["cluster"], self.arguments["user"]
        context_name = self.arguments.get("context") or f"{user}@{cluster}"
        self.problems += [
            f"{name}: is empty. Fix: give a name" for name in ("cluster", "user") if not self.arguments[name].strip()
        ]
        context = {"cluster": cluster, "user": user}
        if self.arguments.get("namespace"):
            context["namespace"] = self.arguments["namespace"]
        entry = Entry(cluster, user, context_name, self._cluster(), self._user(), context)
        if self.problems:
            raise InvalidKubeconfig(self.problems)
        return entry

    def _cluster(self) -> dict:
        server = self.arguments.get("server") or ""
        cluster = {"server": server}
        try:
            address = urlsplit(server)
            valid = (
                address.scheme in ("http", "https")
                and bool(address.hostname)
                and (address.port is None or address.port > 0)
            )
        except ValueError:
            valid = False
        if not valid:
            self.problems.append(
                f"server: '{server}' is not the URL of an API server. Fix: give one such as https://10.33.0.100:6443 (brackets around IPv6)"
            )
        self._put_certificates(cluster, "certificate-authority", "certificate_authority")
        if self.arguments.get("tls_server_name"):
            cluster["tls-server-name"] = self.arguments["tls_server_name"]
        return cluster

    def _user(self) -> dict:
        given = [name for name in IDENTITIES if self.arguments.get(name)]
        if len(given) > 1:
            self.problems.append(f"{' and '.join(given)} exclude each other. Fix: give one of them")
        if bool(self.arguments.get("client_certificate")) != bool(self.arguments.get("client_key")):
            self.problems.append("client_certificate and client_key belong together. Fix: give both, or neither")
        elif not given:
            self.problems.append(
                "the user has no credentials. Fix: give client_certificate and client_key, token, token_file or exec"
            )
        user: dict = {}
        if self.arguments.get("token"):
            user["token"] = self._token("token", self.arguments["token"])
        elif self.arguments.get("token_file"):
            self._put_token_file(user)
        elif self.arguments.get("exec"):
            user["exec"] = self._exec(self.arguments["exec"])
        else:
            certificate = self._put_certificates(user, "client-certificate", "client_certificate")
            self._put_key(user, certificate)
        return user

    def _put_certificates(self, body: dict, name: str, argument: str) -> bytes:
        """One certificate or several, embedded or by path."""
        data = self._put(body, name, argument)
        if not data or data == _TO_COME:
            return data
        where = self._place(argument)
        if _CERTIFICATE not in data:
            self.problems.append(f"{argument}: {where} holds no certificate in PEM. Fix: name a certificate")
            return b""
        if not _are_readable(data):
            self.problems.append(
                f"{argument}: {where} holds a certificate that cannot be read. Fix: name another file, or issue it again"
            )
            return b""
        return data

    def _put_key(self, body: dict, certificate: bytes) -> None:
        data = self._put(body, "client-key", "client_key")
        if not data or data == _TO_COME:
            return
        path = self._place("client_key")
        if b"PRIVATE KEY-----" not in data:
            self.problems.append(f"client_key: {path} holds no private key in PEM. Fix: name a key")
        elif b"ENCRYPTED" in data:
            self.problems.append(
                f"client_key: {path} is protected by a passphrase, which a kubeconfig cannot have. Fix: give a key without a passphrase"
            )
        elif certificate and certificate != _TO_COME and not _match(certificate, data):
            self.problems.append(
                f"client_key: {path} is not the key of client_certificate. Fix: give the key that belongs to it"
            )

    def _put(self, body: dict, name: str, argument: str) -> bytes:
        """What an argument holds, as PEM or in the file that it names; nothing after a problem."""
        value = self.arguments.get(argument)
        if not value:
            return b""
        if _PEM.search(value):
            data = value.strip().encode() + b"\n"
            body[f"{name}-data"] = _encode(data)
            return data
        path = self._place(argument)
        data = self._read(argument, path)
        if self.arguments.get("embed", True):
            body[f"{name}-data"] = _encode(data)
        else:
            body[name] = path
        return data

    def _place(self, argument: str) -> str:
        value = self.arguments[argument]
        return "the PEM given" if _PEM.search(value) else os.path.abspath(os.path.expanduser(value))

    def _read(self, argument: str, path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            if self.check_mode:
                return _TO_COME
            self.problems.append(f"{argument}: {path} does not exist. Fix: correct the path")
        except OSError as error:
            self.problems.append(
                f"{argument}: {path} cannot be read: {error.strerror}. Fix: correct the path or its permissions"
            )
        else:
            if data.strip():
                return data
            self.problems.append(f"{argument}: {path} is empty. Fix: name another file")
        return b""

    def _put_token_file(self, user: dict) -> None:
        path = self._place("token_file")
        data = self._read("token_file", path)
        if data and data != _TO_COME:
            token = self._token("token_file", data.decode(errors="replace").strip())
        else:
            token = data.decode()
        if self.arguments.get("embed", True):
            user["token"] = token
        else:
            user["tokenFile"] = path

    def _token(self, argument: str, token: str) -> str:
        # never the token itself
        if token and not _TOKEN.fullmatch(token):
            self.problems.append(f"{argument}: a token is one word of visible ASCII characters. Fix: give such a token")
        return token

    def _exec(self, settings: dict) -> dict:
        if not (settings.get("command") or "").strip():
            self.problems.append("exec.command: is empty. Fix: name a command")
        plugin = {
            "apiVersion": settings.get("api_version") or EXEC_API_VERSION,
            "command": settings["command"],
            "interactiveMode": settings.get("interactive_mode") or "IfAvailable",
        }
        if settings.get("args"):
            plugin["args"] = [str(argument) for argument in settings["args"]]
        if settings.get("env"):
            plugin["env"] = [{"name": name, "value": str(value)} for name, value in sorted(settings["env"].items())]
        if settings.get("install_hint"):
            plugin["installHint"] = settings["install_hint"]
        if settings.get("provide_cluster_info"):
            plugin["provideClusterInfo"] = True
        return plugin


def _are_readable(data: bytes) -> bool:
    blocks = _CERTIFICATES.findall(data)
    try:
        # one by one: of several OpenSSL may pass over the last
        for block in blocks:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return len(blocks) == data.count(_CERTIFICATE)


def _match(certificate: bytes, key: bytes) -> bool:
    with as_file((certificate + b"\n" + key).decode("ascii", "replace")) as path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password="")
        except (ssl.SSLError, OSError):
            return False
    return True


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def load(path: str) -> tuple[dict, int | None]:
    """The document of a file and its mode; an empty document and None where there is no file."""
    content = files.read(path)
    if content is None:
        return {}, None
    try:
        document = yaml.load(content.data, Loader=_Loader) or {}
    except Exception as error:  # pylint: disable=broad-exception-caught  # the exceptions of a library that may be missing
        # The parser's message quotes the line that it stumbled over, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark is not None else ""
        raise InvalidKubeconfig([f"{path} is not YAML{place}. Fix: correct it or move it away"]) from None
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        raise InvalidKubeconfig([f"{path} is not a kubeconfig (kind: Config). Fix: move it away"])
    for name in LISTS:
        entries = document.get(name) or []
        if not isinstance(entries, list) or any(
            not isinstance(entry, dict) or "name" not in entry for entry in entries
        ):
            raise InvalidKubeconfig(
                [f"{path}: '{name}' is not a list of named entries. Fix: correct it or move it away"]
            )
        known = [entry["name"] for entry in entries]
        twice = sorted({str(entry) for entry in known if known.count(entry) > 1})
        if twice:
            raise InvalidKubeconfig(
                [
                    f"{path}: '{name}' has {', '.join(twice)} more than once, which no client reads. Fix: correct it or move it away"
                ]
            )
    return document, content.mode


def merged(document: dict, entry: Entry, make_current: bool) -> dict:
    """The document with the entry in its place; foreign entries and fields stay as they are, in their order."""
    changed = copy.deepcopy(document)
    changed.setdefault("apiVersion", "v1")
    changed.setdefault("kind", "Config")
    for name, key, entry_name, body in _bodies(entry):
        entries = changed.get(name) or []
        changed[name] = entries
        wanted = {"name": entry_name, key: body}
        places = [index for index, present in enumerate(entries) if present["name"] == entry_name]
        if places:
            entries[places[0]] = wanted
        else:
            entries.append(wanted)
    if make_current or not changed.get("current-context"):
        changed["current-context"] = entry.context_name
    return changed


def absent(document: dict, cluster: str, user: str, context: str) -> dict:
    """The document without the context, and without its cluster and user where no other context needs them."""
    changed = copy.deepcopy(document)
    contexts = [present for present in changed.get("contexts") or [] if present["name"] != context]
    if changed.get("contexts"):
        changed["contexts"] = contexts
    for name, key, entry_name in (("clusters", "cluster", cluster), ("users", "user", user)):
        needed = any((present.get("context") or {}).get(key) == entry_name for present in contexts)
        if changed.get(name) and not needed:
            changed[name] = [present for present in changed[name] if present["name"] != entry_name]
    if changed.get("current-context") == context:
        changed["current-context"] = ""
    return changed


def _bodies(entry: Entry) -> list[tuple[str, str, str, dict]]:
    return [
        ("clusters", "cluster", entry.cluster_name, entry.cluster),
        ("users", "user", entry.user_name, entry.user),
        ("contexts", "context", entry.context_name, entry.context),
    ]


def reasons(before: dict, after: dict) -> list[str]:
    """Which entries differ, by kind and name; values are not shown."""
    found = []
    for name in LISTS:
        standing = {entry["name"]: entry for entry in before.get(name) or []}
        wanted = {entry["name"]: entry for entry in after.get(name) or []}
        found += [
            f"{name[:-1]} {entry}" for entry in {**standing, **wanted} if standing.get(entry) != wanted.get(entry)
        ]
    if (before.get("current-context") or "") != (after.get("current-context") or ""):
        found.append("current context")
    return found


@contextmanager
def held(path: str, make: bool) -> Iterator[None]:
    """Hold the directory of the file, so that two runs that merge into it wait for each other and none leaves a lock behind."""
    directory = os.path.dirname(path)
    if make:
        files.make_directory(directory)
    with files.lock(os.path.realpath(directory), create=False):
        yield


def render(document: dict) -> bytes:
    return _dump(document).encode()


def save(path: str, document: dict) -> None:
    """Replace the file as a whole, 0600 from its first byte."""
    files.write(path, render(document), files.SECRET)


def diff_text(document: dict, other: dict | None = None) -> str:
    """The document with its secrets hidden; those that differ from the other document's say so."""
    if not document:
        return ""
    return _dump(_hidden(document, other if other is not None else document))


def _hidden(document: dict, other: dict) -> dict:
    shown = copy.deepcopy(document)
    for key in ("cluster", "user"):
        for entry in shown.get(f"{key}s") or []:
            _summarise(entry.get(key) or {})
    others = {user["name"]: user.get("user") or {} for user in other.get("users") or []}
    for entry in shown.get("users") or []:
        body = entry.get("user") or {}
        before = others.get(entry["name"], {})
        for name in SECRET_FIELDS:
            if name in body:
                body[name] = "(hidden)" if before.get(name) == body[name] else "(hidden, another)"
        if isinstance(body.get("exec"), dict) and body["exec"].get("env"):
            same = body["exec"]["env"] == (before.get("exec") or {}).get("env")
            body["exec"]["env"] = "(hidden)" if same else "(hidden, another)"
        if "auth-provider" in body:
            body["auth-provider"] = "(hidden)"
    return shown


def _summarise(body: dict) -> None:
    """Certificates as their number and a digest, instead of as base64."""
    for name in CERTIFICATE_FIELDS:
        if name not in body:
            continue
        try:
            data = base64.b64decode(body[name], validate=True)
        except (binascii.Error, TypeError, ValueError):
            data = b""
        count = data.count(_CERTIFICATE)
        if data == _TO_COME:
            body[name] = _TO_COME.decode()
        else:
            body[name] = (
                f"({count} certificate{'' if count == 1 else 's'}, SHA-256 of the PEM {hashlib.sha256(data).hexdigest()[:16]})"
            )
