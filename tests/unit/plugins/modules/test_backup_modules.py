# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules `backup` and `backup_extract` as Ansible calls them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hardway.kubernetes.plugins.modules import backup, backup_extract


@pytest.fixture
def call(capsys):
    def run(module, check_mode: bool = False, **arguments) -> dict:
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check_mode, "_ansible_diff": True}),
            pytest.raises(SystemExit),
        ):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def arguments(tmp_path) -> dict:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca-key.pem").write_text("the key itself")
    return {"path": str(tmp_path / "backups"), "cluster": "production"}


@pytest.fixture
def making(arguments, tmp_path) -> dict:
    settings = json.dumps({"registry_password": "hunter2", "cluster_name": "production"})
    return {
        **arguments,
        "files": [{"src": str(tmp_path / "pki"), "dest": "pki"}],
        "settings": settings,
        "versions": {"etcd": "3.6.16"},
        "revision": 7,
    }


def test_made_listed_verified_extracted(call, arguments, making, tmp_path):
    planned = call(backup, check_mode=True, **making)
    assert planned["changed"] and not os.path.exists(arguments["path"])
    made = call(backup, **making)
    assert made["changed"] and made["diff"]["after"] == os.path.basename(made["archive"]) + "\n"
    assert made["manifest"]["revision"] == 7 and [file["path"] for file in made["manifest"]["files"]] == [
        "pki/ca-key.pem",
        "settings.json",
    ]
    listed = call(backup, state="listed", **arguments)
    assert not listed["changed"] and [each["sha256"] for each in listed["archives"]] == [made["sha256"]]
    verified = call(backup, state="verified", **arguments)
    assert not verified["changed"] and verified["proved"] == "content" and verified["manifest"] == made["manifest"]

    extraction = {"archive": made["archive"], "path": str(tmp_path / "out")}
    assert call(backup_extract, check_mode=True, **extraction)["changed"] and not (tmp_path / "out").exists()
    extracted = call(backup_extract, **extraction)
    assert extracted["changed"] and "pki/ca-key.pem" in extracted["diff"]["after"]
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["registry_password"] == "hunter2"
    assert not call(backup_extract, **extraction)["changed"]


def test_results_have_no_secret_and_are_not_full_of_stars(call, making):
    for check_mode in (True, False):
        result = call(backup, check_mode=check_mode, **making)
        text = json.dumps(result)
        assert "hunter2" not in text and "the key itself" not in text
        assert "production" in result["archive"], "a word of the settings was hidden everywhere"


def test_damage_is_refused(call, arguments, making, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(backup.AnsibleModule, "warn", lambda _module, text, **_options: warnings.append(text))
    call(backup, **making)
    path = Path(call(backup, **making)["archive"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged" in call(backup, state="verified", **arguments)["msg"]
    assert "is damaged" in call(backup_extract, archive=str(path), path=str(tmp_path / "out"))["msg"]
    assert not (tmp_path / "out").exists()
    again = call(backup, **making, keep=2)
    assert again["damaged"] == [str(path)] and [str(path) in text for text in warnings] == [True]


def test_refusals_name_all(call, making, tmp_path):
    making["files"] += [{"src": str(tmp_path / "missing"), "dest": "a"}, {"src": str(tmp_path / "pki"), "dest": "/b"}]
    refused = call(backup, **making)
    assert refused["failed"] and len(refused["problems"]) == 2 and "No archive was made" in refused["msg"]
    assert (
        "has no archive of production"
        in call(backup, state="verified", path=str(tmp_path), cluster="production")["msg"]
    )
    assert "No such file" in call(backup_extract, archive=str(tmp_path / "none"), path=str(tmp_path / "out"))["msg"]


def test_encryption_needs_its_library(call, making, monkeypatch):
    monkeypatch.setattr(backup.backup, "PYRAGE_IMPORT_ERROR", "no module named pyrage")
    assert "pyrage" in call(backup, recipients=["age1"], **making)["msg"]
    assert call(backup, **making)["changed"]


def test_encrypted(call, arguments, making, tmp_path):
    pyrage = pytest.importorskip("pyrage")
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"{identity}\n")
    made = call(backup, recipients=[str(identity.to_public())], **making)
    assert made["encrypted"] and made["archive"].endswith(".tar.gz.age")
    without = call(backup, state="verified", **arguments)
    assert without["proved"] == "sum" and without["manifest"] == {}
    assert (
        call(backup, state="verified", identity=str(tmp_path / "identity"), **arguments)["manifest"] == made["manifest"]
    )
    assert "is encrypted" in call(backup_extract, archive=made["archive"], path=str(tmp_path / "out"))["msg"]
    assert call(
        backup_extract, archive=made["archive"], path=str(tmp_path / "out"), identity=str(tmp_path / "identity")
    )["changed"]
