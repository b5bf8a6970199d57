# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of pods, and their cgroups."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands, files
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.mounts import current_mounts
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope

CGROUPS = "/sys/fs/cgroup"
KUBEPODS = ("kubepods", "kubepods.slice")
NAMESPACE = "k8s.io"
#: Of containerd too, where docker runs one of its own.
DOCKER_NAMESPACE = "moby"
GONE_TIMEOUT = 10


class Pods:
    """Processes of pods, and the shims of containerd above them. Where docker is ours, all of its containers are."""

    def __init__(self, scope: Scope) -> None:
        self.active = scope.any("pods")
        self.docker = scope.has("docker")
        self.namespaces = (NAMESPACE, DOCKER_NAMESPACE) if self.docker else (NAMESPACE,)
        self.ctr = os.path.join(scope.request.bin_dir, "ctr")

    def find(self) -> list[Finding]:
        if not self.active:
            return []
        shims = {
            pid: sandbox
            for pid, sandbox in ((pid, shim_of(_arguments(pid), self.namespaces)) for pid in processes())
            if sandbox
        }
        return [Finding(f"pod sandbox {sandbox}", pid) for pid, sandbox in shims.items()] + [
            Finding(f"process {pid} of a pod ({files.read_text(f'/proc/{pid}/comm').strip()})", pid)
            for pid in processes_of_pods()
            if pid not in shims
        ]

    def remove(self, findings: list[Finding]) -> None:
        if self.docker:
            self._ask_docker()
        elif os.path.exists(self.ctr):
            self._ask_containerd()
        targets = {finding.target for finding in self.find()}
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        commands.until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in targets), GONE_TIMEOUT)

    @staticmethod
    def _ask_docker() -> None:
        names = commands.run("docker", "ps", "--all", "--quiet", timeout=20)[1].split()
        if names:
            commands.run("docker", "rm", "--force", *names, timeout=60)

    def _ask_containerd(self) -> None:
        """containerd ends the containers and their mounts itself, if it can."""
        for kind, forced in (("tasks", ["--force"]), ("containers", [])):
            names = commands.run(self.ctr, "--namespace", NAMESPACE, kind, "list", "--quiet", timeout=20)[1].split()
            if names:
                commands.run(self.ctr, "--namespace", NAMESPACE, kind, "rm", *forced, *names, timeout=60)


def processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _arguments(pid: int) -> list[str]:
    return files.read_text(f"/proc/{pid}/cmdline").split("\0")


def shim_of(arguments: list[str], namespaces: Sequence[str] = (NAMESPACE,)) -> str:
    """The pod sandbox (with docker the container) that a process is the shim of; empty if it is not a shim of Kubernetes' containers."""
    if not os.path.basename(arguments[0]).startswith("containerd-shim"):
        return ""
    options = dict(zip(arguments, arguments[1:]))
    return options.get("-id", "(unknown)") if options.get("-namespace") in namespaces else ""


def is_of_pod(cgroups: str) -> bool:
    """Whether /proc/PID/cgroup is that of a container of a pod."""
    paths = (line.split(":", 2)[-1] for line in cgroups.splitlines())
    return any(part in KUBEPODS for path in paths for part in path.split("/"))


def processes_of_pods() -> list[int]:
    # A host that is itself a pod (a test environment, say) has kubepods above all its processes.
    if is_of_pod(files.read_text("/proc/self/cgroup")):
        return []
    return [pid for pid in processes() if is_of_pod(files.read_text(f"/proc/{pid}/cgroup"))]


class Cgroups:
    """The cgroups of pods, empty by now."""

    def __init__(self, scope: Scope) -> None:
        self.names = scope.all("cgroups")

    def find(self) -> list[Finding]:
        if not self.names:
            return []
        tops = [
            mount.path
            for mount in current_mounts()
            if mount.filesystem in ("cgroup", "cgroup2") and mount.path.startswith(CGROUPS)
        ]
        candidates = [os.path.join(top, name) for top in tops for name in self.names]
        return [
            Finding(f"cgroup {path}", path)
            for path in dict.fromkeys(candidates)
            if os.path.isdir(path) and not os.path.islink(os.path.dirname(path))
        ]

    def remove(self, findings: list[Finding]) -> None:
        for name in sorted({os.path.basename(finding.target) for finding in findings}):
            if name.endswith(".slice"):
                commands.run("systemctl", "stop", name)
        # A cgroup can go as soon as the kernel is done with its last process.
        commands.until(lambda: not sum(_remove_cgroup(finding.target) for finding in findings), seconds=3)


def _remove_cgroup(top: str) -> bool:
    """Whether it is still there."""
    for directory, _directories, _names in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return os.path.isdir(top)
