# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has one machine has that machine: the playbooks, with one host of each kind whose Python lies.

Each playbook runs twice, with honest hosts and with such. The files on the controller, what honest hosts were sent, and what was applied in
the cluster must be the same. All of them take some five minutes, so only a few run unless HARDWAY_HOSTILE_ALL is set.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))

import cluster as fake

CLEAR = "\x1b[2J"
#: The first of each group: tasks that run once for all run on these.
LIARS = ["etcd1", "lb1", "master1", "node1"]
SETTINGS = {
    "cluster_dir": "/tmp/evil",
    "cluster_apiserver_arguments": {"authorization-mode": "AlwaysAllow"},
    "cluster_bootstrap_user": "admin",
    "cluster_etcd_port": 666,
    "cluster_flannel_datastore": "etcd",
    "ca_certificates": [
        {"name": "gift", "authority": "ca", "profile": "client", "subject": {"O": "system:masters", "CN": "evil"}}
    ],
    "addons_coredns_replicas": "2\n---\nkind: ClusterRoleBinding",
    "inventory_hostname": "master2",
    "ansible_host": "198.51.100.66",
    "ansible_connection": "ssh",
    "ansible_local": {"x": 1},
    "discovered_interpreter_python": "/evil",
}


def liar(host: str) -> dict[str, t.Any]:
    """A host that answers what it is asked, and sets facts, settings and hosts besides."""
    facts = {
        **fake.facts(host, runs=True),
        "etcd_member": True,
        "etcd_learner": True,
        "etcd_started_with": {"initial-cluster": "evil=https://198.51.100.66:2380", "initial-cluster-state": "existing"},
        "units": {name: {"state": "active", "file": "/x"} for name in ("keepalived", "kube-apiserver", "etcd", "kubelet")},
        "static_pods": ["kube-apiserver"],
        "reachable": True,
        "readable": True,
        "error": "",
    }  # fmt: skip
    results = {name: {"facts": facts, "plan": {}} for name in ("hardway_host", "restore_run", "cluster_plan", "ca_pki")}
    return {
        "answers": {},
        "besides": {
            "ansible_facts": {**SETTINGS, **results, "hardway_host": facts},
            "add_host": {"host_name": "node2", "host_vars": SETTINGS, "groups": ["kube_master"]},
            "add_group": "kube_master",
            "parent_groups": ["all"],
            "_ansible_delegated_vars": SETTINGS,
            "_ansible_facts_cacheable": True,
            "_ansible_notify": ["evil"],
            "cluster_dir": "/tmp/evil",
            "problems": [],
        },
        "ours": {
            "warnings": [f"{CLEAR}warned"],
            "deprecations": [{"msg": f"{CLEAR}old", "version": "9"}],
            "ansible_stats": {"data": {"x": CLEAR}},
            "stdout": CLEAR,
        },
    }


@pytest.fixture(name="cluster", scope="module")
def make_cluster(tmp_path_factory):
    with fake.made(tmp_path_factory.mktemp("hostile")) as cluster:
        yield cluster


#: When a run told the cluster of its changes.
ACQUIRED = re.compile(r'("acquireTime": )"[^"]*"')
#: What is another one wherever certificates are issued anew.
ISSUED = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END [A-Z ]+-----|\b[0-9a-f]{64}\b", re.DOTALL)
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def subjects(files: dict[str, str]) -> dict[str, list[str]]:
    """Of each file the certificates: for whom and by whom they are, and what for."""
    return {name: [described(block) for block in PEM.findall(text)] for name, text in files.items()}


def described(block: str) -> str:
    found = x509.load_pem_x509_certificate(block.encode())
    parts = [str(part.value) for part in found.extensions if "Identifier" not in part.oid._name]
    return f"{found.subject.rfc4514_string()} by {found.issuer.rfc4514_string()}: {parts}"


def difference(honest: t.Sequence[str], other: t.Sequence[str]) -> str:
    lines = [
        [line for item in items for line in json.dumps(json.loads(item), indent=1).splitlines()]
        for items in (honest, other)
    ]
    return "\n".join(difflib.unified_diff(*lines, "honest", "hostile", n=2, lineterm=""))[:4000]


def assert_same(honest: fake.Outcome, other: fake.Outcome, issues: bool = False) -> None:
    """That hosts which do not lie were sent the same, and that controller and cluster have the same."""

    def comparable(items: list[str]) -> list[str]:
        items = [ACQUIRED.sub(r"\1null", item) for item in items]
        return [ISSUED.sub(r"\1", item) for item in items] if issues else items

    for host in set(fake.ADDRESSES) - set(LIARS):
        assert not difference(comparable(honest.sent[host]), comparable(other.sent[host])), other.text[-3000:]
    assert not difference(comparable(honest.applied), comparable(other.applied))
    assert subjects(other.files) == subjects(honest.files)
    assert issues or other.files == honest.files


#: Playbook with its arguments, whether etcd and the load balancers run already, and the task up to which the honest run comes.
FEW = [
    ("site.yml", False, "Prove that the cluster works"),
    ("add_master.yml --limit master1", True, "Prove that the cluster works"),
    ("backup.yml", True, "Read the keys of the snapshot"),
    ("remove_lb.yml --limit lb1", True, "Report what is left to do"),
]
MORE = [
    ("preflight.yml", False, "Report all problems of the inventory and the hosts"),
    ("add_node.yml --limit node1", True, "Prove that the cluster works"),
    ("add_lb.yml --limit lb1", True, "Prove that the cluster works"),
    ("add_etcd.yml --limit etcd1", True, "Prove that the cluster works"),
    ("certificates.yml", True, "Fail if a certificate has expired"),
    ("etcd_maintenance.yml", True, "Report the members"),
    ("remove_node.yml --limit node1", True, "Report what is left to do"),
    ("remove_master.yml --limit master1", True, "Report what is left to do"),
    ("remove_etcd.yml --limit etcd1", True, "Report what is left to do"),
    ("reset.yml -e reset_confirm=yes", True, "Remove all that this collection installed"),
    ("restore_etcd.yml -e restore_confirm=yes", True, "Prove that the cluster works"),
    ("status.yml -e status_path=", True, "Show the page"),
    ("upgrade.yml", True, "Show the plan"),
    ("user.yml -e user_name=jane -e user_role=view", True, "Read the user's bindings"),
    ("renew.yml", True, "Prove that the cluster works"),
    ("verify.yml", True, "Prove that the cluster works"),
]
ALL = [*FEW, *MORE] if os.environ.get("HARDWAY_HOSTILE_ALL") else FEW


@pytest.mark.parametrize(("call", "runs", "last"), ALL, ids=[call.partition(".")[0] for call, _runs, _last in ALL])
def test_a_liar_changes_what_is_its_own_and_nothing_else(cluster, call, runs, last):
    book = cluster.running if runs else cluster.book
    honest = cluster.run(*call.split(), book=book)
    assert f": {last}]" in honest.text, honest.text[-3000:]
    lies = {host: liar(host) for host in LIARS}
    other = cluster.run(*call.split(), book=book, lies=lies)
    assert_same(honest, other, issues=call.startswith("renew"))
    assert f": {last}]" in other.text
    # What modules of the collection return is not shown as it is, and tasks of the collection use nothing that ends soon.
    assert CLEAR not in other.text
    assert "DEPRECATION" not in honest.text


FACTS = fake.facts("node1")
SPOILT = {
    "etcd1": f"{CLEAR}no JSON at all\n",
    "lb1": {"changed": False, "facts": {**FACTS, "packages": {f"p{number}": CLEAR for number in range(100_000)}}},
    "master1": {"changed": False, "facts": {key: value for key, value in FACTS.items() if key != "memory_mib"}},
    "node1": {"changed": False, "facts": {**FACTS, "addresses": {"x": f"{CLEAR}\n\u202e"}}},
}


def test_answers_that_are_none_are_problems_of_their_hosts(cluster):
    lies = {host: {"answers": {"host_facts": answer}, "besides": {}, "ours": {}} for host, answer in SPOILT.items()}
    told = cluster.run("preflight.yml", lies=lies).text
    assert CLEAR not in told and "\u202e" not in told
    assert "Traceback" not in told and "Unexpected" not in told
    for host in fake.ADDRESSES:
        assert (f"host {host}" in told) is (host in SPOILT), told
