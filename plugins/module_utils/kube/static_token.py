# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static token file of an API server: a line C(token,user,uid,"groups") for each user.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import secrets
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

# The API server reads any text, but what has none of these stands in the file as it is.
FIELD = re.compile(r"[^\s,\"]+")
SHORTEST = 16


class TokenFileError(HardwayError, ValueError):
    """An argument that cannot stand in a token file, or a file that is none: names it and what to do. Never repeats a token."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A user of the file. As a wish it may have an empty token: keep the user's, or make one."""

    user: str
    uid: str
    groups: tuple[str, ...] = ()
    token: str = dataclasses.field(default="", repr=False)

    def text(self) -> str:
        """The line as the documents write it: the groups in quotation marks."""
        fields = [_quoted(field) for field in (self.token, self.user, self.uid)]
        return ",".join(fields + ([f'"{",".join(self.groups)}"'] if self.groups else [])) + "\n"

    def report(self) -> dict[str, t.Any]:
        return {"user": self.user, "uid": self.uid, "groups": list(self.groups)}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The lines that are to be there; of each wanted user why its line changes; and the users that nothing asked for."""

    lines: list[Line]
    reasons: dict[str, str]
    unwanted: list[str]


def _quoted(field: str) -> str:
    return field if FIELD.fullmatch(field) else '"' + field.replace('"', '""') + '"'


def read(path: str) -> tuple[list[Line], int | None]:
    """The lines of a file and its mode; none and None where there is no file."""
    content = private_files.read(path)
    if content is None:
        return [], None
    try:
        rows = list(csv.reader(io.StringIO(content.data.decode(), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise TokenFileError(f"{path} is not UTF-8. Fix: correct it or move it away") from error
    except csv.Error as error:
        raise TokenFileError(f"{path} is not CSV: {error}. Fix: correct it or move it away") from error
    return [_read_row(path, number, row) for number, row in enumerate(rows, 1) if any(row)], content.mode


def _read_row(path: str, number: int, row: list[str]) -> Line:
    if len(row) < 3 or not row[0] or not row[1]:
        # the line itself may hold a token
        raise TokenFileError(f'{path}: line {number} is not token,user,uid,"groups". Fix: correct or remove it')
    groups = tuple(group for group in row[3].split(",") if group) if len(row) > 3 else ()
    return Line(row[1], row[2], groups, row[0])


def check(wanted: t.Sequence[Line]) -> list[str]:
    """Everything that is wrong with the wanted lines, one sentence each."""
    problems = []
    for number, line in enumerate(wanted):
        for name, values in (("user", [line.user]), ("uid", [line.uid]), ("groups", line.groups)):
            bad = [value for value in values if not FIELD.fullmatch(value)]
            problems += [
                f"tokens[{number}].{name}: {value!r} has a blank, a comma or a quotation mark, or is empty. Fix: give a name without them"
                for value in bad
            ]
        if line.token and not (FIELD.fullmatch(line.token) and len(line.token) >= SHORTEST):
            problems.append(
                f"tokens[{number}].token: it is too short, or has a blank, comma or quotation mark. Fix: give at least {SHORTEST} characters without them"
            )
    users = [line.user for line in wanted]
    problems += [
        f"tokens: {user} is given twice. Fix: leave one out" for user in sorted(set(users)) if users.count(user) > 1
    ]
    given = [line.token for line in wanted if line.token]
    return problems + (
        ["tokens: two users have the same token. Fix: give each a token of its own"]
        if len(given) > len(set(given))
        else []
    )


def reconcile(present: t.Sequence[Line], wanted: t.Sequence[Line], purge: bool) -> Outcome:
    """Each wanted user's first line with what is asked for, in its place; new ones behind; unwanted ones stay unless they are to go."""
    wishes = {line.user: line for line in wanted}
    lines: list[Line] = []
    reasons: dict[str, str] = {}
    unwanted: list[str] = []
    for line in present:
        wish = wishes.get(line.user)
        if wish is None or line.user in reasons:
            unwanted.append(line.user)
            lines += [] if purge else [line]
            continue
        kept = dataclasses.replace(wish, token=wish.token or line.token)
        reasons[line.user] = _difference(line, kept)
        lines.append(kept)
    for wish in wanted:
        if wish.user not in reasons:
            reasons[wish.user] = "there was none"
            # as the documents make it: 16 random bytes, in hexadecimal
            lines.append(dataclasses.replace(wish, token=wish.token or secrets.token_hex(16)))
    tokens = [line.token for line in lines]
    shared = sorted({line.user for line in lines if tokens.count(line.token) > 1})
    if shared:
        raise TokenFileError(
            f"{' and '.join(shared)} would have the same token, of which the API server takes one. Fix: give another, or remove a line"
        )
    return Outcome(lines, reasons, unwanted)


def _difference(before: Line, after: Line) -> str:
    changed = [name for name in ("uid", "groups", "token") if getattr(before, name) != getattr(after, name)]
    return f"{' and '.join(changed)} changed" if changed else ""


def write(path: str, lines: t.Iterable[Line]) -> None:
    """Replaces the file as a whole, 0600 from its first byte."""
    private_files.write(path, "".join(line.text() for line in lines).encode(), private_files.SECRET)
