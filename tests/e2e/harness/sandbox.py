# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's machines: power, disks, commands on them, processes, and what an installation leaves there."""

from __future__ import annotations

import re
import subprocess
import sys
import typing as t

import yaml

from .checks import Kind, require
from .context import ROOT

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
SSH_KEY = SSH[2]
#: Inventories that are laid over the cluster's: machines that boot only when they are named, and thirty nodes more.
SPARE = "sandbox/spare.yml"
SCALE = "sandbox/scale"
VIRTUAL_ADDRESS = "10.33.0.100"


def _read(inventory: str) -> dict[str, t.Any]:
    return yaml.safe_load((ROOT / inventory).read_text(encoding="utf-8"))["all"]


def _addresses(inventory: str) -> dict[str, str]:
    return {name: host["ansible_host"] for name, host in _read(inventory)["hosts"].items()}


def _group(name: str) -> list[str]:
    return list(_read("inventory/hosts.yml")["children"][name]["hosts"])


_DEFAULT = _addresses("inventory/hosts.yml")
MACHINES = list(_DEFAULT)
MASTERS = _group("kube_master")
BALANCERS = _group("lb")
#: Where a kubelet runs.
NODES = _group("kube_node")
SCALE_NODES = list(_addresses(f"{SCALE}/hosts.yml"))
ADDRESSES = {**_DEFAULT, **_addresses(SPARE), **_addresses(f"{SCALE}/hosts.yml")}

#: Processes whose start is compared: the cluster's, and those of the pods.
WATCHED = (
    "etcd|haproxy|nginx|keepalived|dockerd|containerd|containerd-shim|kube-apiserver|kube-controller|kube-scheduler|kubelet|kube-proxy|"
    "flanneld|coredns|pause"
)
#: Machine -> name and id of each watched process -> when it started, in ticks since boot.
Processes = dict[str, dict[str, str]]


def control(*arguments: str) -> str:
    """Call sandbox/machines.py."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "sandbox" / "machines.py"), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    require(
        done.returncode == 0,
        f"sandbox/machines.py {' '.join(arguments)}: {done.stdout}{done.stderr}",
        Kind.COMMAND_FAILED,
    )
    return done.stdout


def reset(*machines: str) -> None:
    """Machines with an empty disk."""
    control("reset", *machines)


def ssh(machine: str, script: str, check: bool = True) -> str:
    done = subprocess.run([*SSH, f"root@{ADDRESSES[machine]}", script], capture_output=True, text=True, check=False)
    if check:
        require(done.returncode == 0, f"{machine}: {script}: {done.stdout}{done.stderr}", Kind.COMMAND_FAILED)
    return done.stdout


def processes(machines: list[str]) -> Processes:
    """The watched processes of machines, as they are now."""
    script = (
        'for stat in /proc/[0-9]*/stat; do read -r line < "$stat" || continue; name=${line#*(}; name=${name%)*}; rest=${line##*) }; '
        'set -- $rest; echo "$name/${line%% *} ${20}"; done 2>/dev/null'
    )
    found = {}
    for machine in machines:
        lines = (line.rsplit(" ", 1) for line in ssh(machine, script).splitlines())
        found[machine] = {name: start for name, start in lines if re.match(f"({WATCHED})", name)}
    return found


def ended(before: Processes, after: Processes) -> dict[str, list[str]]:
    """Machine -> the processes of before that are not there any more, or are others of the same id."""
    return {
        machine: sorted(name for name, start in known.items() if after[machine].get(name) != start)
        for machine, known in before.items()
    }


def compare_processes(before: Processes, after: Processes) -> None:
    """Every watched process of before is still there, the very same one."""
    for machine, names in ended(before, after).items():
        require(not names, f"{machine}: restarted or gone: {', '.join(names)}", Kind.RESTARTED)


def installed_files(machines: list[str]) -> dict[str, list[str]]:
    """Machine -> what the collection put there: path, kind, mode, owner, and where links lead."""
    script = (
        r"find /etc/kubernetes /etc/etcd /etc/containerd /etc/haproxy /etc/keepalived /etc/flannel /etc/cni /opt/hardway /opt/cni "
        r"/usr/local/bin /etc/systemd/system /etc/modules-load.d /etc/sysctl.d /var/lib/hardway -printf '%p %y %m %u:%g %l\n' 2>/dev/null | sort"
    )
    return {machine: ssh(machine, script, check=False).splitlines() for machine in machines}


def footprint(machine: str) -> set[str]:
    """All that distinguishes a machine from another: files outside of packages, units, firewall rules, interfaces, routes, mounts, users."""
    script = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /usr/share -o -path /usr/lib -o -path /var/cache \
  -o -path /var/log -o -path /var/tmp -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /root/.ansible \) -prune \
  -o -printf 'path %p\n' | sort > /tmp/footprint-found
cat /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.conffiles | sed 's/^/path /' | sort -u > /tmp/footprint-packaged
comm -23 /tmp/footprint-found /tmp/footprint-packaged
rm /tmp/footprint-found /tmp/footprint-packaged
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
