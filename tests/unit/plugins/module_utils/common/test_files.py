# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files: whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files


class Killed(BaseException):
    """The run dies here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def die(*_arguments: object, **_options: object) -> None:
        raise Killed(name)

    monkeypatch.setattr(os, name, die)


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_every_path_has_one_temporary_name_next_to_it(name: str) -> None:
    temporary = files.temporary_of(f"/etc/haproxy/{name}")
    assert os.path.dirname(temporary) == "/etc/haproxy"
    assert temporary == files.temporary_of(f"/etc/haproxy/{name}")
    assert files.is_temporary(os.path.basename(temporary))


def test_temporary_names_fit_into_a_directory(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 255))
    files.write(path, b"long", files.PUBLIC)
    assert os.listdir(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("name", ["haproxy.cfg", ".lock", "a.hardway-new", ".bashrc"])
def test_other_names_are_not_temporary(name: str) -> None:
    assert not files.is_temporary(name)


def test_a_file_is_written_whole_with_its_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("old")
    files.write(str(path), b"new", 0o640, os.getuid(), os.getgid())
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["key.pem"]


@pytest.mark.parametrize("step", ["fchmod", "fsync", "rename", "fchown"])
def test_a_failed_write_changes_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(Killed):
            files.write(str(path), b"new", files.PUBLIC, os.getuid(), os.getgid())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["config"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_a_killed_write_left_is_replaced_by_the_next(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "key.pem")
    left = Path(files.temporary_of(path))
    if kind == "file":
        left.write_text("half")
        left.chmod(0o644)
    else:
        left.symlink_to("elsewhere")
    files.write(path, b"whole", files.SECRET)
    assert os.listdir(tmp_path) == ["key.pem"]
    assert files.read(path) == files.Content(b"whole", files.SECRET)


def test_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    failures: list[BaseException] = []

    def write_many(letter: bytes) -> None:
        try:
            for _number in range(40):
                files.write(path, letter * 5000, files.PUBLIC)
                found = Path(path).read_bytes()
                assert found == found[:1] * 5000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write_many, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert os.listdir(tmp_path) == ["file"]


def test_a_staged_file_waits_under_its_temporary_name(tmp_path: Path) -> None:
    path = str(tmp_path / "cert.pem")
    staged = files.stage(path, b"new", files.PUBLIC)
    assert staged == files.temporary_of(path)
    assert not os.path.exists(path)
    files.move(staged, path, sync=True)
    assert files.read(path) == files.Content(b"new", files.PUBLIC)


def test_a_link_takes_the_place_of_a_file_or_a_link(tmp_path: Path) -> None:
    link = tmp_path / "etcd"
    link.write_text("file")
    for target in ("one", "two"):
        os.symlink("half", files.temporary_of(str(link)))
        files.write_link(str(link), target)
        assert os.readlink(link) == target
    assert os.listdir(tmp_path) == ["etcd"]


def test_reading_tells_what_is_missing_from_what_cannot_be_read(tmp_path: Path) -> None:
    assert files.read_bytes(str(tmp_path / "none")) is None
    assert files.read_text(str(tmp_path / "none")) == ""
    assert files.read_text(str(tmp_path)) == ""
    with pytest.raises(IsADirectoryError):
        files.read_bytes(str(tmp_path))
    (tmp_path / "some").write_bytes(b"a\xff")
    assert files.read_bytes(str(tmp_path / "some")) == b"a\xff"
    assert files.read_text(str(tmp_path / "some")) == "a\ufffd"


def test_a_private_file_is_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(files.FileRefused, match="symbolic link"):
        files.read(str(tmp_path / "link"))
    assert files.read(str(tmp_path / "none")) is None


def test_names_and_leftovers(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    Path(files.temporary_of(str(tmp_path / "a"))).touch()
    Path(files.temporary_of(str(tmp_path / "tree"))).mkdir()
    assert files.names(str(tmp_path)) == ["a", "b"]
    files.remove_leftovers(str(tmp_path))
    # A directory may be filled by a run that holds another lock.
    assert sorted(os.listdir(tmp_path)) == [".tree.hardway-new", "a", "b"]


def test_a_temporary_directory_is_moved_or_goes(tmp_path: Path) -> None:
    path = str(tmp_path / "data")
    Path(files.temporary_of(path), "left").mkdir(parents=True)
    with files.temporary_directory(path) as made:
        assert os.listdir(made) == []
        assert stat.S_IMODE(os.stat(made).st_mode) == 0o700
        files.move(made, path)
    assert os.listdir(tmp_path) == ["data"]
    with pytest.raises(Killed), files.temporary_directory(path):
        raise Killed
    assert os.listdir(tmp_path) == ["data"]
