# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the rotation of CAs and keys has come.

Each CA and lasting key has generations. Which are trusted and which one is in use stands in a file of the cluster's
directory, and every playbook goes by it, so that a run in the middle of a rotation keeps what the rotation has reached.

A rotation has three stages, each brought into force on all hosts before the next begins:

trust
    A new generation is made and trusted beside the old one, which stays in use.
reissue
    The new one is in use: it issues certificates, signs tokens, encrypts.
drop
    The old one is trusted no more.
"""

from __future__ import annotations

import json
import typing as t

STAGES = ("trust", "reissue", "drop")
NAMES = ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca", "service-account", "encryption")

State = dict[str, t.Any]
FIRST: State = {"trusted": [1], "active": 1}


class RotationError(ValueError):
    """What cannot be done now, and what can."""


def empty() -> State:
    return {"generations": {}, "stage": None}


def parse(text: str, path: str) -> State:
    """The state that a file holds. Raises RotationError where it is none of ours."""
    try:
        state = json.loads(text)
        generations = {
            name: {"trusted": list(entry["trusted"]), "active": entry["active"]}
            for name, entry in state["generations"].items()
        }
        for name, entry in generations.items():
            if (
                name not in NAMES
                or entry["active"] not in entry["trusted"]
                or entry["trusted"] != sorted(set(entry["trusted"]))
            ):
                raise ValueError(f"{name} cannot be {entry}")
        under_way = state["stage"]
        if under_way is not None and (
            under_way["name"] not in STAGES or not set(under_way["names"]) <= set(generations)
        ):
            raise ValueError(f"stage cannot be {under_way}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RotationError(f"{path}: is not the state of a rotation ({error}); restore it from a backup") from error
    return {**state, "generations": generations}


def enter(state: State, stage: str, names: t.Sequence[str]) -> State:
    """The state once *stage* is reached for *names*; one that is beyond it already stays as it is.

    *names* may be empty where a rotation is under way: then it is that one.
    Raises RotationError for a stage that cannot follow, and for names other than those under way.
    """
    under_way = state["stage"]
    if under_way and names and set(names) != set(under_way["names"]):
        raise RotationError(
            f"a rotation of {', '.join(under_way['names'])} is under way (stage {under_way['name']}); "
            "finish it first by the same playbook without names, then rotate the others"
        )
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise RotationError(f"{', '.join(unknown)}: nothing of that name can be rotated; there are {', '.join(NAMES)}")
    if not under_way:
        if stage != "trust":
            raise RotationError(f"stage {stage}: no rotation is under way; it begins with the stage trust")
        if not names:
            raise RotationError("names: is empty; name what to rotate")
        return _advanced(state, "trust", [name for name in NAMES if name in names])
    reached = STAGES.index(under_way["name"])
    wanted = STAGES.index(stage)
    if wanted <= reached:
        return state
    if wanted > reached + 1:
        raise RotationError(
            f"stage {stage}: the rotation is at the stage {under_way['name']}; {STAGES[reached + 1]} comes first"
        )
    return _advanced(state, stage, under_way["names"])


def finish(state: State) -> State:
    """The state once the last stage is in force everywhere. Raises RotationError before."""
    under_way = state["stage"]
    if under_way and under_way["name"] != STAGES[-1]:
        raise RotationError(f"the rotation is at the stage {under_way['name']}; it ends after {STAGES[-1]}")
    return {**state, "stage": None}


def note(state: State, **values: t.Any) -> State:
    """Write something down for the stage that is under way; what was noted before stays."""
    return {**state, "stage": {**values, **state["stage"]}} if state["stage"] else state


def _advanced(state: State, stage: str, names: t.Sequence[str]) -> State:
    generations = dict(state["generations"])
    for name in names:
        generations[name] = _generation(generations.get(name, FIRST), stage)
    return {"generations": generations, "stage": {"name": stage, "names": list(names)}}


def _generation(entry: State, stage: str) -> State:
    newest = entry["trusted"][-1]
    if stage == "trust":
        return {"trusted": [*entry["trusted"], newest + 1], "active": entry["active"]}
    return {"trusted": entry["trusted"] if stage == "reissue" else [newest], "active": newest}
