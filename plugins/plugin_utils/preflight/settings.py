# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of settings: spelling, types, choices, paths, and those with rules of their own."""

from __future__ import annotations

import os
import re
import typing as t
from collections.abc import Iterator
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import static_token
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import UNRESOLVED, Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import WARNING, Kind, Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.text import SIMILAR, nearest

SECRET_NAME = re.compile(r"pass|secret|token|key\b|credential", re.IGNORECASE)
TRUTH = {"true", "false", "yes", "no", "on", "off", "1", "0"}
WORDS = {
    "bool": "a boolean",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "a dictionary",
    "str": "a string",
    "path": "a path",
}
EXAMPLE_VALUES = {
    "bool": "true or false",
    "int": "a number without quotes",
    "float": "a number",
    "list": "[a, b]",
    "dict": "{name: value}",
    "str": "text in quotes",
    "path": "an absolute path",
}


def secret(name: str, spec: dict | None = None) -> bool:
    return bool((spec or {}).get("no_log")) or SECRET_NAME.search(name) is not None


def shown(name: str, value: t.Any, spec: dict | None = None) -> str:
    """A value for a message: never a secret, never long."""
    if secret(name, spec):
        return "the value"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind_of(value: t.Any) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        tuple: "a list",
        dict: "a dictionary",
    }
    for kind, name in names.items():
        if isinstance(value, kind):
            return name
    return "nothing" if value is None else type(value).__name__


def fits(value: t.Any, kind: str) -> bool:
    """Whether a role can use a value as this kind. A string that reads as a number or a boolean does: -e and INI files give strings."""
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, (int, str)) and str(value).lower() in TRUTH)
    if kind == "int":
        return (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, str) and re.match(r"-?\d+\Z", value.strip()) is not None
        )
    if kind == "float":
        return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (
            isinstance(value, str) and re.match(r"-?\d+(\.\d+)?\Z", value) is not None
        )
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, dict)
    if kind in ("str", "path"):
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return True


def check_value(name: str, value: t.Any, spec: dict, place: str, hidden: bool = False) -> Iterator[Problem]:
    """A value against its entry in argument_specs, and what is in it against the entry's elements and options."""
    if value is None or value is UNRESOLVED:
        if value is None and spec.get("required"):
            yield Problem(
                Kind.WRONG_KIND_OF_VALUE,
                place,
                f"{name} must have a value.",
                "Set a value, or remove the setting to use its default.",
            )
        return
    kind = spec.get("type", "str")
    hidden = hidden or secret(name, spec)
    if not fits(value, kind):
        value_text = "" if hidden or isinstance(value, (dict, list, tuple)) else f" ({shown(name, value, spec)})"
        yield Problem(
            Kind.WRONG_KIND_OF_VALUE,
            place,
            f"{name} is {kind_of(value)}{value_text} and must be {WORDS.get(kind, kind)}.",
            f"Write {EXAMPLE_VALUES.get(kind, kind)}. `ansible-doc -t role` describes the setting.",
        )
        return
    yield from check_choice(name, value, spec, place, hidden)
    if kind == "list":
        element = {"type": spec.get("elements", "raw"), "options": spec.get("options")}
        for index, item in enumerate(value):
            yield from check_value(f"{name}[{index}]", item, element, place, hidden)
    if kind == "dict" and spec.get("options"):
        yield from check_options(name, value, spec["options"], place, hidden)


def check_choice(name: str, value: t.Any, spec: dict, place: str, hidden: bool) -> Iterator[Problem]:
    choices = spec.get("choices") or []
    items = value if isinstance(value, (list, tuple)) else [value]
    for item in items if choices else ():
        if item in choices or str(item) in map(str, choices):
            continue
        similar = nearest(str(item), map(str, choices), 0.6)
        yield Problem(
            Kind.UNKNOWN_CHOICE,
            place,
            f"{'The value' if hidden else shown(name, item, spec)} is not a choice of {name}.",
            f"Use {listed(choices, 'or')}{f' (did you mean {similar}?)' if similar else ''}.",
        )


def check_options(name: str, value: dict, options: dict, place: str, hidden: bool) -> Iterator[Problem]:
    for key in value:
        if str(key) not in options:
            similar = nearest(str(key), options, 0.6)
            yield Problem(
                Kind.MISSPELT_SETTING,
                place,
                f"{name} has no entry {key!r}.",
                f"Write {similar}." if similar else f"Use {listed(sorted(options), 'or')}.",
            )
    for key, spec in options.items():
        if spec.get("required") and key not in value:
            yield Problem(
                Kind.WRONG_KIND_OF_VALUE, place, f"{name} has no entry {key}, which is required.", f"Add {key}."
            )
        if key in value:
            yield from check_value(f"{name}.{key}", value[key], spec or {}, place, hidden)


def check_values(plan: Plan) -> Iterator[Problem]:
    for definition in plan.definitions:
        spec = plan.specs.get(definition.name)
        if spec is not None:
            yield from check_value(definition.name, definition.value, spec, f"{definition.name} ({definition.place})")


def check_spelling(plan: Plan) -> Iterator[Problem]:
    """Names that no role knows: nearly a setting's name is an error, another that has a role's prefix a warning."""
    similar: dict[str, str] = {}
    for definition in plan.definitions:
        name = definition.name
        if name in plan.specs or not plan.specs:
            continue
        prefixed = name.startswith(plan.prefixes) if plan.prefixes else False
        if name not in similar:
            similar[name] = nearest(name, plan.specs, SIMILAR if prefixed else 0.9)
        place = f"{name} ({definition.place})"
        if similar[name]:
            yield Problem(
                Kind.MISSPELT_SETTING, place, "No role has a setting of this name.", f"Write {similar[name]}."
            )
        elif prefixed:
            yield Problem(
                Kind.UNKNOWN_SETTING,
                place,
                "It begins with the name of a role, and no role has a setting of this name.",
                "Remove it. If it is a variable of your own, choose a name without that prefix.",
                WARNING,
            )


def check_unresolved(plan: Plan) -> Iterator[Problem]:
    for name, reason in sorted(plan.unresolved.items()):
        yield Problem(
            Kind.UNRESOLVABLE_SETTING,
            plan.place(name),
            f"Its value cannot be evaluated: {'the reason is not shown, since it may contain a secret' if secret(name) else reason}",
            "Define the variables it refers to in the inventory, for all hosts.",
        )


def check_paths(plan: Plan) -> Iterator[Problem]:
    for name in sorted(plan.settings):
        if name in ("cluster_dir", "cluster_install_dir", "cluster_bin_dir"):
            text = plan.setting(name)
            if text and name not in plan.unresolved and (not os.path.isabs(text) or os.path.normpath(text) == "/"):
                yield Problem(
                    Kind.INVALID_PATH,
                    plan.place(name),
                    f"{text!r} is not an absolute path of a directory.",
                    "Set a path that begins with a slash.",
                )


def check_artifacts(plan: Plan) -> Iterator[Problem]:
    name = "cluster_mirror"
    text = plan.setting(name)
    if text:
        parts = urlsplit(text)
        try:
            port_is_wrong = parts.port == 0
        except ValueError:
            port_is_wrong = True
        if (
            parts.scheme not in ("http", "https", "file")
            or (parts.scheme != "file" and not parts.hostname)
            or port_is_wrong
            or re.search(r"\s", text)
        ):
            yield Problem(
                Kind.INVALID_MIRROR,
                plan.place(name),
                f"{text!r} is not the URL of a mirror.",
                "Set the base URL of a web server, for example http://mirror.example.org:8088, or an empty text to download from upstream.",
            )
    elif plan.setting("cluster_image_source") == "archive":
        yield Problem(
            Kind.MIRROR_NEEDED,
            plan.place("cluster_image_source"),
            "Image archives are downloaded from a mirror, and cluster_mirror is empty.",
            "Set cluster_mirror, or set cluster_image_source: registry.",
        )


def check_static_tokens(plan: Plan) -> Iterator[Problem]:
    tokens = plan.settings.get("cluster_static_tokens") or []
    if not fits(tokens, "list") or not all(
        isinstance(entry, dict) and {"user", "uid"} <= set(entry) for entry in tokens
    ):
        return
    wanted = [
        static_token.Line(
            str(entry["user"]),
            str(entry["uid"]),
            tuple(map(str, entry.get("groups") or ())),
            str(entry.get("token") or ""),
        )
        for entry in tokens
    ]
    for sentence in static_token.check(wanted):
        yield Problem(
            Kind.INVALID_STATIC_TOKEN,
            plan.place("cluster_static_tokens"),
            f"{sentence}.",
            "Correct the entry: the API server does not start with it.",
        )
    user = plan.setting("cluster_bootstrap_user")
    if user and user not in {line.user for line in wanted}:
        yield Problem(
            Kind.UNKNOWN_BOOTSTRAP_USER,
            plan.place("cluster_bootstrap_user"),
            f"cluster_static_tokens has no user {user!r}, so nodes cannot join.",
            "Add the user there, or set cluster_bootstrap_user to an empty text: then every run creates a token of its own.",
        )
