# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which actions lead from what is observed on a host to its spec, for each phase of the module.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.apply import (
    Action,
    FinalizeKubelet,
    Join,
    RemoveFile,
    RestartKubelet,
    RollOutKubeProxy,
    RunKubeadm,
    SetMode,
    StopApiServer,
    UploadConfig,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.diff import difference
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.model import (
    BOOTSTRAP_CONF,
    JOIN_CONFIG,
    KUBELET_CONF,
    KUBELET_CONFIG,
    KUBELET_CONFIG_MODE,
    KUBERNETES,
    PATCHES,
    STATIC_PODS,
    SUBPHASES,
    Phase,
    Spec,
    manifest_path,
)

# The first control plane gets what needs no API server. The rest is for the phase upload-config, when kubeadm has rights there. kube-proxy comes
# after the nodes, so that no node replaces it while it is itself drained, or before it has the image: kube-proxy may be older than the API servers.
INIT_LATER = (
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon",
    "show-join-command",
)
INIT_FIRST = (
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-certs",
    "mark-control-plane",
    "addon",
    "show-join-command",
)
# A joining kubelet's requests are approved from the controller, so kubeadm must not wait for that here.
JOIN_LATER = ("kubelet-wait-bootstrap", "control-plane-join", "wait-control-plane")
# What an interrupted run has left is no reason to stop.
LEFT_BY_INTERRUPTED_RUN = (
    "DirAvailable--etc-kubernetes-manifests",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf",
    "FileAvailable--etc-kubernetes-pki-ca.crt",
    "Port-10250",
    "Port-10257",
    "Port-10259",
)
# An upgrade checks CoreDNS, which kubeadm does not manage here, as if it had to migrate its configuration.
NOT_MANAGED_BY_KUBEADM = ("CoreDNSUnsupportedPlugins", "CoreDNSMigration")


def plan(host: Host, phase: Phase) -> list[Action]:
    """The actions of *phase*, in order; none where the host is as it should be."""
    planners: dict[Phase, Callable[[Host], list[Action]]] = {
        "init": plan_init,
        "join": plan_join,
        "upload-config": plan_upload_config,
        "kubelet-config": plan_kubelet_config,
        "kube-proxy": plan_kube_proxy,
        "stop-gracefully": plan_stop_gracefully,
    }
    return planners[phase](host)


def plan_init(host: Host) -> list[Action]:
    """A control plane's static pods, whether kubeadm made them by init or by join."""
    if not (host.has_control_plane() and host.kubelet_is_configured()):
        interrupted = host.system.exists(f"{KUBERNETES}/manifests")
        reason = "an earlier run was interrupted" if interrupted else "there is none"
        argv = (
            "init",
            f"--config={host.spec.config}",
            ignore_preflight_flag(host.spec),
            "--skip-phases=certs,kubeconfig,etcd," + ",".join(INIT_LATER),
        )
        return [RunKubeadm("control plane", f"initialised, because {reason}", STATIC_PODS, argv=argv)]
    running = host.running_version()
    if running and running != host.spec.version:
        return [*_forget_token(host), _upgrade(host, running)]
    return [*_forget_token(host), *plan_manifests(host)]


def _forget_token(host: Host) -> list[Action]:
    """What kubeadm joined with has no further use, and an interrupted run leaves it."""
    left = [path for path in (JOIN_CONFIG, BOOTSTRAP_CONF) if host.system.exists(path)]
    return [RemoveFile(path, "removed", path=path) for path in left]


def plan_manifests(host: Host) -> list[Action]:
    """The static pods whose manifests kubeadm would write differently."""
    actions: list[Action] = []
    for pod, after in host.rendered().items():
        before = host.system.read(manifest_path(pod))
        if before != after:
            reason = f"restarted, because {difference(before, after)}"
            argv = ("init", "phase", "control-plane", SUBPHASES[pod], f"--config={host.spec.config}")
            actions.append(RunKubeadm(pod, reason, (pod,), before, after, argv))
    return actions


def _upgrade(host: Host, running: str) -> Action:
    """The first control plane upgrades the cluster's configuration too, the others follow it."""
    version = f"v{host.spec.version}"
    configuration = (host.kubeadm_config().get("data") or {}).get("ClusterConfiguration", "")
    # kubelets connect to the cluster's endpoint, which the phase `kubeconfig` would change; certificates come from the controller, CoreDNS from
    # the addons, and kube-proxy is upgraded later.
    common = (
        "--certificate-renewal=false",
        "--etcd-upgrade=false",
        f"--patches={PATCHES}",
        "--skip-phases=kubeconfig,addon",
    )
    command = (
        ("upgrade", "node")
        if f"kubernetesVersion: {version}" in configuration
        else ("upgrade", "apply", version, "--yes")
    )
    reason = f"{running} -> {host.spec.version} by kubeadm {' '.join(command[:2])}"
    argv = (*command, ignore_preflight_flag(host.spec), *common)
    return RunKubeadm("control plane", reason, STATIC_PODS, argv=argv)


def plan_join(host: Host) -> list[Action]:
    spec = host.spec
    if host.has_joined() and (host.has_control_plane() or not spec.control_plane):
        return []
    subject, restarts = ("control plane", STATIC_PODS) if spec.control_plane else ("node", ())
    flags = (ignore_preflight_flag(spec), "--skip-phases=" + ",".join(JOIN_LATER))
    return [Join(subject, "joined", restarts, config=spec.join, flags=flags)]


def plan_kubelet_config(host: Host) -> list[Action]:
    """kubelet as the cluster configures it, and nothing left of what it joined with."""
    if not host.kubelet_is_configured():
        return []  # check mode, before the host has joined
    actions = _forget_token(host)
    if "client-certificate-data" in host.system.read(KUBELET_CONF):
        argv = ("init", "phase", "kubelet-finalize", "all", f"--config={host.spec.config}")
        reason = "names the certificate that kubelet renews itself"
        actions.append(FinalizeKubelet(KUBELET_CONF, reason, argv=argv))
    before, after = host.system.read(KUBELET_CONFIG), host.rendered_kubelet_config()
    changed = bool(after) and before != after
    if changed:
        argv = ("upgrade", "node", "phase", "kubelet-config", host.own_kubeconfig_flag())
        reason = "changed, because the cluster's configuration of kubelets did"
        actions.append(RunKubeadm(KUBELET_CONFIG, reason, (), before, after, argv))
    # kubeadm makes it 0644, and writes over what is there without a change of its mode (CIS Kubernetes Benchmark 4.1.9).
    mode = host.system.mode(KUBELET_CONFIG)
    if mode & ~KUBELET_CONFIG_MODE:
        reason = f"mode {mode:04o} -> {KUBELET_CONFIG_MODE:04o}"
        actions.append(SetMode(KUBELET_CONFIG, reason, path=KUBELET_CONFIG, mode=KUBELET_CONFIG_MODE))
    if changed or _restart_is_pending(host):
        actions.append(RestartKubelet("kubelet.service", f"restarted, because {KUBELET_CONFIG} changed"))
    return actions


def _restart_is_pending(host: Host) -> bool:
    """Whether an interrupted run changed kubelet's configuration after kubelet had started."""
    started = host.kubelet_started()
    # Start times of processes are exact to a tick, and the boot time to a second.
    return started is not None and host.system.modified(KUBELET_CONFIG) > started + 1


def plan_upload_config(host: Host) -> list[Action]:
    """What the cluster itself keeps of its configuration: written by the first control plane of a run, for all."""
    missing = host.missing_of_cluster()
    if not missing:
        return []
    argv = ("init", f"--config={host.spec.config}", "--skip-token-print", "--skip-phases=" + ",".join(INIT_FIRST))
    return [UploadConfig("cluster", f"configuration uploaded, because {', '.join(missing)}", argv=argv)]


def plan_kube_proxy(host: Host) -> list[Action]:
    """kube-proxy, on all nodes."""
    digest = host.proxy_digest()
    if digest is not None and digest == host.spec.digest:
        return []
    reason = "it was not there" if digest is None else "its version or configuration changed"
    argv = ("init", "phase", "addon", "kube-proxy", f"--config={host.spec.config}")
    return [RollOutKubeProxy("kube-proxy", f"rolled out, because {reason}", argv=argv)]


def plan_stop_gracefully(host: Host) -> list[Action]:
    """A kubelet of another version takes static pods for others (their UID is a digest of the whole object, with the fields that it knows), and
    gives those that it finds 2 seconds to end. An API server needs more, because of its clients.
    """
    if not host.containers("kube-apiserver"):
        return []
    return [
        StopApiServer("kube-apiserver", "stopped gracefully, because a kubelet of another version replaces its pod")
    ]


def ignore_preflight_flag(spec: Spec) -> str:
    manifests = [f"FileAvailable--etc-kubernetes-manifests-{pod}.yaml" for pod in STATIC_PODS]
    return "--ignore-preflight-errors=" + ",".join(
        [*LEFT_BY_INTERRUPTED_RUN, *NOT_MANAGED_BY_KUBEADM, *manifests, f"Port-{spec.api_port}", *spec.ignore]
    )
