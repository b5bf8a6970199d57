# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import kubeconfig
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import Authority

CERTIFICATE, KEY = (part.decode() for part in Authority().issue("admin"))
OTHER_CERTIFICATE, OTHER_KEY = (part.decode() for part in Authority().issue("other"))
DAMAGED = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
LOCKED_KEY = (
    load_pem_private_key(KEY.encode(), None)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    .decode()
)

FOREIGN = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "theirs", "cluster": {"server": "https://192.0.2.1", "extensions": [{"name": "x"}]}}],
    "users": [{"name": "them", "user": {"token": "their-token"}}],
    "contexts": [{"name": "them@theirs", "context": {"cluster": "theirs", "user": "them"}}],
    "current-context": "them@theirs",
}


@pytest.fixture
def arguments(tmp_path) -> dict:
    for name, text in (("ca.pem", CERTIFICATE), ("admin.pem", CERTIFICATE), ("admin-key.pem", KEY)):
        (tmp_path / name).write_text(text)
    return {
        "cluster": "kubernetes",
        "server": "https://10.33.0.100:6443",
        "certificate_authority": str(tmp_path / "ca.pem"),
        "user": "admin",
        "client_certificate": str(tmp_path / "admin.pem"),
        "client_key": str(tmp_path / "admin-key.pem"),
        "embed": True,
    }


def test_a_new_document(arguments):
    document = kubeconfig.merged({}, kubeconfig.resolve(arguments), False)
    assert document == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubernetes",
                "cluster": {
                    "server": "https://10.33.0.100:6443",
                    "certificate-authority-data": base64.b64encode(CERTIFICATE.encode()).decode(),
                },
            }
        ],
        "users": [
            {
                "name": "admin",
                "user": {
                    "client-certificate-data": base64.b64encode(CERTIFICATE.encode()).decode(),
                    "client-key-data": base64.b64encode(KEY.encode()).decode(),
                },
            }
        ],
        "contexts": [{"name": "admin@kubernetes", "context": {"cluster": "kubernetes", "user": "admin"}}],
        "current-context": "admin@kubernetes",
    }
    assert yaml.safe_load(kubeconfig.render(document)) == document


def test_by_path(arguments, tmp_path):
    entry = kubeconfig.resolve({**arguments, "embed": False})
    assert entry.cluster["certificate-authority"] == str(tmp_path / "ca.pem")
    assert entry.user == {
        "client-certificate": str(tmp_path / "admin.pem"),
        "client-key": str(tmp_path / "admin-key.pem"),
    }


def test_the_authority_as_pem(arguments):
    entry = kubeconfig.resolve({**arguments, "certificate_authority": CERTIFICATE})
    assert base64.b64decode(entry.cluster["certificate-authority-data"]).decode() == CERTIFICATE


def test_token_and_exec(arguments):
    for name in ("client_certificate", "client_key"):
        arguments.pop(name)
    assert kubeconfig.resolve({**arguments, "token": "abc"}).user == {"token": "abc"}
    user = kubeconfig.resolve(
        {**arguments, "exec": {"command": "login", "args": ["-a"], "env": {"B": "2", "A": "1"}}}
    ).user
    assert user["exec"]["apiVersion"] == "client.authentication.k8s.io/v1"
    assert user["exec"]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def test_foreign_entries_stay(arguments):
    document = kubeconfig.merged(FOREIGN, kubeconfig.resolve(arguments), False)
    for name in ("clusters", "users", "contexts"):
        assert document[name][:1] == FOREIGN[name]
        assert len(document[name]) == 2
    assert document["preferences"] == FOREIGN["preferences"]
    assert document["current-context"] == "them@theirs"
    assert kubeconfig.merged(FOREIGN, kubeconfig.resolve(arguments), True)["current-context"] == "admin@kubernetes"


def test_again_changes_nothing(arguments):
    entry = kubeconfig.resolve(arguments)
    document = kubeconfig.merged(FOREIGN, entry, True)
    assert kubeconfig.reasons(document, kubeconfig.merged(document, entry, True)) == []


def test_absent_takes_only_what_no_other_context_needs(arguments):
    document = kubeconfig.merged(FOREIGN, kubeconfig.resolve(arguments), False)
    assert kubeconfig.absent(document, "kubernetes", "admin", "admin@kubernetes") == FOREIGN
    shared = {
        **document,
        "contexts": [*document["contexts"], {"name": "other", "context": {"cluster": "kubernetes", "user": "them"}}],
    }
    left = kubeconfig.absent(shared, "kubernetes", "admin", "admin@kubernetes")
    assert [cluster["name"] for cluster in left["clusters"]] == ["theirs", "kubernetes"]
    assert [user["name"] for user in left["users"]] == ["them"]


def test_secrets_are_hidden_and_their_change_is_told(arguments):
    before = kubeconfig.merged(FOREIGN, kubeconfig.resolve(arguments), True)
    arguments.pop("client_certificate"), arguments.pop("client_key")
    after = kubeconfig.merged(before, kubeconfig.resolve({**arguments, "token": "my-token"}), True)
    text = kubeconfig.diff_text(before) + kubeconfig.diff_text(after, before)
    assert "their-token" not in text and "my-token" not in text
    assert base64.b64encode(KEY.encode()).decode() not in text
    assert base64.b64encode(CERTIFICATE.encode()).decode() not in text
    assert "token: (hidden, another)" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"server": "10.33.0.100:6443"}, "server: '10.33.0.100:6443'"),
        ({"server": "https://fd00::1:6443"}, "server: "),
        ({"server": "https://x:y"}, "server: "),
        ({"certificate_authority": "/nowhere/ca.pem"}, "certificate_authority: /nowhere/ca.pem does not exist"),
        ({"client_key": None}, "client_certificate and client_key belong together"),
        ({"token": "abc"}, "client_certificate and token exclude each other"),
        ({"certificate_authority": KEY}, "certificate_authority: the PEM given holds no certificate in PEM"),
        (
            {"certificate_authority": DAMAGED},
            "certificate_authority: the PEM given holds a certificate that cannot be read",
        ),
        (
            {"certificate_authority": CERTIFICATE + DAMAGED},
            "certificate_authority: the PEM given holds a certificate that cannot be read",
        ),
        (
            {"certificate_authority": CERTIFICATE + CERTIFICATE[:100]},
            "certificate_authority: the PEM given holds a certificate that cannot be read",
        ),
        ({"client_certificate": OTHER_CERTIFICATE}, "client_key: "),
        ({"client_certificate": None, "client_key": None}, "the user has no credentials"),
        ({"client_certificate": None, "client_key": None, "token": "a secret"}, "token: a token is one word"),
        ({"client_certificate": None, "client_key": None, "exec": {"command": " "}}, "exec.command: is empty"),
        (
            {"client_certificate": None, "client_key": None, "token_file": "/nowhere/token"},
            "token_file: /nowhere/token does not exist",
        ),
        ({"token": "abc", "token_file": "/x"}, "client_certificate and token and token_file exclude each other"),
        ({"cluster": ""}, "cluster: is empty"),
        ({"user": " "}, "user: is empty"),
        (
            {"embed": False, "certificate_authority": "/nowhere/ca.pem"},
            "certificate_authority: /nowhere/ca.pem does not exist",
        ),
    ],
)
def test_faults(arguments, settings, message):
    with pytest.raises(kubeconfig.InvalidKubeconfig) as caught:
        kubeconfig.resolve({**arguments, **settings})
    assert any(problem.startswith(message) for problem in caught.value.problems), caught.value.problems
    assert "a secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CERTIFICATE, "holds no private key in PEM"),
        (LOCKED_KEY, "is protected by a passphrase"),
        (OTHER_KEY, "is not the key of client_certificate"),
        (KEY[:80] + "\n-----END PRIVATE KEY-----\n", "is not the key of client_certificate"),
        ("\n", "is empty"),
    ],
)
def test_faults_of_the_key(arguments, tmp_path, text, message):
    (tmp_path / "admin-key.pem").write_text(text)
    for embed in (True, False):
        with pytest.raises(kubeconfig.InvalidKubeconfig) as caught:
            kubeconfig.resolve({**arguments, "embed": embed})
        (problem,) = caught.value.problems
        assert problem.startswith(f"client_key: {tmp_path}/admin-key.pem {message}")


def test_several_authorities_and_what_stands_around_them(arguments, tmp_path):
    bundle = f"# 第一\n{CERTIFICATE}\n# 第二\n{OTHER_CERTIFICATE}"
    (tmp_path / "ca.pem").write_text(bundle)
    entry = kubeconfig.resolve(arguments)
    assert base64.b64decode(entry.cluster["certificate-authority-data"]).decode() == bundle
    assert "(2 certificates, SHA-256 of the PEM " in kubeconfig.diff_text(kubeconfig.merged({}, entry, True))


def test_a_token_in_a_file(arguments, tmp_path):
    (tmp_path / "token").write_text("abc.def\n")
    arguments |= {"client_certificate": None, "client_key": None, "token_file": str(tmp_path / "token")}
    assert kubeconfig.resolve(arguments).user == {"token": "abc.def"}
    assert kubeconfig.resolve({**arguments, "embed": False}).user == {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "token").unlink()
    assert kubeconfig.resolve(arguments, check_mode=True).user == {"token": "(issued by the run)"}


def test_names_that_stand_twice_in_a_file(tmp_path):
    (tmp_path / "config").write_text("kind: Config\nusers: [{name: a, user: {token: their-token}}, {name: a}]")
    with pytest.raises(kubeconfig.InvalidKubeconfig, match="'users' has a more than once") as caught:
        kubeconfig.load(str(tmp_path / "config"))
    assert "their-token" not in str(caught.value)


def test_a_key_in_the_certificates_place(arguments, tmp_path):
    with pytest.raises(kubeconfig.InvalidKubeconfig, match=r"admin-key.pem holds no certificate"):
        kubeconfig.resolve({**arguments, "client_certificate": str(tmp_path / "admin-key.pem")})


def test_certificates_that_the_run_will_issue(arguments):
    entry = kubeconfig.resolve({**arguments, "client_key": "/nowhere/admin-key.pem"}, check_mode=True)
    assert base64.b64decode(entry.user["client-key-data"]) == b"(issued by the run)"


@pytest.mark.parametrize("text", ["token: [their-token", "kind: Pod", "kind: Config\nusers: {}\nclusters: [1]", "- a"])
def test_a_file_that_is_no_kubeconfig(tmp_path, text):
    (tmp_path / "config").write_text(text)
    with pytest.raises(kubeconfig.InvalidKubeconfig) as caught:
        kubeconfig.load(str(tmp_path / "config"))
    assert "their-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("n", True),
        ("Y", True),
        ("1e3", True),
        ("0o7", True),
        ("12:30", True),
        ("2026-01-02", True),
        ("007", True),
        ("on", True),
        ("null", True),
        (".5", True),
        ("", True),
        ("~", True),
        ("12", True),
        ("node", False),
        ("x y", False),
        ("/path", False),
        ("名字", True),
    ],
)
def test_texts_stay_texts_for_every_parser(tmp_path, text, quoted):
    (tmp_path / "config").write_bytes(kubeconfig.render({"a": {"value": text, "n": 1, "yes": True, "none": None}}))
    line = (tmp_path / "config").read_text().splitlines()[1]
    assert line.endswith(("'", '"')) is quoted
    assert kubeconfig.load(str(tmp_path / "config"))[0] == {"a": {"value": text, "n": 1, "yes": True, "none": None}}


def test_what_looks_like_a_number_in_a_foreign_entry_stays(tmp_path):
    text = "a: 12:30\nb: 2026-01-02\nc: 1_000\nd: 17\ne: -1.5\nf: true\ng: 0x1f\n"
    (tmp_path / "config").write_text(text)
    document = kubeconfig.load(str(tmp_path / "config"))[0]
    assert document == {"a": "12:30", "b": "2026-01-02", "c": "1_000", "d": 17, "e": -1.5, "f": True, "g": "0x1f"}
