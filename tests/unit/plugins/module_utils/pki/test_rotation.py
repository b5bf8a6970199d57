# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import rotation
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.rotation import RotationError, empty, enter, finish


def through(state: dict, *stages: str, names=("ca",)) -> dict:
    for stage in stages:
        state = enter(state, stage, list(names))
    return state


def test_the_stages():
    trust = through(empty(), "trust")
    assert trust == {
        "generations": {"ca": {"trusted": [1, 2], "active": 1}},
        "stage": {"name": "trust", "names": ["ca"]},
    }
    reissue = enter(trust, "reissue", [])
    assert reissue["generations"]["ca"] == {"trusted": [1, 2], "active": 2}
    drop = enter(reissue, "drop", [])
    assert drop["generations"]["ca"] == {"trusted": [2], "active": 2}
    assert finish(drop) == {"generations": {"ca": {"trusted": [2], "active": 2}}, "stage": None}
    again = through(finish(drop), "trust")
    assert again["generations"]["ca"] == {"trusted": [2, 3], "active": 2}


@pytest.mark.parametrize("reached", [["trust"], ["trust", "reissue"], ["trust", "reissue", "drop"]])
def test_a_run_again_goes_on_where_it_was(reached):
    state = through(empty(), *reached)
    for stage in reached:
        assert enter(state, stage, []) == state


def test_several_at_once_in_a_fixed_order():
    state = enter(empty(), "trust", ["encryption", "ca"])
    assert state["stage"]["names"] == ["ca", "encryption"]
    assert set(state["generations"]) == {"ca", "encryption"}


def test_what_is_noted_stays_through_the_stages_that_it_was_noted_in():
    state = rotation.note(through(empty(), "trust"), published="2026-01-01T00:00:00Z")
    assert rotation.note(state, published="2027-01-01T00:00:00Z") == state
    assert rotation.note(empty(), published="2027-01-01T00:00:00Z") == empty()


@pytest.mark.parametrize(
    ("before", "stage", "names", "cause"),
    [
        ([], "reissue", ["ca"], "no rotation is under way"),
        ([], "trust", [], "names: is empty"),
        ([], "trust", ["nothing"], "nothing of that name"),
        (["trust"], "drop", [], "reissue comes first"),
        (["trust"], "trust", ["etcd-ca"], "a rotation of ca is under way (stage trust)"),
    ],
)
def test_what_cannot_be(before, stage, names, cause):
    with pytest.raises(RotationError, match=cause.replace("(", r"\(").replace(")", r"\)")):
        enter(through(empty(), *before), stage, names)


def test_it_does_not_end_early():
    with pytest.raises(RotationError, match="at the stage trust"):
        finish(through(empty(), "trust"))
    assert finish(empty()) == empty()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"generations": {}}',
        '{"generations": {"ca": {"trusted": [1], "active": 2}}, "stage": null}',
        '{"generations": {"other": {"trusted": [1], "active": 1}}, "stage": null}',
        '{"generations": {}, "stage": {"name": "trust", "names": ["ca"]}}',
        '{"generations": {"ca": {"trusted": [2, 1], "active": 1}}, "stage": null}',
    ],
)
def test_a_damaged_file(text):
    with pytest.raises(RotationError, match=r"rotation.json: is not the state of a rotation"):
        rotation.parse(text, "rotation.json")


def test_read_back():
    state = through(empty(), "trust", "reissue")
    assert rotation.parse(json.dumps(state), "rotation.json") == state
