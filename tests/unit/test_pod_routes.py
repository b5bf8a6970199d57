# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that keeps routes to the pods of other nodes: a node writes its own Node object, so it is not believed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import typing as t
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles" / "cni" / "files" / "pod-routes.py"


def load() -> t.Any:
    spec = importlib.util.spec_from_file_location("pod_routes", PROGRAM)
    assert spec and spec.loader
    module = sys.modules["pod_routes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


routes = load()
SETTINGS = routes.Settings("node1", "/bin/kubectl", "/k", "1.0.0", 1450, ["10.244.0.0/16"], 24, [])
ME = routes.Node("node1", "10.244.1.0/24", "192.0.2.1")
OTHER = routes.Node("node2", "10.244.2.0/24", "192.0.2.2")


def planned(*nodes, settings=SETTINGS, present=None):
    return routes.plan([ME, *nodes], settings, present or {})


def test_the_networks_of_other_nodes_lead_to_their_addresses():
    found = planned(OTHER)
    assert (found.own, dict(found.routes), list(found.refused)) == ("10.244.1.0/24", {"10.244.2.0/24": "192.0.2.2"}, [])


@pytest.mark.parametrize(
    "network",
    (
        *("0.0.0.0/0", "0.0.0.0/24", "10.245.0.0/24", "10.244.2.0/25", "10.244.0.0/16", "10.0.0.0/8", "10.244.2.1/24"),
        *("10.244.2.0", "default", "10.244.2.0/24 via 1.2.3.4", "-x", "fd00::/24", "::/0"),
    ),
)
def test_no_other_network_becomes_a_route(network):
    found = planned(dataclasses.replace(OTHER, network=network))
    assert not found.routes and "node node2: its pod network" in found.refused[0]


@pytest.mark.parametrize("address", ["gateway", "2001:db8::2", "192.0.2", "-x", "192.0.2.0/24"])
def test_what_is_no_address_gets_no_route(address):
    found = planned(dataclasses.replace(OTHER, address=address))
    assert not found.routes and "node node2: its address" in found.refused[0]


@pytest.mark.parametrize(
    ("networks", "taken"), [(["192.0.2.0/28"], True), (["192.0.2.2"], True), (["198.51.100.0/24", "192.0.2.3"], False)]
)
def test_addresses_may_be_limited(networks, taken):
    found = planned(OTHER, settings=dataclasses.replace(SETTINGS, node_networks=networks))
    assert bool(found.routes) == taken and found.own == ME.network, "its own address is not judged"


def test_this_node_keeps_its_network_and_its_address():
    found = planned(
        dataclasses.replace(OTHER, network=ME.network), dataclasses.replace(OTHER, name="node3", address=ME.address)
    )
    assert found.own == ME.network and not found.routes and len(found.refused) == 2


@pytest.mark.parametrize(
    "claim", [routes.Node("node3", OTHER.network, "192.0.2.3"), routes.Node("node3", "10.244.3.0/24", OTHER.address)]
)
def test_who_had_a_route_keeps_it(claim):
    found = planned(claim, OTHER, present={OTHER.network: OTHER.address})
    assert found.routes == {OTHER.network: OTHER.address}
    assert found.refused == [
        f"node node3: {OTHER.network if claim.network == OTHER.network else OTHER.address} is claimed by node3, node2, and node2 gets the route"
    ]


def test_of_two_that_claim_the_same_for_the_first_time_neither_gets_it():
    found = planned(OTHER, routes.Node("node3", OTHER.network, "192.0.2.3"))
    assert not found.routes and len(found.refused) == 2 and "nobody gets the route" in found.refused[0]


def test_a_network_of_its_own_that_is_not_the_clusters_is_not_configured():
    found = routes.plan([dataclasses.replace(ME, network="10.9.0.0/24"), OTHER], SETTINGS, {})
    assert found.own == "" and found.routes == {OTHER.network: OTHER.address}


def test_nodes_as_the_api_tells_them():
    def item(name, network, *addresses):
        status = {"addresses": [{"type": kind, "address": address} for kind, address in addresses]}
        return {"metadata": {"name": name}, "spec": {"podCIDR": network} if network else {}, "status": status}

    internal = ("InternalIP", "192.0.2.2")
    items = [
        item("node2", "10.244.2.0/24", ("Hostname", "node2"), internal),
        item("a", "", internal),
        item("b", "x"),
        {"metadata": {"name": "c"}, "spec": {}, "status": {}},
    ]
    assert routes.parse_nodes(json.dumps({"items": items})) == [OTHER]


def test_settings_are_what_the_role_writes(tmp_path):
    path = tmp_path / "pod-routes.json"
    path.write_text(json.dumps(dataclasses.asdict(SETTINGS)))
    assert routes.Settings.read(str(path)) == SETTINGS


def test_the_configuration_is_written_whole_and_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(routes.os, "fsync", synced.append)
    path = tmp_path / "10-bridge.conflist"
    routes.configure(ME.network, SETTINGS, str(path))
    written = json.loads(path.read_text())
    assert (
        written["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
        and written["plugins"][0]["mtu"] == 1450
    )
    assert len(synced) == 2, "the file and its directory"
    before = path.stat().st_ino
    routes.configure(ME.network, SETTINGS, str(path))
    assert path.stat().st_ino == before and [each.name for each in tmp_path.iterdir()] == [path.name]
    path.chmod(0o644)
    routes.configure(ME.network, SETTINGS, str(path))
    assert path.stat().st_mode & 0o777 == 0o600, "as earlier versions of this program left it"
    routes.configure("10.244.9.0/24", SETTINGS, str(path))
    assert "10.244.9.0/24" in path.read_text() and path.stat().st_mode & 0o777 == 0o600


class Host:
    """Stands in for kubectl, ip and iptables."""

    def __init__(self, monkeypatch, nodes, present):
        self.changes: list[tuple[str, ...]] = []
        self.nodes, self.present = nodes, present
        monkeypatch.setattr(routes, "run", self.run)
        monkeypatch.setattr(routes, "configure", lambda network, settings: self.changes.append(("configure", network)))
        monkeypatch.setattr(
            routes, "masquerade", lambda network, settings: self.changes.append(("masquerade", network))
        )

    def run(self, *argv):
        if argv[0] == SETTINGS.kubectl:
            return json.dumps({"items": [self.item(node) for node in self.nodes]})
        if "show" in argv:
            return json.dumps([{"dst": network, "gateway": address} for network, address in self.present.items()])
        self.changes.append(argv)
        return ""

    @staticmethod
    def item(node):
        addresses = [{"type": "InternalIP", "address": node.address}]
        return {"metadata": {"name": node.name}, "spec": {"podCIDR": node.network}, "status": {"addresses": addresses}}


def test_routes_are_added_moved_and_removed(monkeypatch):
    present = {"10.244.2.0/24": "192.0.2.9", "10.244.8.0/24": "192.0.2.8", "default": "192.0.2.66"}
    host = Host(monkeypatch, [ME, OTHER, routes.Node("evil", "0.0.0.0/0", "192.0.2.66")], present)
    (refused,) = routes.reconcile(SETTINGS)
    assert "node evil" in refused
    assert host.changes[:2] == [("configure", ME.network), ("masquerade", ME.network)]
    assert host.changes[2] == ("ip", "route", "replace", "10.244.2.0/24", "via", "192.0.2.2", "proto", "77")
    assert sorted(host.changes[3:]) == [
        ("ip", "route", "del", network, "proto", "77") for network in ("10.244.8.0/24", "default")
    ]


def test_where_all_is_as_it_should_be_nothing_is_changed(monkeypatch):
    host = Host(monkeypatch, [OTHER], {OTHER.network: OTHER.address})
    assert routes.reconcile(SETTINGS) == [] and host.changes == []


def test_the_masquerade_spares_the_pods_of_the_networks_family(monkeypatch):
    asked = []
    monkeypatch.setattr(
        routes.subprocess,
        "run",
        lambda argv, **unused: asked.append(argv) or __import__("types").SimpleNamespace(returncode=0),
    )
    routes.masquerade(ME.network, dataclasses.replace(SETTINGS, pod_networks=["fd00::/48", "10.244.0.0/16"]))
    assert asked[0][5:] == [
        "POSTROUTING",
        "--source",
        ME.network,
        "!",
        "--destination",
        "10.244.0.0/16",
        "--jump",
        "MASQUERADE",
    ]
