# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What site.yml does to a host, read from its steps: the tasks of the roles, in their order, with the conditions on their way.

So that who asks what site.yml would change needs no list of components of its own, which would be one more to keep true.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

COLLECTION = "hardway.kubernetes"
ROLE_IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
TASK_IMPORTS = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
#: With these a task is more than one call. Files that are included for each of several are for hosts that come or go, and left out.
LOOPS = re.compile(r"^(loop|with_\w+)$")

Load = t.Callable[[str], t.Any]


class Unreadable(HardwayError):
    """A file of a step or a role that is not what it was taken for."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One task of a role: its module, the module's arguments and the conditions as they are written."""

    role: str
    action: str
    arguments: t.Mapping[str, t.Any]
    conditions: tuple[t.Any, ...] = ()
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    register: str = ""
    name: str = ""


def steps_of(load: Load, root: str, groups: t.Collection[str], actions: t.Collection[str]) -> list[Step]:
    """The tasks with one of *actions* that site.yml runs for a host in *groups*.

    :arg load: reads a YAML file
    :arg root: directory of the collection
    """
    found: list[Step] = []
    for path in sorted(glob.glob(os.path.join(root, "playbooks", "steps", "[0-9]*.yml"))):
        for play in load(path) or []:
            if set(re.split("[:,]", str(play.get("hosts", "")))) & set(groups):
                found += _tasks(
                    load,
                    root,
                    play.get("tasks") or [],
                    actions,
                    Step("", "", {}, _list(play.get("when")), play.get("vars") or {}),
                )
    return found


def role_files(load: Load, root: str, role: str) -> tuple[list[str], list[str]]:
    """The files of a role's defaults and variables, those of the roles that it depends on before its own."""
    directory = os.path.join(root, "roles", role)
    defaults: list[str] = []
    variables: list[str] = []
    meta = os.path.join(directory, "meta", "main.yml")
    for dependency in ((load(meta) or {}).get("dependencies") or []) if os.path.isfile(meta) else []:
        name = dependency if isinstance(dependency, str) else dependency.get("role") or dependency.get("name")
        inner = role_files(load, root, _own(name))
        defaults += inner[0]
        variables += inner[1]
    for found, kind in ((defaults, "defaults"), (variables, "vars")):
        found += sorted(
            glob.glob(os.path.join(directory, kind, "main.yml"))
            + glob.glob(os.path.join(directory, kind, "main", "*.yml"))
        )
    return defaults, variables


def _tasks(load: Load, root: str, tasks: t.Iterable[t.Mapping], actions: t.Collection[str], around: Step) -> list[Step]:
    found: list[Step] = []
    for task in tasks:
        inside = dataclasses.replace(
            around,
            conditions=around.conditions + _list(task.get("when")),
            variables={**around.variables, **(task.get("vars") or {})},
            register=task.get("register", ""),
            name=task.get("name", ""),
        )
        if "block" in task:
            found += _tasks(load, root, task["block"], actions, inside)
        for key in task:
            if key in ROLE_IMPORTS:
                role = _own(task[key]["name"])
                found += _role(load, root, role, task[key].get("tasks_from", "main"), actions, inside)
            elif key in TASK_IMPORTS and not _is_loop(task):
                name = task[key] if isinstance(task[key], str) else task[key]["file"]
                path = os.path.join(root, "roles", around.role, "tasks", name)
                found += _tasks(load, root, load(path) or [], actions, inside)
            elif key in actions:
                if _is_loop(task):
                    raise Unreadable(f"role {around.role}: task '{inside.name}' has a loop: a component is one call")
                found.append(dataclasses.replace(inside, action=key, arguments=task[key] or {}))
    return found


def _role(load: Load, root: str, role: str, tasks_from: str, actions: t.Collection[str], around: Step) -> list[Step]:
    path = os.path.join(root, "roles", role, "tasks", f"{tasks_from.removesuffix('.yml')}.yml")
    return _tasks(load, root, load(path) or [], actions, dataclasses.replace(around, role=role))


def _is_loop(task: t.Mapping) -> bool:
    return any(LOOPS.match(word) for word in task)


def _own(name: str) -> str:
    if not name.startswith(f"{COLLECTION}."):
        raise Unreadable(f"{name} is no role of {COLLECTION}")
    return name.removeprefix(f"{COLLECTION}.")


def _list(value: t.Any) -> tuple[t.Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)
