# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what a machine is, without changing it: the standard library, /proc, /sys and three short commands.

Every reader takes what it needs as an argument and returns plain data, so that `read` is a table of contents.
A source that a machine lacks yields an empty value, never an exception: the judgement belongs to the preflight.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import struct
import subprocess
import time
from http.client import HTTPException

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import http
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import read_text
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import snapshot
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
# An upgrade is judged by these.
VERSIONED = ("kube-apiserver", "kubelet", "etcd")
STATIC_PODS = "/etc/kubernetes/manifests"
# Where its options are: the unit, and where an earlier version of this collection made the member, a file.
ETCD_OPTIONS = ("/etc/systemd/system/etcd.service", "/etc/etcd/etcd.yaml")
# A component writes its record there before it writes anything else (module_utils/component/reconcile.py).
RECORDS = "/var/lib/hardway"
ETCD_METRICS = "http://127.0.0.1:2381/metrics"
FLANNELD_UNIT = "/etc/systemd/system/flanneld.service"
CALICO_NETWORK = "/etc/calico/network.yaml"
CNI_CONFIGURATIONS = "/etc/cni/net.d"
# The authorities that this host's components trust: etcd's, the cluster's, the load balancer's check.
AUTHORITIES = (
    "/etc/etcd/pki/ca.pem",
    "/etc/kubernetes/pki/ca.pem",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/haproxy/kubernetes-ca.pem",
)
# CNI plugins of networks between nodes. Others (podman's bridge, say) are of containers on one host.
NETWORK_PLUGINS = ("calico", "cilium-cni", "flannel", "antrea", "kube-ovn", "weave-net")
INOTIFY_PROBE = 16
OWNERS_SECONDS = 3.0  # a busy host has many thousand open files; most walks end with the last socket, after some hundredths of a second
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # an account's own may lack the sbin directories
PACKAGES_SECONDS = 60.0  # rpm reads its whole database; without an answer each run would install them again
LISTEN_STATE = "0A"  # Linux, include/net/tcp_states.h: TCP_LISTEN
MIB = 1024 * 1024
#: What `read` looks at where it is not told; the options of the module host_facts.
DEFAULTS = {
    "paths": [],
    "units": [],
    "commands": [],
    "features": ["overlay", "br_netfilter"],
    "kubelet_certificate": "/var/lib/kubelet/pki/kubelet-client-current.pem",
    "bin_dir": "/usr/local/bin",
    "etcd_data_dir": "/var/lib/etcd",
}


def output(*command: str, seconds: float = 5) -> str:
    """Standard output of a command; empty when it is missing, fails to start or takes longer than *seconds*."""
    environment = dict(os.environ, LC_ALL="C", PATH=PATH)
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def distribution(text: str) -> dict:
    """os-release(5)."""
    values = dict(re.findall(r"""^([A-Z_]+)=["']?(.*?)["']?\s*$""", text, re.MULTILINE))
    return {
        "id": values.get("ID", ""),
        "like": values.get("ID_LIKE", "").split(),
        "version": values.get("VERSION_ID", ""),
        "codename": values.get("VERSION_CODENAME", ""),
        "name": values.get("PRETTY_NAME", ""),
    }


def addresses(text: str) -> list[dict]:
    """Addresses from `ip -j addr`, those of the loopback interface left out."""
    try:
        links = json.loads(text or "[]")
    except ValueError:
        return []
    return [
        {
            "address": entry["local"],
            "prefix": entry.get("prefixlen", 0),
            "interface": link.get("ifname", ""),
            "scope": entry.get("scope", ""),
        }
        for link in links
        if "LOOPBACK" not in link.get("flags", [])
        for entry in link.get("addr_info", [])
        if "local" in entry
    ]


def default_interface(ipv4_routes: str, ipv6_routes: str = "") -> str:
    """The interface of the default route with the lowest metric, from /proc/net/route and /proc/net/ipv6_route."""
    candidates = []
    for line in ipv4_routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
            candidates.append((0, int(fields[6]), fields[0]))
    for line in ipv6_routes.splitlines():
        fields = line.split()
        if len(fields) == 10 and fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
            candidates.append((1, int(fields[5], 16), fields[9]))
    return min(candidates)[2] if candidates else ""


def swap_devices(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:] if line.strip()]


def memory_mib(text: str) -> int:
    match = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(match.group(1)) // 1024 if match else 0


def existing_parent(path: str) -> str:
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path.rstrip("/")) or "/"
    return path


def filesystem(path: str) -> dict:
    """The filesystem that holds a path, or would hold it: space that root may use, whether it is read-only, its device number."""
    try:
        status = os.statvfs(existing_parent(path))
        device = os.stat(existing_parent(path)).st_dev
    except OSError:
        return {"free_mib": 0, "size_mib": 0, "read_only": True, "device": 0}
    return {
        "free_mib": status.f_bfree * status.f_frsize // MIB,
        "size_mib": status.f_blocks * status.f_frsize // MIB,
        "read_only": bool(status.f_flag & os.ST_RDONLY),
        "device": device,
    }


def decode_address(text: str) -> str:
    """An address of /proc/net/tcp or tcp6: 32-bit words in the order of bytes of the machine."""
    words = [text[index : index + 8] for index in range(0, len(text), 8)]
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    address = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return address[len("::ffff:") :] if address.startswith("::ffff:") else address


def listening_sockets(text: str) -> list[tuple[str, int, str]]:
    """(address, port, inode) of the listening sockets of a /proc/net/tcp table."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTEN_STATE:
            address, port = fields[1].split(":")
            found.append((decode_address(address), int(port, 16), fields[9]))
    return found


def unit_of(cgroups: str) -> str:
    """The unit (or `kubepods` for a container of a pod) that a process belongs to, from /proc/PID/cgroup of either version."""
    if "kubepods" in cgroups:
        return "kubepods"
    match = re.search(r"/([^/\n]+\.(?:service|scope))", cgroups)
    return match.group(1) if match else ""


def socket_owners(inodes: set[str], proc: str = "/proc", seconds: float = OWNERS_SECONDS) -> dict[str, dict]:
    """The process behind each socket, an unknown one where none has it open (the kernel's own).

    The walk over all processes ends when all sockets are found, or when its time is up: then those that were not found are left out.
    """
    owners: dict[str, dict] = {}
    end = time.monotonic() + seconds
    for pid in sorted(filter(str.isdigit, os.listdir(proc)), key=int):
        if len(owners) == len(inodes) or time.monotonic() > end:
            return owners
        directory = f"{proc}/{pid}/fd"
        try:
            descriptors = os.listdir(directory)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{directory}/{descriptor}")
            except OSError:
                continue
            inode = target[8:-1] if target.startswith("socket:[") else ""
            if inode in inodes and inode not in owners:
                owners[inode] = {
                    "process": read_text(f"{proc}/{pid}/comm").strip(),
                    "pid": int(pid),
                    "unit": unit_of(read_text(f"{proc}/{pid}/cgroup")),
                }
    return {inode: owners.get(inode, {"process": "", "pid": 0, "unit": ""}) for inode in inodes}


def listeners(tables: list[str]) -> list[dict]:
    """The listening TCP sockets, each with the process that owns it. Whose could not be told in time is left out: it may be of ours."""
    sockets = sorted(
        {entry for table in tables for entry in listening_sockets(table)},
        key=lambda entry: (entry[1], entry[0], entry[2]),
    )
    owners = socket_owners({inode for address, port, inode in sockets})
    return [
        dict({"address": address, "port": port}, **owners[inode]) for address, port, inode in sockets if inode in owners
    ]


def packages() -> dict[str, str]:
    """Versions of the installed packages."""
    if shutil.which("dpkg-query", path=PATH):
        text = output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", seconds=PACKAGES_SECONDS)
    elif shutil.which("rpm", path=PATH):
        text = output("rpm", "-qa", "--qf", "installed %{NAME} %{VERSION}-%{RELEASE}\n", seconds=PACKAGES_SECONDS)
    else:
        return {}
    return {
        fields[1]: fields[2]
        for fields in map(str.split, text.splitlines())
        if len(fields) == 3 and fields[0] == "installed"
    }


def parse_units(text: str) -> dict[str, dict]:
    """`systemctl show` of several units: blocks of KEY=VALUE, one empty line between."""
    units = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            units[values["Id"]] = {"state": values.get("ActiveState", ""), "file": values.get("FragmentPath", "")}
    return units


def units(names: list[str]) -> dict[str, dict]:
    full = [name if "." in name else f"{name}.service" for name in names]
    found = parse_units(output("systemctl", "show", "--property=Id,ActiveState,FragmentPath", *full)) if full else {}
    return {name: found.get(unit, {"state": "", "file": ""}) for name, unit in zip(names, full)}


def selinux_mode() -> str:
    value = read_text("/sys/fs/selinux/enforce").strip()
    return {"1": "enforcing", "0": "permissive"}.get(value, "disabled")


def certificate(path: str) -> dict:
    """Whether a certificate is there and when it ends. A file that holds its key too is fine: the first certificate is read."""
    if not path or not os.path.isfile(path):
        return {"path": path, "present": False, "not_after": 0, "expired": False, "pem": ""}
    try:
        import ssl  # only here: its import costs more than the rest of this module

        ends = ssl.cert_time_to_seconds(ssl._ssl._test_decode_cert(path)["notAfter"])  # type: ignore[attr-defined]
        pem = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", read_text(path), re.DOTALL)[0]
    except Exception:  # whatever a damaged file raises, the answer is the same: no usable certificate
        return {"path": path, "present": True, "not_after": 0, "expired": True, "pem": ""}
    return {"path": path, "present": True, "not_after": int(ends), "expired": ends < time.time(), "pem": pem}


def fingerprints(pem: str) -> list[str]:
    """SHA-256 (in hex) of each certificate in a text of PEM blocks; what is no certificate is left out."""
    found = []
    for body in re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL):
        try:
            found.append(hashlib.sha256(base64.b64decode(body, validate=False)).hexdigest())
        except binascii.Error:
            continue
    return found


def authorities(paths: tuple[str, ...] = AUTHORITIES) -> dict[str, list[str]]:
    """The fingerprints of the authorities in each file that is there."""
    return {path: found for path in paths if (found := fingerprints(read_text(path)))}


def etcd_started_with(data_dir: str, paths: tuple[str, ...] = ETCD_OPTIONS) -> dict[str, str]:
    """The options that a member with data read at its first start, and never again; empty without data."""
    if not os.path.isdir(os.path.join(data_dir, "member")):
        return {}
    option = re.compile(r"^ *(?:--)?(initial-cluster|initial-cluster-state)(?:=|: *)(\S+)(?: \\)?$", re.MULTILINE)
    found = (dict(option.findall(read_text(path))) for path in paths)
    return next((options for options in found if options), {})


def etcd_learner(data_dir: str, url: str = ETCD_METRICS) -> bool:
    """Whether the member of this host runs and has no vote yet, by its own metrics (go.etcd.io/etcd/server/v3, etcdserver/metrics.go)."""
    if not os.path.isdir(os.path.join(data_dir, "member")):
        return False
    try:
        answer = http.fetch(url, timeout=2, most=16 * MIB)
    except (OSError, ValueError, HTTPException):
        return False
    return re.search(r"^etcd_server_is_learner 1$", answer.body, re.MULTILINE) is not None


def components() -> dict:
    """What the components of this host own and run from; an error where that cannot be read."""
    try:
        return snapshot.observe()
    except (ComponentError, OSError) as error:
        return {"error": str(error)}


def installed(bin_dir: str, names: tuple[str, ...] = VERSIONED) -> dict[str, str]:
    """The versions that the links in *bin_dir* lead to (DIRECTORY/NAME/VERSION/FILE), or a static pod names: those that run, or will."""
    image = re.search(r"^ *image: *\S+:v(\S+)$", read_text(f"{STATIC_PODS}/kube-apiserver.yaml"), re.MULTILINE)
    found = {"kube-apiserver": image.group(1)} if image else {}
    for name in names:
        try:
            found[name] = os.path.basename(os.path.dirname(os.readlink(os.path.join(bin_dir, name))))
        except OSError:
            continue
    return found


def static_pods(directory: str = STATIC_PODS) -> list[str]:
    """Names of the manifests from which kubelet runs static pods."""
    try:
        return sorted(name[: -len(".yaml")] for name in os.listdir(directory) if name.endswith(".yaml"))
    except OSError:
        return []


def network(
    records: str = RECORDS,
    configurations: str = CNI_CONFIGURATIONS,
    unit: str = FLANNELD_UNIT,
    calico: str = CALICO_NETWORK,
) -> dict[str, str]:
    """How this host's pods are connected to those of others: `cni`, and `datastore` and `method` where they are known; empty where nothing is there yet.

    Our own networks are known by the record of their component. A host that joined a cluster, and has the configuration of another
    network, is `foreign`, with the `plugin` that it names.
    """
    if os.path.isfile(f"{records}/calico.json"):
        return {"cni": "calico", **dict(re.findall(r"^(method|datastore): *(\S+)$", read_text(calico), re.MULTILINE))}
    if os.path.isfile(f"{records}/flanneld.json"):
        text = read_text(unit)
        datastore = "etcd" if "--etcd-prefix" in text else "kubernetes" if "--kube-subnet-mgr" in text else ""
        return {"cni": "flannel", **({"datastore": datastore} if datastore else {})}
    if os.path.isfile(f"{records}/pod-routes.json"):
        return {"cni": "bridge"}
    plugins = network_plugins(configurations) if os.path.isfile(f"{records}/kubelet.json") else []
    return {"cni": "foreign", "plugin": plugins[0]} if plugins else {}


def network_plugins(directory: str) -> list[str]:
    """The plugins of networks between nodes that the CNI configurations of a directory name, in the order in which a runtime looks at them."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith((".conf", ".conflist")))
    except OSError:
        return []
    types = [kind for name in names for kind in re.findall(r'"type": *"([^"]+)"', read_text(f"{directory}/{name}"))]
    return [kind for kind in types if kind in NETWORK_PLUGINS]


def kernel_feature(name: str, release: str) -> str:
    """`present`, `loadable` (a module of this kernel) or `missing`."""
    if name == "overlay":
        present = re.search(r"\boverlay$", read_text("/proc/filesystems"), re.MULTILINE) is not None
    elif name == "br_netfilter":
        present = os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables")
    else:
        present = os.path.isdir(f"/sys/module/{name}")
    if present:
        return "present"
    directory = f"/lib/modules/{release}"
    known = read_text(f"{directory}/modules.dep") + read_text(f"{directory}/modules.builtin")
    return "loadable" if re.search(rf"/{name}\.ko", known) else "missing"


def free_inotify_instances(wanted: int = INOTIFY_PROBE) -> int:
    """How many inotify instances root can still open, counted up to `wanted`: they are opened and closed again.

    Counting the open ones in /proc would miss those of other containers, which share the limit of the user.
    """
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        opened: list[int] = []
        while len(opened) < wanted:
            descriptor = library.inotify_init1(os.O_CLOEXEC)
            if descriptor < 0:
                break
            opened.append(descriptor)
    except (ImportError, OSError, AttributeError):
        return wanted
    for descriptor in opened:
        os.close(descriptor)
    return len(opened)


def read(arguments: dict) -> dict:
    """The facts of this machine, as the module host_facts documents them; *arguments* are its options, those that are not DEFAULTS."""
    arguments = {**DEFAULTS, **arguments}
    release = platform.release()
    held = addresses(output("ip", "-j", "addr"))
    return {
        "time": time.time(),
        "root": os.geteuid() == 0,
        "python": platform.python_version(),
        "distribution": distribution(read_text("/etc/os-release") or read_text("/usr/lib/os-release")),
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "kernel": release,
        "systemd": os.path.isdir("/run/systemd/system"),
        "hostname": socket.gethostname(),
        "machine_id": read_text("/etc/machine-id").strip(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": memory_mib(read_text("/proc/meminfo")),
        "swap": swap_devices(read_text("/proc/swaps")),
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "selinux": selinux_mode(),
        "addresses": held,
        "interface_of": {entry["address"]: entry["interface"] for entry in held},
        "default_interface": default_interface(read_text("/proc/net/route"), read_text("/proc/net/ipv6_route")),
        "filesystems": {path: filesystem(path) for path in ["/", *arguments["paths"]]},
        "listeners": listeners([read_text("/proc/net/tcp"), read_text("/proc/net/tcp6")]),
        "units": units(arguments["units"]),
        "packages": packages(),
        "commands": {name: shutil.which(name, path=PATH) or "" for name in arguments["commands"]},
        "features": {name: kernel_feature(name, release) for name in arguments["features"]},
        "inotify_free": free_inotify_instances(),
        "etcd_member": os.path.isdir(os.path.join(arguments["etcd_data_dir"], "member")),
        "installed": installed(arguments["bin_dir"]),
        "static_pods": static_pods(),
        "authorities": authorities(),
        "network": network(),
        "etcd_started_with": etcd_started_with(arguments["etcd_data_dir"]),
        "etcd_learner": etcd_learner(arguments["etcd_data_dir"]),
        "components": components(),
        "kubelet_certificate": certificate(arguments["kubelet_certificate"]),
    }
