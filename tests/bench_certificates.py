# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long the module `certificates` takes to issue many certificates, to plan them, and to find nothing to do.

    python tests/bench_certificates.py [NUMBER] [ecdsa|rsa ...]
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = "ansible_collections.hardway.kubernetes.plugins.modules.certificates"
CALL = f"""
import json, sys
from ansible.module_utils.testing import patch_module_args
from {MODULE} import main
with patch_module_args(json.load(sys.stdin)):
    main()
"""


def arguments(path: str, number: int, key_type: str) -> dict:
    return {
        "path": path,
        "authorities": [{"name": "ca", "subject": {"CN": "ca"}, "key": {"type": key_type}}],
        "certificates": [
            {
                "name": f"node{index}",
                "authority": "ca",
                "profile": "peer",
                "subject": {"O": "system:nodes", "CN": f"system:node:node{index}"},
                "hosts": [f"node{index}", f"10.33.{index // 250}.{index % 250}", "127.0.0.1"],
                "key": {"type": key_type},
            }
            for index in range(number)
        ],
    }


def call(settings: dict) -> tuple[float, bool]:
    """One call of the module in a process of its own, as Ansible makes it (without Ansible's own 0.3 s)."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".collections")}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", CALL], input=json.dumps(settings), capture_output=True, text=True, check=True, env=environment)
    return time.monotonic() - began, json.loads(done.stdout)["changed"]


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{number} certificates, {len(os.sched_getaffinity(0))} cores")
    print(f"{'key':<8}{'check mode, empty':>20}{'issue':>12}{'no-op':>12}{'one differs':>14}")
    for key_type in sys.argv[2:] or ["ecdsa", "rsa"]:
        with tempfile.TemporaryDirectory() as above:
            settings = arguments(f"{above}/pki", number, key_type)
            one = arguments(f"{above}/pki", number, key_type)
            one["certificates"][0]["hosts"].append("spare")
            runs = [call({**settings, "_ansible_check_mode": True}), call(settings), call(settings), call(one)]
        assert [changed for seconds, changed in runs] == [True, True, False, True]
        planned, issued, idle, single = (f"{seconds:.2f} s" for seconds, changed in runs)
        print(f"{key_type:<8}{planned:>20}{issued:>12}{idle:>12}{single:>14}")


if __name__ == "__main__":
    main()
