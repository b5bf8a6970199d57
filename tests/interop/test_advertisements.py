# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel drops forged VRRP advertisements by the rules that the role lb writes. Needs root, nft and network namespaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

SENDER = Path(__file__).resolve().parents[1] / "e2e" / "harness" / "vrrp.py"
LB, PEER, NODE, POD, STRANGER = "192.0.2.21", "192.0.2.31", "192.0.2.99", "10.244.0.5", "198.51.100.7"
# Advertisements that have come in within a second of the last one, by source.
LISTEN = """
import socket
found = []
with socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as channel:
    channel.settimeout(2)
    print("ready", flush=True)
    try:
        while len(found) < 200:
            found.append(channel.recvfrom(2048)[1][0])
    except OSError:
        pass
print(" ".join(sorted(set(found))))
"""


class Network:
    """A load balancer that is a node, too, with a pod; and another host of its network."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.ids = {}
        for name in ("lb", "pod", "other"):
            waiting = subprocess.Popen(["unshare", "--net", "sleep", "120"])
            stack.callback(waiting.wait)
            stack.callback(waiting.kill)
            self.ids[name] = waiting.pid
        self._wait()
        self.run("lb", f"ip link add eth0 type veth peer name eth0 netns {self.ids['other']}")
        self.run("lb", f"ip link add cni0 type veth peer name eth0 netns {self.ids['pod']}")
        for name, interface, addresses in (
            ("lb", "eth0", (f"{LB}/24",)), ("lb", "cni0", ("10.244.0.1/24",)), ("pod", "eth0", (f"{POD}/24",)), ("other", "eth0", (f"{PEER}/24", f"{NODE}/24")),
        ):  # fmt: skip
            for address in addresses:
                self.run(name, f"ip address add {address} dev {interface}")
            self.run(name, f"ip link set {interface} up; echo 0 >/proc/sys/net/ipv4/conf/{interface}/rp_filter")
        self.run("lb", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter")
        self.run("pod", "ip route add default via 10.244.0.1")
        self.run("other", f"ip route add default via {LB}; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter")

    def _wait(self) -> None:
        """unshare has its own network when it is not ours any more."""
        ours = os.readlink("/proc/self/ns/net")
        while any(os.readlink(f"/proc/{one}/ns/net") == ours for one in self.ids.values()):
            pass

    def inside(self, name: str, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.ids[name]}/ns/net", *argv]

    def run(self, name: str, script: str) -> str:
        return subprocess.run(
            self.inside(name, "sh", "-ec", script), check=True, capture_output=True, text=True, timeout=30
        ).stdout

    def arrives(self, at: str, target: str, *sent: tuple[str, str, int]) -> set[str]:
        """The sources of the advertisements that a process there gets, of those (from where, source, TTL)."""
        with subprocess.Popen(
            self.inside(at, sys.executable, "-c", LISTEN), stdout=subprocess.PIPE, text=True
        ) as listener:
            assert listener.stdout and listener.stdout.readline() == "ready\n"
            for name, source, ttl in sent:
                arguments = ("0.05", "51", "192.0.2.100", str(ttl), source, source, target)
                done = subprocess.run(
                    self.inside(name, sys.executable, str(SENDER), *arguments),
                    check=True,
                    capture_output=True,
                    text=True,
                )
                assert done.stdout.split()[0] != "0", "nothing was sent"
            return set(listener.communicate(timeout=30)[0].split())


@pytest.fixture(name="network")
def make_network() -> t.Iterator[Network]:
    if os.geteuid() or not shutil.which("nft"):
        pytest.skip("needs root and nft")
    with contextlib.ExitStack() as stack:
        yield Network(stack)


@pytest.fixture(name="rules", scope="module")
def make_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    groups = {**rendered.GROUPS, "lb": ["lb1", "node1"]}
    keepalived = rendered.components("lb1", state, lb_interface="eth0", groups=groups)["keepalived"]
    path = state / "advertisements.nft"
    path.write_text(keepalived["texts"]["/etc/keepalived/advertisements.nft"])
    return path


def test_only_the_peer_itself_is_heard(network: Network, rules: Path) -> None:
    forged = (
        ("other", NODE, 255),
        ("other", STRANGER, 255),
        ("pod", POD, 255),
        ("other", "10.244.7.7", 255),
    )
    as_peer = (("other", PEER, 254), ("pod", PEER, 255))
    through = (("pod", POD, 255), ("pod", STRANGER, 255))
    assert network.arrives("lb", LB, *forged, *as_peer) == {NODE, STRANGER, POD, "10.244.7.7", PEER}, "without rules"
    assert network.arrives("other", PEER, *through) == {POD, STRANGER}, "without rules"
    for _loaded in range(2):
        network.run("lb", f"nft --file {rules}")
    assert network.run("lb", "nft list ruleset").count("chain ") == 2, "a second time changes nothing"
    assert network.arrives("lb", LB, *forged, *as_peer) == set()
    assert network.arrives("other", PEER, *through) == set()
    assert network.arrives("lb", LB, ("other", PEER, 255)) == {PEER}
