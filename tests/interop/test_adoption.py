# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""cfssl and the module with each other's authorities: adopted, signed below, and a directory that changes hands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import documents
import fields
import pytest
from test_verifiers import Question, accepted, questions_of

CA = "cfssl gencert -initca ca-csr.json | cfssljson -bare ca -"
# Beyond the documents: another kind of key, two units, letters that PrintableString has not, and a limit.
OTHER_AUTHORITY = {
    "CN": "Gemeinde Köln",
    "key": {"algo": "ecdsa", "size": 384},
    "names": [{"C": "DE", "L": "Köln", "O": "k8s", "OU": "one"}, {"OU": "two"}],
    "ca": {"expiry": "20000h", "pathlen": 1},
}


def digests(directory: Path, pattern: str) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.glob(pattern))}


def documents_of(name: str) -> documents.Document:
    return next(document for document in documents.DOCUMENTS if document.name == name)


@pytest.mark.parametrize("authority", [None, OTHER_AUTHORITY], ids=["of-the-document", "another"])
def test_an_adopted_authority_issues(tmp_path, authority):
    document, files, pki = documents_of("001/k8s"), tmp_path / "cfssl", tmp_path / "pki"
    document.lay_out(files)
    if authority:
        (files / "ca-csr.json").write_text(json.dumps(authority))
    documents.shell(CA, files)
    before = digests(files, "*")
    arguments = documents.asked(
        document, files, import_from={"certificate": str(files / "ca.pem"), "key": str(files / "ca-key.pem")}
    )
    asked_at = fields.now()
    documents.by_module(arguments, pki)
    assert digests(files, "*") == before
    assert digests(pki, "ca*.pem") == digests(files, "ca*.pem")
    for question in questions_of(arguments, pki):
        # The roots that hosts have had from cfssl go on to count.
        accepted([Question(question.certificate, files / "ca.pem", question.usage, question.names)])
    for entry in document.certificates:
        below = fields.Certificate.read(pki, entry.name, asked_at)
        assert (below.fields["issuer, byte by byte"], below.fields["authorityKeyIdentifier"]) == (
            "True",
            "that of its authority",
        )
    assert not documents.by_module(arguments, pki)["changed"]


@pytest.mark.parametrize("form", ["-traditional", ""], ids=["of-openssl-rsa", "pkcs8"])
def test_an_adopted_authority_with_a_passphrase(tmp_path, form):
    """As people lock away what cfssl made: with openssl, in either of its forms."""
    document, files, pki = documents_of("004"), tmp_path / "cfssl", tmp_path / "pki"
    document.lay_out(files)
    documents.shell(
        f"{CA}; openssl rsa -aes256 -passout pass:secret {form} -in ca-key.pem -out locked.pem; rm ca-key.pem", files
    )
    adopt = {"certificate": str(files / "ca.pem"), "key": str(files / "locked.pem"), "passphrase": "secret"}
    arguments = documents.asked(document, files, import_from=adopt)
    arguments["certificates"] = [{"name": "admin", "ca": "ca", "subject": {"CN": "admin"}, "profile": "client"}]
    documents.by_module(arguments, pki)
    accepted([Question(pki / "admin.pem", files / "ca.pem", "client")])


def test_cfssl_and_the_module_below_one_authority(tmp_path):
    """The same request below the same authority, by both: equal, but for the differences that fields.py names."""
    document, files, pki = documents_of("001/k8s"), tmp_path / "cfssl", tmp_path / "pki"
    asked_at = fields.now()
    documents.by_cfssl(document, files)
    arguments = documents.asked(
        document, files, import_from={"certificate": str(files / "ca.pem"), "key": str(files / "ca-key.pem")}
    )
    documents.by_module(arguments, pki)
    for entry in document.certificates:
        pair = fields.Pair(*(fields.Certificate.read(way, entry.name, asked_at) for way in (files, pki)))
        assert all(fields.differing(pair).values()), fields.table(entry.name, pair)
        assert pair.cfssl.own.issuer.public_bytes() == pair.module.own.issuer.public_bytes()


def test_a_directory_that_cfssl_filled(tmp_path):
    """The module takes it as it is: authority and keys stay to the byte, certificates are issued anew where a rule says so, and why."""
    expected = {
        "001/etcd": {"server": "outlives its issuer ca"},
        "003": {
            "client": "usages are digital signature, key encipherment, client auth, asked are digital signature, client auth",
            "server": "usages are digital signature, key encipherment, server auth, client auth, asked are digital signature, server auth, client auth",
            "peer": "usages are digital signature, key encipherment, server auth, client auth, asked are digital signature, server auth, client auth",
        },
    }
    for name, reasons in expected.items():
        document, directory = documents_of(name), tmp_path / name
        documents.by_cfssl(document, directory)
        kept = digests(directory, "*-key.pem") | digests(directory, "ca.pem")
        result = documents.by_module(documents.asked(document, directory), directory)
        found = {entry["name"]: entry["reason"] for entry in result["certificates"] if entry["type"] == "certificate"}
        assert {key: reason for key, reason in found.items() if not reason.startswith(reasons[key])} == {}
        assert digests(directory, "*-key.pem") | digests(directory, "ca.pem") == kept
        assert result["unwanted"] == []
        accepted(questions_of(documents.asked(document, directory), directory))


@pytest.mark.parametrize("key", [{"type": "rsa", "size": 2048}, {"type": "ecdsa", "size": 256}], ids=["rsa", "ecdsa"])
def test_cfssl_signs_below_an_authority_of_the_module(tmp_path, key):
    document = documents_of("000")
    document.lay_out(tmp_path)
    authority = {"name": "ca", "subject": {"C": "CN", "O": "k8s", "CN": "kubernetes"}, "key": key, "path_length": 0}
    documents.by_module({"cas": [authority]}, tmp_path / "pki")
    for certificate in document.certificates:
        documents.sign(certificate, tmp_path, tmp_path / "pki")
        accepted(
            [
                Question(tmp_path / f"{certificate.name}.pem", tmp_path / "pki/ca.pem", usage)
                for usage in ("server", "client")
            ]
        )
