# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The real programs that the certificates are shown to: cfssl and a verifier in Go, built here, and etcd and kube-apiserver of the local mirror."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The newest that builds with the Go that everything else here is built with.
CFSSL_VERSION = "1.6.5"
CFSSL_COMMANDS = ("cfssl", "cfssljson")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Missing(Exception):
    """A program is not there; the message says how it comes."""


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HARDWAY_CACHE") or f"{base}/hardway").expanduser()


def go(*arguments: str, **environment: str) -> None:
    """The go command, with the caches that the mirror is built with."""
    if shutil.which("go") is None:
        raise Missing(
            "the go command is not in PATH: install Go (https://go.dev/dl/), for cfssl is built from its module"
        )
    settings = {
        "GOCACHE": str(cache() / "go" / "build"),
        "GOMODCACHE": str(cache() / "go" / "mod"),
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    done = subprocess.run(
        ["go", *arguments], env={**settings, **os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"go {' '.join(arguments)} failed:\n{done.stderr.strip()}")


def tool_directory(name: str, *commands: str) -> tuple[Path, bool]:
    """The place of a tool in the cache, and whether all its commands are there."""
    directory = cache() / "tools" / name
    return directory, all((directory / command).is_file() for command in commands)


def put(directory: Path, scratch: Path) -> None:
    """Make the scratch directory the tool's, whole or not at all; whoever was faster is right, too."""
    try:
        scratch.rename(directory)
    except OSError:
        shutil.rmtree(scratch)


def cfssl() -> Path:
    """The directory with cfssl and cfssljson."""
    directory, there = tool_directory(f"cfssl-{CFSSL_VERSION}", *CFSSL_COMMANDS)
    if not there:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent))
        modules = [f"github.com/cloudflare/cfssl/cmd/{command}@v{CFSSL_VERSION}" for command in CFSSL_COMMANDS]
        go("install", "-trimpath", "-modcacherw", "-ldflags=-s -w", *modules, GOBIN=str(scratch), GOFLAGS="")
        put(directory, scratch)
    return directory


def verifier() -> Path:
    """The program that asks Go's crypto/x509; its directory carries the digest of its source."""
    source = HERE / "verifier" / "verify.go"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    directory, there = tool_directory(f"verify-{digest}", "verify")
    if not there:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent))
        go("build", "-trimpath", f"-o={scratch}/verify", str(source), GOFLAGS="")
        put(directory, scratch)
    return directory / "verify"


def mirrored(pattern: str, component: str) -> Path:
    """The file of the mirror that is of the newest release and for this machine; the pattern has {arch} where upstream names it."""
    pattern = pattern.format(arch=ARCHITECTURES.get(platform.machine(), platform.machine()))
    found = list((cache() / "mirror").glob(pattern))
    if not found:
        raise Missing(
            f"{cache()}/mirror has no {pattern}: build it with `python roles/mirror/files/build.py {component}` (`make artifacts` does it, too)"
        )
    return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))])


def etcd() -> Path:
    """The directory with etcd and etcdctl, unpacked from the mirror's archive."""
    archive = mirrored("github.com/etcd-io/etcd/releases/download/*/etcd-v*-linux-{arch}.tar.gz", "etcd")
    directory, there = tool_directory(archive.name.removesuffix(".tar.gz"), "etcd", "etcdctl")
    if not there:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent))
        with tarfile.open(archive) as members:
            for member in members:
                if Path(member.name).name in ("etcd", "etcdctl"):
                    member.name = Path(member.name).name
                    members.extract(member, scratch, filter="data")
        put(directory, scratch)
    return directory


def kube_apiserver(directory: Path) -> Path:
    """A copy that may be executed: the mirror's is a download."""
    copy = directory / "kube-apiserver"
    shutil.copyfile(mirrored("dl.k8s.io/release/*/bin/linux/{arch}/kube-apiserver", "kubernetes"), copy)
    copy.chmod(0o755)
    return copy


def nginx() -> tuple[Path, Path]:
    """nginx and the directory of its modules: Debian's packages, unpacked, so that nothing is installed or started."""
    directory, there = tool_directory("nginx", "usr/sbin/nginx", "usr/lib/nginx/modules/ngx_stream_module.so")
    if not there:
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise Missing("nginx comes from Debian's packages, and apt-get and dpkg are not in PATH")
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent))
        fetched = subprocess.run(
            ["apt-get", "download", "nginx", "libnginx-mod-stream"],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
        )
        for package in scratch.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, scratch], check=True)
            package.unlink()
        if not (scratch / "usr/lib/nginx/modules/ngx_stream_module.so").is_file():
            shutil.rmtree(scratch)
            raise Missing(f"apt-get download nginx libnginx-mod-stream failed:\n{fetched.stderr.strip()}")
        put(directory, scratch)
    return directory / "usr/sbin/nginx", directory / "usr/lib/nginx/modules"
