# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates of the module before two verifiers that others wrote: openssl, strict, and Go's, which Kubernetes and etcd use."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

import documents
import pytest
import tools

from ansible_collections.hardway.kubernetes.plugins.filter.pki import pki
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.spec import DEFAULT_PROFILES

PURPOSES = {"server": "sslserver", "client": "sslclient", "code": "codesign"}
KEYS = [("rsa", 2048), ("rsa", 3072), ("rsa", 4096), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521)]


@dataclass(frozen=True)
class Question:
    """Whether a certificate is good for a usage under these names; the fields are those of verify.go."""

    certificate: Path
    roots: Path
    usage: str
    names: list[str] = field(default_factory=list)
    intermediates: Path | str = ""

    def __str__(self) -> str:
        return f"{self.certificate.parent.parent.name}/{self.certificate.name} below {self.roots.name} as {self.usage} {' '.join(self.names)}"


def by_go(questions: list[Question]) -> list[str]:
    text = json.dumps([asdict(question) for question in questions], default=str)
    done = subprocess.run([tools.verifier()], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_openssl(question: Question) -> str:
    """It takes one name at a time; without one, the purpose alone is judged."""
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        PURPOSES[question.usage],
        "-no-CApath",
        "-CAfile",
        str(question.roots),
    ]
    # A leaf with its chain behind it, as a server sends it.
    command += ["-untrusted", str(question.intermediates or question.certificate)]
    for name in question.names or [""]:
        option = [] if not name else ["-verify_ip" if is_address(name) else "-verify_hostname", name]
        done = subprocess.run(
            [*command, *option, str(question.certificate)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return done.stderr.strip() or done.stdout.strip() or "refused"
    return ""


def is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def accepted(questions: list[Question]) -> None:
    assert questions
    for question, answer in zip(questions, by_go(questions), strict=True):
        assert answer == "", f"Go: {question}: {answer}"
        assert by_openssl(question) == "", f"openssl: {question}"


def refused(questions: list[Question], go: str, openssl: str) -> None:
    """Both refuse each, and for the reason that is meant."""
    assert questions
    for question, answer in zip(questions, by_go(questions), strict=True):
        assert go in answer, f"Go: {question}: {answer or 'accepted'}"
        told = by_openssl(question)
        assert openssl in told, f"openssl: {question}: {told or 'accepted'}"


def usages(arguments: dict, entry: dict) -> list[str]:
    profile = {**DEFAULT_PROFILES, **arguments.get("profiles", {})}[entry["profile"]]
    return [word for word in ("server", "client") if f"{word} auth" in profile["usages"]]


def questions_of(arguments: dict, directory: Path) -> list[Question]:
    """Every certificate for each usage of its profile, as a server under each of its names."""
    found = []
    for entry in arguments["certificates"]:
        for usage in usages(arguments, entry):
            names = [name for name in entry["hosts"] if not set(name) & set("*/@")] if usage == "server" else []
            found.append(Question(directory / f"{entry['name']}.pem", directory / f"{entry['ca']}.pem", usage, names))
    return found


@pytest.fixture(name="of_documents", scope="module")
def questions_of_the_documents(made) -> list[Question]:
    return [question for one in made.values() for question in questions_of(one.arguments, one.module)]


@pytest.fixture(name="cluster", scope="module")
def cluster_directory(tmp_path_factory) -> tuple[dict, Path]:
    """All that the role `ca` asks for."""
    member = {"name": "master1", "address": "10.33.0.11"}
    arguments = pki(
        {
            "etcd": [member],
            "kube_master": [member],
            "endpoint_address": "10.33.0.100",
            "endpoint_name": "api.example.org",
            "service_network": "10.96.0.0/16,fd00:1::/108",
            "dns_domain": "cluster.local",
        }
    )
    directory = tmp_path_factory.mktemp("cluster") / "pki"
    documents.by_module(arguments, directory)
    return arguments, directory


@pytest.fixture(name="kinds", scope="module")
def every_kind_of_key(tmp_path_factory) -> Path:
    """For each kind of key a root, an intermediate below it, a server of every kind of name, and a client without any."""
    arguments: dict = {"cas": [], "certificates": []}
    for kind, size in KEYS:
        name, key = f"{kind}-{size}", {"type": kind, "size": size}
        arguments["cas"] += [
            {"name": f"{name}-root", "subject": {"CN": f"{name} root"}, "key": key, "path_length": 1},
            {
                "name": f"{name}-issuing",
                "subject": {"CN": f"{name} issuing"},
                "key": key,
                "issuer": f"{name}-root",
                "path_length": 0,
                "validity": "5y",
            },
        ]
        hosts = [
            "example.org",
            "*.example.org",
            "10.0.0.1",
            "fd00::1",
            "spiffe://example.org/server",
            "admin@example.org",
        ]
        server = {
            "ca": f"{name}-issuing",
            "profile": "server",
            "subject": {"CN": "server"},
            "hosts": hosts,
            "key": key,
        }
        arguments["certificates"] += [
            {**server, "name": f"{name}-server"},
            {**server, "name": f"{name}-chained", "chain": True},
            {
                "name": f"{name}-client",
                "ca": f"{name}-root",
                "profile": "client",
                "subject": {"O": ["a", "b"], "CN": "client"},
                "key": key,
            },
            {
                "name": f"{name}-unnamed",
                "ca": f"{name}-root",
                "profile": "server",
                "hosts": ["example.org"],
                "key": key,
            },
        ]
    directory = tmp_path_factory.mktemp("kinds") / "pki"
    documents.by_module(arguments, directory)
    return directory


def test_certificates_of_the_documents(of_documents):
    accepted(of_documents)


def test_certificates_of_a_cluster(cluster):
    arguments, directory = cluster
    accepted(questions_of(arguments, directory))
    # The API's certificate proves the server; a leaked one is no key to the API.
    apiserver = directory / "kube-apiserver-master1.pem"
    refused(
        [Question(apiserver, directory / "ca.pem", "client")],
        "incompatible key usage",
        "unsuitable certificate purpose",
    )
    # What the front proxy's authority signs is nobody to the API, nor to etcd.
    others = [
        Question(directory / "front-proxy-client.pem", directory / f"{name}.pem", "client")
        for name in ("ca", "etcd-ca", "client-ca")
    ]
    refused(others, "unknown authority", "unable to get local issuer certificate")


def test_a_wrong_purpose_is_refused(made, of_documents):
    refused(
        [Question(one.certificate, one.roots, "code") for one in of_documents if one.usage == "client"],
        "incompatible key usage",
        "",
    )
    client = made["003"].module / "client.pem"
    refused(
        [Question(client, client.with_name("ca.pem"), "server")],
        "incompatible key usage",
        "unsuitable certificate purpose",
    )


def test_a_wrong_name_is_refused(of_documents):
    servers = [one for one in of_documents if one.names]
    refused(
        [Question(one.certificate, one.roots, "server", ["www.example.net"]) for one in servers],
        "www.example.net",
        "hostname mismatch",
    )
    refused(
        [Question(one.certificate, one.roots, "server", ["192.0.2.1"]) for one in servers],
        "192.0.2.1",
        "IP address mismatch",
    )
    # A pure client proves no name, not even that of its CN.
    clients = [one for one in of_documents if one.certificate.name == "kube-proxy.pem" and one.usage == "server"]
    refused(
        [Question(one.certificate, one.roots, "server", ["system.kube-proxy"]) for one in clients],
        "",
        "hostname mismatch",
    )


def test_another_authority_is_refused(made, of_documents):
    other = made["002"].module / "ca.pem"
    questions = [
        Question(one.certificate, other, one.usage) for one in of_documents if one.certificate.parent != other.parent
    ]
    refused(questions, "unknown authority", "unable to get local issuer certificate")


def test_a_certificate_signs_no_other(made, tmp_path):
    """cfssl signs with any key that it is given; the verifiers see that the signer is no authority."""
    document = made["000"].document
    document.lay_out(tmp_path)
    for name, source in (("ca", "k8s"), ("ca-key", "k8s-key"), ("root", "ca")):
        (tmp_path / f"{name}.pem").write_bytes((made["000"].module / f"{source}.pem").read_bytes())
    documents.sign(documents.Gencert("forged", "etcd-csr.json", "kubernetes"), tmp_path)
    question = Question(tmp_path / "forged.pem", tmp_path / "root.pem", "client", intermediates=tmp_path / "ca.pem")
    refused([question], "", "invalid CA certificate")


def test_a_subject_like_that_of_the_authority(tmp_path):
    """What cfssl makes of it has no authority key identifier, and openssl takes it for self-signed; the module's has one."""
    profile = {"usages": ["signing", "client auth"], "expiry": "8760h"}
    (tmp_path / "ca-config.json").write_text(json.dumps({"signing": {"profiles": {"kubernetes": profile}}}))
    for name in ("ca-csr.json", "kubernetes-csr.json"):
        (tmp_path / name).write_text(json.dumps({"CN": "kubernetes", "names": [{"C": "CN", "O": "k8s"}]}))
    document = documents.Document("", ())
    documents.by_module(documents.asked(document, tmp_path), tmp_path / "pki")
    accepted([Question(tmp_path / "pki/kubernetes.pem", tmp_path / "pki/ca.pem", "client")])
    documents.shell("cfssl gencert -initca ca-csr.json | cfssljson -bare ca", tmp_path)
    documents.sign(documents.Gencert("kubernetes", "kubernetes-csr.json", "kubernetes"), tmp_path)
    assert "self-signed certificate" in by_openssl(Question(tmp_path / "kubernetes.pem", tmp_path / "ca.pem", "client"))


@pytest.mark.parametrize(("kind", "size"), KEYS)
def test_every_kind_of_key_and_name(kinds, kind, size):
    name = f"{kind}-{size}"
    root, issuing = kinds / f"{name}-root.pem", kinds / f"{name}-issuing.pem"
    server = Question(
        kinds / f"{name}-server.pem", root, "server", ["example.org", "a.example.org", "10.0.0.1", "fd00::1"], issuing
    )
    accepted(
        [
            server,
            Question(kinds / f"{name}-client.pem", root, "client"),
            Question(kinds / f"{name}-unnamed.pem", root, "server", ["example.org"]),
        ]
    )
    refused(
        [Question(server.certificate, root, "server", ["a.b.example.org"], issuing)],
        "a.b.example.org",
        "hostname mismatch",
    )
    refused(
        [Question(server.certificate, root, "server", [], "")],
        "unknown authority",
        "unable to get local issuer certificate",
    )
    refused(
        [Question(server.certificate, root, "client", [], issuing)],
        "incompatible key usage",
        "unsuitable certificate purpose",
    )
    # With its chain in the file, the root alone is enough for whoever is shown it.
    chained = kinds / f"{name}-chained.pem"
    assert chained.read_text().count("BEGIN CERTIFICATE") == 2
    accepted([Question(chained, root, "server", server.names)])
    # The intermediate alone is an anchor for Go.
    assert by_go([Question(server.certificate, issuing, "server", ["example.org"])]) == [""]


def test_below_the_path_length_nothing_is_accepted(kinds, tmp_path):
    """An authority that cfssl made below an intermediate with pathLenConstraint 0."""
    for target, source in (
        ("ca.pem", "ecdsa-256-issuing.pem"),
        ("ca-key.pem", "ecdsa-256-issuing-key.pem"),
        ("root.pem", "ecdsa-256-root.pem"),
    ):
        (tmp_path / target).write_bytes((kinds / source).read_bytes())
    profile = {"usages": ["cert sign", "crl sign"], "expiry": "8760h", "ca_constraint": {"is_ca": True}}
    (tmp_path / "ca-config.json").write_text(
        json.dumps(
            {"signing": {"profiles": {"sub": profile, "kubernetes": {"usages": ["client auth"], "expiry": "1h"}}}}
        )
    )
    (tmp_path / "sub.json").write_text(json.dumps({"CN": "sub"}))
    documents.sign(documents.Gencert("sub", "sub.json", "sub"), tmp_path)
    below = tmp_path / "below"
    below.mkdir()
    for target, source in (("ca.pem", "sub.pem"), ("ca-key.pem", "sub-key.pem"), ("ca-config.json", "ca-config.json")):
        (below / target).write_bytes((tmp_path / source).read_bytes())
    (below / "leaf.json").write_text(json.dumps({"CN": "leaf"}))
    documents.sign(documents.Gencert("leaf", "leaf.json", "kubernetes"), below)
    chain = below / "chain.pem"
    chain.write_bytes((tmp_path / "sub.pem").read_bytes() + (tmp_path / "ca.pem").read_bytes())
    refused(
        [Question(below / "leaf.pem", tmp_path / "root.pem", "client", intermediates=chain)],
        "too many intermediates",
        "path length constraint exceeded",
    )
