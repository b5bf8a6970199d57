# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifact_lock, artifacts

UPSTREAM = "https://example.org/v1.0.0/tool.tar.gz"
SOME_SUM = "ab" * 32
OTHER_SUM = "cd" * 32


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return stream.getvalue()


class Mirror:
    """A web server over a dict; it can break off a transfer, or answer with an error, as often as it is told."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.cut: list[int] = []
        self.errors: list[int] = []
        self.ranges = True
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_arguments: t.Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append((handler.path, wanted))
        content = self.files.get(handler.path.lstrip("/"))
        if self.errors or content is None:
            handler.send_error(self.errors.pop(0) if self.errors else 404)
            return
        offset = int(wanted[len("bytes=") : -1]) if wanted and self.ranges else 0
        handler.send_response(206 if offset else 200)
        handler.send_header("Content-Length", str(len(content) - offset))
        handler.end_headers()
        end = offset + self.cut.pop(0) if self.cut else len(content)
        handler.wfile.write(content[offset:end])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Mirror]:
    monkeypatch.setattr(artifacts.time, "sleep", lambda _seconds: None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Mirror()
    with contextlib.closing(server):
        yield server


class Host:
    """The places of a host, and one artifact on the mirror."""

    def __init__(self, root: Path, mirror: Mirror) -> None:
        self.root, self.mirror = root, mirror
        self.install_dir, self.bin_dir = root / "opt", root / "bin"

    def entry(self, version: str = "1.0.0", content: bytes | None = None, **fields: t.Any) -> dict[str, t.Any]:
        content = (
            archive(**{f"tool-{version}/tool": b"tool " + version.encode(), f"tool-{version}/README": b""})
            if content is None
            else content
        )
        path = f"v{version}/tool.tar.gz"
        self.mirror.files[path] = content
        entry = {"name": "tool", "version": version, "url": f"{self.mirror.url}/{path}", "sha256": sha256(content)}
        return {**entry, "install": {"tool": f"tool-{version}/tool"}, **fields}

    def install(self, entry: dict[str, t.Any], **arguments: t.Any) -> artifacts.InstallResult:
        return artifacts.install(entry, str(self.install_dir), str(self.bin_dir), timeout=5, **arguments)

    def leftovers(self) -> list[Path]:
        return list(self.root.rglob(f".*{files.TEMPORARY}"))


@pytest.fixture
def host(tmp_path: Path, mirror: Mirror) -> Host:
    return Host(tmp_path, mirror)


# --- installing


def test_installs_by_version_and_links(host: Host) -> None:
    result = host.install(host.entry())
    assert (result.changed, result.downloaded, result.version_before) == (True, True, None)
    installed = host.install_dir / "tool" / "1.0.0" / "tool"
    assert installed.read_bytes() == b"tool 1.0.0"
    assert installed.stat().st_mode & 0o777 == 0o755
    assert os.readlink(host.bin_dir / "tool") == str(installed)
    assert not (installed.parent / "README").exists()
    assert not host.leftovers()


def test_an_installation_that_never_ends_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a run that was killed, and whose module waits on this host for ever."""
    monkeypatch.setattr(artifacts.files, "lock", functools.partial(files.lock, seconds=0.1))
    entry = host.entry()
    home = host.install_dir / "tool"
    home.mkdir(parents=True)
    with files.lock(str(home)), pytest.raises(artifacts.ArtifactError, match=f"{home}: another run is at work"):
        host.install(entry)
    assert host.install(entry).changed


def test_second_run_changes_nothing_and_asks_nobody(host: Host) -> None:
    entry = host.entry()
    host.install(entry)
    host.mirror.requests.clear()
    assert not host.install(entry).changed
    assert not host.mirror.requests


def test_switches_the_links_to_another_version_and_keeps_the_old_one(host: Host) -> None:
    host.install(host.entry("1.0.0"))
    result = host.install(host.entry("1.1.0"))
    assert (result.changed, result.version_before, result.version) == (True, "1.0.0", "1.1.0")
    assert (host.bin_dir / "tool").read_bytes() == b"tool 1.1.0"
    host.mirror.requests.clear()
    back = host.install(host.entry("1.0.0"))
    assert (back.changed, back.downloaded, back.version_before) == (True, False, "1.1.0")
    assert not host.mirror.requests


def test_check_mode_says_the_same_and_does_nothing(host: Host) -> None:
    entry = host.entry()
    planned = host.install(entry, check_mode=True)
    assert not host.install_dir.exists()
    assert not host.mirror.requests
    assert planned == host.install(entry)


def test_a_bare_binary(host: Host) -> None:
    host.mirror.files["runc.amd64"] = b"binary"
    host.install(
        {
            "name": "runc",
            "version": "1",
            "url": f"{host.mirror.url}/runc.amd64",
            "sha256": sha256(b"binary"),
            "install": {"runc": "runc.amd64"},
        }
    )
    assert (host.bin_dir / "runc").read_bytes() == b"binary"


def test_link_dir_of_the_entry(host: Host) -> None:
    host.install(host.entry(link_dir=str(host.root / "cni")))
    assert (host.root / "cni" / "tool").exists()
    assert not host.bin_dir.exists()


def test_a_wrong_sum_is_refused_by_name(host: Host) -> None:
    host.install(host.entry("1.0.0"))
    entry = host.entry("1.1.0")
    host.mirror.files["v1.1.0/tool.tar.gz"] = b"altered"
    with pytest.raises(artifacts.ArtifactError) as error:
        host.install(entry)
    for word in ("tool.tar.gz", entry["url"], entry["sha256"], sha256(b"altered"), "artifacts.lock"):
        assert word in str(error.value)
    assert (host.bin_dir / "tool").read_bytes() == b"tool 1.0.0"
    assert not (host.install_dir / "tool" / "1.1.0").exists()
    assert not host.leftovers()


def test_another_sum_for_an_installed_version_installs_it_anew(host: Host) -> None:
    host.install(host.entry())
    result = host.install(host.entry(content=archive(**{"tool-1.0.0/tool": b"rebuilt"})))
    assert (result.changed, result.downloaded) == (True, True)
    assert (host.bin_dir / "tool").read_bytes() == b"rebuilt"


def test_a_truncated_file_is_installed_anew(host: Host) -> None:
    entry = host.entry()
    host.install(entry)
    (host.install_dir / "tool" / "1.0.0" / "tool").write_bytes(b"")
    assert host.install(entry).downloaded
    assert (host.bin_dir / "tool").read_bytes() == b"tool 1.0.0"


@pytest.mark.parametrize("step", ["rename", "symlink", "chmod", "unlink"])
def test_a_run_that_dies_leaves_the_version_before_and_the_next_ends_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Die at each call of one kind in turn, without the cleaning up that a killed process would not do either."""
    host.install(host.entry("1.0.0"))
    entry = host.entry(
        "1.1.0", content=archive(**{"a": b"a 1.1.0", "b": b"b 1.1.0"}), install={"tool": "a", "other": "b"}
    )
    real, real_rmtree = getattr(os, step), shutil.rmtree
    for fatal in range(20):
        calls = iter(range(1000))
        dead: list[bool] = []

        def rmtree(*arguments: t.Any, dead: list[bool] = dead, **options: t.Any) -> None:  # pylint: disable=dangerous-default-value
            if not dead:
                real_rmtree(*arguments, **options)

        def dying(  # pylint: disable=dangerous-default-value
            *arguments: t.Any,
            calls: t.Iterator[int] = calls,
            fatal: int = fatal,
            dead: list[bool] = dead,
            **options: t.Any,
        ) -> t.Any:
            if next(calls) == fatal:
                dead.append(True)
            if dead:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, dying)
            patch.setattr(shutil, "rmtree", rmtree)
            try:
                host.install(entry)
                break
            except KeyboardInterrupt:
                assert (host.bin_dir / "tool").read_bytes() in (b"tool 1.0.0", b"a 1.1.0")
    else:
        pytest.fail("never came to an end")
    monkeypatch.undo()
    assert not host.install(entry).changed
    assert [(host.bin_dir / name).read_bytes() for name in ("tool", "other")] == [b"a 1.1.0", b"b 1.1.0"]


def test_what_a_killed_run_left_goes_with_the_next(host: Host) -> None:
    leftover = Path(files.temporary_of(str(host.install_dir / "tool" / "0.9")))
    leftover.mkdir(parents=True)
    (leftover / "tool").write_bytes(b"half")
    host.install(host.entry())
    assert not host.leftovers()


def test_a_member_that_is_missing_is_named(host: Host) -> None:
    with pytest.raises(artifacts.ArtifactError, match=r"does not hold tool-1.0.0/absent"):
        host.install(host.entry(install={"tool": "tool-1.0.0/absent"}))


def test_members_may_be_written_with_a_leading_dot(host: Host) -> None:
    host.install(host.entry(content=archive(**{"./tool": b"dotted"}), install={"tool": "tool"}))
    assert (host.bin_dir / "tool").read_bytes() == b"dotted"


def test_a_link_in_an_archive_is_not_followed(host: Host) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        info = tarfile.TarInfo("tool")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(info)
    with pytest.raises(artifacts.ArtifactError, match="not a regular file"):
        host.install(host.entry(content=stream.getvalue(), install={"tool": "tool"}))


@pytest.mark.parametrize("name", ["../escape", "/etc/cron.d/x", ".artifact.json", ""])
def test_no_name_leads_elsewhere(host: Host, name: str) -> None:
    with pytest.raises(artifacts.ArtifactError, match="not the name of a file"):
        host.install(host.entry(install={name: "tool-1.0.0/tool"}))


def test_a_directory_in_the_place_of_a_link_is_left_alone(host: Host) -> None:
    (host.bin_dir / "tool").mkdir(parents=True)
    with pytest.raises(artifacts.ArtifactError, match="is a directory"):
        host.install(host.entry())


# --- downloading


def test_a_broken_transfer_goes_on_where_it_stopped(host: Host) -> None:
    host.mirror.cut = [40, 30]
    host.install(host.entry())
    assert [wanted for _path, wanted in host.mirror.requests] == [None, "bytes=40-", "bytes=70-"]
    assert (host.bin_dir / "tool").read_bytes() == b"tool 1.0.0"


def test_a_broken_transfer_begins_again_where_the_server_knows_no_ranges(host: Host) -> None:
    host.mirror.cut, host.mirror.ranges = [40], False
    host.install(host.entry())
    assert (host.bin_dir / "tool").read_bytes() == b"tool 1.0.0"


def test_passing_errors_are_tried_three_times(host: Host) -> None:
    host.mirror.errors = [503, 503]
    host.install(host.entry())
    host.mirror.errors = [503, 503, 503]
    with pytest.raises(artifacts.ArtifactError, match="503"):
        host.install(host.entry("1.1.0"))


def test_a_missing_file_is_asked_for_once(mirror: Mirror) -> None:
    with pytest.raises(artifacts.ArtifactError, match=r"404.*cluster_mirror"):
        artifacts.download(f"{mirror.url}/absent")
    assert len(mirror.requests) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(artifacts.ArtifactError, match=r"http://127.0.0.1:1/x cannot be fetched: .*refused"):
        artifacts.download("http://127.0.0.1:1/x", timeout=1)


def test_fetch(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["image.tar"] = b"image"
    dest = tmp_path / "image.tar"
    assert artifacts.fetch(f"{mirror.url}/image.tar", sha256(b"image"), str(dest))
    assert not artifacts.fetch(f"{mirror.url}/image.tar", sha256(b"image"), str(dest))
    assert len(mirror.requests) == 1
    with pytest.raises(artifacts.ArtifactError, match=r"image.tar is refused"):
        artifacts.fetch(f"{mirror.url}/image.tar", SOME_SUM, str(dest))
    assert dest.read_bytes() == b"image"
    assert list(tmp_path.iterdir()) == [dest]


# --- published sums


@pytest.mark.parametrize(
    "text",
    [
        f"{SOME_SUM}\n",
        SOME_SUM.upper(),
        f"{SOME_SUM}  tool.tar.gz\n",
        f"{SOME_SUM} *tool.tar.gz\n",
        f"{SOME_SUM}  ./dist/tool.tar.gz\n",
        f"# sums\n{OTHER_SUM}  tool.zip\n{SOME_SUM}  tool.tar.gz\n{OTHER_SUM}  tool.tar.gz.asc\n",
    ],
)
def test_published_formats(text: str) -> None:
    assert artifact_lock.published_sum(text, "tool.tar.gz", "SHA256SUMS") == SOME_SUM


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        SOME_SUM[:-1],
        f"{SOME_SUM}  other",
        f"{SOME_SUM}  tool.tar.gz\n{OTHER_SUM}  tool.tar.gz",
    ],
)
def test_a_checksum_file_without_the_file_is_refused(text: str) -> None:
    with pytest.raises(artifact_lock.ArtifactError, match=r"SHA256SUMS has no single sha256 for tool.tar.gz"):
        artifact_lock.published_sum(text, "tool.tar.gz", "SHA256SUMS")


@pytest.mark.parametrize(
    ("url", "mirror", "expected"),
    [
        (UPSTREAM, "", UPSTREAM),
        (UPSTREAM, "http://10.0.0.1:8088/", "http://10.0.0.1:8088/example.org/v1.0.0/tool.tar.gz"),
        ("images/pause-1.tar", "http://10.0.0.1:8088", "http://10.0.0.1:8088/images/pause-1.tar"),
    ],
)
def test_effective_url(url: str, mirror: str, expected: str) -> None:
    assert artifact_lock.effective_url(url, mirror) == expected


def test_a_file_of_the_mirror_needs_a_mirror() -> None:
    with pytest.raises(artifact_lock.ArtifactError, match="set cluster_mirror"):
        artifact_lock.effective_url("images/pause-1.tar", "")


# --- the lock


def wanted(checksum: str | None = UPSTREAM + ".sha256") -> list[artifact_lock.Wanted]:
    return [
        artifact_lock.Wanted.from_entry(
            "tool",
            {"version": "1.0.0", "url": UPSTREAM, "checksum": checksum, "install": {"tool": "tool"}, "link_dir": "/x"},
        )
    ]


def publish(mirror: Mirror, content: bytes) -> None:
    path = UPSTREAM.split("://", 1)[1]
    mirror.files.update({path: content, f"{path}.sha256": sha256(content).encode()})


def resolve_and_write(
    lock: Path, mirror: str, items: list[artifact_lock.Wanted] | None = None, verify: bool = False
) -> artifact_lock.Resolution:
    resolution = artifact_lock.resolve(items or wanted(), mirror, str(lock), 5, verify)
    if resolution.learnt:
        artifact_lock.write(str(lock), resolution.after)
    return resolution


def test_learns_the_published_sum_and_then_asks_nobody(mirror: Mirror, tmp_path: Path) -> None:
    publish(mirror, b"one")
    lock = tmp_path / "state" / "artifacts.lock"
    first = resolve_and_write(lock, mirror.url)
    assert first.artifacts == {
        "tool": {
            "version": "1.0.0",
            "url": f"{mirror.url}/example.org/v1.0.0/tool.tar.gz",
            "sha256": sha256(b"one"),
            "install": {"tool": "tool"},
            "link_dir": "/x",
        },
    }
    assert [path for path, _range in mirror.requests] == ["/example.org/v1.0.0/tool.tar.gz.sha256"]
    text = lock.read_text()
    second = resolve_and_write(lock, mirror.url)
    assert (second.artifacts, second.learnt, len(mirror.requests), lock.read_text()) == (first.artifacts, [], 1, text)
    assert lock.parent.stat().st_mode & 0o777 == 0o700


def test_learns_from_the_file_itself_where_no_sum_is_published(mirror: Mirror, tmp_path: Path) -> None:
    publish(mirror, b"one")
    assert resolve_and_write(tmp_path / "lock", mirror.url, wanted(None)).artifacts["tool"]["sha256"] == sha256(b"one")


def test_the_lock_holds_against_a_replaced_file_and_another_mirror(mirror: Mirror, tmp_path: Path) -> None:
    publish(mirror, b"one")
    resolve_and_write(tmp_path / "lock", mirror.url)
    publish(mirror, b"two")
    for address in (mirror.url, "http://elsewhere.example.org", ""):
        assert resolve_and_write(tmp_path / "lock", address).artifacts["tool"]["sha256"] == sha256(b"one")
    with pytest.raises(artifact_lock.ArtifactError) as error:
        resolve_and_write(tmp_path / "lock", mirror.url, verify=True)
    for word in (
        "tool 1.0.0",
        "tool.tar.gz",
        sha256(b"one"),
        sha256(b"two"),
        str(tmp_path / "lock"),
        "remove its entry",
    ):
        assert word in str(error.value)
    assert resolve_and_write(tmp_path / "lock", mirror.url).artifacts["tool"]["sha256"] == sha256(b"one")


def test_all_problems_are_told_at_once_and_nothing_is_locked(mirror: Mirror, tmp_path: Path) -> None:
    publish(mirror, b"one")
    entries = {
        name: {"version": "1", "url": f"https://example.org/{name}", "checksum": f"https://example.org/{name}.sha256"}
        for name in ("a", "b")
    }
    items = wanted() + [artifact_lock.Wanted.from_entry(name, entry) for name, entry in entries.items()]
    with pytest.raises(artifact_lock.ArtifactError) as error:
        resolve_and_write(tmp_path / "lock", mirror.url, items)
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["a 1", "b 1"]
    assert not (tmp_path / "lock").exists()


def test_entries_of_other_versions_stay_and_the_file_is_sorted(tmp_path: Path) -> None:
    locked = [
        artifact_lock.Locked("b", "1", "https://example.org/b", SOME_SUM),
        artifact_lock.Locked("a", "2", "https://example.org/a", OTHER_SUM),
    ]
    artifact_lock.write(str(tmp_path / "lock"), locked)
    assert [entry.name for entry in artifact_lock.read(str(tmp_path / "lock"))] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"artifacts": [{"name": "a"}]}',
        '{"artifacts": [{"name": "a", "version": "1", "url": "u", "sha256": "x"}]}',
    ],
)
def test_a_damaged_lock_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with pytest.raises(artifact_lock.ArtifactError, match=str(tmp_path / "lock")):
        artifact_lock.read(str(tmp_path / "lock"))
