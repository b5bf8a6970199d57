# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is stopped for a while, and that comes back although the run that stopped it dies.

A transient timer of systemd is set before the service stops, and starts it when the time is over. Who starts it earlier removes the timer
after that. So a run may die anywhere: the service runs, or a timer will start it. A restart of the machine ends the timer, and starts the
service, which is enabled.
Source: systemd-run(1), systemd.timer(5)
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError

PAUSED, RESUMED, STOPPED = "paused", "resumed", "stopped"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@_.:-]*")
#: States of a unit in which it will run, or runs.
STARTED = ("active", "activating", "reloading")
#: Beyond the time that a service gives its process to stop (TimeoutStopSec), and to start (TimeoutStartSec).
LONGEST_CHANGE = 600.0


class PauseError(HardwayError):
    """A service was not stopped, or not started."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """Whether the service runs, and whether a timer is set that will start it."""

    running: bool
    timer: bool


def timer_of(service: str) -> str:
    """The timer that starts a service again, by its name without ending, which its own service has too."""
    return f"hardway-resume-{service}"


def plan(service: str, state: str, seconds: int, seen: Seen) -> list[list[str]]:
    """The commands that bring a service into a state, in an order in which a run may die between any two of them."""
    timer = timer_of(service)
    forget = [["systemctl", "stop", f"{timer}.timer"]] if seen.timer else []
    stop = [["systemctl", "stop", service]]
    if state == STOPPED:
        return forget + (stop if seen.running else [])
    start = [] if seen.running else [["systemctl", "start", service]]
    if state == RESUMED:
        return start + forget
    # What a run that died has stopped is started first, since without its timer nothing else would.
    back = start if seen.timer else []
    return [*back, *forget, _timer(service, seconds), *(stop if seen.running or back else [])]


def _timer(service: str, seconds: int) -> list[str]:
    # Collected also after a failure, for a unit that is left keeps the next one of its name from being made.
    return [
        "systemd-run", "--quiet", "--collect", f"--unit={timer_of(service)}", f"--on-active={seconds}", "--timer-property=AccuracySec=1s",
        f"--description=Start {service} again, where the run that stopped it has died", "systemctl", "start", "--no-block", service,
    ]  # fmt: skip


def observe(service: str) -> Seen:
    shown = commands.output(
        "systemctl", "show", f"{service}.service", f"{timer_of(service)}.timer", "--property=ActiveState", "--value"
    )
    states = shown.split()
    if len(states) != 2:
        raise PauseError(
            f"systemctl told {len(states)} states for two units", where=service, fix="see systemctl status on this host"
        )
    return Seen(states[0] in STARTED, states[1] in STARTED)


def reconcile(service: str, state: str, seconds: int, check_mode: bool = False) -> dict[str, t.Any]:
    """Bring the service into a state. Raises HardwayError."""
    if not NAME.fullmatch(service):
        raise PauseError(f"{service!r} is not the name of a service", fix="give it without its ending .service")
    planned = plan(service, state, seconds, observe(service))
    for command in [] if check_mode else planned:
        commands.output(*command, timeout=LONGEST_CHANGE)
    return {"changed": bool(planned), "commands": [" ".join(command) for command in planned]}
