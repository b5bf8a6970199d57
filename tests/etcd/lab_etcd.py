# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real members of etcd on 127.0.0.1, with TLS for clients and peers by certificates of this collection."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import tarfile
import time
from pathlib import Path

from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory

CACHE = Path(
    os.environ.get("HARDWAY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hardway"
)
RELEASES = CACHE / "mirror/github.com/etcd-io/etcd/releases/download"
VERSION = os.environ.get("HARDWAY_ETCD_VERSION", "*")
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def archive() -> Path | None:
    """The newest release of the mirror that runs here, or that of HARDWAY_ETCD_VERSION."""

    def version(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path.parent.name)]

    return max(RELEASES.glob(f"v{VERSION}/etcd-v*-linux-{ARCHITECTURE}.tar.gz"), key=version, default=None)


def unpack(release: Path, directory: Path) -> Path:
    with tarfile.open(release) as tar:
        for member in tar.getmembers():
            if member.name.rpartition("/")[2] in ("etcd", "etcdctl", "etcdutl"):
                member.name = member.name.rpartition("/")[2]
                tar.extract(member, directory, filter="data")
    return directory


def make_pki(directory: Path) -> Path:
    arguments = {
        "cas": [{"name": "ca", "subject": {"CN": "etcd"}}],
        "certificates": [
            {"name": "etcd", "ca": "ca", "profile": "peer", "subject": {"CN": "etcd"}, "hosts": ["127.0.0.1"]}
        ],
    }
    reconcile_directory(str(directory), parse_request(arguments))
    return directory


class Ports:
    """Free ports, each given once, held until its process is about to start."""

    def __init__(self) -> None:
        self.held: dict[int, socket.socket] = {}

    def take(self) -> int:
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        self.held[port] = holder
        return port

    def release(self, port: int) -> None:
        holder = self.held.pop(port, None)
        if holder:
            holder.close()


class Member:
    """One process of etcd, with ports and a data directory of its own."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.client_port, self.peer_port = lab.ports.take(), lab.ports.take()
        self.data_dir = lab.directory / f"{name}-{self.client_port}"
        self.process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"https://127.0.0.1:{self.peer_port}"

    @property
    def log(self) -> Path:
        return self.lab.directory / f"{self.data_dir.name}.log"

    def start(self, initial_cluster: str, state: str = "new", *options: str) -> Member:
        self.lab.ports.release(self.client_port)
        self.lab.ports.release(self.peer_port)
        files = {"cert-file": "etcd.pem", "key-file": "etcd-key.pem", "trusted-ca-file": "ca.pem"}
        tls = [
            f"--{prefix}{option}={self.lab.pki / name}" for prefix in ("", "peer-") for option, name in files.items()
        ]
        command = [
            str(self.lab.binaries / "etcd"), f"--name={self.name}", f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.endpoint}", f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls={self.peer_url}", f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={initial_cluster}", f"--initial-cluster-state={state}", "--initial-cluster-token=lab",
            "--heartbeat-interval=50", "--election-timeout=500", "--client-cert-auth", "--peer-client-cert-auth", *tls, *options,
        ]  # fmt: skip
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.lab.directory)
        return self

    def restart(self, *options: str) -> Member:
        """Start again on the same data, which know the cluster."""
        return self.start(f"{self.name}={self.peer_url}", "existing", *options)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait_healthy(self, query: dict[str, str] | None = None, seconds: float = 20) -> Member:
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, body = self.lab.client(self).text("/health", query)
            except etcd.UNANSWERED as error:
                status, body = 0, str(error)
            if status == 200:
                return self
            assert self.process and self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{self.name}: {body}\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)


class Lab:
    """A directory, binaries, certificates, and all members that were started; `close` ends them."""

    def __init__(self, directory: Path, binaries: Path, certificates: Path) -> None:
        self.directory = directory
        self.binaries = binaries
        self.pki = certificates
        self.ports = Ports()
        self.members: list[Member] = []

    def member(self, name: str) -> Member:
        self.members.append(Member(self, name))
        return self.members[-1]

    def cluster(self, *names: str, options: tuple[str, ...] = ()) -> list[Member]:
        """A new cluster of these members, all healthy."""
        made = [self.member(name) for name in names]
        for member in made:
            member.start(self.initial_cluster(*made), "new", *options)
        for member in made:
            member.wait_healthy()
        return made

    @staticmethod
    def initial_cluster(*members: Member) -> str:
        return ",".join(f"{member.name}={member.peer_url}" for member in members)

    def tls(self) -> dict[str, str]:
        return {
            "ca": str(self.pki / "ca.pem"),
            "certificate": str(self.pki / "etcd.pem"),
            "key": str(self.pki / "etcd-key.pem"),
        }

    def access(self, *members: Member) -> dict[str, object]:
        """The arguments with which a module reaches these members."""
        return {"endpoints": [member.endpoint for member in members], **self.tls()}

    def client(self, member: Member) -> etcd.Api:
        return etcd.connect(member.endpoint, etcd.read_tls(**self.tls()), timeout=5)

    def etcdctl(self, member: Member, *words: str) -> str:
        tls = self.tls()
        options = [
            f"--endpoints={member.endpoint}",
            f"--cacert={tls['ca']}",
            f"--cert={tls['certificate']}",
            f"--key={tls['key']}",
        ]
        done = subprocess.run(
            [str(self.binaries / "etcdctl"), *options, *words], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"etcdctl {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def close(self) -> None:
        for member in self.members:
            member.kill()
        for port in list(self.ports.held):
            self.ports.release(port)
        shutil.rmtree(self.directory, ignore_errors=True)
