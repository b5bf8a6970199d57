# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories that are laid over the cluster's, as users would write them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from . import sandbox

#: Where the inventory does not name a machine yet: what a user would write into it.
GROUPS = {"node3": ["kube_node"], "master4": ["etcd", "kube_master", "kube_node"], "etcd4": ["etcd"], "lb3": ["lb"]}


@contextlib.contextmanager
def inventory_of(*machines: str) -> Iterator[tuple[str, ...]]:
    """The inventories of a user who wrote these spare machines into theirs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        hosts = "\n".join(f"    {name}: {{ansible_host: {sandbox.ADDRESSES[name]}}}" for name in machines)
        groups = sorted({group for name in machines for group in GROUPS[name]})
        children = "\n".join(
            f"    {group}: {{hosts: {{{', '.join(f'{name}: {{}}' for name in machines if group in GROUPS[name])}}}}}"
            for group in groups
        )
        file.write(f"all:\n  hosts:\n{hosts}\n  children:\n{children}\n")
        file.flush()
        yield (file.name,)


@contextlib.contextmanager
def unreachable_nodes(count: int) -> Iterator[str]:
    """An inventory of nodes that nobody can reach; nothing is sent to their addresses."""
    hosts = "\n".join(
        f"        far{number}: {{ansible_host: 10.34.{number // 250}.{number % 250 + 1}}}" for number in range(count)
    )
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write(f"all:\n  children:\n    kube_node:\n      hosts:\n{hosts}\n")
        file.flush()
        yield file.name
