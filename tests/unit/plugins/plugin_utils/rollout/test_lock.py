# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rollouts between processes, as ansible-playbook's workers are."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout import lock as rolling
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.rollout.lock import RolloutHalted, RolloutLock

HOLD = """
import runpy, sys, time
RolloutLock = runpy.run_path(sys.argv[1])["RolloutLock"]
with RolloutLock(sys.argv[2], "etcd", "master1", "run1"):
    print("mine", flush=True)
    time.sleep(600)
"""


def test_turns_are_exclusive(tmp_path):
    inside, most = [], []

    def take(host):
        with RolloutLock(str(tmp_path), "etcd", host, "run1"):
            inside.append(host)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(host)

    threads = [threading.Thread(target=take, args=(f"master{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_a_turn_that_never_ends_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(rolling, "TURN", 0.1)
    with (
        RolloutLock(str(tmp_path), "etcd", "master1", "run1"),
        pytest.raises(RolloutHalted, match="locks/etcd: another run is at work"),
        RolloutLock(str(tmp_path), "etcd", "master2", "run1"),
    ):
        pass


def test_components_do_not_wait_for_each_other(tmp_path):
    with RolloutLock(str(tmp_path), "etcd", "master1", "run1"), RolloutLock(str(tmp_path), "haproxy", "lb1", "run1"):
        pass


@pytest.mark.parametrize("how", ["told", "raised"])
def test_after_a_failure_those_behind_are_refused_for_the_rest_of_the_run(tmp_path, how):
    if how == "told":
        with RolloutLock(str(tmp_path), "etcd", "master1", "run1") as turn:
            turn.failed()
    else:
        with pytest.raises(ValueError), RolloutLock(str(tmp_path), "etcd", "master1", "run1"):
            raise ValueError
    for host in ("master2", "master3"):
        with (
            pytest.raises(RolloutHalted, match="etcd did not get healthy on master1"),
            RolloutLock(str(tmp_path), "etcd", host, "run1"),
        ):
            pytest.fail("was let in")
    with RolloutLock(str(tmp_path), "haproxy", "lb1", "run1"):
        pass
    with RolloutLock(str(tmp_path), "etcd", "master2", "run2"):
        pass


def test_a_later_failure_takes_the_place_of_an_earlier_one(tmp_path):
    for run, host in (("run1", "a-host-with-a-long-name"), ("run2", "b")):
        with RolloutLock(str(tmp_path), "etcd", host, run) as turn:
            turn.failed()
    with pytest.raises(RolloutHalted, match="on b,"), RolloutLock(str(tmp_path), "etcd", "c", "run2"):
        pass


def test_two_runs_at_once_keep_their_failures(tmp_path):
    """The second run's failure comes while the first goes on."""
    for run, host in (("run1", "a"), ("run2", "b")):
        with RolloutLock(str(tmp_path), "etcd", host, run) as turn:
            turn.failed()
    for run, host in (("run1", "a"), ("run2", "b")):
        with pytest.raises(RolloutHalted, match=f"on {host},"), RolloutLock(str(tmp_path), "etcd", "c", run):
            pytest.fail("was let in")


def test_a_failure_is_noted_while_another_has_the_turn(tmp_path):
    with RolloutLock(str(tmp_path), "etcd", "a", "run1"):
        RolloutLock(str(tmp_path), "etcd", "b", "run1").failed(was_ill=True)
    with pytest.raises(RolloutHalted, match="on b,"), RolloutLock(str(tmp_path), "etcd", "c", "run1"):
        pytest.fail("was let in")


def test_one_that_asks_others_is_told_of_those_that_were_ill_before(tmp_path):
    def turn(host, asks=True):
        return RolloutLock(str(tmp_path), "etcd", host, "run1", asks)

    turn("a").failed(was_ill=True)
    turn("b").failed(was_ill=True)
    with turn("a") as mine:
        assert mine.others_failed() == ["b"]
    turn("c").failed()
    with pytest.raises(RolloutHalted, match="on c,"), turn("a"):
        pytest.fail("was let in")


def test_the_file_of_failures_stays_short(tmp_path):
    for number in range(2 * rolling.MOST_FAILURES):
        RolloutLock(str(tmp_path), "etcd", f"node{number}", "run1").failed()
    assert len((tmp_path / "locks" / "etcd.failed").read_text().splitlines()) <= rolling.MOST_FAILURES
    with pytest.raises(RolloutHalted), RolloutLock(str(tmp_path), "etcd", "other", "run1"):
        pytest.fail("was let in")


def test_a_line_that_a_killed_run_left_does_not_hide_the_next(tmp_path):
    os.mkdir(tmp_path / "locks")
    (tmp_path / "locks" / "etcd.failed").write_text('[]\n{"run": "run1", "ho')
    RolloutLock(str(tmp_path), "etcd", "a", "run1").failed()
    with pytest.raises(RolloutHalted, match="on a,"), RolloutLock(str(tmp_path), "etcd", "b", "run1"):
        pytest.fail("was let in")


def test_a_run_that_is_killed_frees_its_turn(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, rolling.__file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "mine\n"
        holder.kill()
    with RolloutLock(str(tmp_path), "etcd", "master2", "run2"):
        pass


def test_a_damaged_file_refuses_nobody(tmp_path):
    os.mkdir(tmp_path / "locks")
    (tmp_path / "locks" / "etcd").write_text("{")
    with RolloutLock(str(tmp_path), "etcd", "master1", "run1"):
        pass


def test_the_directory_is_private(tmp_path):
    with RolloutLock(str(tmp_path / "cluster"), "etcd", "master1", "run1"):
        RolloutLock(str(tmp_path / "cluster"), "etcd", "master2", "run1").failed()
    assert stat.S_IMODE((tmp_path / "cluster" / "locks").stat().st_mode) == 0o700
    for name in ("etcd", "etcd.failed"):
        assert stat.S_IMODE((tmp_path / "cluster" / "locks" / name).stat().st_mode) == 0o600
