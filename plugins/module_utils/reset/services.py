# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of components: stopped in order, disabled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.footprint import OTHERS, PODS, Footprint
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, ResetError, Scope

STOP_TIMEOUT = 120  # longer than the units' TimeoutStopSec, after which systemd kills


def levels(footprints: Mapping[str, Footprint]) -> dict[str, int]:
    """Component -> when it stops: what uses another stops before it. Raises ResetError for components that wait for each other."""
    found: dict[str, int] = {}

    def level(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise ResetError(
                f"components stop after each other: {' -> '.join([*above[above.index(name) :], name])}",
                fix="correct stops_after of one of them",
            )
        if name not in found:
            before = [other for other in footprints[name].stops_after if other in footprints]
            found[name] = 1 + max((level(other, (*above, name)) for other in before), default=-1)
        return found[name]

    for name in footprints:
        level(name)
    return found


def _before(name: str, footprints: Mapping[str, Footprint]) -> set[str]:
    """The components that stop before another, and those before them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        known = footprints.get(waiting.pop())
        new = [other for other in (known.stops_after if known else ()) if other not in found]
        found.update(new)
        waiting += new
    return found


def ordered(services: Mapping[str, str], footprints: Mapping[str, Footprint], names: Iterable[str]) -> list[list[str]]:
    """The services (component -> service) of these components, in the order in which they stop; those of a step stop at once.

    Components without a declaration stop with the others (:data:`OTHERS`).
    """
    known = levels(footprints)
    chosen = set(names)
    steps: dict[int, list[str]] = {}
    for name, service in sorted(services.items()):
        if name in chosen:
            steps.setdefault(known.get(name, known.get(OTHERS, 0)), []).append(service)
    return [steps[level] for level in sorted(steps)]


def before_pods(scope: Scope) -> Services:
    """The services without which no pod is started again."""
    names = _before(PODS, scope.footprints)
    return Services(ordered(scope.services, scope.footprints, names & set(scope.services)))


def after_pods(scope: Scope) -> Services:
    names = _before(PODS, scope.footprints)
    return Services(ordered(scope.services, scope.footprints, set(scope.services) - names))


class Services:
    """Our units that run, failed, or start at boot."""

    def __init__(self, steps: Sequence[Sequence[str]]) -> None:
        self.steps = steps

    def find(self) -> list[Finding]:
        return [Finding(f"service {name}", name) for step in self.steps for name in step if _is_present(name)]

    def remove(self, findings: list[Finding]) -> None:
        present = {finding.target for finding in findings}
        for step in self.steps:
            names = [name for name in step if name in present]
            if not names:
                continue
            if commands.run("systemctl", "stop", *names, timeout=STOP_TIMEOUT)[0]:
                commands.run("systemctl", "kill", "--signal=SIGKILL", *names)
                commands.run("systemctl", "stop", *names, timeout=STOP_TIMEOUT)
            commands.run("systemctl", "disable", "--quiet", *names)
            commands.run("systemctl", "reset-failed", *names)


def _is_present(service: str) -> bool:
    shown = commands.run("systemctl", "show", service, "--property=ActiveState,UnitFileState")[1]
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return state.get("ActiveState", "inactive") != "inactive" or state.get("UnitFileState", "").startswith("enabled")
