# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of versions, and of what goes together: Kubernetes, etcd, the runtime, the installer, the network."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.versions import minor_of, numbers, version_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import network_of
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import WARNING, Kind, Problem

BLOCK_SIZES = range(20, 33)  # Calico's, of IPv4
KUBEADM_FROM = (1, 31)  # kubeadm.k8s.io/v1beta4 came with it


def supported_versions(table: t.Any, etcd: Iterable[t.Any] = ()) -> dict[str, dict[str, list[str]]]:
    """What is supported with each minor version of Kubernetes, from the version table of the role cluster.

    Its entries name what changed since the one before.

    An entry's `etcd`, `containerd`, `coredns`, `calico` and `runtime` are lists of versions (as prefixes) and names; `containerd_major` serves, too.
    `tried: false` makes a warning.
    """
    supported = {}
    values: dict[str, t.Any] = {}
    for minor, entry in sorted((table or {}).items(), key=lambda item: numbers(str(item[0]))):
        values = {**values, **(entry if isinstance(entry, dict) else {})}
        major = values.get("containerd_major")
        containerd = values.get("containerd") or ([major] if major else [])
        supported[str(minor)] = {
            "etcd": [str(version) for version in values.get("etcd") or etcd],
            "containerd": [str(version) for version in containerd],
            "coredns": [str(version) for version in values.get("coredns") or []],
            "calico": [str(version) for version in values.get("calico") or []],
            "runtime": list(values.get("runtime") or []),
            "untried": [] if values.get("tried", True) else [str(minor)],
        }
    return supported


def check_kubernetes_version(plan: Plan) -> Iterator[Problem]:
    name = "cluster_kubernetes_version"
    minor = minor_of(plan.setting(name))
    known = sorted(plan.supported, key=numbers)
    if minor and plan.supported and minor not in plan.supported:
        yield Problem(
            Kind.UNSUPPORTED_VERSION,
            plan.place(name),
            f"Kubernetes {plan.setting(name)} is not supported.",
            f"Use a version of {listed(known, 'or')}.",
        )
    elif minor in plan.supported and plan.supported[minor].get("untried"):
        tried = [item for item in known if not plan.supported[item].get("untried")]
        yield Problem(
            Kind.UNTRIED_VERSION,
            plan.place(name),
            f"This collection was not tested with Kubernetes {minor}.",
            f"Test it in a cluster that nothing depends on, or use a version of {listed(tried, 'or')}.",
            WARNING,
        )


def check_versions(plan: Plan) -> Iterator[Problem]:
    for name in sorted(plan.settings):
        if name.startswith("cluster_") and name.endswith("_version") and plan.setting(name):
            text = plan.setting(name)
            # containers' and plugins' versions carry suffixes and two or four parts: pause 3.10, v1.8.0-flannel1
            strict = name in ("cluster_kubernetes_version", "cluster_etcd_version", "cluster_containerd_version")
            if not (version_of(text) if strict else re.match(r"v?\d+(\.\d+)+([-+][\w.+-]+)?\Z", text)):
                yield Problem(
                    Kind.INVALID_VERSION,
                    plan.place(name),
                    f"{text!r} is not a version.",
                    "Write the version of a release, without a v and in quotes: '1.36.3'.",
                )


def check_combination(plan: Plan) -> Iterator[Problem]:
    version = plan.setting("cluster_kubernetes_version")
    minor = minor_of(version)
    tables = [plan.supported[minor]] if minor in plan.supported else list(plan.supported.values())
    for component in ("etcd", "containerd", "coredns"):
        name = f"cluster_{component}_version"
        text, known = (
            plan.setting(name),
            list(dict.fromkeys(prefix for table in tables for prefix in table.get(component) or [])),
        )
        if component == "containerd" and plan.setting("cluster_runtime") == "docker":
            continue
        if known and version_of(text) and not any(text.lstrip("v").startswith(f"{prefix}.") for prefix in known):
            yield Problem(
                Kind.UNSUPPORTED_COMBINATION,
                plan.place(name),
                f"{component} {text} is not supported with Kubernetes {version if minor in plan.supported else 'of any supported version'}.",
                f"Use {component} {listed(known, 'or')}.",
            )
    runtimes = [runtime for table in tables for runtime in table.get("runtime") or []]
    if (
        runtimes
        and plan.setting("cluster_runtime") in ("docker", "containerd")
        and plan.setting("cluster_runtime") not in runtimes
    ):
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            plan.place("cluster_runtime"),
            f"The runtime {plan.setting('cluster_runtime')} is not supported with Kubernetes {version}.",
            f"Use {listed(runtimes, 'or')}.",
        )


def check_kubeadm(plan: Plan) -> Iterator[Problem]:
    if plan.setting("cluster_installer") != "kubeadm":
        return
    version, runtime = plan.setting("cluster_kubernetes_version"), plan.setting("cluster_runtime")
    if version_of(version) and numbers(minor_of(version)) < KUBEADM_FROM:
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            plan.place("cluster_kubernetes_version"),
            f"kubeadm {version} cannot read the configuration that this collection writes (kubeadm.k8s.io/v1beta4).",
            f"Use Kubernetes {'.'.join(map(str, KUBEADM_FROM))} or later, or cluster_installer: binaries.",
        )
    if runtime and runtime != "containerd":
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            plan.place("cluster_runtime"),
            f"With kubeadm, this collection supports containerd only, not {runtime}.",
            "Set cluster_runtime: containerd, or cluster_installer: binaries.",
        )
    without_pods = plan.masters_without_pods
    if without_pods:
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            "group kube_node",
            f"With kubeadm every master is a node, and {listed(without_pods)} {'is' if len(without_pods) == 1 else 'are'} not in the group.",
            "Add every host of the group kube_master to the group kube_node.",
        )


def check_calico(plan: Plan) -> Iterator[Problem]:
    if plan.setting("cluster_cni") != "calico":
        return
    method, encapsulation = plan.setting("cluster_calico_method"), plan.setting("cni_calico_encapsulation")
    kind = Kind.UNSUPPORTED_COMBINATION
    if method == "operator" and plan.setting("cluster_calico_datastore") == "etcd":
        yield Problem(
            kind,
            plan.place("cluster_calico_datastore"),
            "Calico's operator supports the Kubernetes API as the only datastore.",
            "Set cluster_calico_method: manifest, or cluster_calico_datastore: kubernetes.",
        )
    if (
        encapsulation
        and not encapsulation.startswith("vxlan")
        and plan.setting("cni_calico_bgp")
        and not plan.truth("cni_calico_bgp")
    ):
        yield Problem(
            kind,
            plan.place("cni_calico_bgp"),
            f"With cni_calico_encapsulation={encapsulation} nodes know the routes to each other's pods by BGP only, and BGP is off.",
            "Set cni_calico_bgp: true, or cni_calico_encapsulation: vxlan.",
        )
    if method == "operator" and plan.truth("cluster_calico_apiserver") and plan.masters_without_pods:
        yield Problem(
            kind,
            plan.place("cluster_calico_apiserver"),
            f"{listed(plan.masters_without_pods)} must reach Calico's API server at its Service, and masters that are no nodes cannot.",
            "Set cluster_calico_apiserver: false, or add the masters to the group kube_node.",
        )
    pod, size = network_of(plan.setting("cluster_pod_network")), plan.setting("cni_calico_block_size")
    if size.isdigit() and int(size) not in BLOCK_SIZES:
        yield Problem(
            Kind.INVALID_BLOCK_SIZE,
            plan.place("cni_calico_block_size"),
            f"Calico does not support blocks of /{size}.",
            f"Use a prefix length from {BLOCK_SIZES[0]} to {BLOCK_SIZES[-1]}; 26 is usual.",
        )
    if pod is not None and pod.version != 4:
        yield Problem(
            Kind.ADDRESS_FAMILY,
            plan.place("cluster_pod_network"),
            "This collection supports Calico with IPv4 only.",
            "Use an IPv4 network, or another cluster_cni.",
        )
    yield from check_calico_version(plan)


def check_calico_version(plan: Plan) -> Iterator[Problem]:
    kubernetes, calico = plan.setting("cluster_kubernetes_version"), plan.setting("cluster_calico_version")
    if minor_of(kubernetes) not in plan.supported or not version_of(calico):
        return
    known = plan.supported[minor_of(kubernetes)].get("calico") or []
    first = next((minor for minor in sorted(plan.supported, key=numbers) if plan.supported[minor].get("calico")), "")
    if not known:
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            plan.place("cluster_cni"),
            f"This collection knows no release of Calico for Kubernetes {kubernetes}.",
            f"Use Kubernetes {first} or later, or another cluster_cni." if first else "Use another cluster_cni.",
        )
    elif not any(calico.startswith(f"{prefix}.") for prefix in known):
        yield Problem(
            Kind.UNSUPPORTED_COMBINATION,
            plan.place("cluster_calico_version"),
            f"Calico {calico} is not tested with Kubernetes {kubernetes} by its developers.",
            f"Use Calico {listed(known, 'or')}.",
        )
