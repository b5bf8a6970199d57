# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forged advertisements of the drill are what keepalived would take for true ones."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.path.realpath(__file__)).parents[1] / "e2e"))

from harness import forging, sandbox, vrrp

SOURCE, TARGET, ADDRESS = "10.33.0.31", "10.33.0.21", "10.33.0.100"


def test_an_advertisement_byte_by_byte() -> None:
    body = vrrp.advertisement(51, ADDRESS, SOURCE, TARGET)
    # Version 3 and type 1, router, priority, one address, centiseconds; then the checksum, and the address.
    assert body[:6] == bytes([0x31, 51, 255, 1, 0, 25]) and body[8:] == socket.inet_aton(ADDRESS)


def test_its_sum_holds_for_the_addresses_around_it_and_for_no_others() -> None:
    body = vrrp.advertisement(51, ADDRESS, SOURCE, TARGET)

    def total(source: str) -> int:
        pseudo = socket.inet_aton(source) + socket.inet_aton(TARGET) + struct.pack("!BBH", 0, 112, len(body))
        words = struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body)
        return sum(words) % 0xFFFF

    assert total(SOURCE) == 0
    assert total("10.244.1.5") != 0


def test_the_packet_around_it() -> None:
    made = vrrp.packet(SOURCE, TARGET, 254, b"x" * 12)
    assert made[0] == 0x45 and made[8] == 254 and made[9] == 112
    assert (made[12:16], made[16:20]) == (socket.inet_aton(SOURCE), socket.inet_aton(TARGET)) and made[20:] == b"x" * 12


def test_the_sum_of_rfc_1071() -> None:
    assert vrrp.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert vrrp.checksum(b"\xff") == 0x00FF


def test_the_script_forges_each_kind_for_each_load_balancer(tmp_path: Path) -> None:
    """Run with stand-ins that write down what they are asked."""
    log = tmp_path / "log"
    stand_ins = {
        "nsenter": 'shift; case $1 in ip) echo "2: eth0 inet 10.244.1.5/24";; *) exec "$@" pod;; esac',
        "python3": f'shift; echo "$@" >>{log}',
    }
    for name, body in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = forging.script("10.244.1.5", "node1")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["/bin/sh", "-c", script], check=True, env=environment, timeout=30)
    first, second = (sandbox.ADDRESSES[name] for name in sandbox.BALANCERS)
    node = sandbox.ADDRESSES["node1"]
    assert sorted(line.split()[3:] for line in log.read_text().splitlines()) == sorted(
        [
            ["255", "10.244.1.5", node, first, second, "pod"],
            ["255", node, node, first, second],
            ["255", first, first, second, "pod"],
            ["254", first, first, second],
            ["255", second, second, first, "pod"],
            ["254", second, second, first],
        ]
    )


def test_a_script_without_its_pod_fails(tmp_path: Path) -> None:
    (tmp_path / "nsenter").write_text('#!/bin/sh\necho "2: eth0 inet 10.244.1.50/24"\n')
    (tmp_path / "nsenter").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", forging.script("10.244.1.5", "node1")], check=False, env=environment, capture_output=True
    )
    assert done.returncode == 1 and b"no pod has 10.244.1.5" in done.stderr


def test_dropped_packets_are_counted_over_all_rules() -> None:
    rules = [{"rule": {"expr": [{"match": {}}, {"counter": {"packets": number}}, {"drop": None}]}} for number in (3, 4)]
    listing = {"nftables": [{"metainfo": {}}, {"table": {}}, {"rule": {"expr": [{"accept": None}]}}, *rules]}
    assert forging.dropped(json.dumps(listing)) == 7
