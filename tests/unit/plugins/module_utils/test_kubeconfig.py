# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64

import pytest
import yaml
from ansible_collections.hardway.kubernetes.plugins.module_utils import kubeconfig

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n"

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
                "cluster": {"server": "https://10.33.0.100:6443", "certificate-authority-data": base64.b64encode(CERTIFICATE.encode()).decode()},
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
    assert entry.user == {"client-certificate": str(tmp_path / "admin.pem"), "client-key": str(tmp_path / "admin-key.pem")}


def test_the_authority_as_pem(arguments):
    entry = kubeconfig.resolve({**arguments, "certificate_authority": CERTIFICATE})
    assert base64.b64decode(entry.cluster["certificate-authority-data"]).decode() == CERTIFICATE


def test_token_and_exec(arguments):
    for name in ("client_certificate", "client_key"):
        arguments.pop(name)
    assert kubeconfig.resolve({**arguments, "token": "abc"}).user == {"token": "abc"}
    user = kubeconfig.resolve({**arguments, "exec": {"command": "login", "args": ["-a"], "env": {"B": "2", "A": "1"}}}).user
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
    shared = {**document, "contexts": [*document["contexts"], {"name": "other", "context": {"cluster": "kubernetes", "user": "them"}}]}
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
        ({"certificate_authority": KEY}, "certificate_authority: is PEM, but no certificate"),
    ],
)
def test_faults(arguments, settings, message):
    with pytest.raises(kubeconfig.InvalidKubeconfig) as caught:
        kubeconfig.resolve({**arguments, **settings})
    assert any(problem.startswith(message) for problem in caught.value.problems), caught.value.problems


def test_a_key_in_the_certificates_place(arguments, tmp_path):
    with pytest.raises(kubeconfig.InvalidKubeconfig, match="admin-key.pem holds no certificate"):
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
