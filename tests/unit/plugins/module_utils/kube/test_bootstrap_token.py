# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import bootstrap_token as tokens

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
NONE = datetime.timedelta()
GROUPS = ("system:bootstrappers:a", "system:bootstrappers:b")
TOKEN = tokens.Token("abc123", "0123456789abcdef", NOW + HOUR, ("authentication", "signing"), GROUPS, "for a test")


def test_a_token_survives_its_secret() -> None:
    assert tokens.read_object(TOKEN.to_object()) == TOKEN


def test_a_token_of_a_node_stays_that_node_s() -> None:
    token = dataclasses.replace(TOKEN, node="node1")
    assert tokens.read_object(token.to_object()) == token
    assert tokens.reconcile(token, WANTED, False, HOUR, NONE, NOW).node == "node1"
    assert token.user == "system:bootstrap:abc123"


def test_a_token_that_never_expires_has_no_expiration() -> None:
    token = tokens.Token("abc123", "0123456789abcdef")
    assert set(token.to_object()["data"]) == {"token-id", "token-secret", "usage-bootstrap-authentication"}
    assert tokens.read_object(token.to_object()) == token


def test_neither_text_nor_report_has_the_secret() -> None:
    assert TOKEN.secret not in repr(TOKEN)
    assert TOKEN.secret not in str(TOKEN.report(NOW))


def test_unreadable_expiration_counts_as_expired() -> None:
    item = TOKEN.to_object()
    item["data"]["expiration"] = "c29vbg=="
    assert tokens.read_object(item).report(NOW)["expired"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("30m", 1800), ("24h", 86400), ("1h30m", 5400), ("7d", 604800), ("90s", 90), ("1d1h1m1s", 90061)],
)
def test_durations(text: str, seconds: int) -> None:
    assert tokens.read_duration("ttl", text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1h 30m", "1w", "30m1h"])
def test_bad_durations_are_named(text: str) -> None:
    with pytest.raises(tokens.TokenError, match=r"^ttl: "):
        tokens.read_duration("ttl", text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("ABC123", None, ["signing"], []), "^id: "),
        (("abc12", None, ["signing"], []), "^id: "),
        (("abc123", "short", ["signing"], []), "^secret: (?!.*short)"),
        ((None, None, [], []), "^usages: "),
        ((None, None, ["signing"], ["system:masters"]), "^groups: 'system:masters'"),
        ((None, None, ["signing"], ["system:bootstrappers:A"]), "^groups: "),
        ((None, None, ["signing"], ["system:bootstrappers:a,system:masters"]), "^groups: "),
    ],
)
def test_bad_values_are_named(values: tuple[t.Any, ...], words: str) -> None:
    with pytest.raises(tokens.TokenError, match=words):
        tokens.check(*values)


def test_generated_words_are_valid() -> None:
    tokens.check(tokens.random_word(6), tokens.random_word(16), ["signing"], [])
    assert tokens.random_word(16) != tokens.random_word(16)


WANTED = dataclasses.replace(TOKEN, secret="f" * 16, expires=None)


def test_new_token_gets_its_time() -> None:
    assert tokens.reconcile(None, WANTED, False, HOUR, NONE, NOW).expires == NOW + HOUR
    assert tokens.reconcile(None, WANTED, False, NONE, NONE, NOW).expires is None


def test_existing_token_stays_as_it_is() -> None:
    assert tokens.reconcile(TOKEN, WANTED, False, HOUR, NONE, NOW + HOUR / 2) == TOKEN


def test_given_secret_replaces_the_old_one() -> None:
    assert tokens.reconcile(TOKEN, WANTED, True, HOUR, NONE, NOW).secret == "f" * 16


@pytest.mark.parametrize(
    ("renew_before", "after", "extended"),
    [(NONE, HOUR, True), (NONE, HOUR / 2, False), (HOUR / 4, HOUR / 2, False), (HOUR, HOUR / 2, True)],
)
def test_extension(renew_before: datetime.timedelta, after: datetime.timedelta, extended: bool) -> None:
    token = tokens.reconcile(TOKEN, WANTED, False, HOUR, renew_before, NOW + after)
    assert token.expires == (NOW + after + HOUR if extended else TOKEN.expires)
    assert token.secret == TOKEN.secret


def test_from_and_to_never() -> None:
    assert tokens.reconcile(TOKEN, WANTED, False, NONE, NONE, NOW).expires is None
    forever = dataclasses.replace(TOKEN, expires=None)
    assert tokens.reconcile(forever, WANTED, False, HOUR, NONE, NOW).expires == NOW + HOUR
    assert tokens.reconcile(forever, WANTED, False, NONE, HOUR, NOW) == forever
