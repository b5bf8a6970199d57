# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the API tells, from a server that answers well, badly, or not at all."""

from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.status import api as status_api
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

NODE = {
    "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": "", "x": "y"}},
    "spec": {"unschedulable": True},
    "status": {
        "nodeInfo": {
            "kubeletVersion": "v1.36.3",
            "containerRuntimeVersion": "containerd://2.4.2",
            "kernelVersion": "6.1",
            "osImage": "Debian 12",
        },
        "conditions": [
            {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting"},
            {"type": "DiskPressure", "status": "True"},
        ],
    },
}
REQUESTS = [
    {"metadata": {"name": "csr-1"}, "status": {}},
    {"metadata": {"name": "csr-2"}, "status": {"conditions": [{"type": "Approved"}]}},
]
DEAD = "https://127.0.0.1:9"


def answers(**other):
    known = {
        "/version": (200, {"gitVersion": "v1.36.3"}),
        "/readyz": (200, "ok"),
        "/api/v1/nodes": (200, {"items": [NODE]}),
        f"{status_api.LEASE_PATH}/kube-scheduler": (200, {"spec": {"holderIdentity": "master_1_f00d-1"}}),
        status_api.REQUEST_PATH: (200, {"items": REQUESTS}),
        **other,
    }
    return lambda method, path, query, body: (*known.get(path, (404, {})), {})


def observe(tmp_path, handler, servers=()):
    with FakeApi(tmp_path, handler) as fake:
        return status_api.observe(str(fake.kubeconfig), {"m1": fake.url, **dict(servers)}, timeout=2), fake


def test_all_that_is_observed(tmp_path):
    seen, fake = observe(tmp_path, answers())
    well = {"version": "1.36.3", "ready": True, "error": ""}
    assert (seen["endpoint"], seen["servers"], seen["error"], seen["waiting"]) == (well, {"m1": well}, "", ["csr-1"])
    assert seen["leaders"] == {"kube-scheduler": "master_1"}
    assert seen["nodes"] == [
        {
            "name": "n1",
            "roles": ["control-plane"],
            "ready": False,
            "reason": "Kubelet stopped posting",
            "cordoned": True,
            "pressures": ["DiskPressure"],
            "kubelet": "1.36.3",
            "runtime": "containerd://2.4.2",
            "kernel": "6.1",
            "os": "Debian 12",
        }
    ]
    assert {request.split()[0] for request in fake.requests} == {"GET"}


def test_one_that_is_not_ready_names_what_fails(tmp_path):
    seen, _unused = observe(
        tmp_path, answers(**{"/readyz": (500, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]shutdown failed")})
    )
    assert seen["servers"]["m1"] == {"version": "1.36.3", "ready": False, "error": "is not ready: etcd, shutdown"}


def test_one_that_does_not_answer(tmp_path):
    seen, _unused = observe(tmp_path, answers(), {"m2": DEAD})
    assert seen["servers"]["m2"]["version"] == "" and "Connection refused" in seen["servers"]["m2"]["error"]
    assert len(seen["nodes"]) == 1


def test_without_its_endpoint_the_api_is_asked_on_a_master(tmp_path):
    with FakeApi(tmp_path, answers()) as fake:
        fake.kubeconfig.write_text(fake.kubeconfig.read_text().replace(fake.url, DEAD))
        seen = status_api.observe(str(fake.kubeconfig), {"m1": fake.url}, timeout=2)
    assert not seen["endpoint"]["ready"] and len(seen["nodes"]) == 1


def test_what_cannot_be_read_is_an_error(tmp_path):
    seen, _unused = observe(tmp_path, answers(**{"/api/v1/nodes": (403, {"message": "forbidden"})}))
    assert seen["nodes"] is None and "forbidden" in seen["error"]


@pytest.mark.parametrize("servers", [{}, {"m1": DEAD}])
def test_without_a_kubeconfig(tmp_path, servers):
    seen = status_api.observe(str(tmp_path / "none"), servers)
    assert "No such file" in seen["error"] and seen["endpoint"]["error"] == seen["error"] and seen["nodes"] is None
