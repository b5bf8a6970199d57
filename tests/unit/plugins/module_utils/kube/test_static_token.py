# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import dataclasses
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import static_token as static

TOKEN = "02b50b05283e98dd0fd71db496ef01e8"
DOCUMENTS = f'{TOKEN},kubelet-bootstrap,10001,"system:kubelet-bootstrap"\n'
WISH = static.Line("kubelet-bootstrap", "10001", ("system:kubelet-bootstrap",))
OTHER = static.Line("someone", "7", ("a", "b"))


def outcome(path: Path, *wanted: static.Line, purge: bool = False) -> static.Outcome:
    return static.reconcile(static.read(str(path))[0], wanted, purge)


def test_the_documents_line_is_adopted_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "token.csv"
    path.write_text(DOCUMENTS)
    found = outcome(path, WISH)
    assert found == static.Outcome([dataclasses.replace(WISH, token=TOKEN)], {"kubelet-bootstrap": ""}, [])
    static.write(str(path), found.lines)
    assert path.read_text() == DOCUMENTS


def test_a_token_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "token.csv"
    found = outcome(path, WISH, OTHER)
    assert set(found.reasons.values()) == {"there was none"}
    assert [len(line.token) for line in found.lines] == [32, 32]
    assert found.lines[0].token != found.lines[1].token
    static.write(str(path), found.lines)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert static.read(str(path)) == (found.lines, 0o600)
    assert outcome(path, WISH, OTHER) == static.Outcome(found.lines, {"kubelet-bootstrap": "", "someone": ""}, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uid": "10002"}, "uid changed"),
        ({"groups": ("x",)}, "groups changed"),
        ({"token": "f" * 16}, "token changed"),
        ({"uid": "1", "groups": ()}, "uid and groups changed"),
    ],
)
def test_each_difference_is_named_and_keeps_the_rest(tmp_path: Path, change: dict[str, t.Any], reason: str) -> None:
    path = tmp_path / "token.csv"
    path.write_text(DOCUMENTS)
    found = outcome(path, dataclasses.replace(WISH, **change))
    assert found.reasons == {"kubelet-bootstrap": reason}
    assert found.lines == [dataclasses.replace(WISH, **{"token": TOKEN, **change})]


def test_unwanted_lines_stay_in_their_place_until_they_are_purged(tmp_path: Path) -> None:
    path = tmp_path / "token.csv"
    path.write_text(
        "first-token,someone,7\n\n" + DOCUMENTS + 'second,kubelet-bootstrap,8\n"a ""b"", c","x y",9,"g h,i"\n'
    )
    found = outcome(path, WISH)
    assert found.unwanted == ["someone", "kubelet-bootstrap", "x y"]
    assert [line.user for line in found.lines] == ["someone", "kubelet-bootstrap", "kubelet-bootstrap", "x y"]
    static.write(str(path), found.lines)
    assert static.read(str(path))[0] == found.lines
    assert found.lines[3] == static.Line("x y", "9", ("g h", "i"), 'a "b", c')
    assert outcome(path, WISH, purge=True).lines == [dataclasses.replace(WISH, token=TOKEN)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alone\n", 'line 1 is not token,user,uid,"groups"'),
        (DOCUMENTS + "secret,b\n", "line 2 is not"),
        (",user,1\n", "line 1 is not"),
        ("secret,,1\n", "line 1 is not"),
        ('"secret,a,1\n', "is not CSV"),
        ("secret\xff,a,1\n", "is not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_without_its_text(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "token.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(static.TokenFileError) as error:
        static.read(str(path))
    assert str(path) in str(error.value) and words in str(error.value)
    assert "secret" not in str(error.value)


def test_a_token_that_two_would_share_is_refused_without_it(tmp_path: Path) -> None:
    path = tmp_path / "token.csv"
    path.write_text(DOCUMENTS)
    with pytest.raises(static.TokenFileError, match="kubelet-bootstrap and someone would have the same token") as error:
        outcome(path, dataclasses.replace(OTHER, token=TOKEN))
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([dataclasses.replace(WISH, user="a,b")], "tokens[0].user: 'a,b'"),
        ([dataclasses.replace(WISH, user="")], "tokens[0].user: ''"),
        ([WISH, dataclasses.replace(OTHER, uid="a b")], "tokens[1].uid: 'a b'"),
        ([dataclasses.replace(WISH, groups=('a"',))], "tokens[0].groups: "),
        (
            [dataclasses.replace(WISH, token="short-secret")],
            "tokens[0].token: it is too short, or has a blank, comma or quotation mark. Fix: give at least 16",
        ),
        ([dataclasses.replace(WISH, token="long enough, but not one word")], "tokens[0].token: "),
        ([WISH, WISH], "tokens: kubelet-bootstrap is given twice"),
        (
            [dataclasses.replace(WISH, token=TOKEN), dataclasses.replace(OTHER, token=TOKEN)],
            "two users have the same token",
        ),
    ],
)
def test_bad_wishes_are_named(wanted: list[static.Line], words: str) -> None:
    problems = static.check(wanted)
    assert len(problems) == 1
    assert problems[0].startswith(words) or words in problems[0]
    assert "secret" not in problems[0] and "one word" not in problems[0] and TOKEN not in problems[0]


def test_no_text_of_ours_has_a_token() -> None:
    line = dataclasses.replace(WISH, token=TOKEN)
    assert TOKEN not in repr(line) + str(line.report())
    assert static.check([WISH, OTHER]) == []
