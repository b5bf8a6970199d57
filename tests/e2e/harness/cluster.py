# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as its users and its administrator see it: kubectl, etcdctl, the virtual address, and waiting."""

from __future__ import annotations

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable

from . import sandbox
from .checks import DrillFailed, Kind, require
from .context import CONTEXT, ROOT

DIRECTORY = ROOT / "clusters" / "sandbox"
KUBECONFIG = DIRECTORY / "admin.kubeconfig"
KUBECTL = pathlib.Path(sys.executable).parent / "kubectl"
#: What kubectl remembers of an API: not for longer than this process, for the next cluster at the same address may be of another version.
KUBECTL_CACHE = tempfile.TemporaryDirectory(prefix="kubectl-")
VIRTUAL_ADDRESS = sandbox.VIRTUAL_ADDRESS


def kubectl(*arguments: str, text: str | None = None, check: bool = True) -> str:
    words = [
        *CONTEXT.prefix,
        str(KUBECTL),
        "--cache-dir",
        KUBECTL_CACHE.name,
        "--kubeconfig",
        str(KUBECONFIG),
        *arguments,
    ]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    require(not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}", Kind.COMMAND_FAILED)
    return done.stdout


def objects(*arguments: str) -> list[dict[str, t.Any]]:
    """What `kubectl get` finds."""
    return json.loads(kubectl("get", *arguments, "--output=json"))["items"]


def nodes_ready(count: int = len(sandbox.NODES)) -> bool:
    """Whether at least so many nodes are Ready."""
    ready = [
        item
        for item in objects("nodes")
        if any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
    ]
    return len(ready) >= count


def image(name: str) -> str:
    """The reference of an image that nodes have."""
    found = {
        reference
        for node in objects("nodes")
        for item in node["status"]["images"]
        for reference in item["names"]
        if f"/{name}:" in reference
    }
    require(found, f"no node has the image {name}")
    return found.pop()


def processes(machines: list[str]) -> sandbox.Processes:
    """The watched processes of machines, once the pods of the last verification have ended."""
    wait_for(
        lambda: not kubectl("get", "namespace", "hardway-verify", "--ignore-not-found"),
        90,
        "verify's namespace is gone",
    )
    return sandbox.processes(machines)


def address_holder() -> str:
    """The load balancer that has the virtual address."""
    for machine in sandbox.BALANCERS:
        if VIRTUAL_ADDRESS in sandbox.ssh(machine, "ip -4 -o addr", check=False):
            return machine
    raise DrillFailed(f"no load balancer has {VIRTUAL_ADDRESS}")


def etcdctl(machine: str, *arguments: str) -> t.Any:
    """What the member on a machine answers."""
    pki = "--cacert=/etc/etcd/pki/ca.pem --cert=/etc/etcd/pki/etcd.pem --key=/etc/etcd/pki/etcd-key.pem"
    return json.loads(
        sandbox.ssh(
            machine,
            f"/usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 {pki} {' '.join(arguments)} --write-out=json",
        )
    )


def etcd_learners() -> list[str]:
    """Members that run, and have no vote yet."""
    return [
        member["name"]
        for member in etcdctl("master1", "member", "list")["members"]
        if member.get("isLearner") and member.get("name")
    ]


def etcd_leader() -> str:
    """The master whose etcd member leads."""
    for machine in sandbox.MASTERS:
        status = etcdctl(machine, "endpoint", "status")[0]["Status"]
        if status["leader"] == status["header"]["member_id"]:
            return machine
    raise DrillFailed("etcd has no leader")


def wait_for(condition: Callable[[], object], seconds: float, text: str) -> float:
    """Wait until a condition holds; the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if condition():
                return time.monotonic() - began
        except DrillFailed:
            pass
        time.sleep(0.5)
    raise DrillFailed(f"not within {seconds:g} s: {text}", Kind.TIMEOUT)


def random_moments(count: int, longest: float, seed: int) -> list[float]:
    """Moments spread over the whole run, one in each equal part of it."""
    source = random.Random(seed)
    return [longest * (number + source.random()) / count for number in range(count)]
