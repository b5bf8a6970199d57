# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of a member that does not run, when the cluster is lost: of its database and its write-ahead log."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.commands import seconds_for
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import wal
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd, Tls
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.cluster import EtcdError
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.data_directory import (
    MEMBER,
    WAL_SPACE,
    check_space,
    in_use,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.snapshot import Commands, Snapshot, cause_of, take

# prctl(2): the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Survivor:
    """The data of a member that does not run, and the paths of its certificates, for those who read them meanwhile."""

    data_dir: str
    name: str
    ca: str
    certificate: str
    key: str


def salvage(commands: Commands, survivor: Survivor, path: str, tls: Tls) -> tuple[Snapshot, wal.End]:
    """Take a snapshot of data whose member does not run: all that this member had. Raises EtcdError.

    The database alone would lack what is in the write-ahead log only. So a copy of both is opened by an etcd of one member on the loopback
    address, with the member's own certificates (--force-new-cluster). The data themselves are only read.
    """
    member = os.path.join(survivor.data_dir, MEMBER)
    if not os.path.isdir(member):
        raise EtcdError(f"{survivor.data_dir} has no data of a member. Fix: name the data directory of a member")
    if in_use(os.path.join(member, "snap", "db")):
        raise EtcdError(
            f"an etcd runs on {survivor.data_dir}. Fix: stop it first, or take a snapshot of it (consistent: false)"
        )
    directory, name = os.path.split(os.path.abspath(path))
    size = sum(
        os.stat(os.path.join(place, name)).st_size for place, _directories, found in os.walk(member) for name in found
    )
    check_space(directory, 2 * size + WAL_SPACE)
    with files.temporary_directory(os.path.join(directory, f"{name}.salvage")) as scratch:
        for part in ("snap", "wal"):
            if os.path.isdir(os.path.join(member, part)):
                shutil.copytree(os.path.join(member, part), os.path.join(scratch, MEMBER, part))
        end = wal.commit_all(os.path.join(scratch, MEMBER, "wal"))
        client_port, peer_port = _free_ports(2)
        client = Etcd([f"https://127.0.0.1:{client_port}"], tls)
        process = _open_alone(commands, survivor, scratch, client_port, peer_port)
        try:
            _wait_until_read(client, process, scratch, seconds_for(size))
            options = [f"--cacert={survivor.ca}", f"--cert={survivor.certificate}", f"--key={survivor.key}"]
            return take(commands, client, options, os.path.join(directory, name), consistent=True), end
        finally:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    holders = [socket.socket() for _number in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def _open_alone(
    commands: Commands, survivor: Survivor, data_dir: str, client_port: int, peer_port: int
) -> subprocess.Popen[bytes]:
    client_url, peer_url = f"https://127.0.0.1:{client_port}", f"https://127.0.0.1:{peer_port}"
    words = [
        os.path.join(commands.bin_dir, "etcd"), "--force-new-cluster", f"--name={survivor.name}", f"--data-dir={data_dir}", "--log-level=warn",
        f"--listen-client-urls={client_url}", f"--advertise-client-urls={client_url}", "--client-cert-auth",
        f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}", "--peer-client-cert-auth",
        f"--initial-cluster={survivor.name}={peer_url}",
    ]  # fmt: skip
    for prefix in ("", "peer-"):
        words += [
            f"--{prefix}trusted-ca-file={survivor.ca}",
            f"--{prefix}cert-file={survivor.certificate}",
            f"--{prefix}key-file={survivor.key}",
        ]
    try:
        with open(os.path.join(data_dir, "log"), "wb") as log:
            return subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_end_with(os.getpid())
            )
    except OSError as error:
        raise EtcdError(
            f"{words[0]}: {error.strerror}. Fix: install etcd on this host, or name the directory of its commands (bin_dir)"
        ) from error


def _end_with(parent: int) -> Callable[[], None]:
    """A run that is killed does not leave its etcd behind, whose data the next run replaces under it."""
    library = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _wait_until_read(client: Etcd, process: subprocess.Popen[bytes], data_dir: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            with open(os.path.join(data_dir, "log"), encoding="utf-8", errors="replace") as log:
                raise EtcdError(
                    f"the data in {data_dir} are damaged, or of another version of etcd: {cause_of(log.read())}. "
                    "Fix: use another member's data, or install the version of etcd that wrote these"
                )
        try:
            client.read_index(client.endpoints[0])
            return
        except EtcdError as error:
            if time.monotonic() >= deadline:
                raise EtcdError(
                    f"the data in {data_dir} were not read within {timeout:g} s: {error}. "
                    "Fix: see why the disk (dmesg) does not go on, or use another member's data"
                ) from error
        time.sleep(0.1)
