# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives: whole or refused, kept by number and age."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import archive as backup
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import gather, store
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import keys as backup_keys
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=timezone.utc)


def plus(**span) -> datetime:
    return NOW + timedelta(**span)


@pytest.fixture
def cluster_dir(tmp_path) -> Path:
    """What a cluster has on the controller, and what has no place in an archive."""
    root = tmp_path / "cluster"
    (root / "pki" / "old").mkdir(parents=True)
    for name, text, mode in (
        ("ca.pem", "certificate", 0o644),
        ("ca-key.pem", "key", 0o600),
        ("old/ca.pem", "older", 0o644),
    ):
        (root / "pki" / name).write_text(text)
        (root / "pki" / name).chmod(mode)
    (root / "pki" / ".lock").touch()
    Path(files.temporary_of(str(root / "pki" / "ca.pem"))).write_text("half written")
    (root / "etcd.db").write_bytes(os.urandom(200_000))
    return root


@pytest.fixture
def order(tmp_path, cluster_dir):
    def build(**more) -> store.Order:
        sources = (
            gather.Source(str(cluster_dir / "pki"), "pki"),
            gather.Source(str(cluster_dir / "etcd.db"), "etcd/snapshot.db"),
        )
        values = {
            "directory": str(tmp_path / "backups"),
            "cluster": "production",
            "sources": sources,
            "settings": '{"a": 1}',
            "revision": 42,
        }
        return store.Order(**{**values, "versions": {"etcd": "3.6.16"}, **more})

    return build


@pytest.fixture
def identity():
    pyrage = pytest.importorskip("pyrage")
    return pyrage.x25519.Identity.generate()


@pytest.fixture(params=["plain", "encrypted"])
def keys(request) -> tuple[tuple[str, ...], list]:
    """Recipients, and the private keys that open what they get."""
    if request.param == "plain":
        return (), []
    key = request.getfixturevalue("identity")
    return (str(key.to_public()),), [key]


def make(order: store.Order, moment: datetime = NOW, **more) -> store.Made:
    return store.make(order, now=lambda: moment, **more)


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names(directory: str) -> list[str]:
    return sorted(os.listdir(directory))


# --- one archive


def test_what_goes_in_comes_out(order, keys, cluster_dir, tmp_path):
    recipients, identities = keys
    made = make(order(recipients=recipients))
    name = "production-20261121T103000Z.tar.gz" + (".age" if recipients else "")
    assert names(tmp_path / "backups") == [name, f"{name}.sha256"]
    assert stat.S_IMODE((tmp_path / "backups").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "backups").iterdir()} == {0o600}
    manifest, changed = store.extract(made.archive.path, str(tmp_path / "out"), identities)
    assert (
        changed
        and manifest == made.manifest
        and (manifest.revision, manifest.versions, manifest.time) == (42, {"etcd": "3.6.16"}, NOW)
    )
    found = content(tmp_path / "out")
    assert json.loads(found.pop("manifest.json"))["cluster"] == "production"
    assert found == {
        "settings.json": b'{"a": 1}',
        "etcd/snapshot.db": (cluster_dir / "etcd.db").read_bytes(),
        "pki/ca.pem": b"certificate",
        "pki/ca-key.pem": b"key",
        "pki/old/ca.pem": b"older",
    }
    modes = {
        path: stat.S_IMODE((tmp_path / "out" / path).stat().st_mode)
        for path in ("", "pki", "pki/ca.pem", "pki/ca-key.pem", "settings.json")
    }
    assert modes == {"": 0o700, "pki": 0o700, "pki/ca.pem": 0o644, "pki/ca-key.pem": 0o600, "settings.json": 0o600}
    assert store.extract(made.archive.path, str(tmp_path / "out"), identities)[1] is False


def test_no_more_than_tar_is_needed(order, tmp_path, cluster_dir):
    made = make(order())
    subprocess.run(["gunzip", "--test", made.archive.path], check=True)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xzf", made.archive.path, "-C", str(tmp_path / "out")], check=True)
    assert content(tmp_path / "out")["pki/ca-key.pem"] == b"key"
    subprocess.run(
        ["sha256sum", "--check", "--quiet", made.archive.name + ".sha256"], cwd=tmp_path / "backups", check=True
    )


def test_an_encrypted_archive_is_a_tar_gz_in_age(order, identity, tmp_path):
    import pyrage

    made = make(order(recipients=(str(identity.to_public()),)))
    raw = Path(made.archive.path).read_bytes()
    assert b"manifest.json" not in raw and b"certificate" not in raw
    plain = pyrage.decrypt(raw, [identity])
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert "pki/ca-key.pem" in tar.getnames()


def test_a_key_of_ssh_opens_it(order, tmp_path, identity):
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    made = make(order(recipients=(str(identity.to_public()), (tmp_path / "key.pub").read_text())))
    assert backup.verify(made.archive.path, backup_keys.read_identities(str(tmp_path / "key"))) == made.manifest
    assert backup.verify(made.archive.path, [identity]) == made.manifest


def test_keys_that_are_none(order, identity, tmp_path):
    with pytest.raises(backup.Refused) as refused:
        make(order(recipients=("age1nonsense", "ssh-ed25519 AAAA", "minisign")))
    assert len(refused.value.problems) == 3
    assert not (tmp_path / "backups").exists()
    path = tmp_path / "identity"
    for text in (
        "",
        "# public key: age1xyz\n",
        "AGE-SECRET-KEY-1SECRETSECRET\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
    ):
        path.write_text(text)
        with pytest.raises(backup.BackupError) as error:
            backup_keys.read_identities(str(path))
        assert "identity" in str(error.value) and "SECRETSECRET" not in str(error.value)
    path.write_text(f"# created: today\n{identity}\n")
    assert len(backup_keys.read_identities(str(path))) == 1


def test_another_key_does_not_open_it(order, identity, tmp_path):
    made = make(order(recipients=(str(identity.to_public()),)))
    for identities, words in (([], "is encrypted"), ([type(identity).generate()], "none of the private keys")):
        with pytest.raises(backup.BackupError, match=words):
            store.extract(made.archive.path, str(tmp_path / "out"), identities)
        assert not (tmp_path / "out").exists()


# --- damage


@pytest.fixture
def small(order, keys, tmp_path, cluster_dir):
    """A small archive, without the sum beside it, which would find everything alone."""
    (cluster_dir / "etcd.db").write_bytes(b"snapshot")
    recipients, identities = keys
    made = make(order(recipients=recipients))
    os.unlink(made.archive.path + ".sha256")
    return Path(made.archive.path), identities


def refused(path: Path, identities: list, tmp_path: Path) -> bool:
    """Whether nothing is extracted."""
    try:
        store.extract(str(path), str(tmp_path / "out"), identities)
    except backup.BackupError:
        pass
    else:
        return False
    assert not (tmp_path / "out").exists() and not [
        name for name in os.listdir(tmp_path) if name.startswith(".hardway")
    ]
    return True


def test_each_byte_counts(small, tmp_path):
    path, identities = small
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        assert refused(path, identities, tmp_path), f"byte {place} of {len(whole)} was changed, and nobody noticed"
    path.write_bytes(whole)
    assert not refused(path, identities, tmp_path)


def test_each_length_counts(small, tmp_path):
    path, identities = small
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 37), len(whole) - 1, len(whole) - backup.SEAL_SIZE]:
        path.write_bytes(whole[:size])
        assert refused(path, identities, tmp_path), f"cut off after {size} of {len(whole)} bytes"
    for more in (b"\0", b"x" * 1000, whole):
        path.write_bytes(whole + more)
        assert refused(path, identities, tmp_path), "something was appended"


def test_a_sum_that_does_not_agree(order, keys, tmp_path):
    recipients, identities = keys
    made = make(order(recipients=recipients))
    Path(made.archive.path + ".sha256").write_text("0" * 64 + "  name\n")
    with pytest.raises(backup.Damaged, match="does not agree"):
        store.extract(made.archive.path, str(tmp_path / "out"), identities)
    assert not (tmp_path / "out").exists()


def test_an_encrypted_archive_is_judged_without_its_key(order, identity):
    made = make(order(recipients=(str(identity.to_public()),)))
    assert backup.verify(made.archive.path) is None
    raw = bytearray(Path(made.archive.path).read_bytes())
    for place in (0, len(raw) // 2):
        raw[place] ^= 1
        Path(made.archive.path).write_bytes(raw)
        with pytest.raises(backup.Damaged):
            backup.verify(made.archive.path)
        raw[place] ^= 1
    os.unlink(made.archive.path + ".sha256")
    Path(made.archive.path).write_bytes(raw)
    with pytest.raises(backup.BackupError, match="cannot be judged"):
        backup.verify(made.archive.path)


def forged(path: Path, members: list[tuple[str, bytes, bytes]], listed: list[str]) -> None:
    """An archive with a true seal, as one who means harm would make it."""
    entries = [
        {"path": name, "size": 4, "mode": "0600", "sha256": hashlib.sha256(b"evil").hexdigest()} for name in listed
    ]
    manifest = {
        "format": 1,
        "cluster": "production",
        "time": "20261121T103000Z",
        "versions": {},
        "revision": None,
        "files": entries,
    }
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for name, data, kind in [("manifest.json", json.dumps(manifest).encode(), tarfile.REGTYPE), *members]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc" if kind == tarfile.SYMTYPE else ""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(raw.getvalue() + backup.seal(hashlib.sha256(raw.getvalue()).hexdigest()))


@pytest.mark.parametrize(
    ("members", "listed"),
    [
        ([("../evil", b"evil", tarfile.REGTYPE)], ["../evil"]),
        ([("/tmp/evil", b"evil", tarfile.REGTYPE)], ["/tmp/evil"]),
        ([("a/../../evil", b"evil", tarfile.REGTYPE)], ["a/../../evil"]),
        ([("evil", b"evil", tarfile.REGTYPE)], []),
        ([("evil", b"evil", tarfile.REGTYPE), ("evil", b"evil", tarfile.REGTYPE)], ["evil"]),
        ([("evil", b"", tarfile.SYMTYPE)], ["evil"]),
        ([("evil", b"live", tarfile.REGTYPE)], ["evil"]),
        ([("evil", b"evils", tarfile.REGTYPE)], ["evil"]),
        ([], ["evil"]),
        ([("evil", b"evil", tarfile.REGTYPE)], ["evil", "evil"]),
    ],
)
def test_an_archive_that_means_harm(tmp_path, members, listed):
    path = tmp_path / "forged.tar.gz"
    forged(path, members, listed)
    assert refused(path, [], tmp_path)
    assert names(tmp_path) == ["forged.tar.gz"]


def test_the_forger_could_make_a_true_one(tmp_path):
    """Or the test above would find nothing."""
    forged(tmp_path / "true.tar.gz", [("a/evil", b"evil", tarfile.REGTYPE)], ["a/evil"])
    assert not refused(tmp_path / "true.tar.gz", [], tmp_path)


# --- what stands against it


def test_all_problems_at_once(order, cluster_dir, tmp_path):
    (cluster_dir / "link").symlink_to("/etc/passwd")
    (cluster_dir / "pki" / "link").symlink_to("ca.pem")
    sources = [
        ("pki", "pki"),
        ("missing", "missing"),
        ("link", "link"),
        ("etcd.db", "../etcd.db"),
        ("etcd.db", "manifest.json"),
        ("etcd.db", "pki/ca.pem"),
    ]
    with pytest.raises(backup.Refused) as error:
        make(order(sources=tuple(gather.Source(str(cluster_dir / src), dest) for src, dest in sources)))
    assert len(error.value.problems) == 6
    assert names(tmp_path / "backups") == []


def test_a_file_that_was_damaged_on_its_way(order, cluster_dir):
    source = gather.Source(str(cluster_dir / "etcd.db"), "etcd.db", "0" * 64)
    with pytest.raises(backup.Refused, match="was expected"):
        make(order(sources=(source,)))
    digest = hashlib.sha256((cluster_dir / "etcd.db").read_bytes()).hexdigest()
    assert make(order(sources=(gather.Source(str(cluster_dir / "etcd.db"), "etcd.db", digest.upper()),)))


@pytest.mark.parametrize("text", [b"", b"short", b"longer" * 50_000, b"same size!" * 20_000])
def test_a_file_that_changes_while_it_is_read(order, keys, cluster_dir, tmp_path, monkeypatch, text):
    gathered = gather.gather

    def then_changes(sources, settings):
        items = gathered(sources, settings)
        (cluster_dir / "etcd.db").write_bytes(text)
        return items

    monkeypatch.setattr(store, "gather", then_changes)
    with pytest.raises(backup.BackupError, match="changed while it was read"):
        make(order(recipients=keys[0]))
    assert names(tmp_path / "backups") == []


def test_a_full_disk_leaves_nothing(order, keys, tmp_path, monkeypatch):
    first = make(order(recipients=keys[0]))

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup._Hashing, "write", full)
    with pytest.raises((backup.BackupError, OSError), match="No space left"):
        make(order(recipients=keys[0], keep=1), plus(days=1))
    assert names(tmp_path / "backups") == [first.archive.name, first.archive.name + ".sha256"]


def test_certificates_are_read_under_their_lock(order, cluster_dir, monkeypatch):
    held = []
    lock = files.lock
    monkeypatch.setattr(store.files, "lock", lambda path, create=True: held.append(path) or lock(path, create))
    make(order())
    assert str(cluster_dir / "pki" / ".lock") in held


def test_check_mode_writes_nothing(order, tmp_path):
    planned = make(order(), check_mode=True)
    assert planned.archive.name == "production-20261121T103000Z.tar.gz" and len(planned.manifest.entries) == 5
    assert not (tmp_path / "backups").exists()


def test_a_directory_with_other_files_is_left_alone(order, tmp_path):
    made = make(order())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(backup.BackupError, match="has other files"):
        store.extract(made.archive.path, str(tmp_path / "out"))
    os.unlink(tmp_path / "out" / "mine")
    assert store.extract(made.archive.path, str(tmp_path / "out"), check_mode=True)[1] and names(tmp_path / "out") == []
    assert store.extract(made.archive.path, str(tmp_path / "out"))[1]
    (tmp_path / "out" / "pki" / "ca.pem").write_text("changed")
    with pytest.raises(backup.BackupError, match="has other files"):
        store.extract(made.archive.path, str(tmp_path / "out"))


# --- kept by number and age


def archive(**span) -> store.Archive:
    moment = plus(**span)
    return store.Archive(f"/{moment.isoformat()}", "production", moment, False)


DAILY = [archive(days=-day) for day in range(10)]


def ages(found: list[store.Archive]) -> list[int]:
    return [(NOW - each.time).days for each in found]


@pytest.mark.parametrize(
    ("keep", "keep_days", "bad", "going", "damaged"),
    [
        (0, 0, [], [], []),
        (10, 0, [], [], []),
        (3, 0, [], [3, 4, 5, 6, 7, 8, 9], []),
        (3, 0, [1, 2], [5, 6, 7, 8, 9], [1, 2]),
        (3, 0, [9], [3, 4, 5, 6, 7, 8, 9], []),
        (0, 7, [], [8, 9], []),
        (2, 7, [], [2, 3, 4, 5, 6, 7, 8, 9], []),
        (8, 5, [], [6, 7, 8, 9], []),
        # the last good one stays, be it as old as it may
        (3, 5, [0, 1, 2, 3, 4, 5, 6], [6, 8, 9], [0, 1, 2, 3, 4, 5]),
        (1, 1, list(range(9)), [2, 3, 4, 5, 6, 7, 8], [0, 1]),
        (1, 1, list(range(10)), [], list(range(10))),
    ],
)
def test_who_goes(keep, keep_days, bad, going, damaged):
    result = store.expired(DAILY, keep, keep_days, NOW, lambda each: (NOW - each.time).days not in bad)
    assert (ages(result[0]), sorted(ages(result[1]))) == (going, damaged)


def test_nothing_is_read_when_nothing_goes():
    def unread(each):
        raise AssertionError("was read")

    assert store.expired(DAILY, 10, 30, NOW, unread) == ([], [])


def test_the_archive_just_made_stays_though_the_clock_went_back():
    fresh = DAILY[5]
    assert fresh not in store.expired(DAILY, 2, 3, NOW, lambda each: True, fresh)[0]


def test_a_directory_of_archives(order, tmp_path):
    directory = tmp_path / "backups"
    for day in range(5):
        make(order(keep=3), plus(days=day))
    others = ["notes.txt", "production-old.tar.gz", "production-20261101T000000Z.tar.gz.asc"]
    others += ["staging-20200101T000000Z.tar.gz", "production-20269999T000000Z.tar.gz"]
    for name in others:
        (directory / name).touch()
    (directory / "production-20200101T000000Z.tar.gz").mkdir()
    # a killed run's
    (directory / "production-20200102T000000Z.tar.gz.sha256").touch()
    Path(files.temporary_of(str(directory / "production-20200102T000000Z.tar.gz"))).touch()
    damaged = directory / "production-20261125T103000Z.tar.gz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    made = make(order(keep=2), plus(days=5))
    assert [each.name for each in made.removed] == ["production-20261123T103000Z.tar.gz"]
    assert [each.path for each in made.damaged] == [str(damaged)]
    left = [name for name in names(directory) if name not in others]
    kept = ["production-20261124T103000Z", "production-20261125T103000Z", "production-20261126T103000Z"]
    assert left == [
        "production-20200101T000000Z.tar.gz",
        *(name + suffix for name in kept for suffix in (".tar.gz", ".tar.gz.sha256")),
    ]
    assert [each.name for each in store.archives(str(directory), "production")] == [
        name + ".tar.gz" for name in reversed(kept)
    ]


def test_two_in_one_second(order):
    moments = iter([NOW, NOW, NOW, plus(seconds=1)])
    first = store.make(order(), now=lambda: next(moments))
    second = store.make(order(), now=lambda: next(moments))
    assert first.archive.time == NOW and second.archive.time == plus(seconds=1)


GROWTH = """
import json, resource, sys
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import archive as backup
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import gather, store
from ansible_collections.hardway.kubernetes.plugins.module_utils.backup import keys as backup_keys
directory, source, out, recipients, key = json.loads(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
order = store.Order(directory, "production", (gather.Source(source, "etcd.db"),), recipients=tuple(recipients))
made = store.make(order)
store.extract(made.archive.path, out, [backup.pyrage.x25519.Identity.from_str(key)] if key else [])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_a_snapshot(keys, cluster_dir, tmp_path):
    """In a process of its own, whose peak nobody else made."""
    with open(cluster_dir / "etcd.db", "r+b") as file:
        file.truncate(64 * 1024**2)
    arguments = [
        str(tmp_path / "backups"),
        str(cluster_dir / "etcd.db"),
        str(tmp_path / "out"),
        keys[0],
        str(keys[1][0]) if keys[1] else "",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, json.dumps(arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 24 * 1024, "KiB"
