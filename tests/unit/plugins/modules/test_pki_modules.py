# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules `certificates` and `kubeconfig` as Ansible calls them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible.module_utils.testing import patch_module_args

from ansible_collections.hardway.kubernetes.plugins.modules import certificates, kubeconfig


@pytest.fixture
def call(capsys):
    def run(module, **arguments) -> dict:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def request_arguments(tmp_path) -> dict:
    return {
        "path": str(tmp_path / "pki"),
        "cas": [{"name": "ca", "subject": {"CN": "kubernetes"}}],
        "certificates": [{"name": "admin", "ca": "ca", "profile": "client", "subject": {"CN": "admin"}}],
    }


def test_certificates(call, request_arguments):
    planned = call(certificates, **request_arguments, _ansible_check_mode=True, _ansible_diff=True)
    assert planned["changed"]
    assert [entry["after_header"].rpartition("/")[2] for entry in planned["diff"]] == ["", "ca.pem", "admin.pem"]
    assert not Path(request_arguments["path"]).exists()
    assert call(certificates, **request_arguments)["changed"]
    again = call(certificates, **request_arguments, _ansible_diff=True)
    assert not again["changed"]
    assert again["diff"] == []
    assert [entry["name"] for entry in again["certificates"]] == ["ca", "admin"]


def test_renewal_and_bundles(call, request_arguments):
    request_arguments |= {
        "keys": [{"name": "service-account"}],
        "bundles": [
            {"name": "ca-bundle", "cas": ["ca"]},
            {"name": "service-account-bundle", "keys": ["service-account"]},
        ],
        "renew": ["adm*"],
    }
    planned = call(certificates, **request_arguments, _ansible_check_mode=True, _ansible_diff=True)
    assert [entry["reason"] for entry in planned["bundles"]] == ["there was none", "there was none"]
    call(certificates, **request_arguments)
    result = call(certificates, **request_arguments)
    assert {entry["name"]: entry["reason"] for entry in result["certificates"]} == {
        "ca": "",
        "admin": "renewal was asked for",
    }
    assert not any(entry["changed"] for entry in result["bundles"] + result["keys"])


def test_an_invalid_request_writes_nothing(call, request_arguments):
    request_arguments["certificates"][0] |= {"profile": "clint", "hosts": ["10.0.0.256"]}
    result = call(certificates, **request_arguments)
    assert result["failed"]
    assert len(result["problems"]) == 2
    assert not Path(request_arguments["path"]).exists()


def test_what_stands_against_it(call, request_arguments):
    call(certificates, **request_arguments)
    request_arguments["cas"][0]["subject"] = {"CN": "another"}
    result = call(certificates, **request_arguments)
    assert result["failed"]
    assert result["problems"] == ["cas[ca]: subject is CN=kubernetes, asked is CN=another"]
    assert "rotate" in result["msg"]


@pytest.fixture
def kubeconfig_arguments(call, request_arguments, tmp_path) -> dict:
    call(certificates, **request_arguments)
    pki = tmp_path / "pki"
    return {
        "path": str(tmp_path / "kube" / "config"),
        "cluster": "kubernetes",
        "server": "https://10.33.0.100:6443",
        "certificate_authority": f"{pki}/ca.pem",
        "user": "admin",
        "client_certificate": f"{pki}/admin.pem",
        "client_key": f"{pki}/admin-key.pem",
    }


def test_kubeconfig(call, kubeconfig_arguments, tmp_path):
    path = Path(kubeconfig_arguments["path"])
    planned = call(kubeconfig, **kubeconfig_arguments, _ansible_check_mode=True, _ansible_diff=True)
    assert planned["changed"]
    assert "client-key-data: (hidden, another)" in planned["diff"]["after"]
    assert not path.parent.exists()
    assert (
        call(kubeconfig, **kubeconfig_arguments)["reason"]
        == "cluster kubernetes, user admin, context admin@kubernetes, current context"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not call(kubeconfig, **kubeconfig_arguments)["changed"]
    path.chmod(0o644)
    assert call(kubeconfig, **kubeconfig_arguments)["reason"] == "mode was 0644"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_kubeconfig_follows_a_renewed_certificate(call, kubeconfig_arguments, request_arguments):
    call(kubeconfig, **kubeconfig_arguments)
    request_arguments["certificates"][0]["validity"] = "1y"
    call(certificates, **request_arguments)
    assert call(kubeconfig, **kubeconfig_arguments)["reason"] == "user admin"


def test_kubeconfig_absent(call, kubeconfig_arguments):
    call(kubeconfig, **kubeconfig_arguments)
    gone = {"path": kubeconfig_arguments["path"], "cluster": "kubernetes", "user": "admin", "state": "absent"}
    assert call(kubeconfig, **gone)["changed"]
    assert not call(kubeconfig, **gone)["changed"]


def test_kubeconfig_absent_makes_no_file(call, tmp_path):
    gone = {"path": str(tmp_path / "none" / "config"), "cluster": "kubernetes", "user": "admin", "state": "absent"}
    assert not call(kubeconfig, **gone)["changed"]
    assert not (tmp_path / "none").exists()


def test_a_link_is_refused(call, kubeconfig_arguments, tmp_path):
    (tmp_path / "kube").mkdir()
    Path(kubeconfig_arguments["path"]).symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in call(kubeconfig, **kubeconfig_arguments)["msg"]
