# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "roles" / "mirror" / "files" / "build.py"
spec = importlib.util.spec_from_file_location("mirror_build", PATH)
assert spec and spec.loader
build = sys.modules["mirror_build"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


class Compiler:
    """Stands in for the go command: each command is a file with its name and the job's version."""

    arch = "amd64"

    def __init__(self) -> None:
        self.built: list[str] = []

    def build(self, job: t.Any, output: Path) -> None:
        self.built.append(str(job))
        names = [name for artifact in job.recipe.artifacts for name in build.catalogue_entry(job, "cluster_artifacts", artifact, self.arch)["install"]]
        for name in names or [job.component]:
            binary = job.recipe.renamed.get(name, name)
            (output / binary).write_text(f"{binary} {job.version}")

    def check_version(self, job: t.Any) -> None:
        pass


@pytest.fixture
def builder(tmp_path: Path) -> t.Any:
    for name in ("mirror", "work"):
        (tmp_path / name).mkdir()
    return build.Builder(tmp_path / "mirror", tmp_path / "work", Compiler(), "amd64", build.Progress())


def run(builder: t.Any, *wanted: str) -> list[str]:
    builder.go.built.clear()
    for job in builder.pending(build.select(build.available(), wanted)):
        builder.run(job)
    return builder.go.built


def test_the_newest_version_is_the_default() -> None:
    (job,) = build.select(build.available(), ["kubernetes"])
    assert job.version == max((other.version for other in build.available() if other.component == "kubernetes"), key=build.version_key)


def test_a_version_that_cannot_be_built_is_told_with_those_that_can() -> None:
    with pytest.raises(build.BuildError, match=r"etcd 1\.0\.0 cannot be built: .* has etcd in 3\.\d+\.\d+"):
        build.select(build.available(), ["etcd=1.0.0"])


def test_every_recipe_fits_the_catalogue(builder: t.Any) -> None:
    compiled = [f"{job.component}={job.version}" for job in build.available() if not job.recipe.c_source]
    run(builder, *compiled)
    records = [json.loads(path.read_text()) for path in builder.mirror.glob(".built/*.json")]
    assert len(records) == len(compiled)
    assert all("{" not in name for record in records for name in record["files"])


def test_a_bare_binary_has_a_bare_sum(builder: t.Any) -> None:
    run(builder, "kubernetes=1.36.3")
    kubelet = builder.mirror / "dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"
    assert kubelet.read_text() == "kubelet 1.36.3"
    assert kubelet.with_name("kubelet.sha256").read_text() == hashlib.sha256(b"kubelet 1.36.3").hexdigest() + "\n"


def test_an_archive_has_the_members_that_are_installed(builder: t.Any) -> None:
    run(builder, "etcd")
    (archive,) = builder.mirror.rglob("etcd-*.tar.gz")
    prefix = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as stream:
        assert sorted(stream.getnames()) == [f"{prefix}/{name}" for name in ("etcd", "etcdctl", "etcdutl")]
        assert stream.extractfile(f"{prefix}/etcd").read().startswith(b"server ")
    assert archive.with_name("SHA256SUMS").read_text() == f"{build.sha256_of(archive)}  {archive.name}\n"


def test_an_image_is_a_docker_archive(builder: t.Any, tmp_path: Path) -> None:
    run(builder, "coredns")
    (archive,) = builder.mirror.glob("images/coredns-*.tar")
    with tarfile.open(archive) as stream:
        (manifest,) = json.load(stream.extractfile("manifest.json"))
        config = json.load(stream.extractfile(manifest["Config"]))
        layer = stream.extractfile(manifest["Layers"][0]).read()
    assert manifest["RepoTags"][0].startswith("registry.k8s.io/coredns/coredns:v1.")
    assert config["config"] == {"Entrypoint": ["/coredns"], "User": "65532:65532", "WorkingDir": "/"}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert b"SCHILY.xattr.security.capability" in layer


def test_what_is_whole_is_kept(builder: t.Any) -> None:
    assert run(builder, "etcd", "crictl") != []
    assert run(builder, "etcd", "crictl") == []


def test_the_same_inputs_give_the_same_files(builder: t.Any) -> None:
    run(builder, "etcd")
    (archive,) = builder.mirror.rglob("etcd-*.tar.gz")
    before = archive.read_bytes()
    archive.unlink()
    run(builder, "etcd")
    assert archive.read_bytes() == before


@pytest.mark.parametrize("damage", ["content", "checksum", "absent", "record", "inputs"])
def test_what_is_not_whole_is_built_again(builder: t.Any, damage: str) -> None:
    run(builder, "crictl")
    (archive,) = builder.mirror.rglob("crictl-*.tar.gz")
    (record,) = builder.mirror.glob(".built/crictl-*.json")
    if damage == "content":
        archive.write_bytes(archive.read_bytes()[:-1])
    elif damage == "checksum":
        archive.with_name(archive.name + ".sha256").write_text("0" * 64)
    elif damage == "absent":
        archive.unlink()
    elif damage == "record":
        record.write_text("{")
    else:
        record.write_text(record.read_text().replace('"inputs": "', '"inputs": "0'))
    assert len(run(builder, "crictl")) == 1
    assert run(builder, "crictl") == []
