"""The computer that the sandbox runs on: what it must have, and what is set on it while machines run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from . import image, network, settings
from .commands import run
from .errors import SandboxError
from .progress import Progress

# The command by which to tell that a Debian package is installed.
PACKAGES = {
    "iproute2": "ip",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "openssh-client": "ssh-keygen",
    "systemd-container": "systemd-nspawn",
    "util-linux": "unshare",
}
# What building the artifacts needs besides Go: a command, or a file.
BUILD_PACKAGES = {
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "libseccomp-dev": "/usr/include/seccomp.h",
    "pkg-config": "pkg-config",
}
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
SAVED_INOTIFY = settings.STATE / "max_user_instances"


def require_root() -> None:
    if os.geteuid() != 0:
        raise SandboxError(
            "Machines are made of namespaces, mounts and links, which only root may make: run this command as root (sudo)"
        )


def install_packages(progress: Progress) -> None:
    """Install the host's packages that are missing."""
    missing = _missing(PACKAGES) + _missing(BUILD_PACKAGES)
    if not missing:
        progress.say("host: all packages are installed")
        return
    if not shutil.which("apt-get"):
        raise SandboxError(f"This computer has no apt-get. Install these by hand, then try again: {', '.join(missing)}")
    progress.say(f"host: installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", env=environment)
    run("apt-get", "install", "--yes", "--no-install-recommends", *missing, env=environment)


def check(booting: int) -> None:
    """Refuse a computer on which so many more machines cannot run, naming all that is missing at once."""
    require_root()
    problems = [problem for look in CHECKS for problem in look(booting)]
    if problems:
        raise SandboxError("The sandbox cannot run here:\n" + "\n".join(f"- {problem}" for problem in problems))


def allow_inotify() -> None:
    """Let several kubelets watch files: each needs dozens of the computer's inotify instances (128 by default)."""
    current = INOTIFY.read_text(encoding="ascii").strip()
    if int(current) < settings.INOTIFY_INSTANCES:
        settings.STATE.mkdir(parents=True, exist_ok=True)
        if not SAVED_INOTIFY.exists():
            SAVED_INOTIFY.write_text(current, encoding="ascii")
        INOTIFY.write_text(str(settings.INOTIFY_INSTANCES), encoding="ascii")


def restore_inotify() -> None:
    """Give back what was set before the first machine came up."""
    if SAVED_INOTIFY.exists():
        INOTIFY.write_text(SAVED_INOTIFY.read_text(encoding="ascii"), encoding="ascii")
        SAVED_INOTIFY.unlink()


def _missing(packages: dict[str, str]) -> list[str]:
    return [
        package
        for package, sign in packages.items()
        if not (Path(sign).exists() if sign.startswith("/") else shutil.which(sign))
    ]


def _check_packages(_booting: int) -> Iterator[str]:
    missing = _missing(PACKAGES)
    if missing:
        yield f"packages are not installed: {', '.join(missing)}. Run: sandbox/machines.py setup"


def _check_space(booting: int) -> Iterator[str]:
    needs: dict[int, tuple[Path, int]] = {}
    wanted = [(settings.STATE, booting * settings.MACHINE_SPACE)]
    if not image.exists():
        wanted.append((settings.cache(), settings.IMAGE_SPACE))
    for path, size in wanted:
        there = _existing(path)
        device = there.stat().st_dev
        _path, before = needs.get(device, (there, 0))
        needs[device] = (there, before + size)
    for there, size in needs.values():
        free = shutil.disk_usage(there).free
        if free < size:
            yield (
                f"{free / settings.GIB:.1f} GiB are free at {there}, and {size / settings.GIB:.1f} GiB are needed. "
                f"Make room, or boot fewer machines, or let HARDWAY_CACHE name a directory on another disk (now {settings.cache()})"
            )


def _check_memory(booting: int) -> Iterator[str]:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
    needed = booting * settings.MACHINE_MEMORY
    if available < needed:
        yield (
            f"{available / settings.GIB:.1f} GiB of memory are available, and {booting} machines need {needed / settings.GIB:.1f} GiB. "
            "End other programs, or name fewer machines: sandbox/machines.py up NAME..."
        )


def _check_addresses(_booting: int) -> Iterator[str]:
    if shutil.which("ip"):
        for conflict in network.conflicts():
            yield (
                f"the address range {settings.HOST.network} is in use: {conflict}. "
                "Take that down while the sandbox runs (it may be a VPN or another bridge)"
            )


def _check_kernel(_booting: int) -> Iterator[str]:
    if shutil.which("modprobe"):
        run("modprobe", "--all", "--quiet", "overlay", "veth", "bridge", check=False)
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii").split():
        yield "the kernel knows no overlay file system (CONFIG_OVERLAY_FS). Use a kernel that does, such as Debian's own"
    if network.bridge_exists() or not shutil.which("ip"):
        return
    for kind, arguments in (("bridge", ()), ("veth", ("peer", "name", "hardway-probe1"))):
        probe = run("ip", "link", "add", "name", "hardway-probe0", "type", kind, *arguments, check=False)
        run("ip", "link", "delete", "hardway-probe0", check=False)
        if probe.returncode != 0:
            yield (
                f"the kernel makes no network interface of type {kind}: {probe.stderr.strip()}. "
                "Use a kernel that does, such as Debian's own; in a container, give it all privileges"
            )


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


CHECKS: tuple[Callable[[int], Iterator[str]], ...] = (
    _check_packages,
    _check_space,
    _check_memory,
    _check_addresses,
    _check_kernel,
)
