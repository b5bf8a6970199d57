"""The base image: a Debian tree that all machines share as the lower layer of their roots."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import settings
from .commands import run
from .errors import SandboxError
from .progress import Progress

SUITE = "bookworm"
MIRROR_VARIABLE = "HARDWAY_DEBIAN_MIRROR"
PACKAGES = (
    # A plain server as an administrator finds it: systemd, ssh, Python for Ansible, networking.
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "ca-certificates",
    "curl",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "procps",
    "vim-tiny",
    # What Kubernetes wants of a node.
    "conntrack",
    "ethtool",
    "ipset",
    "iptables",
    "nftables",
    "socat",
    # What roles install, so that they can without a network.
    "docker.io",
    "haproxy",
    "keepalived",
    "libnginx-mod-stream",
    "nginx-light",
    "runc",
)
# A package that is only there to be installed by a role must not run before one did.
DISABLED = ("containerd", "docker.service", "docker.socket", "haproxy", "keepalived", "nginx")
# There is no udev in a machine, no hardware to keep, and no network to upgrade from.
MASKED = (
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-udevd.service",
    "systemd-pstore.service",
    "e2scrub_reap.service",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "getty@tty1.service",
    "getty.target",
)
UNUSED = ("doc", "info", "locale", "man")


def path() -> Path:
    """Return where the image of the present recipe is, or will be."""
    return settings.cache() / "image" / _digest()


def exists() -> bool:
    return path().is_dir()


def ensure(progress: Progress) -> Path:
    """Return the image's tree, building it first if there is none of this recipe."""
    with _building_alone(progress):
        if exists():
            progress.say(f"image: {path()} is there")
        else:
            _build(progress)
            _remove_others()
    return path()


def _build(progress: Progress) -> None:
    sources = debian_sources()
    # Renamed when whole: a directory with the image's name is always a complete one.
    half_made = path().with_name(f".{path().name}.new")
    _remove_half_made()
    progress.say("image: building a Debian tree (about a minute)")
    try:
        _bootstrap(half_made, sources)
        progress.say("image: setting it up")
        _set_up(half_made)
        half_made.rename(path())
    finally:
        _remove_half_made()
    progress.say(f"image: {path()} is built")


def _bootstrap(tree: Path, sources: list[str]) -> None:
    log = tree.with_name("build.log")
    # If this command dies, so does mmdebstrap, and its mounts go with their namespace.
    contained = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL")
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [
                *contained,
                "mmdebstrap",
                "--mode=root",
                "--variant=minbase",
                "--format=directory",
                f"--include={','.join(PACKAGES)}",
                f"--aptopt={_apt_options(tree)}",
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNUSED),
                SUITE,
                str(tree),
                *sources,
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
        raise SandboxError(f"mmdebstrap failed with status {done.returncode}; see {log}, which ends with:\n{tail}")
    log.unlink()


def _set_up(tree: Path) -> None:
    shutil.copytree(settings.IMAGE_FILES, tree, dirs_exist_ok=True)
    for name in (
        *tree.glob("etc/ssh/ssh_host_*"),
        tree / "etc/machine-id",
        tree / "var/lib/dbus/machine-id",
        tree / "etc/resolv.conf",
    ):
        name.unlink(missing_ok=True)
    run("chroot", tree, "systemctl", "--quiet", "disable", *DISABLED)
    run("chroot", tree, "systemctl", "--quiet", "mask", *MASKED)
    run("chroot", tree, "systemctl", "--quiet", "enable", "sandbox-machine.service")


def debian_sources() -> list[str]:
    """Return the image's apt sources: the mirror that the host's own apt uses, or that the environment names."""
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return [f"deb {named} {SUITE} main"]
    targets = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Identifier: Packages"
    ).stdout
    found = [line.split("|") for line in dict.fromkeys(targets.splitlines())]
    suites = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    sources = [
        f"deb {uri} {release} {component}"
        for uri, release, component in found
        if release in suites and component == "main"
    ]
    if not any(f" {SUITE} main" in source for source in sources):
        raise SandboxError(
            f"The apt configuration of this computer has no source of Debian {SUITE}, which the machines run. "
            f"Name a mirror's address in the environment: {MIRROR_VARIABLE}=http://... sandbox/machines.py image"
        )
    return sources


def _apt_options(tree: Path) -> Path:
    """Write the host's own settings of how to download, such as a proxy, for the apt that builds the image."""
    lines = run("apt-config", "dump", "Acquire").stdout.splitlines()
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    options = tree.with_name(f"{tree.name}.apt")
    options.write_text("".join(f"{line}\n" for line in lines if line.startswith(wanted)), encoding="utf-8")
    return options


def _remove_half_made() -> None:
    for rest in path().parent.glob(".*"):
        if rest.is_dir():
            shutil.rmtree(rest, ignore_errors=True)
        else:
            rest.unlink()


def _remove_others() -> None:
    """Remove the images of earlier recipes that no machine's disk stands on."""
    used = {link.resolve() for link in settings.STATE.glob("*/image")} | {path()}
    for tree in path().parent.iterdir():
        if tree.is_dir() and tree.resolve() not in used:
            shutil.rmtree(tree, ignore_errors=True)


def _digest() -> str:
    """Return a name for the recipe: it changes when anything does that the image is made of."""
    digest = hashlib.sha256(json.dumps([SUITE, PACKAGES, DISABLED, MASKED, UNUSED]).encode())
    for file in sorted(settings.IMAGE_FILES.rglob("*")):
        if file.is_file():
            digest.update(
                f"{file.relative_to(settings.IMAGE_FILES)} {file.stat().st_mode & 0o777:o}\n".encode()
                + file.read_bytes()
            )
    return f"{SUITE}-{digest.hexdigest()[:16]}"


@contextmanager
def _building_alone(progress: Progress) -> Iterator[None]:
    directory = path().parent
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("image: waiting for another command that builds it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
