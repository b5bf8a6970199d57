#!/usr/bin/env python3
# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold on real machines, one drill each, on the sandbox.

  run.py                     all of them but those that must be named, in full, and a table
  run.py failover-haproxy    some of them
  run.py --short             each as small as it still proves something (one kill instead of ten)
  run.py --list

The machines must be up (`make machines`). Each drill leaves a healthy cluster, or says what is wrong, and the exit code is 1.
"""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import command_line, registry

#: The files of this directory that have drills, in the order in which all are run.
SUBJECTS = (
    "install",
    "changes",
    "certificates",
    "rotation",
    "members",
    "refusals",
    "reset",
    "upgrade",
    "failover",
    "addons",
    "backup",
    "restore",
    "etcd_maintenance",
    "day2",
    "networks",
    "variants",
    "scale",
)


if __name__ == "__main__":
    sys.exit(command_line.main(registry.load(SUBJECTS), __doc__))
