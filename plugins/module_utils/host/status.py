# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the cluster is doing now: its programs as they really run, the load balancer's view, etcd's view. The standard library alone.

What cannot be read is a sentence next to what can: a page about a broken cluster is the one that is needed most.
"""

from __future__ import annotations

import csv
import os
import time
import typing as t
from collections.abc import Iterable, Mapping
from http.client import HTTPException

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files, http
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import certificates as certificate_info
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import facts as host_facts

PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "MainPID", "ActiveEnterTimestampMonotonic", "NRestarts")
#: The kernel's mark of a running file that lies at its path no more.
DELETED = " (deleted)"
STATISTICS_TIMEOUT = 3
#: Distributions' packages of a component, where they have another name.
PACKAGES = {"docker": ("docker.io", "docker-ce", "moby-engine")}


def gather(
    certificates: Mapping[str, t.Any],
    facts: Mapping[str, t.Any],
    etcd_params: Mapping[str, t.Any] | None = None,
    statistics: tuple[str, int] | None = None,
    install_dir: str = "/opt/hardway",
) -> dict[str, t.Any]:
    """All that a host reports of itself.

    :arg certificates: arguments of :func:`certificate_info.gather`
    :arg facts: arguments of :func:`host_facts.read`
    :arg etcd_params: options of the documentation fragment C(etcd), for a host that has a member of etcd
    :arg statistics: address and port of haproxy's statistics, for a load balancer
    :arg install_dir: directory of the installed versions
    :returns: a dict: ``found`` (what lies on the host, for the controller to read), ``facts``, ``programs``, ``etcd``, ``backends``
    """
    services = {
        name: record.data.get("owns", {}).get("service") for name, record in certificate_info.read_records().items()
    }
    read = host_facts.read(dict(facts))
    return {
        "found": certificate_info.gather(**certificates),
        "facts": read,
        "load": list(os.getloadavg()),
        "programs": programs(
            {name: service for name, service in services.items() if service}, install_dir, read["packages"]
        ),
        "etcd": look_at_etcd(etcd_params) if etcd_params else {},
        "backends": backends(*statistics) if statistics else {},
    }


# --- programs


def programs(services: Mapping[str, str], install_dir: str, packages: Mapping[str, str]) -> list[dict[str, t.Any]]:
    """Each component's process: the version of the file that it runs, and that of the file which its next start would run."""
    if not services:
        return []
    units = show(services.values())
    return [
        program(name, service, units.get(service, {}), install_dir, packages)
        for name, service in sorted(services.items())
    ]


def show(services: Iterable[str]) -> dict[str, dict[str, str]]:
    """`systemctl show` of several services, by name."""
    text = host_facts.output("systemctl", "show", f"--property={','.join(PROPERTIES)}", *sorted(services))
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return {block["Id"]: block for block in blocks if block.get("Id")}


def program(
    name: str, service: str, unit: Mapping[str, str], install_dir: str, packages: Mapping[str, str]
) -> dict[str, t.Any]:
    pid = int(unit.get("MainPID") or 0)
    running, linked = binary_of(pid, install_dir)
    return {
        "component": name,
        "service": service,
        "state": unit.get("ActiveState", "") or "unknown",
        "restarts": int(unit.get("NRestarts") or 0),
        "seconds": seconds_since(unit.get("ActiveEnterTimestampMonotonic"))
        if unit.get("ActiveState") == "active"
        else None,
        "binary": running["path"],
        "version": running["version"] or packaged(name, packages),
        "replaced": running["replaced"],
        "linked": linked,
    }


def packaged(name: str, packages: Mapping[str, str]) -> str:
    """The version of a component that comes from a package; empty where none is installed."""
    return next((packages[package] for package in PACKAGES.get(name, (name,)) if package in packages), "")


def seconds_since(microseconds: str | None) -> int | None:
    """Whole seconds since a moment of CLOCK_MONOTONIC, as systemd has them."""
    if not microseconds or not microseconds.isdigit():
        return None
    return max(0, int(time.clock_gettime(time.CLOCK_MONOTONIC) - int(microseconds) / 1e6))


def binary_of(pid: int, install_dir: str, proc: str = "/proc") -> tuple[dict[str, t.Any], str]:
    """The file that a process runs, and the version that the command's link points at now; nothing of either where it cannot be told."""
    nothing: dict[str, t.Any] = {"path": "", "version": "", "replaced": False}
    try:
        path = os.readlink(f"{proc}/{pid}/exe") if pid else ""
    except OSError:
        path = ""
    if not path:
        return nothing, ""
    replaced = path.endswith(DELETED)
    path = path[: -len(DELETED)] if replaced else path
    running: dict[str, t.Any] = {"path": path, "version": version_of(path, install_dir), "replaced": replaced}
    return running, version_of(os.path.realpath(started_as(pid, proc)), install_dir) if running["version"] else ""


def started_as(pid: int, proc: str = "/proc") -> str:
    """The first word of a process's command line: the link that it was started by."""
    return files.read_text(f"{proc}/{pid}/cmdline").split("\0")[0]


def version_of(path: str, install_dir: str) -> str:
    """Of a file in its place (:mod:`artifacts`): INSTALL_DIR/NAME/VERSION/FILE."""
    parts = os.path.relpath(path, install_dir).split(os.sep) if path.startswith(f"{install_dir.rstrip('/')}/") else []
    return parts[1] if len(parts) > 2 else ""


# --- etcd and the load balancer


def look_at_etcd(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    try:
        return etcd.of_module(params).look().report()
    except etcd.EtcdError as error:
        return {"error": str(error)}


def backends(address: str, port: int) -> dict[str, t.Any]:
    """The servers behind haproxy as its health checks see them (management.txt, 9.1)."""
    try:
        host = f"[{address}]" if ":" in address else address
        answer = http.fetch(f"http://{host}:{port}/stats;csv", timeout=STATISTICS_TIMEOUT)
    except (OSError, HTTPException) as error:
        return {"error": f"haproxy's statistics at {address}:{port}: {getattr(error, 'strerror', None) or error}"}
    if answer.status != 200:
        return {"error": f"haproxy's statistics at {address}:{port}: answered {answer.status}"}
    return {"servers": parse_statistics(answer.body)}


def parse_statistics(text: str) -> list[dict[str, t.Any]]:
    """One dict for each server of a backend."""
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return [
        {
            "backend": row.get("pxname") or "",
            "name": row["svname"],
            "state": row.get("status") or "",
            "check": row.get("check_desc") or row.get("check_status") or "",
            "sessions": int(row.get("scur") or 0),
        }
        for row in rows
        if row.get("svname") not in (None, "FRONTEND", "BACKEND")
    ]
