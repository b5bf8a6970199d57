# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CIS Kubernetes Benchmark 1.12 by the ids of its controls, as scanners judge them: by arguments of processes, modes of files, and
kubelet's configuration. Of a machine (molecule) and of what roles render (tests/unit/plugins/action/test_cis.py); docs/cis.md has the states.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Callable, Iterable, Mapping

#: The strong cipher suites of 1.2.29 and 4.2.12 that both lists have
STRONG = {
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305")
}
APISERVER, MANAGER, SCHEDULER = "kube-apiserver", "kube-controller-manager", "kube-scheduler"
UNITS = "/etc/systemd/system"
KUBERNETES = "/etc/kubernetes"
#: Installer -> what the benchmark speaks of -> where it is. A control plane without pods has units in the place of their specifications.
PLACES: dict[str, dict[str, list[str]]] = {
    "binaries": {
        **{name: [f"{UNITS}/{name}.service"] for name in (APISERVER, MANAGER, SCHEDULER, "etcd", "kubelet")},
        "admin": [],
        "scheduler kubeconfig": [f"{KUBERNETES}/kube-scheduler.kubeconfig"],
        "manager kubeconfig": [f"{KUBERNETES}/kube-controller-manager.kubeconfig"],
        "kubelet kubeconfig": [f"{KUBERNETES}/kubelet.kubeconfig"],
        "proxy kubeconfig": [f"{KUBERNETES}/kube-proxy.kubeconfig"],
        "kubelet configuration": [f"{KUBERNETES}/kubelet.yaml"],
    },
    "kubeadm": {
        **{name: [f"{KUBERNETES}/manifests/{name}.yaml"] for name in (APISERVER, MANAGER, SCHEDULER)},
        **{name: [f"{UNITS}/{name}.service"] for name in ("etcd", "kubelet")},
        "admin": [f"{KUBERNETES}/admin.conf", f"{KUBERNETES}/super-admin.conf"],
        "scheduler kubeconfig": [f"{KUBERNETES}/scheduler.conf"],
        "manager kubeconfig": [f"{KUBERNETES}/controller-manager.conf"],
        "kubelet kubeconfig": [f"{KUBERNETES}/kubelet.conf"],
        # It is in a ConfigMap.
        "proxy kubeconfig": [],
        "kubelet configuration": ["/var/lib/kubelet/config.yaml"],
    },
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file or directory: its permissions, and OWNER:GROUP."""

    mode: int
    owner: str


class View(t.Protocol):
    """A host, as far as the controls look at it."""

    installer: str

    def arguments(self, process: str) -> Mapping[str, str]:
        """The arguments that a process runs with, by name without dashes; empty where it does not run."""

    def entry(self, path: str) -> Entry | None:
        """What is at a path."""

    def below(self, directory: str) -> Mapping[str, Entry]:
        """The files below a directory, by path."""

    def text(self, path: str) -> str:
        """The text of a file; empty without one."""

    def configuration(self, name: str) -> Mapping[str, t.Any]:
        """What kubelet or kube-proxy is configured with."""


#: Why a host does not have what a control asks for; empty where it has.
Check = Callable[[View], str]


@dataclasses.dataclass(frozen=True)
class Control:
    id: str
    kind: str
    #: None where the benchmark says nothing that could be looked at
    check: Check | None

    @property
    def group(self) -> str:
        """The hosts that it is about, as a group of the inventory."""
        return {"1": "kube_master", "2": "etcd", "3": "kube_master", "4": "kube_node"}[self.id[0]]

    @property
    def automated(self) -> bool:
        return self.kind == "automated"


# --- what a check looks at


def _files(paths: Mapping[str, Entry | None], judge: Callable[[Entry], str]) -> str:
    return "; ".join(
        f"{path}: {trouble}"
        for path, entry in sorted(paths.items())
        if (trouble := judge(entry) if entry else "is not there")
    )


def _mode(most: int) -> Callable[[Entry], str]:
    return lambda entry: f"mode {entry.mode:04o}" if entry.mode & ~most else ""


def _owner(owner: str) -> Callable[[Entry], str]:
    return lambda entry: f"owner {entry.owner}" if entry.owner != owner else ""


def place(name: str, judge: Callable[[Entry], str]) -> Check:
    return lambda view: _files({path: view.entry(path) for path in PLACES[view.installer][name]}, judge)


def below(directory: str, judge: Callable[[Entry], str], end: str = "") -> Check:
    return lambda view: _files(
        {path: entry for path, entry in view.below(directory).items() if path.endswith(end)}, judge
    )


def data_directory(judge: Callable[[Entry], str]) -> Check:
    def check(view: View) -> str:
        path = view.arguments("etcd").get("data-dir", "")
        return _files({path: view.entry(path)}, judge) if path else "etcd: no --data-dir"

    return check


def flag(process: str, name: str, holds: Callable[[str], bool] = bool) -> Check:
    def check(view: View) -> str:
        value = view.arguments(process).get(name)
        if value is None:
            return f"{process}: no --{name}"
        return "" if holds(value) else f"{process}: --{name}={value}"

    return check


def unset_or(process: str, name: str, holds: Callable[[str], bool] = lambda value: False) -> Check:
    def check(view: View) -> str:
        arguments = view.arguments(process)
        if not arguments:
            return f"{process} does not run"
        return flag(process, name, holds)(view) if name in arguments else ""

    return check


def every(*checks: Check) -> Check:
    return lambda view: "; ".join(filter(None, (check(view) for check in checks)))


def field(name: str, path: str, holds: Callable[[t.Any], bool], unset: bool = False) -> Check:
    """A field of kubelet's or kube-proxy's configuration; *unset* where its absence is right, too."""

    def check(view: View) -> str:
        value: t.Any = view.configuration(name)
        if not value:
            return f"{name} has no configuration"
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            return "" if unset else f"{name}: {path} is not set"
        return "" if holds(value) else f"{name}: {path} is {value}"

    return check


def kubelet(path: str, holds: Callable[[t.Any], bool], unset: bool = False) -> Check:
    return field("kubelet", path, holds, unset)


def is_(wanted: t.Any) -> Callable[[t.Any], bool]:
    return lambda value: bool(value == wanted)


def has(word: str) -> Callable[[str], bool]:
    return lambda value: word in value.split(",")


def lacks(word: str) -> Callable[[str], bool]:
    return lambda value: word not in value.split(",")


def at_least(number: int) -> Callable[[str], bool]:
    return lambda value: int(value) >= number


def strong(suites: Iterable[str]) -> bool:
    return set(suites) <= STRONG


def providers(view: View) -> str:
    """The first provider after each `providers:` is what writes."""
    path = view.arguments(APISERVER).get("encryption-provider-config", "")
    lines = [line.strip(" -:") for line in view.text(path).splitlines()]
    first = {lines[number + 1].rstrip(":") for number, line in enumerate(lines[:-1]) if line == "providers"}
    return (
        ""
        if first and first <= {"aescbc", "kms", "secretbox"}
        else f"{path}: {', '.join(sorted(first)) or 'no'} provider"
    )


def kubelets_authority(judge: Callable[[Entry], str]) -> Check:
    def check(view: View) -> str:
        path = (view.configuration("kubelet").get("authentication") or {}).get("x509", {}).get("clientCAFile", "")
        return _files({path: view.entry(path)}, judge)

    return check


# --- the controls

PKI = f"{KUBERNETES}/pki"
CNI = "/etc/cni/net.d"
SPECIFICATIONS = ((APISERVER, 1), (MANAGER, 3), (SCHEDULER, 5), ("etcd", 7))
AUTOMATED: dict[str, Check] = {
    **{f"1.1.{number}": place(name, _mode(0o600)) for name, number in SPECIFICATIONS},
    **{f"1.1.{number + 1}": place(name, _owner("root:root")) for name, number in SPECIFICATIONS},
    "1.1.11": data_directory(_mode(0o700)),
    "1.1.12": data_directory(_owner("etcd:etcd")),
    "1.1.13": place("admin", _mode(0o600)),
    "1.1.14": place("admin", _owner("root:root")),
    "1.1.15": place("scheduler kubeconfig", _mode(0o600)),
    "1.1.16": place("scheduler kubeconfig", _owner("root:root")),
    "1.1.17": place("manager kubeconfig", _mode(0o600)),
    "1.1.18": place("manager kubeconfig", _owner("root:root")),
    "1.1.19": below(PKI, _owner("root:root")),
    "1.2.2": unset_or(APISERVER, "token-auth-file"),
    "1.2.4": every(flag(APISERVER, "kubelet-client-certificate"), flag(APISERVER, "kubelet-client-key")),
    "1.2.5": flag(APISERVER, "kubelet-certificate-authority"),
    "1.2.6": flag(APISERVER, "authorization-mode", lacks("AlwaysAllow")),
    "1.2.7": flag(APISERVER, "authorization-mode", has("Node")),
    "1.2.8": flag(APISERVER, "authorization-mode", has("RBAC")),
    "1.2.10": unset_or(APISERVER, "enable-admission-plugins", lacks("AlwaysAdmit")),
    "1.2.12": unset_or(APISERVER, "disable-admission-plugins", lacks("ServiceAccount")),
    "1.2.13": unset_or(APISERVER, "disable-admission-plugins", lacks("NamespaceLifecycle")),
    "1.2.14": flag(APISERVER, "enable-admission-plugins", has("NodeRestriction")),
    "1.2.15": flag(APISERVER, "profiling", is_("false")),
    "1.2.16": flag(APISERVER, "audit-log-path"),
    "1.2.17": flag(APISERVER, "audit-log-maxage", at_least(30)),
    "1.2.18": flag(APISERVER, "audit-log-maxbackup", at_least(10)),
    "1.2.19": flag(APISERVER, "audit-log-maxsize", at_least(100)),
    "1.2.21": unset_or(APISERVER, "service-account-lookup", is_("true")),
    "1.2.22": flag(APISERVER, "service-account-key-file"),
    "1.2.23": every(flag(APISERVER, "etcd-certfile"), flag(APISERVER, "etcd-keyfile")),
    "1.2.24": every(flag(APISERVER, "tls-cert-file"), flag(APISERVER, "tls-private-key-file")),
    "1.2.25": flag(APISERVER, "client-ca-file"),
    "1.2.26": flag(APISERVER, "etcd-cafile"),
    "1.2.30": flag(APISERVER, "service-account-extend-token-expiration", is_("false")),
    "1.3.2": flag(MANAGER, "profiling", is_("false")),
    "1.3.3": flag(MANAGER, "use-service-account-credentials", is_("true")),
    "1.3.4": flag(MANAGER, "service-account-private-key-file"),
    "1.3.5": flag(MANAGER, "root-ca-file"),
    "1.3.6": unset_or(MANAGER, "feature-gates", lacks("RotateKubeletServerCertificate=false")),
    "1.3.7": unset_or(MANAGER, "bind-address", is_("127.0.0.1")),
    "1.4.1": flag(SCHEDULER, "profiling", is_("false")),
    "1.4.2": unset_or(SCHEDULER, "bind-address", is_("127.0.0.1")),
    "2.1": every(flag("etcd", "cert-file"), flag("etcd", "key-file")),
    "2.2": flag("etcd", "client-cert-auth", is_("true")),
    "2.3": unset_or("etcd", "auto-tls", is_("false")),
    "2.4": every(flag("etcd", "peer-cert-file"), flag("etcd", "peer-key-file")),
    "2.5": flag("etcd", "peer-client-cert-auth", is_("true")),
    "2.6": unset_or("etcd", "peer-auto-tls", is_("false")),
    "4.1.1": place("kubelet", _mode(0o600)),
    "4.1.2": place("kubelet", _owner("root:root")),
    "4.1.5": place("kubelet kubeconfig", _mode(0o600)),
    "4.1.6": place("kubelet kubeconfig", _owner("root:root")),
    "4.1.9": place("kubelet configuration", _mode(0o600)),
    "4.1.10": place("kubelet configuration", _owner("root:root")),
    "4.2.1": kubelet("authentication.anonymous.enabled", is_(False)),
    "4.2.2": kubelet("authorization.mode", lambda value: value != "AlwaysAllow"),
    "4.2.3": kubelet("authentication.x509.clientCAFile", bool),
    "4.2.6": kubelet("makeIPTablesUtilChains", is_(True), unset=True),
    "4.2.10": kubelet("rotateCertificates", is_(True), unset=True),
    "4.3.1": field("kube-proxy", "metricsBindAddress", lambda value: "127.0.0.1" in value, unset=True),
}
MANUAL: dict[str, Check | None] = {
    "1.1.9": below(CNI, _mode(0o600)),
    "1.1.10": below(CNI, _owner("root:root")),
    "1.1.20": below(PKI, _mode(0o644), ".crt"),
    "1.1.21": below(PKI, _mode(0o600), ".key"),
    "1.2.1": flag(APISERVER, "anonymous-auth", is_("false")),
    "1.2.3": flag(APISERVER, "enable-admission-plugins", has("DenyServiceExternalIPs")),
    "1.2.9": flag(APISERVER, "enable-admission-plugins", has("EventRateLimit")),
    "1.2.11": flag(APISERVER, "enable-admission-plugins", has("AlwaysPullImages")),
    "1.2.20": None,
    "1.2.27": flag(APISERVER, "encryption-provider-config"),
    "1.2.28": providers,
    "1.2.29": flag(APISERVER, "tls-cipher-suites", lambda value: strong(value.split(","))),
    "1.3.1": flag(MANAGER, "terminated-pod-gc-threshold"),
    "2.7": flag("etcd", "trusted-ca-file"),
    "3.1.1": None,
    "3.1.2": None,
    "3.1.3": None,
    "3.2.1": flag(APISERVER, "audit-policy-file"),
    "3.2.2": None,
    "4.1.3": place("proxy kubeconfig", _mode(0o600)),
    "4.1.4": place("proxy kubeconfig", _owner("root:root")),
    "4.1.7": kubelets_authority(_mode(0o644)),
    "4.1.8": kubelets_authority(_owner("root:root")),
    "4.2.4": kubelet("readOnlyPort", is_(0), unset=True),
    "4.2.5": kubelet("streamingConnectionIdleTimeout", lambda value: value not in (0, "0", "0s"), unset=True),
    "4.2.7": unset_or("kubelet", "hostname-override"),
    "4.2.8": kubelet("eventRecordQPS", lambda value: value >= 0, unset=True),
    "4.2.9": every(kubelet("tlsCertFile", bool), kubelet("tlsPrivateKeyFile", bool)),
    "4.2.11": kubelet("featureGates.RotateKubeletServerCertificate", is_(True), unset=True),
    "4.2.12": kubelet("tlsCipherSuites", strong),
    "4.2.13": kubelet("podPidsLimit", lambda value: value > 0),
    "4.2.14": kubelet("seccompDefault", is_(True)),
}


def _order(control: Control) -> list[int]:
    return [int(part) for part in control.id.split(".")]


CONTROLS = sorted(
    [Control(number, "automated", check) for number, check in AUTOMATED.items()]
    + [Control(number, "manual", check) for number, check in MANUAL.items()],
    key=_order,
)


def arguments(words: Iterable[str]) -> dict[str, str]:
    """Arguments of a command line by name; a name alone means true."""
    pairs = (word.lstrip("-").partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in pairs}
