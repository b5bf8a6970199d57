"""A machine's disk: a layer of its own over the image, as a reinstalled machine has it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import settings, units
from .commands import run
from .inventory import Machine

# Container runtimes keep overlays of their own here, which cannot lie on an overlay: this part of a disk is a plain directory.
PLAIN = "/var/lib"
CLEARING = "clearing"


def directory(name: str) -> Path:
    return settings.STATE / name


def exists(name: str) -> bool:
    return directory(name).is_dir()


def names() -> list[str]:
    """Return the names of all machines that have a disk."""
    return sorted(path.parent.name for path in settings.STATE.glob("[!.]*/image"))


def make(machine: Machine, image: Path, machines: Iterable[Machine]) -> None:
    """Make a fresh disk, with a host key and a machine id of its own."""
    half_made = settings.STATE / f".{machine.name}.new"
    shutil.rmtree(half_made, ignore_errors=True)
    for part in ("layer", "work", "root"):
        (half_made / part).mkdir(parents=True)
    (half_made / "image").symlink_to(image)
    # All of it rather than a directory for each runtime: those would be mount points, which no role can remove or rename.
    run("cp", "--archive", f"{image}{PLAIN}", half_made / "plain")
    _personalize(half_made / "layer", machine, machines)
    half_made.rename(directory(machine.name))


def discard(name: str) -> None:
    """Put a disk aside, at once; clear() deletes it."""
    if exists(name):
        directory(name).rename(settings.STATE / f".{name}.{secrets.token_hex(4)}.old")


def clear() -> None:
    """Begin to delete the disks that were put aside: thousands of files, for which nobody has to wait."""
    unit = units.unit(CLEARING)
    aside = [str(path) for path in settings.STATE.glob(".*.old")]
    if aside and not unit.pids():
        unit.kill()
        unit.start(["nice", "rm", "--recursive", "--force", "--", *aside], Path(os.devnull), {})


def clear_half_made() -> None:
    """Delete the disks that a killed command was making."""
    for path in settings.STATE.glob(".*.new"):
        shutil.rmtree(path, ignore_errors=True)


def stop_clearing() -> None:
    units.unit(CLEARING).kill()


def mount_options(name: str) -> str:
    """Return the options that mount(8) needs to join the machine's layers."""
    disk = directory(name)
    return f"lowerdir={disk}/image,upperdir={disk}/layer,workdir={disk}/work"


def _personalize(layer: Path, machine: Machine, machines: Iterable[Machine]) -> None:
    known = "".join(f"{other.address} {other.name}\n" for other in machines)
    _write(layer / "etc/hostname", f"{machine.name}\n")
    _write(layer / "etc/hosts", f"127.0.0.1 localhost\n{known}")
    _write(layer / "etc/machine-id", f"{secrets.token_hex(16)}\n", mode=0o444)
    # No name server answers there, but the host refuses at once, where without an address programs wait or fail to start.
    _write(layer / "etc/resolv.conf", f"nameserver {settings.HOST.ip}\n")
    _write(
        layer / "etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\nauto host0\niface host0 inet static\n"
        f"    address {machine.address}/{settings.HOST.network.prefixlen}\n    gateway {settings.HOST.ip}\n",
    )
    (layer / "root/.ssh").mkdir(mode=0o700, parents=True)
    (layer / "root").chmod(0o700)
    _write(
        layer / "root/.ssh/authorized_keys",
        settings.SSH_KEY.with_suffix(".pub").read_text(encoding="ascii"),
        mode=0o600,
    )
    (layer / "etc/ssh").mkdir()
    run(
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        f"root@{machine.name}",
        "-f",
        layer / "etc/ssh/ssh_host_ed25519_key",
    )


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(mode)
