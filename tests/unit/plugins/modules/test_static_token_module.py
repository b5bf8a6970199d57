# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module `static_token` as Ansible calls it."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hardway.kubernetes.plugins.modules import static_token

USER = {"user": "kubelet-bootstrap", "uid": "10001", "groups": ["system:bootstrappers"]}


@pytest.fixture(name="call")
def call_fixture(capsys: t.Any, tmp_path: Path) -> t.Callable[..., dict[str, t.Any]]:
    def run(*users: dict[str, t.Any], **arguments: t.Any) -> dict[str, t.Any]:
        given = {
            "path": str(tmp_path / "cluster" / "token.csv"),
            "tokens": list(users),
            "_ansible_diff": True,
            **arguments,
        }
        with patch_module_args(given), pytest.raises(SystemExit):
            static_token.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_from_nothing_to_the_second_run(call: t.Any, tmp_path: Path) -> None:
    path = tmp_path / "cluster" / "token.csv"
    planned = call(USER, _ansible_check_mode=True)
    assert planned["changed"]
    assert not path.parent.exists()
    made = call(USER)
    assert (made["changed"], made["users"], made["unwanted"]) == (True, [{**USER, "reason": "there was none"}], [])
    assert made["diff"] == planned["diff"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    token = path.read_text().partition(",")[0]
    assert len(token) == 32
    again = call(USER)
    assert (again["changed"], again["users"][0]["reason"]) == (False, "")
    assert token not in json.dumps([planned, made, again])


def test_a_loose_mode_is_a_change(call: t.Any, tmp_path: Path) -> None:
    call(USER)
    path = tmp_path / "cluster" / "token.csv"
    before = path.read_text()
    path.chmod(0o644)
    result = call(USER)
    assert (result["changed"], result["diff"]["before"]["mode"]) == (True, "0644")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == before


def test_unwanted_users_are_named_and_purged(call: t.Any) -> None:
    call(USER, {"user": "other", "uid": "7"})
    result = call(USER)
    assert (result["changed"], result["unwanted"], result["removed"]) == (False, ["other"], [])
    result = call(USER, purge=True)
    assert (result["changed"], result["unwanted"], result["removed"]) == (True, ["other"], ["other"])
    assert call(USER, purge=True)["unwanted"] == []


def test_a_given_token_takes_the_place_and_is_not_shown(call: t.Any, tmp_path: Path) -> None:
    call(USER)
    result = call({**USER, "token": "0123456789abcdef"})
    assert result["diff"]["after"]["users"][0]["token"] == "(another)"
    assert "0123456789abcdef" not in json.dumps({**result, "invocation": ""})
    assert (tmp_path / "cluster" / "token.csv").read_text().startswith("0123456789abcdef,")


def test_what_is_wrong_changes_nothing(call: t.Any, tmp_path: Path) -> None:
    result = call({**USER, "uid": ""}, USER)
    assert result["failed"]
    assert len(result["problems"]) == 2
    assert not (tmp_path / "cluster").exists()
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "token.csv").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in call(USER)["msg"]
