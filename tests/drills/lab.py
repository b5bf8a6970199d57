"""The sandbox as the drills see it: playbooks, machines, processes, power."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "clusters" / "sandbox"
KUBECONFIG = CLUSTER / "admin.kubeconfig"
SSH = [
    "ssh",
    "-i",
    "/var/lib/hardway-sandbox/ssh/id_ed25519",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "ConnectTimeout=5",
]
ADDRESSES = {
    "master1": "10.33.0.11",
    "master2": "10.33.0.12",
    "master3": "10.33.0.13",
    "lb1": "10.33.0.21",
    "lb2": "10.33.0.22",
    "node1": "10.33.0.31",
    "node2": "10.33.0.32",
}
MACHINES = list(ADDRESSES)
MASTERS = ["master1", "master2", "master3"]
BALANCERS = ["lb1", "lb2"]
VIRTUAL_ADDRESS = "10.33.0.100"
SPARE = "sandbox/spare.yml"
ADDRESSES |= {
    name: host["ansible_host"]
    for name, host in yaml.safe_load((ROOT / SPARE).read_text(encoding="utf-8"))["all"]["hosts"].items()
}
#: What playbooks print.
LOG = ROOT / "clusters" / "drills.log"
#: The cluster's, of which the drills' command line may name others.
INVENTORIES = ["inventory"]
#: Through what playbooks and kubectl are run.
THROUGH: list[str] = []
#: Processes of playbooks that were killed.
WORKERS: set[int] = set()

#: Processes whose start is compared: ours, and those of the pods.
WATCHED = "etcd|haproxy|nginx|keepalived|dockerd|containerd|containerd-shim|kube-apiserver|kube-controller|kube-scheduler|kubelet|kube-proxy|flanneld|coredns|pause"


class DrillFailed(Exception):
    """What was not as it must be."""


def require(condition: object, text: str) -> None:
    if not condition:
        raise DrillFailed(text)


@dataclasses.dataclass
class Run:
    """A finished run of a playbook."""

    code: int
    seconds: float
    output: str

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Host -> ok, changed, failed, ... of the recap."""
        found = {}
        for host, rest in re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE):
            found[host] = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", rest)}
        return found

    @property
    def changed(self) -> int:
        return sum(count["changed"] for count in self.counts.values())

    @property
    def tasks(self) -> dict[str, int]:
        """Host -> tasks, run and skipped."""
        return {host: count["ok"] + count["skipped"] + count["failed"] for host, count in self.counts.items()}

    @property
    def costliest(self) -> list[tuple[str, float]]:
        """The tasks that took longest, from the profile at the end."""
        return [
            (name.strip(), float(value))
            for name, value in re.findall(r"^(\S.*?) -+ ([\d.]+)s$", self.output, re.MULTILINE)
        ]

    def succeed(self) -> Run:
        require(self.code == 0, f"the playbook failed with {self.code}:\n{self.output[-4000:]}")
        return self


def command(*arguments: str, beside: tuple[str, ...] = ()) -> list[str]:
    sources = [word for inventory in (*INVENTORIES, *beside) for word in ("-i", inventory)]
    return [*THROUGH, str(pathlib.Path(sys.executable).parent / "ansible-playbook"), *sources, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}


def play(*arguments: str, beside: tuple[str, ...] = ()) -> Run:
    """Run a playbook as a user would, to its end; *beside* are inventories beside the cluster's.

    What all of them print is in LOG: a failed request is told with its moment, and that file tells what ran then.
    """
    began = time.monotonic()
    done = subprocess.run(
        command(*arguments, beside=beside),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(f"\n$ ansible-playbook {' '.join(arguments)}\n{done.stdout}")
    return Run(done.returncode, time.monotonic() - began, done.stdout)


def play_killed(after: float | t.Callable[[], t.Any], *arguments: str, beside: tuple[str, ...] = ()) -> bool:
    """Run a playbook and SIGKILL its process group after some seconds, or as soon as something holds; whether it was still running then.

    Its workers have sessions of their own: they end their tasks, and then stay, since nobody takes their results. They are killed by the next call.
    """
    while WORKERS:
        worker = pathlib.Path(f"/proc/{WORKERS.pop()}")
        with contextlib.suppress(OSError):
            if "ansible-playbook" in (worker / "cmdline").read_text():
                os.kill(int(worker.name), signal.SIGKILL)
    with open(LOG, "ab") as log:
        process = subprocess.Popen(
            command(*arguments, beside=beside),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        if callable(after):
            while process.poll() is None and not after():
                time.sleep(0.1)
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
        if process.poll() is not None:
            return False
        WORKERS.update(map(int, pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def sandbox(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "sandbox" / "machines.py"), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    require(done.returncode == 0, f"sandbox/machines.py {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def ssh(machine: str, script: str, check: bool = True) -> str:
    done = subprocess.run([*SSH, f"root@{ADDRESSES[machine]}", script], capture_output=True, text=True, check=False)
    if check:
        require(done.returncode == 0, f"{machine}: {script}: {done.stdout}{done.stderr}")
    return done.stdout


def processes(machines: list[str]) -> dict[str, dict[str, str]]:
    """Machine -> (name and id of each watched process -> when it started, in ticks since boot)."""
    script = (
        'for stat in /proc/[0-9]*/stat; do read -r line < "$stat" || continue; name=${line#*(}; name=${name%)*}; rest=${line##*) }; '
        'set -- $rest; echo "$name/${line%% *} ${20}"; done 2>/dev/null'
    )
    # Verify's own pods may still be ending; nobody restarted those.
    wait_for(
        lambda: not kubectl("get", "namespace", "hardway-verify", "--ignore-not-found"),
        90,
        "verify's namespace is gone",
    )
    found = {}
    for machine in machines:
        lines = (line.rsplit(" ", 1) for line in ssh(machine, script).splitlines())
        found[machine] = {name: start for name, start in lines if re.match(f"({WATCHED})", name)}
    return found


def compare_processes(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> None:
    """Every watched process of before is still there, the very same one."""
    for machine, known in before.items():
        gone = sorted(name for name, start in known.items() if after[machine].get(name) != start)
        require(not gone, f"{machine}: restarted or gone: {', '.join(gone)}")


def tree(machines: list[str]) -> dict[str, list[str]]:
    """Machine -> what the collection put there: path, kind, mode, owner, and where links lead."""
    script = (
        r"find /etc/kubernetes /etc/etcd /etc/containerd /etc/haproxy /etc/keepalived /etc/flannel /etc/cni /opt/hardway /opt/cni "
        r"/usr/local/bin /etc/systemd/system /etc/modules-load.d /etc/sysctl.d /var/lib/hardway -printf '%p %y %m %u:%g %l\n' 2>/dev/null | sort"
    )
    return {machine: ssh(machine, script, check=False).splitlines() for machine in machines}


def traces(machine: str) -> set[str]:
    """All that tells a machine from another: files outside of packages, units, firewall rules, interfaces, routes, mounts, users."""
    script = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /usr/share -o -path /usr/lib -o -path /var/cache \
  -o -path /var/log -o -path /var/tmp -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /root/.ansible \) -prune \
  -o -printf 'path %p\n' | sort > /tmp/traces-found
cat /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.conffiles | sed 's/^/path /' | sort -u > /tmp/traces-packaged
comm -23 /tmp/traces-found /tmp/traces-packaged
rm /tmp/traces-found /tmp/traces-packaged
ls /run | sed 's/^/run /'
systemctl list-units --all --plain --no-legend --type=service,timer,mount,path | awk '{print "unit", $1}'
iptables-save 2>/dev/null | grep '^-A' | sed 's/^/iptables /'
nft list tables 2>/dev/null | sed 's/^/nft /'
ipset list -name 2>/dev/null | sed 's/^/ipset /'
ip -oneline link | awk -F': ' '{print "interface", $2}'
ip -oneline -4 address | awk '{print "address", $2, $4}'
ip route | sed 's/^/route /'
findmnt --raw --noheadings --output TARGET | sed 's/^/mount /'
getent passwd | cut -d: -f1 | sed 's/^/user /'
swapon --noheadings --show=NAME | sed 's/^/swap /'
"""
    return set(ssh(machine, script).splitlines())


def holder() -> str:
    """The load balancer that has the virtual address."""
    for machine in BALANCERS:
        if VIRTUAL_ADDRESS in ssh(machine, "ip -4 -o addr", check=False):
            return machine
    raise DrillFailed(f"no load balancer has {VIRTUAL_ADDRESS}")


def etcdctl(machine: str, *arguments: str) -> t.Any:
    """What the member on a machine answers."""
    pki = "--cacert=/etc/etcd/pki/ca.pem --cert=/etc/etcd/pki/etcd.pem --key=/etc/etcd/pki/etcd-key.pem"
    return json.loads(
        ssh(
            machine,
            f"/usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 {pki} {' '.join(arguments)} --write-out=json",
        )
    )


def etcd_learners() -> list[str]:
    """Members that run, and have no vote yet."""
    return [
        member["name"]
        for member in etcdctl("master1", "member", "list")["members"]
        if member.get("isLearner") and member.get("name")
    ]


def etcd_leader() -> str:
    """The master whose etcd member leads."""
    for machine in MASTERS:
        status = etcdctl(machine, "endpoint", "status")[0]["Status"]
        if status["leader"] == status["header"]["member_id"]:
            return machine
    raise DrillFailed("etcd has no leader")


def wait_for(condition, seconds: float, text: str) -> float:
    """Wait until a condition holds; the seconds that it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if condition():
                return time.monotonic() - began
        except DrillFailed:
            pass
        time.sleep(0.5)
    raise DrillFailed(f"not within {seconds:g} s: {text}")


def kubectl(*arguments: str, text: str | None = None, check: bool = True) -> str:
    binary = pathlib.Path(sys.executable).parent / "kubectl"
    words = [*THROUGH, str(binary), "--kubeconfig", str(KUBECONFIG), *arguments]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    require(not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def objects(*arguments: str) -> list[dict[str, t.Any]]:
    """What `kubectl get` finds."""
    return json.loads(kubectl("get", *arguments, "--output=json"))["items"]


def image(name: str) -> str:
    """The reference of an image that nodes have."""
    nodes = objects("nodes")
    found = {
        reference
        for node in nodes
        for item in node["status"]["images"]
        for reference in item["names"]
        if f"/{name}:" in reference
    }
    require(found, f"no node has the image {name}")
    return found.pop()


class Pods:
    """The pods of pods.yml.in as a context manager; what their clients asked and what failed is told by `figures()`.

    A client that is replaced takes its log along, so logs are collected all the time.
    """

    WEB = "http://10.33.0.31:30180/hostname"

    def __init__(self) -> None:
        self.logs: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> Pods:
        text = (pathlib.Path(__file__).parent / "pods.yml.in").read_text(encoding="utf-8")
        kubectl("apply", "--filename=-", text=text.replace("IMAGE", image("agnhost")))
        for name in ("web", "client"):
            kubectl("--namespace=hardway-drill", "rollout", "status", f"deployment/{name}", "--timeout=90s")
        # The nodes learn of a new Service one after the other.
        wait_for(lambda: all(self._web_answers() for _attempt in range(20)), 60, f"{self.WEB} answers")
        self._thread.start()
        return self

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.WEB, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        kubectl("delete", "namespace", "hardway-drill", "--wait=true")

    def _collect(self) -> None:
        while True:
            last = self._stop.wait(2)
            try:
                for name in kubectl(
                    "--namespace=hardway-drill", "get", "pods", "--selector=app=client", "--output=name"
                ).split():
                    self.logs[name] = kubectl("--namespace=hardway-drill", "logs", name) or self.logs.get(name, "")
            except DrillFailed:
                pass  # a pod that is gone
            if last:
                return

    def figures(self) -> str:
        """After the drill. Fails where a client of the API failed in its pod."""
        lines = [line for log in self.logs.values() for line in log.splitlines()]
        # What they ask is the API server's own health page, and one that ends says so on a connection that it still has: an answer, and a true one.
        failed = [line for line in lines if "error checking" in line and "healthz check failed" not in line]
        asked = sum("calling /healthz" in line for line in lines)
        require(asked, f"the clients in pods asked nothing: {lines[-3:]}")
        words = "; ".join(line[:60] + " ... " + line[-100:] for line in failed[:5])
        require(not failed, f"{len(failed)} of {asked} requests of clients in pods failed: {words}")
        return f"{len(self.logs)} clients in pods {asked} asked, 0 failed"


def nodes_ready(count: int) -> bool:
    items = objects("nodes")
    ready = [
        item
        for item in items
        if any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
    ]
    return len(ready) >= count


def random_moments(count: int, longest: float, seed: int) -> list[float]:
    """Moments spread over the whole run, one in each equal part of it."""
    source = random.Random(seed)
    return [longest * (number + source.random()) / count for number in range(count)]
