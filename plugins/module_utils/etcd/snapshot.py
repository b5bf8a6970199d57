# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Snapshots of etcd: taken from a member, proved whole, and made into the data directory of a member of a new cluster.

etcd's own commands do the work (etcdctl, etcdutl). What is here makes it atomic, and proves the result.
Source: https://etcd.io/docs/v3.6/op-guide/recovery/
"""

from __future__ import annotations

import dataclasses
import fcntl
import grp
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import wal as etcd_wal
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.client import Etcd, EtcdError, Tls

CHUNK = 1024 * 1024
# A member appends the SHA-256 of a snapshot to it; the database itself is made of pages, so a remainder tells that it is there.
HASH_SIZE = 32
PAGE_DIVISOR = 512
# Beside the database, two preallocated segments of the write-ahead log.
WAL_SPACE = 2 * 64 * 1024**2
MEMBER = "member"
RECORD = "hardway-restored.json"
Run = t.Callable[[t.List[str]], t.Tuple[int, str, str]]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot that was proved whole. *hash* is etcd's own, of keys and values; *sha256* that of the file."""

    path: str
    size: int
    sha256: str
    hash: str
    revision: int
    total_keys: int
    version: str

    def report(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Commands:
    """etcd's commands on this host. *run* is AnsibleModule.run_command, or like it."""

    run: Run
    bin_dir: str

    def etcdctl(self, words: t.Sequence[str]) -> str:
        return self._run("etcdctl", words)

    def etcdutl(self, words: t.Sequence[str]) -> str:
        """etcd 3.4 has no etcdutl yet; its etcdctl knows the same words."""
        alone = not os.path.exists(os.path.join(self.bin_dir, "etcdutl")) and os.path.exists(
            os.path.join(self.bin_dir, "etcdctl")
        )
        return self._run("etcdctl" if alone else "etcdutl", words)

    def _run(self, name: str, words: t.Sequence[str]) -> str:
        command = os.path.join(self.bin_dir, name)
        if not os.access(command, os.X_OK):
            raise EtcdError(
                f"{command} is not there, or cannot be run. Install etcd on this host, or name the directory of its commands (bin_dir)"
            )
        status, output, errors = self.run([command, *words])
        if status != 0:
            raise EtcdError(f"{name} {' '.join(words[:2])} failed: {_cause(errors or output)}")
        return output


def _cause(text: str) -> str:
    """The last line that is no log entry, or the error of the last log entry."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("Error:"):
            return line[len("Error:") :].strip()
        if not line.startswith("{"):
            return line
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("error"):
            return str(entry["error"])
    return lines[-1] if lines else "it said nothing"


def digest(path: str) -> tuple[str, bool | None]:
    """SHA-256 of a file, and whether the hash that a member appended agrees; None where there is none."""
    size = os.stat(path).st_size
    appended = size % PAGE_DIVISOR == HASH_SIZE
    content = size - HASH_SIZE if appended else size
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while content:
            block = file.read(min(CHUNK, content))
            if not block:
                raise EtcdError(f"{path} became shorter while it was read")
            hasher.update(block)
            content -= len(block)
        if not appended:
            return hasher.hexdigest(), None
        expected, trailer = hasher.digest(), file.read(HASH_SIZE)
    hasher.update(trailer)
    return hasher.hexdigest(), trailer == expected


def verify(commands: Commands, path: str, sha256: str | None = None, hash_check: bool = True) -> Snapshot:
    """Prove that the snapshot at *path* is whole. Raises EtcdError with what is wrong.

    *hash_check* false is for a database that was copied out of a data directory, to which no member appended a hash.
    """
    if not os.path.isfile(path):
        raise EtcdError(f"{path} is not there, or is no file")
    found, agrees = digest(path)
    if sha256 and found != sha256.lower():
        raise EtcdError(
            f"{path} is damaged: its SHA-256 is {found}, and {sha256.lower()} was expected. Take it from another copy"
        )
    if agrees is None and hash_check:
        raise EtcdError(
            f"{path} is damaged, or no snapshot: it does not end with the hash that a member appends. For a copy of member/snap/db say so"
        )
    if agrees is False:
        raise EtcdError(f"{path} is damaged: it does not agree with the hash at its end. Take it from another copy")
    try:
        status = json.loads(commands.etcdutl(["snapshot", "status", path, "--write-out=json"]))
        return Snapshot(
            path=path,
            size=os.stat(path).st_size,
            sha256=found,
            hash=f"{status['hash']:08x}",
            revision=status["revision"],
            total_keys=status["totalKey"],
            version=status.get("version", ""),
        )
    except EtcdError as error:
        raise EtcdError(f"{path} is damaged, or no snapshot: {error}") from error
    except (ValueError, KeyError) as error:
        raise EtcdError(f"etcdutl snapshot status told nothing that could be read of {path}: {error}") from error


def source(client: Etcd, consistent: bool) -> tuple[str, int]:
    """The endpoint of which a snapshot is to be taken, and the revision that it must have. Raises EtcdError when it would miss a write."""
    endpoint = client.endpoints[0]
    if not consistent:
        return endpoint, 0
    try:
        return endpoint, client.read_index(endpoint)
    except EtcdError as error:
        mend = "Name a voting member of a cluster with quorum; consistent: false takes what this member has"
        raise EtcdError(f"no snapshot was taken, for it might miss acknowledged writes: {error}. {mend}") from error


def take(commands: Commands, client: Etcd, options: t.Sequence[str], path: str, consistent: bool) -> Snapshot:
    """Take a snapshot of the member at the first endpoint, prove it, and only then put it at *path*, with mode 0600."""
    directory, name = os.path.split(path)
    endpoint, revision = source(client, consistent)
    with files.lock(directory):
        temporary = files.temporary_of(path)
        try:
            for leftover in (temporary, temporary + ".part"):
                files.remove(leftover)
            commands.etcdctl([f"--endpoints={endpoint}", *options, "snapshot", "save", temporary])
            taken = verify(commands, temporary)
            os.chmod(temporary, files.SECRET)
            if taken.revision < revision:
                raise EtcdError(
                    f"the snapshot of {endpoint} is of revision {taken.revision}, but {revision} was acknowledged before. Take another member's"
                )
            files.sync(temporary)
            files.move(temporary, path, sync=True)
        finally:
            files.remove(temporary)
            files.remove(temporary + ".part")
    return dataclasses.replace(taken, path=path)


# --- what a member knew whose cluster is lost

# Seconds until a member has read its log; one of some GiB on a slow disk takes minutes.
REPLAY = 300.0


@dataclasses.dataclass(frozen=True)
class Survivor:
    """The data of a member that does not run, and the paths of its certificates, for those who read them meanwhile."""

    data_dir: str
    name: str
    ca: str
    certificate: str
    key: str


def salvage(
    commands: Commands, survivor: Survivor, path: str, tls: Tls, timeout: float = REPLAY
) -> tuple[Snapshot, etcd_wal.End]:
    """Take a snapshot of data whose member does not run: all that this member had. Raises EtcdError.

    The database alone would lack what is in the write-ahead log only. So a copy of both is opened by an etcd of one member on the loopback
    address, with the member's own certificates (--force-new-cluster). The data themselves are only read.
    """
    member = os.path.join(survivor.data_dir, MEMBER)
    if not os.path.isdir(member):
        raise EtcdError(f"{survivor.data_dir} has no data of a member")
    if _in_use(os.path.join(member, "snap", "db")):
        raise EtcdError(
            f"an etcd runs on {survivor.data_dir}: stop it first, or take a snapshot of it (consistent: false)"
        )
    directory, name = os.path.split(os.path.abspath(path))
    size = sum(
        os.stat(os.path.join(place, name)).st_size for place, _directories, found in os.walk(member) for name in found
    )
    free = shutil.disk_usage(directory).free
    if free < 2 * size + WAL_SPACE:
        raise EtcdError(
            f"{directory} has {free} bytes free, and {2 * size + WAL_SPACE} are needed. Make room, and run again"
        )
    with files.temporary_directory(os.path.join(directory, f"{name}.salvage")) as scratch:
        for part in ("snap", "wal"):
            if os.path.isdir(os.path.join(member, part)):
                shutil.copytree(os.path.join(member, part), os.path.join(scratch, MEMBER, part))
        end = etcd_wal.commit_all(os.path.join(scratch, MEMBER, "wal"))
        client_port, peer_port = _free_ports(2)
        client = Etcd([f"https://127.0.0.1:{client_port}"], tls)
        process = _open_alone(commands, survivor, scratch, client_port, peer_port)
        try:
            _wait_until_read(client, process, scratch, timeout)
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
) -> subprocess.Popen:
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
            return subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise EtcdError(
            f"{words[0]}: {error.strerror}. Install etcd on this host, or name the directory of its commands (bin_dir)"
        ) from error


def _wait_until_read(client: Etcd, process: subprocess.Popen, data_dir: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            with open(os.path.join(data_dir, "log"), encoding="utf-8", errors="replace") as log:
                raise EtcdError(f"the data are damaged, or of another version of etcd: {_cause(log.read())}")
        try:
            client.read_index(client.endpoints[0])
            return
        except EtcdError as error:
            if time.monotonic() >= deadline:
                raise EtcdError(f"the data were not read within {timeout:g} s: {error}") from error
        time.sleep(0.1)


@dataclasses.dataclass(frozen=True)
class Restore:
    """Into what a snapshot is to be made: the data of member *name* of a new cluster."""

    snapshot: str
    data_dir: str
    name: str
    initial_cluster: str
    initial_cluster_token: str
    peer_urls: tuple[str, ...]
    bump_revision: int = 0
    hash_check: bool = True
    sha256: str | None = None
    force: bool = False
    owner: str | None = None
    group: str | None = None

    def record(self, snapshot: Snapshot) -> dict[str, t.Any]:
        """What a restored data directory says of itself; two that are equal were made of the same."""
        return {
            "sha256": snapshot.sha256,
            "name": self.name,
            "initial_cluster": sorted(self.initial_cluster.split(",")),
            "initial_cluster_token": self.initial_cluster_token,
            "peer_urls": sorted(self.peer_urls),
            "bump_revision": self.bump_revision,
        }


@dataclasses.dataclass(frozen=True)
class Restored:
    snapshot: Snapshot
    changed: bool
    reason: str
    old_data: str = ""


def restore(commands: Commands, wanted: Restore, check_mode: bool = False) -> Restored:
    """Make the data directory. It appears whole or not at all, and what was there before is kept beside it. Raises EtcdError."""
    snapshot = _judge(commands, wanted)
    member = os.path.join(wanted.data_dir, MEMBER)
    before = _before(member, wanted, snapshot)
    if before == "same":
        return Restored(snapshot, False, "it was restored from this snapshot before")
    old_data = f"{member}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}" if before else ""
    reason = "forced: the data before are kept" if before else "the data directory had no data"
    if check_mode:
        return Restored(snapshot, True, reason, old_data)
    identity = _identity(wanted)
    files.make_directory(wanted.data_dir)
    with files.lock(wanted.data_dir), files.temporary_directory(member) as staging:
        staged = _stage(commands, wanted, snapshot, os.path.join(staging, "data"))
        _own(wanted.data_dir, staged, identity)
        os.sync()
        if old_data:
            files.move(member, old_data)
        files.move(staged, member, sync=True)
    return Restored(snapshot, True, reason, old_data)


def _judge(commands: Commands, wanted: Restore) -> Snapshot:
    mine = sorted(
        pair.partition("=")[2] for pair in wanted.initial_cluster.split(",") if pair.partition("=")[0] == wanted.name
    )
    if mine != sorted(wanted.peer_urls):
        raise EtcdError(
            f"initial_cluster has {wanted.name} at {','.join(mine) or 'no place'}, and peer_urls say {','.join(wanted.peer_urls)}: etcd would not start. "
            f"Give all members the same initial_cluster, with each at its own peer URLs"
        )
    if wanted.bump_revision < 0:
        raise EtcdError(f"bump_revision: {wanted.bump_revision} is less than 0; revisions never decrease")
    snapshot = verify(commands, wanted.snapshot, wanted.sha256, wanted.hash_check)
    if os.path.lexists(wanted.data_dir) and not os.path.isdir(wanted.data_dir):
        raise EtcdError(f"{wanted.data_dir} is no directory; move it away")
    there = wanted.data_dir
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    free = shutil.disk_usage(there).free
    if free < snapshot.size + WAL_SPACE:
        raise EtcdError(
            f"{wanted.data_dir} has {free} bytes free, and {snapshot.size + WAL_SPACE} are needed. Make room, and run again"
        )
    return snapshot


def _before(member: str, wanted: Restore, snapshot: Snapshot) -> str:
    """What lies in the way: "" nothing, "same" data that were made of the same, "data" others that may go."""
    if not os.path.lexists(member):
        return ""
    try:
        with open(os.path.join(member, RECORD), encoding="utf-8") as file:
            if json.load(file) == wanted.record(snapshot):
                return "same"
    except (OSError, ValueError):
        pass
    if not wanted.force:
        raise EtcdError(
            f"{wanted.data_dir} has data of a member already, and nothing was changed. To replace them, stop etcd here and say force: true"
        )
    if _in_use(os.path.join(member, "snap", "db")):
        raise EtcdError(
            f"an etcd runs on {wanted.data_dir}, and nothing was changed. Stop it, on all hosts of the cluster, before any of them is restored"
        )
    return "data"


def _in_use(database: str) -> bool:
    """bbolt holds an exclusive lock on the database of a member that runs."""
    try:
        with open(database, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _stage(commands: Commands, wanted: Restore, snapshot: Snapshot, staged: str) -> str:
    words = [
        "snapshot", "restore", wanted.snapshot, f"--data-dir={staged}", f"--name={wanted.name}", f"--initial-cluster={wanted.initial_cluster}",
        f"--initial-cluster-token={wanted.initial_cluster_token}", f"--initial-advertise-peer-urls={','.join(wanted.peer_urls)}",
    ]  # fmt: skip
    if wanted.bump_revision:
        # etcd allows the one only with the other (https://github.com/etcd-io/etcd/pull/16029).
        words += [f"--bump-revision={wanted.bump_revision}", "--mark-compacted"]
    if not wanted.hash_check:
        words.append("--skip-hash-check")
    commands.etcdutl(words)
    member = os.path.join(staged, MEMBER)
    files.write(os.path.join(member, RECORD), json.dumps(wanted.record(snapshot), indent=1).encode(), files.SECRET)
    return member


def _identity(wanted: Restore) -> tuple[int, int]:
    """Numbers of owner and group; -1 leaves either as it is."""
    try:
        uid = pwd.getpwnam(wanted.owner).pw_uid if wanted.owner else -1
        gid = grp.getgrnam(wanted.group).gr_gid if wanted.group else -1
    except KeyError as error:
        raise EtcdError(
            f"{error.args[0]}: there is no such user or group on this host. Install etcd first, which makes them"
        ) from error
    return uid, gid


def _own(data_dir: str, staged: str, identity: tuple[int, int]) -> None:
    if identity == (-1, -1):
        return
    os.chown(data_dir, *identity)
    for place, directories, names in os.walk(staged):
        os.chown(place, *identity)
        for name in [*directories, *names]:
            os.chown(os.path.join(place, name), *identity, follow_symlinks=False)
