"""When every process of the cluster started, kept from the first run to the tests after the second."""

from __future__ import annotations

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / 'tests' / 'drills'))

import lab  # noqa: E402

KEPT = lab.CLUSTER / 'processes.json'

if __name__ == '__main__':
    KEPT.write_text(json.dumps(lab.processes(lab.MACHINES)), encoding='utf-8')
