# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kubectl reads what the module writes, and the module what kubectl wrote."""

from __future__ import annotations

import json
import stat
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.modules import kubeconfig
from ansible_collections.hardway.kubernetes.tests.api.cluster import STATIC_USER, Call, Cluster

Kubectl = t.Callable[..., str]


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    return tmp_path / "home" / "config"


@pytest.fixture(name="kubectl")
def kubectl_fixture(cluster: Cluster, path: Path) -> Kubectl:
    """The output of kubectl with the file of the test."""
    binary = cluster.binary("kubectl")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [binary, f"--kubeconfig={path}", *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def whoami(kubectl: Kubectl, *arguments: str) -> str:
    return json.loads(kubectl("auth", "whoami", "--output=json", *arguments))["status"]["userInfo"]["username"]


@pytest.fixture(name="arguments")
def arguments_fixture(cluster: Cluster, path: Path) -> dict[str, t.Any]:
    return {
        "path": str(path),
        "cluster": "local",
        "server": cluster.url,
        "certificate_authority": f"{cluster.pki}/ca.pem",
    }


@pytest.fixture(name="identities")
def identities_fixture(cluster: Cluster, tmp_path: Path) -> dict[str, dict[str, t.Any]]:
    """What a user may have, by the user's name."""
    token = cluster.token_file.read_text().partition(",")[0]
    (tmp_path / "token").write_text(token + "\n")
    plugin = tmp_path / "login"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    plugin.write_text(
        f'#!/bin/sh\ntest "$MODE" = quiet && test "$1" = -x && test -n "$KUBERNETES_EXEC_INFO" && echo \'{json.dumps(credential)}\'\n'
    )
    plugin.chmod(0o700)
    pair = {"client_certificate": f"{cluster.pki}/admin.pem", "client_key": f"{cluster.pki}/admin-key.pem"}
    return {
        "certificate": pair,
        "certificate-path": {**pair, "embed": False},
        "token": {"token": token},
        "token-file": {"token_file": str(tmp_path / "token")},
        "token-path": {"token_file": str(tmp_path / "token"), "embed": False},
        "exec": {
            "exec": {
                "command": str(plugin),
                "args": ["-x"],
                "env": {"MODE": "quiet"},
                "provide_cluster_info": True,
                "interactive_mode": "Never",
            }
        },
    }


def test_each_identity_is_let_in(
    call: Call, kubectl: Kubectl, path: Path, arguments: dict[str, t.Any], identities: dict[str, dict[str, t.Any]]
) -> None:
    secret = identities["token"]["token"]
    for user, identity in identities.items():
        made = call(kubeconfig, **arguments, user=user, **identity)
        assert made["changed"], made
        assert not call(kubeconfig, **arguments, user=user, **identity)["changed"]
        assert whoami(kubectl) == ("admin" if user.startswith("certificate") else STATIC_USER["user"]), user
        assert secret not in json.dumps({**made, "invocation": ""})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kubectl("config", "get-contexts", "--output=name").split() == sorted(f"{user}@local" for user in identities)
    assert whoami(kubectl, "--context=certificate@local") == "admin"


def test_what_kubectl_wrote_stays(
    call: Call, kubectl: Kubectl, path: Path, arguments: dict[str, t.Any], identities: dict[str, dict[str, t.Any]]
) -> None:
    path.parent.mkdir()
    kubectl(
        "config",
        "set-cluster",
        "theirs",
        "--server=https://192.0.2.1",
        "--insecure-skip-tls-verify=true",
        "--proxy-url=http://192.0.2.9",
    )
    kubectl("config", "set-credentials", "them", "--username=u", "--password=p")
    kubectl("config", "set-context", "theirs", "--cluster=theirs", "--user=them", "--namespace=n")
    kubectl("config", "use-context", "theirs")
    theirs = yaml.safe_load(path.read_text())
    ours = {**arguments, "user": "token", **identities["token"], "current_context": False}
    assert call(kubeconfig, check=True, **ours)["reason"] == "cluster local, user token, context token@local"
    assert yaml.safe_load(path.read_text()) == theirs
    call(kubeconfig, **ours)
    assert kubectl("config", "current-context") == "theirs\n"
    assert whoami(kubectl, "--context=token@local") == STATIC_USER["user"]
    # kubectl writes the file in an order and with quotation marks of its own
    kubectl("config", "use-context", "token@local")
    assert not call(kubeconfig, **ours)["changed"]
    kubectl("config", "use-context", "theirs")
    assert call(kubeconfig, path=str(path), cluster="local", user="token", state="absent")["changed"]
    assert yaml.safe_load(path.read_text()) == theirs


def test_two_authorities_are_trusted(
    cluster: Cluster, call: Call, kubectl: Kubectl, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    (tmp_path / "bundle.pem").write_text(
        (cluster.pki / "etcd-ca.pem").read_text() + (cluster.pki / "ca.pem").read_text()
    )
    pair = {"client_certificate": f"{cluster.pki}/admin.pem", "client_key": f"{cluster.pki}/admin-key.pem"}
    made = call(
        kubeconfig, **{**arguments, "certificate_authority": str(tmp_path / "bundle.pem")}, user="admin", **pair
    )
    assert "(2 certificates, SHA-256" in made["diff"]["after"]
    assert whoami(kubectl) == "admin"
