# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster without machines: each host is a fake interpreter on this one, and its API a server that writes down what is applied."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import threading
import typing as t
from urllib.parse import urlsplit

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action.ansible_command import COLLECTION

INTERPRETER = pathlib.Path(__file__).with_name("interpreter.py")

ADDRESSES = {
    "etcd1": "192.0.2.11", "etcd2": "192.0.2.12", "lb1": "192.0.2.21", "lb2": "192.0.2.22",
    "master1": "192.0.2.31", "master2": "192.0.2.32", "node1": "192.0.2.41", "node2": "192.0.2.42",
}  # fmt: skip
GROUPS = {
    "etcd": ["etcd1", "etcd2"],
    "lb": ["lb1", "lb2"],
    "kube_master": ["master1", "master2"],
    "kube_node": ["node1", "node2"],
}
#: By apiVersion, kinds with their plural, and whether they have a namespace.
KINDS = {
    "v1": {
        "ConfigMap": ("configmaps", True), "Secret": ("secrets", True), "Service": ("services", True),
        "ServiceAccount": ("serviceaccounts", True), "Namespace": ("namespaces", False), "Node": ("nodes", False),
        "Pod": ("pods", True),
    },
    "apps/v1": {"Deployment": ("deployments", True), "DaemonSet": ("daemonsets", True)},
    "rbac.authorization.k8s.io/v1": {
        "ClusterRole": ("clusterroles", False), "ClusterRoleBinding": ("clusterrolebindings", False),
        "Role": ("roles", True), "RoleBinding": ("rolebindings", True),
    },
    "policy/v1": {"PodDisruptionBudget": ("poddisruptionbudgets", True)},
    "apiregistration.k8s.io/v1": {"APIService": ("apiservices", False)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True)},
}  # fmt: skip
#: What is another one in each run: the parts of a bootstrap token, and when it ends.
BOOTSTRAP = re.compile(r'(bootstrap-token-|"expiration": "|"token-id": "|"token-secret": ")[A-Za-z0-9+/=]+')
TOKEN = re.compile(r"\b[a-z0-9]{6}[.][a-z0-9]{16}\b")


def facts(host: str, runs: bool = False) -> dict[str, t.Any]:
    """Of a machine on which nothing is installed yet, or of one on which etcd and the load balancer run."""
    units = {"etcd": "etcd", "keepalived": "lb", "kube-apiserver": "kube_master", "kubelet": "kube_node"}
    address = ADDRESSES[host]
    return {
        "time": 1764331200.25, "root": True, "python": "3.11.2",
        "distribution": {"id": "debian", "like": [], "version": "12", "codename": "bookworm", "name": "Debian 12"},
        "architecture": "amd64", "kernel": "6.1.0-18-amd64", "systemd": True, "hostname": host,
        "machine_id": hashlib.md5(host.encode(), usedforsecurity=False).hexdigest(), "cpus": 8, "memory_mib": 2**16,
        "swap": [], "cgroup": 2, "selinux": "disabled",
        "addresses": [{"address": address, "prefix": 24, "interface": "eth0", "scope": "global"}],
        "interface_of": {address: "eth0"}, "default_interface": "eth0",
        "filesystems": {
            path: {"free_mib": 2**20, "size_mib": 2**21, "read_only": False, "device": 1}
            for path in ("/var/lib/etcd", "/opt", "/var/log", "/var/lib/containerd", "/var/lib/kubelet")
        },
        "listeners": [],
        "units": {
            unit: {"state": "active" if runs and host in GROUPS[group] else "inactive", "file": "/x"}
            for unit, group in units.items()
        },
        "packages": {}, "features": {"overlay": "present", "br_netfilter": "present"},
        "commands": {name: f"/usr/sbin/{name}" for name in ("ip", "mount", "umount", "modprobe")},
        "inotify_free": 512, "etcd_member": runs and host in GROUPS["etcd"], "installed": {}, "static_pods": [], "authorities": {}, "network": {},
        "etcd_started_with": {}, "etcd_learner": False, "components": {
            "records": {}, "entries": {}, "units": {}, "installed": {}, "users": [], "images": {}, "trouble": {},
        },
        "kubelet_certificate": {"path": "", "present": False, "not_after": 0, "expired": False, "pem": ""},
    }  # fmt: skip


#: What honest modules answer, by host and by name; a module that is not here answers that nothing changed.
def book(runs: bool = False) -> dict[str, dict[str, t.Any]]:
    member = {
        "id": "8e9e05c52164694d", "started": True, "learner": False, "healthy": True,
        "problem": "", "latency_ms": 1.4, "alarms": [], "errors": [], "version": "3.6.16", "revision": 7, "raft_term": 4,
        "raft_index": 9, "raft_applied_index": 9, "db_size": 100, "db_size_in_use": 90, "fragmentation": 2,
        "quota": 8589934592, "quota_used": 1,
    }  # fmt: skip
    etcd = {
        "changed": False, "cluster_id": "cdf818194e3a8c32", "healthy": True, "problems": [], "leader": "etcd1",
        "revision": 7, "voters": 2, "quorum": 2, "has_quorum": True, "fault_tolerance": 0,
        "defragmentation_order": ["etcd2", "etcd1"],
        "members": [
            {
                **member, "name": name, "leader": name == "etcd1", "peer_urls": [f"https://{ADDRESSES[name]}:2380"],
                "client_urls": [f"https://{ADDRESSES[name]}:2379"],
            }
            for name in GROUPS["etcd"]
        ],
    }  # fmt: skip
    found = {"certificates": [], "processes": [], "problems": []}
    snapshot = {
        "changed": True, "path": "/x", "endpoint": "https://127.0.0.1:2379", "size": 9, "sha256": "a" * 64,
        "hash": "fe01cf57", "revision": 7, "total_keys": 3, "raft_term": 4, "raft_index": 9, "version": "3.6.0",
    }  # fmt: skip
    members = ",".join(f"{name}=https://{ADDRESSES[name]}:2380" for name in GROUPS["etcd"])
    status = {"changed": False, "found": found, "load": [0.1, 0.1, 0.1], "programs": [], "etcd": {}, "backends": {}}
    made = {"changed": True, "changes": ["made"], "plan": [], "restart": None, "deferred": False}
    return {
        **{
            host: {
                "host_facts": {"changed": False, "facts": facts(host, runs)},
                "status_host": {**status, "facts": {**facts(host, runs), "reachable": True, "readable": True, "error": ""}},
            }
            for host in ADDRESSES
        },
        "*": {
            "component_apply": made,
            "command": {"changed": True, "rc": 0, "stdout": "root", "stderr": "", "cmd": [], "start": "", "end": ""},
            "etcd_info": etcd,
            "etcd_keys_info": {"changed": False, "revision": 7, "keys": ["/registry/pods/x"], "written": []},
            "etcd_member": {
                "changed": True, "steps": [], "member": {}, "members": GROUPS["etcd"], "leader": "etcd2",
                "initial_cluster": members, "initial_cluster_state": "existing",
            },
            "etcd_snapshot": snapshot,
            "stat": {"changed": False, "stat": {"exists": False}},
            "setup": {"changed": False, "ansible_facts": {"ansible_pkg_mgr": "apt"}},
            "uri": {"changed": False, "status": 200},
            "reset": {"changed": True, "removed": ["/etc/kubernetes"], "kept": [], "leftovers": []},
            "certificate_info": {"changed": False, "found": found},
        },
    }  # fmt: skip


class Api:
    """Says yes to everything, and writes down what changes."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self._stored: dict[str, t.Any] = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._requests())
        self.server.daemon_threads = True
        self.server.handle_error = lambda *unused: None  # type: ignore[method-assign]
        self.port = self.server.server_address[1]

    def serve(self, certificate: pathlib.Path, key: pathlib.Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self) -> None:
        self.changes, self._stored = [], {}

    def answer(self, method: str, path: str, body: t.Any) -> tuple[int, t.Any]:
        if method != "GET":
            self.changes.append(
                TOKEN.sub("TOKEN", BOOTSTRAP.sub(r"\1", json.dumps([method, path, body], sort_keys=True)))
            )
            if body:
                self._stored[path] = body
            return (201 if method == "POST" else 200), body or {}
        if re.fullmatch(r"/api/v1/nodes/[^/]+/proxy/healthz", path):
            return 200, "ok"
        if path == "/version":
            return 200, {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version in KINDS:
            kinds = KINDS[version].items()
            return 200, {
                "resources": [{"kind": kind, "name": name, "namespaced": inner} for kind, (name, inner) in kinds]
            }
        if re.fullmatch(r"/api/v1/nodes", path):
            return 200, {"items": [self._node(name) for name in GROUPS["kube_node"]], "metadata": {}}
        if match := re.fullmatch(r"/api/v1/nodes/([^/]+)", path):
            return 200, self._stored.get(path) or self._node(match[1])
        if path.endswith(("/pods", "/certificatesigningrequests", "/secrets", "/deployments", "/events")):
            return 200, {"items": [], "metadata": {}}
        return (
            (200, self._stored[path])
            if path in self._stored
            else (404, {"kind": "Status", "code": 404, "message": "no"})
        )

    @staticmethod
    def _node(name: str) -> dict[str, t.Any]:
        status = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.3"}}
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {}},
            "spec": {},
            "status": status,
        }

    def _requests(self) -> type:
        api = self

        class Requests(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: t.Any) -> None:
                pass

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = api.answer(self.command, urlsplit(self.path).path, body)
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        return Requests


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run left behind: the controller's files, what each host was sent, what was applied, and what was said."""

    status: int
    text: str
    files: dict[str, str]
    sent: dict[str, list[str]]
    applied: list[str]


class Cluster:
    """The inventory and the directory of a cluster, made once by an honest run; each further run begins with a copy of them."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.inventory = directory / "inventory"
        self.api = Api()
        for path in (self.state, self.inventory / "group_vars"):
            path.mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text(json.dumps(self._hosts()))
        (self.inventory / "group_vars" / "all.yml").write_text(json.dumps(self._settings()))
        for host in ADDRESSES:
            program = directory / f"python-{host}"
            # Its own options keep the site's packages out, which costs a fifth of the time.
            program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {INTERPRETER} {self.state} {host} "$@"\n')
            program.chmod(0o755)
        self.book, self.running = book(), book(runs=True)
        self._lock()
        first = self.run("phases/certificates.yml")
        assert first.status == 0, first.text
        shutil.copytree(directory / "cluster", directory / "honest")
        pki = directory / "honest" / "pki"
        self.api.serve(pki / "kube-apiserver-master1.pem", pki / "kube-apiserver-master1-key.pem")

    def _hosts(self) -> dict[str, t.Any]:
        hosts = {
            name: {"ansible_host": address, "ansible_python_interpreter": str(self.directory / f"python-{name}")}
            for name, address in ADDRESSES.items()
        }
        children = {group: {"hosts": dict.fromkeys(names)} for group, names in GROUPS.items()}
        return {"all": {"hosts": hosts, "children": children}}

    def _settings(self) -> dict[str, t.Any]:
        return {
            "ansible_connection": "local",
            "ansible_become": False,
            "cluster_name": "hostile",
            "cluster_dir": str(self.directory / "cluster"),
            "cluster_endpoint_name": "localhost",
            "cluster_endpoint_address": "192.0.2.100",
            "cluster_endpoint_port": self.api.port,
            "preflight_probe_endpoint": False,
            "preflight_accept": ["even-etcd-members"],
            "preflight_clock_difference": 10**10,
            "cluster_etcd_queried_from": "etcd1",
            # A script that would run on this machine indeed.
            "host_swap_off": False,
            "kube_node_join_timeout": 5,
        }

    def _lock(self) -> None:
        """Sums of everything that the catalogue has, in their place nobody asks for."""
        (self.directory / "cluster").mkdir(mode=0o700)
        role = COLLECTION / "roles" / "cluster"
        settings = [str(role / "defaults" / "main.yml"), *map(str, (role / "vars" / "main").glob("*.yml"))]
        self.play("lock.yml", text=LOCK.replace("SETTINGS", json.dumps(settings)))
        entries = [
            {"name": name, "version": version, "url": url, "sha256": hashlib.sha256(name.encode()).hexdigest()}
            for name, version, url in json.loads((self.directory / "wanted.json").read_text())
        ]
        (self.directory / "cluster" / "artifacts.lock").write_text(json.dumps({"artifacts": entries}))

    def play(self, playbook: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        path = COLLECTION / "playbooks" / playbook
        if text:
            path = self.directory / playbook
            path.write_text(text)
        environment = ansible_command.environment(
            self.directory,
            ANSIBLE_ROLES_PATH=str(COLLECTION / "roles"),
            ANSIBLE_INJECT_FACT_VARS="false",
            ANSIBLE_DEPRECATION_WARNINGS="true",
            ANSIBLE_PIPELINING="true",
            ANSIBLE_FORKS="8",
            ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
            NO_PROXY="*",
        )
        command = ansible_command.words("-i", self.inventory, path, *arguments)
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=170, check=False, stdin=subprocess.DEVNULL
        )

    def run(self, playbook: str, *arguments: str, lies: dict[str, t.Any] | None = None, book: t.Any = None) -> Outcome:
        if (self.directory / "honest").exists():
            shutil.rmtree(self.directory / "cluster")
            shutil.copytree(self.directory / "honest", self.directory / "cluster")
        for path in self.state.iterdir():
            path.unlink()
        self.api.reset()
        (self.state / "book.json").write_text(json.dumps(book or self.book))
        (self.state / "lies.json").write_text(json.dumps(lies or {}))
        done = self.play(playbook, *arguments)
        files = {
            str(path.relative_to(self.directory / "cluster")): path.read_text()
            for path in sorted((self.directory / "cluster").rglob("*"))
            if path.is_file() and path.parent.name != "locks"
        }
        sent = {host: self._sent(host) for host in ADDRESSES}
        return Outcome(done.returncode, done.stdout + done.stderr, files, sent, list(self.api.changes))

    def _sent(self, host: str) -> list[str]:
        path = self.state / f"{host}.calls"
        return TOKEN.sub("TOKEN", path.read_text()).splitlines() if path.exists() else []


#: Writes down what the catalogue has.
LOCK = """
- hosts: master1
  gather_facts: false
  vars_files: SETTINGS
  tasks:
    - ansible.builtin.copy:
        content: |
          [{% for name, item in cluster_artifacts.items() %}
          {{ [name, item.version, item.url] | to_json }}{{ '' if loop.last else ',' }}
          {% endfor %}]
        dest: "{{ inventory_dir }}/../wanted.json"
        mode: "0600"
      delegate_to: localhost
"""


@contextlib.contextmanager
def made(directory: pathlib.Path) -> t.Iterator[Cluster]:
    cluster = Cluster(directory)
    try:
        yield cluster
    finally:
        cluster.api.server.shutdown()
        cluster.api.server.server_close()
