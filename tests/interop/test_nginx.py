# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx itself accepts the configuration that the role lb writes, and does with masters that fail what the documents promise."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import threading
import time
import typing as t
import urllib.request
from pathlib import Path

import pytest
import tools
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = tools.ROOT / "roles" / "lb"
# One port on addresses of the loopback interface, as masters have one port on addresses of their own.
MASTERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def render(template: str, **variables: t.Any) -> str:
    sources = (ROLE.parent / "cluster/defaults/main.yml", ROLE / "defaults/main.yml", ROLE / "vars/main.yml")
    defaults = {name: value for path in sources for name, value in yaml.safe_load(path.read_text()).items()}
    settings = {"lb_maxconn": 100, "cluster_lb": "nginx", "cluster_endpoint_address": "192.0.2.9"}
    values = {**defaults, **settings, "cluster_endpoint_port": 6443, "cluster_apiserver_port": 6443, **variables}
    values["cluster_masters"] = [
        {"name": f"master{number}", "address": address} for number, address in enumerate(MASTERS, 1)
    ]
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in values.items()}
    text = trust_as_template((ROLE / "templates" / template).read_text())
    return Templar(loader=DataLoader(), variables=trusted).template(
        text, overrides={"trim_blocks": True, "lstrip_blocks": True}
    )


class Nginx:
    """nginx with the role's configuration, in a directory of its own: modules, logs and temporary files lie there, the rest is as on a host."""

    def __init__(self, directory: Path, **variables: t.Any) -> None:
        try:
            self.binary, modules = tools.nginx()
        except tools.Missing as error:
            pytest.skip(str(error))
        self.port, self.status, self.master_port = free_port(), free_port(), free_port("127.0.0.2")
        self.directory = directory
        (directory / "modules.conf").write_text(f"load_module {modules}/ngx_stream_module.so;\n")
        ports = {
            "cluster_endpoint_port": self.port,
            "cluster_lb_stats_port": self.status,
            "cluster_apiserver_port": self.master_port,
        }
        self.variables = {**ports, **variables}
        text = render("nginx.conf.j2", **self.variables)
        text = text.replace("/etc/nginx/modules-enabled/*.conf", f"{directory}/modules.conf")
        text = text.replace("/usr/share/nginx/modules/*.conf", f"{directory}/none/*.conf")
        text = re.sub(r"error_log syslog:[^;]*;", f"error_log {directory}/error.log notice;", text)
        text = re.sub(r"access_log syslog:[^ ]* kubernetes;", f"access_log {directory}/access.log kubernetes;", text)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        text = text.replace("http {", "http {" + "".join(f" {kind}_temp_path {directory}/{kind};" for kind in kinds))
        self.configuration = directory / "nginx.conf"
        self.configuration.write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [
            self.binary,
            "-p",
            self.directory,
            "-g",
            f"pid {self.directory}/nginx.pid;",
            "-c",
            self.configuration,
            *arguments,
        ]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "HARDWAY_INPUTS": "digest"},
        )

    @contextlib.contextmanager
    def running(self) -> t.Iterator[Nginx]:
        done = self.run()
        assert done.returncode == 0, done.stderr
        try:
            yield self
        finally:
            self.run("-s", "stop")
            until(lambda: not (self.directory / "nginx.pid").exists())

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status}/health", timeout=5) as answer:
            return answer.status

    def ask(self) -> str:
        """Which master a new connection reaches; empty where it is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            return connection.recv(100).decode()


class Master:
    """Says its address to who connects."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self._listener = socket.create_server((address, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = self._listener.accept()
                connection.sendall(self.address.encode())
                connection.close()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def without_power(address: str, port: int) -> t.Iterator[None]:
    """An address that answers nothing: its queue of connections is full, so the kernel drops further ones."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _number in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        yield


def until(holds: t.Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_accepts_the_configuration(tmp_path):
    for variables in ({}, {"lb_nginx_main": "timer_resolution 100ms;", "lb_nginx_extra": "# theirs"}):
        done = Nginx(tmp_path, **variables).run("-t")
        assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr


def test_it_refuses_a_mistake_in_the_settings(tmp_path):
    done = Nginx(tmp_path, lb_nginx_extra="strea {").run("-t", "-q")
    assert done.returncode == 1 and "strea" in done.stderr


def test_its_port_may_be_taken_while_it_is_checked(tmp_path):
    """haproxy listens there until nginx takes its place."""
    nginx = Nginx(tmp_path)
    with socket.create_server(("0.0.0.0", nginx.port)):
        assert nginx.run("-t", "-q").returncode == 0


def test_its_environment_is_lost(tmp_path):
    """The reason why its unit tells what it was started with. If it were kept one day, the role could say so."""
    with Nginx(tmp_path).running():
        environment = Path("/proc", (tmp_path / "nginx.pid").read_text().strip(), "environ")
        # It writes its title there a moment after its start.
        until(lambda: b"HARDWAY_INPUTS" not in environment.read_bytes())


def test_health_and_its_check(tmp_path):
    nginx = Nginx(tmp_path)
    check = tmp_path / "check-load-balancer"
    check.write_text(render("check-load-balancer.j2", **nginx.variables))
    with nginx.running():
        assert nginx.health() == 200
        assert subprocess.run(["bash", check], check=False).returncode == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{nginx.status}/stats", timeout=5) as answer:
            assert b"Active connections" in answer.read()
    assert subprocess.run(["bash", check], check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_no_connection_is_lost_where_a_master_is_dead(tmp_path):
    with Nginx(tmp_path).running() as nginx:
        masters = [Master(address, nginx.master_port) for address in MASTERS]
        assert {nginx.ask() for _number in range(30)} == set(MASTERS)
        masters[0].stop()
        assert {nginx.ask() for _number in range(30)} == set(MASTERS[1:])
        masters[1].stop()
        assert {nginx.ask() for _number in range(10)} == {MASTERS[2]}
        for master in masters[2:]:
            master.stop()
        log = (tmp_path / "access.log").read_text()
        assert f"to 127.0.0.2:{nginx.master_port}, 127.0.0." in log, "the log tells that a second master was asked"


def test_a_master_without_power_costs_one_connection_half_a_second(tmp_path):
    with Nginx(tmp_path, lb_nginx_fail_timeout=60).running() as nginx, without_power(MASTERS[0], nginx.master_port):
        masters = [Master(address, nginx.master_port) for address in MASTERS[1:]]
        times = []
        for _number in range(30):
            began = time.monotonic()
            assert nginx.ask() in MASTERS[1:]
            times.append(time.monotonic() - began)
        for master in masters:
            master.stop()
        assert 0.4 < max(times) < 1.5
        # The workers share what they know: one connection found it out for all of them.
        assert sum(seconds > 0.4 for seconds in times) == 1


def test_a_master_that_comes_back_is_asked_again(tmp_path):
    with Nginx(tmp_path, lb_nginx_fail_timeout=1).running() as nginx:
        masters = [Master(address, nginx.master_port) for address in MASTERS[1:]]
        assert MASTERS[0] not in {nginx.ask() for _number in range(10)}
        masters.append(Master(MASTERS[0], nginx.master_port))
        until(lambda: nginx.ask() == MASTERS[0])
        for master in masters:
            master.stop()


def test_the_drop_in_is_a_unit_and_says_how_it_ended(tmp_path):
    text = render("load-balancer.conf.j2", lb_ended_file=str(tmp_path / "ended"))
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert "\nExecStop=\n" in text and lines["Restart"] == "on-failure"
    for key, value in (("ExecStopPost", "1\n"), ("ExecStartPost", "0\n")):
        command = next(line for line in text.splitlines() if line.startswith(f"{key}=-/bin/sh"))
        subprocess.run(shlex.split(command.removeprefix(f"{key}=-")), check=True)
        assert (tmp_path / "ended").read_text() == value
    assert "ExecStopPost" not in render("load-balancer.conf.j2", cluster_keepalived=False)
    assert "ExecStop=\n" not in render("load-balancer.conf.j2", cluster_lb="haproxy")
