# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fill a mirror by building the artifacts of a cluster from source.

A mirror is a directory that holds each upstream file under its address without the scheme, so that hosts fetch from it
with the same code as from upstream. What is built has the same shape as upstream's file (a bare binary, or an archive with
the same members) and a checksum file beside it in upstream's format. Images become docker-archives below `images/`.

Each directory `build/<set>` holds the go.mod and go.sum of one component in one version: the `tool` directives name the
commands, and the go command checks every module against go.sum. Nothing in them is resolved anew here (-mod=readonly), but for
another patch version of Kubernetes, which takes its requirements from upstream's own go.mod. Versions that are older than their
modules come from Debian's packages (debian_sets.py).

It can be stopped at any time and run again: what is complete, was built from the same inputs, and still has the sum that was
written down for it, is kept.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import gzip
import hashlib
import io
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import debian_sets
import jinja2
import yaml

SETS = Path(__file__).resolve().parent / "build"
CATALOGUE = Path(__file__).resolve().parents[2] / "cluster" / "vars" / "main" / "artifacts.yml"
VERSIONS = Path(__file__).resolve().parents[2] / "cluster" / "defaults" / "main.yml"
KUBERNETES_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
# One set of Kubernetes from nothing: modules, compiled packages, and results.
SPACE_NEEDED = 12 * 2**30
HEARTBEAT = 20.0


class BuildError(Exception):
    """What is wrong, where, and what to do; ends the run."""


@dataclass(frozen=True)
class Image:
    """An image of static files on an empty root, with the settings of upstream's image."""

    name: str
    entrypoint: str
    command: tuple[str, ...] = ()
    user: str = ""
    directories: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    # File capabilities of the entrypoint, as the kernel stores them (see capabilities(7), struct vfs_cap_data).
    capabilities: bytes = b""


@dataclass(frozen=True)
class PodImage(Image):
    """An image that has programs of Debian's packages beside its binary."""

    # Package -> upstream's version of it.
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How one component is built, and which artifacts and images come out of it."""

    module: str
    artifacts: tuple[str, ...] = ()
    image: Image | None = None
    # Go variables to which the linker writes a value.
    stamps: tuple[tuple[str, str], ...] = ()
    # Build tags of a command that needs cgo; it is linked statically.
    cgo_tags: tuple[str, ...] | None = None
    # Installed name -> name that the go command gives the binary (if it is another one).
    renamed: dict[str, str] = field(default_factory=dict)
    # A component that lives in another component's module has a version of its own; this file there names it.
    version: str = ""
    version_file: str = ""
    # A single C file in the module, instead of Go packages.
    c_source: str = ""
    # Directory of the set, if it does not carry the component's own name.
    directory: str = ""


@dataclass(frozen=True)
class Packed(Recipe):
    """Images of binaries that are in the mirror already."""

    images: tuple[Image, ...] = ()


CNI_VERSION = "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion"
# VFS_CAP_REVISION_2 with the effective bit; permitted: CAP_NET_BIND_SERVICE (10). As `setcap cap_net_bind_service=+ep` in CoreDNS' Dockerfile.
NET_BIND_SERVICE = (0x02000001).to_bytes(4, "little") + (1 << 10).to_bytes(4, "little") + bytes(12)

# What kube-proxy calls: iptables over nftables, as on Debian's hosts, with its libraries.
IPTABLES = (
    ("iptables", "1.8.9"),
    ("libip4tc2", "1.8.9"),
    ("libip6tc2", "1.8.9"),
    ("libxtables12", "1.8.9"),
    ("libmnl0", "1.0.4"),
    ("libnftnl11", "1.2.4"),
    ("libnetfilter-conntrack3", "1.0.9"),
    ("libnfnetlink0", "1.0.2"),
    ("libc6", "2.36"),
)
# Chosen by update-alternatives where the package is installed.
IPTABLES_LINKS = tuple(
    (f"usr/sbin/{family}{end}", "xtables-nft-multi")
    for family in ("iptables", "ip6tables")
    for end in ("", "-save", "-restore")
)
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Of a package nothing that no program here reads.
NEEDLESS = re.compile(r"^(usr/share|usr/lib/[^/]+/gconv|usr/lib/gconv|etc)(/|$)")

RECIPES = {
    "etcd": Recipe("go.etcd.io/etcd/server/v3", ("etcd",), renamed={"etcd": "server"}),
    "containerd": Recipe(
        "github.com/containerd/containerd/v2",
        ("containerd",),
        stamps=(("github.com/containerd/containerd/v2/version.Version", "v{version}"),),
    ),
    "runc": Recipe(
        "github.com/opencontainers/runc", ("runc",), cgo_tags=("seccomp", "urfave_cli_no_docs", "netgo", "osusergo")
    ),
    "cni-plugins": Recipe(
        "github.com/containernetworking/plugins", ("cni-plugins",), stamps=((CNI_VERSION, "v{version}"),)
    ),
    "flannel-cni-plugin": Recipe(
        "github.com/containernetworking/plugins", ("flannel-cni-plugin",), stamps=((CNI_VERSION, "v{version}"),)
    ),
    "kubernetes": Recipe(
        "k8s.io/kubernetes",
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "kubeadm"),
        stamps=tuple(
            (f"{package}.{variable}", value)
            for package in KUBERNETES_VERSION_PACKAGES
            for variable, value in (("gitVersion", "v{version}"), ("gitMajor", "{major}"), ("gitMinor", "{minor}"))
        ),
    ),
    # For kubeadm, which runs Kubernetes from images.
    "kubernetes-pods": Packed(
        "k8s.io/kubernetes",
        images=(
            *(Image(name, f"/usr/local/bin/{name}") for name in STATIC_PODS),
            PodImage("kube-proxy", "/usr/local/bin/kube-proxy", links=IPTABLES_LINKS, packages=IPTABLES),
        ),
    ),
    "crictl": Recipe(
        "sigs.k8s.io/cri-tools", ("crictl",), stamps=(("sigs.k8s.io/cri-tools/pkg/version.Version", "v{version}"),)
    ),
    "flannel": Recipe(
        "github.com/flannel-io/flannel",
        ("flannel",),
        stamps=(("github.com/flannel-io/flannel/pkg/version.Version", "v{version}"),),
        cgo_tags=(),
        renamed={"flanneld": "flannel"},
    ),
    "coredns": Recipe(
        "github.com/coredns/coredns",
        image=Image("coredns", "/coredns", user="65532:65532", capabilities=NET_BIND_SERVICE),
    ),
    "metrics-server": Recipe(
        "sigs.k8s.io/metrics-server",
        image=Image("metrics-server", "/metrics-server", user="65534"),
        stamps=(("k8s.io/client-go/pkg/version.gitVersion", "v{version}"),),
    ),
    "docker": Recipe("github.com/moby/moby", ("docker",)),
    "pause": Recipe(
        "k8s.io/kubernetes",
        image=Image("pause", "/pause", user="65535:65535"),
        version="3.10.2",
        version_file="build/pause/Makefile",
        c_source="build/pause/linux/pause.c",
        directory="kubernetes-images",
    ),
    "agnhost": Recipe(
        "k8s.io/kubernetes",
        image=Image(
            "agnhost", "/agnhost", ("pause",), directories=("tmp", "uploads"), links=(("agnhost-2", "agnhost"),)
        ),
        version="2.63.0",
        version_file="test/images/agnhost/VERSION",
        directory="kubernetes-images",
    ),
}

# Components of the catalogue that are not built, because no set for them could be made: their modules are not to be had where this is developed.
NOT_BUILT = ("cri-dockerd", "calico", "headlamp")
# The component whose sets serve for other patch versions too, and that of the images of its binaries.
PATCHED = "kubernetes"
PODS = "kubernetes-pods"
# What is built unless something is named; the others cost time that only those who use them should spend.
DEFAULT = tuple(component for component in RECIPES if component not in ("metrics-server", "kubernetes-pods", "docker"))


# --- What is asked for ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One component in one version, and the directory that it is built from."""

    component: str
    version: str
    set_dir: Path
    recipe: Recipe
    # The set is of another patch version, and what it requires is taken from upstream's go.mod of this one.
    derived: bool = False

    def __str__(self) -> str:
        return f"{self.component} {self.version}"

    @property
    def debian(self) -> dict[str, Any] | None:
        """The packages that it comes from, if it does not come from Go modules."""
        return debian_sets.described(self.set_dir)


def version_key(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def set_directories(component: str, recipe: Recipe) -> list[Path]:
    if recipe.directory:
        return [SETS / recipe.directory]
    name = PATCHED if component == PODS else component
    found = sorted(path for path in SETS.iterdir() if re.fullmatch(re.escape(name) + r"(-\d[\d.]*)?", path.name))
    # kubeadm of the versions that come from Debian is older than its configuration here.
    return [path for path in found if not (component == PODS and debian_sets.described(path))]


def module_version(set_dir: Path, module: str) -> str:
    match = re.search(
        rf"^(?:require)?\s+{re.escape(module)} v([^\s+]+)", (set_dir / "go.mod").read_text(), re.MULTILINE
    )
    if not match:
        raise BuildError(
            f"{set_dir}/go.mod does not require {module}: the set and the recipe in {__file__} do not belong together"
        )
    return match.group(1)


def job_of(component: str, recipe: Recipe, set_dir: Path) -> Job:
    packages = debian_sets.described(set_dir)
    if packages:
        return Job(component, packages["version"], set_dir, replace(recipe, renamed={}))
    return Job(component, recipe.version or module_version(set_dir, recipe.module), set_dir, recipe)


def available() -> list[Job]:
    """All that can be built, the newest version of each component first."""
    jobs = [
        job_of(component, recipe, set_dir)
        for component, recipe in RECIPES.items()
        for set_dir in set_directories(component, recipe)
    ]
    order = list(RECIPES)
    return sorted(jobs, key=lambda job: (order.index(job.component), [-number for number in version_key(job.version)]))


def select(jobs: list[Job], wanted: Iterable[str]) -> list[Job]:
    """The jobs for `component` (newest version) or `component=version`; those of DEFAULT in their newest version if nothing is named."""
    chosen = []
    for request in list(wanted) or list(DEFAULT):
        component, _equals, version = request.partition("=")
        candidates = [job for job in jobs if job.component == component]
        if not candidates:
            raise BuildError(f"unknown component {component!r}; there are: {', '.join(RECIPES)}")
        matching = [job for job in candidates if version in ("", job.version)] or patch_versions(candidates, version)
        if not matching:
            patches = " (or another patch version of one that has a go.mod)" if component in (PATCHED, PODS) else ""
            raise BuildError(
                f"{component} {version} cannot be built: {SETS} has {component} in {', '.join(job.version for job in candidates)}. "
                f"Ask for one of these{patches}, or add a directory with the go.mod and go.sum of {version}"
            )
        chosen.append(matching[0])
    return chosen


def patch_versions(jobs: list[Job], version: str) -> list[Job]:
    """Another patch version of Kubernetes is built from the set of its minor version."""
    key = version_key(version)
    return [
        replace(job, version=version, derived=True)
        for job in jobs
        if job.component in (PATCHED, PODS)
        and not job.debian
        and len(key) == 3
        and key[:2] == version_key(job.version)[:2]
    ]


# --- The catalogue -------------------------------------------------------------------------------------------------------------------------


# As Ansible's: a field of that value is not there.
OMIT = "__omit__"


def render(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        rendered = {key: render(item, variables) for key, item in value.items()}
        return {key: item for key, item in rendered.items() if item != OMIT}
    if isinstance(value, str):
        return jinja2.Template(value, undefined=jinja2.StrictUndefined).render(variables)
    return value


def catalogue_entry(job: Job, kind: str, name: str, arch: str) -> dict[str, Any]:
    """The entry of an artifact (or image) for the version that is built."""
    return rendered_entry(kind, name, PATCHED if job.component == PODS else job.component, job.version, arch)


@functools.cache
def catalogue() -> dict[str, Any]:
    return yaml.safe_load(CATALOGUE.read_text())


def entries_of(component: str) -> list[tuple[str, str]]:
    """(kind, name) of a component's entries of the catalogue: its own, and those of its parts, `COMPONENT-PART` (or `COMPONENTctl`)."""
    parts = re.compile(rf"{re.escape(component)}(-.+|ctl)?")
    return [
        (kind, name)
        for kind in ("cluster_artifacts", "cluster_images")
        for name in catalogue()[kind]
        if parts.fullmatch(name)
    ]


def rendered_entry(kind: str, name: str, component: str, version: str, arch: str) -> dict[str, Any]:
    variable = f"cluster_{component.replace('-', '_')}_version"
    return render(catalogue()[kind][name], {**versions(), variable: version, "cluster_arch": arch, "omit": OMIT})


@functools.cache
def versions() -> dict[str, str]:
    """The role cluster's versions, for a component whose parts have more than one."""
    return {
        name: str(value) for name, value in yaml.safe_load(VERSIONS.read_text()).items() if name.endswith("_version")
    }


def mirror_path(url: str) -> str:
    return url.split("://", 1)[1]


# --- Telling how far it is -----------------------------------------------------------------------------------------------------------------


class Progress:
    """Lines with the time since the start; each is out at once, also into a pipe."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        print(f"[{minutes:3d}:{seconds:02d}] {text}", flush=True)


# --- The go command ------------------------------------------------------------------------------------------------------------------------


def stamps(job: Job) -> list[str]:
    """What the linker writes: `package.variable=value`."""
    major, minor = job.version.split(".")[:2]
    return [
        f"{name}={value.format(version=job.version, major=major, minor=minor)}" for name, value in job.recipe.stamps
    ]


def derived_go_mod(own: dict[str, Any], upstream: dict[str, Any], job: Job) -> str:
    """The go.mod of a set for another patch version, from the set's and upstream's (as `go mod edit -json` prints them).

    Kubernetes lists the modules that are published with it (its staging directory) at v0.0.0; they are at v0.MINOR.PATCH.
    """
    staging = [requirement["Path"] for requirement in upstream["Require"] if requirement["Version"] == "v0.0.0"]
    published = f"v0.{job.version.partition('.')[2]}"
    lines = [f"module {own['Module']['Path']}", f"go {upstream['Go']}"]
    lines += [f"godebug {setting['Key']}={setting['Value']}" for setting in upstream.get("GoDebug") or ()]
    lines += [f"tool {tool['Path']}" for tool in own["Tool"]]
    lines += [f"require {job.recipe.module} v{job.version}"]
    lines += [f"require {requirement['Path']} {requirement['Version']}" for requirement in upstream["Require"]]
    lines += [f"replace {path} => {path} {published}" for path in staging]
    return "\n".join(lines) + "\n"


class Go:
    """Runs the go command with the user's settings and the caches of this build."""

    def __init__(self, cache: Path, progress: Progress, arch: str = "") -> None:
        self.progress = progress
        self.env = dict(os.environ, GOWORK="off")
        self.env.setdefault("GOCACHE", str(cache / "go" / "build"))
        self.env.setdefault("GOMODCACHE", str(cache / "go" / "mod"))
        if shutil.which("go") is None:
            raise BuildError(
                "the go command is not in PATH: install Go (https://go.dev/dl/), at least the version that build/*/go.mod ask for"
            )
        self.host_arch = self.output(SETS, "env", "GOHOSTARCH")
        self.arch = self.env["GOARCH"] = arch or self.output(SETS, "env", "GOARCH")

    def output(self, directory: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["go", *arguments], cwd=directory, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            # With -json the go command tells on standard output what is wrong.
            raise BuildError(f"go {' '.join(arguments)} failed in {directory}:\n{(done.stderr + done.stdout).strip()}")
        return done.stdout.strip()

    def module_dir(self, set_dir: Path, module: str) -> Path:
        version = module_version(set_dir, module)
        cached = Path(self.env["GOMODCACHE"]) / f"{module}@v{version}"
        if not cached.is_dir():
            self.progress.say(f"fetching module {module} v{version}")
            self.output(set_dir, "mod", "download", "-modcacherw", module)
        return cached

    def check_version(self, job: Job) -> None:
        """An image must not be called other than its source calls itself."""
        path = self.module_dir(job.set_dir, job.recipe.module) / job.recipe.version_file
        if not re.search(rf"(^|\s){re.escape(job.version)}$", path.read_text(), re.MULTILINE):
            raise BuildError(
                f"{path} does not name {job.version}: bring the version of {job.component} in {__file__} up to its module"
            )

    def prefetch(self, jobs: list[Job]) -> None:
        """Download the modules of later jobs while earlier ones compile; what fails here fails again, and is told, in the build itself."""

        def run() -> None:
            for set_dir in dict.fromkeys(job.set_dir for job in jobs if not (job.derived or job.debian)):
                subprocess.run(
                    ["nice", "go", "list", "-mod=readonly", "-modcacherw", "-deps", "tool"],
                    cwd=set_dir,
                    env=self.env,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )

        threading.Thread(target=run, daemon=True).start()

    def build(self, job: Job, output: Path) -> None:
        """Compile (or take from a package) all commands of a set into the directory `output`."""
        with tempfile.TemporaryDirectory(dir=output) as scratch:
            if job.debian:
                self._build_packages(job, job.debian, Path(scratch), output)
            else:
                self._build_modules(job, self._derive(job, Path(scratch)) if job.derived else job.set_dir, output)

    def _build_modules(self, job: Job, directory: Path, output: Path) -> None:
        recipe = job.recipe
        linker = ["-s", "-w", *(f"-X {stamp}" for stamp in stamps(job))]
        # The linker drops the debugging data of a stripped binary; not to generate it at all saves a tenth of the time.
        arguments = ["-v", "-trimpath", "-buildvcs=false", "-mod=readonly", "-modcacherw", "-gcflags=all=-dwarf=false"]
        if recipe.cgo_tags is not None:
            linker += ["-linkmode external", "-extldflags -static"]
            arguments += [f"-tags={','.join(recipe.cgo_tags)}"]
        command = ["go", "build", *arguments, f"-ldflags={' '.join(linker)}", f"-o={output}/", "tool"]
        env = dict(self.env, CGO_ENABLED="0" if recipe.cgo_tags is None else "1")
        self._run_with_heartbeat(job, command, directory, env)

    def _derive(self, job: Job, scratch: Path) -> Path:
        """A set for another patch version; what its go.sum does not have, the go command checks against its checksum database."""
        self.progress.say(f"{job}: taking the requirements from upstream's go.mod")
        module = json.loads(
            self.output(scratch, "mod", "download", "-modcacherw", "-json", f"{job.recipe.module}@v{job.version}")
        )
        own, upstream = (
            json.loads(self.output(scratch, "mod", "edit", "-json", str(path)))
            for path in (job.set_dir / "go.mod", module["GoMod"])
        )
        directory = scratch / job.set_dir.name
        directory.mkdir()
        (directory / "go.mod").write_text(derived_go_mod(own, upstream, job))
        shutil.copyfile(job.set_dir / "go.sum", directory / "go.sum")
        self.output(directory, "mod", "tidy", "-modcacherw")
        return directory

    def _build_packages(self, job: Job, recipe: dict[str, Any], scratch: Path, output: Path) -> None:
        compiles = "source" in recipe
        self.progress.say(f"{job}: fetching Debian's packages")
        apt = debian_sets.Apt(scratch / "apt", self.host_arch if compiles else self.arch)
        if not compiles:
            debian_sets.take_binaries(recipe, apt, scratch, output)
            return

        def compile_and_tell(command: list[str], directory: Path, env: dict[str, str]) -> None:
            self._run_with_heartbeat(job, command, directory, env)

        tree = debian_sets.prepare(recipe, apt, scratch, self.env)
        debian_sets.generate_openapi(tree, scratch, compile_and_tell)
        debian_sets.compile_commands(tree, list(job.recipe.artifacts), stamps(job), output, compile_and_tell)

    @staticmethod
    @contextmanager
    def _started(command: list[str], directory: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """The process, which does not outlive this one's interest in it (an interrupt, or nobody left who reads the progress)."""
        with subprocess.Popen(command, cwd=directory, env=env, stderr=subprocess.PIPE) as process:
            try:
                yield process
            except BaseException:
                process.terminate()
                raise

    def _run_with_heartbeat(self, job: Job, command: list[str], directory: Path, env: dict[str, str]) -> None:
        compiled, tail, due = 0, deque(maxlen=30), time.monotonic() + HEARTBEAT
        with self._started(command, directory, env) as process, selectors.DefaultSelector() as selector:
            assert process.stderr is not None
            selector.register(process.stderr, selectors.EVENT_READ)
            pending, chunk = "", b"-"
            while chunk:
                if selector.select(timeout=1.0):
                    chunk = os.read(process.stderr.fileno(), 1 << 16)
                    *lines, pending = (pending + chunk.decode(errors="replace")).split("\n")
                    tail.extend(lines)
                    compiled += sum(1 for line in lines if re.fullmatch(r"[\w./~-]+", line))
                if time.monotonic() >= due:
                    self.progress.say(f"{job}: {compiled} packages compiled")
                    due += HEARTBEAT
        if process.returncode:
            report = "\n".join(line for line in tail if not re.fullmatch(r"[\w./~-]+|go: downloading .*", line))
            raise BuildError(f"{job}: go build failed in {directory} (exit status {process.returncode}):\n{report}")


def c_compiler() -> str:
    return os.environ.get("CC") or "gcc"


def compile_c(source: Path, version: str, output: Path) -> None:
    """As build/pause/Makefile of Kubernetes does it."""
    command = [c_compiler(), "-Os", "-Wall", "-static", "-s", f"-DVERSION=v{version}", "-o", str(output), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")


# --- Packing -------------------------------------------------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    yield temporary
    temporary.chmod(0o644)
    temporary.replace(path)


def tar_member(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, mode: int = 0o755, target: str = ""
) -> tarfile.TarInfo:
    """A member without time and owner, so that the same inputs give the same archive."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.mode, info.linkname = size, kind, mode, target
    return info


def add_file(archive: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> None:
    member.size = source.stat().st_size
    with source.open("rb") as stream:
        archive.addfile(member, stream)


def pack_artifact(entry: dict[str, Any], recipe: Recipe, binaries: Path, target: Path) -> None:
    built = {installed: binaries / recipe.renamed.get(installed, installed) for installed in entry["install"]}
    with replacing(target) as temporary:
        if not target.name.endswith((".tar.gz", ".tgz")):
            (source,) = built.values()
            shutil.copyfile(source, temporary)
            return
        # Level 1: these archives cross a local network once, and packing them well would cost more than it saves.
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for installed, member in entry["install"].items():
                add_file(archive, tar_member(member), built[installed])


def publish_checksum(entry: dict[str, Any], mirror: Path, digest: str) -> Path | None:
    """Write the sum in upstream's format: bare for Kubernetes and crictl, otherwise a line in a list for one or many files."""
    if not entry.get("checksum"):
        return None
    path, name = mirror / mirror_path(entry["checksum"]), Path(entry["url"]).name
    bare = entry["checksum"] == entry["url"] + ".sha256" and not name.endswith(".tgz")
    lines = [f"{digest}  {name}"]
    if not bare and path.exists():
        lines += [line for line in path.read_text().splitlines() if line.split()[1:] != [name]]
    with replacing(path) as temporary:
        temporary.write_text(
            f"{digest}\n" if bare else "\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n"
        )
    return path


def add_tree(archive: tarfile.TarFile, tree: Path) -> None:
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if NEEDLESS.match(name):
            continue
        if path.is_symlink():
            archive.addfile(tar_member(name, kind=tarfile.SYMTYPE, target=os.readlink(path)))
        elif path.is_file():
            add_file(archive, tar_member(name, mode=path.stat().st_mode & 0o777), path)


def image_layer(image: Image, binary: Path, layer: Path, tree: Path | None = None) -> None:
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as archive:
        if tree:
            add_tree(archive, tree)
        member = tar_member(image.entrypoint.lstrip("/"))
        if image.capabilities:
            member.pax_headers["SCHILY.xattr.security.capability"] = image.capabilities.decode("ascii")
        add_file(archive, member, binary)
        for directory in image.directories:
            archive.addfile(tar_member(directory, kind=tarfile.DIRTYPE, mode=0o1777))
        for link, destination in image.links:
            archive.addfile(tar_member(link, kind=tarfile.SYMTYPE, target=destination))


def pack_image(image: Image, reference: str, arch: str, binary: Path, target: Path, tree: Path | None = None) -> None:
    """A docker-archive: configuration, one layer, manifest (https://github.com/moby/docker-image-spec/blob/main/spec.md)."""
    layer = binary.with_name(f"{image.name}.layer.tar")
    image_layer(image, binary, layer, tree)
    layer_digest = sha256_of(layer)
    settings = {
        "Entrypoint": [image.entrypoint],
        "Cmd": list(image.command) or None,
        "User": image.user,
        "WorkingDir": "/",
    }
    config = json.dumps(
        {
            "architecture": arch,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {key: value for key, value in settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [
                {"created": "1970-01-01T00:00:00Z", "created_by": f"hardway.kubernetes: {reference} from source"}
            ],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps(
        [{"Config": config_name, "RepoTags": [reference], "Layers": [f"{layer_digest}/layer.tar"]}]
    ).encode()
    with replacing(target) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tar_member(config_name, len(config), mode=0o644), io.BytesIO(config))
        add_file(archive, tar_member(f"{layer_digest}/layer.tar", mode=0o644), layer)
        archive.addfile(tar_member("manifest.json", len(manifest), mode=0o644), io.BytesIO(manifest))


# --- One job -------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Builder:
    mirror: Path
    work: Path
    go: Go
    arch: str
    progress: Progress

    def pending(self, jobs: list[Job]) -> list[Job]:
        """The jobs whose results are not there, whole, from the same inputs."""
        pending = []
        for job in jobs:
            kept = self.intact(job)
            if kept:
                self.progress.say(f"{job}: complete and verified, kept ({kept} files)")
            else:
                pending.append(job)
        return pending

    def run(self, job: Job) -> None:
        started = time.monotonic()
        self.progress.say(f"{job}: building from {job.set_dir.name}")
        with tempfile.TemporaryDirectory(prefix=f"{job.component}-", dir=self.work) as scratch:
            files = self.build(job, Path(scratch))
            self.record(job, files)
        self.progress.say(f"{job}: done in {time.monotonic() - started:.0f} s")

    def build(self, job: Job, scratch: Path) -> list[Path]:
        recipe = job.recipe
        if isinstance(recipe, Packed):
            return self.pack_pods(job, recipe, scratch)
        if recipe.version_file:
            self.go.check_version(job)
        if recipe.c_source:
            compile_c(
                self.go.module_dir(job.set_dir, recipe.module) / recipe.c_source, job.version, scratch / job.component
            )
        else:
            self.go.build(job, scratch)
        files = []
        for name in recipe.artifacts:
            entry = catalogue_entry(job, "cluster_artifacts", name, self.arch)
            target = self.mirror / mirror_path(entry["url"])
            pack_artifact(entry, recipe, scratch, target)
            files += [target, publish_checksum(entry, self.mirror, sha256_of(target))]
        if recipe.image:
            files += self.pack_image(job, recipe.image, scratch / job.component)
        return [path for path in files if path]

    def pack_image(self, job: Job, image: Image, binary: Path, tree: Path | None = None) -> list[Path]:
        entry = catalogue_entry(job, "cluster_images", image.name, self.arch)
        target, checksum = self.mirror / entry["url"], self.mirror / entry["checksum"]
        pack_image(image, entry["ref"], self.arch, binary, target, tree)
        with replacing(checksum) as temporary:
            temporary.write_text(f"{sha256_of(target)}  {target.name}\n")
        return [target, checksum]

    def pack_pods(self, job: Job, recipe: Packed, scratch: Path) -> list[Path]:
        files = []
        for image in recipe.images:
            tree = None
            if isinstance(image, PodImage):
                self.progress.say(f"{job}: fetching Debian's packages for {image.name}")
                tree, apt = scratch / "tree", debian_sets.Apt(scratch / "apt", self.arch)
                for package, version in image.packages:
                    apt.unpack(package, version, tree)
            binary = scratch / image.name
            shutil.copyfile(self.packed_binary(job, image), binary)
            files += self.pack_image(job, image, binary, tree)
        return files

    def packed_binary(self, job: Job, image: Image) -> Path:
        path = self.mirror / mirror_path(catalogue_entry(job, "cluster_artifacts", image.name, self.arch)["url"])
        if not path.is_file():
            raise BuildError(
                f"{path} is not there, of which {job} makes an image: ask for {PATCHED}={job.version}, too, before it"
            )
        return path

    def inputs(self, job: Job) -> str:
        """A digest of everything that decides what comes out, but for the versions of the compilers: another patch release of Go
        alone must not change the sums that clusters have locked."""
        entries = [catalogue_entry(job, "cluster_artifacts", name, self.arch) for name in job.recipe.artifacts]
        if job.recipe.image:
            entries.append(catalogue_entry(job, "cluster_images", job.recipe.image.name, self.arch))
        if isinstance(job.recipe, Packed):
            entries += [catalogue_entry(job, "cluster_images", image.name, self.arch) for image in job.recipe.images]
            entries += [{image.name: sha256_of(self.packed_binary(job, image))} for image in job.recipe.images]
        described = json.dumps([job.version, self.arch, asdict(job.recipe), entries], sort_keys=True, default=repr)
        digest = hashlib.sha256(described.encode())
        for name in (debian_sets.RECIPE,) if job.debian else ("go.mod", "go.sum"):
            digest.update((job.set_dir / name).read_bytes())
        return digest.hexdigest()

    def record_path(self, job: Job) -> Path:
        return self.mirror / ".built" / f"{job.component}-{job.version}-{self.arch}.json"

    def record(self, job: Job, files: list[Path]) -> None:
        sums = {str(path.relative_to(self.mirror)): sha256_of(path) for path in files}
        with replacing(self.record_path(job)) as temporary:
            temporary.write_text(json.dumps({"inputs": self.inputs(job), "files": sums}, indent=2) + "\n")

    def intact(self, job: Job) -> int:
        """How many files of the job are there, as they were written; 0 if it has to be built (again)."""
        try:
            record = json.loads(self.record_path(job).read_text())
        except (FileNotFoundError, ValueError):
            return 0
        if record.get("inputs") != self.inputs(job):
            self.progress.say(f"{job}: its inputs have changed since it was built")
            return 0
        for name, digest in record["files"].items():
            path = self.mirror / name
            if not path.exists() or sha256_of(path) != digest:
                self.progress.say(f"{job}: {path} is {'damaged' if path.exists() else 'missing'}, building it again")
                return 0
        return len(record["files"])


# --- The command ---------------------------------------------------------------------------------------------------------------------------


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HARDWAY_CACHE") or f"{base}/hardway").expanduser()


def without_not_built(requests: list[str], mirror: Path, arch: str, progress: Progress) -> list[str]:
    """The requests that are for this build; what it cannot make has to be in the mirror already."""
    problems = []
    for request in requests:
        component, _equals, version = request.partition("=")
        missing = []
        for kind, name in entries_of(component) if component in NOT_BUILT else ():
            image = kind == "cluster_images"
            entry = rendered_entry(kind, name, component, version or "VERSION", arch)
            path = mirror / (entry["url"] if image else mirror_path(entry["url"]))
            if not path.is_file():
                missing.append(
                    (f"copy {entry['ref']} as a docker-archive" if image else f"download {entry['url']}")
                    + f" to {path}"
                )
        if missing:
            problems.append(
                f"{component} {version or 'VERSION'} is not built from source: {'; '.join(missing)}, or leave {component} out"
            )
        elif component in NOT_BUILT:
            progress.say(f"{component} {version}: is in the mirror as it was put there, kept")
    if problems:
        raise BuildError("\n".join(problems))
    return [request for request in requests if request.partition("=")[0] not in NOT_BUILT]


def check_tools(jobs: list[Job], cache: Path, go: Go) -> None:
    """All that is missing, at once, before anything is built."""
    problems = []
    if any(job.recipe.c_source or job.recipe.cgo_tags is not None for job in jobs):
        if go.arch != go.host_arch and not os.environ.get("CC"):
            problems.append(
                f"runc, flannel and pause need a C compiler for {go.arch}: name it in the environment (CC), or build on such a machine"
            )
        elif shutil.which(c_compiler()) is None:
            problems.append(f"{c_compiler()} is not in PATH (Debian: apt-get install gcc libc6-dev)")
        if shutil.which("pkg-config") is None:
            problems.append("pkg-config is not in PATH (Debian: apt-get install pkg-config)")
        elif subprocess.run(["pkg-config", "--exists", "libseccomp"], check=False).returncode:
            problems.append("libseccomp's development files are missing (Debian: apt-get install libseccomp-dev)")
    recipes = [job.debian or {} for job in jobs if job.debian or job.component == PODS]
    tools = dict.fromkeys(tool for recipe in recipes for tool in debian_sets.missing_tools(recipe))
    if tools:
        problems.append(
            f"{', '.join(tools)}: not in PATH; a version that comes from Debian's packages needs them (Debian: apt-get install apt dpkg-dev)"
        )
    free = shutil.disk_usage(cache).free
    if free < SPACE_NEEDED:
        problems.append(
            f"{cache} has {free / 2**30:.1f} GiB free, a build takes up to {SPACE_NEEDED / 2**30:.0f} GiB: set HARDWAY_CACHE to a larger place"
        )
    if jobs and problems:
        raise BuildError("cannot build:\n" + "\n".join(f"- {problem}" for problem in problems))


@contextmanager
def locked(cache: Path, progress: Progress) -> Iterator[None]:
    """Only one build at a time writes into a cache."""
    with (cache / ".build.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another build works in {cache}, waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fill a mirror by building the artifacts of a cluster from source.")
    default = f"{', '.join(DEFAULT)}, each in its newest version"
    parser.add_argument(
        "components", nargs="*", metavar="COMPONENT[=VERSION]", help=f"what to build (default: {default})"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        help="caches of the build (default: $HARDWAY_CACHE or ~/.cache/hardway)",
    )
    parser.add_argument("--mirror", type=Path, help="the mirror to fill (default: `mirror` in the cache)")
    parser.add_argument(
        "--arch", default="", help="architecture to build for, as Go calls it (default: `go env GOARCH`)"
    )
    parser.add_argument("--check", action="store_true", help="say what would be built, and stop")
    parser.add_argument("--list", action="store_true", help="list what can be built, and stop")
    return parser.parse_args()


def main() -> None:
    arguments, progress = parse_arguments(), Progress()
    cache = arguments.cache.expanduser().resolve()
    mirror = (arguments.mirror or cache / "mirror").expanduser().resolve()
    for directory in (cache, mirror):
        directory.mkdir(parents=True, exist_ok=True)
    jobs = available()
    if arguments.list:
        print("\n".join(f"{job.component}={job.version}" for job in jobs))
        return
    go = Go(cache, progress, arguments.arch)
    requests = without_not_built(arguments.components, mirror, go.arch, progress)
    chosen = select(jobs, requests) if requests or not arguments.components else []
    with locked(cache, progress):
        work = cache / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        builder = Builder(mirror, work, go, go.arch, progress)
        pending = builder.pending(chosen)
        check_tools(pending, cache, go)
        if arguments.check:
            for job in pending:
                progress.say(f"{job}: would be built from {job.set_dir.name}")
            return
        go.prefetch(pending[1:])
        for job in pending:
            builder.run(job)
    progress.say(f"the mirror {mirror} is complete: {', '.join(map(str, chosen))}")


def interrupted(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Also where the shell that started this has both ignored: the go command must not stay behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        main()
    except (BuildError, debian_sets.DebianError) as error:
        sys.exit(f"build.py: {error}")
    except KeyboardInterrupt:
        sys.exit("build.py: interrupted; run it again to go on where it stopped")
