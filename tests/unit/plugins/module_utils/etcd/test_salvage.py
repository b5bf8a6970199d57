# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The etcd that reads a survivor's data; what it reads is tried in tests/etcd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.commands import until

MODULE = """
import sys, time
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import salvage
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd.snapshot import Commands
survivor = salvage.Survivor("/data", "etcd1", "/ca", "/certificate", "/key")
print(salvage._open_alone(Commands(sys.argv[1]), survivor, sys.argv[1], 1, 2).pid, flush=True)
time.sleep(600)
"""


def test_a_killed_run_leaves_no_etcd_behind(tmp_path):
    (tmp_path / "etcd").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "etcd").chmod(0o755)
    words = [sys.executable, "-c", MODULE, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as module:
        pid = int(module.stdout.readline())
        module.kill()
    try:
        # A process whose parent is gone is removed by init, or stays as a zombie where there is none.
        assert until(lambda: not runs(pid), 5)
    finally:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
