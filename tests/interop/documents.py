# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the five documents do with cfssl, by cfssl and by the module. The files below documents/ are copies of theirs; only beyond/ is of none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tools

from ansible_collections.hardway.kubernetes.plugins.filter.cfssl import cfssl as read_files

FILES = tools.HERE / "documents"
MODULE = "ansible_collections.hardway.kubernetes.plugins.modules.certificates"
CALL = f"""
import json, sys
from ansible.module_utils.testing import patch_module_args
from {MODULE} import main
with patch_module_args(json.load(sys.stdin)):
    main()
"""
# Document 003, "server and peer certificates": the request of each member comes from cfssl's sample.
CONFIG_OF_003 = r"""
cfssl print-defaults csr > config.json
sed -i '0,/CN/{s/example\.net/'"$PEER_NAME"'/}' config.json
sed -i 's/www\.example\.net/'"$PRIVATE_IP"'/' config.json
sed -i 's/example\.net/'"$PEER_NAME"'/' config.json
"""


@dataclass(frozen=True)
class Gencert:
    """One call of `cfssl gencert` that signs: the certificate's name, its request, its profile."""

    name: str
    file: str
    profile: str


@dataclass(frozen=True)
class Document:
    name: str
    certificates: tuple[Gencert, ...]
    script: str = ""

    def __str__(self) -> str:
        return self.name

    def lay_out(self, directory: Path) -> None:
        """The files as they are before the first certificate is made."""
        shutil.copytree(FILES / self.name, directory, dirs_exist_ok=True)
        if self.script:
            shell(self.script, directory)


DOCUMENTS = (
    Document(
        "000",
        (
            Gencert("etcd", "etcd-csr.json", "kubernetes"),
            Gencert("k8s", "k8s-csr.json", "kubernetes"),
            Gencert("kube-proxy", "kube-proxy-csr.json", "kubernetes"),
        ),
    ),
    Document("001/etcd", (Gencert("server", "server-csr.json", "www"),)),
    Document(
        "001/k8s",
        (
            Gencert("kubernetes", "kubernetes-csr.json", "kubernetes"),
            Gencert("kube-proxy", "kube-proxy-csr.json", "kubernetes"),
            Gencert("k8s-admin", "k8s-admin-csr.json", "kubernetes"),
        ),
    ),
    Document("002", (Gencert("server", "server-csr.json", "www"),)),
    Document(
        "003",
        (
            Gencert("client", "client.json", "client"),
            Gencert("server", "config.json", "server"),
            Gencert("peer", "config.json", "peer"),
        ),
        CONFIG_OF_003,
    ),
    Document("004", ()),
)
# What cfssl takes and the documents never ask for: larger keys, every kind of name, two groups, nobody's name.
BEYOND = Document(
    "beyond",
    tuple(Gencert(name, f"{name}-csr.json", "every") for name in ("rsa", "p384", "p521", "names", "groups", "nobody")),
)
COMPARED = (*DOCUMENTS, BEYOND)


def shell(script: str, directory: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{tools.cfssl()}:{os.environ['PATH']}",
        "PEER_NAME": "master-100",
        "PRIVATE_IP": "10.222.0.100",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}: {done.stderr}"


def by_cfssl(document: Document, directory: Path) -> None:
    """The commands of the documents, to the letter."""
    document.lay_out(directory)
    shell("cfssl gencert -initca ca-csr.json | cfssljson -bare ca -", directory)
    for certificate in document.certificates:
        sign(certificate, directory)


def sign(certificate: Gencert, directory: Path, authority: Path | None = None) -> None:
    above = authority or directory
    shell(
        f"cfssl gencert -ca={above}/ca.pem -ca-key={above}/ca-key.pem -config=ca-config.json -profile={certificate.profile} {certificate.file}"
        f" | cfssljson -bare {certificate.name}",
        directory,
    )


def asked(document: Document, directory: Path, **settings: object) -> dict:
    """The module's arguments, from the same files."""
    elsewhere = {entry.name: entry.file for entry in document.certificates if not entry.file.endswith("-csr.json")}
    return read_files(str(directory), certificates=elsewhere, **settings)


def by_module(arguments: dict, directory: Path) -> dict:
    """The module in a process of its own; its result."""
    environment = {**os.environ, "PYTHONPATH": str(tools.ROOT / ".collections")}
    text = json.dumps({**arguments, "path": str(directory)})
    done = subprocess.run(
        [sys.executable, "-c", CALL], input=text, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
