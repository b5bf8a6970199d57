# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Readers of host_facts: real excerpts of what they read, and this machine itself."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time

from ansible_collections.hardway.kubernetes.plugins.module_utils.host import facts as host_facts

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B21210A:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1001 1 0 100 0 0 10 0
   1: 0100007F:2808 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 1002 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1003 1
   1: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1004 1
"""
ROUTES = """\
Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
ARGUMENTS = {
    "paths": ["/var/lib/etcd"],
    "units": ["etcd"],
    "commands": ["sh", "no-such-command"],
    "features": ["overlay", "no_such_module"],
    "kubelet_certificate": "",
    "etcd_data_dir": "/nowhere",
    "bin_dir": "/nowhere",
}


def test_distribution():
    text = 'PRETTY_NAME="Rocky Linux 9.4"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'
    assert host_facts.distribution(text) == {
        "id": "rocky",
        "like": ["rhel", "centos", "fedora"],
        "version": "9.4",
        "codename": "",
        "name": "Rocky Linux 9.4",
    }


def test_addresses_leave_the_loopback_out():
    links = [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {
            "ifname": "host0",
            "flags": ["UP"],
            "addr_info": [{"local": "10.33.0.11", "prefixlen": 24, "scope": "global"}, {}],
        },
    ]
    assert host_facts.addresses(json.dumps(links)) == [
        {"address": "10.33.0.11", "prefix": 24, "interface": "host0", "scope": "global"}
    ]
    assert host_facts.addresses("") == host_facts.addresses("Usage: ip ...") == []


def test_default_interface_has_the_lowest_metric():
    assert host_facts.default_interface(ROUTES) == "eth0"
    assert (
        host_facts.default_interface(
            "", "0" * 32 + " 00 " + "0" * 32 + " 00 fe80 00000400 00000001 00000000 00000003 eth1"
        )
        == "eth1"
    )
    assert host_facts.default_interface("") == ""


def test_listening_sockets_of_both_families():
    assert host_facts.listening_sockets(TCP) == [("10.33.33.11", 2375, "1001")]
    assert host_facts.listening_sockets(TCP6) == [("::", 6443, "1003"), ("127.0.0.1", 8080, "1004")]


def test_unit_of_a_process_in_either_cgroup_version():
    assert host_facts.unit_of("0::/system.slice/kubelet.service\n") == "kubelet.service"
    assert (
        host_facts.unit_of("4:memory:/master1\n1:name=systemd:/master1/system.slice/etcd.service\n") == "etcd.service"
    )
    assert host_facts.unit_of("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-12.scope\n") == "kubepods"
    assert host_facts.unit_of("0::/\n") == ""


def test_owner_of_a_socket_is_this_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        tables = [host_facts.read_text("/proc/net/tcp")]
        owner = next(
            entry for entry in host_facts.listeners(tables) if entry["port"] == port and entry["address"] == "127.0.0.1"
        )
    assert owner["pid"] == os.getpid()


def test_a_socket_that_no_process_has_open_is_nobody_s():
    assert host_facts.socket_owners({"no such"}) == {"no such": {"process": "", "pid": 0, "unit": ""}}


def test_whose_a_socket_is_is_not_guessed_when_time_is_up():
    assert host_facts.socket_owners({"no such"}, seconds=-1) == {}


def test_units_of_systemctl_show():
    text = "Id=etcd.service\nActiveState=active\nFragmentPath=/etc/systemd/system/etcd.service\n\nId=kubelet.service\nActiveState=inactive\nFragmentPath=\n"
    assert host_facts.parse_units(text) == {
        "etcd.service": {"state": "active", "file": "/etc/systemd/system/etcd.service"},
        "kubelet.service": {"state": "inactive", "file": ""},
    }


def test_swap_and_memory():
    assert host_facts.swap_devices("Filename Type Size Used Priority\n/dev/sda2 partition 1000 0 -2\n") == ["/dev/sda2"]
    assert host_facts.swap_devices("") == []
    assert host_facts.memory_mib("MemTotal:        2048000 kB\nMemFree: 1 kB\n") == 2000


def test_certificate_that_is_missing_or_damaged(tmp_path):
    missing = host_facts.certificate(str(tmp_path / "none.pem"))
    (tmp_path / "damaged.pem").write_text("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")
    damaged = host_facts.certificate(str(tmp_path / "damaged.pem"))
    assert (missing["present"], missing["expired"]) == (False, False)
    assert (damaged["present"], damaged["expired"]) == (True, True)


def test_certificate_with_its_key_in_one_file(tmp_path):
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:node:node1")])
    now = datetime.now(timezone.utc).replace(microsecond=0)
    for path, ends in (("valid.pem", now + timedelta(days=1)), ("expired.pem", now - timedelta(hours=1))):
        builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(days=2), ends)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        pem += key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / path).write_bytes(pem)
        found = host_facts.certificate(str(tmp_path / path))
        assert (found["not_after"], found["expired"]) == (int(ends.timestamp()), path == "expired.pem")


def test_filesystem_of_a_path_that_is_not_there_yet():
    assert host_facts.filesystem("/no/such/path")["device"] == host_facts.filesystem("/")["device"]
    assert host_facts.filesystem("/proc/none")["size_mib"] == 0


def test_what_a_member_started_with_is_known_while_it_has_data(tmp_path):
    config = tmp_path / "etcd.yaml"
    config.write_text(
        "name: a\ninitial-cluster: a=https://[::1]:2380,b=https://192.0.2.2:2380\ninitial-cluster-token: t\ninitial-cluster-state: existing\n"
    )
    unit = tmp_path / "etcd.service"
    paths = (str(unit), str(config))
    assert host_facts.etcd_started_with(str(tmp_path), paths) == {}
    (tmp_path / "member").mkdir()
    wanted = {"initial-cluster": "a=https://[::1]:2380,b=https://192.0.2.2:2380", "initial-cluster-state": "existing"}
    assert host_facts.etcd_started_with(str(tmp_path), paths) == wanted, "made by a version that wrote a file"
    unit.write_text("ExecStart=/usr/local/bin/etcd --config-file=/etc/etcd/etcd.yaml\n")
    assert host_facts.etcd_started_with(str(tmp_path), paths) == wanted, "that version's unit says nothing"
    unit.write_text(
        "ExecStart=/usr/local/bin/etcd \\\n  --initial-advertise-peer-urls=https://[::1]:2380 \\\n  --initial-cluster=c=https://[::2]:2380 \\\n"
        "  --initial-cluster-state=new \\\n  --initial-cluster-token=t\n"
    )
    wanted = {"initial-cluster": "c=https://[::2]:2380", "initial-cluster-state": "new"}
    assert host_facts.etcd_started_with(str(tmp_path), paths) == wanted
    assert host_facts.etcd_started_with(str(tmp_path), (str(tmp_path / "none"),)) == {}


def test_trusted_authorities_are_told_by_the_sums_of_their_certificates(tmp_path):
    bundle, broken = tmp_path / "ca.pem", tmp_path / "broken.pem"
    blocks = "".join(
        f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n" for body in ("Zmlyc3Q=", "c2Vj\nb25k")
    )
    bundle.write_text(f"subject: a comment\n{blocks}")
    broken.write_text("-----BEGIN CERTIFICATE-----\nZ\n-----END CERTIFICATE-----\n")
    wanted = [hashlib.sha256(body).hexdigest() for body in (b"first", b"second")]
    assert host_facts.authorities((str(bundle), str(broken), str(tmp_path / "none"))) == {str(bundle): wanted}


def test_versions_are_where_the_links_lead(tmp_path):
    (tmp_path / "kubelet").symlink_to("/opt/hardway/kubelet/1.36.3/kubelet")
    (tmp_path / "etcd").write_text("a file of somebody")
    assert host_facts.installed(str(tmp_path)) == {"kubelet": "1.36.3"}


def network_of(directory) -> dict[str, str]:
    return host_facts.network(
        str(directory), str(directory / "net.d"), str(directory / "flanneld.service"), str(directory / "network.yaml")
    )


def test_a_fresh_host_has_no_network_whatever_its_distribution_brought(tmp_path):
    assert network_of(tmp_path) == {}
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d" / "87-podman-bridge.conflist").write_text('{"plugins": [{"type": "bridge"}]}')
    (tmp_path / "net.d" / "10-calico.conflist").write_text('{"plugins": [{"type": "calico"}]}')
    assert network_of(tmp_path) == {}, "a host that did not join has none, whatever was there before"


def test_our_networks_are_known_by_their_records(tmp_path):
    (tmp_path / "kubelet.json").touch()
    (tmp_path / "pod-routes.json").touch()
    assert network_of(tmp_path) == {"cni": "bridge"}
    (tmp_path / "flanneld.json").touch()
    assert network_of(tmp_path) == {"cni": "flannel"}, "a run that died before it wrote the unit tells no more"
    (tmp_path / "flanneld.service").write_text("ExecStart=/usr/local/bin/flanneld --kube-subnet-mgr")
    assert network_of(tmp_path) == {"cni": "flannel", "datastore": "kubernetes"}
    (tmp_path / "flanneld.service").write_text(
        "ExecStart=/usr/local/bin/flanneld --etcd-endpoints=x --etcd-prefix=/coreos.com/network"
    )
    assert network_of(tmp_path) == {"cni": "flannel", "datastore": "etcd"}
    (tmp_path / "calico.json").touch()
    (tmp_path / "network.yaml").write_text("# how\ncni: calico\nmethod: operator\ndatastore: kubernetes\n")
    assert network_of(tmp_path) == {"cni": "calico", "method": "operator", "datastore": "kubernetes"}


def test_a_network_of_somebody_else_is_known_by_its_plugin(tmp_path):
    (tmp_path / "kubelet.json").touch()
    (tmp_path / "net.d").mkdir()
    (tmp_path / "net.d" / "05-cilium.conflist").write_text('{"plugins": [{"type": "cilium-cni"}]}')
    (tmp_path / "net.d" / "10-calico.conflist.bak").write_text('{"plugins": [{"type": "calico"}]}')
    assert network_of(tmp_path) == {"cni": "foreign", "plugin": "cilium-cni"}
    (tmp_path / "net.d" / "05-cilium.conflist").write_text('{"plugins": [{"type": "bridge"}, {"type": "portmap"}]}')
    assert network_of(tmp_path) == {}, "a bridge of containers on one host is no network of a cluster"


def test_this_machine_is_read_at_once():
    begin = time.monotonic()
    facts = host_facts.read(ARGUMENTS)
    assert time.monotonic() - begin < 3
    assert facts["memory_mib"] > 0 and facts["cpus"] > 0 and facts["python"] and abs(facts["time"] - time.time()) < 60
    assert facts["commands"]["sh"] and not facts["commands"]["no-such-command"]
    assert facts["features"]["no_such_module"] == "missing" and not facts["etcd_member"]
    assert set(facts["filesystems"]) == {"/", "/var/lib/etcd"}
    json.dumps(facts)


def test_the_list_of_packages_has_time(tmp_path, monkeypatch):
    """Without it nothing seems to be installed, so each run would install all of it again."""
    (tmp_path / "rpm").write_text("#!/bin/sh\n/bin/sleep 0.3\necho installed conntrack-tools 1.4.7-2\n")
    (tmp_path / "rpm").chmod(0o755)
    monkeypatch.setattr(host_facts, "PATH", str(tmp_path))
    assert host_facts.packages() == {"conntrack-tools": "1.4.7-2"}
    monkeypatch.setattr(host_facts, "PACKAGES_SECONDS", 0.1)
    assert host_facts.packages() == {}
