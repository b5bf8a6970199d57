# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that another process holds: how long they are waited for, and what is said of that process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files, locks

HOLD = """
import fcntl, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
if sys.argv[2] == "child" and os.fork():
    os._exit(0)
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[3]))
"""


class Others:
    """Processes that hold the lock on a path."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def hold(self, path: Path, how: str = "itself", seconds: float = 600) -> int:
        words = [sys.executable, "-c", HOLD, str(path), how, str(seconds), "--token=geheim"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        self.pids.append(int(process.stdout.readline()))
        if how == "child":
            process.wait()
        return self.pids[-1]

    def end(self) -> None:
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


@pytest.fixture
def others() -> Iterator[Others]:
    started = Others()
    yield started
    started.end()


@pytest.fixture(params=["file", "directory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / "held"
    made.mkdir() if request.param == "directory" else made.touch()
    return made


def take(path: Path, seconds: float) -> None:
    with files.lock(str(path), seconds=seconds):
        pass


@pytest.mark.parametrize("how", ["itself", "child"])
def test_a_wait_ends_and_names_the_lock_and_its_holder(path: Path, others: Others, how: str) -> None:
    pid = others.hold(path, how)
    began = time.monotonic()
    with pytest.raises(files.FileRefused) as refused:
        take(path, 0.2)
    assert time.monotonic() - began < 5
    told = str(refused.value)
    assert told.startswith(f"{path}: another run is at work: process {pid} (python")
    assert f"Fix: wait until it has ended, or end it (kill {pid})" in told
    assert "geheim" not in told


def test_a_lock_that_becomes_free_is_taken(path: Path, others: Others) -> None:
    others.hold(path, seconds=0.3)
    take(path, 30)


def test_each_holder_has_its_own_time(path: Path, others: Others) -> None:
    """Hosts of one run take their turns in processes of their own: who is the last one waits for all."""
    first = others.hold(path, seconds=0.6)
    found = iter([[locks.Holder(first, "")], [locks.Holder(first + 1, "")]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "holders", lambda path: next(found))
        take(path, 0.4)


def test_only_those_that_hold_the_lock_are_named(path: Path, others: Others) -> None:
    pid = others.hold(path)
    with subprocess.Popen(["sleep", "600"], stdin=os.open(path, os.O_RDONLY)) as reader:
        found = locks.holders(str(path))
        reader.kill()
    assert [holder.pid for holder in found] == [pid]
    others.end()
    assert locks.holders(str(path)) == []


def test_holders_of_other_users_are_found_in_the_list_of_the_kernel(path: Path, others: Others) -> None:
    """Their open files cannot be read."""
    pid = others.hold(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locks, "_locks", lambda pid, status: False)
        assert [holder.pid for holder in locks.holders(str(path))] == [pid]


def test_a_holder_that_cannot_be_seen_is_told_so(path: Path, others: Others) -> None:
    others.hold(path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(files.FileRefused, match="cannot be seen from here"):
        patch.setattr(locks, "holders", lambda path: [])
        take(path, 0.2)


def test_a_file_that_another_run_never_ends_to_write_is_named(
    tmp_path: Path, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_WRITTEN", 0.2)
    target = tmp_path / "cert.pem"
    temporary = Path(files.temporary_of(str(target)))
    temporary.write_text("half")
    pid = others.hold(temporary)
    with pytest.raises(files.FileRefused, match=f"process {pid} "):
        files.write(str(target), b"whole", files.PUBLIC)
    assert temporary.read_text() == "half" and not target.exists()
    others.end()
    files.write(str(target), b"whole", files.PUBLIC)
    assert os.listdir(tmp_path) == ["cert.pem"]


def test_a_command_is_told_without_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locks, "PROC", str(tmp_path))
    for words, told in (
        (["/usr/bin/python3", "/venv/bin/ansible-playbook", "-e", "token=x"], "python3 ansible-playbook"),
        (["/usr/bin/python3", "/root/.ansible/tmp/1/AnsiballZ_component.py"], "python3 AnsiballZ_component.py"),
        (["a\x1b[2J", "password=x", "y"], "a?[2J"),
        ([""], ""),
    ):
        (tmp_path / "7").mkdir(exist_ok=True)
        (tmp_path / "7/cmdline").write_bytes("\0".join(words).encode())
        assert locks._command(7) == told


NOTE = locks.Note.of_this_process("run-1", "ansible-playbook site.yml")
KEEP = """
import sys, time
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import locks
print(locks.keep(sys.argv[1], locks.Note.of_this_process("run-2", "work \\x1b[31m")), flush=True)
time.sleep(600)
"""


def test_a_lock_that_is_kept_has_the_note_of_its_process_and_is_free_when_that_is_killed(tmp_path):
    path = str(tmp_path / "lock")
    assert locks.noted(path) is None
    with subprocess.Popen(
        [sys.executable, "-c", KEEP, path], stdout=subprocess.PIPE, text=True, env=_environment()
    ) as other:
        try:
            assert other.stdout and int(other.stdout.readline())
            assert locks.keep(path, NOTE) is None
            note = locks.noted(path)
            assert note and (note.run, note.pid, note.work) == ("run-2", other.pid, "work ?[31m")
        finally:
            other.kill()
    # The note is still there, and says nothing.
    assert "run-2" in Path(path).read_text()
    assert locks.noted(path) is None
    descriptor = locks.keep(path, NOTE)
    assert descriptor and locks.noted(path) == NOTE
    os.close(descriptor)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}', "\udcff"])
def test_a_note_that_cannot_be_read_is_none(tmp_path, text, others):
    path = tmp_path / "lock"
    path.write_bytes(text.encode(errors="surrogateescape"))
    others.hold(path)
    assert locks.noted(str(path)) is None
    assert locks.keep(str(path), NOTE) is None


def test_a_link_is_no_lock(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "lock").symlink_to("file")
    with pytest.raises(OSError):
        locks.keep(str(tmp_path / "lock"), NOTE)
    assert (tmp_path / "file").read_text() == "kept"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
