# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A directory of certificates, from nothing to every kind of drift; openssl is the second opinion."""

from __future__ import annotations

import base64
import copy
import os
import shutil
import stat
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
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

REQUEST = {
    "cas": [
        {
            "name": "ca",
            "subject": {"C": "CN", "ST": "BeiJing", "L": "BeiJing", "O": "k8s", "OU": "System", "CN": "kubernetes"},
        },
        {"name": "etcd-ca", "subject": {"CN": "etcd cluster"}, "key": {"type": "rsa", "size": 2048}, "path_length": 0},
    ],
    "certificates": [
        {
            "name": "apiserver",
            "ca": "ca",
            "profile": "server",
            "subject": {"CN": "kube-apiserver"},
            "hosts": [
                "10.33.0.100",
                "fd00::1",
                "kubernetes.default.svc",
                "*.example.org",
                "spiffe://cluster.local/api",
            ],
            "validity": "1y",
        },
        {
            "name": "admin",
            "ca": "ca",
            "profile": "client",
            "subject": {"O": ["system:masters", "ops"], "CN": "admin"},
            "validity": "1y",
        },
        {
            "name": "etcd",
            "ca": "etcd-ca",
            "profile": "peer",
            "subject": {"CN": "etcd"},
            "hosts": ["127.0.0.1"],
            "key": {"type": "rsa"},
        },
        {
            "name": "nameless",
            "ca": "ca",
            "profile": "server",
            "hosts": ["a.example.org"],
            "key": {"type": "ecdsa", "size": 384},
        },
    ],
    "keys": [{"name": "service-account", "type": "rsa"}, {"name": "encryption", "type": "random"}],
    "bundles": [
        {"name": "client-ca", "cas": ["ca", "etcd-ca"]},
        {"name": "service-account-bundle", "keys": ["service-account"]},
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made") / "pki"
    reconcile(path, REQUEST)
    return path


@pytest.fixture
def directory(made, tmp_path) -> Path:
    """A copy of a complete directory, to be spoiled."""
    return Path(shutil.copytree(made, tmp_path / "pki"))


def changed_request(name: str, **settings) -> dict:
    request = copy.deepcopy(REQUEST)
    for kind in ("cas", "certificates", "keys", "bundles"):
        for entry in request[kind]:
            if entry["name"] == name:
                entry.update(settings)
    return request


def test_all_files_are_there_with_their_modes(made):
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in made.iterdir()}
    names = ["ca", "etcd-ca", "apiserver", "admin", "etcd", "nameless", "service-account"]
    expected = {f"{name}.pem": 0o644 for name in [*names, "client-ca", "service-account-bundle"]}
    expected |= {f"{name}-key.pem": 0o600 for name in names} | {"encryption.key": 0o600, ".lock": 0o600}
    assert modes == expected
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert len(base64.b64decode((made / "encryption.key").read_bytes())) == 32


@needs_openssl
@pytest.mark.parametrize(
    ("ca", "name", "purpose"),
    [
        ("ca", "apiserver", "sslserver"),
        ("ca", "admin", "sslclient"),
        ("etcd-ca", "etcd", "sslserver"),
        ("etcd-ca", "etcd", "sslclient"),
        ("ca", "nameless", "sslserver"),
    ],
)
def test_openssl_agrees(made, ca, name, purpose):
    assert "OK" in openssl(
        "verify", "-x509_strict", "-purpose", purpose, "-CAfile", f"{ca}.pem", f"{name}.pem", directory=made
    )


@needs_openssl
def test_a_client_is_no_server(made):
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "admin.pem", directory=made)


@needs_openssl
def test_what_openssl_reads(made):
    text = openssl("x509", "-in", "apiserver.pem", "-noout", "-text", directory=made)
    assert "X509v3 Key Usage: critical\n                Digital Signature\n" in text
    assert "TLS Web Server Authentication\n" in text
    assert "CA:FALSE" in text
    for name in ("IP Address:10.33.0.100", "DNS:*.example.org", "URI:spiffe://cluster.local/api"):
        assert name in text
    etcd = openssl("x509", "-in", "etcd.pem", "-noout", "-text", directory=made)
    assert "Digital Signature, Key Encipherment" in etcd
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in etcd
    ca = openssl("x509", "-in", "etcd-ca.pem", "-noout", "-text", directory=made)
    assert "CA:TRUE, pathlen:0" in ca
    assert "Certificate Sign, CRL Sign" in ca


def test_serials_are_random_and_long(made):
    serials = [
        certs.load_certificate((made / f"{name}.pem").read_bytes()).serial_number
        for name in ("ca", "apiserver", "admin")
    ]
    assert len(set(serials)) == 3
    assert all(100 < serial.bit_length() < 160 for serial in serials)


def test_the_result_describes(directory):
    entry = described(reconcile(directory, REQUEST), "admin")
    assert entry["subject"] == "O=system:masters, O=ops, CN=admin"
    assert entry["issuer"] == "C=CN, ST=BeiJing, L=BeiJing, O=k8s, OU=System, CN=kubernetes"
    assert entry["usages"] == ["digital signature", "client auth"]
    assert entry["days_left"] in (364, 365)
    assert len(entry["fingerprint"].split(":")) == 32
    assert entry["key"] == "ECDSA P-256"


def test_again_changes_nothing(directory):
    before = contents(directory)
    result = reconcile(directory, REQUEST)
    assert not result["changed"]
    assert changes(result) == {}
    assert result["diff"] == []
    assert contents(directory) == before


def test_check_mode_says_the_same_without_doing_it(tmp_path):
    path = tmp_path / "above" / "pki"
    planned = reconcile(path, REQUEST, check_mode=True)
    assert planned["changed"]
    assert not path.parent.exists()
    done = reconcile(path, REQUEST)
    assert changes(planned) == changes(done)
    for before, after in zip(planned["certificates"], done["certificates"]):
        for name in ("name", "type", "subject", "names", "usages", "issuer", "key"):
            assert before[name] == after[name]
        assert before["fingerprint"] is None
    assert [entry["before_header"] for entry in planned["diff"]] == [entry["before_header"] for entry in done["diff"]]


def test_check_mode_touches_nothing(directory):
    before = contents(directory)
    result = reconcile(directory, changed_request("admin", validity="2y"), check_mode=True)
    assert list(changes(result)) == ["admin"]
    assert contents(directory) == before


def test_no_key_in_results_or_diffs(tmp_path):
    path = tmp_path / "pki"
    text = str(reconcile(path, REQUEST))
    assert "BEGIN" not in text
    assert (path / "encryption.key").read_text().strip() not in text


# Drift: what is asked differs from what stands there

ASKED = {
    "names added": (
        "apiserver",
        {"hosts": [*REQUEST["certificates"][0]["hosts"], "10.33.0.14"]},
        "names to add: IP:10.33.0.14",
    ),
    "names removed": (
        "apiserver",
        {"hosts": REQUEST["certificates"][0]["hosts"][1:]},
        "names no longer asked for: IP:10.33.0.100",
    ),
    "subject": (
        "admin",
        {"subject": {"O": "ops", "CN": "admin"}},
        "subject is O=system:masters, O=ops, CN=admin, asked is O=ops, CN=admin",
    ),
    "usages": (
        "admin",
        {"profile": "peer"},
        "usages are digital signature, client auth, asked are digital signature, server auth, client auth",
    ),
    "key type": ("admin", {"key": {"type": "rsa"}}, "key is ECDSA P-256, asked is RSA 2048"),
    "key size": ("nameless", {"key": {"type": "ecdsa", "size": 521}}, "key is ECDSA P-384, asked is ECDSA P-521"),
    "validity": ("admin", {"validity": "2y"}, "lasts 365 days, asked is 730 days"),
    "issuer": (
        "admin",
        {"ca": "etcd-ca"},
        "issued by C=CN, ST=BeiJing, L=BeiJing, O=k8s, OU=System, CN=kubernetes, asked is etcd-ca (CN=etcd cluster)",
    ),
    "bundle": ("client-ca", {"cas": ["ca"]}, "its CAs were not ca"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_what_is_asked_differs(directory, kind):
    name, settings, reason = ASKED[kind]
    request = changed_request(name, **settings)
    assert changes(reconcile(directory, request)) == {name: reason}
    assert not reconcile(directory, request)["changed"]


def test_the_same_in_other_words_is_no_difference(directory):
    request = changed_request(
        "apiserver",
        hosts=list(reversed([*REQUEST["certificates"][0]["hosts"], "KUBERNETES.default.svc"])),
        validity="365d",
    )
    assert not reconcile(directory, request)["changed"]


def test_the_key_is_kept_unless_asked(directory):
    key = (directory / "admin-key.pem").read_bytes()
    request = changed_request("admin", validity="2y")
    reconcile(directory, request)
    assert (directory / "admin-key.pem").read_bytes() == key
    reconcile(directory, {**changed_request("admin", validity="3y"), "renew_keys": True})
    assert (directory / "admin-key.pem").read_bytes() != key


# Drift: what stands there differs from what is asked


def test_a_certificate_beside_another_key(directory):
    shutil.copy(directory / "nameless-key.pem", directory / "admin-key.pem")
    request = changed_request("admin", key={"type": "ecdsa", "size": 384})
    reasons = changes(reconcile(directory, request))
    assert reasons == {"admin": "it does not match its key"}
    assert not reconcile(directory, request)["changed"]


@pytest.mark.parametrize("name", ["admin.pem", "admin-key.pem", "client-ca.pem", "service-account.pem"])
def test_a_missing_file(directory, name):
    (directory / name).unlink()
    changed = changes(reconcile(directory, REQUEST))
    assert list(changed) == [name.replace("-key", "").removesuffix(".pem")]
    assert not reconcile(directory, REQUEST)["changed"]


@pytest.mark.parametrize("name", ["admin.pem", "admin-key.pem"])
def test_a_damaged_file(directory, name):
    (directory / name).write_text("-----BEGIN nonsense")
    reasons = changes(reconcile(directory, REQUEST))
    assert list(reasons) == ["admin"]
    assert f"{name} is no" in reasons["admin"]
    assert not reconcile(directory, REQUEST)["changed"]


@needs_openssl
def test_an_extension_that_nobody_asked_for(directory):
    """A certificate by openssl over the same key: equal but for what openssl adds and leaves out."""
    openssl(
        "req",
        "-new",
        "-key",
        "admin-key.pem",
        "-subj",
        "/O=system:masters/O=ops/CN=admin",
        "-out",
        "admin.csr",
        directory=directory,
    )
    (directory / "ext").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\ncertificatePolicies=1.2.3.4\n"
    )
    arguments = [
        "x509",
        "-req",
        "-in",
        "admin.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca-key.pem",
        "-days",
        "365",
        "-extfile",
        "ext",
        "-out",
        "admin.pem",
    ]
    openssl(*arguments, directory=directory)
    assert changes(reconcile(directory, REQUEST)) == {
        "admin": "carries an extension that was not asked for (2.5.29.32)"
    }


@needs_openssl
def test_an_authority_key_identifier_with_more_than_the_key(directory):
    openssl(
        "req",
        "-new",
        "-key",
        "admin-key.pem",
        "-subj",
        "/O=system:masters/O=ops/CN=admin",
        "-out",
        "admin.csr",
        directory=directory,
    )
    (directory / "ext").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,clientAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer:always\n"
    )
    arguments = [
        "x509",
        "-req",
        "-in",
        "admin.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca-key.pem",
        "-days",
        "365",
        "-extfile",
        "ext",
        "-out",
        "admin.pem",
    ]
    openssl(*arguments, directory=directory)
    assert changes(reconcile(directory, REQUEST)) == {
        "admin": "the extension 2.5.29.37 is critical; the authority key identifier is not that of ca"
    }
    assert not reconcile(directory, REQUEST)["changed"]


def test_a_file_that_holds_more_than_its_certificate(directory):
    before = contents(directory)
    for name in ("admin", "ca"):
        (directory / f"{name}.pem").write_bytes(b"Certificate:\n    Data:\n" + before[f"{name}.pem"])
    expected = {"ca": "ca.pem held more than certificates", "admin": "admin.pem held more than certificates"}
    assert changes(reconcile(directory, REQUEST, check_mode=True)) == changes(reconcile(directory, REQUEST)) == expected
    assert contents(directory) == before


def test_wrong_modes_are_mended_without_reissue(directory):
    os.chmod(directory / "admin-key.pem", 0o644)
    os.chmod(directory, 0o755)
    before = contents(directory)
    result = reconcile(directory, REQUEST)
    assert result["changed"]
    assert changes(result) == {"admin": "admin-key.pem had mode 0644"}
    assert contents(directory) == before
    assert stat.S_IMODE((directory / "admin-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


# Time

NOW = datetime.now(timezone.utc)


def test_renewal_before_the_end(directory):
    assert not reconcile(directory, REQUEST, now=NOW + timedelta(days=334))["changed"]
    reasons = changes(reconcile(directory, REQUEST, now=NOW + timedelta(days=336)))
    assert sorted(reasons) == ["admin", "apiserver"]
    assert reasons["admin"].startswith("expires on 20")
    assert not reconcile(directory, REQUEST, now=NOW + timedelta(days=336))["changed"]


def test_renewal_that_is_asked_for(directory):
    request = {**REQUEST, "renew": ["a*"]}
    before = contents(directory)
    asked = {"apiserver": "renewal was asked for", "admin": "renewal was asked for"}
    assert changes(reconcile(directory, request, check_mode=True)) == changes(reconcile(directory, request)) == asked
    assert {name for name, content in contents(directory).items() if content != before[name]} == {
        "admin.pem",
        "apiserver.pem",
    }
    assert not reconcile(directory, REQUEST)["changed"]
    (directory / "admin.pem").unlink()
    assert changes(reconcile(directory, request)) == {**asked, "admin": "there was none"}
    reconcile(directory, {**request, "renew_keys": True})
    assert sorted(name for name, key in contents(directory).items() if key != before[name] and "-key" in name) == [
        "admin-key.pem",
        "apiserver-key.pem",
    ]


def test_an_expired_certificate_is_never_ok(directory):
    request = {**REQUEST, "renew_before": "0h"}
    assert not reconcile(directory, request, now=NOW + timedelta(days=364))["changed"]
    assert changes(reconcile(directory, request, now=NOW + timedelta(days=366)))["admin"].startswith("expired on 20")


def test_renew_before_is_never_more_than_a_third(tmp_path):
    request = {**changed_request("admin", validity="30h"), "renew_before": "8760h"}
    reconcile(tmp_path / "pki", request)
    assert "admin" not in changes(reconcile(tmp_path / "pki", request, check_mode=True, now=NOW + timedelta(hours=19)))
    assert "admin" in changes(reconcile(tmp_path / "pki", request, check_mode=True, now=NOW + timedelta(hours=21)))


def test_not_beyond_the_issuer(tmp_path):
    request = changed_request("ca", validity="60d")
    result = reconcile(tmp_path / "pki", request)
    assert described(result, "admin")["not_after"] == described(result, "ca")["not_after"]
    assert described(result, "admin")["limited_by"] == "ca"
    assert described(result, "etcd")["limited_by"] is None
    ends = [warning for warning in result["warnings"] if "before the lifetime asked for" in warning]
    assert ends == [
        f"The CA ca ends on {described(result, 'ca')['not_after']}, and with it, before the lifetime asked for: apiserver, admin, nameless"
    ]
    # Near the CA's end a new certificate would last no longer: a warning, not one more at each run.
    late = reconcile(tmp_path / "pki", request, now=NOW + timedelta(days=50))
    assert not late["changed"]
    assert any("The CA ca expires on" in warning for warning in late["warnings"])


@needs_openssl
def test_a_hundred_years(tmp_path):
    """cfssl's 876000h, for CA and certificate: past 2049, where RFC 5280 (4.1.2.5) has another form of time, and 29th of February or not."""
    request = {
        "cas": [{"name": "ca", "subject": {"CN": "ca"}, "validity": "876000h"}],
        "certificates": [{"name": "etcd", "ca": "ca", "subject": {"CN": "etcd"}, "validity": "876000h"}],
    }
    result = reconcile(tmp_path / "pki", request, now=NOW)
    end = (NOW + timedelta(hours=876000)).replace(microsecond=0)
    for name in ("ca", "etcd"):
        text = openssl(
            "x509", "-in", f"{name}.pem", "-noout", "-enddate", "-dateopt", "iso_8601", directory=tmp_path / "pki"
        )
        assert text.strip() == f"notAfter={end:%Y-%m-%d %H:%M:%SZ}"
        assert described(result, name)["limited_by"] is None
    assert "OK" in openssl("verify", "-x509_strict", "-CAfile", "ca.pem", "etcd.pem", directory=tmp_path / "pki")
    assert not reconcile(tmp_path / "pki", request, now=NOW + timedelta(days=60))["changed"]


def test_an_expired_authority_is_an_error(tmp_path):
    request = changed_request("ca", validity="60d")
    reconcile(tmp_path / "pki", request)
    with pytest.raises(Refused, match=r"cas\[ca\]: expired on .*(.|\n)*rotate"):
        reconcile(tmp_path / "pki", request, now=NOW + timedelta(days=61))


def test_a_clock_that_is_behind(tmp_path):
    """Valid five minutes back, so that a host whose clock is late accepts it at once."""
    reconcile(tmp_path / "pki", REQUEST)
    late = datetime.now(timezone.utc) - timedelta(minutes=4)
    assert not reconcile(tmp_path / "pki", REQUEST, now=late)["changed"]


# CAs and keys stay


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ca", {"subject": {"CN": "another"}}, "cas[ca]: subject is"),
        ("ca", {"key": {"type": "rsa"}}, "cas[ca].key: its key is ECDSA P-256, asked is RSA 2048"),
        ("ca", {"issuer": "etcd-ca"}, "cas[ca]: issued by"),
        ("service-account", {"type": "ecdsa"}, "keys[service-account]: service-account-key.pem is RSA 2048"),
        ("encryption", {"size": 64}, "keys[encryption]: encryption.key is not the base64 of 64 bytes"),
    ],
)
def test_never_replaced(directory, name, settings, message):
    before = contents(directory)
    request = changed_request(name, **settings)
    request["cas"][1].pop("path_length")
    with pytest.raises(Refused) as caught:
        reconcile(directory, request)
    assert any(problem.startswith(message) for problem in caught.value.problems), caught.value.problems
    assert "rotate: add a new" in str(caught.value)
    assert contents(directory) == before


def test_a_lost_authority_is_not_a_fresh_one(directory):
    (directory / "ca.pem").unlink()
    (directory / "ca-key.pem").unlink()
    with pytest.raises(Refused, match=r"ca.pem and ca-key.pem are gone"):
        reconcile(directory, REQUEST)


def test_an_authority_whose_certificate_is_missing_keeps_its_key(directory):
    """As a kill between key and certificate leaves it: what it signed stays."""
    (directory / "ca.pem").unlink()
    assert list(changes(reconcile(directory, REQUEST))) == ["ca", "client-ca"]
    assert not reconcile(directory, REQUEST)["changed"]


def test_an_authority_without_its_key_until_something_is_to_sign(directory):
    (directory / "ca-key.pem").unlink()
    assert not reconcile(directory, REQUEST)["changed"]
    with pytest.raises(Refused, match=r"cas\[ca\]: ca-key.pem is not here, and it is to sign admin"):
        reconcile(directory, changed_request("admin", validity="2y"))


def test_a_swapped_authority_key(directory):
    shutil.copy(directory / "admin-key.pem", directory / "ca-key.pem")
    with pytest.raises(Refused, match=r"ca-key.pem is not the key of ca.pem"):
        reconcile(directory, REQUEST)


def test_all_that_stands_against_it_at_once(directory):
    request = changed_request("ca", subject={"CN": "another"})
    request["keys"][0]["type"] = "ecdsa"
    with pytest.raises(Refused) as caught:
        reconcile(directory, request)
    assert len(caught.value.problems) == 2


@needs_openssl
def test_an_intermediate(tmp_path):
    request = {
        "cas": [
            {"name": "sub", "subject": {"CN": "sub"}, "issuer": "root", "path_length": 0},
            {"name": "root", "subject": {"CN": "root"}, "path_length": 1},
        ],
        "certificates": [{"name": "leaf", "ca": "sub", "profile": "server", "hosts": ["a.example.org"]}],
        "bundles": [{"name": "chain", "cas": ["sub", "root"]}],
    }
    reconcile(tmp_path / "pki", request)
    assert not reconcile(tmp_path / "pki", request)["changed"]
    arguments = (
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "sub.pem",
        "leaf.pem",
    )
    assert "OK" in openssl(*arguments, directory=tmp_path / "pki")


@needs_openssl
def test_an_adopted_authority_under_several_names(tmp_path, foreign):
    request = adopting(foreign)
    request["cas"][1] = {"name": "etcd-ca", "copy_of": "ca"}
    reconcile(tmp_path / "pki", request)
    assert (tmp_path / "pki" / "ca.pem").read_bytes() == (tmp_path / "pki" / "etcd-ca.pem").read_bytes()
    assert not reconcile(tmp_path / "pki", request)["changed"]


def test_one_authority_under_several_names(tmp_path):
    request = {
        "cas": [{"name": "kubelet-ca", "copy_of": "ca"}, {"name": "ca", "subject": {"CN": "ca"}}],
        "certificates": [{"name": "leaf", "ca": "kubelet-ca", "subject": {"CN": "leaf"}}],
        "bundles": [{"name": "client-ca", "cas": ["ca", "kubelet-ca"]}],
    }
    path = tmp_path / "pki"
    assert list(changes(reconcile(path, request, check_mode=True))) == list(changes(reconcile(path, request)))
    assert (
        (path / "ca.pem").read_bytes()
        == (path / "kubelet-ca.pem").read_bytes()
        == (path / "client-ca.pem").read_bytes()
    )
    assert (path / "ca-key.pem").read_bytes() == (path / "kubelet-ca-key.pem").read_bytes()
    assert not reconcile(path, request)["changed"]


# Bundles


def test_a_bundle_of_one_is_the_file_of_that_one(tmp_path):
    request = copy.deepcopy(REQUEST)
    request["bundles"] = [
        {"name": "ca-bundle", "cas": ["ca"]},
        {"name": "service-account-bundle", "keys": ["service-account"]},
    ]
    path = tmp_path / "pki"
    reconcile(path, request)
    for name in ("ca", "service-account"):
        assert (path / f"{name}-bundle.pem").read_bytes() == (path / f"{name}.pem").read_bytes()


def test_a_bundle_of_public_keys(directory):
    """As rotated: a second generation beside the first, then alone."""
    request = copy.deepcopy(REQUEST)
    request["keys"].append({"name": "service-account-2"})
    request["bundles"][1]["keys"].append("service-account-2")
    anew = {"service-account-2": "there was none", "service-account-bundle": "a key in it is replaced"}
    assert changes(reconcile(directory, request, check_mode=True)) == anew
    assert list(changes(reconcile(directory, request))) == ["service-account-2", "service-account-bundle"]
    first, second = ((directory / f"{name}.pem").read_bytes() for name in ("service-account", "service-account-2"))
    assert (directory / "service-account-bundle.pem").read_bytes() == first + second
    (directory / "service-account-bundle.pem").write_bytes(second + first)
    assert changes(reconcile(directory, request)) == {
        "service-account-bundle": "its keys were not service-account, service-account-2"
    }
    assert not reconcile(directory, request)["changed"]
    request["bundles"][1]["keys"].remove("service-account")
    assert changes(reconcile(directory, request)) == {"service-account-bundle": "its keys were not service-account-2"}
    assert (directory / "service-account-bundle.pem").read_bytes() == second


# Adoption


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A CA as openssl makes it, with its order of the subject and its extensions, and the key usage that strict verifiers want."""
    path = tmp_path / "foreign"
    path.mkdir()
    arguments = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "k.pem",
        "-out",
        "c.pem",
        "-days",
        "3650",
        "-subj",
        "/CN=old/O=k8s/C=CN",
    ]
    openssl(*arguments, "-addext", "keyUsage=critical,keyCertSign,cRLSign", directory=path)
    return path


def adopting(foreign: Path) -> dict:
    request = copy.deepcopy(REQUEST)
    request["cas"][0] = {
        "name": "ca",
        "import_from": {"certificate": str(foreign / "c.pem"), "key": str(foreign / "k.pem")},
    }
    return request


@needs_openssl
def test_an_authority_is_adopted(tmp_path, foreign):
    path, request = tmp_path / "pki", adopting(foreign)
    assert changes(reconcile(path, request, check_mode=True))["ca"] == "there was none"
    result = reconcile(path, request)
    assert described(result, "admin")["issuer"] == "CN=old, O=k8s, C=CN"
    assert "OK" in openssl(
        "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem", "admin.pem", directory=path
    )
    assert not reconcile(path, request)["changed"]
    shutil.rmtree(foreign)
    assert not reconcile(path, request)["changed"]


@needs_openssl
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "k.pem").unlink(), "are not both there to be taken over"),
        (lambda path: (path / "c.pem").write_text("nonsense"), "cas[ca].import_from.certificate"),
        (lambda path: (path / "k.pem").write_text("nonsense"), "cas[ca].import_from.key"),
        (lambda path: openssl("genrsa", "-out", "k.pem", "2048", directory=path), "is not the key of"),
        (
            lambda path: openssl(
                *[
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-keyout",
                    "k.pem",
                    "-out",
                    "c.pem",
                    "-subj",
                    "/CN=x",
                    "-addext",
                    "basicConstraints=critical,CA:FALSE",
                ],
                directory=path,
            ),
            "is no CA's certificate",
        ),
    ],
)
def test_what_cannot_be_adopted(tmp_path, foreign, spoil, message):
    spoil(foreign)
    with pytest.raises(Refused) as caught:
        reconcile(tmp_path / "pki", adopting(foreign))
    assert any(message in problem for problem in caught.value.problems), caught.value.problems
    assert not (tmp_path / "pki").exists()


@needs_openssl
def test_an_authority_without_key_usage_is_adopted(tmp_path, foreign):
    openssl("req", "-x509", "-key", "k.pem", "-out", "c.pem", "-days", "3650", "-subj", "/CN=old", directory=foreign)
    reconcile(tmp_path / "pki", adopting(foreign))
    assert not reconcile(tmp_path / "pki", adopting(foreign))["changed"]
    assert "OK" in openssl(
        "verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "admin.pem", directory=tmp_path / "pki"
    )


@needs_openssl
def test_another_authority_is_not_adopted_over_one(directory, foreign):
    with pytest.raises(Refused, match=r"ca.pem is another CA"):
        reconcile(directory, adopting(foreign))


@needs_openssl
def test_an_adopted_authority_that_was_renewed(tmp_path, foreign):
    path, request = tmp_path / "pki", adopting(foreign)
    reconcile(path, request)
    openssl(
        "req",
        "-x509",
        "-key",
        "k.pem",
        "-out",
        "c.pem",
        "-days",
        "7300",
        "-subj",
        "/CN=old/O=k8s/C=CN",
        directory=foreign,
    )
    assert changes(reconcile(path, request)) == {
        "ca": f"{foreign}/c.pem was renewed",
        "client-ca": "its CAs were not ca, etcd-ca",
    }
    assert not reconcile(path, request)["changed"]


# Files


def test_unwanted_files_are_listed_and_removed_when_asked(directory):
    request = copy.deepcopy(REQUEST)
    del request["certificates"][1]
    (directory / "notes.txt").write_text("mine")
    result = reconcile(directory, request)
    assert not result["changed"]
    assert result["unwanted"] == ["admin-key.pem", "admin.pem"]
    assert (directory / "admin.pem").exists()
    assert reconcile(directory, {**request, "purge": True})["removed"] == ["admin-key.pem", "admin.pem"]
    assert not (directory / "admin.pem").exists()
    assert (directory / "notes.txt").exists()


def test_a_directory_is_no_file_of_ours(directory):
    (directory / "old.pem").mkdir()
    assert not reconcile(directory, {**REQUEST, "purge": True})["changed"]
    assert (directory / "old.pem").is_dir()


@pytest.mark.parametrize("name", ["admin.pem", "admin-key.pem", "ca-key.pem", "encryption.key", "client-ca.pem"])
def test_links_are_refused(directory, tmp_path, name):
    (directory / name).rename(tmp_path / name)
    (directory / name).symlink_to(tmp_path / name)
    with pytest.raises(Refused, match="is a symbolic link"):
        reconcile(directory, REQUEST)


def test_a_link_in_the_place_of_a_new_file_is_refused(tmp_path):
    """Nothing is written through a link that somebody laid where a key is to be."""
    pki_directory = tmp_path / "pki"
    pki_directory.mkdir(0o700)
    for name in ("admin-key.pem", "service-account-key.pem"):
        (pki_directory / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=r"admin-key.pem is a symbolic link"):
        reconcile(pki_directory, REQUEST)
    assert not (tmp_path / "elsewhere").exists()
    (pki_directory / ".lock").unlink()
    (pki_directory / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(files.FileRefused, match="lock cannot be locked"):
        reconcile(pki_directory, REQUEST)
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_to_the_directory_is_refused(directory, tmp_path):
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(files.FileRefused, match="is a symbolic link"):
        reconcile(tmp_path / "link", REQUEST)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_foreign_owners_are_refused(directory):
    os.chown(directory / "admin.pem", 65534, -1)
    with pytest.raises(Refused, match="belongs to user 65534"):
        reconcile(directory, REQUEST)
    os.chown(directory, 65534, -1)
    with pytest.raises(files.FileRefused, match="belongs to user 65534"):
        reconcile(directory, REQUEST)


def test_modes_hold_under_any_umask(tmp_path):
    old = os.umask(0)
    try:
        reconcile(tmp_path / "pki", REQUEST)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (tmp_path / "pki").glob("*-key.pem"))


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_modes_hold_from_the_first_byte(tmp_path, monkeypatch, umask):
    """Every file and directory is seen at the moment at which it comes to be, before anything is written into it."""
    seen, real_open, real_mkdir = [], os.open, os.mkdir

    def watched_open(path, flags, *arguments, **options):
        there = os.path.lexists(path)
        descriptor = real_open(path, flags, *arguments, **options)
        if flags & os.O_CREAT and not there:
            assert os.fstat(descriptor).st_size == 0
            seen.append((os.path.basename(path), stat.S_IMODE(os.fstat(descriptor).st_mode)))
        return descriptor

    def watched_mkdir(path, *arguments):
        real_mkdir(path, *arguments)
        seen.append((f"{os.path.basename(path)}/", stat.S_IMODE(os.stat(path).st_mode)))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", watched_open)
        patch.setattr(os, "mkdir", watched_mkdir)
        old = os.umask(umask)
        try:
            reconcile(tmp_path / "above" / "pki", REQUEST)
            reconcile(tmp_path / "above" / "pki", {**REQUEST, "renew": ["*"], "renew_keys": True})
        finally:
            os.umask(old)
    assert {(name, mode) for name, mode in seen if name.endswith("/")} == {("above/", 0o700), ("pki/", 0o700)}
    assert {mode for name, mode in seen if not name.endswith("/")} == {0o600}
    # Nothing came into the directory unseen.
    staged = {name for name, _mode in seen if files.is_temporary(name)}
    made = set(files.names(str(tmp_path / "above" / "pki"))) - {".lock"}
    assert staged == {files.temporary_of(name) for name in made}


# A new pair, step by step; runs that are really killed are in test_pki_kills.py


class Killed(BaseException):
    """What no handler of errors expects."""


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("new_because", ["asked", "missing", "another type"])
def test_each_step_of_a_new_pair(directory, monkeypatch, new_because, step):
    """A new key goes in by three steps: an end before any of them leaves no certificate beside a key that is not its own."""
    request = changed_request("admin", validity="2y") | {"renew_keys": new_because == "asked"}
    if new_because == "missing":
        (directory / "admin-key.pem").unlink()
    if new_because == "another type":
        request = changed_request("admin", key={"type": "ecdsa", "size": 521})
    calls = iter(range(100))

    def or_killed(function):
        def call(source, *arguments):
            # Staged files are cleaned away by whoever staged them; only steps on the pair itself are counted.
            if (arguments or not os.path.basename(source).startswith(".")) and next(calls) == step:
                raise Killed
            return function(source, *arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", or_killed(os.rename))
        patch.setattr(os, "unlink", or_killed(os.unlink))
        with pytest.raises(Killed):
            reconcile(directory, request)
    assert pairs_match(directory)
    assert list(changes(reconcile(directory, request))) == ["admin"]
    assert not reconcile(directory, request)["changed"]
