# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory to the arguments of the module ``certificates``: documented in the files beside this one."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError

try:
    import netaddr
except ImportError:
    netaddr = None

LOOPBACK = ["127.0.0.1", "localhost"]
# The files of the authorities and what their common names end in.
AUTHORITIES = {"ca": "ca", "etcd-ca": "etcd-ca", "front-proxy-ca": "front-proxy-ca", "kubelet-ca": "kubelet-ca"}


def members(hosts: Iterable[str], hostvars: Mapping) -> list[dict]:
    """The name and the address of each host, in the order of the group; no other host's variables are touched."""
    if isinstance(hosts, (str, Mapping)):
        raise AnsibleFilterError("members: takes a list of host names, such as groups['etcd'] | default([])")
    return [{"name": str(host), "address": _address(host, hostvars)} for host in hosts]


def _address(host: str, hostvars: Mapping) -> str:
    if host not in hostvars:
        raise AnsibleFilterError(f"members: '{host}' is not a host of the inventory")
    variables = hostvars[host]
    return str(variables.get("cluster_host_address") or variables.get("ansible_host") or host)


def nth_address(network: str, n: int) -> str:
    """The address at a distance of n from a network's first; a negative n counts from its end."""
    if netaddr is None:
        raise AnsibleFilterError("nth_address: needs the Python library netaddr on the controller")
    try:
        block = netaddr.IPNetwork(str(network))
        return str(block[int(n)])
    except (netaddr.AddrFormatError, ValueError) as error:
        raise AnsibleFilterError(f"nth_address: '{network}' is not a network such as 10.96.0.0/16, or {n} no number ({error})") from error
    except IndexError as error:
        raise AnsibleFilterError(f"nth_address: {network} has no address number {n}") from error


def pki(
    groups: Mapping,
    endpoint_address: str,
    service_network: str,
    dns_domain: str,
    endpoint_name: str = "",
    cluster_name: str = "kubernetes",
    subject: Mapping | None = None,
    key: Mapping | None = None,
    authority_key: Mapping | None = None,
    authority_validity: str = "87600h",
    certificate_validity: str = "87600h",
    single: bool = False,
    adopt: Mapping | None = None,
    apiserver_hosts: Iterable[str] = (),
    etcd_hosts: Iterable[str] = (),
    certificates: Iterable[Mapping] = (),
) -> dict:
    """All that a cluster's directory is to hold; see pki.yml for the arguments."""
    unknown = sorted(set(adopt or {}) - set(AUTHORITIES))
    if unknown:
        raise AnsibleFilterError(f"pki: adopt names {', '.join(unknown)}; the authorities are {', '.join(AUTHORITIES)}")
    names = _apiserver_names(endpoint_address, endpoint_name, service_network, dns_domain, apiserver_hosts)
    leaves = [
        *_etcd(groups.get("etcd") or [], etcd_hosts),
        *_apiserver(groups.get("kube_master") or [], names),
        *_clients(),
    ]
    # O is left out: in a client's certificate it is a group of Kubernetes' authorization.
    common = {name: value for name, value in (subject or {}).items() if name in ("C", "ST", "L", "OU")}
    defaults = {"validity": certificate_validity, "key": dict(key or {})}
    lasting_key = dict(authority_key or key or {})
    return {
        "authorities": _authorities(cluster_name, dict(subject or {}), lasting_key, authority_validity, single, adopt or {}),
        "certificates": [{**defaults, **leaf, "subject": {**common, **leaf["subject"]}} for leaf in leaves]
        + [{**defaults, **extra} for extra in certificates],
        "keys": [{"name": "service-account", **lasting_key}, {"name": "encryption", "type": "random", "size": 32}],
        "bundles": [{"name": "client-ca", "authorities": ["ca", "kubelet-ca"]}],
    }


def _authorities(cluster_name: str, subject: dict, key: dict, validity: str, single: bool, adopt: Mapping) -> list[dict]:
    entries = []
    for name, suffix in AUTHORITIES.items():
        if adopt.get(name):
            entries.append({"name": name, "adopt": dict(adopt[name])})
        elif single and name != "ca":
            entries.append({"name": name, "same_as": "ca"})
        else:
            common_name = subject.get("CN") if name == "ca" and subject.get("CN") else f"{cluster_name}-{suffix}"
            # No intermediates: none is ever signed below them, so a stolen leaf or a mistake cannot make one.
            entries.append({"name": name, "subject": {**subject, "CN": common_name}, "key": key, "validity": validity, "path_length": 0})
    return entries


def _apiserver_names(endpoint_address: str, endpoint_name: str, service_network: str, dns_domain: str, extra: Iterable[str]) -> list[str]:
    networks = [network.strip() for network in str(service_network).split(",") if network.strip()]
    return [
        str(endpoint_address),
        *([str(endpoint_name)] if endpoint_name else []),
        *(nth_address(network, 1) for network in networks),
        *LOOPBACK,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{dns_domain}",
        *(str(host) for host in extra),
    ]


def _leaf(name: str, authority: str, profile: str, common_name: str = "", organization: str = "", hosts: Iterable[str] = ()) -> dict:
    subject = {"O": organization, "CN": common_name or name} if organization else {"CN": common_name or name}
    return {"name": name, "authority": authority, "profile": profile, "subject": subject, "hosts": list(dict.fromkeys(hosts))}


def _etcd(hosts: Iterable[Mapping], extra: Iterable[str]) -> list[dict]:
    return [
        _leaf(f"etcd-{host['name']}", "etcd-ca", "peer", host["name"], hosts=[host["name"], host["address"], *LOOPBACK, *(str(name) for name in extra)])
        for host in hosts
    ]


def _apiserver(hosts: Iterable[Mapping], names: list[str]) -> list[dict]:
    return [_leaf(f"kube-apiserver-{host['name']}", "ca", "server", "kube-apiserver", hosts=[host["name"], host["address"], *names]) for host in hosts]


def _clients() -> list[dict]:
    return [
        _leaf("kube-apiserver-etcd-client", "etcd-ca", "client"),
        _leaf("kube-apiserver-kubelet-client", "ca", "client", organization="hardway:kubelet-api"),
        _leaf("front-proxy-client", "front-proxy-ca", "client"),
        _leaf("kube-controller-manager", "ca", "client", "system:kube-controller-manager"),
        _leaf("kube-scheduler", "ca", "client", "system:kube-scheduler"),
        _leaf("kube-proxy", "ca", "client", "system:kube-proxy", "system:node-proxier"),
        _leaf("flannel", "ca", "client", organization="hardway:flannel"),
        _leaf("admin", "ca", "client", organization="system:masters"),
    ]


class FilterModule:
    def filters(self) -> dict:
        return {"members": members, "nth_address": nth_address, "pki": pki}
