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
        pass
    assert stat.S_IMODE((tmp_path / "cluster" / "locks").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cluster" / "locks" / "etcd").stat().st_mode) == 0o600
