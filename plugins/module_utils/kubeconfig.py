# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig files: one cluster, user and context merged into whatever else a file holds.

The format is clientcmd's (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/).
"""
from __future__ import annotations

import base64
import copy
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Iterator
from urllib.parse import urlsplit

from ansible.module_utils.common.yaml import HAS_YAML, yaml_dump, yaml_load
from ansible_collections.hardway.kubernetes.plugins.module_utils import private_files as files

__all__ = ["HAS_YAML", "Entry", "InvalidKubeconfig", "absent", "diff_text", "held", "load", "merged", "reasons", "render", "resolve", "save"]

LISTS = ("clusters", "users", "contexts")
SECRET_FIELDS = ("token", "password", "client-key-data")
EXEC_API_VERSION = "client.authentication.k8s.io/v1"
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----")


class InvalidKubeconfig(Exception):
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
            valid = address.scheme in ("http", "https") and bool(address.hostname) and (address.port is None or address.port > 0)
        except ValueError:
            valid = False
        if not valid:
            self.problems.append(f"server: '{server}' is not an address such as https://10.33.0.100:6443 (brackets around IPv6)")
        self._put(cluster, "certificate-authority", "certificate_authority", "CERTIFICATE")
        if self.arguments.get("tls_server_name"):
            cluster["tls-server-name"] = self.arguments["tls_server_name"]
        return cluster

    def _user(self) -> dict:
        given = [name for name in ("client_certificate", "token", "exec") if self.arguments.get(name)]
        if len(given) > 1:
            self.problems.append(f"{' and '.join(given)} exclude each other")
        if bool(self.arguments.get("client_certificate")) != bool(self.arguments.get("client_key")):
            self.problems.append("client_certificate and client_key belong together")
        user: dict = {}
        if self.arguments.get("token"):
            user["token"] = self.arguments["token"]
        elif self.arguments.get("exec"):
            user["exec"] = _exec(self.arguments["exec"])
        else:
            self._put(user, "client-certificate", "client_certificate", "CERTIFICATE")
            self._put(user, "client-key", "client_key", "PRIVATE KEY")
        return user

    def _put(self, body: dict, name: str, argument: str, kind: str) -> None:
        """A certificate or a key, embedded or by path."""
        value = self.arguments.get(argument)
        if not value:
            return
        if _PEM.search(value):
            if kind not in value:
                self.problems.append(f"{argument}: is PEM, but no {kind.lower()}")
            body[f"{name}-data"] = _encode(value.strip().encode() + b"\n")
            return
        path = os.path.abspath(os.path.expanduser(value))
        if not self.arguments.get("embed", True):
            body[name] = path
            return
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            if self.check_mode:
                body[f"{name}-data"] = _encode(b"(issued by the run)")
            else:
                self.problems.append(f"{argument}: {path} does not exist")
            return
        except OSError as error:
            self.problems.append(f"{argument}: {path} cannot be read: {error.strerror}")
            return
        if kind.encode() not in data:
            self.problems.append(f"{argument}: {path} holds no {kind.lower()} in PEM")
        body[f"{name}-data"] = _encode(data)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _exec(settings: dict) -> dict:
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
    return plugin


def load(path: str) -> tuple[dict, int | None]:
    """The document of a file and its mode; an empty document and None where there is no file."""
    content = files.read(path)
    if content is None:
        return {}, None
    try:
        document = yaml_load(content.data) or {}
    except Exception as error:  # pylint: disable=broad-exception-caught  # the exceptions of a library that may be missing
        # The parser's message quotes the line that it stumbled over, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark is not None else ""
        raise InvalidKubeconfig([f"{path} is not YAML{place}; mend it or move it away"]) from None
    if not isinstance(document, dict) or document.get("kind", "Config") != "Config":
        raise InvalidKubeconfig([f"{path} is not a kubeconfig (kind: Config); move it away"])
    for name in LISTS:
        entries = document.get(name) or []
        if not isinstance(entries, list) or any(not isinstance(entry, dict) or "name" not in entry for entry in entries):
            raise InvalidKubeconfig([f"{path}: '{name}' is not a list of named entries; mend it or move it away"])
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
        found += [f"{name[:-1]} {entry}" for entry in {**standing, **wanted} if standing.get(entry) != wanted.get(entry)]
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
    return yaml_dump(document, default_flow_style=False, sort_keys=False).encode()


def save(path: str, document: dict) -> None:
    """Replace the file as a whole, 0600 from its first byte."""
    files.write(path, render(document), files.SECRET)


def diff_text(document: dict, other: dict | None = None) -> str:
    """The document with its secrets hidden; those that differ from the other document's say so."""
    if not document:
        return ""
    return yaml_dump(_hidden(document, other if other is not None else document), default_flow_style=False, sort_keys=False)


def _hidden(document: dict, other: dict) -> dict:
    shown = copy.deepcopy(document)
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
