# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What kubeadm has made of a host, what it would make of it, and the commands that lead from one to the other.

Nothing is remembered: what a host should have is what kubeadm itself renders from the configuration, in a dry run, and what it has is
read from its files, its process and its runtime. So a run that died in the middle is seen by what it left, and the same command goes on.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.health import probe
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Health

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KUBERNETES = "/etc/kubernetes"
PATCHES = f"{KUBERNETES}/patches"
STATIC_PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
#: As the subcommands of `kubeadm init phase control-plane` are called.
PHASES = {"kube-apiserver": "apiserver", "kube-controller-manager": "controller-manager", "kube-scheduler": "scheduler"}
HEALTH_PORTS = {"kube-controller-manager": 10257, "kube-scheduler": 10259}
#: On a static pod: the files that its process was started with. On the ConfigMap kubeadm-config, and on the pods of kube-proxy: the configuration
#: that they were made from.
INPUTS = "hardway/inputs"
PROXY = ("daemonset", "kube-proxy", "--namespace=kube-system")
BOOTSTRAP = f"{KUBERNETES}/bootstrap-kubelet.conf"
CLIENT_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
POLL = 0.5

# The first master gets what needs no API server. The rest is for `settle`, when kubeadm has rights there. kube-proxy comes after the nodes,
# so that no node replaces it while it is itself emptied, or before it has the image: kube-proxy may be older than the API servers.
INIT_LATER = (
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon",
    "show-join-command",
)
INIT_FIRST = (
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-certs",
    "mark-control-plane",
    "addon",
    "show-join-command",
)
# A joining kubelet's requests are approved from the controller, for which kubeadm must not wait here.
JOIN_LATER = ("kubelet-wait-bootstrap", "control-plane-join", "wait-control-plane")
# What a run that died has left is no reason to stop.
LEFT_BY_A_DEAD_RUN = (
    "DirAvailable--etc-kubernetes-manifests",
    "FileAvailable--etc-kubernetes-kubelet.conf",
    "FileAvailable--etc-kubernetes-bootstrap-kubelet.conf",
    "FileAvailable--etc-kubernetes-pki-ca.crt",
    "Port-10250",
    "Port-10257",
    "Port-10259",
)
# An upgrade looks at CoreDNS, which is not kubeadm's here, as if it had to migrate its configuration.
NOT_KUBEADMS = ("CoreDNSUnsupportedPlugins", "CoreDNSMigration")


class KubeadmError(Exception):
    """What is wrong, where, and what to do; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a host is to be, and how it is looked at."""

    version: str
    control_plane: bool = False
    config: str = f"{KUBERNETES}/kubeadm.yaml"
    #: a JoinConfiguration, with the token; empty where nobody joins in this run
    join: str = ""
    #: static pod -> files that its process reads at its start alone
    inputs: dict = dataclasses.field(default_factory=dict)
    #: digest of the configuration of the whole cluster, or of kube-proxy
    digest: str = ""
    api_port: int = 6443
    ignore: tuple = ()
    timeout: float = 240
    bin_dir: str = "/usr/local/bin"


@dataclasses.dataclass
class Action:
    """One step: what is told of it, and what it runs."""

    what: str
    why: str
    argv: tuple = ()
    #: static pods that start anew by it, and so have to be waited for
    restarts: tuple = ()
    before: str = ""
    after: str = ""
    standard_input: str = ""

    def __str__(self):
        return f"{self.what}: {self.why}"


class System:
    """The host, as far as it is asked and told; a test has another."""

    def __init__(self, bin_dir="/usr/local/bin"):
        self.bin_dir = bin_dir

    def run(self, *argv, timeout=120, environment=None):
        """Exit status, standard output, standard error."""
        # kubectl has a cache, for which there is no place that a reset would know.
        found = {
            **os.environ,
            "LC_ALL": "C",
            "PATH": f"{self.bin_dir}:{PATH}",
            "KUBECACHEDIR": "/dev/null",
            **(environment or {}),
        }
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, errors="replace", timeout=timeout, env=found, check=False
            )
        except FileNotFoundError as error:
            return 127, "", str(error)
        except subprocess.TimeoutExpired:
            return 124, "", f"no end after {timeout:g} s"
        return done.returncode, done.stdout, done.stderr

    def read(self, path):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def exists(self, path):
        return os.path.exists(path)

    def write(self, path, text, mode=0o600):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write(path, text.encode(), mode, 0, 0)

    def remove(self, path):
        if os.path.lexists(path):
            os.unlink(path)

    def modified(self, path):
        try:
            return os.stat(path).st_mtime
        except OSError:
            return 0.0

    def probe(self, health):
        return probe(Host(), health)


class Kubeadm:
    """One host under kubeadm."""

    def __init__(self, wanted, system=None):
        self.wanted = wanted
        self.system = system or System(wanted.bin_dir)

    # what is there

    def manifest_path(self, name):
        return f"{KUBERNETES}/manifests/{name}.yaml"

    def has_control_plane(self):
        return all(self.system.exists(self.manifest_path(name)) for name in STATIC_PODS)

    def kubelet_is_configured(self):
        return self.system.exists("/var/lib/kubelet/config.yaml") and self.system.exists(
            "/var/lib/kubelet/kubeadm-flags.env"
        )

    def is_member(self):
        """Whether kubelet has an identity of its own, or (a master's first one) one that was given to it."""
        return (
            self.kubelet_is_configured()
            and self.system.exists(f"{KUBERNETES}/kubelet.conf")
            and (self.wanted.control_plane or self.system.exists(CLIENT_CERTIFICATE))
        )

    def inputs_of(self, name):
        """What the process of a static pod reads at its start, as one text that can be compared and told."""
        paths = self.wanted.inputs.get(name, [])
        return " ".join(
            f"{path}={hashlib.sha256(self.system.read(path).encode()).hexdigest()[:16]}" for path in sorted(paths)
        )

    def patches(self):
        return {
            f"{name}0+merge.yaml": json.dumps({"metadata": {"annotations": {INPUTS: self.inputs_of(name)}}})
            for name in STATIC_PODS
        }

    def rendered(self):
        """The manifests that kubeadm would write, by name; empty where there is no kubeadm or no configuration yet (check mode)."""
        if not self.system.exists(f"{self.wanted.bin_dir}/kubeadm") or not self.system.exists(self.wanted.config):
            return {}
        with tempfile.TemporaryDirectory(prefix="hardway-kubeadm-") as scratch:
            # With the patches as they would be: in check mode those on the host stay as they are.
            config = self.system.read(self.wanted.config).replace(
                f"directory: {PATCHES}", f"directory: {scratch}/patches"
            )
            self.system.write(f"{scratch}/kubeadm.yaml", config)
            for name, text in self.patches().items():
                self.system.write(f"{scratch}/patches/{name}", text)
            os.mkdir(f"{scratch}/rendered")
            self.kubeadm(
                "init",
                "phase",
                "control-plane",
                "all",
                "--dry-run",
                f"--config={scratch}/kubeadm.yaml",
                environment={"KUBEADM_INIT_DRYRUN_DIR": f"{scratch}/rendered"},
            )
            return {name: self.system.read(f"{scratch}/rendered/{name}.yaml") for name in STATIC_PODS}

    def rendered_kubelet_config(self):
        """What kubeadm would configure kubelet with, from the cluster's own ConfigMap; empty where the cluster cannot be asked."""
        scratch = tempfile.mkdtemp(prefix="hardway-kubeadm-")
        try:
            status = self.system.run(
                "kubeadm",
                "upgrade",
                "node",
                "phase",
                "kubelet-config",
                "--dry-run",
                self.as_itself(),
                environment={"KUBEADM_UPGRADE_DRYRUN_DIR": scratch},
            )[0]
            return "" if status else self.system.read(os.path.join(scratch, "config.yaml"))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def as_itself(self):
        return f"--kubeconfig={KUBERNETES}/{'admin' if self.wanted.control_plane else 'kubelet'}.conf"

    def told(self, *argv, environment=None, timeout=120):
        """What a command prints; with its last words where it fails."""
        status, output, errors = self.system.run(*argv, environment=environment, timeout=timeout)
        if status:
            last = [line for line in f"{output}\n{errors}".splitlines() if line.strip()][-25:]
            raise KubeadmError(f"{' '.join(argv[:5])} ended with {status}:\n" + "\n".join(last))
        return output

    def kubeadm(self, *arguments, environment=None, timeout=None):
        return self.told("kubeadm", *arguments, environment=environment, timeout=timeout or self.wanted.timeout)

    def kubectl(self, *arguments, timeout=120):
        return self.told(
            "kubectl", f"--kubeconfig={KUBERNETES}/admin.conf", "--namespace=kube-system", *arguments, timeout=timeout
        )

    def sandboxes(self):
        """By static pod what the runtime runs of it: the hash of the manifest that it was started from."""
        status, output, _errors = self.system.run(
            "crictl",
            "pods",
            "--namespace",
            "kube-system",
            "--label",
            "tier=control-plane",
            "--state",
            "ready",
            "--output",
            "json",
        )
        try:
            items = json.loads(output)["items"] if status == 0 else []
        except (ValueError, KeyError):
            items = []
        return {
            item["labels"].get("component", ""): item["annotations"].get("kubernetes.io/config.hash", "")
            for item in items
        }

    def containers(self, name):
        """IDs of the running containers of that name."""
        return self.system.run("crictl", "ps", "--quiet", "--name", f"^{name}$")[1].split()

    def running_version(self):
        """The version that kube-apiserver's manifest names; empty without one."""
        for line in self.system.read(self.manifest_path("kube-apiserver")).splitlines():
            if line.strip().startswith("image:"):
                return line.rsplit(":v", 1)[-1].strip()
        return ""

    def kubelet_started(self):
        """When kubelet's process started, in seconds since 1970; None where it does not run."""
        pid = self.system.run("systemctl", "show", "kubelet", "--property=MainPID", "--value")[1].strip()
        fields = self.system.read(f"/proc/{pid}/stat").rpartition(")")[2].split() if pid not in ("", "0") else []
        boot = next(
            (line.split()[1] for line in self.system.read("/proc/stat").splitlines() if line.startswith("btime ")), None
        )
        return int(boot) + int(fields[19]) / os.sysconf("SC_CLK_TCK") if fields and boot else None

    def query(self, *arguments):
        """What the API server answers to kubeadm's own identity, as kubectl prints it; None where it does not answer or has no such thing."""
        status, output, _errors = self.system.run(
            "kubectl",
            f"--kubeconfig={KUBERNETES}/admin.conf",
            "--request-timeout=10s",
            "get",
            *arguments,
            "--output=json",
        )
        try:
            return json.loads(output) if status == 0 else None
        except ValueError:
            return None

    # what is to be done

    def plan(self, state):
        return {
            "initialised": self.plan_initialised,
            "joined": self.plan_joined,
            "settled": self.plan_settled,
            "configured": self.plan_configured,
            "proxied": self.plan_proxied,
            "left": self.plan_left,
        }[state]()

    def plan_initialised(self):
        """A master's static pods, whether kubeadm made them by init or by join."""
        if not (self.has_control_plane() and self.kubelet_is_configured()):
            left = (
                "what a run that died has left is kept"
                if self.system.exists(f"{KUBERNETES}/manifests")
                else "there is none"
            )
            return [
                Action(
                    "control plane",
                    f"initialised, for {left}",
                    (
                        "init",
                        f"--config={self.wanted.config}",
                        self.ignoring(),
                        "--skip-phases=certs,kubeconfig,etcd," + ",".join(INIT_LATER),
                    ),
                    STATIC_PODS,
                )
            ]
        running = self.running_version()
        if running and running != self.wanted.version:
            return [self.upgrade(running)]
        return self.plan_manifests()

    def plan_manifests(self):
        actions = []
        for name, after in self.rendered().items():
            before = self.system.read(self.manifest_path(name))
            if before != after:
                why = difference(before, after)
                actions.append(
                    Action(
                        name,
                        f"restarted, because {why}",
                        ("init", "phase", "control-plane", PHASES[name], f"--config={self.wanted.config}"),
                        (name,),
                        before,
                        after,
                    )
                )
        return actions

    def upgrade(self, running):
        """One of the masters tells the cluster, the others follow it."""
        told = self.query("configmap", "kubeadm-config", "--namespace=kube-system")
        first = f"kubernetesVersion: v{self.wanted.version}" not in ((told or {}).get("data") or {}).get(
            "ClusterConfiguration", ""
        )
        # kubelets ask at the cluster's endpoint, which the phase `kubeconfig` would change; certificates are the controller's, CoreDNS the addons',
        # and kube-proxy's turn is later.
        common = (
            "--certificate-renewal=false",
            "--etcd-upgrade=false",
            f"--patches={PATCHES}",
            "--skip-phases=kubeconfig,addon",
        )
        argv = (
            ("upgrade", "apply", f"v{self.wanted.version}", "--yes", self.ignoring(), *common)
            if first
            else ("upgrade", "node", self.ignoring(), *common)
        )
        return Action(
            "control plane", f"{running} -> {self.wanted.version} by kubeadm {argv[0]} {argv[1]}", argv, STATIC_PODS
        )

    def plan_joined(self):
        if not self.is_member() or (self.wanted.control_plane and not self.has_control_plane()):
            if self.wanted.control_plane:
                return [Action("control plane", "joined", ("join",), STATIC_PODS, standard_input=self.wanted.join)]
            return [Action("node", "joined", ("join",), standard_input=self.wanted.join)]
        return []

    def plan_configured(self):
        """kubelet as the cluster has it, and nothing left of what it joined with."""
        if not self.kubelet_is_configured():
            return []  # check mode, before the host has joined
        actions = []
        if self.system.exists(BOOTSTRAP):
            actions.append(Action(BOOTSTRAP, "removed", ("remove",)))
        if "client-certificate-data" in self.system.read(f"{KUBERNETES}/kubelet.conf"):
            actions.append(
                Action(
                    f"{KUBERNETES}/kubelet.conf",
                    "names the certificate that kubelet renews itself",
                    ("init", "phase", "kubelet-finalize", "all", f"--config={self.wanted.config}"),
                )
            )
        return actions + self.plan_kubelet()

    def plan_kubelet(self):
        path = "/var/lib/kubelet/config.yaml"
        before, after = self.system.read(path), self.rendered_kubelet_config()
        if after and before != after:
            return [
                Action(
                    path,
                    "changed, because the cluster's configuration of kubelets did",
                    ("upgrade", "node", "phase", "kubelet-config", self.as_itself()),
                    before=before,
                    after=after,
                ),
                Action("kubelet.service", f"restarted, because {path} changed"),
            ]
        started = self.kubelet_started()
        if started and self.system.modified(path) > started + 1:
            return [Action("kubelet.service", f"restarted, because {path} changed")]
        return []

    def plan_settled(self):
        """What the cluster itself keeps of its configuration: written by the first master of a run, for all."""
        missing = [what for what, found in self.settled().items() if not found]
        if not missing:
            return []
        argv = ("init", f"--config={self.wanted.config}", "--skip-token-print", "--skip-phases=" + ",".join(INIT_FIRST))
        return [Action("cluster", f"settled, for {', '.join(missing)}", argv)]

    def plan_proxied(self):
        """kube-proxy, on all nodes."""
        found = self.query(*PROXY)
        template = (((found or {}).get("spec") or {}).get("template") or {}).get("metadata") or {}
        if (template.get("annotations") or {}).get(INPUTS) == self.wanted.digest:
            return []
        why = "its version or configuration changed" if found else "it was not there"
        return [
            Action(
                "kube-proxy",
                f"rolled out, because {why}",
                ("init", "phase", "addon", "kube-proxy", f"--config={self.wanted.config}"),
            )
        ]

    def plan_left(self):
        """A kubelet of another version takes static pods for others (their UID is a digest of the whole object, with the fields that it knows), and
        gives those that it finds 2 seconds to end. An API server needs more, for whom it serves.
        """
        if not self.containers("kube-apiserver"):
            return []
        return [Action("kube-apiserver", "left gently, for another kubelet makes its pod anew", ("leave",))]

    def settled(self):
        """What has to be there -> whether it is."""
        configuration = self.query("configmap", "kubeadm-config", "--namespace=kube-system")
        annotations = ((configuration or {}).get("metadata") or {}).get("annotations") or {}
        found = {
            "ConfigMap kubeadm-config is missing": configuration,
            "ConfigMap kubelet-config is missing": self.query("configmap", "kubelet-config", "--namespace=kube-system"),
            "ConfigMap cluster-info is missing": self.query("configmap", "cluster-info", "--namespace=kube-public"),
        }
        return {
            **found,
            "its configuration changed": not configuration or annotations.get(INPUTS) == self.wanted.digest,
        }

    def ignoring(self):
        manifests = [f"FileAvailable--etc-kubernetes-manifests-{name}.yaml" for name in STATIC_PODS]
        return "--ignore-preflight-errors=" + ",".join(
            [*LEFT_BY_A_DEAD_RUN, *NOT_KUBEADMS, *manifests, f"Port-{self.wanted.api_port}", *self.wanted.ignore]
        )

    # doing it

    def do(self, action):
        before = self.sandboxes() if action.restarts else {}
        if action.restarts:
            for name, text in self.patches().items():
                self.system.write(f"{PATCHES}/{name}", text)
        if action.argv == ("join",):
            self.join(action)
        elif action.argv == ("leave",):
            self.leave()
        elif action.argv == ("remove",):
            self.system.remove(action.what)
        elif action.argv[:3] == ("init", "phase", "kubelet-finalize"):
            self.until(
                lambda: self.system.exists(CLIENT_CERTIFICATE),
                f"kubelet has not got a certificate of its own ({CLIENT_CERTIFICATE})",
            )
            self.kubeadm(*action.argv)
        elif action.argv:
            self.kubeadm(*action.argv)
        else:
            self.restart_kubelet()
        if action.what == "cluster":
            self.mark_settled()
        if action.what == "kube-proxy":
            self.roll_proxy()
        if action.restarts:
            self.wait(action.restarts, before)

    def join(self, action):
        if not action.standard_input:
            raise KubeadmError("there is no token to join with: run the whole playbook, which makes one")
        path = f"{KUBERNETES}/kubeadm-join.yaml"
        self.system.write(path, action.standard_input)
        try:
            self.kubeadm("join", f"--config={path}", self.ignoring(), "--skip-phases=" + ",".join(JOIN_LATER))
        finally:
            # It has the token.
            self.system.remove(path)

    def leave(self):
        # It would start it again.
        self.told("systemctl", "stop", "kubelet")
        for container in self.containers("kube-apiserver"):
            self.told("crictl", "--timeout=90s", "stop", "--timeout=60", container)

    def restart_kubelet(self):
        self.told("systemctl", "restart", "kubelet")
        self.until(
            lambda: not self.system.probe(Health(url="http://127.0.0.1:10248/healthz")),
            "kubelet is not healthy",
        )

    def until(self, holds, trouble):
        end = time.monotonic() + self.wanted.timeout
        while not holds():
            if time.monotonic() > end:
                raise KubeadmError(
                    f"{trouble} after {self.wanted.timeout:g} s. Look at it with: journalctl --unit kubelet"
                )
            time.sleep(POLL)

    def mark_settled(self):
        self.kubectl("annotate", "--overwrite", "configmap", "kubeadm-config", f"{INPUTS}={self.wanted.digest}")

    def roll_proxy(self):
        """Its pods read their configuration at their start: the mark makes other pods of them."""
        template = {"metadata": {"annotations": {INPUTS: self.wanted.digest}}}
        self.kubectl("patch", *PROXY[:2], "--patch", json.dumps({"spec": {"template": template}}))
        self.kubectl(
            "rollout", "status", *PROXY[:2], f"--timeout={self.wanted.timeout:g}s", timeout=self.wanted.timeout + 10
        )

    def wait(self, restarted=(), before=None):
        """Until every static pod serves; one that was to restart counts from the moment at which it is another one."""
        names = STATIC_PODS if self.wanted.control_plane else ()
        end = time.monotonic() + self.wanted.timeout
        trouble = {}
        while True:
            running = self.sandboxes() if restarted else {}
            waiting = [name for name in restarted if name not in running or running[name] == (before or {}).get(name)]
            trouble = {name: "its pod has not started anew" for name in waiting}
            for name in names:
                wrong = None if name in trouble else self.system.probe(self.health(name))
                if wrong:
                    trouble[name] = wrong
            if not trouble:
                return
            if time.monotonic() > end:
                raise KubeadmError(
                    "; ".join(
                        f"{name} is not healthy after {self.wanted.timeout:g} s: {wrong}"
                        for name, wrong in trouble.items()
                    )
                    + ". Look at it with: crictl ps --all; crictl logs ID; journalctl --unit kubelet"
                )
            time.sleep(POLL)

    def health(self, name):
        if name == "kube-apiserver":
            return Health(url=f"https://127.0.0.1:{self.wanted.api_port}/readyz", ca=f"{KUBERNETES}/pki/ca.crt")
        return Health(url=f"https://127.0.0.1:{HEALTH_PORTS[name]}/healthz", verify=False)


def difference(before, after):
    """Why a static pod starts anew, in the words of its manifest."""
    if not before:
        return "it was not there"
    old, new = set(map(str.strip, before.splitlines())), set(map(str.strip, after.splitlines()))
    changed = [line for line in after.splitlines() if line.strip() in new - old]
    told = [words for line in changed for words in _told(line.strip(), old)]
    gone = sorted(line for line in old - new if line.startswith("- --"))
    return (
        ", ".join(dict.fromkeys([*told, *(f"{line[2:].split('=')[0]} changed" for line in gone)]))
        or "its manifest changed"
    )


def _told(line, old):
    if line.startswith(f"{INPUTS}:"):
        known = {word for text in old if text.startswith(f"{INPUTS}:") for word in text.split()}
        return [f"{word.split('=')[0]} changed" for word in line.split()[1:] if word not in known]
    if line.startswith("- --"):
        return [f"{line[2:].split('=')[0]} changed"]
    return [f"{line} is new"]


def reconcile(wanted, state, check_mode=False, defer_restart=False, system=None):
    """Make the host be what kubeadm makes of it.

    :arg state: ``initialised`` (a master's static pods are as configured), ``settled`` (the cluster keeps its configuration),
        ``proxied`` (every node runs kube-proxy as configured), ``left`` (kubelet and the API server are stopped, for another kubelet),
        ``joined`` (the host is a node), ``configured`` (its kubelet is as the cluster has it)
    :arg defer_restart: where a running control plane would have to restart, do nothing and say so (``deferred``)
    :raises KubeadmError: with what, where and what to do
    """
    host = Kubeadm(wanted, system)
    planned = host.plan(state)
    result = {
        "changed": bool(planned),
        "changes": [str(action) for action in planned],
        "deferred": False,
        "diff": [
            {
                "before_header": action.what,
                "after_header": action.what,
                "before": action.before,
                "after": action.after or f"{action.before}{action.why}\n",
            }
            for action in planned
        ],
    }
    if check_mode:
        return result
    interrupts = any(action.restarts for action in planned) and host.has_control_plane() and host.sandboxes()
    if defer_restart and interrupts:
        return {**result, "deferred": True}
    for action in planned:
        host.do(action)
    if state == "configured" or (state == "initialised" and not planned):
        host.wait()
    if planned and state == "initialised":
        # An upgrade starts from the cluster's configuration: what this host's own says besides comes after it.
        for action in host.plan_manifests():
            result["changes"].append(str(action))
            host.do(action)
    return result
