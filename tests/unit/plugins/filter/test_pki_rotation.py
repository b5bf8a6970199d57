"""What a rotation does to the controller's directory: the filter's words for each stage, reconciled for real."""

from __future__ import annotations

import pytest

pytest.importorskip("cryptography")
from ansible.errors import AnsibleFilterError
from cryptography import x509

from ansible_collections.hardway.kubernetes.plugins.filter.pki import generation_names
from ansible_collections.hardway.kubernetes.plugins.filter.pki import pki as describe
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import Refused
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.result import as_result
from ansible_collections.hardway.kubernetes.plugins.test.usable import usable

MASTER = [{"name": "master1", "address": "10.33.0.11"}]
ALL = ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca", "service-account", "encryption")
TRUST = {"trusted": [1, 2], "active": 1}
REISSUE = {"trusted": [1, 2], "active": 2}
DROP = {"trusted": [2], "active": 2}


def request(stage: dict | None = None, names=ALL, **settings) -> dict:
    return describe(
        {
            "etcd": MASTER,
            "kube_master": MASTER,
            "endpoint_address": "10.33.0.100",
            "service_network": "10.96.0.0/16",
            "dns_domain": "cluster.local",
            "generations": {name: stage for name in names} if stage else {},
            **settings,
        }
    )


def reconcile(path, wanted: dict) -> dict[str, str]:
    """What changed, and why."""
    result = as_result(str(path), reconcile_directory(str(path), parse_request(wanted)))
    entries = result["certificates"] + result["keys"] + result["bundles"]
    return {entry["name"]: entry["reason"] for entry in entries if entry["changed"]}


@pytest.fixture
def directory(tmp_path):
    reconcile(tmp_path / "pki", request())
    return tmp_path / "pki"


def test_each_stage_changes_its_own(directory):
    leaves = {entry["name"] for entry in request()["certificates"]}
    cas = {"ca-2", "etcd-ca-2", "front-proxy-ca-2", "kubelet-ca-2"}
    bundles = {
        "ca-bundle",
        "etcd-ca-bundle",
        "front-proxy-ca-bundle",
        "kubelet-ca-bundle",
        "client-ca",
        "service-account-bundle",
    }

    assert set(reconcile(directory, request(TRUST))) == cas | bundles | {"service-account-2", "encryption-2"}
    assert reconcile(directory, request(TRUST)) == {}
    before = (directory / "ca-bundle.pem").read_bytes()

    reissued = reconcile(directory, request(REISSUE))
    assert set(reissued) == leaves
    assert all("issued by" in reason for reason in reissued.values())
    assert (directory / "ca-bundle.pem").read_bytes() == before, "those that trust need no restart"

    assert set(reconcile(directory, request(DROP))) == bundles
    assert (directory / "ca-bundle.pem").read_bytes() == (directory / "ca-2.pem").read_bytes()
    assert reconcile(directory, request(DROP)) == {}


def test_one_generation_is_the_file_itself(directory):
    """Clusters from before bundles see the same bytes, so nothing restarts."""
    for name in ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca", "service-account"):
        assert (directory / f"{name}-bundle.pem").read_bytes() == (directory / f"{name}.pem").read_bytes()


def test_the_new_one_is_what_the_settings_say_and_the_old_one_what_it_is(directory):
    other = {"ca_key": {"type": "rsa", "size": 2048}, "subject": {"O": "k8s"}}
    with pytest.raises(Refused):
        reconcile(directory, request(**other))
    reconcile(directory, request(TRUST, **other))
    reconcile(directory, request(REISSUE, **other))
    new = x509.load_pem_x509_certificate((directory / "ca-2.pem").read_bytes())
    assert new.public_key().key_size == 2048
    assert "O=k8s" in new.subject.rfc4514_string()


def test_the_old_one_must_be_there(directory):
    (directory / "etcd-ca.pem").unlink()
    (directory / "encryption.key").unlink()
    with pytest.raises(Refused) as refused:
        reconcile(directory, request(TRUST))
    missing = [problem.split(" is not there")[0] for problem in refused.value.problems]
    assert missing == ["cas[etcd-ca]: etcd-ca.pem", "keys[encryption]: encryption.key"]


def test_the_old_key_may_be_offline_once_it_signs_nothing(directory):
    reconcile(directory, request(TRUST))
    (directory / "ca-key.pem").unlink()
    assert "kube-apiserver-master1" in reconcile(directory, request(REISSUE))


def test_one_authority_for_all(tmp_path):
    path = tmp_path / "pki"
    reconcile(path, request(single=True))
    reconcile(path, request(TRUST, names=["ca"], single=True))
    reconcile(path, request(REISSUE, names=["ca"], single=True))
    assert (path / "etcd-ca-2.pem").read_bytes() == (path / "ca-2.pem").read_bytes() != (path / "ca.pem").read_bytes()
    assert usable(found(path / "etcd-master1.pem"), str(path / "ca-2.pem"))


def test_names_of_the_files():
    names = generation_names({"ca": REISSUE, "encryption": TRUST})
    assert names["ca"] == {"active": "ca-2", "trusted": ["ca", "ca-2"]}
    assert names["encryption"] == {"active": "encryption", "trusted": ["encryption", "encryption-2"]}
    assert names["etcd-ca"] == {"active": "etcd-ca", "trusted": ["etcd-ca"]}


def found(path, **facts) -> dict:
    """A certificate as host_facts tells it."""
    return {"present": True, "expired": False, "pem": path.read_text() if path else "", **facts}


def test_usable(directory):
    leaf = found(directory / "admin.pem")
    assert usable(leaf, str(directory / "ca.pem"))
    assert not usable(leaf, str(directory / "etcd-ca.pem"))
    assert not usable(leaf, str(directory / "nowhere.pem"))
    assert not usable({**leaf, "expired": True}, str(directory / "ca.pem"))
    assert not usable(found(None), str(directory / "ca.pem"))
    with pytest.raises(AnsibleFilterError, match="takes a certificate of the facts"):
        usable({}, str(directory / "ca.pem"))
