# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drills of backups share: Secrets that prove what was restored, archives, and tidying up."""

from __future__ import annotations

import base64
import pathlib
import shutil

from . import cluster, expectations, playbooks, sandbox
from .checks import Kind, require
from .playbooks import Run

SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: NAME, namespace: default}, stringData: {word: NAME}}"
#: Of a restore, with the machines that it has to fill (the goal of the project).
MOST_RESTORE_SECONDS = 300


def write_secret(name: str) -> None:
    cluster.kubectl("apply", "--filename=-", text=SECRET.replace("NAME", name))


def secrets() -> set[str]:
    """The Secrets of these drills that are there and can be decrypted."""
    names = {
        item["metadata"]["name"]: base64.b64decode(item["data"]["word"]).decode()
        for item in cluster.objects("secrets", "--namespace=default")
        if item["metadata"]["name"].startswith("hardway-")
    }
    require(all(name == word for name, word in names.items()), f"a Secret reads otherwise than it was written: {names}")
    return set(names)


def require_secrets(wanted: set[str], when: str = "") -> None:
    found = secrets()
    require(found == wanted, f"{when + ': ' if when else ''}there are {found}, and {wanted} are wanted")


def delete_secrets() -> None:
    names = sorted(secrets() or {"hardway-none"})
    cluster.kubectl("delete", "secret", "--namespace=default", "--ignore-not-found", *names)


def make_archive(*arguments: str) -> tuple[Run, pathlib.Path]:
    """A run of the backup, and the archive that it made."""
    run = playbooks.run("backup", *arguments).require_success().require_changed(1, "for the archive alone")
    found = expectations.ARCHIVE_MADE.found(run.output)
    require(found, f"no archive is named:\n{run.end}", Kind.OUTPUT)
    assert found
    archive = pathlib.Path(found[1])
    require(
        archive.stat().st_mode & 0o777 == 0o600 and archive.parent.stat().st_mode & 0o777 == 0o700,
        f"{archive} can be read by others",
    )
    for machine in sandbox.MASTERS:
        left = sandbox.ssh(machine, "ls /var/lib/hardway/*.db 2>/dev/null", check=False)
        require(not left, f"{machine}: the backup left {left}")
    return run, archive


def of_archive(archive: pathlib.Path) -> list[str]:
    """The arguments that name an archive to restore."""
    return ["-e", f"restore_archive={archive}"]


def restore(archive: pathlib.Path, *arguments: str, overlays: tuple[str, ...] = ()) -> Run:
    return playbooks.run("restore", *of_archive(archive), "-e", "restore_confirm=yes", *arguments, overlays=overlays)


def restore_etcd(*arguments: str) -> Run:
    return playbooks.run("restore_etcd", "-e", "restore_confirm=yes", *arguments)


def damaged_copy(archive: pathlib.Path, directory: str) -> pathlib.Path:
    """A copy with one byte changed."""
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    copy = pathlib.Path(directory) / archive.name
    copy.write_bytes(content)
    return copy


def copy_aside(archive: pathlib.Path, directory: str) -> pathlib.Path:
    """A copy where reset_all() does not remove it."""
    return pathlib.Path(shutil.copy2(archive, directory))


def remove_kept_data() -> None:
    """Remove what restores kept: former directories of the cluster, and former data of the members."""
    for path in cluster.DIRECTORY.parent.glob(f"{cluster.DIRECTORY.name}.before-*"):
        shutil.rmtree(path)
    for machine in sandbox.MASTERS:
        sandbox.ssh(machine, "rm -rf /var/lib/etcd/member.before-*")
