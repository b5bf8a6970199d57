# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bootstrap tokens: the Secrets of kube-system, and the static token file of older installations.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/ and
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
"""

from __future__ import annotations

import base64
import binascii
import csv
import dataclasses
import datetime
import io
import re
import secrets
import string
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils import private_files

SECRETS = "/api/v1/namespaces/kube-system/secrets"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAME_PREFIX = "bootstrap-token-"
ALPHABET = string.ascii_lowercase + string.digits
ID = re.compile(r"[a-z0-9]{6}")
SECRET = re.compile(r"[a-z0-9]{16}")
GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
USAGES = ("authentication", "signing")
DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class TokenError(ValueError):
    """A value that a bootstrap token cannot have, or a token file that cannot be used: names it and what to do."""


@dataclasses.dataclass(frozen=True)
class Token:
    """A bootstrap token. *expires* is None for one that never does."""

    id: str
    secret: str = dataclasses.field(repr=False)
    expires: datetime.datetime | None = None
    usages: tuple[str, ...] = ("authentication",)
    groups: tuple[str, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        return NAME_PREFIX + self.id

    @property
    def text(self) -> str:
        return f"{self.id}.{self.secret}"

    def left(self, now: datetime.datetime) -> float | None:
        """Seconds until it expires; None for never."""
        return None if self.expires is None else (self.expires - now).total_seconds()

    def report(self, now: datetime.datetime) -> dict[str, t.Any]:
        """What a result and a diff tell of it: everything but the secret."""
        left = self.left(now)
        return {
            "id": self.id,
            "expires": self.expires.strftime(TIME_FORMAT) if self.expires else "never",
            "expired": left is not None and left <= 0,
            "usages": list(self.usages),
            "groups": list(self.groups),
            "description": self.description,
        }

    def to_object(self) -> dict[str, t.Any]:
        """The Secret."""
        data = {"token-id": self.id, "token-secret": self.secret}
        data.update({f"usage-bootstrap-{usage}": "true" for usage in self.usages})
        if self.expires:
            data["expiration"] = self.expires.strftime(TIME_FORMAT)
        if self.groups:
            data["auth-extra-groups"] = ",".join(self.groups)
        if self.description:
            data["description"] = self.description
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": {"name": self.name, "namespace": "kube-system"},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }


def read_object(item: t.Mapping[str, t.Any]) -> Token:
    """The token of a Secret of the API."""
    data = {}
    for key, value in (item.get("data") or {}).items():
        try:
            data[key] = base64.b64decode(value).decode(errors="replace")
        except (binascii.Error, TypeError):
            data[key] = ""
    name = item["metadata"]["name"]
    return Token(
        id=data.get("token-id") or name[len(NAME_PREFIX):],
        secret=data.get("token-secret", ""),
        expires=_read_time(name, data.get("expiration", "")),
        usages=tuple(usage for usage in USAGES if data.get(f"usage-bootstrap-{usage}") == "true"),
        groups=tuple(sorted(filter(None, data.get("auth-extra-groups", "").split(",")))),
        description=data.get("description", ""),
    )


def _read_time(name: str, text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        # upstream treats a token whose expiration it cannot read as expired
        return datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)


def read_duration(option: str, text: str) -> datetime.timedelta:
    """A duration such as V(90m), V(24h), V(1h30m) or V(7d); V(0) is none."""
    if text == "0":
        return datetime.timedelta()
    match = DURATION.fullmatch(text)
    if not text or not match:
        raise TokenError(f"{option}: {text!r} is not a duration; give 30m, 24h, 1h30m or 7d, or 0 for none")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def check(token_id: str | None, secret: str | None, usages: t.Sequence[str], groups: t.Sequence[str]) -> None:
    """Raises TokenError for what Kubernetes would ignore or refuse. Never repeats the secret."""
    if token_id is not None and not ID.fullmatch(token_id):
        raise TokenError(f"id: {token_id!r} is not six lower case letters and digits")
    if secret is not None and not SECRET.fullmatch(secret):
        raise TokenError("secret: it is not sixteen lower case letters and digits")
    if not usages:
        raise TokenError("usages: a token without usages is of no use; give authentication, signing or both")
    for group in groups:
        if not GROUP.fullmatch(group):
            raise TokenError(f"groups: {group!r} is not a name that begins with system:bootstrappers:")


def random_word(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for unused in range(length))


def reconcile(
    present: Token | None, wanted: Token, secret_given: bool, ttl: datetime.timedelta, renew_before: datetime.timedelta, now: datetime.datetime
) -> Token:
    """The token that is to be there: *wanted*, with the secret and the expiry of *present* where these may stay."""
    expires = (now + ttl).replace(microsecond=0) if ttl else None
    if present is None:
        return dataclasses.replace(wanted, expires=expires)
    left = present.left(now)
    keep_time = (left is None) == (expires is None) and (left is None or (left > 0 and left >= renew_before.total_seconds()))
    return dataclasses.replace(
        wanted,
        secret=wanted.secret if secret_given or not SECRET.fullmatch(present.secret) else present.secret,
        expires=present.expires if keep_time else expires,
    )


@dataclasses.dataclass(frozen=True)
class StaticToken:
    """A line of a static token file."""

    token: str = dataclasses.field(repr=False)
    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()

    def line(self) -> str:
        """The line as the documents write it: the groups in quotation marks."""
        groups = ",".join(self.groups)
        return f"{self.token},{self.user},{self.uid}" + (f',"{groups}"' if groups else "")


STATIC_FIELD = re.compile(r"[^\s,\"]+")


def read_static(path: str) -> list[StaticToken]:
    """The lines of the token file at *path*; none when it does not exist."""
    try:
        content = private_files.read(path)
        rows = list(csv.reader(io.StringIO(content.data.decode(), newline=""))) if content else []
    except (private_files.FileRefused, OSError, UnicodeDecodeError, csv.Error) as error:
        raise TokenError(f"csv: {path}: {error}") from error
    lines = []
    for number, row in enumerate(rows, 1):
        if not row or not any(row):
            continue
        if len(row) < 3 or not row[0] or not row[1]:
            # never the line itself: it holds a token
            raise TokenError(f"csv: {path}: line {number} is not token,user,uid,\"groups\"; mend or remove it")
        groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
        lines.append(StaticToken(row[0].strip(), row[1].strip(), row[2].strip(), groups))
    return lines


def reconcile_static(lines: t.Sequence[StaticToken], wanted: StaticToken) -> tuple[list[StaticToken], StaticToken]:
    """The lines with *wanted* among them, and its line. An empty token means: keep the user's, or make one as the documents do."""
    for field, value in (("csv_user", wanted.user), ("csv_uid", wanted.uid), *(("csv_groups", group) for group in wanted.groups)):
        if not STATIC_FIELD.fullmatch(value):
            raise TokenError(f"{field}: {value!r} cannot stand in a token file: no blank, comma or quotation mark")
    if wanted.token and not STATIC_FIELD.fullmatch(wanted.token):
        raise TokenError("secret: it cannot stand in a token file: no blank, comma or quotation mark")
    kept = next((line for line in lines if line.user == wanted.user), None)
    if not wanted.token:
        wanted = dataclasses.replace(wanted, token=kept.token if kept else secrets.token_hex(16))
    if any(line.token == wanted.token and line.user != wanted.user for line in lines):
        raise TokenError(f"csv: another user than {wanted.user} has the same token")
    if kept is None:
        return [*lines, wanted], wanted
    return [wanted if line is kept else line for line in lines if line is kept or line.user != wanted.user], wanted


def render_static(lines: t.Iterable[StaticToken]) -> str:
    out = io.StringIO()
    for line in lines:
        out.write(line.line() + "\n")
    return out.getvalue()


def write_static(path: str, lines: t.Iterable[StaticToken]) -> None:
    try:
        private_files.write(path, render_static(lines).encode(), private_files.SECRET)
    except OSError as error:
        raise TokenError(f"csv: {path}: {error.strerror}; its directory must exist and be writable") from error
