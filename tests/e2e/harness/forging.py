# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forged VRRP advertisements, sent from machines: what is run there, and what the load balancers' rules have counted."""

from __future__ import annotations

import json
import pathlib
import shlex

from . import sandbox

SECONDS = 10
ROUTER = 51
#: Finds a process in the network namespace that has the address $1, which is a pod's.
FIND_POD = """
for process in /proc/[0-9]*; do
  nsenter --net=$process/ns/net ip -oneline -4 address 2>/dev/null | grep --quiet " $1/" && break
done
nsenter --net=$process/ns/net ip -oneline -4 address | grep --quiet " $1/" || { echo "no pod has $1" >&2; exit 1; }
"""


def script(pod: str, machine: str) -> str:
    """A shell script: all kinds of forged advertisements at once, from the pod with this address and from the node that it is on.

    A pod's own packets leave the node with the node's address. Those with another address may leave it as they are.
    """
    node = sandbox.ADDRESSES[machine]
    balancers = [sandbox.ADDRESSES[name] for name in sandbox.BALANCERS]
    lines = ["set -e", f"set -- {shlex.quote(pod)}", FIND_POD.strip()]
    lines.append("program=$(mktemp); trap 'rm -f $program' EXIT")
    program = pathlib.Path(__file__).with_name("vrrp.py").read_text(encoding="utf-8")
    lines.append(f"printf %s {shlex.quote(program)} >$program")
    in_pod = "nsenter --net=$process/ns/net python3 $program"
    lines.append(_send(in_pod, 255, pod, node, balancers))
    lines.append(_send("python3 $program", 255, node, node, balancers))
    for target in balancers:
        for peer in balancers:
            if peer != target:
                lines.append(_send(in_pod, 255, peer, peer, [target]))
                lines.append(_send("python3 $program", 254, peer, peer, [target]))
    return "\n".join([*lines, "wait", ""])


def _send(program: str, ttl: int, source: str, summed_as: str, targets: list[str]) -> str:
    words = [str(SECONDS), str(ROUTER), sandbox.VIRTUAL_ADDRESS, str(ttl), source, summed_as, *targets]
    return f"{program} {' '.join(words)} &"


def dropped(listing: str) -> int:
    """Packets that the rules with a counter have dropped, from what nft lists as JSON."""
    rules = [item["rule"] for item in json.loads(listing)["nftables"] if "rule" in item]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)
