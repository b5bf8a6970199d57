# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "roles" / "mirror" / "files" / "debian_sets.py"
spec = importlib.util.spec_from_file_location("debian_sets_alone", PATH)
assert spec and spec.loader
debian = sys.modules["debian_sets_alone"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(debian)

MADISON = """\
  thing | 1.20.5+really1.20.2-1.1+deb12u1 | http://deb.example.org/debian bookworm/main Sources
  thing | 2:1.20.10-3 | http://deb.example.org/debian bookworm/main amd64 Packages
"""


# --- The packages of a small archive, with the real apt


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def described(path: Path, root: Path) -> str:
    return f"Filename: {path.relative_to(root)}\nSize: {path.stat().st_size}\nSHA256: {hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def binary_package(root: Path, scratch: Path, version: str) -> str:
    control = f"Package: thing\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: thing\n"
    write(scratch / version / "DEBIAN" / "control", control)
    write(scratch / version / "usr" / "bin" / "thing", f"thing {version}")
    archive = root / f"thing_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", scratch / version, archive], check=True, stdout=subprocess.DEVNULL
    )
    return control + described(archive, root)


def source_package(root: Path, scratch: Path) -> str:
    tree = scratch / "thing-1.0"
    write(
        tree / "debian" / "control",
        "Source: thing\nMaintainer: Nobody <nobody@example.org>\n\nPackage: thing\nArchitecture: all\nDescription: thing\n",
    )
    write(
        tree / "debian" / "changelog",
        "thing (1.0) unstable; urgency=low\n\n  * x\n\n -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n",
    )
    write(tree / "debian" / "source" / "format", "3.0 (native)\n")
    write(tree / "main.go", "package main\n")
    subprocess.run(["dpkg-source", "-b", tree], cwd=root, check=True, capture_output=True)
    lines = [
        f" {hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_size} {path.name}"
        for path in root.glob("thing_1.0.*")
    ]
    head = "Package: thing\nBinary: thing\nVersion: 1.0\nArchitecture: all\nFormat: 3.0 (native)\nDirectory: .\nChecksums-Sha256:\n"
    return head + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Any]:
    """This computer's apt knows one archive: a binary package in two versions, and a source package."""
    if debian.missing_tools({"source": {}}):
        pytest.skip("needs apt and dpkg-dev")
    base = tmp_path_factory.mktemp("debian")
    root, scratch = base / "archive", base / "scratch"
    root.mkdir()
    indexes = {
        "main/binary-amd64/Packages": "\n".join(
            binary_package(root, scratch, version) for version in ("3.4.23-4+b4", "3.5.1-1")
        ),
        "main/source/Sources": source_package(root, scratch),
    }
    suite = root / "dists" / "demo"
    for name, text in indexes.items():
        write(suite / name, text)
    sums = "".join(
        f" {hashlib.sha256(text.encode()).hexdigest()} {len(text)} {name}\n" for name, text in indexes.items()
    )
    write(
        suite / "Release",
        f"Codename: demo\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}",
    )
    settings = {
        "Dir::Etc::SourceList": write(base / "sources.list", f"deb [arch=amd64] file://{root} demo main\n"),
        "Dir::Etc::SourceParts": "/dev/null",
        # It has no signature, which apt refuses otherwise.
        "Acquire::AllowInsecureRepositories": "true",
        "APT::Get::AllowUnauthenticated": "true",
        "APT::Sandbox::User": "root",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "APT_CONFIG",
            str(write(base / "apt.conf", "".join(f'{name} "{value}";\n' for name, value in settings.items()))),
        )
        yield debian.Apt(base / "apt", "amd64")


def test_binaries_are_taken_out_of_packages(apt: t.Any, tmp_path: Path) -> None:
    recipe = {"version": "3.4.23", "binaries": {"thingd": {"package": "thing", "path": "usr/bin/thing"}}}
    (tmp_path / "output").mkdir()
    debian.take_binaries(recipe, apt, tmp_path / "taken", tmp_path / "output")
    assert (tmp_path / "output" / "thingd").read_text() == "thing 3.4.23-4+b4"
    recipe["binaries"]["thingd"]["version"] = "3.5.1"
    debian.take_binaries(recipe, apt, tmp_path / "other", tmp_path / "output")
    assert (tmp_path / "output" / "thingd").read_text() == "thing 3.5.1-1"


def test_a_source_package_is_unpacked(apt: t.Any, tmp_path: Path) -> None:
    apt.unpack_source("thing", "1.0", tmp_path / "src" / "example.org" / "thing")
    assert (tmp_path / "src" / "example.org" / "thing" / "main.go").exists()


def test_a_version_that_is_not_there_is_told_with_those_that_are(apt: t.Any, tmp_path: Path) -> None:
    with pytest.raises(
        debian.DebianError,
        match=r"package thing 3\.4\.2 is not in the package sources of this computer, they have 3\.5\.1-1, 3\.4\.23-4\+b4",
    ):
        apt.unpack("thing", "3.4.2", tmp_path)
    with pytest.raises(debian.DebianError, match=r"source package other 1.0 is not .* they do not have it"):
        apt.unpack_source("other", "1.0", tmp_path / "src")


# --- Without apt


@pytest.mark.parametrize(
    ("index", "upstream", "expected"),
    [
        (0, "1.20.5+really1.20.2", True),
        (0, "1.20.5", False),
        (1, "1.20.10", True),
        (1, "1.20", True),
        (1, "1.20.1", False),
        (1, "2", False),
    ],
)
def test_a_revision_is_known_by_upstreams_version(index: int, upstream: str, expected: bool) -> None:
    assert debian.offers(MADISON)[index].is_of(upstream) is expected


def test_sources_are_told_from_binaries() -> None:
    assert [offer.is_source for offer in debian.offers(MADISON)] == [True, False]


@pytest.fixture
def tree(tmp_path: Path) -> t.Any:
    return debian.Tree(tmp_path, "k8s.io/kubernetes", Path("/goroot/bin/go"), {"GOARCH": "arm64", "PATH": "/bin"})


def test_the_description_is_of_all_packages_that_ask_for_it(tree: t.Any) -> None:
    tagged = "package x\n\n// +k8s:openapi-gen=true\ntype X struct{}\n"
    for path in (
        "pkg/apis/abac/v0/types.go",
        "staging/src/k8s.io/api/core/v1/doc.go",
        "staging/src/k8s.io/sample-apiserver/pkg/apis/v1/doc.go",
        "staging/src/k8s.io/code-generator/_examples/v1/doc.go",
    ):
        write(tree.directory / path, tagged)
    write(tree.directory / "pkg/mention/x.go", 'package x\n\nconst tag = "// +k8s:openapi-gen=true"\n')
    assert debian.openapi_packages(tree) == [
        "k8s.io/kubernetes/pkg/apis/abac/v0",
        "k8s.io/kubernetes/vendor/k8s.io/api/core/v1",
    ]


def test_values_go_into_the_vendored_packages(tree: t.Any, tmp_path: Path) -> None:
    ran: list[t.Any] = []
    debian.compile_commands(
        tree,
        ["kubelet"],
        ["k8s.io/component-base/version.gitVersion=v1.20.2"],
        tmp_path,
        lambda *arguments: ran.append(arguments),
    )
    ((command, directory, env),) = ran
    assert "-ldflags=-s -w -X k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitVersion=v1.20.2" in command
    assert (command[-1], directory, env["GOARCH"]) == ("k8s.io/kubernetes/cmd/kubelet", tree.directory, "arm64")
