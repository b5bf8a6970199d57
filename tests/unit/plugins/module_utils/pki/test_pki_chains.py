# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Intermediate CAs, and certificates that carry them in their file."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import Refused
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.pki_directory import (
    changes,
    contents,
    described,
    openssl,
    reconcile,
)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

REQUEST = {
    "cas": [
        {"name": "low", "subject": {"CN": "low"}, "issuer": "middle", "path_length": 0},
        {"name": "root", "subject": {"CN": "root"}, "path_length": 2},
        {"name": "middle", "subject": {"CN": "middle"}, "issuer": "root", "key": {"type": "ecdsa", "size": 384}},
        {"name": "copy", "copy_of": "low"},
    ],
    "certificates": [
        {"name": "server", "ca": "low", "profile": "server", "hosts": ["a.example.org"], "chain": True},
        {"name": "client", "ca": "copy", "profile": "client", "subject": {"CN": "client"}, "chain": True},
        {"name": "direct", "ca": "root", "profile": "server", "hosts": ["b.example.org"], "chain": True},
        {"name": "bare", "ca": "low", "profile": "server", "hosts": ["c.example.org"]},
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made") / "pki"
    reconcile(path, REQUEST)
    return path


@pytest.fixture
def directory(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pki"))


def changed_request(name: str, **settings) -> dict:
    request = copy.deepcopy(REQUEST)
    for entry in request["cas"] + request["certificates"]:
        if entry["name"] == name:
            entry.update(settings)
    return request


def subjects(path: Path) -> list[str]:
    return [compare.format_subject(certificate.subject) for certificate in certs.load_chain(path.read_bytes())]


def test_the_intermediates_follow_without_the_root(made):
    assert subjects(made / "server.pem") == ["(empty)", "CN=low", "CN=middle"]
    assert subjects(made / "client.pem") == ["CN=client", "CN=low", "CN=middle"]
    assert subjects(made / "direct.pem") == ["(empty)"]
    assert subjects(made / "bare.pem") == ["(empty)"]
    intermediates = (made / "low.pem").read_bytes() + (made / "middle.pem").read_bytes()
    assert (made / "server.pem").read_bytes().endswith(intermediates)


@needs_openssl
@pytest.mark.parametrize(
    ("name", "purpose"), [("server", "sslserver"), ("client", "sslclient"), ("direct", "sslserver")]
)
def test_who_knows_the_root_alone_verifies_it(made, name, purpose):
    arguments = (
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        "root.pem",
        "-untrusted",
        f"{name}.pem",
        f"{name}.pem",
    )
    assert "OK" in openssl(*arguments, directory=made)


def test_it_changes_nothing_and_is_described(directory):
    result = reconcile(directory, REQUEST)
    assert not result["changed"]
    assert described(result, "server")["chain"] == ["CN=low", "CN=middle"]
    assert described(result, "bare")["chain"] == described(result, "direct")["chain"] == []


def test_check_mode_on_an_empty_directory(tmp_path):
    planned, done = (reconcile(tmp_path / "pki", REQUEST, check_mode=check_mode) for check_mode in (True, False))
    assert changes(planned) == changes(done)
    assert [entry["chain"] for entry in planned["certificates"]] == [entry["chain"] for entry in done["certificates"]]


def without(name: str):
    def spoil(path: Path) -> None:
        data = (path / "server.pem").read_bytes()
        (path / "server.pem").write_bytes(data.replace((path / f"{name}.pem").read_bytes(), b""))

    return spoil


def turned_round(path: Path) -> None:
    low, middle = ((path / f"{name}.pem").read_bytes() for name in ("low", "middle"))
    (path / "server.pem").write_bytes((path / "server.pem").read_bytes().replace(low + middle, middle + low))


SPOILED = {
    "one missing": (without("middle"), "the certificate was followed by CN=low, asked is CN=low and CN=middle"),
    "wrong order": (
        turned_round,
        "the certificate was followed by CN=middle and CN=low, asked is CN=low and CN=middle",
    ),
    "junk": (lambda path: (path / "server.pem").open("a").write("junk\n"), "server.pem held more than certificates"),
    "a broken one": (
        lambda path: (path / "server.pem").open("a").write("-----BEGIN CERTIFICATE-----\n"),
        "server.pem held more than certificates",
    ),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_follows_is_mended_and_the_certificate_stays(directory, kind):
    spoil, reason = SPOILED[kind]
    before = contents(directory)
    spoil(directory)
    assert changes(reconcile(directory, REQUEST, check_mode=True)) == {"server": reason}
    result = reconcile(directory, REQUEST)
    assert changes(result) == {"server": reason}
    assert reason in result["diff"][0]["after"]
    assert contents(directory) == before
    assert not reconcile(directory, REQUEST)["changed"]


def test_it_is_asked_for_later_and_no_more(directory):
    before = contents(directory)
    request = changed_request("bare", chain=True)
    assert changes(reconcile(directory, request)) == {
        "bare": "the certificate was followed by nothing, asked is CN=low and CN=middle"
    }
    assert (directory / "bare.pem").read_bytes().startswith(before["bare.pem"])
    assert changes(reconcile(directory, REQUEST)) == {
        "bare": "the certificate was followed by CN=low and CN=middle, asked is nothing"
    }
    assert contents(directory) == before


def test_an_intermediate_that_is_issued_anew_over_the_same_key(directory):
    (directory / "middle.pem").unlink()
    expected = {"middle": "there was none", "server": "its chain is reissued", "client": "its chain is reissued"}
    assert changes(reconcile(directory, REQUEST, check_mode=True)) == changes(reconcile(directory, REQUEST)) == expected
    assert not reconcile(directory, REQUEST)["changed"]
    assert (directory / "server.pem").read_bytes().endswith((directory / "middle.pem").read_bytes())


def test_another_issuer_is_another_chain(directory):
    request = changed_request("server", ca="middle")
    assert list(changes(reconcile(directory, request))) == ["server"]
    assert subjects(directory / "server.pem") == ["(empty)", "CN=middle"]


def test_an_adopted_intermediate(tmp_path, made):
    """A CA below the company's own root, which is not here."""
    import_from = {"certificate": str(made / "middle.pem"), "key": str(made / "middle-key.pem")}
    request = {
        "cas": [
            {"name": "ca", "import_from": import_from},
            {"name": "low", "subject": {"CN": "below"}, "issuer": "ca"},
        ],
        "certificates": [
            {"name": "one", "ca": "ca", "subject": {"CN": "one"}, "chain": True},
            {"name": "two", "ca": "low", "subject": {"CN": "two"}, "chain": True},
        ],
    }
    reconcile(tmp_path / "pki", request)
    assert subjects(tmp_path / "pki" / "one.pem") == ["CN=one", "CN=middle"]
    assert subjects(tmp_path / "pki" / "two.pem") == ["CN=two", "CN=below", "CN=middle"]
    assert not reconcile(tmp_path / "pki", request)["changed"]
    request["cas"][0] = {"name": "ca", "existing": True}
    assert not reconcile(tmp_path / "pki", request)["changed"]


# Path length


@pytest.mark.parametrize(
    ("name", "path_length", "where"),
    [
        ("middle", 0, "cas[low].issuer: the path length of middle,"),
        ("root", 1, "cas[low].issuer: the path length of middle,"),
    ],
)
def test_no_authority_beyond_the_path_length(tmp_path, name, path_length, where):
    with pytest.raises(Refused) as refused:
        reconcile(tmp_path / "pki", changed_request(name, path_length=path_length))
    assert [problem[: len(where)] for problem in refused.value.problems] == [where]
    assert not (tmp_path / "pki").exists()


def test_no_authority_beyond_the_path_length_of_an_adopted_one(tmp_path, made):
    import_from = {"certificate": str(made / "low.pem"), "key": str(made / "low-key.pem")}
    request = {
        "cas": [{"name": "ca", "import_from": import_from}, {"name": "sub", "subject": {"CN": "sub"}, "issuer": "ca"}]
    }
    with pytest.raises(Refused, match=r"cas\[sub\].issuer: the path length of ca"):
        reconcile(tmp_path / "pki", request)


def test_as_many_as_the_path_length_allows(made):
    """`root` allows two, and two there are; openssl agrees in the tests above."""
    assert certs.path_length(certs.load_certificate((made / "root.pem").read_bytes())) == 2
