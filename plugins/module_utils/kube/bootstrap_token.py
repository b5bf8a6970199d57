# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens, which are Secrets in kube-system.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import re
import secrets
import string
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, retry

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
#: As whom the API server knows the bearer of a token: this and its id, in this group.
USER_PREFIX = "system:bootstrap:"
BOOTSTRAPPERS_GROUP = "system:bootstrappers"
#: Annotation of a token that was made for one node: the node's name.
JOINS = "hardway/joins"


class TokenError(HardwayError, ValueError):
    """A value that a bootstrap token cannot have: names it and what to do."""


@dataclasses.dataclass(frozen=True)
class Token:
    """A bootstrap token. *expires* is None for one that never does; *node* is the only one that it was made for, if any."""

    id: str
    secret: str = dataclasses.field(repr=False)
    expires: datetime.datetime | None = None
    usages: tuple[str, ...] = ("authentication",)
    groups: tuple[str, ...] = ()
    description: str = ""
    node: str = ""

    @property
    def name(self) -> str:
        return NAME_PREFIX + self.id

    @property
    def user(self) -> str:
        """As whom the API server knows its bearer."""
        return USER_PREFIX + self.id

    @property
    def text(self) -> str:
        return f"{self.id}.{self.secret}"

    def left(self, now: datetime.datetime) -> float | None:
        """Seconds until it expires; None for never."""
        return None if self.expires is None else (self.expires - now).total_seconds()

    def report(self, now: datetime.datetime) -> dict[str, t.Any]:
        """What a result and a diff show of it: everything but the secret."""
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
        metadata: dict[str, t.Any] = {"name": self.name, "namespace": "kube-system"}
        if self.node:
            metadata["annotations"] = {JOINS: self.node}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": SECRET_TYPE,
            "metadata": metadata,
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
    metadata = item["metadata"]
    name = metadata["name"]
    return Token(
        id=data.get("token-id") or name[len(NAME_PREFIX) :],
        secret=data.get("token-secret", ""),
        expires=_read_expiration(data.get("expiration", "")),
        usages=tuple(usage for usage in USAGES if data.get(f"usage-bootstrap-{usage}") == "true"),
        groups=tuple(sorted(filter(None, data.get("auth-extra-groups", "").split(",")))),
        description=data.get("description", ""),
        node=(metadata.get("annotations") or {}).get(JOINS, ""),
    )


def _read_expiration(text: str) -> datetime.datetime | None:
    # Upstream treats a token whose expiration it cannot read as expired.
    return read_time(text, datetime.datetime.fromtimestamp(0, datetime.timezone.utc)) if text else None


def read_time(text: str, otherwise: datetime.datetime) -> datetime.datetime:
    """A time of the API; *otherwise* for a text that is none."""
    try:
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return otherwise
    return time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)


def read_duration(option: str, text: str) -> datetime.timedelta:
    """A duration such as V(90m), V(24h), V(1h30m) or V(7d); V(0) is none."""
    if text == "0":
        return datetime.timedelta()
    match = DURATION.fullmatch(text)
    if not text or not match:
        raise TokenError(f"{option}: {text!r} is not a duration. Fix: give 30m, 24h, 1h30m or 7d, or 0 for none")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def check(token_id: str | None, secret: str | None, usages: t.Sequence[str], groups: t.Sequence[str]) -> None:
    """Raises TokenError for what Kubernetes would ignore or refuse. Never repeats the secret."""
    if token_id is not None and not ID.fullmatch(token_id):
        raise TokenError(f"id: {token_id!r} is not six lower case letters and digits. Fix: give such an id, or none")
    if secret is not None and not SECRET.fullmatch(secret):
        raise TokenError("secret: it is not sixteen lower case letters and digits. Fix: give such a secret, or none")
    if not usages:
        raise TokenError("usages: a token without usages is of no use. Fix: give authentication, signing or both")
    for group in groups:
        if not GROUP.fullmatch(group):
            raise TokenError(
                f"groups: {group!r} is not a group of bootstrap tokens. Fix: give a name that begins with system:bootstrappers:"
            )


def random_word(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for unused in range(length))


def reconcile(
    present: Token | None,
    wanted: Token,
    secret_given: bool,
    ttl: datetime.timedelta,
    renew_before: datetime.timedelta,
    now: datetime.datetime,
) -> Token:
    """The token that is to be there: *wanted*, with the secret and the expiry of *present* where these may stay."""
    expires = (now + ttl).replace(microsecond=0) if ttl else None
    if present is None:
        return dataclasses.replace(wanted, expires=expires)
    left = present.left(now)
    keep_time = (left is None) == (expires is None) and (
        left is None or (left > 0 and left >= renew_before.total_seconds())
    )
    return dataclasses.replace(
        wanted,
        secret=wanted.secret if secret_given or not SECRET.fullmatch(present.secret) else present.secret,
        expires=present.expires if keep_time else expires,
        node=present.node,
    )


class Tokens:
    """The tokens of a cluster. *timeout* is for each call, in seconds."""

    def __init__(self, api: Api, timeout: float) -> None:
        self.api = api
        self.timeout = timeout

    def all(self) -> list[Token]:
        items = retry(lambda: self.api.items(SECRETS, {"fieldSelector": f"type={SECRET_TYPE}"}), self.timeout)
        return [read_object(item) for item in items]

    def find(self, token_id: str) -> tuple[Token | None, str]:
        """The token and its version. Raises TokenError where a Secret of its name is something else."""
        name = NAME_PREFIX + token_id
        found = retry(lambda: self.api.find(f"{SECRETS}/{name}"), self.timeout)
        if found and found.get("type") != SECRET_TYPE:
            raise TokenError(
                f"id: kube-system's Secret {name} is no bootstrap token, and was not changed. Fix: remove it or choose another id"
            )
        return (read_object(found), found["metadata"]["resourceVersion"]) if found else (None, "")

    def write(self, token: Token, version: str) -> None:
        """Makes the token, or where it has a *version*, puts it in the place of that one."""
        body = token.to_object()
        if not version:
            self.api.create(SECRETS, body)
            return
        body["metadata"]["resourceVersion"] = version
        retry(lambda: self.api.replace(f"{SECRETS}/{token.name}", body), self.timeout)

    def delete(self, token: Token) -> None:
        retry(lambda: self.api.delete(f"{SECRETS}/{token.name}"), self.timeout)
