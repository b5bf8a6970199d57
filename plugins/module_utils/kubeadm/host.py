# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host: the commands that run there, and what is observed of kubeadm, kubelet, the static pods and the cluster.

Nothing is remembered. What a host should have is what kubeadm itself renders from the configuration, in a dry run; what it has is read from
its files, its processes and its container runtime. So an interrupted run is recognised by what it left, and the same command continues it.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import typing as t
from collections.abc import Callable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands, files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.health import probe
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host as ComponentHost
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Health
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import (
    CLIENT_CERTIFICATE,
    HEALTH_PORTS,
    INPUTS,
    KUBELET_CONF,
    KUBELET_CONFIG,
    KUBELET_FLAGS,
    KUBERNETES,
    PATCHES,
    PROXY,
    STATIC_PODS,
    KubeadmError,
    Spec,
    manifest_path,
)

POLL = 0.5
# Lines of a failed command's output that are shown.
LAST_LINES = 25


class System:
    """Commands and files of the host; tests replace it."""

    def __init__(self, bin_dir: str = "/usr/local/bin") -> None:
        self.bin_dir = bin_dir

    def run(
        self, *argv: str, timeout: float = 120, environment: Mapping[str, str] | None = None
    ) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        # kubectl has a cache, for which there is no place that a reset would know.
        variables = {"PATH": f"{self.bin_dir}:{commands.PATH}", "KUBECACHEDIR": "/dev/null", **(environment or {})}
        return commands.run(*argv, timeout=timeout, environment=variables)

    def read(self, path: str) -> str:
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write(path, text.encode(), mode, 0, 0)

    def remove(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)

    def mode(self, path: str) -> int:
        """Permissions of a file; 0 where there is none."""
        try:
            return stat.S_IMODE(os.stat(path).st_mode)
        except OSError:
            return 0

    def set_mode(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def modified(self, path: str) -> float:
        try:
            return os.stat(path).st_mtime
        except OSError:
            return 0.0

    def probe(self, health: Health) -> str | None:
        """Why it is not healthy; None or an empty text where it is."""
        return probe(ComponentHost(), health)


class Host:
    """One host under kubeadm: what is observed there, and how a command is run."""

    def __init__(self, spec: Spec, system: System | None = None) -> None:
        self.spec = spec
        self.system = system or System(spec.bin_dir)

    # commands

    def run(self, *argv: str, environment: Mapping[str, str] | None = None, timeout: float = 120) -> str:
        """What a command prints. Raises KubeadmError with its last lines where it fails."""
        status, output, errors = self.system.run(*argv, environment=environment, timeout=timeout)
        if status:
            last = [line for line in f"{output}\n{errors}".splitlines() if line.strip()][-LAST_LINES:]
            raise KubeadmError(
                f"{' '.join(argv[:5])} ended with status {status}:\n"
                + "\n".join(last)
                + "\nFix: correct what its last lines name, and run the playbook again. Details: journalctl --unit kubelet"
            )
        return output

    def kubeadm(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        return self.run("kubeadm", *arguments, environment=environment, timeout=self.spec.timeout)

    def kubectl(self, *arguments: str, timeout: float = 120) -> str:
        return self.run(
            "kubectl", f"--kubeconfig={KUBERNETES}/admin.conf", "--namespace=kube-system", *arguments, timeout=timeout
        )

    def own_kubeconfig_flag(self) -> str:
        return f"--kubeconfig={KUBERNETES}/{'admin' if self.spec.control_plane else 'kubelet'}.conf"

    # files and processes

    def has_control_plane(self) -> bool:
        return all(self.system.exists(manifest_path(pod)) for pod in STATIC_PODS)

    def kubelet_is_configured(self) -> bool:
        return self.system.exists(KUBELET_CONFIG) and self.system.exists(KUBELET_FLAGS)

    def has_joined(self) -> bool:
        """Whether kubelet has an identity of its own, or (a control plane's first one) one that was given to it."""
        return (
            self.kubelet_is_configured()
            and self.system.exists(KUBELET_CONF)
            and (self.spec.control_plane or self.system.exists(CLIENT_CERTIFICATE))
        )

    def kubelet_started(self) -> float | None:
        """When kubelet's process started, in seconds since 1970; None where it does not run."""
        pid = self.system.run("systemctl", "show", "kubelet", "--property=MainPID", "--value")[1].strip()
        fields = self.system.read(f"/proc/{pid}/stat").rpartition(")")[2].split() if pid not in ("", "0") else []
        boot = next(
            (line.split()[1] for line in self.system.read("/proc/stat").splitlines() if line.startswith("btime ")), None
        )
        return int(boot) + int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields and boot else None

    # static pods

    def inputs_of(self, pod: str) -> str:
        """The files that a static pod's process reads at its start, with their digests, as one text that can be compared."""
        paths = self.spec.inputs.get(pod, [])
        return " ".join(
            f"{path}={hashlib.sha256(self.system.read(path).encode()).hexdigest()[:16]}" for path in sorted(paths)
        )

    def patches(self) -> dict[str, str]:
        """kubeadm's patches of the static pods, by file name: their inputs become an annotation, so a changed input restarts the pod."""
        return {
            f"{pod}0+merge.yaml": json.dumps({"metadata": {"annotations": {INPUTS: self.inputs_of(pod)}}})
            for pod in STATIC_PODS
        }

    def rendered(self) -> dict[str, str]:
        """The manifests that kubeadm would write, by name; empty where there is no kubeadm or no configuration yet (check mode)."""
        if not self.system.exists(f"{self.spec.bin_dir}/kubeadm") or not self.system.exists(self.spec.config):
            return {}
        with tempfile.TemporaryDirectory(prefix="hardway-kubeadm-") as scratch:
            # With the patches as they would be: in check mode those on the host stay as they are.
            config = self.system.read(self.spec.config).replace(
                f"directory: {PATCHES}", f"directory: {scratch}/patches"
            )
            self.system.write(f"{scratch}/kubeadm.yaml", config)
            for name, text in self.patches().items():
                self.system.write(f"{scratch}/patches/{name}", text)
            os.mkdir(f"{scratch}/rendered")
            self.kubeadm(
                *("init", "phase", "control-plane", "all", "--dry-run", f"--config={scratch}/kubeadm.yaml"),
                environment={"KUBEADM_INIT_DRYRUN_DIR": f"{scratch}/rendered"},
            )
            return {pod: self.system.read(f"{scratch}/rendered/{pod}.yaml") for pod in STATIC_PODS}

    def rendered_kubelet_config(self) -> str:
        """What kubeadm would configure kubelet with, from the cluster's own ConfigMap; empty where the cluster does not answer."""
        scratch = tempfile.mkdtemp(prefix="hardway-kubeadm-")
        try:
            status = self.system.run(
                *("kubeadm", "upgrade", "node", "phase", "kubelet-config", "--dry-run", self.own_kubeconfig_flag()),
                environment={"KUBEADM_UPGRADE_DRYRUN_DIR": scratch},
            )[0]
            return "" if status else self.system.read(os.path.join(scratch, "config.yaml"))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def sandboxes(self) -> dict[str, str]:
        """What the runtime runs: static pod -> hash of the manifest that it was started from."""
        status, output, _errors = self.system.run(
            *("crictl", "pods", "--namespace", "kube-system", "--label", "tier=control-plane"),
            *("--state", "ready", "--output", "json"),
        )
        try:
            items = json.loads(output)["items"] if status == 0 else []
        except (ValueError, KeyError):
            items = []
        return {
            item["labels"].get("component", ""): item["annotations"].get("kubernetes.io/config.hash", "")
            for item in items
        }

    def containers(self, name: str) -> list[str]:
        """IDs of the running containers of that name."""
        return self.system.run("crictl", "ps", "--quiet", "--name", f"^{name}$")[1].split()

    def running_version(self) -> str:
        """The version that kube-apiserver's manifest names; empty without one."""
        for line in self.system.read(manifest_path("kube-apiserver")).splitlines():
            if line.strip().startswith("image:"):
                return line.rsplit(":v", 1)[-1].strip()
        return ""

    # the cluster

    def query(self, *arguments: str) -> dict[str, t.Any] | None:
        """An object of the API, read with kubeadm's own identity; None where the API does not answer or has no such object."""
        status, output, _errors = self.system.run(
            *("kubectl", f"--kubeconfig={KUBERNETES}/admin.conf", "--request-timeout=10s"),
            *("get", *arguments, "--output=json"),
        )
        try:
            return json.loads(output) if status == 0 else None
        except ValueError:
            return None

    def kubeadm_config(self) -> dict[str, t.Any]:
        """The ConfigMap kubeadm-config; empty where it cannot be read."""
        return self.query("configmap", "kubeadm-config", "--namespace=kube-system") or {}

    def missing_of_cluster(self) -> list[str]:
        """Why the configuration has to be uploaded; empty where the cluster has it."""
        config = self.kubeadm_config()
        annotations = (config.get("metadata") or {}).get("annotations") or {}
        found: dict[str, object] = {
            "ConfigMap kubeadm-config is missing": config,
            "ConfigMap kubelet-config is missing": self.query("configmap", "kubelet-config", "--namespace=kube-system"),
            "ConfigMap cluster-info is missing": self.query("configmap", "cluster-info", "--namespace=kube-public"),
            "its configuration changed": not config or annotations.get(INPUTS) == self.spec.digest,
        }
        return [reason for reason, there in found.items() if not there]

    def proxy_digest(self) -> str | None:
        """The configuration that kube-proxy's pods were made from; None where there is no kube-proxy."""
        found = self.query(*PROXY)
        if not found:
            return None
        metadata = ((found.get("spec") or {}).get("template") or {}).get("metadata") or {}
        return str((metadata.get("annotations") or {}).get(INPUTS, ""))

    # health

    def health_of(self, pod: str) -> Health:
        if pod == "kube-apiserver":
            return Health(url=f"https://127.0.0.1:{self.spec.api_port}/readyz", ca=f"{KUBERNETES}/pki/ca.crt")
        return Health(url=f"https://127.0.0.1:{HEALTH_PORTS[pod]}/healthz", verify=False)

    def kubelet_is_healthy(self) -> bool:
        return not self.system.probe(Health(url="http://127.0.0.1:10248/healthz"))

    def wait_until(self, holds: Callable[[], bool], problem: str) -> None:
        end = time.monotonic() + self.spec.timeout
        while not holds():
            if time.monotonic() > end:
                raise KubeadmError(
                    f"{problem} after {self.spec.timeout:g} s. Fix: see the cause with journalctl --unit kubelet, "
                    "correct it, and run the playbook again"
                )
            time.sleep(POLL)

    def wait_for_static_pods(self, restarted: tuple[str, ...] = (), before: Mapping[str, str] | None = None) -> None:
        """Until every static pod is healthy; one that was to restart counts once its sandbox is another than *before*."""
        pods = STATIC_PODS if self.spec.control_plane else ()
        end = time.monotonic() + self.spec.timeout
        while True:
            running = self.sandboxes() if restarted else {}
            pending = [pod for pod in restarted if pod not in running or running[pod] == (before or {}).get(pod)]
            problems = {pod: "its pod has not restarted" for pod in pending}
            for pod in pods:
                problem = None if pod in problems else self.system.probe(self.health_of(pod))
                if problem:
                    problems[pod] = problem
            if not problems:
                return
            if time.monotonic() > end:
                raise KubeadmError(
                    "; ".join(
                        f"{pod} is not healthy after {self.spec.timeout:g} s: {problem}"
                        for pod, problem in problems.items()
                    )
                    + ". Fix: see the cause with crictl ps --all, crictl logs ID or journalctl --unit kubelet, "
                    "correct it, and run the playbook again"
                )
            time.sleep(POLL)
