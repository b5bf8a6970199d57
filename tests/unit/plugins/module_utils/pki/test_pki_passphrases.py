# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CAs whose keys stand under a passphrase."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import Refused
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.pki_directory import (
    changes,
    contents,
    described,
    openssl,
    pairs_match,
    reconcile,
)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def request(passphrase: str | None = "correct horse", **settings) -> dict:
    return {
        "cas": [
            {"name": "ca", "subject": {"CN": "kubernetes"}, "passphrase": passphrase, **settings},
            {
                "name": "sub",
                "subject": {"CN": "sub"},
                "issuer": "ca",
                "key": {"type": "rsa"},
                "passphrase": "Kuchen für alle",
            },
            {"name": "copy", "copy_of": "ca"},
        ],
        "certificates": [
            {"name": name, "ca": ca, "subject": {"CN": name}}
            for name, ca in (("one", "ca"), ("two", "sub"), ("three", "copy"))
        ],
    }


def renewing(wanted: dict) -> dict:
    return {**wanted, "renew": ["*"]}


@pytest.fixture
def directory(tmp_path) -> Path:
    reconcile(tmp_path / "pki", request())
    return tmp_path / "pki"


def problems(path: Path, wanted: dict) -> list[str]:
    before = contents(path) if path.exists() else None
    with pytest.raises(Refused) as refused:
        reconcile(path, wanted)
    assert (contents(path) if path.exists() else None) == before
    return refused.value.problems


@needs_openssl
def test_openssl_opens_it_with_the_passphrase_alone(directory):
    assert (directory / "ca-key.pem").read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    for name, passphrase in (("ca", "correct horse"), ("sub", "Kuchen für alle"), ("copy", "correct horse")):
        public = openssl("x509", "-in", f"{name}.pem", "-noout", "-pubkey", directory=directory)
        assert (
            openssl("pkey", "-in", f"{name}-key.pem", "-pubout", "-passin", f"pass:{passphrase}", directory=directory)
            == public
        )
    assert "id-aes256-CBC" in openssl(
        "asn1parse", "-in", "ca-key.pem", directory=directory
    ) or "aes-256-cbc" in openssl("asn1parse", "-in", "ca-key.pem", directory=directory)
    assert "OK" in openssl(
        "verify",
        "-x509_strict",
        "-CAfile",
        "ca.pem",
        "-untrusted",
        "sub.pem",
        "one.pem",
        "two.pem",
        "three.pem",
        directory=directory,
    )


def test_again_changes_nothing_and_signs(directory):
    before = contents(directory)
    assert not reconcile(directory, request())["changed"]
    assert contents(directory) == before
    assert list(changes(reconcile(directory, renewing(request())))) == ["one", "two", "three"]
    assert pairs_match(directory, ("correct horse", "Kuchen für alle"))


@pytest.mark.parametrize(
    ("passphrase", "message"),
    [
        (None, "ca-key.pem is a key with a passphrase, and none was given"),
        ("wrong", "ca-key.pem cannot be opened with the passphrase given"),
    ],
)
def test_a_missing_or_a_wrong_passphrase(directory, passphrase, message):
    found = problems(directory, renewing(request(passphrase)))
    wanted = [
        f"cas[ca].passphrase: {message}",
        f"cas[copy].passphrase: {message.replace('ca-', 'copy-')}",
    ]
    assert [problem.partition("; ")[0] for problem in found] == wanted
    assert all("give the one that it has" in problem for problem in found)
    assert "horse" not in str(found)


MENDS = {
    "none before": (None, {}, "correct horse", {}, "its key stood in the clear, asked is a passphrase"),
    "none any more": (
        "correct horse",
        {},
        None,
        {"old_passphrase": "correct horse"},
        "its key had a passphrase, asked is none",
    ),
    "another": (
        "correct horse",
        {},
        "battery staple",
        {"old_passphrase": "correct horse"},
        "its key had another passphrase, asked is the new one",
    ),
}


@pytest.mark.parametrize("kind", MENDS)
def test_the_same_key_is_written_again(tmp_path, kind):
    before, before_settings, after, after_settings, reason = MENDS[kind]
    path, wanted = tmp_path / "pki", request(after, **after_settings)
    reconcile(path, request(before, **before_settings))
    standing = contents(path)
    planned = reconcile(path, wanted, check_mode=True)
    assert contents(path) == standing
    done = reconcile(path, wanted)
    assert changes(planned) == changes(done) == {"ca": reason, "copy": reason}
    assert [entry["after_header"].rpartition("/")[2] for entry in done["diff"]] == ["ca-key.pem", "copy-key.pem"]
    assert "BEGIN" not in str(done) and "horse" not in str(done) and "battery" not in str(done)
    now = contents(path)
    assert {name for name in now if now[name] != standing[name]} == {"ca-key.pem", "copy-key.pem"}
    assert (b"ENCRYPTED" in now["ca-key.pem"]) == (after is not None)
    assert pairs_match(path, (after or "none", "Kuchen für alle"))
    assert not reconcile(path, wanted)["changed"]
    # What it was may stay in the request, and is not needed once it is done.
    assert not reconcile(path, request(after))["changed"]


def test_a_new_passphrase_while_something_is_signed(directory):
    wanted = request("battery staple", old_passphrase="correct horse")
    wanted["certificates"][0]["subject"]["CN"] = "another"
    assert list(changes(reconcile(directory, wanted))) == ["ca", "copy", "one"]
    assert not reconcile(directory, request("battery staple") | {"certificates": wanted["certificates"]})["changed"]


# Taken over


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A CA whose key openssl locked in its old way."""
    path = tmp_path / "foreign"
    path.mkdir()
    arguments = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "clear.pem",
        "-out",
        "c.pem",
        "-days",
        "3650",
        "-subj",
        "/CN=old",
    ]
    openssl(*arguments, "-addext", "keyUsage=critical,keyCertSign,cRLSign", directory=path)
    openssl(
        "rsa",
        "-in",
        "clear.pem",
        "-aes128",
        "-traditional",
        "-passout",
        "pass:old secret",
        "-out",
        "k.pem",
        directory=path,
    )
    return path


def adopting(foreign: Path, passphrase: str | None = None, own: str | None = None) -> dict:
    import_from = {"certificate": str(foreign / "c.pem"), "key": str(foreign / "k.pem"), "passphrase": passphrase}
    return {
        "cas": [{"name": "ca", "import_from": import_from, "passphrase": own}],
        "certificates": [{"name": "one", "ca": "ca", "subject": {"CN": "one"}}],
    }


@needs_openssl
def test_an_adopted_key_needs_its_passphrase(foreign, tmp_path):
    path = tmp_path / "pki"
    where = f"cas[ca].import_from.passphrase: {foreign}/k.pem"
    assert problems(path, adopting(foreign)) == [f"{where} is a key with a passphrase, and none was given"]
    assert problems(path, adopting(foreign, "wrong")) == [f"{where} cannot be opened with the passphrase given"]
    assert not path.exists()


@needs_openssl
@pytest.mark.parametrize(
    ("passphrase", "own"), [("old secret", None), ("old secret", "new secret"), (None, "old secret")]
)
def test_an_adopted_key_stands_as_is_asked(foreign, tmp_path, passphrase, own):
    path, wanted = tmp_path / "pki", adopting(foreign, passphrase, own)
    result = reconcile(path, wanted)
    assert described(result, "one")["issuer"] == "CN=old"
    assert (b"ENCRYPTED" in (path / "ca-key.pem").read_bytes()) == (own is not None)
    assert not reconcile(path, wanted)["changed"]
    public = openssl("x509", "-in", "ca.pem", "-noout", "-pubkey", directory=path)
    assert openssl("pkey", "-in", "ca-key.pem", "-pubout", "-passin", f"pass:{own}", directory=path) == public
    shutil.rmtree(foreign)
    assert not reconcile(path, wanted)["changed"]


@needs_openssl
def test_an_adopted_key_is_locked_later_and_opened_again(foreign, tmp_path):
    path = tmp_path / "pki"
    reconcile(path, adopting(foreign, "old secret"))
    assert changes(reconcile(path, adopting(foreign, "old secret", "old secret"))) == {
        "ca": "its key stood in the clear, asked is a passphrase"
    }
    assert changes(reconcile(path, adopting(foreign, "old secret"))) == {
        "ca": "its key had a passphrase, asked is none"
    }
    assert not reconcile(path, adopting(foreign, "old secret"))["changed"]


def test_a_key_of_a_certificate_has_none(directory):
    """What reads it cannot be asked for a passphrase: it gets a new key."""
    shutil.copy(directory / "ca-key.pem", directory / "one-key.pem")
    assert changes(reconcile(directory, request())) == {
        "one": "one-key.pem is a key with a passphrase, and none was given"
    }
    assert pairs_match(directory, ("correct horse", "Kuchen für alle"))
