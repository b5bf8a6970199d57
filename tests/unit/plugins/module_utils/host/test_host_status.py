# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs on a host: real processes, whose binaries are switched and replaced under them; haproxy's statistics."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.etcd import client as etcd
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import status as subject

STATISTICS = """\
# pxname,svname,qcur,scur,status,check_status,check_desc
kubernetes,FRONTEND,,9,OPEN,,
kube-apiserver,master1,0,4,UP,L7OK,Layer7 check passed
kube-apiserver,master2,0,,NOLB,L7OKC,
kube-apiserver,BACKEND,0,4,UP,,
"""


@pytest.fixture(name="installed")
def make_installed(tmp_path):
    """A program installed in two versions, its link, and a process of the first one."""
    sleep = shutil.which("sleep")
    for version in ("1.0", "1.1"):
        (tmp_path / "opt/web" / version).mkdir(parents=True)
        shutil.copy(sleep, tmp_path / "opt/web" / version / "web")
    link = tmp_path / "web"
    link.symlink_to("opt/web/1.0/web")
    with subprocess.Popen([str(link), "60"]) as process:
        # The kernel shows the file a moment before the words.
        while os.readlink(f"/proc/{process.pid}/exe") != str(tmp_path / "opt/web/1.0/web") or subject.started_as(
            process.pid
        ) != str(link):
            pass
        yield tmp_path, link, process.pid
        process.kill()


def test_a_process_runs_what_its_link_points_at(installed):
    root, _link, pid = installed
    path = str(root / "opt/web/1.0/web")
    assert subject.binary_of(pid, str(root / "opt")) == ({"path": path, "version": "1.0", "replaced": False}, "1.0")


def test_the_link_was_switched(installed):
    root, link, pid = installed
    link.unlink()
    link.symlink_to("opt/web/1.1/web")
    running, linked = subject.binary_of(pid, str(root / "opt"))
    assert (running["version"], running["replaced"], linked) == ("1.0", False, "1.1")


def test_the_file_was_replaced(installed):
    root, _link, pid = installed
    os.replace(root / "opt/web/1.1/web", root / "opt/web/1.0/web")
    assert subject.binary_of(pid, str(root / "opt"))[0] == {
        "path": str(root / "opt/web/1.0/web"),
        "version": "1.0",
        "replaced": True,
    }


def test_a_program_of_a_package_has_no_version_in_its_path(installed):
    running, linked = subject.binary_of(installed[2], "/opt/hardway")
    assert (running["version"], linked) == ("", "")


@pytest.mark.parametrize("pid", [0, 1 << 30], ids=["no process", "gone"])
def test_nothing_runs(pid):
    assert subject.binary_of(pid, "/opt") == ({"path": "", "version": "", "replaced": False}, "")


def test_programs_in_the_order_of_their_names(installed, monkeypatch):
    root, _link, pid = installed
    active = f"Id=web.service\nActiveState=active\nMainPID={pid}\nActiveEnterTimestampMonotonic=1\nNRestarts=2\n"
    shown = f"{active}\nId=haproxy.service\nActiveState=failed\nMainPID=0\n"
    monkeypatch.setattr(subject.host_facts, "output", lambda *command: shown)
    haproxy, web = subject.programs(
        {"web": "web.service", "haproxy": "haproxy.service"}, str(root / "opt"), {"haproxy": "2.6.12"}
    )
    assert (haproxy["state"], haproxy["version"], haproxy["seconds"]) == ("failed", "2.6.12", None)
    assert (web["state"], web["version"], web["linked"], web["restarts"]) == ("active", "1.0", "1.0", 2)
    assert web["seconds"] > 0


def test_a_unit_that_systemd_does_not_tell_of(monkeypatch):
    monkeypatch.setattr(subject.host_facts, "output", lambda *command: "")
    assert subject.programs({"web": "web.service"}, "/opt", {})[0]["state"] == "unknown"


def test_statistics_of_haproxy():
    assert subject.parse_statistics(STATISTICS) == [
        {"backend": "kube-apiserver", "name": "master1", "state": "UP", "check": "Layer7 check passed", "sessions": 4},
        {"backend": "kube-apiserver", "name": "master2", "state": "NOLB", "check": "L7OKC", "sessions": 0},
    ]


@pytest.mark.parametrize(("status", "told"), [(200, "servers"), (503, "error")])
def test_haproxy_is_asked(status, told):
    class Statistics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/stats;csv"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(STATISTICS.encode())

        def log_message(self, *unused):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Statistics) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert list(subject.backends("127.0.0.1", server.server_port)) == [told]


def test_haproxy_does_not_run():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_port
    assert subject.backends("127.0.0.1", port) == {
        "error": f"haproxy's statistics at 127.0.0.1:{port}: Connection refused"
    }


def test_etcd_that_does_not_answer_is_told(monkeypatch):
    def refuse(params):
        raise etcd.EtcdError("no endpoint lists the members")

    monkeypatch.setattr(subject.etcd, "of_module", refuse)
    assert subject.look_at_etcd({}) == {"error": "no endpoint lists the members"}


def test_a_host_tells_of_itself_whatever_it_was_not_asked():
    seen = subject.gather({"paths": [], "endpoints": [], "timeout": 1.0, "components": True}, {})
    assert seen["facts"]["hostname"] and seen["found"] is not None and len(seen["load"]) == 3


def test_a_packaged_component_has_its_package_s_version():
    assert subject.packaged("docker", {"docker.io": "20.10.24"}) == "20.10.24"
    assert subject.packaged("haproxy", {"haproxy": "2.6.12"}) == "2.6.12"
    assert subject.packaged("etcd", {"haproxy": "2.6.12"}) == ""


def test_programs_are_those_of_the_records(tmp_path, monkeypatch):
    for name, service in (("etcd", "etcd.service"), ("calicoctl", None)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"owns": {"paths": [], "service": service}}))
    monkeypatch.setattr(component_paths, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(subject.host_facts, "read", lambda arguments: {"packages": {}})
    monkeypatch.setattr(subject.certificate_info, "gather", lambda **arguments: {})
    monkeypatch.setattr(subject, "programs", lambda services, install_dir, packages: services)
    assert subject.gather({}, {})["programs"] == {"etcd": "etcd.service"}
