# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's documents, and what goes into them: each filter is documented in the file of its name."""

from __future__ import annotations

import hashlib
import typing as t
from collections.abc import Mapping, Sequence

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.merge import argument, merged

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

# kubeadm has them as lists of what has a name; a setting that names one should not have to repeat the others. Arguments are a name and a value.
ARGUMENTS = ("extraArgs", "kubeletExtraArgs")
NAMED = ("extraEnvs", "extraVolumes")
# As kubeadm writes it: a dry run does not read what a host has recorded of its socket, and would report a change.
CRI_SOCKET = "unix:///var/run/containerd/containerd.sock"


def kubeadm_documents(text: str, *overrides: Mapping[str, t.Any] | None) -> str:
    """The documents of *text*, with the mappings of each of *overrides*, by kind, merged into them; the last one wins."""
    documents = _documents("kubeadm_documents", text)
    for over in overrides:
        kinds = [document["kind"] for document in documents]
        given = {kind: by_name(document) for kind, document in (over or {}).items() if kind in kinds}
        documents = [merged(by_name(document), given.get(document["kind"], {})) for document in documents]
    return yaml.safe_dump_all(
        [as_lists(by_name(document)) for document in documents],
        sort_keys=False,
        width=1000,
    )


def kubeadm_overrides(settings: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Settings of components, as the roles for binaries have them, as overrides of kubeadm's documents."""
    known = ("apiserver", "controller_manager", "scheduler", "kubelet", "proxy")
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise AnsibleFilterError(f"kubeadm_overrides: {', '.join(unknown)} is unknown. Fix: use {', '.join(known)}")
    apiserver, controller_manager, scheduler, kubelet, proxy = (settings.get(name) or {} for name in known)
    return {
        "ClusterConfiguration": {
            "apiServer": {"extraArgs": apiserver},
            "controllerManager": {"extraArgs": controller_manager},
            "scheduler": {"extraArgs": scheduler},
        },
        "KubeletConfiguration": kubelet,
        "KubeProxyConfiguration": proxy,
    }


def kubeadm_registration(
    name: str,
    address: str,
    image_source: str = "registry",
    labels: Mapping[str, t.Any] | None = None,
    taints: Sequence[Mapping[str, t.Any]] = (),
    arguments: Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """The nodeRegistration of a host. *arguments* are kubelet's, and win over all others."""
    extra: dict[str, t.Any] = {"node-ip": address}
    if labels:
        extra["node-labels"] = dict(labels)
    if taints:
        extra["register-with-taints"] = [taint_text(taint) for taint in taints]
    return {
        "name": name,
        "criSocket": CRI_SOCKET,
        # What kubeadm pulls beforehand. Images from archives are here already, except the pause image of kubeadm's own version, which nothing runs.
        "imagePullPolicy": "Never" if image_source == "archive" else "IfNotPresent",
        # kubelet registers with them, as it does with labels: control planes and nodes the same way.
        "taints": [],
        "kubeletExtraArgs": {**extra, **(arguments or {})},
    }


def taint_text(taint: Mapping[str, t.Any]) -> str:
    """A taint as kubelet's argument has it: KEY=VALUE:EFFECT."""
    return f"{taint['key']}={taint.get('value') or ''}:{taint['effect']}"


def kubeadm_proxy(text: str) -> dict[str, t.Any]:
    """What kube-proxy's pods are made from; empty where the documents *text* disable it."""
    kinds = {document["kind"]: document for document in _documents("kubeadm_proxy", text)}
    missing = sorted({"ClusterConfiguration", "KubeProxyConfiguration"} - set(kinds))
    if missing:
        raise AnsibleFilterError(
            f"kubeadm_proxy: no {' and no '.join(missing)} among the documents. Fix: give the cluster's configuration"
        )
    cluster = kinds["ClusterConfiguration"]
    if (cluster.get("proxy") or {}).get("disabled"):
        return {}
    return {
        "version": cluster["kubernetesVersion"],
        "repository": cluster.get("imageRepository", ""),
        "server": cluster["controlPlaneEndpoint"],
        "configuration": kinds["KubeProxyConfiguration"],
    }


def _documents(name: str, text: str) -> list[dict[str, t.Any]]:
    try:
        return [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise AnsibleFilterError(
            f"{name}: the rendered documents are not YAML: {error}. Fix: check the settings that they use"
        ) from error


def by_name(value: t.Any, key: str = "") -> t.Any:
    """Lists of what has a name as mappings; such mappings are accepted, too."""
    if isinstance(value, Mapping):
        return {str(name): by_name(item, name) for name, item in value.items()}
    if isinstance(value, list) and key in ARGUMENTS:
        return {str(entry["name"]): by_name(entry.get("value", "")) for entry in value}
    if isinstance(value, list) and key in NAMED:
        return {
            str(entry["name"]): {part: by_name(item) for part, item in entry.items() if part != "name"}
            for entry in value
        }
    return [by_name(item) for item in value] if isinstance(value, list) else _plain(value)


def as_lists(value: t.Any, key: str = "") -> t.Any:
    if isinstance(value, dict) and key in ARGUMENTS:
        return [{"name": name, "value": argument(value[name])} for name in sorted(value)]
    if isinstance(value, dict) and key in NAMED:
        return [{"name": name, **value[name]} for name in sorted(value)]
    if isinstance(value, dict):
        return {name: as_lists(item, name) for name, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list) else value


def _plain(value: t.Any) -> t.Any:
    """Ansible's own kinds of text and numbers as Python's, which YAML can write."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def ca_hashes(bundle: str) -> list[str]:
    """What ``--discovery-token-ca-cert-hash`` takes for each certificate of a bundle: sha256 of its public key (RFC 7469)."""
    if not HAS_CRYPTOGRAPHY:
        raise AnsibleFilterError(
            "ca_hashes: the Python library cryptography is missing on the controller. Fix: pip install cryptography"
        )
    return [
        "sha256:"
        + hashlib.sha256(
            certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()
        for certificate in x509.load_pem_x509_certificates(bundle.encode())
    ]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "ca_hashes": ca_hashes,
            "kubeadm_documents": kubeadm_documents,
            "kubeadm_overrides": kubeadm_overrides,
            "kubeadm_proxy": kubeadm_proxy,
            "kubeadm_registration": kubeadm_registration,
        }
