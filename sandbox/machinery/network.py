"""The bridge that joins the machines, and the host's rules about it.

The machines reach each other and the host's mirror, and nothing else: what they send elsewhere is refused at once, so that
nobody waits for an answer that cannot come.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
from pathlib import Path

from . import settings
from .commands import run
from .errors import SandboxError

COMMENT = "hardway-sandbox"
RULES = (
    # The machines' name server is the host's address: nothing answers there, and says so.
    ("INPUT", "-p", "udp", "--dport", "53", "-j", "REJECT"),
    ("INPUT", "-p", "tcp", "--dport", "53", "-j", "REJECT", "--reject-with", "tcp-reset"),
    ("INPUT", "-j", "ACCEPT"),
    # With net.bridge.bridge-nf-call-iptables the host's firewall sees what one machine sends to another;
    # a policy of dropping what is forwarded (Docker's) would cut the machines off.
    ("FORWARD", "-o", settings.BRIDGE, "-j", "ACCEPT"),
    ("FORWARD", "-j", "REJECT", "--reject-with", "icmp-net-unreachable"),
)


def bridge_exists() -> bool:
    return Path("/sys/class/net", settings.BRIDGE).exists()


def up() -> None:
    """Make the bridge, its address and the rules, whatever part of them exists already."""
    if not bridge_exists():
        # With an address of its own the bridge does not change it whenever a machine comes or goes.
        run(
            "ip",
            "link",
            "add",
            "name",
            settings.BRIDGE,
            "address",
            "02:68:77:00:00:01",
            "type",
            "bridge",
            "forward_delay",
            "0",
        )
    Path(f"/proc/sys/net/ipv6/conf/{settings.BRIDGE}/disable_ipv6").write_text("1", encoding="ascii")
    run("ip", "address", "replace", settings.HOST.with_prefixlen, "dev", settings.BRIDGE)
    run("ip", "link", "set", settings.BRIDGE, "up")
    # Only a packet that is to be forwarded is answered by "unreachable"; the rules let none through.
    Path(f"/proc/sys/net/ipv4/conf/{settings.BRIDGE}/forwarding").write_text("1", encoding="ascii")
    _remove_rules()
    for chain, *rule in reversed(RULES):
        run("iptables", "-w", "-I", chain, "-i", settings.BRIDGE, *rule, "-m", "comment", "--comment", COMMENT)


def down() -> None:
    """Remove the bridge and the rules."""
    _remove_rules()
    if bridge_exists():
        run("ip", "link", "delete", settings.BRIDGE)


def link(name: str) -> str:
    """Return the name of the host's end of a machine's link, as systemd-nspawn chooses it."""
    return f"vb-{name}"


def cut(name: str) -> None:
    """Pull a machine's cable: from now on its peers hear nothing from it, not even that it closes its connections."""
    if Path("/sys/class/net", link(name)).exists():
        run("ip", "link", "set", link(name), "down", check=False)


def remove_link(name: str) -> None:
    """Remove a machine's link: the kernel does so by itself, but late, and the machine's next start wants the name."""
    if Path("/sys/class/net", link(name)).exists():
        done = run("ip", "link", "delete", link(name), check=False)
        if done.returncode != 0 and Path("/sys/class/net", link(name)).exists():
            raise SandboxError(
                f"The link {link(name)} of a machine that is gone cannot be removed: {done.stderr.strip()}"
            )


def conflicts() -> list[str]:
    """Return what on this computer uses the sandbox's address range already."""
    found = []
    for interface in json.loads(run("ip", "-json", "-4", "address").stdout or "[]"):
        for address in interface.get("addr_info", ()):
            own = ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}")
            if interface["ifname"] != settings.BRIDGE and own.network.overlaps(settings.HOST.network):
                found.append(f"the interface {interface['ifname']} has the address {own}")
    for route in json.loads(run("ip", "-json", "-4", "route").stdout or "[]"):
        if route["dst"] == "default" or route.get("dev") == settings.BRIDGE:
            continue
        if ipaddress.ip_network(route["dst"]).overlaps(settings.HOST.network):
            found.append(f"a route to {route['dst']} goes through {route.get('dev', 'another interface')}")
    return found


def _remove_rules() -> None:
    for line in run("iptables", "-w", "-S").stdout.splitlines():
        words = shlex.split(line)
        if COMMENT in words and words[0] == "-A":
            run("iptables", "-w", "-D", *words[1:])
