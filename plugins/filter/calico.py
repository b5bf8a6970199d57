# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's objects from upstream's manifests and the cluster's settings: each filter is documented in the file of its name."""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.merge import merged
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.yaml_loader import LOADER

KIND = "CustomResourceDefinition"
SECRET = "calico-etcd-secrets"
CONFIG = "calico-config"
#: Where upstream's pods mount the Secret, by its keys.
SECRET_PATH = "/calico-secrets"
SECRET_KEYS = {"ca": "etcd-ca", "certificate": "etcd-cert", "key": "etcd-key"}
CONFIGURATION = "hardway.kubernetes/configuration"
#: The setting's words: the pool's mode of IP in IP, that of VXLAN, and the operator's name for both.
ENCAPSULATIONS = {
    "vxlan": ("Never", "Always", "VXLAN"),
    "vxlan-cross-subnet": ("Never", "CrossSubnet", "VXLANCrossSubnet"),
    "ipip": ("Always", "Never", "IPIP"),
    "ipip-cross-subnet": ("CrossSubnet", "Never", "IPIPCrossSubnet"),
    "none": ("Never", "Never", "None"),
}


def calico_kinds(text: str) -> list[dict[str, t.Any]]:
    """The kinds of objects (CustomResourceDefinitions) in upstream's manifest."""
    return [document for document in _documents(text) if document["kind"] == KIND]


def calico_objects(text: str, settings: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The other objects of upstream's manifest, as the settings want them; see calico_objects.yml. What is secret is left to calico_keys."""
    documents = [document for document in _documents(text) if document["kind"] not in (KIND, "Secret")]
    for document in documents:
        for container in _containers(document):
            container["image"] = image(
                container["image"], str(settings.get("registry") or ""), str(settings.get("image_path") or "")
            )
    if any(document["kind"] == "DaemonSet" for document in documents):
        _configure(documents, settings)
    return documents


def calico_keys(authority: str, certificate: str, key: str) -> list[dict[str, t.Any]]:
    """The Secret with which Calico's pods ask etcd."""
    values = {"ca": authority, "certificate": certificate, "key": key}
    data = {SECRET_KEYS[name]: base64.b64encode(str(value).encode()).decode() for name, value in values.items()}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": SECRET, "namespace": "kube-system"},
            "data": data,
        }
    ]


def calico_resources(settings: Mapping[str, t.Any], over: Mapping | None = None) -> list[dict[str, t.Any]]:
    """What the operator is asked for: an Installation, with *over* laid over its spec, and Calico's API server where it is wanted.

    The operator fills a pool's missing fields into this very list, so all of them are here: else each run would take them away again.
    """
    encapsulation = _encapsulation(settings)[2]
    pool = {
        "name": "default-ipv4-ippool",
        "cidr": str(settings["pod_network"]),
        "blockSize": int(settings["block_size"]),
        "encapsulation": encapsulation,
        "natOutgoing": "Enabled" if settings["nat_outgoing"] else "Disabled",
        "nodeSelector": "all()",
        "allowedUses": ["Workload", "Tunnel"],
        "assignmentMode": "Automatic",
        "disableBGPExport": False,
        "disableNewAllocations": False,
    }
    network = {
        "bgp": "Enabled" if settings["bgp"] else "Disabled",
        "ipPools": [pool],
        "nodeAddressAutodetectionV4": {"kubernetes": "NodeInternalIP"},
        **({"mtu": int(settings["mtu"])} if int(settings["mtu"]) else {}),
    }
    spec = {
        "variant": "Calico",
        "cni": {
            "type": "Calico",
            "ipam": {"type": "Calico"},
            "binDir": str(settings["bin_dir"]),
            "confDir": "/etc/cni/net.d",
        },
        "calicoNetwork": network,
        # Both serve policies of the application layer alone, and are an image and a DaemonSet more.
        "flexVolumePath": "None",
        "kubeletVolumePluginPath": "None",
        **({"registry": str(settings["registry"]).rstrip("/") + "/"} if settings.get("registry") else {}),
        **({"imagePath": str(settings["image_path"]).strip("/")} if settings.get("image_path") else {}),
    }
    group = "operator.tigera.io/v1"
    found = [
        {
            "apiVersion": group,
            "kind": "Installation",
            "metadata": {"name": "default"},
            "spec": merged(spec, _plain(over or {})),
        }
    ]
    if settings.get("apiserver"):
        found.append({"apiVersion": group, "kind": "APIServer", "metadata": {"name": "default"}, "spec": {}})
    return found


def image(reference: str, registry: str = "", path: str = "") -> str:
    """The reference of an image with another registry, another path, or both; empty leaves upstream's."""
    host, _slash, rest = reference.partition("/")
    own, _slash, name = rest.rpartition("/")
    return "/".join(part for part in (registry.rstrip("/") or host, path.strip("/") or own, name) if part)


def _documents(text: str) -> list[dict[str, t.Any]]:
    try:
        documents = [document for document in yaml.load_all(str(text), LOADER) if document]
        if documents and all(document["kind"] and document["metadata"]["name"] for document in documents):
            return documents
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"Calico's manifest is not a list of objects in YAML ({error}). Fix: check what the mirror has under its address"
        ) from error
    raise AnsibleFilterError("Calico's manifest is empty. Fix: check what the mirror has under its address")


def _encapsulation(settings: Mapping[str, t.Any]) -> tuple[str, str, str]:
    try:
        return ENCAPSULATIONS[settings["encapsulation"]]
    except KeyError as error:
        raise AnsibleFilterError(
            f"cni_calico_encapsulation has no choice {error}. Fix: choose one of {', '.join(ENCAPSULATIONS)}"
        ) from error


def _template(document: Mapping[str, t.Any]) -> dict[str, t.Any]:
    return document.get("spec", {}).get("template", {})


def _containers(document: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    pod = _template(document).get("spec", {}) if document["kind"] in ("DaemonSet", "Deployment") else {}
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def _one(items: list[dict[str, t.Any]], what: str, **wanted: str) -> dict[str, t.Any]:
    """The item with these values; without it the manifest is laid out as none that is known here."""
    for item in items:
        values = {**item, **item.get("metadata", {})}
        if all(values.get(key) == value for key, value in wanted.items()):
            return item
    described = " ".join(f"{value}" for value in wanted.values())
    raise AnsibleFilterError(
        f"Calico's manifest has no {what} {described}: this collection does not know its release. Fix: set cluster_calico_version to one that it knows"
    )


def _configure(documents: list[dict[str, t.Any]], settings: Mapping[str, t.Any]) -> None:
    """What of calico.yaml and calico-etcd.yaml depends on the cluster."""
    config = _one(documents, "object", kind="ConfigMap", name=CONFIG)
    node = _one(documents, "object", kind="DaemonSet", name="calico-node")
    controllers = _one(documents, "object", kind="Deployment", name="calico-kube-controllers")
    ipip, vxlan, _operator = _encapsulation(settings)
    container = _one(_containers(node), "container", name="calico-node")

    config["data"]["calico_backend"] = "bird" if settings["bgp"] else "vxlan"
    config["data"]["veth_mtu"] = str(int(settings["mtu"]))
    if settings["datastore"] == "etcd":
        config["data"]["etcd_endpoints"] = ",".join(map(str, settings["etcd_endpoints"]))
        # The names are those of the Secret's keys, with another separator for one of them.
        config["data"].update({key.replace("-", "_"): f"{SECRET_PATH}/{key}" for key in SECRET_KEYS.values()})
    _set_environment(
        container,
        {
            "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
            "CALICO_IPV4POOL_CIDR": settings["pod_network"],
            "CALICO_IPV4POOL_BLOCK_SIZE": settings["block_size"],
            "CALICO_IPV4POOL_IPIP": ipip,
            "CALICO_IPV4POOL_VXLAN": vxlan,
            "CALICO_IPV4POOL_NAT_OUTGOING": "true" if settings["nat_outgoing"] else "false",
            "CLUSTER_TYPE": "k8s,bgp" if settings["bgp"] else "k8s",
            **(settings.get("environment") or {}),
        },
    )
    if not settings["bgp"]:
        # As upstream's calico-vxlan.yaml has it: BIRD does not run.
        for probe in ("livenessProbe", "readinessProbe"):
            command = container[probe]["exec"]["command"]
            command[:] = [word for word in command if not word.startswith("-bird-")]
    _one(_template(node)["spec"]["volumes"], "volume", name="cni-bin-dir")["hostPath"]["path"] = str(
        settings["bin_dir"]
    )
    # Read once, at the start of the pods: the configuration, and the certificate that they ask etcd with.
    digest = hashlib.sha256(
        json.dumps([config["data"], str(settings.get("certificate") or "")], sort_keys=True).encode()
    ).hexdigest()
    for document in (node, controllers):
        _template(document)["metadata"].setdefault("annotations", {})[CONFIGURATION] = digest


def _set_environment(container: dict, values: Mapping[str, t.Any]) -> None:
    """A value replaces what upstream has under its name; a null removes it."""
    environment = container.setdefault("env", [])
    for name, value in values.items():
        wanted = (
            []
            if value is None
            else [{"name": str(name), "value": str(value).lower() if isinstance(value, bool) else str(value)}]
        )
        places = [index for index, entry in enumerate(environment) if entry["name"] == name] or [len(environment)]
        environment[places[0] : places[0] + 1] = wanted


def _plain(value: t.Any) -> t.Any:
    """Ansible's own kinds of text and numbers as Python's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


class FilterModule:
    def filters(self) -> dict[str, t.Any]:
        return {
            "calico_keys": calico_keys,
            "calico_kinds": calico_kinds,
            "calico_objects": calico_objects,
            "calico_resources": calico_resources,
        }
