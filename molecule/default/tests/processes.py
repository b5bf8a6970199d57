"""The processes of a scenario's cluster: since when each runs, kept from the first run to the tests after the second, and from what."""

from __future__ import annotations

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import cluster, sandbox  # noqa: E402
from harness.checks import DrillFailed  # noqa: E402

__all__ = ["DrillFailed", "cluster", "compare_with_the_first_run", "require_what_is_on_the_disk", "sandbox"]

KEPT = cluster.DIRECTORY / "processes.json"


def compare_with_the_first_run():
    """The second run left every process alone."""
    sandbox.compare_processes(json.loads(KEPT.read_text(encoding="utf-8")), cluster.processes(sandbox.MACHINES))


def require_what_is_on_the_disk(host, name):
    """A component of a testinfra host runs, is enabled, and was started with the inputs that its drop-in tells."""
    service = host.service(name)
    assert service.is_running and service.is_enabled
    pid = host.check_output(f"systemctl show --property MainPID --value {name}")
    drop_in = host.file(f"/etc/systemd/system/{name}.service.d/50-hardway-inputs.conf").content_string
    digest = drop_in.rsplit("=", 1)[1].strip()
    assert f"HARDWAY_INPUTS={digest}" in host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/environ")


if __name__ == "__main__":
    KEPT.write_text(json.dumps(cluster.processes(sandbox.MACHINES)), encoding="utf-8")
