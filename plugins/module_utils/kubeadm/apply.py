# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done on a host. An action carries what it does: `apply` is the only way to it.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import (
    CLIENT_CERTIFICATE,
    INPUTS,
    JOIN_CONFIG,
    PATCHES,
    PROXY,
    KubeadmError,
)


@dataclasses.dataclass(frozen=True)
class Action:
    """One step of a plan: the subject, the reason, and (in its class) what it does."""

    subject: str
    reason: str
    #: static pods that restart by it, and so have to be waited for
    restarts: tuple[str, ...] = ()
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"

    def diff(self) -> dict[str, str]:
        return {
            "before_header": self.subject,
            "after_header": self.subject,
            "before": self.before,
            "after": self.after or f"{self.before}{self.reason}\n",
        }

    def apply(self, host: Host) -> None:
        """Do it, and wait for the static pods that restart by it."""
        before = host.sandboxes() if self.restarts else {}
        if self.restarts:
            for name, text in host.patches().items():
                host.system.write(f"{PATCHES}/{name}", text)
        self._run(host)
        if self.restarts:
            host.wait_for_static_pods(self.restarts, before)

    def _run(self, host: Host) -> None:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class RunKubeadm(Action):
    """A command of kubeadm."""

    argv: tuple[str, ...] = ()

    def _run(self, host: Host) -> None:
        host.kubeadm(*self.argv)


@dataclasses.dataclass(frozen=True)
class UploadConfig(RunKubeadm):
    """kubeadm uploads its configuration; the annotation, which comes last, says of which configuration all of it is."""

    def _run(self, host: Host) -> None:
        super()._run(host)
        host.kubectl("annotate", "--overwrite", "configmap", "kubeadm-config", f"{INPUTS}={host.spec.digest}")


@dataclasses.dataclass(frozen=True)
class RollOutKubeProxy(RunKubeadm):
    """kube-proxy's pods read their configuration at their start: the annotation of their template replaces them."""

    def _run(self, host: Host) -> None:
        super()._run(host)
        template = {"metadata": {"annotations": {INPUTS: host.spec.digest}}}
        host.kubectl("patch", *PROXY[:2], "--patch", json.dumps({"spec": {"template": template}}))
        timeout = host.spec.timeout
        host.kubectl("rollout", "status", *PROXY[:2], f"--timeout={timeout:g}s", timeout=timeout + 10)


@dataclasses.dataclass(frozen=True)
class FinalizeKubelet(RunKubeadm):
    """kubelet.conf names the certificate that kubelet renews, as soon as there is one."""

    def _run(self, host: Host) -> None:
        host.wait_until(
            lambda: host.system.exists(CLIENT_CERTIFICATE),
            f"kubelet has no certificate of its own ({CLIENT_CERTIFICATE})",
        )
        super()._run(host)


@dataclasses.dataclass(frozen=True)
class Join(Action):
    """kubeadm join. Its configuration has the token, and is on the host only while the command runs."""

    config: str = dataclasses.field(default="", repr=False)
    flags: tuple[str, ...] = ()

    def _run(self, host: Host) -> None:
        if not self.config:
            raise KubeadmError(
                "this host is to join the cluster, and no token was given. Fix: run the whole playbook, which creates one"
            )
        host.system.write(JOIN_CONFIG, self.config)
        try:
            host.kubeadm("join", f"--config={JOIN_CONFIG}", *self.flags)
        finally:
            host.system.remove(JOIN_CONFIG)


@dataclasses.dataclass(frozen=True)
class RemoveFile(Action):
    path: str = ""

    def _run(self, host: Host) -> None:
        host.system.remove(self.path)


@dataclasses.dataclass(frozen=True)
class SetMode(Action):
    path: str = ""
    mode: int = 0o600

    def _run(self, host: Host) -> None:
        host.system.set_mode(self.path, self.mode)


@dataclasses.dataclass(frozen=True)
class RestartKubelet(Action):
    def _run(self, host: Host) -> None:
        host.run("systemctl", "restart", "kubelet")
        host.wait_until(host.kubelet_is_healthy, "kubelet is not healthy")


@dataclasses.dataclass(frozen=True)
class StopApiServer(Action):
    """kubelet first, which would start it again."""

    def _run(self, host: Host) -> None:
        host.run("systemctl", "stop", "kubelet")
        for container in host.containers("kube-apiserver"):
            host.run("crictl", "--timeout=90s", "stop", "--timeout=60", container)
