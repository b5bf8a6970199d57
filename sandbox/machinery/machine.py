"""One machine: power on, power off, and what it does in between."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from . import disk, network, settings, units
from .errors import Interrupted, SandboxError
from .inventory import Machine

SSH_OPTIONS = (
    "-i",
    str(settings.SSH_KEY),
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "IdentitiesOnly=yes",
)
# In a mount namespace of their own the machine's mounts end with its last process, however that ends.
# Status 133 is systemd-nspawn's word for a machine that wants to boot again; its old link may still be there then.
MOUNT_AND_BOOT = """
mount -t overlay -o "$1" hardway-sandbox "$2" || exit
link=$3
shift 3
while "$@"; [ $? -eq 133 ]; do ip link delete "$link" 2>/dev/null; done
"""


def state(name: str) -> str:
    """Return "running", "off" (it has a disk) or "absent"."""
    if units.unit(name).leader() is not None:
        return "running"
    return "off" if disk.exists(name) else "absent"


def power_on(machine: Machine) -> None:
    """Start a machine that has a disk and does not run."""
    clear(machine.name)
    units.unit(machine.name).start(
        _command(machine.name), _console(machine.name), {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"}
    )


def power_off(name: str) -> None:
    """Take away a machine's power: no process of it gets to do anything more, and its peers are not told."""
    network.cut(name)
    clear(name)


def clear(name: str) -> None:
    """Remove everything of a machine but its disk, also what a killed one left behind."""
    units.unit(name).kill()
    network.remove_link(name)
    # systemd-nspawn makes this directory, and removes it when it ends by itself.
    propagate = Path("/run/systemd/nspawn/propagate", name)
    if propagate.is_dir() and not os.path.ismount(propagate):
        propagate.rmdir()


def end_connections(machine: Machine) -> None:
    """Close the connection that Ansible keeps open to a machine: the next one must not be sent to one that is gone."""
    control = settings.SSH_KEY.with_name(f"control-{machine.address}")
    if control.exists():
        _call(["ssh", "-o", f"ControlPath={control}", "-O", "exit", str(machine.address)], timeout=5)
        control.unlink(missing_ok=True)


def wait(machine: Machine, stop: threading.Event, booted: bool = False) -> str:
    """Wait until the machine lets us in by ssh; return what systemd in it says of itself.

    With `booted`, wait for all services too; one that waits for other machines (etcd for its quorum) would make that long.
    Raises SandboxError if the machine ends or takes too long, and Interrupted if `stop` is set meanwhile.
    """
    deadline = time.monotonic() + settings.BOOT_TIMEOUT
    grace = time.monotonic() + 5
    unit = units.unit(machine.name)
    while not _listens(machine):
        _keep_waiting(machine, stop, deadline)
        if time.monotonic() > grace and not unit.pids():
            raise SandboxError(f"{machine.name} ended while it booted. Its console said:\n{_tail(machine.name)}")
    question = "timeout 20 systemctl is-system-running --wait" if booted else "systemctl is-system-running"
    while True:
        _keep_waiting(machine, stop, deadline)
        done = _call(ssh(machine, f"{question}; systemctl list-units --failed --plain --no-legend"), timeout=60)
        if done is not None and done.returncode == 0:
            return " ".join(done.stdout.split())


def ssh(machine: Machine, *command: str) -> list[str]:
    """Return the words of an ssh command to the machine."""
    batch = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5") if command else ()
    return ["ssh", *SSH_OPTIONS, *batch, f"root@{machine.address}", *command]


def _command(name: str) -> list[str]:
    root = str(disk.directory(name) / "root")
    nspawn = [
        "systemd-nspawn",
        "--quiet",
        "--settings=no",
        "--directory",
        root,
        "--machine",
        name,
        "--boot",
        "--register=no",
        "--keep-unit",
        "--console=read-only",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--network-veth",
        f"--network-bridge={settings.BRIDGE}",
        # Kubernetes' components, container runtimes and their containers use most of what the kernel offers to root.
        "--capability=all",
        "--private-users=no",
        "--system-call-filter=@keyring bpf @mount @privileged",
        "--bind=/dev/kmsg",
        f"--bind={disk.directory(name)}/plain:{disk.PLAIN}",
    ]
    if Path("/lib/modules").is_dir():
        nspawn.append("--bind-ro=/lib/modules")
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        MOUNT_AND_BOOT,
        "sh",
        disk.mount_options(name),
        root,
        network.link(name),
        *nspawn,
    ]


def _listens(machine: Machine) -> bool:
    try:
        with socket.create_connection((str(machine.address), 22), timeout=1):
            return True
    except OSError:
        return False


def _keep_waiting(machine: Machine, stop: threading.Event, deadline: float) -> None:
    if stop.wait(0.2):
        raise Interrupted
    if time.monotonic() > deadline:
        raise SandboxError(
            f"{machine.name} does not let us in at {machine.address} after {settings.BOOT_TIMEOUT:.0f} s. A machine whose network or ssh was "
            f"broken becomes fresh by: sandbox/machines.py reset {machine.name}. Its console said:\n{_tail(machine.name)}"
        )


def _call(words: list[str], timeout: float) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            words, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return None


def _console(name: str) -> Path:
    return disk.directory(name) / "console.log"


def _tail(name: str) -> str:
    try:
        lines = _console(name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(lines[-12:]) or "(nothing)"
