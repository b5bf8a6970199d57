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
import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles" / "mirror"


def load(name: str, path: Path) -> t.Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The scripts of the role import each other by name.
debian = load("debian_sets", ROLE / "files" / "debian_sets.py")
build = load("mirror_build", ROLE / "files" / "build.py")


class Compiler:
    """Stands in for the go command: each command is a file with its name and the job's version."""

    arch = "amd64"

    def __init__(self) -> None:
        self.built: list[str] = []

    def build(self, job: t.Any, output: Path) -> None:
        self.built.append(str(job))
        names = [
            name
            for artifact in job.recipe.artifacts
            for name in build.catalogue_entry(job, "cluster_artifacts", artifact, self.arch)["install"]
        ]
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
    assert job.version == max(
        (other.version for other in build.available() if other.component == "kubernetes"), key=build.version_key
    )


def test_a_version_that_cannot_be_built_is_told_with_those_that_can() -> None:
    with pytest.raises(build.BuildError, match=r"etcd 1\.0\.0 cannot be built: .* has etcd in 3\.\d+\.\d+"):
        build.select(build.available(), ["etcd=1.0.0"])


def test_the_role_asks_for_what_is_built_without_asking_and_offers_all() -> None:
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    option = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"][
        "mirror_components"
    ]
    assert sorted(defaults["mirror_components"]) == sorted(option["default"]) == sorted(build.DEFAULT)
    assert sorted(option["choices"]) == sorted([*build.RECIPES, *build.NOT_BUILT])
    assert [job.component for job in build.select(build.available(), [])] == list(build.DEFAULT)


@pytest.mark.parametrize("version", ["1.35.0", "1.35.17", "1.36.1"])
def test_a_patch_version_is_built_from_the_set_of_its_minor_version(version: str) -> None:
    (job,) = build.select(build.available(), [f"kubernetes={version}"])
    assert (job.version, job.set_dir.name, job.derived) == (version, f"kubernetes-{version[:4]}", True)


@pytest.mark.parametrize(
    "request_", ["kubernetes=1.20.3", "kubernetes=1.34.4", "kubernetes=1.36", "etcd=3.6.15", "coredns=1.14.6"]
)
def test_no_other_version_is_made_up(request_: str) -> None:
    with pytest.raises(build.BuildError, match="cannot be built"):
        build.select(build.available(), [request_])


def test_a_set_for_another_patch_version_requires_what_upstream_requires() -> None:
    (job,) = build.select(build.available(), ["kubernetes=1.36.1"])
    own = {
        "Module": {"Path": "ours"},
        "Tool": [{"Path": "k8s.io/kubernetes/cmd/kubelet"}],
        "Require": [{"Path": "example.org/x", "Version": "v1.0.9"}],
    }
    upstream = {
        "Module": {"Path": "k8s.io/kubernetes"},
        "Go": "1.26.0",
        "GoDebug": [{"Key": "default", "Value": "go1.26"}],
        "Require": [{"Path": "example.org/x", "Version": "v1.0.1"}, {"Path": "k8s.io/api", "Version": "v0.0.0"}],
        "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}}],
    }
    assert build.derived_go_mod(own, upstream, job).splitlines() == [
        "module ours",
        "go 1.26.0",
        "godebug default=go1.26",
        "tool k8s.io/kubernetes/cmd/kubelet",
        "require k8s.io/kubernetes v1.36.1",
        "require example.org/x v1.0.1",
        "require k8s.io/api v0.0.0",
        "replace k8s.io/api => k8s.io/api v0.36.1",
    ]


def test_patch_versions_lie_side_by_side(builder: t.Any) -> None:
    run(builder, "kubernetes=1.36.1", "kubernetes=1.36.3")
    sums = [
        (builder.mirror / f"dl.k8s.io/release/v{version}/bin/linux/amd64/kubectl.sha256").read_text()
        for version in ("1.36.1", "1.36.3")
    ]
    assert sums[0] != sums[1]
    assert run(builder, "kubernetes=1.36.1", "kubernetes=1.36.3") == []


def test_what_is_not_built_has_to_be_in_the_mirror(tmp_path: Path) -> None:
    requests = ["etcd=3.6.16", "cri-dockerd=0.4.10"]
    url = "github.com/Mirantis/cri-dockerd/releases/download/v0.4.10/cri-dockerd-0.4.10.amd64.tgz"
    with pytest.raises(build.BuildError) as raised:
        build.without_not_built(requests, tmp_path, "amd64", build.Progress())
    assert (
        str(raised.value)
        == f"cri-dockerd 0.4.10 is not built from source: download https://{url} to {tmp_path / url}, or leave cri-dockerd out"
    )
    (tmp_path / url).parent.mkdir(parents=True)
    (tmp_path / url).touch()
    assert build.without_not_built(requests, tmp_path, "amd64", build.Progress()) == ["etcd=3.6.16"]


def test_calico_is_all_of_its_manifests_images_and_calicoctl(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError) as raised:
        build.without_not_built(["calico=3.32.1"], tmp_path, "amd64", build.Progress())
    text = str(raised.value)
    manifest, program = "v3.32.1/manifests/tigera-operator.yaml", "v3.32.1/calicoctl-linux-amd64"
    for wanted in (manifest, program, "copy quay.io/calico/node:v3.32.1 as", "quay.io/tigera/operator:v1."):
        assert wanted in text
    for kind, name in build.entries_of("calico"):
        entry = build.rendered_entry(kind, name, "calico", "3.32.1", "amd64")
        path = tmp_path / (entry["url"] if kind == "cluster_images" else build.mirror_path(entry["url"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert build.without_not_built(["calico=3.32.1"], tmp_path, "amd64", build.Progress()) == []


def test_the_linker_stamps_the_version_that_was_asked_for() -> None:
    (job,) = build.select(build.available(), ["kubernetes=1.36.1"])
    assert {"k8s.io/component-base/version.gitVersion=v1.36.1", "k8s.io/client-go/pkg/version.gitMinor=36"} <= set(
        build.stamps(job)
    )


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


@pytest.mark.parametrize(
    ("version", "names", "source"),
    [
        ("3.6.16", ["etcd", "etcdctl", "etcdutl"], b"server "),
        ("3.5.35", ["etcd", "etcdctl", "etcdutl"], b"server "),
        ("3.4.23", ["etcd", "etcdctl"], b"etcd "),
    ],
)
def test_an_archive_has_the_members_that_are_installed(
    builder: t.Any, version: str, names: list[str], source: bytes
) -> None:
    run(builder, f"etcd={version}")
    (archive,) = builder.mirror.rglob("etcd-*.tar.gz")
    prefix = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as stream:
        assert sorted(stream.getnames()) == [f"{prefix}/{name}" for name in names]
        assert stream.extractfile(f"{prefix}/etcd").read().startswith(source)
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
