# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets that come from Debian's packages: versions of which no Go module can be obtained any more.

A directory `build/<set>` with a `debian.yml` in place of go.mod and go.sum names the packages. They are fetched from the package
sources of this computer's own apt configuration, which apt authenticates, into a directory of the build: nothing is installed, no
root is needed.

    version: the version of the component
    binaries:                          either: installed file -> the package that has it, its path there,
      etcd: {package: etcd-server, path: usr/bin/etcd}                and the package's version, if that is another one
    source: {package: kubernetes, version: 1.20.5+really1.20.2, import_path: k8s.io/kubernetes}   or: a source package, and
    compiler: {version: "1.19"}        the version of Debian's Go that compiles it, without modules
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RECIPE = "debian.yml"
# A line of sources.list, without its type.
TARGET = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
# The host's own hooks and downloads of further indexes are none of this build's affair.
APT_CONFIGURATION = """\
Dir::Etc::SourceList "{directory}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{directory}/lists";
Dir::Cache "{directory}/cache";
APT::Architecture "{arch}";
#clear APT::Architectures;
APT::Architectures {{ "{arch}"; }};
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
"""


class DebianError(Exception):
    """What is wrong with which package, and what to do; ends the run."""


def described(set_dir: Path) -> dict[str, Any] | None:
    """What a set's debian.yml says; None for a set of Go modules."""
    path = set_dir / RECIPE
    return yaml.safe_load(path.read_text()) if path.exists() else None


def missing_tools(recipe: dict[str, Any]) -> list[str]:
    needed = ("apt-get", "apt-cache", "dpkg-deb") + (("dpkg-source",) if "source" in recipe else ())
    return [tool for tool in needed if shutil.which(tool) is None]


def run(command: list[str], directory: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DebianError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout).strip()}")
    return done.stdout


# --- Packages ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A package that the package sources have; a line of `apt-cache madison`."""

    package: str
    version: str
    index: str

    @property
    def is_source(self) -> bool:
        return self.index.endswith(" Sources")

    def is_of(self, upstream: str) -> bool:
        """Whether this is a Debian revision of upstream's version (or of one below it); an epoch does not matter."""
        own = self.version.split(":", 1)[-1]
        return f"{own.rpartition('-')[0] or own}.".startswith(f"{upstream}.")


def offers(madison: str) -> list[Offer]:
    fields = (line.split("|") for line in madison.splitlines() if line.count("|") == 2)
    return [Offer(*(field.strip() for field in line)) for line in fields]


class Apt:
    """The package sources of this computer, with their source packages, and lists of its own."""

    def __init__(self, directory: Path, arch: str) -> None:
        self.directory = directory
        for name in ("lists/partial", "cache/archives/partial"):
            (directory / name).mkdir(parents=True)
        self._write_sources()
        (directory / "apt.conf").write_text(APT_CONFIGURATION.format(directory=directory, arch=arch))
        self._apt("apt-get", "update")

    def _write_sources(self) -> None:
        targets = run(
            ["apt-get", "indextargets", "--no-release-info", "--format", TARGET, "Identifier: Packages"], self.directory
        )
        entries = dict.fromkeys(targets.splitlines())
        if not entries:
            raise DebianError(
                "apt has no package sources on this computer: configure them (/etc/apt/sources.list.d), with Debian 12 among them"
            )
        (self.directory / "sources.list").write_text(
            "".join(f"{kind} {entry}\n" for entry in entries for kind in ("deb", "deb-src"))
        )

    def _apt(self, command: str, *arguments: str) -> str:
        return run([command, "-q", "-c", str(self.directory / "apt.conf"), *arguments], self.directory)

    def _chosen(self, package: str, upstream: str, source: bool) -> str:
        """package=version of the newest revision (madison names the newest first)."""
        found = [
            offer
            for offer in offers(self._apt("apt-cache", "madison", package))
            if offer.is_source == source and offer.package == package
        ]
        for offer in found:
            if offer.is_of(upstream):
                return f"{package}={offer.version}"
        there = (
            f"they have {', '.join(dict.fromkeys(offer.version for offer in found))}"
            if found
            else "they do not have it"
        )
        raise DebianError(
            f"{'source package' if source else 'package'} {package} {upstream} is not in the package sources of this computer, {there}: "
            "it is in Debian 12 (bookworm), build there or add it to apt's configuration"
        )

    def unpack(self, package: str, upstream: str, target: Path) -> None:
        """Put the files of a binary package below `target`."""
        self._apt("apt-get", "download", self._chosen(package, upstream, source=False))
        target.mkdir(parents=True, exist_ok=True)
        for archive in self.directory.glob(f"{package}_*.deb"):
            run(["dpkg-deb", "-x", str(archive), str(target)], self.directory)
            archive.unlink()

    def unpack_source(self, package: str, upstream: str, target: Path) -> None:
        """Put the patched tree of a source package to `target`."""
        self._apt("apt-get", "source", "--download-only", self._chosen(package, upstream, source=True))
        (description,) = self.directory.glob(f"{package}_*.dsc")
        target.parent.mkdir(parents=True)
        # apt has verified the file against its signed index.
        run(["dpkg-source", "--no-check", "-x", str(description), str(target)], self.directory)


# --- Binaries as they are ------------------------------------------------------------------------------------------------------------------


def take_binaries(recipe: dict[str, Any], apt: Apt, scratch: Path, output: Path) -> None:
    packages = {binary["package"]: binary.get("version", recipe["version"]) for binary in recipe["binaries"].values()}
    for package, version in packages.items():
        apt.unpack(package, version, scratch / "root")
    for name, binary in recipe["binaries"].items():
        (scratch / "root" / binary["path"]).rename(output / name)


# --- A source package of before modules ----------------------------------------------------------------------------------------------------


# Runs a command in a directory and tells how far it is.
Compile = Callable[[list[str], Path, dict[str, str]], None]


@dataclass(frozen=True)
class Tree:
    """A source package in a GOPATH, and the compiler for it."""

    gopath: Path
    import_path: str
    go: Path
    env: dict[str, str]

    @property
    def directory(self) -> Path:
        return self.gopath / "src" / self.import_path


def prepare(recipe: dict[str, Any], apt: Apt, scratch: Path, env: dict[str, str]) -> Tree:
    compiler, source = recipe["compiler"], recipe["source"]
    root = scratch / "root"
    for package in (f"golang-{compiler['version']}-go", f"golang-{compiler['version']}-src"):
        apt.unpack(package, compiler["version"], root)
    goroot = root / "usr" / "lib" / f"go-{compiler['version']}"
    # The user's flags are for the user's Go.
    own = {
        "GOROOT": str(goroot),
        "GOPATH": str(scratch / "gopath"),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    tree = Tree(scratch / "gopath", source["import_path"], goroot / "bin" / "go", {**env, **own})
    apt.unpack_source(source["package"], source["version"], tree.directory)
    return tree


def compile_commands(tree: Tree, commands: list[str], stamps: list[str], output: Path, go_compile: Compile) -> None:
    """Packages of other modules are vendored: that is where the values of `-X` go."""
    vendored = [f"-X {tree.import_path}/vendor/{stamp}" for stamp in stamps]
    arguments = [
        "-v",
        "-trimpath",
        "-gcflags=all=-dwarf=false",
        f"-ldflags={' '.join(['-s', '-w', *vendored])}",
        f"-o={output}/",
    ]
    packages = [f"{tree.import_path}/cmd/{command}" for command in commands]
    go_compile([str(tree.go), "build", *arguments, *packages], tree.directory, tree.env)


# --- Kubernetes' generated code ------------------------------------------------------------------------------------------------------------


OPENAPI_TAG = re.compile(rb"^// \+k8s:openapi-gen=", re.MULTILINE)


def openapi_packages(tree: Tree) -> list[str]:
    """The packages that ask for a description, as build/root/Makefile.generated_files finds them for kube-apiserver."""
    found = set()
    for part in ("pkg", "cmd", "staging/src"):
        for path in (tree.directory / part).rglob("*.go"):
            if OPENAPI_TAG.search(path.read_bytes()):
                found.add(path.parent.relative_to(tree.directory).as_posix())
    of_others = re.compile(r"staging/src/k8s\.io/(code-generator|sample-apiserver)/")
    # staging/src/k8s.io/NAME is what vendor/k8s.io/NAME links to.
    return sorted(
        f"{tree.import_path}/{re.sub('^staging/src/', 'vendor/', package)}"
        for package in found
        if not of_others.match(package)
    )


def generate_openapi(tree: Tree, scratch: Path, go_compile: Compile) -> None:
    """Write the one package of Kubernetes that is generated before each build and not in its source."""
    target = f"{tree.import_path}/pkg/generated/openapi"
    generator = scratch / "openapi-gen"
    # It runs here, whatever it is built for in the end.
    here = {key: value for key, value in tree.env.items() if key != "GOARCH"}
    go_compile(
        [
            str(tree.go),
            "build",
            "-v",
            "-trimpath",
            f"-o={generator}",
            f"{tree.import_path}/vendor/k8s.io/kube-openapi/cmd/openapi-gen",
        ],
        tree.directory,
        here,
    )
    path = os.pathsep.join((str(tree.go.parent), here.get("PATH", os.defpath)))
    run(
        [
            str(generator),
            "-i",
            ",".join(openapi_packages(tree)),
            "-p",
            target,
            "-O",
            "zz_generated.openapi",
            "-h",
            "hack/boilerplate/boilerplate.generatego.txt",
            "-r",
            str(scratch / "violations"),
            "--output-base",
            str(tree.gopath / "src"),
        ],
        tree.directory,
        {**here, "PATH": path},
    )
