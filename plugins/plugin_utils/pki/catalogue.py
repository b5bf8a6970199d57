# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of a cluster's CAs, keys, bundles and certificates, and of the components that use them.

It is what certlist.go is to kubeadm. Each entry says how it is made (CA, profile, subject, names), for which hosts, when it is
wanted, and which component has it under which path, with which effect. Everything else reads this table:

`request.request`
    what the module ``certificates`` is asked for;
`certificates_of`
    which files a component has on a host. A component's declaration names them (``certificates: [etcd-{host}, etcd-ca-bundle]``)
    or asks for all;
`consumers_by_path`
    the same for all components, for the certificate report: which components use the file at a path, and with which effect;
`served_by`
    the file of the certificate that a component serves TLS with.

To add a certificate, add an entry. To give it to a component, add a consumer to the entry.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.lineage import Lineage
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.pki.settings import PkiError, Settings

# What a changed file asks of the component: a new process, a signal, or nothing, because the process reads the file again itself.
RESTART = "restart"
RELOAD = "reload"
REREAD = "reread"

HOST = "{host}"
SECRET = "0600"
PUBLIC = "0644"


@dataclasses.dataclass(frozen=True)
class When:
    """The settings with which an entry or a consumer is wanted; an empty field allows any value."""

    installer: str = ""
    cni: str = ""
    datastore: str = ""  # of the network: kubernetes or etcd
    addon: str = ""

    def holds(self, settings: Settings) -> bool:
        return (
            self.installer in ("", settings.installer)
            and self.cni in ("", settings.cni)
            and self.datastore in ("", settings.datastore)
            and (not self.addon or self.addon in settings.addons)
        )


@dataclasses.dataclass(frozen=True)
class Consumer:
    """A component that has an entry's files: *path* is that of the certificate (or bundle), *key* that of the key."""

    component: str
    path: str = ""  # empty: the component has the key alone
    key: str = ""  # empty: the component does not have the key
    effect: str = RESTART
    when: When = When()


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str
    consumers: tuple[Consumer, ...] = ()

    def file(self, lineages: Mapping[str, Lineage], host: str = "") -> str:
        """The name of its files in the PKI directory without their endings, for *host* where each host has its own."""
        return self.name.replace(HOST, host)


@dataclasses.dataclass(frozen=True)
class Rotated(Entry):
    """What a rotation replaces: its consumers have the active generation."""

    def file(self, lineages: Mapping[str, Lineage], host: str = "") -> str:
        return lineages[self.name].active_file


@dataclasses.dataclass(frozen=True)
class CA(Rotated):
    """A CA; as a consumer has its own files only who signs with it. Who trusts it has its bundle."""


@dataclasses.dataclass(frozen=True)
class Key(Rotated):
    """A key without a certificate: a key pair, or *size* random bytes."""

    size: int = 0  # of random bytes; 0: a key pair


@dataclasses.dataclass(frozen=True)
class Bundle(Entry):
    """All trusted generations of some CAs, or the public halves of a key."""

    cas: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Certificate(Entry):
    """A certificate that a CA signs.

    *names* holds DNS names and addresses. ``{host}`` and ``{address}`` are those of the host; ``{endpoint}``, ``{services}``,
    ``{nodes}``, ``{apiserver_hosts}`` and ``{etcd_hosts}`` stand for several each, ``{dns_domain}`` for a part of a name.
    """

    ca: str = "ca"
    profile: str = "client"
    common_name: str = ""  # empty: as the name
    organization: str = ""  # a group of Kubernetes' authorization
    names: tuple[str, ...] = ()
    hosts: str = ""  # the group whose hosts have one each
    when: When = When()


ETCD_PKI = "/etc/etcd/pki"
KUBERNETES_PKI = "/etc/kubernetes/pki"
CALICOCTL_PKI = "/etc/calico/pki"

BINARIES = When(installer="binaries")
KUBEADM = When(installer="kubeadm")
FLANNEL = When(cni="flannel", datastore="kubernetes")
FLANNEL_IN_ETCD = When(cni="flannel", datastore="etcd")
# By kubeadm, kube-proxy is a pod and has no files; pod-routes then has its identity all the same.
BRIDGE = When(cni="bridge")
CALICO_IN_ETCD = When(cni="calico", datastore="etcd")
CALICOCTL = When(cni="calico", datastore="kubernetes", addon="calicoctl")
CALICOCTL_IN_ETCD = When(cni="calico", datastore="etcd", addon="calicoctl")

LOOPBACK = ("127.0.0.1", "localhost")
API_NAMES = (
    "{endpoint}",
    "{services}",
    *LOOPBACK,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.{dns_domain}",
    "{apiserver_hosts}",
)


def _etcd(name: str, effect: str = RESTART, key: str = "") -> Consumer:
    return Consumer("etcd", f"{ETCD_PKI}/{name}", key and f"{ETCD_PKI}/{key}", effect)


def _kubernetes(
    component: str, name: str = "", key: str = "", effect: str = RESTART, when: When = BINARIES
) -> Consumer:
    return Consumer(component, name and f"{KUBERNETES_PKI}/{name}", key and f"{KUBERNETES_PKI}/{key}", effect, when)


def _kubeadm(name: str = "", key: str = "") -> Consumer:
    return _kubernetes("kubeadm", name, key, when=KUBEADM)


def _calicoctl(name: str, when: When, key: str = "") -> Consumer:
    return Consumer("calicoctl", f"{CALICOCTL_PKI}/{name}", key and f"{CALICOCTL_PKI}/{key}", when=when)


ENTRIES: tuple[Entry, ...] = (
    # CAs. Their own files go to those that sign alone: one CA, the active generation.
    CA("ca"),
    CA("etcd-ca"),
    CA("front-proxy-ca"),
    # Of its own, so that the controller manager holds no other CA's key.
    CA(
        "kubelet-ca",
        (
            _kubernetes("kube-controller-manager", "kubelet-ca.pem", "kubelet-ca-key.pem"),
            _kubeadm("kubelet-ca.pem", "kubelet-ca-key.pem"),
        ),
    ),
    # Keys.
    Key(
        "service-account",
        (
            _kubernetes("kube-apiserver", key="service-account-key.pem"),
            _kubernetes("kube-controller-manager", key="service-account-key.pem"),
            _kubeadm(key="sa.key"),
        ),
    ),
    # kube-apiserver has it in its encryption configuration.
    Key("encryption", size=32),
    # Bundles: what is trusted.
    Bundle(
        "ca-bundle",
        (
            Consumer("haproxy", "/etc/haproxy/kubernetes-ca.pem", effect=RELOAD),
            # Not its own: its health is asked with it.
            _kubernetes("kube-apiserver", "ca.pem", effect=REREAD),
            _kubernetes("kube-controller-manager", "ca.pem"),
            _kubernetes("kube-scheduler", "ca.pem"),
            _kubernetes("kubelet", "ca.pem"),
            _kubernetes("kube-proxy", "ca.pem"),
            _kubernetes("flanneld", "ca.pem", when=FLANNEL),
            _kubernetes("pod-routes", "ca.pem", when=BRIDGE),
            _calicoctl("ca.pem", CALICOCTL),
            _kubeadm("ca.crt"),
            # As the roles for binaries and networks call it.
            _kubeadm("ca.pem"),
            _kubeadm("scheduler/ca.pem"),
        ),
        cas=("ca",),
    ),
    Bundle(
        "etcd-ca-bundle",
        (
            _etcd("ca.pem"),
            _kubernetes("kube-apiserver", "etcd-ca.pem"),
            _kubernetes("flanneld", "etcd-ca.pem", when=FLANNEL_IN_ETCD),
            _calicoctl("etcd-ca.pem", CALICOCTL_IN_ETCD),
            _kubeadm("etcd/ca.crt"),
        ),
        cas=("etcd-ca",),
    ),
    Bundle(
        "front-proxy-ca-bundle",
        (
            _kubernetes("kube-apiserver", "front-proxy-ca.pem"),
            _kubernetes("kube-controller-manager", "front-proxy-ca.pem"),
            _kubernetes("kube-scheduler", "front-proxy-ca.pem"),
            _kubeadm("front-proxy-ca.crt"),
        ),
        cas=("front-proxy-ca",),
    ),
    Bundle(
        "kubelet-ca-bundle",
        (_kubernetes("kube-apiserver", "kubelet-ca-bundle.pem"), _kubeadm("kubelet-ca-bundle.pem")),
        cas=("kubelet-ca",),
    ),
    Bundle(
        "client-ca",
        (_kubernetes("kube-apiserver", "client-ca.pem"), _kubeadm("client-ca.pem")),
        cas=("ca", "kubelet-ca"),
    ),
    Bundle(
        "service-account-bundle",
        (_kubernetes("kube-apiserver", "service-account.pem"), _kubeadm("sa.pub")),
        keys=("service-account",),
    ),
    # Certificates that servers show. A host has its own, so that a new host changes no other.
    Certificate(
        "etcd-{host}",
        # Read at each handshake (go.etcd.io/etcd/client/pkg/transport, TLSInfo.baseConfig).
        (_etcd("etcd.pem", REREAD, "etcd-key.pem"),),
        ca="etcd-ca",
        profile="peer",
        common_name=HOST,
        names=(HOST, "{address}", *LOOPBACK, "{etcd_hosts}"),
        hosts="etcd",
    ),
    Certificate(
        "kube-apiserver-{host}",
        # Read at each handshake (k8s.io/apiserver, dynamiccertificates), as its clients' certificates (k8s.io/client-go/transport).
        (
            _kubernetes("kube-apiserver", "kube-apiserver.pem", "kube-apiserver-key.pem", REREAD),
            _kubeadm("apiserver.crt", "apiserver.key"),
        ),
        profile="server",
        common_name="kube-apiserver",
        names=(HOST, "{address}", *API_NAMES),
        hosts="kube_master",
    ),
    # Certificates that clients show.
    Certificate(
        "kube-apiserver-etcd-client",
        (
            _kubernetes(
                "kube-apiserver", "kube-apiserver-etcd-client.pem", "kube-apiserver-etcd-client-key.pem", REREAD
            ),
            _kubeadm("apiserver-etcd-client.crt", "apiserver-etcd-client.key"),
        ),
        ca="etcd-ca",
    ),
    Certificate(
        "kube-apiserver-kubelet-client",
        (
            _kubernetes(
                "kube-apiserver", "kube-apiserver-kubelet-client.pem", "kube-apiserver-kubelet-client-key.pem", REREAD
            ),
            _kubeadm("apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"),
        ),
        organization="hardway:kubelet-api",
    ),
    Certificate(
        "front-proxy-client",
        (
            _kubernetes("kube-apiserver", "front-proxy-client.pem", "front-proxy-client-key.pem", REREAD),
            _kubeadm("front-proxy-client.crt", "front-proxy-client.key"),
        ),
        ca="front-proxy-ca",
    ),
    Certificate(
        "kube-controller-manager",
        (
            _kubernetes("kube-controller-manager", "kube-controller-manager.pem", "kube-controller-manager-key.pem"),
            _kubeadm("kube-controller-manager.pem", "kube-controller-manager-key.pem"),
        ),
        common_name="system:kube-controller-manager",
    ),
    Certificate(
        "kube-scheduler",
        (
            _kubernetes("kube-scheduler", "kube-scheduler.pem", "kube-scheduler-key.pem"),
            _kubeadm("scheduler/kube-scheduler.pem", "scheduler/kube-scheduler-key.pem"),
        ),
        common_name="system:kube-scheduler",
    ),
    Certificate(
        "kube-proxy",
        (
            _kubernetes("kube-proxy", "kube-proxy.pem", "kube-proxy-key.pem"),
            # Which may read nodes.
            _kubernetes("pod-routes", "kube-proxy.pem", "kube-proxy-key.pem", when=BRIDGE),
        ),
        common_name="system:kube-proxy",
        organization="system:node-proxier",
    ),
    Certificate(
        "flannel",
        (_kubernetes("flanneld", "flannel.pem", "flannel-key.pem", when=FLANNEL),),
        organization="hardway:flannel",
    ),
    # In the kubeconfig of the cluster's directory.
    Certificate("admin", organization="system:masters"),
    Certificate(
        "flannel-etcd-client",
        (_kubernetes("flanneld", "flannel-etcd-client.pem", "flannel-etcd-client-key.pem", when=FLANNEL_IN_ETCD),),
        ca="etcd-ca",
        when=FLANNEL_IN_ETCD,
    ),
    # Of Calico's pods, which have it in a Secret, and of calicoctl.
    Certificate(
        "calico",
        (_calicoctl("calico.pem", CALICOCTL_IN_ETCD, "calico-key.pem"),),
        ca="etcd-ca",
        when=CALICO_IN_ETCD,
    ),
    # As which calicoctl asks the API on masters.
    Certificate(
        "calicoctl",
        (_calicoctl("calicoctl.pem", CALICOCTL, "calicoctl-key.pem"),),
        organization="hardway:calicoctl",
        when=CALICOCTL,
    ),
    # kubeadm never has the CAs' keys, and then wants kubeconfigs that are there: its own, and that of each master's kubelet,
    # which renews it at once.
    Certificate(
        "kubeadm-admin",
        (_kubeadm("kubeadm-admin.pem", "kubeadm-admin-key.pem"),),
        common_name="kubernetes-admin",
        organization="kubeadm:cluster-admins",
        when=KUBEADM,
    ),
    Certificate(
        "kubelet-client-{host}",
        ca="kubelet-ca",
        common_name="system:node:{host}",
        organization="system:nodes",
        hosts="kube_master",
        when=KUBEADM,
    ),
    # What addons serve with; their pods have it in Secrets.
    Certificate(
        "metrics-server",
        profile="server",
        names=("metrics-server.kube-system.svc",),
        when=When(addon="metrics-server"),
    ),
    Certificate(
        "dashboard",
        profile="server",
        names=("headlamp.headlamp.svc", "{nodes}"),
        when=When(addon="dashboard"),
    ),
)

T = t.TypeVar("T", bound=Entry)


def entries(kind: type[T]) -> list[T]:
    return [entry for entry in ENTRIES if isinstance(entry, kind)]


@dataclasses.dataclass(frozen=True)
class HostFile:
    """A file that a component has on a host."""

    name: str  # of the entry
    component: str
    path: str
    source: str  # in the PKI directory
    effect: str
    mode: str


def host_files(settings: Settings, host: str, component: str = "") -> list[HostFile]:
    """The files of all components, or of *component* alone, on *host*, if that component runs there."""
    return list(_host_files(settings, host, component))


def _host_files(settings: Settings, host: str, component: str) -> Iterator[HostFile]:
    for entry in ENTRIES:
        for consumer in entry.consumers:
            if component not in ("", consumer.component) or not consumer.when.holds(settings):
                continue
            file = entry.file(settings.lineages, host)
            for path, ending, mode in ((consumer.path, ".pem", PUBLIC), (consumer.key, "-key.pem", SECRET)):
                if path:
                    yield HostFile(entry.name, consumer.component, path, f"{file}{ending}", consumer.effect, mode)


def certificates_of(
    component: str, settings: Settings, host: str, names: Sequence[str] | None = None
) -> dict[str, HostFile]:
    """By path, the files of *component* on *host*.

    *names* are those of the entries that a declaration asks for; without it, all that have the component as their consumer.
    Raises PkiError for a name that the component is no consumer of with these settings.
    """
    found = host_files(settings, host, component)
    known = sorted({file.name for file in found})
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise PkiError(
            f"component {component}: {', '.join(unknown)} is not one of its certificates, which are {', '.join(known) or 'none'}."
            " Fix: correct the name, or add the component to the entry's consumers in plugin_utils/pki/catalogue.py"
        )
    return {file.path: file for file in found if names is None or file.name in names}


def consumers_by_path(settings: Settings, host: str) -> dict[str, list[HostFile]]:
    """By path, who uses it: components of one host may share a file."""
    found: dict[str, list[HostFile]] = {}
    for file in host_files(settings, host):
        found.setdefault(file.path, []).append(file)
    return found


def served_by(component: str, settings: Settings) -> str:
    """The path of the certificate that *component* serves TLS with; empty where it has none of this table."""
    servers = [entry.name for entry in entries(Certificate) if entry.profile != "client"]
    paths = [file.path for file in host_files(settings, "", component) if file.name in servers and file.mode == PUBLIC]
    return paths[0] if paths else ""
