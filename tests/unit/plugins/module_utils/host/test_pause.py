# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is stopped for a while, by runs that die at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import pause

SERVICE, TIMER = "kube-apiserver", "hardway-resume-kube-apiserver"
STATES = [pause.Seen(running, timer) for running, timer in itertools.product((True, False), repeat=2)]


class Died(Exception):
    pass


@dataclasses.dataclass
class Systemd:
    """One service and the timer that starts it; after *lives* commands the run dies."""

    running: bool
    timer: int | None = None
    lives: int = 100

    def output(self, *argv: str, timeout: float = 0) -> str:
        if argv[:2] == ("systemctl", "show"):
            states = {f"{SERVICE}.service": self.running, f"{TIMER}.timer": self.timer is not None}
            return "\n\n".join("active" if states[unit] else "inactive" for unit in argv[2:4]) + "\n"
        if self.lives == 0:
            raise Died
        self.lives -= 1
        if argv[0] == "systemd-run":
            assert self.timer is None, "Unit hardway-resume-kube-apiserver.timer was already loaded"
            assert argv[-4:] == ("systemctl", "start", "--no-block", SERVICE) and f"--unit={TIMER}" in argv
            self.timer = next(int(word.split("=")[1]) for word in argv if word.startswith("--on-active="))
        elif argv == ("systemctl", "stop", f"{TIMER}.timer"):
            self.timer = None
        elif argv == ("systemctl", "stop", SERVICE):
            self.running = False
        elif argv == ("systemctl", "start", SERVICE):
            self.running = True
        else:
            raise AssertionError(argv)
        return ""

    def seen(self) -> pause.Seen:
        return pause.Seen(self.running, self.timer is not None)


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(running=True)
    monkeypatch.setattr(commands, "output", made.output)
    return made


def test_it_is_away_with_a_timer_and_back_without(systemd: Systemd) -> None:
    assert pause.reconcile(SERVICE, pause.PAUSED, 780)["changed"]
    assert (systemd.running, systemd.timer) == (False, 780)
    assert pause.reconcile(SERVICE, pause.RESUMED, 780)["changed"]
    assert (systemd.running, systemd.timer) == (True, None)
    assert not pause.reconcile(SERVICE, pause.RESUMED, 780)["changed"]
    assert pause.reconcile(SERVICE, pause.STOPPED, 780)["changed"]
    assert not pause.reconcile(SERVICE, pause.STOPPED, 780)["changed"]


def test_check_mode_only_tells(systemd: Systemd) -> None:
    planned = pause.reconcile(SERVICE, pause.PAUSED, 780, check_mode=True)
    assert planned["changed"] and planned["commands"][-1] == f"systemctl stop {SERVICE}"
    assert systemd.seen() == pause.Seen(True, False)


@pytest.mark.parametrize("state", [pause.PAUSED, pause.RESUMED])
@pytest.mark.parametrize("lives", range(5))
def test_a_run_that_dies_anywhere_leaves_it_running_or_a_timer(systemd: Systemd, state: str, lives: int) -> None:
    """Also of the second run, which finds what the first has left."""
    for before in (pause.Seen(True, False), pause.Seen(True, True), pause.Seen(False, True)):
        systemd.running, systemd.timer, systemd.lives = before.running, 600 if before.timer else None, lives
        with contextlib.suppress(Died):
            pause.reconcile(SERVICE, state, 780)
        assert systemd.running or systemd.timer, f"{state} from {before} leaves it stopped after {lives} commands"


@pytest.mark.parametrize("before", STATES)
def test_the_result_is_the_same_from_everywhere(systemd: Systemd, before: pause.Seen) -> None:
    for state, after in (
        (pause.PAUSED, pause.Seen(False, True)),
        (pause.RESUMED, pause.Seen(True, False)),
        (pause.STOPPED, pause.Seen(False, False)),
    ):
        systemd.running, systemd.timer = before.running, 5 if before.timer else None
        pause.reconcile(SERVICE, state, 780)
        assert systemd.seen() == after
        assert systemd.timer in (None, 780), "the time of a run that died goes on"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a;b", "../x"])
def test_a_name_that_is_none_is_refused(systemd: Systemd, name: str) -> None:
    with pytest.raises(pause.PauseError, match="is not the name of a service"):
        pause.reconcile(name, pause.PAUSED, 1)
