# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A cluster's directory is put back as a whole, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.backup.cluster_directory import (
    RestoreError,
    noted,
    put,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files as private_files


@pytest.fixture
def src(tmp_path) -> Path:
    (tmp_path / "extracted" / "pki").mkdir(parents=True)
    key = tmp_path / "extracted" / "pki" / "ca-key.pem"
    key.write_text("archived")
    key.chmod(0o600)
    return tmp_path / "extracted"


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / "clusters" / "production" / "pki").mkdir(parents=True)
    (tmp_path / "clusters" / "production" / "pki" / "ca-key.pem").write_text("newer")
    return tmp_path / "clusters" / "production"


def content(path: Path | str) -> str:
    return (Path(path) / "pki" / "ca-key.pem").read_text()


def test_put_back_and_kept_aside(src, path):
    changed, before = put(str(src), str(path), "word", {"revision": 7}, check_mode=True)
    assert changed and content(path) == "newer" and not os.path.exists(before)
    changed, before = put(str(src), str(path), "word", {"revision": 7})
    assert changed and content(path) == "archived" and content(before) == "newer"
    assert noted(str(path)) == "word" and json.loads((path / "restored.json").read_text())["revision"] == 7
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, path / "pki")} == {0o700}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path / "restored.json", path / "pki" / "ca-key.pem")} == {
        0o600
    }


def test_what_runs_after_it_stays(src, path):
    put(str(src), str(path), "word", {})
    (path / "pki" / "ca-key.pem").write_text("renewed since")
    assert put(str(src), str(path), "word", {}) == (False, "")
    assert content(path) == "renewed since"
    assert put(str(src), str(path), "another", {})[0] and content(path) == "archived"


def test_where_nothing_was(src, tmp_path):
    path = tmp_path / "new" / "clusters" / "production"
    assert put(str(src), str(path), "word", {}, check_mode=True) == (True, "") and not (tmp_path / "new").exists()
    assert put(str(src), str(path), "word", {}) == (True, "") and content(path) == "archived"


@pytest.mark.parametrize("when", ["copy", "first rename", "second rename"])
def test_killed_at_any_moment(src, path, monkeypatch, when):
    real, renames = os.rename, []

    def rename(source, target):
        if str(target).endswith("restored.json"):
            return real(source, target)
        renames.append(target)
        if len(renames) == {"copy": 0, "first rename": 1, "second rename": 2}[when]:
            raise KeyboardInterrupt
        return real(source, target)

    if when == "copy":
        monkeypatch.setattr(
            "shutil.copytree", lambda *_arguments, **_options: (nothing for nothing in ()).throw(KeyboardInterrupt())
        )
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        put(str(src), str(path), "word", {})
    monkeypatch.undo()
    assert not path.exists() or content(path) == "newer"
    assert put(str(src), str(path), "word", {})[0] and content(path) == "archived"
    kept = [content(each) for each in path.parent.iterdir() if ".before-" in each.name]
    assert kept == ["newer"]


def test_what_is_no_cluster_is_refused(src, path, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RestoreError, match="has no pki"):
        put(str(tmp_path / "empty"), str(path), "word", {})
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(private_files.FileRefused, match="symbolic link"):
        put(str(src), str(link), "word", {})
    assert content(path) == "newer"
