# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small programs that roles put on hosts: swap, the API server beside a member of etcd, the virtual address of a load balancer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[2] / "roles"


def load(name: str, path: str) -> t.Any:
    spec = importlib.util.spec_from_file_location(name, ROLES / path)
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


swap = load("disable_swap", "host/files/disable-swap.py")
apiserver = load("stop_kube_apiserver", "etcd/files/stop-kube-apiserver.py")

# --- swap

FSTAB = "# swap is below\nUUID=1 / ext4 defaults 0 1\nUUID=2 none swap sw 0 0\n/swapfile\tswap\tswap\tdefaults 0 0\nUUID=3 /swap ext4 x 0 0"
WITHOUT = "# swap is below\nUUID=1 / ext4 defaults 0 1\n# UUID=2 none swap sw 0 0\n# /swapfile\tswap\tswap\tdefaults 0 0\nUUID=3 /swap ext4 x 0 0"


def test_lines_of_swap_become_comments_and_what_was_there_is_kept(tmp_path):
    fstab, before = tmp_path / "fstab", tmp_path / "fstab.before"
    fstab.write_text(FSTAB)
    fstab.chmod(0o640)
    for _run in range(2):
        swap.comment_out(str(fstab), str(before))
        assert fstab.read_text() == WITHOUT and before.read_text() == FSTAB, "a second run keeps the first copy"
    assert fstab.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fstab", "fstab.before"]


def test_without_swap_there_is_no_copy(tmp_path):
    fstab = tmp_path / "fstab"
    fstab.write_text("UUID=1 / ext4 defaults 0 1\n")
    swap.comment_out(str(fstab), str(tmp_path / "before"))
    assert not (tmp_path / "before").exists()


def test_the_file_comes_before_swapoff(monkeypatch):
    order = []
    monkeypatch.setattr(swap, "comment_out", lambda: order.append("fstab"))
    monkeypatch.setattr(swap.subprocess, "run", lambda argv, check: order.append(argv))
    swap.main()
    assert order == ["fstab", ["swapoff", "--all"]]


# --- the API server beside a member of etcd


def process(root: Path, number: int, name: str, start: int) -> None:
    directory = root / str(number)
    directory.mkdir()
    (directory / "comm").write_text(f"{name}\n")
    rest = " ".join(["S", "1", *["0"] * 17, str(start), "0"])
    (directory / "stat").write_text(f"{number} (a) b {name}) {rest}\n")


def test_the_oldest_of_its_name_is_found(tmp_path):
    for number, name, start in ((7, "kube-apiserver", 90), (9, "kube-apiserver", 30), (5, "kube-scheduler", 10)):
        process(tmp_path, number, name, start)
    (tmp_path / "self").mkdir()
    (tmp_path / "11").mkdir()  # it ended between the listing and the reading
    assert apiserver.oldest(processes=str(tmp_path)) == 9
    assert apiserver.oldest("etcd", str(tmp_path)) is None


def test_it_is_waited_for(tmp_path):
    trap = "import signal, sys, time; signal.signal(15, lambda *x: (time.sleep(0.3), sys.exit(0))); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", trap], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "up\n"
        begin = time.monotonic()
        assert apiserver.stop(child.pid, interval=0.01)
        assert time.monotonic() - begin >= 0.3
    assert apiserver.stop(child.pid), "one that is gone already"


def test_one_that_does_not_end_is_not_waited_for_for_ever():
    trap = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", trap], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "up\n"
        assert not apiserver.stop(child.pid, timeout=0.1, interval=0.01)
        child.kill()


def test_without_an_api_server_there_is_nothing_to_stop(monkeypatch):
    monkeypatch.setattr(apiserver, "oldest", lambda: None)
    assert apiserver.main() == 0


# --- the virtual address


@pytest.fixture
def command(tmp_path):
    """Runs a script with stand-ins for ip, nft and sleep, which write down that they were called."""

    def run(script: str, *arguments: str, held: int = 0, nft: int = 0) -> list[str]:
        log = tmp_path / "log"
        log.write_text("")
        stand_ins = {
            "ip": f"echo ip >>{log}; [ $(grep -c '^ip' {log}) -gt {held} ] || echo 'eth0 inet 192.0.2.9/32'",
            "nft": f'echo nft "$@" >>{log}; [ "$1" = delete ] || cat >>{log}; exit {nft}',
            "sleep": f"echo sleep $1 >>{log}",
        }
        for name, body in stand_ins.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run(["/bin/sh", str(ROLES / "lb" / "files" / script), *arguments], check=True, env=environment)
        return log.read_text().splitlines()

    return run


@pytest.mark.parametrize(("held", "waits"), [(0, 0), (2, 2), (100, 7)])
def test_keepalived_learns_that_the_load_balancer_ends_and_the_address_is_waited_for(command, tmp_path, held, waits):
    ended = tmp_path / "ended"
    log = command("release-address", str(ended), "192.0.2.9", held=held)
    assert ended.read_text() == "1\n" and log.count("sleep 0.2") == waits


def test_new_connections_wait_where_the_address_is_held(command):
    log = command("drain-connections", "begin", "192.0.2.9", "6443", held=1)
    assert "nft --file -" in log and any("tcp dport 6443" in line for line in log) and log[-1] == "sleep 0.6"
    assert command("drain-connections", "begin", "192.0.2.9", "6443") == ["ip"]


def test_connections_are_taken_again_at_the_end_also_where_none_were_held(command):
    assert command("drain-connections", "end", nft=1) == ["nft delete table inet load_balancer_drain"]
