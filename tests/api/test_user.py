# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role user on a real API server: the kubeconfig that it makes opens what was granted, and nothing else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, ApiError, load_kubeconfig
from ansible_collections.hardway.kubernetes.plugins.modules import certificates
from ansible_collections.hardway.kubernetes.tests.api.cluster import ROOT, Call, Cluster

PODS = "/api/v1/namespaces/{}/pods"


class Users:
    """The playbook's role on an inventory whose cluster is the test's."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory, self.cluster = directory, cluster
        (directory / "hosts.yml").write_text(
            yaml.safe_dump({"kube_master": {"hosts": {"nowhere": {"ansible_host": "192.0.2.1"}}}})
        )
        task = {"ansible.builtin.import_role": {"name": "hardway.kubernetes.user"}}
        (directory / "play.yml").write_text(
            yaml.safe_dump([{"hosts": "kube_master", "gather_facts": False, "tasks": [task]}])
        )
        url = cluster.url.removeprefix("https://").split(":")
        # The kubeconfig is a derived variable: only -e overrules it.
        self.settings = {
            "cluster_dir": str(cluster.directory),
            "cluster_endpoint_address": url[0],
            "cluster_endpoint_port": int(url[1]),
        }
        self.settings |= {"cluster_kubeconfig": cluster.kubeconfig}
        self.file = cluster.directory / "users/jane.kubeconfig"

    def play(self, *arguments: str, **settings: t.Any) -> subprocess.CompletedProcess:
        command = [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "hosts.yml",
            "play.yml",
            "-e",
            json.dumps({**self.settings, **settings}),
            *arguments,
        ]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    def run(self, *arguments: str, **settings: t.Any) -> int:
        """How many tasks changed something."""
        done = self.play(*arguments, user_name="jane", **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        recap = next(line for line in done.stdout.splitlines() if line.startswith("nowhere ") and "changed=" in line)
        return int(recap.split("changed=")[1].split()[0])

    @property
    def jane(self) -> Api:
        return Api.from_kubeconfig(str(self.file))


@pytest.fixture(name="users")
def users_fixture(tmp_path: Path, cluster: Cluster) -> Users:
    return Users(tmp_path, cluster)


def may(user: Api, path: str) -> bool:
    try:
        user.items(path)
    except ApiError as error:
        assert error.status == 403, error
        return False
    return True


def rights(user: Api) -> dict[str, bool]:
    paths = {"default": PODS.format("default"), "kube-system": PODS.format("kube-system"), "all": "/api/v1/pods"}
    return {name: may(user, path) for name, path in paths.items()}


def test_a_user_comes_changes_and_goes(users: Users, cluster: Cluster, call: Call) -> None:
    assert users.run("--check") and not users.file.exists()
    assert users.run(user_groups=["readers"]) == 3
    assert users.run(user_groups=["readers"]) == 0, "a second run changes nothing"
    assert stat.S_IMODE(users.file.stat().st_mode) == 0o600
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = users.jane.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]
    assert (told["username"], told["groups"]) == ("jane", ["readers", "system:authenticated"])
    assert rights(users.jane) == {"default": True, "kube-system": True, "all": True} and not may(
        users.jane, "/api/v1/secrets"
    )

    # Other rights take the place of the former ones.
    assert users.run(user_groups=["readers"], user_role="edit", user_namespaces=["default", "kube-system"]) == 3
    assert rights(users.jane) == {"default": True, "kube-system": True, "all": False} and may(
        users.jane, "/api/v1/namespaces/default/secrets"
    )
    assert users.run(user_groups=["readers"], user_role="edit", user_namespaces=["default"]) == 1
    assert rights(users.jane) == {"default": True, "kube-system": False, "all": False}
    assert users.run(user_groups=["readers"], user_role="edit", user_namespaces=["default"]) == 0

    # The cluster's own run leaves the user's certificate alone, also where it cleans up.
    authority = {"name": "ca", "existing": True}
    kept = call(certificates, check=True, path=str(cluster.pki), cas=[authority], purge=True, keep=["user-*"])
    assert "user-jane.pem" not in kept["unwanted"] and "admin.pem" in kept["unwanted"]

    former = load_kubeconfig(str(users.file))
    assert users.run(user_state="absent") == 2
    assert not users.file.exists() and not list(cluster.pki.glob("user-*"))
    assert rights(Api(former)) == {"default": False, "kube-system": False, "all": False}
    assert users.run(user_state="absent") == 0


@pytest.mark.parametrize(
    ("settings", "because"),
    [
        ({}, "is not a name for a user"),
        ({"user_name": "../x"}, "is not a name for a user"),
        ({"user_name": "jane", "user_groups": ["system:masters"]}, "system:masters is reserved by Kubernetes"),
        ({"user_name": "jane", "user_role_kind": "Role"}, "A Role belongs to a namespace"),
    ],
)
def test_what_is_refused(users: Users, settings: dict[str, t.Any], because: str) -> None:
    done = users.play(**settings)
    assert done.returncode != 0 and because in done.stdout
