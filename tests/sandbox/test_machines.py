"""The sandbox, tried on a real spare machine; the other machines, if any are up, are left alone."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

SANDBOX = Path(__file__).resolve().parent.parent.parent / "sandbox"
sys.path.insert(0, str(SANDBOX))

from machinery import disk, host, inventory, network, settings, units  # noqa: E402
from machinery.errors import SandboxError  # noqa: E402

NAME = "lb3"
ADDRESS = "10.33.0.23"

real = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("systemd-nspawn"), reason="needs root and systemd-nspawn"
)


def sandbox(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SANDBOX / "machines.py"), *words], check=check, capture_output=True, text=True
    )


def on_machine(command: str) -> str:
    return sandbox("login", NAME, command).stdout.strip()


def listed() -> list[str]:
    return next(line.split() for line in sandbox("list").stdout.splitlines() if line.startswith(NAME))


def traces() -> list[str]:
    """Return what the machine has on this computer besides its disk."""
    found = [str(group) for group in units.unit(NAME).cgroups() if group.exists()]
    found += [f"process {pid}" for pid in units.unit(NAME).pids()]
    found += [
        path for path in (f"/sys/class/net/vb-{NAME}", f"/run/systemd/nspawn/propagate/{NAME}") if Path(path).exists()
    ]
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return found + [mount for mount in mounts if f"/{disk.directory(NAME).name}/" in mount]


@pytest.fixture(scope="module")
def machine():
    sandbox("down", NAME)
    sandbox("up", NAME)
    yield NAME
    sandbox("down", NAME)


@real
class TestMachine:
    def test_is_a_whole_computer(self, machine):
        assert on_machine("systemctl is-system-running") == "running"
        assert on_machine("hostname; cat /proc/1/comm").split() == [NAME, "systemd"]
        assert on_machine("findmnt -no PROPAGATION /") == "shared"
        assert on_machine(f"getent hosts {NAME}").split()[0] == ADDRESS
        assert on_machine("modprobe overlay && modprobe br_netfilter && echo loaded") == "loaded"
        groups = "find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs -printf '%h\\n'"
        assert (
            on_machine(f"for group in $({groups}); do mkdir $group/test && rmdir $group/test || echo $group; done")
            == ""
        )

    def test_what_roles_install_does_not_run_before(self, machine):
        assert (
            on_machine("dpkg -s haproxy keepalived nginx-light docker.io | grep -c '^Status: install ok installed'")
            == "4"
        )
        assert (
            on_machine("systemctl is-active haproxy keepalived nginx docker containerd docker.socket || :").split()
            == ["inactive"] * 6
        )

    def test_addresses_outside_are_refused_at_once(self, machine):
        began = time.monotonic()
        # TEST-NET-1: an address that belongs to nobody.
        assert on_machine("curl --silent --max-time 20 http://192.0.2.77/; echo $?") == "7"
        assert on_machine("getent hosts nobody.invalid; echo $?") == "2"
        assert time.monotonic() - began < 5

    def test_up_again_changes_nothing(self, machine):
        before = listed()
        sandbox("up", NAME)
        assert listed() == before
        assert before[1:3] == [ADDRESS, "running"]

    def test_reset_makes_it_fresh(self, machine):
        identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
        before = on_machine(f"touch /root/mark; mkdir /var/lib/etcd; touch /var/lib/etcd/mark; {identity}")
        began = time.monotonic()
        sandbox("reset", NAME)
        assert time.monotonic() - began < 20
        assert on_machine("ls -d /root/mark /var/lib/etcd 2>/dev/null || :") == ""
        assert set(on_machine(identity).split("\n")).isdisjoint(before.split("\n"))

    def test_directories_of_components_can_be_removed(self, machine):
        assert on_machine("mkdir /var/lib/etcd && rmdir /var/lib/etcd && echo removed") == "removed"

    def test_reboots_itself(self, machine):
        began = "cut -d' ' -f22 /proc/1/stat"
        before = on_machine(f"touch /root/mark; {began}")
        sandbox("login", NAME, "systemctl reboot", check=False)
        time.sleep(1)
        sandbox("up", NAME)
        assert on_machine(began) != before
        assert on_machine("ls /root/mark") == "/root/mark"

    def test_power_off_is_silent_and_leaves_nothing(self, machine):
        on_machine("touch /root/mark && sync")
        with socket.create_connection((ADDRESS, 22), timeout=5) as connection:
            connection.recv(100)
            sandbox("power-off", NAME)
            assert not select.select([connection], [], [], 1)[0], "a machine without power says nothing to its peers"
        assert listed()[2:] == ["off", "-"]
        assert traces() == []
        sandbox("power-on", NAME)
        assert on_machine("ls /root/mark") == "/root/mark"

    def test_orphans_of_a_killed_nspawn_do_not_disturb(self, machine):
        leader = units.unit(NAME).leader()
        status = Path(f"/proc/{leader}/status").read_text(encoding="ascii")
        nspawn = int(re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE).group(1))
        assert Path(f"/proc/{nspawn}/comm").read_text(encoding="ascii").strip() == "systemd-nspawn"
        os.kill(nspawn, signal.SIGKILL)
        assert units.unit(NAME).leader() == leader, "a killed systemd-nspawn leaves the machine's processes behind"
        sandbox("power-off", NAME)
        assert traces() == []
        sandbox("power-on", NAME)
        assert listed()[2] == "running"


@real
class TestInterruptedUp:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_leaves_nothing(self, number):
        assert interrupt_up(number) == 130
        assert not disk.exists(NAME)
        assert traces() == []

    def test_killed_does_not_disturb_the_next(self):
        assert interrupt_up(signal.SIGKILL) == -signal.SIGKILL
        sandbox("up", NAME)
        assert listed()[2] == "running"

    def test_down_leaves_nothing(self):
        sandbox("down", NAME)
        assert listed()[2] == "absent"
        assert traces() == []
        if not disk.names():
            assert not settings.STATE.exists()
            assert not network.bridge_exists()
            assert (
                network.COMMENT
                not in subprocess.run(["iptables", "-S"], check=True, capture_output=True, text=True).stdout
            )
            assert units.left_behind() == []


def interrupt_up(number: int) -> int:
    """Send a signal to `up` as soon as it has started the machine's processes."""
    sandbox("down", NAME)
    command = subprocess.Popen(
        [sys.executable, str(SANDBOX / "machines.py"), "up", NAME], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not units.unit(NAME).pids():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    command.send_signal(number)
    return command.wait(timeout=30)


class TestRefusals:
    """Each names the cause and the mend, and all come at once."""

    @pytest.fixture(autouse=True)
    def root(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def refusal(self) -> str:
        with pytest.raises(SandboxError) as raised:
            host.check(booting=7)
        return str(raised.value)

    def test_not_root(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert "run this command as root" in self.refusal()

    def test_missing_packages(self, monkeypatch):
        found = shutil.which
        monkeypatch.setattr(shutil, "which", lambda name: None if name == "systemd-nspawn" else found(name))
        assert "not installed: systemd-container. Run: sandbox/machines.py setup" in self.refusal()

    def test_space_and_memory_at_once(self, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=settings.GIB))
        monkeypatch.setattr(settings, "MACHINE_MEMORY", 1024 * settings.GIB)
        refusal = self.refusal()
        assert "1.0 GiB are free" in refusal and "Make room" in refusal
        assert "GiB of memory are available" in refusal and "name fewer machines" in refusal

    @pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2")
    @pytest.mark.parametrize(
        "addresses, routes, expected",
        [
            (
                '[{"ifname": "vpn0", "addr_info": [{"local": "10.33.0.7", "prefixlen": 16}]}]',
                "[]",
                "the interface vpn0 has the address 10.33.0.7/16",
            ),
            (
                "[]",
                '[{"dst": "default", "dev": "eth0"}, {"dst": "10.32.0.0/11", "dev": "vpn0"}]',
                "a route to 10.32.0.0/11 goes through vpn0",
            ),
        ],
    )
    def test_address_range_in_use(self, monkeypatch, addresses, routes, expected):
        answers = {"address": addresses, "route": routes}
        monkeypatch.setattr(
            network, "run", lambda *words, **options: SimpleNamespace(stdout=answers[words[-1]], returncode=0)
        )
        assert f"10.33.0.0/24 is in use: {expected}" in self.refusal()

    def test_own_bridge_is_no_conflict(self, monkeypatch):
        own = f'[{{"ifname": "{settings.BRIDGE}", "addr_info": [{{"local": "10.33.0.1", "prefixlen": 24}}]}}]'
        answers = {"address": own, "route": f'[{{"dst": "10.33.0.0/24", "dev": "{settings.BRIDGE}"}}]'}
        monkeypatch.setattr(
            network, "run", lambda *words, **options: SimpleNamespace(stdout=answers[words[-1]], returncode=0)
        )
        assert network.conflicts() == []

    def test_kernel_without_what_machines_are_made_of(self, monkeypatch):
        monkeypatch.setattr(network, "bridge_exists", lambda: False)
        monkeypatch.setattr(
            host,
            "run",
            lambda *words, **options: SimpleNamespace(returncode=2, stderr="Operation not supported", stdout=""),
        )
        read = Path.read_text
        without = "nodev\tproc\n"
        monkeypatch.setattr(
            Path,
            "read_text",
            lambda self, **options: without if str(self) == "/proc/filesystems" else read(self, **options),
        )
        refusal = self.refusal()
        assert "no overlay file system" in refusal
        if shutil.which("ip"):
            assert "no network interface of type bridge: Operation not supported" in refusal
            assert "no network interface of type veth" in refusal


class TestInventory:
    def read(self, tmp_path, monkeypatch, hosts: str):
        path = tmp_path / "hosts.yml"
        path.write_text(hosts, encoding="utf-8")
        monkeypatch.setattr(settings, "INVENTORY", path)
        return inventory.read()

    def test_names_all_machines(self):
        machines = inventory.read()
        assert list(machines) == [
            "master1",
            "master2",
            "master3",
            "lb1",
            "lb2",
            "node1",
            "node2",
            "master4",
            "etcd4",
            "lb3",
            "node3",
            *(f"node{number}" for number in range(4, 34)),
        ]
        assert [name for name, machine in machines.items() if machine.spare] == ["master4", "etcd4", "lb3", "node3"]
        assert [name for name, machine in machines.items() if machine.scale] == [f"node{n}" for n in range(4, 34)]
        assert sum(machine.always for machine in machines.values()) == 7
        assert str(machines[NAME].address) == ADDRESS

    def test_no_machine_has_the_virtual_address(self):
        settings_of_all = (SANDBOX.parent / "inventory" / "group_vars" / "all.yml").read_text(encoding="utf-8")
        virtual = re.search(r"^cluster_endpoint_address: (\S+)$", settings_of_all, re.MULTILINE)[1]
        assert virtual not in [str(machine.address) for machine in inventory.read().values()]

    @pytest.mark.parametrize(
        "hosts, expected",
        [
            ("all: {}", "under all.hosts"),
            ("[", "cannot be read as an inventory"),
            ("all: {hosts: {a-very-long-name: {ansible_host: 10.33.0.9}}}", "at most 12"),
            ("all: {hosts: {one: {}}}", "must be an IPv4 address, not ''"),
            ("all: {hosts: {one: {ansible_host: 10.34.0.9}}}", "must lie in 10.33.0.0/24"),
            ("all: {hosts: {one: {ansible_host: 10.33.0.1}}}", "and not be 10.33.0.1"),
            (
                "all: {hosts: {one: {ansible_host: 10.33.0.9}, two: {ansible_host: 10.33.0.9}}}",
                "the name or the address of one",
            ),
        ],
    )
    def test_refuses(self, tmp_path, monkeypatch, hosts, expected):
        with pytest.raises(SandboxError, match=expected):
            self.read(tmp_path, monkeypatch, hosts)

    def test_refuses_an_unknown_name(self):
        with pytest.raises(SandboxError, match=r"No machine is called node99\. There are: master1, "):
            inventory.select(inventory.read(), ["node1", "node99"])


class TestMirror:
    @pytest.fixture
    def address(self, tmp_path):
        import importlib.util

        specification = importlib.util.spec_from_file_location("sandbox_mirror", SANDBOX / "mirror.py")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "file").write_bytes(b"content" * 100_000)
        server = module.make_server("127.0.0.1", 0, tmp_path)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()

    def test_serves_files(self, address):
        with urllib.request.urlopen(f"{address}/a/b/file", timeout=10) as answer:
            assert answer.read() == b"content" * 100_000
            assert answer.headers["Content-Length"] == "700000"

    @pytest.mark.parametrize("path", ["/a/b/other", "/a/", "/", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"])
    def test_serves_nothing_else(self, address, path):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{address}{path}", timeout=10)
        assert raised.value.code == 404
