# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities and keys are replaced."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import subprocess
import tempfile
import typing as t

from harness import cluster, playbooks, sandbox
from harness.checks import Kind, require
from harness.playbooks import Run
from harness.registry import drill
from harness.steps import assert_nothing_to_do, converge, run_watched, succeeding

ROTATED = ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca")


def rotation_state() -> dict[str, t.Any]:
    """Name of an authority or key -> its generations; empty before the first rotation."""
    path = cluster.DIRECTORY / "rotation.json"
    return json.loads(path.read_text(encoding="utf-8"))["generations"] if path.exists() else {}


def is_refused(credentials: pathlib.Path) -> bool:
    """Whether the API does not accept a copied admin certificate."""
    done = subprocess.run(
        [
            str(cluster.KUBECTL),
            f"--server=https://{cluster.VIRTUAL_ADDRESS}:6443",
            "--insecure-skip-tls-verify",
            "get",
            "nodes",
            f"--client-certificate={credentials / 'admin.pem'}",
            f"--client-key={credentials / 'admin-key.pem'}",
            "--kubeconfig=/dev/null",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode != 0 and ("Unauthorized" in done.stderr or "logged in" in done.stderr)


@drill(
    "rotate-ca",
    "hardway.kubernetes.rotate_ca: stopped after its first stage, killed in the second, finished by the same command; the old admin is refused at the end.",
)
def rotate_ca(seed: int) -> str:
    with tempfile.TemporaryDirectory() as directory:
        old = pathlib.Path(directory)
        for name in ("admin.pem", "admin-key.pem"):
            shutil.copy(cluster.DIRECTORY / "pki" / name, old)
        require(not is_refused(old), "the admin certificate is refused before anything was rotated")
        before = rotation_state()

        def kill() -> Run:
            playbooks.run_killed(cluster.random_moments(1, 60, seed)[0], "rotate_ca")
            return converge("--check")

        figures, runs = run_watched(
            ("trust", succeeding("rotate_ca", "-e", "rotation_until=trust")),
            ("killed", kill),
            ("finished", succeeding("rotate_ca")),
        )
        after = rotation_state()
        for name in ROTATED:
            newest = before.get(name, {"active": 1})["active"] + 1
            require(after[name] == {"trusted": [newest], "active": newest}, f"{name}: {after}")
        require(is_refused(old), "the old admin certificate is still accepted", Kind.NOT_REFUSED)
    assert_nothing_to_do()
    return f"{runs[0].seconds:.0f} s to trust, {runs[2].seconds:.0f} s from the kill to the end: {figures}"


@drill(
    "rotate-keys",
    "hardway.kubernetes.rotate_keys: other keys sign tokens and encrypt, what was stored is encrypted again, tokens from before are refused at the end.",
)
def rotate_keys() -> str:
    token = cluster.kubectl("create", "token", "default", "--namespace=default", "--duration=24h").strip()
    cluster.kubectl(
        "apply",
        "--filename=-",
        text="{apiVersion: v1, kind: Secret, metadata: {name: hardway-drill, namespace: default}, stringData: {word: kept}}",
    )

    def is_accepted() -> bool:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = json.loads(cluster.kubectl("create", "--filename=-", "--output=json", text=json.dumps(review)))
        return bool(answer["status"].get("authenticated"))

    require(is_accepted(), "a fresh token is not accepted")
    figures, runs = run_watched(("rotate", succeeding("rotate_keys")))
    require(not is_accepted(), "a token that the old key signed is still accepted", Kind.NOT_REFUSED)
    active = rotation_state()["encryption"]["active"]
    read = ". /etc/profile.d/etcdctl.sh; etcdctl get --prefix /registry/secrets/ --print-value-only"
    stored = sandbox.ssh("master1", f'{read} | grep -ao "k8s:enc:[a-z]*:v1:key[0-9]*" | sort | uniq -c')
    require(stored.split()[1:] == [f"k8s:enc:secretbox:v1:key{active}"], f"stored under {stored}")
    word = cluster.kubectl("get", "secret", "hardway-drill", "--namespace=default", "--output=jsonpath={.data.word}")
    require(base64.b64decode(word) == b"kept", f"the Secret reads {word}")
    cluster.kubectl("delete", "secret", "hardway-drill", "--namespace=default")
    assert_nothing_to_do()
    return f"{runs[0].seconds:.0f} s, {stored.split()[0]} Secrets encrypted again: {figures}"
