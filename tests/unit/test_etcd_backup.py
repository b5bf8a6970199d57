# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the timer on the members: a snapshot has its name when it is verified, and the newest is never removed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import typing as t
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "backup" / "files" / "etcd-backup.py"
NOW = 1795860000  # 2026-11-28T10:00:00Z
NAMES = [f"etcd-202611{day}T100000Z.db" for day in (21, 24, 26, 27)]


def load() -> t.Any:
    spec = importlib.util.spec_from_file_location("etcd_backup", PROGRAM)
    assert spec and spec.loader
    module = sys.modules["etcd_backup"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


backup = load()


@pytest.fixture(autouse=True)
def same_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("keep", "keep_days", "gone"),
    [
        (0, 0, []),
        (4, 0, []),
        (2, 0, NAMES[:2]),
        (0, 4, NAMES[:1]),
        (0, 3, NAMES[:2]),
        (3, 3, NAMES[:2]),
        (1, 30, NAMES[:3]),
    ],
)
def test_which_snapshots_go(keep, keep_days, gone):
    assert backup.expired(NAMES[::-1], keep, keep_days, NOW) == gone


def test_the_newest_stays_whatever_its_age():
    assert backup.expired(NAMES, 0, 1, NOW + 100 * backup.DAY) == NAMES[:3]
    assert backup.expired(NAMES[:1], 1, 1, NOW) == [] and backup.expired([], 1, 1, NOW) == []


def etcdctl(tmp_path: Path, fails: str = "") -> str:
    """Stands in for etcdctl: writes down what it is asked, and saves a file."""
    program = tmp_path / "etcdctl"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, pathlib\n"
        f"open({str(tmp_path / 'asked')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"if {fails!r} and {fails!r} in sys.argv: sys.exit(3)\n"
        "if 'save' in sys.argv: pathlib.Path(sys.argv[-1]).write_text('data')\n"
    )
    program.chmod(0o755)
    return str(program)


def configuration(tmp_path: Path, fails: str = "") -> tuple[str, Path]:
    directory = tmp_path / "snapshots"
    directory.mkdir()
    for name in (*NAMES, ".new.db", ".new.db.part", "mine.db", "etcd-x.db"):
        (directory / name).write_text("old")
    program = etcdctl(tmp_path, fails)
    path = tmp_path / "backup.json"
    settings = {
        "directory": str(directory),
        "etcdctl": [program, "--key=k"],
        "status": [program],
        "keep": 2,
        "keep_days": 0,
    }
    path.write_text(json.dumps(settings))
    return str(path), directory


def test_a_snapshot_is_taken_verified_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(backup.time, "time", lambda: NOW)
    path, directory = configuration(tmp_path)
    assert backup.main(path) == 0
    new = directory / "etcd-20261128T100000Z.db"
    assert new.read_text() == "data" and new.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in directory.iterdir()) == sorted([NAMES[-1], new.name, "mine.db", "etcd-x.db"])
    temporary = directory / ".new.db"
    assert (tmp_path / "asked").read_text().splitlines() == [
        "--key=k endpoint health",
        f"--key=k snapshot save {temporary}",
        f"snapshot status {temporary} --write-out=json",
    ]


@pytest.mark.parametrize("fails", ["health", "save", "status"])
def test_a_snapshot_that_fails_gets_no_name_and_removes_none(tmp_path, capsys, fails):
    path, directory = configuration(tmp_path, fails)
    assert backup.main(path) == 1
    assert set(NAMES) == set(backup.snapshots(str(directory)))
    assert f"{fails}" in capsys.readouterr().err


ROLES = PROGRAM.parents[2]
ONESHOT = [path for path in sorted(ROLES.glob("*/templates/*.service*")) if "\nType=oneshot" in path.read_text()]


@pytest.mark.parametrize("path", ONESHOT, ids=lambda path: path.name)
def test_a_service_that_runs_once_comes_to_an_end(path):
    """systemd gives it as long as it wants, and its timer starts no second one beside it (systemd.service(5), TimeoutStartSec)."""
    assert "\nTimeoutStartSec=" in path.read_text()


def test_there_is_one():
    assert PROGRAM.parents[1] / "templates" / "etcd-backup.service.j2" in ONESHOT
