# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory to the arguments of the module ``certificates``: documented in the files beside this one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ansible.errors import AnsibleFilterError

try:
    import netaddr
except ImportError:
    netaddr = None

LOOPBACK = ["127.0.0.1", "localhost"]
# Each is also the name of its files, and what its common name ends in.
AUTHORITIES = ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca")
KEYS = ("service-account", "encryption")
ROTATING = (*AUTHORITIES, *KEYS)


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


def urls(hosts: Iterable[Mapping], port: int) -> list[str]:
    """Where a component listens by TLS on each of these hosts, as `members` tells them, in their order."""
    return [f"https://{host['address']}:{port}" for host in hosts]


def nth_address(network: str, n: int) -> str:
    """The address at a distance of n from a network's first; a negative n counts from its end."""
    if netaddr is None:
        raise AnsibleFilterError("nth_address: needs the Python library netaddr on the controller")
    try:
        block = netaddr.IPNetwork(str(network))
        return str(block[int(n)])
    except (netaddr.AddrFormatError, ValueError) as error:
        raise AnsibleFilterError(
            f"nth_address: '{network}' is not a network such as 10.96.0.0/16, or {n} no number ({error})"
        ) from error
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
    etcd_clients: Iterable[str] = (),
    generations: Mapping | None = None,
    kubeadm: bool = False,
) -> dict:
    """All that a cluster's directory is to hold; see pki.yml for the arguments."""
    unknown = sorted(set(adopt or {}) - set(AUTHORITIES))
    if unknown:
        raise AnsibleFilterError(f"pki: adopt names {', '.join(unknown)}; the authorities are {', '.join(AUTHORITIES)}")
    lines = {name: Line.of(name, generations, single) for name in ROTATING}
    names = _apiserver_names(endpoint_address, endpoint_name, service_network, dns_domain, apiserver_hosts)
    leaves = [
        *_etcd(groups.get("etcd") or [], etcd_hosts),
        *_apiserver(groups.get("kube_master") or [], names),
        *_clients(),
        *(_leaf(str(name), "etcd-ca", "client") for name in etcd_clients),
        *(_kubeadm(groups.get("kube_master") or []) if kubeadm else []),
    ]
    # O is left out: in a client's certificate it is a group of Kubernetes' authorization.
    common = {name: value for name, value in (subject or {}).items() if name in ("C", "ST", "L", "OU")}
    defaults = {"validity": certificate_validity, "key": dict(key or {})}
    lasting_key = dict(authority_key or key or {})
    described = [{**defaults, **leaf, "subject": {**common, **leaf["subject"]}} for leaf in leaves] + [
        {**defaults, **extra} for extra in certificates
    ]
    return {
        "authorities": [
            _authority(
                line,
                generation,
                cluster_name,
                dict(subject or {}),
                lasting_key,
                authority_validity,
                single,
                adopt or {},
            )
            for line in map(lines.get, AUTHORITIES)
            for generation in line.trusted
        ],
        "certificates": [
            {
                **leaf,
                "authority": lines[leaf["authority"]].active_file if leaf["authority"] in lines else leaf["authority"],
            }
            for leaf in described
        ],
        "keys": [
            _key(lines["service-account"], generation, lasting_key) for generation in lines["service-account"].trusted
        ]
        + [
            _key(lines["encryption"], generation, {"type": "random", "size": 32})
            for generation in lines["encryption"].trusted
        ],
        "bundles": [
            *({"name": f"{name}-bundle", "authorities": lines[name].files} for name in AUTHORITIES),
            {"name": "client-ca", "authorities": lines["ca"].files + lines["kubelet-ca"].files},
            {"name": "service-account-bundle", "keys": lines["service-account"].files},
        ],
    }


@dataclasses.dataclass(frozen=True)
class Line:
    """The generations of an authority or a key: those that are trusted, in ascending order, and the one that is used."""

    name: str
    trusted: tuple[int, ...]
    active: int

    @classmethod
    def of(cls, name: str, generations: Mapping | None, single: bool = False) -> Line:
        known = (generations or {}).get("ca" if single and name in AUTHORITIES else name) or {
            "trusted": [1],
            "active": 1,
        }
        return cls(name, tuple(known["trusted"]), known["active"])

    def file(self, generation: int) -> str:
        """The first has the documents' name."""
        return self.name if generation == 1 else f"{self.name}-{generation}"

    @property
    def files(self) -> list[str]:
        return [self.file(generation) for generation in self.trusted]

    @property
    def active_file(self) -> str:
        return self.file(self.active)


def generation_names(generations: Mapping, single: bool = False) -> dict:
    """For each authority and key the names of its files without their ends: the one in use, and all that are trusted."""
    lines = [Line.of(name, generations, single) for name in ROTATING]
    return {line.name: {"active": line.active_file, "trusted": line.files} for line in lines}


def _authority(
    line: Line,
    generation: int,
    cluster_name: str,
    subject: dict,
    key: dict,
    validity: str,
    single: bool,
    adopt: Mapping,
) -> dict:
    name = line.file(generation)
    if generation != line.trusted[-1]:
        # The settings tell what the newest is; an older one is what it is.
        return {"name": name, "existing": True}
    if single and line.name != "ca":
        return {"name": name, "same_as": Line("ca", line.trusted, line.active).file(generation)}
    if adopt.get(line.name):
        return {"name": name, "adopt": dict(adopt[line.name])}
    common_name = subject.get("CN") if line.name == "ca" and subject.get("CN") else f"{cluster_name}-{line.name}"
    # Names of their own for later generations: some verifiers look an issuer up by its name alone.
    distinct = common_name if generation == 1 else f"{common_name}-{generation}"
    # No intermediates: none is ever signed below them, so a stolen leaf or a mistake cannot make one.
    return {"name": name, "subject": {**subject, "CN": distinct}, "key": key, "validity": validity, "path_length": 0}


def _key(line: Line, generation: int, settings: dict) -> dict:
    return {"name": line.file(generation), **settings, **({} if generation == line.trusted[-1] else {"existing": True})}


def _apiserver_names(
    endpoint_address: str, endpoint_name: str, service_network: str, dns_domain: str, extra: Iterable[str]
) -> list[str]:
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


def _leaf(
    name: str, authority: str, profile: str, common_name: str = "", organization: str = "", hosts: Iterable[str] = ()
) -> dict:
    subject = {"O": organization, "CN": common_name or name} if organization else {"CN": common_name or name}
    return {
        "name": name,
        "authority": authority,
        "profile": profile,
        "subject": subject,
        "hosts": list(dict.fromkeys(hosts)),
    }


def _etcd(hosts: Iterable[Mapping], extra: Iterable[str]) -> list[dict]:
    return [
        _leaf(
            f"etcd-{host['name']}",
            "etcd-ca",
            "peer",
            host["name"],
            hosts=[host["name"], host["address"], *LOOPBACK, *(str(name) for name in extra)],
        )
        for host in hosts
    ]


def _apiserver(hosts: Iterable[Mapping], names: list[str]) -> list[dict]:
    return [
        _leaf(
            f"kube-apiserver-{host['name']}",
            "ca",
            "server",
            "kube-apiserver",
            hosts=[host["name"], host["address"], *names],
        )
        for host in hosts
    ]


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


def _kubeadm(masters: Iterable[Mapping]) -> list[dict]:
    """Without the authorities' keys kubeadm wants kubeconfigs that are there: of itself, and of each master's kubelet, which renews it at once."""
    return [
        _leaf("kubeadm-admin", "ca", "client", "kubernetes-admin", "kubeadm:cluster-admins"),
        *(
            _leaf(
                f"kubelet-client-{host['name']}", "kubelet-ca", "client", f"system:node:{host['name']}", "system:nodes"
            )
            for host in masters
        ),
    ]


class FilterModule:
    def filters(self) -> dict:
        return {
            "generation_names": generation_names,
            "members": members,
            "nth_address": nth_address,
            "pki": pki,
            "urls": urls,
        }
