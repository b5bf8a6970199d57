# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host should be under kubeadm, and the names that all parts of this package share.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.kubernetes import CONTROL_PLANE

KUBERNETES = "/etc/kubernetes"
PATCHES = f"{KUBERNETES}/patches"
KUBELET_CONF = f"{KUBERNETES}/kubelet.conf"
BOOTSTRAP_CONF = f"{KUBERNETES}/bootstrap-kubelet.conf"
JOIN_CONFIG = f"{KUBERNETES}/kubeadm-join.yaml"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
KUBELET_CONFIG_MODE = 0o600
KUBELET_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
CLIENT_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
STATIC_PODS = CONTROL_PLANE
#: As the subcommands of `kubeadm init phase control-plane` are called.
SUBPHASES = {
    "kube-apiserver": "apiserver",
    "kube-controller-manager": "controller-manager",
    "kube-scheduler": "scheduler",
}
HEALTH_PORTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
#: On a static pod: the files that its process reads at its start. On the ConfigMap kubeadm-config, and on the pods of kube-proxy: the
#: configuration that they were made from.
INPUTS = "hardway/inputs"
PROXY = ("daemonset", "kube-proxy", "--namespace=kube-system")

Phase = t.Literal["init", "upload-config", "join", "kubelet-config", "stop-gracefully", "kube-proxy"]
#: The phases of the module, in the order in which a cluster passes through them.
PHASES: tuple[Phase, ...] = t.get_args(Phase)


class KubeadmError(HardwayError):
    """What is wrong, where, and how to fix it; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a host should be."""

    version: str
    control_plane: bool = False
    config: str = f"{KUBERNETES}/kubeadm.yaml"
    #: a JoinConfiguration, with the token; empty where nobody joins in this run
    join: str = ""
    #: static pod -> files that its process reads only at its start
    inputs: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    #: digest of the configuration of the whole cluster, or of kube-proxy
    digest: str = ""
    api_port: int = 6443
    ignore: tuple[str, ...] = ()
    timeout: float = 240
    bin_dir: str = "/usr/local/bin"


def manifest_path(pod: str) -> str:
    return f"{KUBERNETES}/manifests/{pod}.yaml"
