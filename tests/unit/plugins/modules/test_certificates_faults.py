# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that a request to `certificates` may have wrong: an error that names the entry and its field, and nothing written."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible.module_utils.testing import patch_module_args

from ansible_collections.hardway.kubernetes.plugins.modules import certificates

GOOD = {
    "cas": [
        {"name": "ca", "subject": {"C": "CN", "O": "k8s", "CN": "kubernetes"}, "passphrase": "correct horse"},
        {"name": "copy", "copy_of": "ca"},
    ],
    "certificates": [
        {
            "name": "etcd",
            "ca": "ca",
            "profile": "peer",
            "subject": {"CN": "etcd"},
            "hosts": ["127.0.0.1", "etcd"],
        }
    ],
    "keys": [{"name": "service-account"}, {"name": "encryption", "type": "random", "size": 32}],
    "bundles": [{"name": "client-ca", "cas": ["ca"]}],
}

CERTIFICATE = ("certificates", 0)
CA = ("cas", 0)
HOSTS = (*CERTIFICATE, "hosts")
SUBJECT = (*CERTIFICATE, "subject")
KEY = (*CERTIFICATE, "key")
VALIDITY = (*CERTIFICATE, "validity")

# where in the request, what stands there instead, what the message says
FAULTS = {
    "certificates no list": (("certificates",), {"etcd": {}}, "certificates: is not a list"),
    "certificate no mapping": (CERTIFICATE, "etcd", "certificates[number 1]: is not a mapping"),
    "no name": (CERTIFICATE, {"ca": "ca", "subject": {"CN": "x"}}, "certificates[number 1].name: is missing"),
    "empty name": ((*CERTIFICATE, "name"), "", "certificates[number 1].name: is missing"),
    "name with slash": ((*CERTIFICATE, "name"), "../ca", "certificates[../ca].name: '../ca' cannot be a file's name"),
    "hidden name": ((*CERTIFICATE, "name"), ".lock", "certificates[.lock].name: '.lock' cannot be a file's name"),
    "name too long": ((*CERTIFICATE, "name"), "x" * 201, "is longer than 200 characters"),
    "same name twice": (
        ("certificates",),
        [GOOD["certificates"][0]] * 2,
        "certificates[etcd].name: its file etcd.pem is that of certificates[etcd]",
    ),
    "same file twice": (
        (*CERTIFICATE, "name"),
        "ca",
        "certificates[ca].name: its file ca.pem is that of cas[ca]",
    ),
    "key file of another": (
        (*CERTIFICATE, "name"),
        "ca-key",
        "certificates[ca-key].name: its file ca-key.pem is that of cas[ca]",
    ),
    "misspelt option": (
        (*CERTIFICATE, "host"),
        ["etcd"],
        "certificates[etcd].host: is not an option; there are ca, chain, hosts",
    ),
    "unknown CA": (
        (*CERTIFICATE, "ca"),
        "cb",
        "certificates[etcd].ca: 'cb' is not a CA of this call; there are ca, copy",
    ),
    "empty CA": ((*CERTIFICATE, "ca"), "", "certificates[etcd].ca: is missing"),
    "no CA": (
        CERTIFICATE,
        {"name": "etcd", "subject": {"CN": "etcd"}},
        "certificates[etcd].ca: is missing",
    ),
    "unknown profile": (
        (*CERTIFICATE, "profile"),
        "www",
        "certificates[etcd].profile: 'www' is not a profile; there are client, kubernetes",
    ),
    "chain neither true nor false": (
        (*CERTIFICATE, "chain"),
        "full",
        "certificates[etcd].chain: 'full' is neither true nor false",
    ),
    "existing neither true nor false": (
        (*CA, "existing"),
        "maybe",
        "cas[ca].existing: 'maybe' is neither true nor false",
    ),
    "existing and adopted": (
        CA,
        {"name": "ca", "existing": True, "import_from": {"certificate": "/c", "key": "/k"}},
        "cas[ca]: import_from and existing",
    ),
    "address out of range": (HOSTS, ["10.0.0.300"], "certificates[etcd].hosts: '10.0.0.300' is not an IP address"),
    "address with leading zeros": (HOSTS, ["010.0.0.1"], "certificates[etcd].hosts: '010.0.0.1' is not an IP address"),
    "network as host": (HOSTS, ["10.0.0.0/24"], "certificates[etcd].hosts: '10.0.0.0/24' is a network"),
    "network of IPv6 as host": (HOSTS, ["fd00::/64"], "certificates[etcd].hosts: 'fd00::/64' is a network"),
    "host with port": (HOSTS, ["etcd:2379"], "certificates[etcd].hosts: 'etcd:2379' carries"),
    "bracketed address": (HOSTS, ["[::1]"], "certificates[etcd].hosts: '[::1]' carries"),
    "address with zone": (HOSTS, ["fe80::1%eth0"], "certificates[etcd].hosts: 'fe80::1%eth0' carries a zone"),
    "half an address of IPv6": (HOSTS, ["fd00:1"], "certificates[etcd].hosts: 'fd00:1'"),
    "empty host": (HOSTS, [""], "certificates[etcd].hosts: an empty host"),
    "host with space": (HOSTS, ["a b"], "certificates[etcd].hosts: 'a b' is not a DNS name"),
    "host with control character": (HOSTS, ["a\x00b"], "certificates[etcd].hosts: 'a\\x00b' holds control characters"),
    "inner wildcard": (
        HOSTS,
        ["a.*.org"],
        "certificates[etcd].hosts: 'a.*.org' is not a DNS name: a wildcard stands only",
    ),
    "wildcard in a label": (
        HOSTS,
        ["a*.org"],
        "certificates[etcd].hosts: 'a*.org' is not a DNS name: a wildcard stands only",
    ),
    "nothing but a wildcard": (HOSTS, ["*"], "certificates[etcd].hosts: '*' is not a DNS name"),
    "dot at the end": (HOSTS, ["etcd.example.org."], "certificates[etcd].hosts: 'etcd.example.org.' is not a DNS name"),
    "hyphen at the end": (HOSTS, ["etcd-.org"], "certificates[etcd].hosts: 'etcd-.org' is not a DNS name"),
    "label too long": (HOSTS, ["a" * 64 + ".org"], "is not a DNS name"),
    "DNS name too long": (HOSTS, ["a." * 130 + "org"], "longer than 253"),
    "DNS name beyond ASCII": (
        HOSTS,
        ["müller.de"],
        "certificates[etcd].hosts: 'müller.de' holds characters beyond ASCII; write it as punycode",
    ),
    "URI beyond ASCII": (
        HOSTS,
        ["spiffe://müller"],
        "certificates[etcd].hosts: the URI 'spiffe://müller' holds characters beyond ASCII",
    ),
    "URI without anything": (HOSTS, ["spiffe://"], "certificates[etcd].hosts: 'spiffe://' is neither"),
    "mail address without domain": (HOSTS, ["me@"], "certificates[etcd].hosts: 'me@' is not a mail address"),
    "mail address in brackets": (
        HOSTS,
        ["<me@example.org>"],
        "certificates[etcd].hosts: '<me@example.org>' is not a mail address",
    ),
    "mail address of two": (
        HOSTS,
        ["a,b@example.org"],
        "certificates[etcd].hosts: 'a,b@example.org' is not a mail address",
    ),
    "hosts no list": (HOSTS, {"ip": "10.0.0.1"}, "certificates[etcd].hosts: is not a list"),
    "host no text": (HOSTS, [{"ip": "10.0.0.1"}], "certificates[etcd].hosts: "),
    "nothing to name": (
        CERTIFICATE,
        {"name": "etcd", "ca": "ca"},
        "certificates[etcd]: has neither a subject nor hosts",
    ),
    "unknown subject field": (SUBJECT, {"CN": "x", "Org": "y"}, "certificates[etcd].subject.Org: is not a field"),
    "long common name": (SUBJECT, {"CN": "x" * 65}, "certificates[etcd].subject.CN: "),
    "long common name in bytes": (SUBJECT, {"CN": "证" * 22}, "has 66 bytes in UTF-8; there may be 64"),
    "long organization": (SUBJECT, {"CN": "x", "O": ["k8s", "x" * 65]}, "certificates[etcd].subject.O: "),
    "country in full": (
        SUBJECT,
        {"CN": "x", "C": "China"},
        "certificates[etcd].subject.C: 'China' is not a country's two capital letters",
    ),
    "country in small letters": (
        SUBJECT,
        {"CN": "x", "C": "cn"},
        "certificates[etcd].subject.C: 'cn' is not a country's two capital letters",
    ),
    "two countries": (SUBJECT, {"CN": "x", "C": ["CN", "DE"]}, "certificates[etcd].subject.C: has more than one value"),
    "two common names": (SUBJECT, {"CN": ["x", "y"]}, "certificates[etcd].subject.CN: has more than one value"),
    "control character": (SUBJECT, {"CN": "x\ny"}, "certificates[etcd].subject.CN: holds control characters"),
    "subject of truth": (SUBJECT, {"CN": True}, "certificates[etcd].subject.CN: 'True' is not a text"),
    "subject in a subject": (SUBJECT, {"CN": {"CN": "x"}}, "certificates[etcd].subject.CN: "),
    "subject no mapping": (SUBJECT, ["CN", "x"], "certificates[etcd].subject: is not a mapping"),
    "unknown key type": (
        KEY,
        {"type": "dsa"},
        "certificates[etcd].key.type: 'dsa' is not a type of key; there are rsa and ecdsa",
    ),
    "small RSA key": (
        KEY,
        {"type": "rsa", "size": 1024},
        "certificates[etcd].key.size: '1024' is not a size of rsa keys; there are 2048 to 4096",
    ),
    "large RSA key": (
        KEY,
        {"type": "rsa", "size": 8192},
        "certificates[etcd].key.size: '8192' is not a size of rsa keys; there are 2048 to 4096",
    ),
    "odd RSA key": (KEY, {"type": "rsa", "size": 2049}, "certificates[etcd].key.size: '2049' is not a size"),
    "RSA size for ECDSA": (
        KEY,
        {"type": "ecdsa", "size": 2048},
        "certificates[etcd].key.size: '2048' is not a size of ecdsa keys; there are 256",
    ),
    "unknown curve": (
        KEY,
        {"type": "ecdsa", "size": 512},
        "certificates[etcd].key.size: '512' is not a size of ecdsa keys",
    ),
    "size no number": (
        KEY,
        {"type": "rsa", "size": "big"},
        "certificates[etcd].key.size: 'big' is not a size of rsa keys",
    ),
    "misspelt key option": (KEY, {"typ": "rsa"}, "certificates[etcd].key.typ: is not an option; there are size, type"),
    "validity without unit": (VALIDITY, "8760", "certificates[etcd].validity: '8760' is not a duration"),
    "validity in months": (VALIDITY, "12 months", "certificates[etcd].validity: '12 months' is not a duration"),
    "validity of nothing": (VALIDITY, "0h", "certificates[etcd].validity: '0h' is shorter than an hour"),
    "validity of minutes": (VALIDITY, "59m", "certificates[etcd].validity: '59m' is shorter than an hour"),
    "validity without end": (VALIDITY, "876001h", "certificates[etcd].validity: '876001h' is longer than 876000h"),
    "validity beyond numbers": (
        VALIDITY,
        "999999999999y",
        "certificates[etcd].validity: '999999999999y' is longer than any",
    ),
    "validity of too many digits": (VALIDITY, "9" * 5000 + "h", "certificates[etcd].validity: '999"),
    "validity negative": (VALIDITY, "-5h", "certificates[etcd].validity: '-5h' is not a duration"),
    "no name of a CA": (CA, {"subject": {"CN": "x"}}, "cas[number 1].name: is missing"),
    "CA without subject": ((*CA, "subject"), {}, "cas[ca].subject: is empty"),
    "CA below itself": ((*CA, "issuer"), "ca", "cas[ca]: goes round in a circle: ca <- ca"),
    "unknown issuer": (
        (*CA, "issuer"),
        "root",
        "cas[ca].issuer: 'root' is not a CA of this call",
    ),
    "unknown original": (
        ("cas", 1, "copy_of"),
        "root",
        "cas[copy].copy_of: 'root' is not a CA of this call",
    ),
    "copy and adopted": (
        ("cas", 1, "import_from"),
        {"certificate": "/c", "key": "/k"},
        "cas[copy]: copy_of and import_from exclude each other",
    ),
    "passphrase of a copy": (("cas", 1, "passphrase"), "x", "cas[copy].passphrase: is that of 'ca'"),
    "empty passphrase": ((*CA, "passphrase"), "", "cas[ca].passphrase: is empty; leave it out"),
    "long passphrase": ((*CA, "passphrase"), "ä" * 512, "cas[ca].passphrase: is longer than 1023 bytes"),
    "half an adoption": (
        (*CA, "import_from"),
        {"certificate": "/x"},
        "cas[ca].import_from: needs the paths of both",
    ),
    "path length negative": (
        (*CA, "path_length"),
        -1,
        "cas[ca].path_length: '-1' is not a number from 0 to 32",
    ),
    "path length no number": (
        (*CA, "path_length"),
        "none",
        "cas[ca].path_length: 'none' is not a number from 0 to 32",
    ),
    "unknown type of key": (
        ("keys", 0, "type"),
        "dsa",
        "keys[service-account].type: 'dsa' is not a type of key; there are rsa, ecdsa and random",
    ),
    "key size": (("keys", 0, "size"), 1024, "keys[service-account].size: '1024' is not a size"),
    "too few random bytes": (
        ("keys", 1, "size"),
        8,
        "keys[encryption].size: '8' is not a number of bytes from 16 to 1024",
    ),
    "empty bundle": (("bundles", 0, "cas"), [], "bundles[client-ca]: is empty"),
    "unknown in bundle": (
        ("bundles", 0, "cas"),
        ["cb"],
        "bundles[client-ca].cas: 'cb' is not a CA",
    ),
    "bundle of both": (
        ("bundles", 0, "keys"),
        ["service-account"],
        "bundles[client-ca]: cas and keys exclude each other",
    ),
    "unknown key in bundle": (("bundles", 0, "keys"), ["service"], "bundles[client-ca].keys: 'service' is not a key"),
    "random bytes in bundle": (
        ("bundles", 0, "keys"),
        ["encryption"],
        "bundles[client-ca].keys: 'encryption' is random bytes",
    ),
    "profiles no mapping": (("profiles",), ["server"], "profiles: is not a mapping"),
    "profile no mapping": (("profiles",), {"server": "1y"}, "profiles[server]: is not a mapping"),
    "unknown usage": (
        ("profiles",),
        {"server": {"usages": ["serve"]}},
        "profiles[server].usages: 'serve' is not a usage; there are signing",
    ),
    "CA's usage": (
        ("profiles",),
        {"server": {"usages": ["cert sign"]}},
        "profiles[server].usages: 'cert sign' is for CAs",
    ),
    "usage that needs another": (
        ("profiles",),
        {"server": {"usages": ["encipher only"]}},
        "profiles[server].usages: 'encipher only' and",
    ),
    "usage that does not fit the key": (
        ("profiles",),
        {"peer": {"usages": ["key encipherment"]}},
        "certificates[etcd].profile: none of its key usages fits",
    ),
    "profile without usages": (("profiles",), {"mine": {"validity": "1y"}}, "profiles[mine].usages: is not a list"),
    "validity of a profile": (
        ("profiles",),
        {"server": {"validity": "1 year"}},
        "profiles[server].validity: '1 year' is not a duration",
    ),
    "unknown profile setting": (("profiles",), {"server": {"usage": []}}, "profiles[server].usage: is not an option"),
    "renew_before": (("renew_before",), "a month", "renew_before: 'a month' is not a duration"),
    "renew nothing": (("renew",), ["etcd", "etc-*"], "renew: 'etc-*' matches no certificate"),
    "renew a CA": (("renew",), ["ca"], "renew: 'ca' matches no certificate"),
}


@pytest.fixture
def call(capsys):
    def run(**arguments) -> dict:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            certificates.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def standing(tmp_path_factory) -> Path:
    """A directory that a good request filled."""
    path = tmp_path_factory.mktemp("standing") / "pki"
    with patch_module_args({**GOOD, "path": str(path)}), pytest.raises(SystemExit):
        certificates.main()
    return path


def state(directory: Path) -> dict[str, tuple]:
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in directory.iterdir()}


def spoiled(place: tuple, value: object) -> dict:
    request = copy.deepcopy(GOOD)
    target = request
    for step in place[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    target[place[-1]] = value
    return request


def test_the_request_itself_is_good(call, standing):
    assert not call(**GOOD, path=str(standing))["changed"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_entry_and_field(call, standing, tmp_path, fault):
    place, value, message = FAULTS[fault]
    request = spoiled(place, value)
    result = call(**request, path=str(tmp_path / "above" / "pki"))
    assert result["failed"]
    assert message in result["msg"]
    assert any(message in problem for problem in result["problems"])
    assert not (tmp_path / "above").exists()
    before = state(standing)
    assert call(**request, path=str(standing))["problems"] == result["problems"]
    assert state(standing) == before


def test_there_are_many():
    assert len(FAULTS) >= 100


def test_no_passphrase_in_any_message(call, tmp_path):
    request = spoiled((*CA, "passphrase"), ["correct horse"])
    assert "correct" not in str(call(**request, path=str(tmp_path / "pki")))
