# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains, rules, tables and sets of the packet filter, and its counters.

What is ours is known by the kind of its name (KUBE-, cali, CNI-), not by one name: the next version of a component has others."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import shlex
import socket
import struct
from collections.abc import Callable, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.network import is_within
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope


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
    saved: str, prefixes: Sequence[str], masquerade: Callable[[list[str]], bool], comments: Sequence[str] = ()
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


def is_our_masquerade(words: list[str], pod_networks: Sequence[str]) -> bool:
    """Whether it is the rule of pod-routes: from a node's part of the pod network to anywhere but pods."""
    match = (
        words[1:2] == ["POSTROUTING"]
        and len(words) == 9
        and words[2] == "-s"
        and words[4:6] == ["!", "-d"]
        and words[7:] == ["-j", "MASQUERADE"]
    )
    networks = [ipaddress.ip_network(network) for network in pod_networks if network == words[6]] if match else []
    return bool(networks) and is_within(words[3], networks)


def chain_summary(chains: list[str], prefixes: Sequence[str]) -> str:
    counts = {prefix: sum(chain.startswith(prefix) for chain in chains) for prefix in prefixes}
    return ", ".join(f"{count} chains {prefix}*" for prefix, count in counts.items() if count)


class Firewall:
    """Chains of kube-proxy, kubelet, flannel, Calico and the CNI plugins, the rules that lead into them, their nftables and their sets."""

    def __init__(self, scope: Scope) -> None:
        self.prefixes = scope.all("chains")
        self.tables = scope.all("tables")
        self.networks = scope.request.pod_networks if scope.any("masquerade") else ()
        self.comments = scope.all("comments")
        self.sets = scope.all("sets")

    def find(self) -> list[Finding]:
        return self._chains() + self._nft_tables() + self._sets()

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            finding.target()

    def _chains(self) -> list[Finding]:
        if not self.prefixes and not self.networks:
            return []
        found = []
        for command in iptables_commands():
            for purge in purges(
                commands.run(f"{command}-save")[1],
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
                found += [Finding(text, action) for text, action in zip(texts, actions)]
        return found

    def _nft_tables(self) -> list[Finding]:
        if not self.tables:
            return []
        present = [
            line.split()[1:3]
            for line in commands.run("nft", "list", "tables")[1].splitlines()
            if len(line.split()) == 3
        ]
        return [
            Finding(
                f"nft table {family} {name}",
                lambda family=family, name=name: commands.run("nft", "delete", "table", family, name),
            )
            for family, name in present
            if name.startswith(self.tables)
        ]

    def _sets(self) -> list[Finding]:
        names = commands.run("ipset", "list", "-name")[1].split() if self.sets else []
        return [
            Finding(f"ipset {name}", lambda name=name: commands.run("ipset", "destroy", name))
            for name in names
            if name.startswith(self.sets)
        ]


def iptables_commands() -> list[str]:
    """Both kinds of iptables where both are there: which one a component used depends on what was the default then."""
    found = []
    for name in ("iptables", "ip6tables"):
        kinds = [f"{name}{kind}" for kind in ("-nft", "-legacy") if commands.find(f"{name}{kind}-save")]
        found += kinds or [name for unused in [0] if commands.find(f"{name}-save")]
    return found


def _purge(command: str, purge: Purge) -> None:
    commands.run(f"{command}-restore", "--noflush", "--wait", text=purge.script())
    if not command.endswith("-legacy"):
        family = "ip6" if command.startswith("ip6") else "ip"
        shown = commands.run("nft", "--json", "list", "table", family, purge.table)[1]
        if shown and holds_nothing(shown):
            # iptables makes it again when it is next asked for a rule.
            commands.run("nft", "delete", "table", family, purge.table)


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

    # Linux, include/uapi/linux/netfilter/{nfnetlink,nfnetlink_acct}.h
    SUBSYSTEM, GET, DELETE, NAME = 7, 1, 3, 1
    NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR, NETLINK_NETFILTER = 1, 4, 2, 12

    def __init__(self, scope: Scope) -> None:
        self.names = scope.all("counters")

    def find(self) -> list[Finding]:
        return [Finding(f"counter {name}", name) for name in self.names if self._ask(self.GET, name)]

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            self._ask(self.DELETE, finding.target)

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
