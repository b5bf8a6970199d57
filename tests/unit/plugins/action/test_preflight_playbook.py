# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook itself, on inventories whose hosts are this machine, or nowhere."""

from __future__ import annotations

import re
import sys

import pytest

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command

HOSTS = """\
all:
  vars:
    ansible_python_interpreter: {python}
    ansible_connection: local
  hosts:
    m1: {{ansible_host: 192.0.2.11}}
    m2: {{ansible_host: 127.0.0.1, ansible_connection: ssh, ansible_port: 9}}
    Node_1: {{ansible_host: web.example}}
    n2: {{ansible_host: 192.0.2.11}}
    n3: {{ansible_host: 10.244.3.3, ansible_python_interpreter: /usr/bin/python-none}}
    outsider: {{ansible_host: 192.0.2.99}}
  children:
    etcd: {{hosts: {{m1: , m2: }}}}
    kube_masters: {{hosts: {{m1: , m2: }}}}
    kube_node: {{hosts: {{Node_1: , n2: , n3: }}, vars: {{kube_node_kublet_config: {{}}}}}}
"""
SETTINGS = """\
cluster_pod_network: 10.244.0.0/16
cluster_service_network: 10.244.128.0/17
cluster_endpoint_address: 10.244.1.1
cluster_dns_address: 10.1.2.3
cluster_dns_domain: bad_domain
cluster_kubernetes_version: 1.19.2
cluster_etcd_version: 2.3.4
cluster_containerd_version: latest
cluster_mirror: ftp//x
cluster_endpoint_port: 70000
cluster_install_dir: opt
cluster_dir: "{{ inventory_dir }}/state"
cluster_etcd_port: "{{ nowhere }}"
clutser_name: x
host_unheard_of: 1
preflight_accept: 3
preflight_probe_endpoint: maybe
preflight_memory: {kube_node: 999999999}
preflight_space: {kube_node: {/: 999999999}, etcd: x}
"""


@pytest.fixture(name="inventory")
def make_inventory(tmp_path):
    directory = tmp_path / "inventory"
    (directory / "group_vars").mkdir(parents=True)
    (directory / "hosts.yml").write_text(HOSTS.format(python=sys.executable))
    (directory / "group_vars" / "all.yml").write_text(SETTINGS)
    return directory


def play(inventory, *arguments) -> tuple[int, str]:
    playbook = ansible_command.PLAYBOOKS / "preflight.yml"
    return ansible_command.run(
        inventory.parent, "-i", inventory, playbook, *arguments, ANSIBLE_CALLBACK_RESULT_FORMAT="yaml"
    )


def kinds(text: str) -> set[str]:
    return set(re.findall(r"\[(?:warning, )?([a-z0-9-]+)\]$", text, re.MULTILINE))


def test_one_run_finds_everything_and_changes_nothing(inventory):
    status, text = play(inventory, "--check")
    assert status != 0
    assert kinds(text) >= {
        "cluster-dir-inside-inventory",
        "dns-outside-service-network",
        "duplicate-address",
        "duplicate-hostname",
        "endpoint-inside-network",
        "even-etcd-members",
        "host-inside-network",
        "invalid-address",
        "invalid-domain",
        "invalid-host-name",
        "invalid-mirror",
        "invalid-path",
        "invalid-port",
        "invalid-version",
        "missing-group",
        "misspelt-setting",
        "no-python",
        "overlapping-networks",
        "unknown-setting",
        "unreachable-host",
        "unresolvable-setting",
        "unsupported-combination",
        "unsupported-version",
        "unusable-address",
        "wrong-kind-of-value",
        "little-memory",
        "little-space",
        "address-not-on-host",
    }, text
    assert "cluster_pod_network (group all, " in text and "all.yml:1)" in text
    assert not re.search(r"changed=[1-9]", text)


def test_limit_looks_at_its_hosts_and_at_the_whole_inventory(inventory):
    status, text = play(inventory, "--limit", "n2")
    assert status != 0
    assert {"even-etcd-members", "invalid-host-name", "address-not-on-host"} <= kinds(text)
    assert not {"unreachable-host", "no-python", "unread-host"} & kinds(text)


def test_limit_to_a_host_outside_the_cluster_is_a_problem(inventory):
    status, text = play(inventory, "--limit", "outsider")
    assert status != 0
    assert "host-outside-cluster" in kinds(text)


def test_inventory_without_any_group_of_a_cluster_is_a_problem(inventory):
    (inventory / "hosts.yml").write_text("all: {hosts: {web1: {ansible_connection: local}}}\n")
    status, text = play(inventory)
    assert status != 0
    assert "missing-group" in kinds(text)
