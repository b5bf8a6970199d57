# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook certificates.yml itself, and the module alone, on hosts that are this machine, or nowhere."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import ansible_command

HOSTS = """\
all:
  vars:
    ansible_python_interpreter: {python}
    ansible_connection: local
    ansible_become: false
    ansible_host: 127.0.0.1
    cluster_dir: {directory}/cluster
    certificate_report_paths: ["{directory}/host", "{directory}/host/kubelet.pem"]
  hosts:
    m1: {{}}
    m2: {{ansible_connection: ssh, ansible_port: 9}}
    n1: {{ansible_python_interpreter: /usr/bin/python-none}}
    l1: {{}}
  children:
    etcd: {{hosts: {{m1: , m2: }}}}
    kube_master: {{hosts: {{m1: , m2: }}}}
    kube_node: {{hosts: {{n1: }}}}
    lb: {{hosts: {{l1: }}}}
"""
REQUEST = {
    "cas": [{"name": "ca", "subject": {"CN": "kubernetes-ca"}}],
    "certificates": [
        {"name": "admin", "ca": "ca", "profile": "client", "subject": {"CN": "admin"}, "validity": "400d"},
        {
            "name": "kubelet",
            "ca": "ca",
            "profile": "server",
            "subject": {"CN": "kubelet"},
            "hosts": ["10.33.0.31"],
            "validity": "400d",
        },
    ],
}


def make(path: Path, age: int) -> None:
    reconcile_directory(str(path), parse_request(REQUEST), now=datetime.now(timezone.utc) - timedelta(days=age))


@pytest.fixture(name="inventory")
def make_inventory(tmp_path):
    directory = tmp_path / "inventory"
    directory.mkdir()
    (directory / "hosts.yml").write_text(HOSTS.format(python=sys.executable, directory=tmp_path))
    make(tmp_path / "cluster/pki", 0)
    make(tmp_path / "host", 380)
    return directory


def ansible(command: str, inventory: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    return ansible_command.run(inventory.parent, "-i", inventory, *arguments, command=command, **environment)


def play(inventory: Path, *arguments: str) -> tuple[int, str]:
    return ansible(
        "playbook",
        inventory,
        str(ansible_command.PLAYBOOKS / "certificates.yml"),
        *arguments,
        ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
    )


def places(text: str) -> set[tuple[str, str]]:
    """Host and place of each line of the table, in which no line is broken."""
    return {
        (match[1], Path(match[2]).name)
        for match in re.finditer(r"^    - -?\d+ +\d{4}-\d\d-\d\d  (\S+) +(\S+)  .*", text, re.MULTILINE)
    }


def prose(text: str) -> str:
    """Without the places at which lines were broken."""
    return " ".join(text.replace("''", "'").split())


def test_everything_is_told_and_hosts_that_fail_are_lines(inventory):
    before = sorted(
        (path, path.lstat().st_mtime_ns)
        for name in ("cluster", "host")
        for path in (inventory.parent / name).rglob("*")
    )
    status, text = play(inventory, "--check", "--diff")
    assert status == 0, text
    assert places(text) == {
        (where, f"{name}.pem") for where in ("controller", "m1,l1") for name in ("ca", "admin", "kubelet")
    }
    told = prose(text)
    assert "6 certificates on the controller and 2 hosts; the first one ends on " in told
    assert re.search(
        r"warning: m1, l1: \S+/host/admin.pem \(CN=admin\) ends on \S+, in 19 days. Fix: run site.yml", told
    )
    assert re.search(
        r"warning: m1, l1: \S+/host/kubelet.pem \(CN=kubelet\) is older than the controller's. Fix: run site.yml", told
    )
    assert "warning: m2: was not reached: " in told
    assert "warning: n1: was not read: " in told
    assert re.search(r"warning: controller: \S+/cluster/admin.kubeconfig: does not exist", told)
    assert not re.search(r"changed=[1-9]|unreachable=[1-9]|failed=[1-9]", text)
    assert (
        sorted(
            (path, path.lstat().st_mtime_ns)
            for name in ("cluster", "host")
            for path in (inventory.parent / name).rglob("*")
        )
        == before
    )


def test_an_expired_one_ends_it_with_an_error_once_all_is_told(inventory):
    make(inventory.parent / "expired", 401)
    (inventory.parent / "expired/admin.pem").rename(inventory.parent / "host/admin.pem")
    status, text = play(inventory, "--limit", "m1")
    assert status == 2, text
    assert ("m1", "admin.pem") in places(text)
    assert re.search(r"m1: \S+/host/admin.pem \(CN=admin\) expired on \S+ Fix: run site.yml", prose(text))
    assert "l1" not in text


def test_thresholds_and_a_limit_and_no_directory(inventory):
    status, text = play(
        inventory, "--limit", "l1", "-e", "certificate_report_warn_days=10", "-e", f"cluster_dir={inventory}/gone"
    )
    assert status == 0, text
    assert places(text) == {("l1", f"{name}.pem") for name in ("ca", "admin", "kubelet")}
    assert "ends on" not in prose(text).partition("warning: ")[2]
    assert f"warning: controller: {inventory}/gone/pki: does not exist" in prose(text)


def test_the_module_alone(inventory):
    (inventory.parent / "tree").mkdir()
    arguments = [
        "l1",
        "-m",
        "hardway.kubernetes.certificate_info",
        "-a",
        json.dumps({"paths": [f"{inventory.parent}/host"]}),
        "-t",
        f"{inventory.parent}/tree",
    ]
    status, text = ansible("adhoc", inventory, *arguments)
    assert status == 0, text
    result = json.loads((inventory.parent / "tree/l1").read_text())
    assert result["changed"] is False
    assert (result["reachable"], result["readable"], result["error"], result["problems"]) == (True, True, "", [])
    assert {Path(entry["where"]).name: entry["days_left"] for entry in result["certificates"]} == {
        "admin.pem": 19,
        "ca.pem": 3269,
        "kubelet.pem": 19,
    }
    assert "PRIVATE" not in text
    assert "BEGIN" not in json.dumps(result)


@pytest.mark.parametrize("host", ["m2", "n1"])
def test_the_module_alone_fails_with_its_host(inventory, host):
    status, text = ansible(
        "adhoc", inventory, host, "-m", "hardway.kubernetes.certificate_info", "-a", json.dumps({"paths": ["/etc"]})
    )
    assert status != 0
    assert "python-none" in text or "UNREACHABLE" in text
