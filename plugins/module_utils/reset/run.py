# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes everything of ours away from a host, and nothing else.

What is ours is known from the records that every component writes before it writes anything else (``/var/lib/hardway/NAME.json``),
so a host that a killed run left half installed is cleaned too. What a component's process leaves besides (data, mounts, interfaces,
firewall rules) stands in :data:`LEAVINGS`, and counts only where that component has a record: what another Kubernetes, or a
container runtime of the host's own, has there is not touched.

Each kind of trace can be found and removed. The plan is what all kinds find before anything is removed; the proof is that none finds
anything afterwards. The records go last, and only then: a reset that dies, or that could not remove something, can be run again.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import fnmatch
import glob
import ipaddress
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DROP_IN = "50-hardway-inputs.conf"
#: In the name of every file that a write or an installation of ours puts beside the one that it is to become.
TEMPORARY = ".hardway-new"
IMAGE_SCRATCH = "/var/lib/hardway-image-*"
CGROUPS = "/sys/fs/cgroup"
KUBEPODS = ("kubepods", "kubepods.slice")
NAMESPACE = "k8s.io"
#: Of containerd too, where docker runs one of its own.
DOCKER_NAMESPACE = "moby"
NETWORK_NAMESPACES = "/run/netns/cni-*"
#: The protocol of the routes that pod-routes sets.
ROUTE_PROTOCOL = "77"
#: What kubelet writes when it delays a shutdown for its pods.
LOGIND = "/etc/systemd/logind.conf.d/99-kubelet.conf"
FSTAB = "/etc/fstab"
FSTAB_BEFORE = "/etc/fstab.before-hardway"
STOP_TIMEOUT = 120  # longer than the units' TimeoutStopSec, after which systemd kills
GONE_TIMEOUT = 10
#: A component waits about as long for its health.
UNDISTURBED_TIMEOUT = 180


class ResetError(Exception):
    """What is wrong, where, and what to do; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class Leaving:
    """What the process of a component leaves on a host besides the paths in its record."""

    #: removed with all that is in them
    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    #: mounts below these end (patterns of fnmatch, which match mounts in the depth too)
    mounts: tuple[str, ...] = ()
    #: prefixes of the names of iptables chains
    chains: tuple[str, ...] = ()
    #: prefixes of the comments of iptables rules in chains of others
    comments: tuple[str, ...] = ()
    #: prefixes of the names of ipsets
    sets: tuple[str, ...] = ()
    nft_tables: tuple[str, ...] = ()
    #: patterns of the names of network interfaces
    interfaces: tuple[str, ...] = ()
    #: entries of a directory of the component's (patterns of glob) that may be removed with all that is in them
    contents: tuple[str, ...] = ()
    #: a unit that a component without a service of its own enabled
    unit: str | None = None


#: Of a member: its data, those from before a restore, and what a restore that was killed was making.
ETCD_DATA = ("member", "member.before-*", ".hardway-restore")
#: By which keepalived learns that what it watches has ended (role lb, lb_ended_file).
LOAD_BALANCER_ENDED = "/run/load-balancer-ended"

LEAVINGS = {
    "kubelet": Leaving(
        directories=(
            "/var/lib/kubelet",
            "/var/log/pods",
            "/var/log/containers",
            "/usr/libexec/kubernetes",
            "/etc/kubernetes",
        ),
        files=(LOGIND,),
        mounts=("/var/lib/kubelet/*",),
        chains=("KUBE-",),
    ),
    "containerd": Leaving(
        directories=(
            "/var/lib/containerd",
            "/run/containerd",
            "/run/nri",
            "/opt/containerd",
            "/opt/cni",
            "/etc/cni/net.d",
            "/var/lib/cni",
        ),
        files=(NETWORK_NAMESPACES,),
        mounts=("/run/containerd/*", "/var/lib/containerd/*", NETWORK_NAMESPACES),
        chains=("CNI-",),
        nft_tables=("cni_hostport", "cni_plugins_masquerade"),
        interfaces=("cni0",),
    ),
    "docker": Leaving(
        directories=(
            "/var/lib/docker",
            "/run/docker",
            "/etc/docker",
            "/var/lib/dockershim",
            "/opt/cni",
            "/etc/cni/net.d",
            "/var/lib/cni",
        ),
        files=("/run/docker.sock", "/run/docker.pid", NETWORK_NAMESPACES),
        mounts=("/run/docker/*", "/var/lib/docker/*", NETWORK_NAMESPACES),
        chains=("DOCKER", "CNI-"),
        nft_tables=("cni_hostport", "cni_plugins_masquerade"),
        interfaces=("cni0", "docker0"),
    ),
    "cri-dockerd": Leaving(directories=("/var/lib/cri-dockerd",), files=("/run/cri-dockerd.sock",)),
    "kube-proxy": Leaving(
        directories=("/etc/kubernetes",),
        chains=("KUBE-",),
        sets=("KUBE-",),
        nft_tables=("kube-proxy",),
        interfaces=("kube-ipvs0",),
    ),
    "flanneld": Leaving(
        directories=("/run/flannel", "/etc/flannel"),
        chains=("FLANNEL-",),
        nft_tables=("flannel-ipv4", "flannel-ipv6"),
        interfaces=("flannel.[0-9]*", "flannel-v6.[0-9]*", "flannel-wg*"),
    ),
    # What its pods leave; the plugins and their configuration are in directories of the runtime's.
    "calico": Leaving(
        directories=("/etc/calico", "/var/lib/calico", "/var/log/calico", "/run/calico", "/run/nodeagent"),
        mounts=("/run/calico/*",),
        chains=("cali-",),
        comments=("cali:",),
        sets=("cali",),
        nft_tables=("calico",),
        interfaces=(
            "cali*",
            "vxlan.calico",
            "vxlan-v6.calico",
            "wireguard.cali",
            "wg-v6.cali",
            "bpfin.cali",
            "bpfout.cali",
        ),
    ),
    "calicoctl": Leaving(directories=("/etc/calico",)),
    "kube-apiserver": Leaving(directories=("/etc/kubernetes", "/var/log/kubernetes")),
    # Its kube-proxy is a pod, and kubelet makes the lock for it.
    "kubeadm": Leaving(
        directories=("/etc/kubernetes", "/var/log/kubernetes"),
        files=("/run/xtables.lock",),
        chains=("KUBE-",),
        sets=("KUBE-",),
        nft_tables=("kube-proxy",),
        interfaces=("kube-ipvs0",),
    ),
    "kube-controller-manager": Leaving(directories=("/etc/kubernetes",)),
    "kube-scheduler": Leaving(directories=("/etc/kubernetes",)),
    "haproxy": Leaving(files=("/run/haproxy.pid", "/run/haproxy-master.sock", LOAD_BALANCER_ENDED)),
    "nginx": Leaving(files=("/run/nginx.pid", LOAD_BALANCER_ENDED)),
    "etcd": Leaving(directories=("/etc/etcd",), contents=ETCD_DATA),
    "etcd-restore": Leaving(contents=ETCD_DATA),
    "etcd-backup": Leaving(directories=("/etc/etcd",), unit="etcd-backup.timer"),
}

#: What uses another stops before it; pods end between kubelet and the rest, while their runtime still runs. None: a component not named.
STOP_ORDER: tuple[tuple[str | None, ...], ...] = (
    ("kubelet",),
    ("kube-proxy", "flanneld", "pod-routes"),
    (None,),
    ("cri-dockerd",),
    ("containerd", "docker"),
    ("kube-scheduler", "kube-controller-manager"),
    ("kube-apiserver",),
    ("etcd",),
    # The virtual address moves on before the load balancer behind it ends.
    ("keepalived",),
    ("haproxy", "nginx"),
)

#: Never removed, whatever a record says; what lies in them may be.
SHARED_DIRECTORIES = frozenset(
    [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib32",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/var",
        "/etc/apt",
        "/etc/default",
        "/etc/modules-load.d",
        "/etc/profile.d",
        "/etc/ssl",
        "/etc/sysctl.d",
        "/etc/systemd",
        "/etc/systemd/system",
        "/etc/tmpfiles.d",
        "/run/lock",
        "/run/systemd",
        "/usr/bin",
        "/usr/lib",
        "/usr/lib/systemd",
        "/usr/lib/systemd/system",
        "/usr/libexec",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/etc",
        "/usr/local/lib",
        "/usr/local/libexec",
        "/usr/local/sbin",
        "/usr/local/share",
        "/usr/sbin",
        "/usr/share",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/run",
        "/var/spool",
        "/var/tmp",
    ]
)
#: The system's own, though a component may have set them.
SYSTEM_FILES = frozenset(
    [
        "/etc/fstab",
        "/etc/group",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/resolv.conf",
        "/etc/shadow",
    ]
)
UNTOUCHABLE_TREES = ("/proc", "/sys", "/dev", "/boot")


@dataclasses.dataclass(frozen=True)
class Request:
    """What the inventory knows and the records do not."""

    install_dir: str = "/opt/hardway"
    bin_dir: str = "/usr/local/bin"
    #: networks of pods, each with its prefix length
    pod_networks: tuple[str, ...] = ()
    #: the virtual address
    endpoint_address: str = ""


@dataclasses.dataclass(frozen=True)
class Owned:
    """What a component's record says of it."""

    paths: tuple[str, ...] = ()
    service: str | None = None
    unit: bool = False
    #: a user that was made for it
    user: str | None = None


@dataclasses.dataclass(frozen=True)
class Item:
    """One trace: what is told of it, and what is needed to remove it."""

    what: str
    target: t.Any = None


@dataclasses.dataclass
class Scope:
    """The components that this host has, or that a run began to put there."""

    request: Request
    components: dict[str, Owned]

    def leavings(self, field: str) -> tuple[str, ...]:
        found = [value for name in self.components if name in LEAVINGS for value in getattr(LEAVINGS[name], field)]
        return tuple(dict.fromkeys(found))

    def has(self, *names: str) -> bool:
        return any(name in self.components for name in names)

    @property
    def services(self) -> dict[str, str]:
        found = {name: owned.service or LEAVINGS.get(name, Leaving()).unit for name, owned in self.components.items()}
        return {name: service for name, service in found.items() if service}


class Trace(t.Protocol):
    """A kind of trace. ``find`` only reads."""

    def find(self) -> list[Item]: ...

    def remove(self, items: list[Item]) -> None: ...


def reset(request: Request, check_mode: bool = False) -> dict[str, t.Any]:
    """Remove what is ours from this host.

    :returns: a dict: ``changed``, ``removed`` (what was found before, a text each), ``kept`` (what was left on purpose, with the reason),
        ``leftovers`` (what is there still; the records stay in that case)
    :raises ResetError: nothing was removed
    """
    for path in (request.install_dir, request.bin_dir):
        if os.path.normpath(path) != path or not os.path.isabs(path):
            raise ResetError(
                f"{path!r} is not an absolute path in its plain form: correct cluster_install_dir or cluster_bin_dir"
            )
    if check_mode:
        return _reset(request, check_mode)
    with undisturbed():
        return _reset(request, check_mode)


@contextlib.contextmanager
def undisturbed(seconds: float = UNDISTURBED_TIMEOUT) -> t.Iterator[None]:
    """Wait for what a controller that was killed has left at work on this host, and keep it from beginning anew."""
    with contextlib.ExitStack() as held:
        for path in sorted(glob.glob(f"{component_paths.STATE_DIR}/*.lock")):
            stream = held.enter_context(open(path, "a", encoding="utf-8"))
            if not until(lambda stream=stream: _lock(stream), seconds):
                name = os.path.basename(path)[: -len(".lock")]
                raise ResetError(
                    f"another run is at work on {name} on this host ({path} is locked): let it end, or end it, then run this again"
                )
        yield


def _lock(stream: t.IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _reset(request: Request, check_mode: bool) -> dict[str, t.Any]:
    scope = Scope(request, read_components())
    paths = Paths(scope)
    traces: list[Trace] = [
        Services(scope, STOP_ORDER[:1]),
        Pods(scope),
        Services(scope, STOP_ORDER[1:]),
        Mounts(scope),
        Cgroups(scope),
        Interfaces(scope),
        Routes(scope),
        Tunnel(scope),
        Addresses(scope),
        Firewall(scope),
        Counters(scope),
        Swap(),
        paths,
        Users(scope),
    ]
    planned = [item.what for trace in traces for item in trace.find()]
    kept = paths.kept()
    records = [component_paths.STATE_DIR] if os.path.isdir(component_paths.STATE_DIR) else []
    result = {"changed": bool(planned or records), "removed": planned + records, "kept": kept, "leftovers": []}
    if check_mode or not result["changed"]:
        return result
    for trace in traces:
        items = trace.find()
        if items:
            trace.remove(items)
    result["leftovers"] = [item.what for trace in traces for item in trace.find()]
    if records and not result["leftovers"]:
        shutil.rmtree(component_paths.STATE_DIR)
    return result


def read_components() -> dict[str, Owned]:
    """The components of this host: from their records, and from the drop-ins of their units where a record is missing or damaged."""
    found: dict[str, Owned] = {}
    for path in sorted(glob.glob(f"{component_paths.STATE_DIR}/*.json")):
        found[os.path.basename(path)[: -len(".json")]] = _owned(path)
    known = {owned.service for owned in found.values()}
    for drop_in in sorted(glob.glob(f"{component_paths.UNIT_DIR}/*.service.d/{DROP_IN}")):
        service = os.path.basename(os.path.dirname(drop_in))[: -len(".d")]
        name = service[: -len(".service")]
        if service not in known:
            unit = name in LEAVINGS
            paths = [*found.get(name, Owned()).paths, drop_in] + (
                [f"{component_paths.UNIT_DIR}/{service}"] if unit else []
            )
            found[name] = Owned(paths=tuple(paths), service=service, unit=unit)
    return found


def _owned(path: str) -> Owned:
    try:
        with open(path, encoding="utf-8") as stream:
            owns = json.load(stream)["owns"]
        return Owned(tuple(owns.get("paths") or ()), owns.get("service"), bool(owns.get("unit")), owns.get("user"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return Owned()


def run(*argv: str, timeout: float = 60, text: str | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command; 127 where there is none of that name, 124 where it took too long."""
    environment = dict(os.environ, LC_ALL="C", PATH=PATH)
    try:
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment,
            check=False,
        )
    except FileNotFoundError as error:
        return 127, "", str(error)
    except subprocess.TimeoutExpired:
        return 124, "", f"no end after {timeout:g} s"
    return done.returncode, done.stdout, done.stderr


def run_json(*argv: str) -> list[dict[str, t.Any]]:
    try:
        return [entry for entry in json.loads(run(*argv)[1] or "[]") if entry]
    except ValueError:
        return []


def until(holds: t.Callable[[], bool], seconds: float = GONE_TIMEOUT) -> bool:
    """Wait for something that is about to be so; whether it is."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


# --- services


def ordered(services: dict[str, str], stages: t.Sequence[t.Sequence[str | None]] = STOP_ORDER) -> list[list[str]]:
    """The services (component -> service) of these stages, in the order in which they stop; those of a stage stop at once."""
    named = {name for stage in STOP_ORDER for name in stage}
    steps = [
        [service for name, service in sorted(services.items()) if (name if name in named else None) in stage]
        for stage in stages
    ]
    return [step for step in steps if step]


class Services:
    """Our units that run, failed, or start at boot."""

    def __init__(self, scope: Scope, stages: t.Sequence[t.Sequence[str | None]]) -> None:
        self.steps = ordered(scope.services, stages)

    def find(self) -> list[Item]:
        return [Item(f"service {name}", name) for step in self.steps for name in step if _is_present(name)]

    def remove(self, items: list[Item]) -> None:
        present = {item.target for item in items}
        for step in self.steps:
            names = [name for name in step if name in present]
            if not names:
                continue
            if run("systemctl", "stop", *names, timeout=STOP_TIMEOUT)[0]:
                run("systemctl", "kill", "--signal=SIGKILL", *names)
                run("systemctl", "stop", *names, timeout=STOP_TIMEOUT)
            run("systemctl", "disable", "--quiet", *names)
            run("systemctl", "reset-failed", *names)


def _is_present(service: str) -> bool:
    shown = run("systemctl", "show", service, "--property=ActiveState,UnitFileState")[1]
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return state.get("ActiveState", "inactive") != "inactive" or state.get("UnitFileState", "").startswith("enabled")


# --- pods


class Pods:
    """Processes of pods, and the shims of containerd above them. Where docker is ours, all of its containers are."""

    def __init__(self, scope: Scope) -> None:
        self.active = scope.has("containerd", "docker", "kubelet")
        self.docker = scope.has("docker")
        self.namespaces = (NAMESPACE, DOCKER_NAMESPACE) if self.docker else (NAMESPACE,)
        self.ctr = os.path.join(scope.request.bin_dir, "ctr")

    def find(self) -> list[Item]:
        if not self.active:
            return []
        shims = {
            pid: sandbox
            for pid, sandbox in ((pid, shim_of(_arguments(pid), self.namespaces)) for pid in processes())
            if sandbox
        }
        return [Item(f"pod sandbox {sandbox}", pid) for pid, sandbox in shims.items()] + [
            Item(f"process {pid} of a pod ({_read(f'/proc/{pid}/comm').strip()})", pid)
            for pid in processes_of_pods()
            if pid not in shims
        ]

    def remove(self, items: list[Item]) -> None:
        if self.docker:
            self._ask_docker()
        elif os.path.exists(self.ctr):
            self._ask_containerd()
        targets = {item.target for item in self.find()}
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in targets))

    @staticmethod
    def _ask_docker() -> None:
        names = run("docker", "ps", "--all", "--quiet", timeout=20)[1].split()
        if names:
            run("docker", "rm", "--force", *names, timeout=60)

    def _ask_containerd(self) -> None:
        """containerd ends the containers and their mounts itself, if it can."""
        for kind, forced in (("tasks", ["--force"]), ("containers", [])):
            names = run(self.ctr, "--namespace", NAMESPACE, kind, "list", "--quiet", timeout=20)[1].split()
            if names:
                run(self.ctr, "--namespace", NAMESPACE, kind, "rm", *forced, *names, timeout=60)


def processes() -> list[int]:
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _arguments(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/cmdline").split("\0")


def shim_of(arguments: list[str], namespaces: t.Sequence[str] = (NAMESPACE,)) -> str:
    """The pod sandbox (with docker the container) that a process is the shim of; empty if it is not a shim of Kubernetes' containers."""
    if not os.path.basename(arguments[0]).startswith("containerd-shim"):
        return ""
    options = dict(zip(arguments, arguments[1:]))
    return options.get("-id", "(unknown)") if options.get("-namespace") in namespaces else ""


def is_of_pod(cgroups: str) -> bool:
    """Whether /proc/PID/cgroup is that of a container of a pod."""
    paths = (line.split(":", 2)[-1] for line in cgroups.splitlines())
    return any(part in KUBEPODS for path in paths for part in path.split("/"))


def processes_of_pods() -> list[int]:
    # A host that is itself a pod (a test environment, say) has kubepods above all its processes.
    if is_of_pod(_read("/proc/self/cgroup")):
        return []
    return [pid for pid in processes() if is_of_pod(_read(f"/proc/{pid}/cgroup"))]


# --- mounts and cgroups


@dataclasses.dataclass(frozen=True)
class Mount:
    path: str
    filesystem: str


def mounts(mountinfo: str) -> list[Mount]:
    """The mounts of a /proc/PID/mountinfo (proc(5)), in the order in which they were made."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        path = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), fields[4])
        found.append(Mount(path, fields[fields.index("-") + 1]))
    return found


def current_mounts() -> list[Mount]:
    return mounts(_read("/proc/self/mountinfo"))


def mounts_below(known: list[Mount], path: str) -> list[str]:
    """The mount points below a directory, not itself."""
    return [mount.path for mount in known if mount.path.startswith(path.rstrip("/") + "/")]


class Mounts:
    """Mounts of pods and of their runtime. A file system that is mounted on a data directory itself is the host's, and stays."""

    def __init__(self, scope: Scope) -> None:
        self.patterns = scope.leavings("mounts")

    def find(self) -> list[Item]:
        found = [
            mount.path
            for mount in current_mounts()
            if any(fnmatch.fnmatchcase(mount.path, pattern) for pattern in self.patterns)
        ]
        return [Item(f"mount {path}", path) for path in reversed(found)]

    def remove(self, items: list[Item]) -> None:
        for item in items:
            if run("umount", item.target)[0]:
                run("umount", "--lazy", "--force", item.target)


class Cgroups:
    """The cgroups of pods, empty by now."""

    def __init__(self, scope: Scope) -> None:
        self.active = scope.has("kubelet")

    def find(self) -> list[Item]:
        if not self.active:
            return []
        tops = [
            mount.path
            for mount in current_mounts()
            if mount.filesystem in ("cgroup", "cgroup2") and mount.path.startswith(CGROUPS)
        ]
        candidates = [os.path.join(top, name) for top in tops for name in KUBEPODS]
        return [
            Item(f"cgroup {path}", path)
            for path in dict.fromkeys(candidates)
            if os.path.isdir(path) and not os.path.islink(os.path.dirname(path))
        ]

    def remove(self, items: list[Item]) -> None:
        if any(item.target.endswith(".slice") for item in items):
            run("systemctl", "stop", "kubepods.slice")
        # A cgroup can go as soon as the kernel is done with its last process.
        until(lambda: not sum(_remove_cgroup(item.target) for item in items), seconds=3)


def _remove_cgroup(top: str) -> bool:
    """Whether it is still there."""
    for directory, unused, unused_files in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return os.path.isdir(top)


# --- network


def our_interfaces(links: list[dict[str, t.Any]], patterns: t.Sequence[str]) -> list[str]:
    """Names of ours among the answer of `ip -json link`: what is plugged into our bridge first."""
    ours = [
        link["ifname"] for link in links if any(fnmatch.fnmatchcase(link["ifname"], pattern) for pattern in patterns)
    ]
    plugged = [link["ifname"] for link in links if link.get("master") in ours and link["ifname"].startswith("veth")]
    return plugged + ours


class Interfaces:
    def __init__(self, scope: Scope) -> None:
        self.patterns = scope.leavings("interfaces")
        self.kube_proxy = os.path.join(scope.request.bin_dir, "kube-proxy")

    def find(self) -> list[Item]:
        return [
            Item(f"interface {name}", name) for name in our_interfaces(run_json("ip", "-json", "link"), self.patterns)
        ]

    def remove(self, items: list[Item]) -> None:
        if any(item.target == "kube-ipvs0" for item in items) and os.path.exists(self.kube_proxy):
            # Virtual servers have no marks: only kube-proxy itself tells which are its own.
            run(self.kube_proxy, "--cleanup")
        for item in items:
            run("ip", "link", "delete", item.target)


def our_routes(routes: list[dict[str, t.Any]], pod_networks: t.Sequence[str], interfaces: t.Sequence[str]) -> list[str]:
    """Destinations of our routes among the answer of `ip -json route`; those through our interfaces go with these."""
    networks = [ipaddress.ip_network(network) for network in pod_networks]
    return [
        route["dst"]
        for route in routes
        if route.get("dev") not in interfaces
        and (
            route.get("protocol") == ROUTE_PROTOCOL
            or ((route.get("gateway") or route.get("type") == "blackhole") and _is_within(route["dst"], networks))
        )
    ]


def _is_within(destination: str, networks: t.Sequence[t.Any]) -> bool:
    try:
        network = ipaddress.ip_network(destination)
    except ValueError:  # default, unreachable ...
        return False
    return any(network.version == other.version and network.subnet_of(other) for other in networks)


class Routes:
    def __init__(self, scope: Scope) -> None:
        self.active = scope.has("flanneld", "pod-routes", "calico")
        self.networks = scope.request.pod_networks
        self.patterns = scope.leavings("interfaces")

    def find(self) -> list[Item]:
        if not self.active:
            return []
        interfaces = our_interfaces(run_json("ip", "-json", "link"), self.patterns)
        return [
            Item(f"route {destination}", (family, destination))
            for family in ("-4", "-6")
            for destination in our_routes(run_json("ip", "-json", family, "route"), self.networks, interfaces)
        ]

    def remove(self, items: list[Item]) -> None:
        for item in items:
            family, destination = item.target
            run("ip", family, "route", "delete", destination)


class Tunnel:
    """The kernel's own interface of IP in IP, which cannot be deleted: Calico gave it an address of the pod network."""

    NAME, MODULE = "tunl0", "ipip"

    def __init__(self, scope: Scope) -> None:
        self.networks = (
            [ipaddress.ip_network(network) for network in scope.request.pod_networks] if scope.has("calico") else []
        )

    def find(self) -> list[Item]:
        if not self.networks:
            return []
        held = [
            entry
            for link in run_json("ip", "-json", "addr")
            if link.get("ifname") == self.NAME
            for entry in link.get("addr_info", [])
        ]
        texts = [
            f"{entry['local']}/{entry['prefixlen']}" for entry in held if _is_within(entry["local"], self.networks)
        ]
        return [Item(f"address {text} on {self.NAME}", text) for text in texts]

    def remove(self, items: list[Item]) -> None:
        for item in items:
            run("ip", "addr", "delete", item.target, "dev", self.NAME)
        run("ip", "link", "set", self.NAME, "down")
        # Where nobody else uses the module, the interface goes with it.
        run("modprobe", "--remove", self.MODULE)


def virtual_address(links: list[dict[str, t.Any]], address: str) -> list[tuple[str, str]]:
    """(address with prefix length, interface) of the virtual address; not where it is the only address, for then it is the host's own."""
    found = []
    for link in links:
        held = [entry for entry in link.get("addr_info", []) if entry.get("scope") == "global"]
        found += [
            (f"{entry['local']}/{entry['prefixlen']}", link["ifname"])
            for entry in held
            if entry["local"] == address and len(held) > 1
        ]
    return found


class Addresses:
    """The virtual address, where keepalived had no time to give it back."""

    def __init__(self, scope: Scope) -> None:
        self.address = scope.request.endpoint_address if scope.has("keepalived") else ""

    def find(self) -> list[Item]:
        if not self.address:
            return []
        return [
            Item(f"address {address} on {name}", (address, name))
            for address, name in virtual_address(run_json("ip", "-json", "addr"), self.address)
        ]

    def remove(self, items: list[Item]) -> None:
        for item in items:
            address, interface = item.target
            run("ip", "addr", "delete", address, "dev", interface)


# --- firewall


@dataclasses.dataclass
class Purge:
    """What of one iptables table is ours."""

    table: str
    chains: list[str] = dataclasses.field(default_factory=list)
    #: rules in chains of others, as iptables-save writes them
    rules: list[str] = dataclasses.field(default_factory=list)

    def script(self) -> str:
        """Input of `iptables-restore --noflush`, which does all of it at once: declaring a chain empties it."""
        lines = [f"*{self.table}"]
        lines += [f":{chain} - [0:0]" for chain in self.chains]
        lines += [f"-D {rule[len('-A ') :]}" for rule in self.rules]
        lines += [f"-X {chain}" for chain in self.chains]
        return "\n".join([*lines, "COMMIT", ""])


def purges(
    saved: str, prefixes: t.Sequence[str], masquerade: t.Callable[[list[str]], bool], comments: t.Sequence[str] = ()
) -> list[Purge]:
    """What is ours in the output of iptables-save: chains with one of the prefixes, rules that lead into them or have one of the comments
    (prefixes, too), and rules that `masquerade` knows (it gets a rule's words). Tables with nothing of ours are left out."""
    found: list[Purge] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            found.append(Purge(line[1:].strip()))
        elif line.startswith(":") and line[1:].split()[0].startswith(tuple(prefixes)):
            found[-1].chains.append(line[1:].split()[0])
        elif line.startswith("-A ") and not line.split()[1].startswith(tuple(prefixes)):
            words = shlex.split(line)
            marked = any(
                option == "--comment" and text.startswith(tuple(comments)) for option, text in zip(words, words[1:])
            )
            if (
                marked
                or target_of(words).startswith(tuple(prefixes))
                or (found[-1].table == "nat" and masquerade(words))
            ):
                found[-1].rules.append(line)
    return [purge for purge in found if purge.chains or purge.rules]


def target_of(words: list[str]) -> str:
    """Where a rule leads: the word after its last -j or -g."""
    for option, value in reversed(list(zip(words, words[1:]))):
        if option in ("-j", "-g"):
            return value
    return ""


def is_our_masquerade(words: list[str], pod_networks: t.Sequence[str]) -> bool:
    """Whether it is the rule of pod-routes: from a node's part of the pod network to anywhere but pods."""
    match = (
        words[1:2] == ["POSTROUTING"]
        and len(words) == 9
        and words[2] == "-s"
        and words[4:6] == ["!", "-d"]
        and words[7:] == ["-j", "MASQUERADE"]
    )
    networks = [ipaddress.ip_network(network) for network in pod_networks if network == words[6]] if match else []
    return bool(networks) and _is_within(words[3], networks)


def chain_summary(chains: list[str], prefixes: t.Sequence[str]) -> str:
    counts = {prefix: sum(chain.startswith(prefix) for chain in chains) for prefix in prefixes}
    return ", ".join(f"{count} chains {prefix}*" for prefix, count in counts.items() if count)


class Firewall:
    """Chains of kube-proxy, kubelet, flannel, Calico and the CNI plugins, the rules that lead into them, their nftables and their sets."""

    def __init__(self, scope: Scope) -> None:
        self.prefixes = scope.leavings("chains")
        self.tables = scope.leavings("nft_tables")
        self.networks = scope.request.pod_networks if scope.has("pod-routes") else ()
        self.comments = scope.leavings("comments")
        self.sets = scope.leavings("sets")

    def find(self) -> list[Item]:
        return self._chains() + self._nft_tables() + self._sets()

    def remove(self, items: list[Item]) -> None:
        for item in items:
            item.target()

    def _chains(self) -> list[Item]:
        if not self.prefixes and not self.networks:
            return []
        found = []
        for command in iptables_commands():
            for purge in purges(
                run(f"{command}-save")[1],
                self.prefixes,
                lambda words: is_our_masquerade(words, self.networks),
                self.comments,
            ):
                texts = [f"{command} {purge.table}: {rule}" for rule in purge.rules]
                if purge.chains:
                    texts.insert(0, f"{command} {purge.table}: {chain_summary(purge.chains, self.prefixes)}")
                actions = [lambda command=command, purge=purge: _purge(command, purge)] + [lambda: None] * (
                    len(texts) - 1
                )
                found += [Item(text, action) for text, action in zip(texts, actions)]
        return found

    def _nft_tables(self) -> list[Item]:
        if not self.tables:
            return []
        present = [line.split()[1:3] for line in run("nft", "list", "tables")[1].splitlines() if len(line.split()) == 3]
        return [
            Item(
                f"nft table {family} {name}",
                lambda family=family, name=name: run("nft", "delete", "table", family, name),
            )
            for family, name in present
            if name in self.tables
        ]

    def _sets(self) -> list[Item]:
        names = run("ipset", "list", "-name")[1].split() if self.sets else []
        return [
            Item(f"ipset {name}", lambda name=name: run("ipset", "destroy", name))
            for name in names
            if name.startswith(self.sets)
        ]


def iptables_commands() -> list[str]:
    """Both kinds of iptables where both are there: which one a component used depends on what was the default then."""
    found = []
    for name in ("iptables", "ip6tables"):
        kinds = [f"{name}{kind}" for kind in ("-nft", "-legacy") if shutil.which(f"{name}{kind}-save", path=PATH)]
        found += kinds or [name for unused in [0] if shutil.which(f"{name}-save", path=PATH)]
    return found


def _purge(command: str, purge: Purge) -> None:
    run(f"{command}-restore", "--noflush", "--wait", text=purge.script())
    if not command.endswith("-legacy"):
        family = "ip6" if command.startswith("ip6") else "ip"
        shown = run("nft", "--json", "list", "table", family, purge.table)[1]
        if shown and holds_nothing(shown):
            # iptables makes it again when it is next asked for a rule.
            run("nft", "delete", "table", family, purge.table)


def holds_nothing(table: str) -> bool:
    """Whether an nftables table (as JSON) has only chains of the kernel's hooks, all empty and accepting."""
    try:
        entries = json.loads(table)["nftables"]
    except (ValueError, KeyError, TypeError):
        return False
    kinds = {kind for entry in entries for kind in entry}
    chains = [entry["chain"] for entry in entries if "chain" in entry]
    return kinds <= {"metainfo", "table", "chain"} and all(
        chain.get("hook") and chain.get("policy") == "accept" for chain in chains
    )


class Counters:
    """The counters that kube-proxy makes in the kernel's accounting (nfnetlink_acct)."""

    NAMES = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")
    # Linux, include/uapi/linux/netfilter/{nfnetlink,nfnetlink_acct}.h
    SUBSYSTEM, GET, DELETE, NAME = 7, 1, 3, 1
    NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR, NETLINK_NETFILTER = 1, 4, 2, 12

    def __init__(self, scope: Scope) -> None:
        self.active = scope.has("kube-proxy")

    def find(self) -> list[Item]:
        return (
            [Item(f"counter {name}", name) for name in self.NAMES if self._ask(self.GET, name)] if self.active else []
        )

    def remove(self, items: list[Item]) -> None:
        for item in items:
            self._ask(self.DELETE, item.target)

    def _ask(self, message: int, name: str) -> bool:
        """Whether the kernel had that counter and did what was asked; False also where it has no such accounting."""
        text = name.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(text), self.NAME) + text.ljust((len(text) + 3) & ~3, b"\0")
        body = struct.pack("=BBH", 0, 0, 0) + attribute
        header = struct.pack(
            "=IHHII", 16 + len(body), self.SUBSYSTEM << 8 | message, self.NLM_F_REQUEST | self.NLM_F_ACK, 1, 0
        )
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, self.NETLINK_NETFILTER) as channel:
                channel.settimeout(2)
                channel.sendto(header + body, (0, 0))
                answer = channel.recv(65536)
        except OSError:
            return False
        kind = struct.unpack_from("=H", answer, 4)[0]
        return kind != self.NLMSG_ERROR or struct.unpack_from("=i", answer, 16)[0] == 0


# --- files


def is_removable(path: str) -> bool:
    """Whether a path may be removed at all: never a directory that is shared with others, the system's own files, or what is not plain."""
    return (
        os.path.isabs(path)
        and os.path.normpath(path) == path
        and not path.startswith("//")
        and path not in SHARED_DIRECTORIES
        and path not in SYSTEM_FILES
        and not any(path == tree or path.startswith(f"{tree}/") for tree in UNTOUCHABLE_TREES)
    )


def leads_into(link: str, directory: str) -> bool:
    """Whether a symbolic link points into a directory, by its text: nothing is followed."""
    target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    return target.startswith(directory.rstrip("/") + "/")


def emptied(directories: t.Iterable[str], gone: t.Iterable[str]) -> list[str]:
    """The directories, and those above them, that hold nothing but what goes; the deepest first."""
    vanished, found = set(gone), []
    waiting = sorted(set(directories), key=lambda path: path.count("/"))
    while waiting:
        path = waiting.pop()
        if path in vanished or not is_removable(path) or not _is_directory(path) or os.path.ismount(path):
            continue
        if {os.path.join(path, name) for name in os.listdir(path)} <= vanished:
            vanished.add(path)
            found.append(path)
            # The parent is shallower than all that waits at this depth or deeper.
            waiting = sorted({*waiting, os.path.dirname(path)}, key=lambda other: other.count("/"))
    return found


class Paths:
    """Files, links and directories: what the records name, what points into the installation, and what the processes left."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.recorded = sorted({path for owned in scope.components.values() for path in owned.paths})
        self.install_dir = scope.request.install_dir

    def find(self) -> list[Item]:
        files, trees = self._files(), self._trees()
        inside = [path for path in files if not any(path.startswith(f"{tree}/") for tree in trees)]
        gone = [*inside, *trees]
        empty = emptied(self._directories(), gone)
        package = packages_of([path for path in empty if not path.startswith(self.install_dir)])
        # A directory of a package's stays, and so do those above it.
        empty = [path for path in empty if not any(owned == path or owned.startswith(f"{path}/") for owned in package)]
        return (
            [Item(path, os.unlink) for path in inside]
            + [Item(path, remove_tree) for path in trees]
            + [Item(path, os.rmdir) for path in empty]
        )

    def remove(self, items: list[Item]) -> None:
        for item in items:
            with contextlib.suppress(OSError):  # what is left is told at the end
                item.target(item.what)
        if any(item.what.startswith(f"{component_paths.UNIT_DIR}/") for item in items):
            run("systemctl", "daemon-reload")
            for service in self.scope.services.values():
                run("systemctl", "reset-failed", service)
        if any(item.what == LOGIND for item in items):
            run("systemctl", "kill", "--signal=SIGHUP", "systemd-logind.service")

    def kept(self) -> list[str]:
        """What a record names but is left, and what has to be put back by hand; with the reason."""
        going = {item.what for item in self.find()}
        told = []
        for path in self.recorded:
            if path in SYSTEM_FILES:
                told.append(f"{path}: it is the system's own")
            elif os.path.islink(path) and path not in going and not self._is_inside_tree(path):
                told.append(f"{path}: it is a link to {os.readlink(path)} now, not ours")
            elif self._is_foreign_binary(path):
                told.append(f"{path}: it is not our link any more")
        for path, package in packages_of(
            [path for path in self.recorded if path in going and os.path.isfile(path)]
        ).items():
            told.append(
                f"{path}: the one that came with the package {package} is not on this host any more; reinstall the package to have it again"
            )
        if os.path.exists(FSTAB_BEFORE) and not swap_restorable():
            told.append(f"{FSTAB_BEFORE}: {FSTAB} was changed since; compare them and remove it")
        return told

    def _is_inside_tree(self, path: str) -> bool:
        return any(path.startswith(f"{tree}/") for tree in self._trees())

    def _is_foreign_binary(self, path: str) -> bool:
        """A file where our link to an installed binary was: nothing but links is put there."""
        return os.path.dirname(path) == self.scope.request.bin_dir and os.path.isfile(path) and not os.path.islink(path)

    def _files(self) -> list[str]:
        named = [
            path
            for path in self.recorded
            if is_removable(path) and _is_file(path) and not self._is_foreign_binary(path)
        ]
        others = [
            path for pattern in self.scope.leavings("files") for path in sorted(glob.glob(pattern)) if _is_file(path)
        ]
        files = [path for path in [*named, *others] if not os.path.islink(path) or leads_into(path, self.install_dir)]
        return list(dict.fromkeys([*files, *self._links(), *self._unfinished()]))

    def _links(self) -> list[str]:
        directories = {self.scope.request.bin_dir, *(os.path.dirname(path) for path in self.recorded)}
        entries = [
            os.path.join(directory, name)
            for directory in sorted(directories)
            if os.path.isdir(directory)
            for name in sorted(os.listdir(directory))
        ]
        return [path for path in entries if os.path.islink(path) and leads_into(path, self.install_dir)]

    def _unfinished(self) -> list[str]:
        """What a killed run left beside what it was writing."""
        patterns = {
            f"{glob.escape(os.path.dirname(path))}/.{glob.escape(os.path.basename(path))}.*{TEMPORARY}"
            for path in self.recorded
        }
        patterns |= {
            f"{glob.escape(os.path.dirname(path))}/{TEMPORARY}-{glob.escape(os.path.basename(path))}"
            for path in self.recorded
        }
        return sorted(path for pattern in patterns for path in glob.glob(pattern) if _is_file(path))

    def _trees(self) -> list[str]:
        """Directories that go with all that is in them."""
        known = [path for path in self.scope.leavings("directories") if _holds_something_or_can_go(path)]
        contents = [
            entry
            for component_name, owned in self.scope.components.items()
            for name in (LEAVINGS[component_name].contents if component_name in LEAVINGS else ())
            for path in owned.paths
            if is_removable(path)
            for entry in sorted(glob.glob(os.path.join(glob.escape(path), name)))
            if _is_directory(entry)
        ]
        scratch = [path for path in glob.glob(IMAGE_SCRATCH) if _is_directory(path)] if self.scope.components else []
        return list(dict.fromkeys([*known, *contents, *scratch, *self._installed()]))

    def _installed(self) -> list[str]:
        """Versions of artifacts, and what an installation did not finish: each by itself, for the directory may be shared (/opt)."""
        places = glob.glob(f"{glob.escape(self.install_dir)}/*/{TEMPORARY}-*")
        places += [
            os.path.dirname(path) for path in glob.glob(f"{glob.escape(self.install_dir)}/*/*/{artifacts.RECORD}")
        ]
        # A version that was being put in place has no record yet, but its component has.
        for path in self._links():
            places.append(os.path.dirname(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))))
        return sorted(
            {
                path
                for path in places
                if _is_directory(path) and os.path.dirname(os.path.dirname(path)) == self.install_dir
            }
        )

    def _directories(self) -> set[str]:
        """Directories that go when nothing else is in them."""
        found = {path for path in self.recorded if _is_directory(path)} | {
            os.path.dirname(path) for path in self.recorded
        }
        found |= {os.path.dirname(path) for path in self.scope.leavings("directories")}
        found |= {os.path.dirname(path) for path in self.scope.leavings("files")}
        found |= {os.path.dirname(path) for path in self._installed()}
        if self.install_dir not in SHARED_DIRECTORIES:
            found |= {self.install_dir, *glob.glob(f"{glob.escape(self.install_dir)}/*")}
        return {path for path in found if is_removable(path)}


def _is_file(path: str) -> bool:
    return os.path.lexists(path) and not _is_directory(path)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _holds_something_or_can_go(path: str) -> bool:
    return _is_directory(path) and (not os.path.ismount(path) or bool(set(os.listdir(path)) - {"lost+found"}))


def remove_tree(path: str) -> None:
    """Remove a directory with all in it; symbolic links are removed, not followed. Where another file system is still mounted below,
    nothing is removed, for that may be data of others. The root of a file system is emptied."""
    if mounts_below(current_mounts(), path):
        raise OSError(errno.EBUSY, "something is mounted below it", path)
    if not os.path.ismount(path):
        shutil.rmtree(path)
        return
    for name in os.listdir(path):
        entry = os.path.join(path, name)
        if _is_directory(entry):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)


def packages_of(paths: list[str]) -> dict[str, str]:
    """The distribution's package of each path that has one."""
    if not paths:
        return {}
    if shutil.which("dpkg-query", path=PATH):
        lines = [line.rsplit(": ", 1) for line in run("dpkg-query", "--search", *paths)[1].splitlines() if ": " in line]
        return {path: package.split(":")[0] for package, path in lines if path in paths}
    if shutil.which("rpm", path=PATH):
        names = [run("rpm", "--query", "--file", "--queryformat", "%{NAME}", path)[:2] for path in paths]
        return {path: name for path, (status, name) in zip(paths, names) if status == 0}
    return {}


# --- swap and users

_SWAP_LINE = re.compile(r"^([^#].*\sswap\s)", re.MULTILINE)


def swap_restorable() -> bool:
    """Whether fstab is still what the role host made of it."""
    before = _read(FSTAB_BEFORE)
    return bool(before) and _SWAP_LINE.sub(r"# \1", before) == _read(FSTAB)


class Swap:
    """The copy of fstab from before swap was turned off: it goes back, in force from the next boot."""

    def find(self) -> list[Item]:
        return [Item(f"{FSTAB_BEFORE} (goes back to {FSTAB})")] if swap_restorable() else []

    def remove(self, items: list[Item]) -> None:
        os.chmod(FSTAB_BEFORE, stat.S_IMODE(os.stat(FSTAB).st_mode))
        os.rename(FSTAB_BEFORE, FSTAB)


class Users:
    """System users that a component made for itself, by its record."""

    def __init__(self, scope: Scope) -> None:
        self.names = sorted({owned.user for owned in scope.components.values() if owned.user and owned.user != "root"})

    def find(self) -> list[Item]:
        return [Item(f"user {name}", name) for name in self.names if _is_system_user(name)]

    def remove(self, items: list[Item]) -> None:
        for item in items:
            run("userdel", item.target)


def _is_system_user(name: str) -> bool:
    try:
        return 0 < pwd.getpwnam(name).pw_uid < 1000
    except KeyError:
        return False
