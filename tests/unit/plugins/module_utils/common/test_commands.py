# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands."""

from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands


def test_a_command_has_a_status_and_both_outputs() -> None:
    done = commands.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert done == (3, "out\n", "err\n")
    assert not done.succeeded
    assert done.cause == "err"


def test_the_path_and_the_language_are_the_same_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert commands.run("sh", "-c", 'echo "$PATH $LC_ALL"').stdout == f"{commands.PATH} C\n"
    assert commands.run("sh", "-c", 'echo "$PATH"', environment={"PATH": f"/opt/bin:{commands.PATH}"}).stdout == (
        f"/opt/bin:{commands.PATH}\n"
    )


def test_standard_input_is_the_text_or_nothing() -> None:
    assert commands.run("cat", text="two\nlines\n").stdout == "two\nlines\n"
    assert commands.run("cat") == (0, "", "")


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert commands.run("printf", r"a\377b").stdout == "a\ufffdb"


def test_a_command_that_is_missing_or_does_not_end_is_a_result() -> None:
    assert commands.run("no-such-command").status == commands.NOT_FOUND
    assert commands.run("sleep", "9", timeout=0.05) == (commands.TIMED_OUT, "", "still running after 0.05 s")


def test_output_is_that_of_a_command_which_succeeds() -> None:
    assert commands.output("echo", "yes") == "yes\n"
    with pytest.raises(commands.CommandError, match=r"^sh -c echo bad >&2; exit 4: failed with 4: bad$"):
        commands.output("sh", "-c", "echo bad >&2; exit 4")
    with pytest.raises(commands.CommandError, match=r"no-such-command: no such command on this host. Fix: install"):
        commands.output("no-such-command")


def test_commands_are_found_in_the_path_of_all() -> None:
    assert commands.find("sh") in ("/bin/sh", "/usr/bin/sh")
    assert commands.find("no-such-command") is None


def test_a_condition_is_waited_for() -> None:
    answers = iter([False, False, True])
    assert commands.until(lambda: next(answers), seconds=5)
    assert not commands.until(lambda: False, seconds=0)


def test_what_works_on_much_has_more_time_but_not_for_ever() -> None:
    gibibyte = 1024**3
    assert commands.seconds_for(0) < commands.seconds_for(gibibyte) < commands.seconds_for(8 * gibibyte) < 4 * 3600
    assert commands.seconds_for(2**63) == commands.seconds_for(2**62)
