# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finding certificates on a host: real files, real TLS servers, real records of components; and never a key."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import re
import shutil
import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import apply, health, host, model, paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import reconcile as component
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Component, File, Health
from ansible_collections.hardway.kubernetes.plugins.module_utils.host import certificates as subject
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.certificates.report import described
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.component.test_reconcile import ME
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_systemd import Systemd

NOW = datetime.now(timezone.utc)
REQUEST = {
    "cas": [{"name": "ca", "subject": {"CN": "ca"}}, {"name": "other-ca", "subject": {"CN": "other"}}],
    "certificates": [
        {
            "name": "server",
            "ca": "ca",
            "profile": "server",
            "subject": {"CN": "server"},
            "hosts": ["127.0.0.1", "localhost"],
            "validity": "365d",
        },
        {"name": "client", "ca": "ca", "profile": "client", "subject": {"CN": "client"}, "validity": "365d"},
    ],
    "keys": [{"name": "service-account", "type": "rsa"}, {"name": "encryption", "type": "random"}],
    "bundles": [{"name": "both", "cas": ["ca", "other-ca"]}],
}
KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: one
  cluster:
    server: https://192.0.2.1:6443
    certificate-authority: ../pki/ca.pem
# client-certificate: /nowhere
users:
- name: me
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
    token: secret-token
"""


def make(path: Path, now: datetime = NOW) -> Path:
    reconcile_directory(str(path), parse_request(REQUEST), now=now)
    return path


@pytest.fixture(scope="module", name="made")
def make_once(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "pki")


@pytest.fixture(name="directory")
def copy_of_it(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "pki"))


@pytest.fixture(scope="module", name="older")
def make_older(tmp_path_factory):
    """As if it had been made a hundred days ago."""
    return make(tmp_path_factory.mktemp("older") / "pki", NOW - timedelta(days=100))


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def where(found: dict) -> list[str]:
    return [entry["where"] for entry in found["certificates"]]


def pem(path: Path) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(path.read_text()))


# --- files


def test_a_directory(directory):
    found = subject.gather([str(directory)])
    assert found["problems"] == []
    assert where(found) == [
        f"{directory}/{name}"
        for name in ("both.pem (1/2)", "both.pem (2/2)", "ca.pem", "client.pem", "other-ca.pem", "server.pem")
    ]
    by_place = {entry["where"]: entry for entry in found["certificates"]}
    assert by_place[f"{directory}/client.pem"] == {
        "source": "file",
        "path": f"{directory}/client.pem",
        "where": f"{directory}/client.pem",
        "position": 1,
        "endpoint": None,
        "running": {},
        "pem": pem(directory / "client.pem"),
    }
    assert by_place[f"{directory}/both.pem (2/2)"]["pem"] == pem(directory / "other-ca.pem")


def test_all_below_a_directory_and_each_file_once(directory, tmp_path):
    (tmp_path / "kubelet").mkdir()
    (directory / "client.pem").rename(tmp_path / "kubelet/client-2026.pem")
    (tmp_path / "kubelet/client-current.pem").symlink_to("client-2026.pem")
    (tmp_path / "kubelet/nowhere.pem").symlink_to("gone.pem")
    paths = where(subject.gather([str(tmp_path / "kubelet/client-current.pem"), str(tmp_path)]))
    assert [Path(path).name for path in paths if "client" in path] == ["client-current.pem"]
    assert f"{directory}/ca.pem" in paths


def test_a_certificate_beside_its_key(directory):
    both = directory / "kubelet.pem"
    both.write_bytes((directory / "client.pem").read_bytes() + (directory / "client-key.pem").read_bytes())
    (found,) = subject.gather([str(both)])["certificates"]
    assert found["pem"] == pem(directory / "client.pem")


def test_what_is_named_must_be_there_and_what_a_glob_finds_need_not(directory):
    names = ("gone.pem", "gone-*.pem", "encryption.key", "ca.pem", "c*.pem")
    found = subject.gather([*(f"{directory}/{name}" for name in names), "/dev/null"])
    assert found["problems"] == [
        f"{directory}/gone.pem: does not exist",
        f"{directory}/encryption.key: holds no certificate in PEM",
        f"/dev/null: is not a regular file of at most {subject.LARGEST_FILE} bytes",
    ]
    assert where(found) == [f"{directory}/ca.pem", f"{directory}/client.pem"]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert subject.gather([str(tmp_path)]) == {"certificates": [], "processes": [], "problems": []}


def test_what_cannot_be_read_is_told(directory, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(subject, "read_file", refuse)
    assert subject.gather([f"{directory}/ca.pem"])["problems"] == [
        f"{directory}/ca.pem: cannot be read: Permission denied"
    ]


def test_damaged_ones_are_named_and_the_others_read(directory):
    lines = (directory / "both.pem").read_text().splitlines()
    lines[3] = "?" + lines[3][1:]
    (directory / "both.pem").write_text("\n".join(lines))
    found = subject.gather([f"{directory}/both.pem"])
    assert found["problems"] == [f"{directory}/both.pem (1/2): is damaged, or no certificate"]
    assert where(found) == [f"{directory}/both.pem (2/2)"]


# --- kubeconfigs


def test_a_kubeconfig_embedded_and_by_path(directory, tmp_path):
    path = tmp_path / "kube" / "config"
    path.parent.mkdir()
    path.write_text(
        KUBECONFIG.format(certificate=encoded(directory / "client.pem"), key=encoded(directory / "client-key.pem"))
    )
    found = subject.gather([str(path)])
    assert found["problems"] == []
    assert where(found) == [f"{directory}/ca.pem", f"{path} (client-certificate-data)"]
    assert found["certificates"][1]["source"] == "kubeconfig"
    assert found["certificates"][1]["pem"] == pem(directory / "client.pem")


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "Config", "clusters": [{"name": "one", "cluster": {"certificate-authority-data": "%s"}}]}',
        "clusters: [{name: one, cluster: {certificate-authority-data: %s}}]\n",
        "clusters:\n- cluster:\n    'certificate-authority-data': '%s'\n",
        "clusters:\n- cluster:\n    certificate-authority-data:   %s   # made by hand\n",
    ],
)
def test_a_kubeconfig_in_every_style(directory, tmp_path, text):
    (tmp_path / "config").write_text(text % encoded(directory / "ca.pem"))
    (found,) = subject.gather([str(tmp_path / "config")])["certificates"]
    assert found["pem"] == pem(directory / "ca.pem")


def test_a_kubeconfig_that_leads_nowhere(directory, tmp_path):
    (tmp_path / "config").write_text(
        f"clusters:\nusers:\n  client-certificate: gone.pem\n  certificate-authority-data: {encoded(directory / 'ca-key.pem')}\n"
    )
    assert subject.gather([str(tmp_path / "config")]) == {
        "certificates": [],
        "processes": [],
        "problems": [
            f"{tmp_path}/config: its client-certificate {tmp_path}/gone.pem does not exist",
            f"{tmp_path}/config: its certificate-authority-data is no certificate in PEM, encoded in base64",
        ],
    }


def test_what_only_looks_like_a_kubeconfig(tmp_path):
    (tmp_path / "unit").write_text("ExecStart=/bin/x --kubelet-certificate-authority: /x\nclusters: 1\n")
    assert subject.gather([str(tmp_path / "unit")])["problems"] == [f"{tmp_path}/unit: holds no certificate in PEM"]


# --- no key leaves the host


def key_fragments(directory: Path) -> set[str]:
    """Pieces of the private part of every key, as they stand in a file, in base64 of it, and in hexadecimal."""
    found = set()
    for path in [*directory.glob("*-key.pem"), *directory.glob("*.key")]:
        text = path.read_text()
        # RFC 5915: the first 39 bytes, 52 characters, are before the public key, which is in the certificate, too.
        private = "".join(line for line in text.splitlines() if "-----" not in line)[
            : 52 if "EC PRIVATE" in text else None
        ]
        for piece in (
            private,
            base64.b64encode(text[: len(private) + 32].encode()).decode(),
            base64.b64decode(private)[7:].hex(),
        ):
            found.update(piece[start : start + 24] for start in range(0, len(piece) - 24, 8))
    return found


def disguised(directory: Path) -> dict[str, str]:
    """Files that hold a key where a certificate is looked for."""
    key = (directory / "client-key.pem").read_text()
    certificate = (directory / "client.pem").read_text()
    key_der = base64.b64decode("".join(key.splitlines()[1:-1]))
    certificate_der = ssl.PEM_cert_to_DER_cert(certificate)
    return {
        "named-certificate.pem": re.sub("[A-Z]+ PRIVATE KEY", "CERTIFICATE", key),
        "behind-the-certificate.pem": ssl.DER_cert_to_PEM_cert(certificate_der + key_der),
        "before-the-certificate.pem": ssl.DER_cert_to_PEM_cert(key_der + certificate_der),
        # OpenSSL takes a header that makes no sense for the end, whatever comes after it.
        "behind-the-end.pem": ssl.DER_cert_to_PEM_cert(certificate_der + b"\x30\x89" + b"\xff" * 9 + key_der),
        "open-block.pem": f"-----BEGIN CERTIFICATE-----\n{key}{certificate}",
        "within-the-block.pem": certificate.replace(
            "-----BEGIN CERTIFICATE-----", f"-----BEGIN CERTIFICATE-----\n{key}"
        ),
        "without-lines.pem": f"{key.strip()}{certificate.strip()}{key.strip()}",
        "kubeconfig": KUBECONFIG.format(
            certificate=encoded(directory / "client-key.pem"), key=encoded(directory / "client-key.pem")
        ),
        "kubeconfig-of-both": KUBECONFIG.format(
            certificate=base64.b64encode((certificate + key).encode()).decode(),
            key=base64.b64encode((certificate + key).encode()).decode(),
        ),
    }


def test_no_key_leaves_the_host(directory):
    fragments = key_fragments(directory)
    for name, text in disguised(directory).items():
        (directory / name).write_text(text)
    found = subject.gather([str(directory), *(str(path) for path in directory.iterdir())])
    told = json.dumps(found)
    assert found["problems"]
    assert len(found["certificates"]) >= 6
    everything = told + "".join(ssl.PEM_cert_to_DER_cert(entry["pem"]).hex() for entry in found["certificates"])
    assert "PRIVATE" not in everything
    assert "secret-token" not in everything
    assert [fragment for fragment in fragments if fragment in everything] == []
    with_keys = [
        path.name for path in directory.iterdir() if any(fragment in path.read_text() for fragment in fragments)
    ]
    assert {"ca-key.pem", "service-account-key.pem", "encryption.key", "kubeconfig", "open-block.pem"} <= set(with_keys)


@pytest.mark.parametrize(
    "name", ["named-certificate.pem", "behind-the-certificate.pem", "before-the-certificate.pem", "behind-the-end.pem"]
)
def test_a_block_that_is_more_or_less_than_a_certificate_stays(directory, name):
    path = directory / name
    path.write_text(disguised(directory)[name])
    assert subject.gather([str(path)]) == {
        "certificates": [],
        "processes": [],
        "problems": [f"{path}: is damaged, or no certificate"],
    }


# --- servers


@contextlib.contextmanager
def listening(serve):
    """A port of this computer whose connections are given to `serve`, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = server.accept()
                    with connection, contextlib.suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def tls_server(directory: Path, version=ssl.TLSVersion.TLSv1_3, client_certificate=False, name="server"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(directory / f"{name}.pem", directory / f"{name}-key.pem")
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(directory / "ca.pem")
    return listening(lambda connection: context.wrap_socket(connection, server_side=True).close())


def endpoint(port: int, **more) -> dict:
    return {"address": "127.0.0.1", "port": port, **more}


@pytest.mark.parametrize("client_certificate", [False, True])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_a_server_serves(directory, version, client_certificate):
    with tls_server(directory, version, client_certificate) as port:
        found = subject.gather(endpoints=[endpoint(port)])
    assert found["problems"] == []
    (served,) = found["certificates"]
    assert served == {
        "source": "endpoint",
        "path": None,
        "where": f"127.0.0.1:{port}",
        "position": 1,
        "endpoint": f"127.0.0.1:{port}",
        "running": {f"127.0.0.1:{port}": "current"},
        "pem": pem(directory / "server.pem"),
    }


@pytest.mark.parametrize(
    ("served", "state"), [("made", "current"), ("older", "older"), ("newer", "older"), ("client", "other")]
)
def test_a_server_is_compared_with_its_file(directory, older, served, state):
    """The servers are old and new ones beside a file: what is older than the file is told as that."""
    file = directory / "server.pem"
    with tls_server(
        older if served == "older" else directory, name="client" if served == "client" else "server"
    ) as port:
        if served == "newer":  # renewed while it runs
            file.unlink()
            reconcile_directory(str(directory), parse_request(REQUEST), now=NOW + timedelta(minutes=10))
        found = subject.gather(endpoints=[endpoint(port, component="web", path=str(file))])
    result = described(found, NOW)
    assert [(entry["source"], entry["running"]) for entry in result["certificates"]] == [
        ("file", {}),
        ("endpoint", {"web": state}),
    ]


def test_who_serves_no_certificate_is_told_with_the_reason(directory, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = closed.getsockname()[1]
    with (
        listening(lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as other,
        listening(lambda connection: connection.recv(1)) as ends,
    ):
        with listening(lambda connection: connection.recv(10000) and connection.recv(1)) as silent:
            found = subject.gather(
                endpoints=[
                    endpoint(refused, component="x", path=f"{tmp_path}/gone.pem"),
                    endpoint(other),
                    endpoint(ends),
                    endpoint(silent),
                ],
                timeout=0.3,
            )
    assert found["certificates"] == []
    assert found["problems"] == [
        f"{tmp_path}/gone.pem: does not exist",
        f"x at 127.0.0.1:{refused}: serves no certificate: Connection refused",
        f"127.0.0.1:{other}: serves no certificate: TLS: wrong version number",
        found["problems"][3],
        f"127.0.0.1:{silent}: serves no certificate: timed out",
    ]
    assert re.fullmatch(
        rf"127\.0\.0\.1:{ends}: serves no certificate: (it ended the connection|Connection reset by peer)",
        found["problems"][3],
    )


def test_half_a_certificate_in_the_clear_is_none(directory):
    """A server of TLS 1.2 that breaks off within its Certificate message."""
    der = ssl.PEM_cert_to_DER_cert((directory / "server.pem").read_text())

    def record(certificate):
        message = (
            b"\x0b"
            + (len(certificate) + 6).to_bytes(3, "big")
            + (len(certificate) + 3).to_bytes(3, "big")
            + len(certificate).to_bytes(3, "big")
        )
        message += certificate
        return b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message

    whole = record(der)
    assert subject._shown_in_the_clear(whole) == der
    assert (
        subject._shown_in_the_clear(b"\x16\x03\x03\x00\x04\x02\x00\x00\x00" + whole + b"\x15\x03\x03\x00\x02\x02\x28")
        == der
    )
    for length in range(len(whole)):
        shown = subject._shown_in_the_clear(whole[:length])
        assert shown is None or not subject.is_certificate(shown)


# --- components


@pytest.fixture(name="systemd")
def make_systemd(tmp_path, monkeypatch):
    fake = Systemd(tmp_path / "units")
    monkeypatch.setattr(paths, "STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(paths, "UNIT_DIR", str(fake.unit_dir))
    monkeypatch.setattr(health, "INTERVAL", 0.01)
    monkeypatch.setattr(Host, "run", lambda host, argv, timeout=120: fake.run(host, argv, timeout))
    if os.getuid():
        for module in (apply, host):
            monkeypatch.setattr(module, "ids", lambda owner, group: (os.getuid(), os.getgid()))
    yield fake
    fake.stop_all()


@pytest.fixture(name="proxy")
def make_proxy(directory, tmp_path):
    """A component with a client's certificate and key, a kubeconfig, and a directory with other things."""
    (tmp_path / "data").mkdir()
    shutil.copy(directory / "other-ca.pem", tmp_path / "data")
    kubeconfig = "clusters:\n- cluster: {certificate-authority: ../pki/ca.pem}\n"
    return Component(
        name="proxy",
        service="proxy.service",
        unit="[Service]\nExecStart=/bin/proxy\n",
        directories=[model.Directory(str(tmp_path / "data"), **ME)],
        files=[
            File(str(tmp_path / "etc/client.pem"), (directory / "client.pem").read_bytes(), **ME),
            File(str(tmp_path / "etc/client-key.pem"), (directory / "client-key.pem").read_bytes(), 0o600, **ME),
            File(str(tmp_path / "etc/reloaded-ca.pem"), (directory / "ca.pem").read_bytes(), on_change="reload", **ME),
            File(str(tmp_path / "etc/proxy.kubeconfig"), kubeconfig.encode(), **ME),
        ],
        health=Health(timeout=5),
    )


def with_content(proxy: Component, name: str, content: bytes) -> Component:
    return dataclasses.replace(
        proxy,
        files=[
            dataclasses.replace(item, content=content) if Path(item.path).name == name else item for item in proxy.files
        ],
    )


def running(found: dict) -> dict[str, dict]:
    return {Path(entry["path"]).name: entry["running"] for entry in found["certificates"]}


def test_what_a_component_owns_and_runs_from(systemd, proxy, tmp_path):
    component.reconcile(proxy)
    before = sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*"))
    found = subject.gather(components=True)
    assert running(found) == {"client.pem": {"proxy": "current"}, "ca.pem": {}, "reloaded-ca.pem": {}}
    assert found["processes"] == [{"component": "proxy", "service": "proxy.service", "active": True, "restart": ""}]
    assert found["problems"] == []
    assert sorted((path, path.lstat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_a_restart_that_a_killed_run_left_owed(systemd, proxy, older):
    component.reconcile(proxy)
    renewed = with_content(proxy, "client.pem", (older / "client.pem").read_bytes())
    systemd.die_at = "restart"
    with pytest.raises(BaseException, match="restart"):
        component.reconcile(renewed)
    found = subject.gather(components=True)
    assert running(found)["client.pem"] == {"proxy": "older"}
    assert [process["restart"] for process in found["processes"]] == [f"{renewed.files[0].path} changed"]
    systemd.die_at = None
    component.reconcile(renewed)
    assert subject.gather(components=True)["processes"][0]["restart"] == ""


def test_a_run_that_died_between_two_files(systemd, proxy, older):
    component.reconcile(proxy)
    path = Path(proxy.files[0].path)
    path.write_bytes((older / "client.pem").read_bytes())
    found = subject.gather(components=True)
    assert running(found)["client.pem"] == {"proxy": "older"}
    assert [process["restart"] for process in found["processes"]] == [f"{path} had been changed on the host"]


def test_a_restart_that_is_owed_for_what_is_mended(systemd, proxy, older):
    """A run found a file that somebody had changed, mended it, and died: what the process has read cannot be told from the disk."""
    component.reconcile(proxy)
    path = Path(proxy.files[0].path)
    path.write_bytes((older / "client.pem").read_bytes())
    systemd.die_at = "restart"
    with pytest.raises(BaseException, match="restart"):
        component.reconcile(proxy)
    assert path.read_bytes() == proxy.files[0].content
    assert [process["restart"] for process in subject.gather(components=True)["processes"]] == [
        f"{path} had been changed on the host"
    ]


def test_a_reload_that_is_owed(systemd, proxy, older):
    component.reconcile(proxy)
    component.reconcile(with_content(proxy, "reloaded-ca.pem", (older / "ca.pem").read_bytes()))
    assert running(subject.gather(components=True))["reloaded-ca.pem"] == {"proxy": "current"}
    Path(proxy.files[2].path).write_bytes(proxy.files[2].content)
    assert running(subject.gather(components=True))["reloaded-ca.pem"] == {"proxy": "older"}


def test_a_process_that_others_started(systemd, proxy):
    component.reconcile(proxy)
    service = systemd.services["proxy.service"]
    service.environment = {}
    systemd.stop("proxy.service")
    systemd._start("proxy.service", service)
    assert (
        subject.gather(components=True)["processes"][0]["restart"]
        == "it was not started by this collection or its inputs are unknown"
    )


def test_a_server_is_asked_only_where_its_component_runs(systemd, proxy, directory):
    assert subject.gather(components=True, endpoints=[endpoint(1, component="proxy", path="/nowhere")]) == {
        "certificates": [],
        "processes": [],
        "problems": [f"{paths.STATE_DIR}: no component of this collection is on the host"],
    }
    component.reconcile(proxy)
    with tls_server(directory) as port:
        served = [endpoint(port, component="proxy"), endpoint(port, component="other")]
        assert [
            entry["running"]
            for entry in subject.gather(components=True, endpoints=served)["certificates"]
            if entry["source"] == "endpoint"
        ] == [{"proxy": "current"}]
        systemd.stop("proxy.service")
        found = subject.gather(components=True, endpoints=served)
    assert found["processes"] == [{"component": "proxy", "service": "proxy.service", "active": False, "restart": ""}]
    assert [entry for entry in found["certificates"] if entry["source"] == "endpoint"] == []
    assert found["problems"] == []


def test_records_without_a_process_or_without_sense(systemd, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/host.json").write_text('{"owns": {"paths": ["/nowhere"], "service": null}, "applied": "x"}')
    (tmp_path / "state/torn.json").write_text('{"owns": {"pa')
    assert subject.gather(components=True) == {"certificates": [], "processes": [], "problems": []}


def test_a_host_without_systemd(proxy, systemd, monkeypatch):
    component.reconcile(proxy)

    def missing(_host, argv, timeout=120):
        raise model.ComponentError(f"{argv[0]}: no such command on this host: install the package that has it")

    monkeypatch.setattr(Host, "run", missing)
    found = subject.gather(components=True)
    assert found["problems"] == ["systemctl: no such command on this host: install the package that has it"]
    assert len(found["certificates"]) == 3
