# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A component on a host whose systemd is a fake and whose processes are real."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import fcntl
import functools
import getpass
import grp
import http.server
import io
import json
import os
import shutil
import socket
import stat
import tarfile
import threading
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import (
    apply,
    artifacts,
    health,
    host,
    paths,
    peers,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import reconcile as subject
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import (
    Component,
    ComponentError,
    Directory,
    File,
    Health,
    Images,
    from_payload,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.peers import Peers, RepairFailed
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_systemd import Killed, Systemd

ME = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
SERVICE = "server.service"
UNIT = "[Service]\nExecStart=/bin/server\n"
KEY = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\n-----END PRIVATE KEY-----\n"


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


@pytest.fixture(name="server")
def make_server(tmp_path):
    """A component with a file of each kind; `edit` gives it with other contents."""
    return Component(
        name="server",
        service=SERVICE,
        unit=UNIT,
        directories=[Directory(str(tmp_path / "data"), 0o700, **ME)],
        files=[
            File(str(tmp_path / "etc/server.conf"), b"a: 1\n", 0o644, **ME),
            File(str(tmp_path / "etc/pki/key.pem"), KEY, 0o600, **ME),
            File(str(tmp_path / "etc/reloaded.conf"), b"b: 1\n", 0o644, on_change="reload", **ME),
            File(str(tmp_path / "etc/profile.sh"), b"c=1\n", 0o755, on_change="none", **ME),
        ],
        health=Health(timeout=5),
    )


def edit(component: Component, **contents) -> Component:
    """The component with other contents, by the file's name without its suffix."""
    files = [
        dataclasses.replace(item, content=contents.get(Path(item.path).stem, item.content)) for item in component.files
    ]
    return dataclasses.replace(component, files=files)


def tree(path: Path) -> dict[str, tuple]:
    return {
        str(item.relative_to(path)): (
            oct(item.lstat().st_mode),
            item.lstat().st_mtime_ns,
            item.read_bytes() if item.is_file() else b"",
        )
        for item in sorted(path.rglob("*"))
    }


def path_of(component: Component, stem: str) -> str:
    return next(item.path for item in component.files if Path(item.path).stem == stem)


# --- a first installation


def test_everything_is_put_in_place_and_started(systemd, server, tmp_path):
    result = subject.reconcile(server)
    assert result["changed"]
    assert result["restart"] is None
    assert f"{SERVICE}: started" in result["changes"]
    modes = {item.path: stat.S_IMODE(os.stat(item.path).st_mode) for item in server.files}
    assert modes == {item.path: item.mode for item in server.files}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert systemd.changing_calls() == [
        "systemctl daemon-reload",
        f"systemctl enable {SERVICE}",
        f"systemctl start --no-block {SERVICE}",
    ]
    assert not [item for item in tmp_path.rglob("*") if files.is_temporary(item.name)]


def test_the_process_has_the_digest_of_its_inputs(systemd, server):
    subject.reconcile(server)
    pid = systemd.services[SERVICE].process.pid
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    written = Path(server.drop_in).read_text()
    digest = next(entry.decode() for entry in environment if entry.startswith(b"HARDWAY_INPUTS="))
    assert f"Environment={digest}\n" in written


def test_the_second_run_changes_nothing(systemd, server, tmp_path):
    subject.reconcile(server)
    systemd.changing_calls()
    before = tree(tmp_path)
    result = subject.reconcile(server)
    nothing = {"changes": [], "restart": None, "causes": []}
    assert result == {"changed": False, "changes": [], "plan": nothing, "restart": None, "deferred": False, "diff": []}
    assert tree(tmp_path) == before
    assert systemd.changing_calls() == []


def test_check_mode_says_all_and_does_nothing(systemd, server, tmp_path):
    (tmp_path / "etc").mkdir()
    before = tree(tmp_path)
    planned = subject.reconcile(server, check_mode=True)
    assert tree(tmp_path) == before
    assert systemd.changing_calls() == []
    assert planned["changes"] == subject.reconcile(server)["changes"]


def test_what_it_owns_is_written_down_before_anything_is_written(systemd, server, tmp_path):
    systemd.die_at = "daemon-reload"
    with pytest.raises(Killed):
        subject.reconcile(server)
    owns = json.loads((tmp_path / "state/server.json").read_text())["owns"]
    assert set(owns["paths"]) >= {item.path for item in server.files} | {
        str(tmp_path / "data"),
        server.drop_in,
        f"{paths.UNIT_DIR}/{SERVICE}",
    }
    assert owns["service"] == SERVICE
    assert stat.S_IMODE((tmp_path / "state/server.json").stat().st_mode) == 0o600


# --- changes


def test_a_changed_file_restarts_with_the_reason(systemd, server):
    subject.reconcile(server)
    first = systemd.services[SERVICE].process.pid
    changed = edit(server, server=b"a: 2\n")
    planned = subject.reconcile(changed, check_mode=True)
    result = subject.reconcile(changed)
    assert planned == result
    path = path_of(server, "server")
    assert result["restart"] == f"{path} changed"
    assert result["changes"] == [f"{path}: changed", f"{SERVICE}: restarted, because {path} changed"]
    assert result["diff"] == [
        {"before_header": path, "after_header": path, "before": "a: 1\n", "after": "a: 2\n"},
        {
            "before_header": SERVICE,
            "after_header": SERVICE,
            "before": "",
            "after": f"restarted, because {path} changed\n",
        },
    ]
    assert systemd.services[SERVICE].process.pid != first
    assert not subject.reconcile(changed)["changed"]


def test_a_changed_unit_restarts(systemd, server):
    subject.reconcile(server)
    result = subject.reconcile(dataclasses.replace(server, unit=UNIT + "Nice=1\n"))
    assert result["restart"] == f"{SERVICE} (unit) changed"


def test_new_and_gone_files_are_named(systemd, server, tmp_path):
    subject.reconcile(server)
    other = File(str(tmp_path / "etc/other.conf"), b"", **ME)
    result = subject.reconcile(dataclasses.replace(server, files=[*server.files[1:], other]))
    assert result["restart"] == f"{other.path} is new, {server.files[0].path} is gone"


def test_a_file_that_is_reloaded_reloads_and_does_not_restart(systemd, server):
    subject.reconcile(server)
    first = systemd.services[SERVICE].process.pid
    systemd.changing_calls()
    changed = edit(server, reloaded=b"b: 2\n")
    planned = subject.reconcile(changed, check_mode=True)
    result = subject.reconcile(changed, defer_restart=True)
    assert planned == result
    path = path_of(server, "reloaded")
    assert result["changes"] == [f"{path}: changed", f"{SERVICE}: reloaded, because {path} changed"]
    assert result["restart"] is None
    assert systemd.changing_calls() == [f"systemctl reload {SERVICE}"]
    assert systemd.services[SERVICE].process.pid == first
    assert not subject.reconcile(changed)["changed"]


def test_a_restart_spares_the_reload(systemd, server):
    subject.reconcile(server)
    systemd.changing_calls()
    subject.reconcile(edit(server, server=b"a: 2\n", reloaded=b"b: 2\n"))
    assert not [call for call in systemd.changing_calls() if "systemctl reload" in call]


def test_a_file_that_the_process_does_not_read_needs_nothing(systemd, server):
    subject.reconcile(server)
    systemd.changing_calls()
    result = subject.reconcile(edit(server, profile=b"c=2\n"), defer_restart=True)
    assert result["changes"] == [f"{path_of(server, 'profile')}: changed"]
    assert systemd.changing_calls() == []


def test_mode_and_missing_directory_are_mended(systemd, server, tmp_path):
    subject.reconcile(server)
    key = path_of(server, "key")
    os.chmod(key, 0o644)
    (tmp_path / "data").rmdir()
    result = subject.reconcile(server)
    assert result["changes"] == [f"{tmp_path}/data: directory created", f"{key}: mode 0644 -> 0600"]
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert result["restart"] is None


def test_a_stopped_or_disabled_service_is_started_and_enabled(systemd, server):
    subject.reconcile(server)
    systemd.stop(SERVICE)
    systemd.services[SERVICE].enabled = False
    assert subject.reconcile(server, defer_restart=True)["changes"] == [f"{SERVICE}: enabled", f"{SERVICE}: started"]


def test_a_process_between_two_attempts_is_started_and_not_interrupted(systemd, server):
    subject.reconcile(server)
    systemd.stop(SERVICE)
    systemd.services[SERVICE].state, systemd.services[SERVICE].sub_state = "activating", "auto-restart"
    result = subject.reconcile(server, defer_restart=True)
    assert not result["deferred"]
    assert result["changes"] == [f"{SERVICE}: started"]


def test_a_failed_service_is_reset_and_started(systemd, server):
    subject.reconcile(server)
    systemd.stop(SERVICE)
    systemd.services[SERVICE].state = "failed"
    systemd.changing_calls()
    subject.reconcile(server)
    assert systemd.changing_calls() == [f"systemctl reset-failed {SERVICE}", f"systemctl start --no-block {SERVICE}"]


def test_a_process_that_others_started_is_restarted(systemd, server):
    subject.reconcile(server)
    service = systemd.services[SERVICE]
    service.environment = {}
    systemd.stop(SERVICE)
    systemd._start(SERVICE, service)
    result = subject.reconcile(server)
    assert result["restart"] == "it was not started by this collection or its inputs are unknown"


def test_a_file_whose_removal_needs_a_restart(systemd, server, tmp_path, monkeypatch):
    """The restart is owed until it has happened, also by a run that dies after the removal."""
    old = tmp_path / "etc/old"
    component = dataclasses.replace(server, files=[*server.files, File(str(old), absent=True)])
    subject.reconcile(component)
    assert not subject.reconcile(component)["changed"]
    old.write_text("x")

    def dies(run, *unused):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(apply.Applier, "_interrupt", dies)
        with pytest.raises(KeyboardInterrupt):
            subject.reconcile(component)
    assert not old.exists()
    assert subject.reconcile(component)["restart"] == f"{old} was removed"
    assert not subject.reconcile(component)["changed"]


def test_what_a_process_needs_once_restarts_it_when_it_is_written_and_never_after(
    systemd, server, tmp_path, monkeypatch
):
    subject.reconcile(server)
    path = tmp_path / "etc/bootstrap.kubeconfig"

    def joining(token: bytes) -> Component:
        return dataclasses.replace(
            server, files=[*server.files, File(str(path), token, 0o600, on_change="restart_once", **ME)]
        )

    first = systemd.services[SERVICE].process.pid
    assert subject.reconcile(joining(b"one"))["restart"] == f"{path} was written"
    second = systemd.services[SERVICE].process.pid
    assert second != first
    assert not subject.reconcile(joining(b"one"))["changed"]

    # A run that dies after it has written the file leaves the restart to the next.
    def dies(run, *unused):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(apply.Applier, "_interrupt", dies)
        with pytest.raises(KeyboardInterrupt):
            subject.reconcile(joining(b"two"))
    assert path.read_bytes() == b"two"
    assert subject.reconcile(joining(b"two"))["restart"] == f"{path} was written"
    third = systemd.services[SERVICE].process.pid
    assert third != second
    # It has joined: the file is declared no more, and goes.
    assert not subject.reconcile(server)["changed"]
    assert systemd.services[SERVICE].process.pid == third


def test_an_absent_file_is_removed(systemd, server, tmp_path):
    subject.reconcile(server)
    old = tmp_path / "etc/old"
    (old / "deep").mkdir(parents=True)
    link = tmp_path / "etc/link"
    link.symlink_to("nowhere")
    gone = [File(str(path), absent=True, on_change="none") for path in (old, link, tmp_path / "etc/never")]
    component = dataclasses.replace(server, files=[*server.files, *gone])
    planned = subject.reconcile(component, check_mode=True)
    assert old.exists()
    assert link.is_symlink()
    assert planned == subject.reconcile(component)
    assert planned["changes"] == [f"{old}: removed", f"{link}: removed"]
    assert not old.exists()
    assert not link.is_symlink()


# --- somebody else was here


def test_a_file_that_was_changed_on_the_host_restarts(systemd, server):
    subject.reconcile(server)
    first = systemd.services[SERVICE].process.pid
    path = Path(path_of(server, "server"))
    path.write_text("a: by hand\n")
    planned = subject.reconcile(server, check_mode=True)
    result = subject.reconcile(server)
    assert planned == result
    assert result["restart"] == f"{path} had been changed on the host"
    assert path.read_bytes() == b"a: 1\n"
    assert systemd.services[SERVICE].process.pid != first
    assert not subject.reconcile(server)["changed"]


def test_a_file_that_was_changed_on_the_host_restarts_also_if_the_run_dies(systemd, server):
    subject.reconcile(server)
    Path(path_of(server, "server")).write_text("a: by hand\n")
    systemd.die_at = "restart"
    with pytest.raises(Killed):
        subject.reconcile(server)
    systemd.die_at = None
    assert Path(path_of(server, "server")).read_bytes() == b"a: 1\n"
    assert subject.reconcile(server)["restart"] == f"{path_of(server, 'server')} had been changed on the host"
    assert not subject.reconcile(server)["changed"]


def test_a_reloaded_file_that_was_changed_on_the_host_reloads(systemd, server):
    subject.reconcile(server)
    Path(path_of(server, "reloaded")).write_text("b: by hand\n")
    assert (
        subject.reconcile(server)["changes"][-1]
        == f"{SERVICE}: reloaded, because {path_of(server, 'reloaded')} changed"
    )
    assert not subject.reconcile(server)["changed"]


def test_a_drop_in_that_is_gone_is_written_again_without_a_restart(systemd, server):
    subject.reconcile(server)
    os.unlink(server.drop_in)
    result = subject.reconcile(server, defer_restart=True)
    assert result["changes"] == [f"{server.drop_in}: written again"]
    assert Path(server.drop_in).exists()
    assert not subject.reconcile(server)["changed"]


# --- runs that die


@pytest.mark.parametrize("where", ["daemon-reload", "restart"])
def test_a_restart_that_a_dead_run_owed_is_done_by_the_next(systemd, server, where):
    subject.reconcile(server)
    changed = edit(server, server=b"a: 2\n")
    systemd.die_at = where
    with pytest.raises(Killed):
        subject.reconcile(changed)
    systemd.die_at = None
    planned = subject.reconcile(changed, check_mode=True)
    assert planned["restart"] == f"{path_of(server, 'server')} changed"
    assert subject.reconcile(changed)["restart"] == planned["restart"]
    assert not subject.reconcile(changed)["changed"]


def test_a_run_that_died_between_two_files(systemd, server, monkeypatch):
    subject.reconcile(server)
    changed = edit(server, server=b"a: 2\n", key=KEY.replace(b"MIGH", b"MIGI"))
    write = Host.write

    def die_at_key(host, path, *arguments, **more):
        if path.endswith("key.pem"):
            raise Killed(path)
        write(host, path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Host, "write", die_at_key)
        with pytest.raises(Killed):
            subject.reconcile(changed)
    result = subject.reconcile(changed)
    assert result["restart"] == f"{path_of(server, 'key')} changed, {path_of(server, 'server')} changed"


def test_a_reload_that_a_dead_run_owed_is_done_by_the_next(systemd, server):
    """Also the very first one, when no run has seen the running process yet."""
    subject.reconcile(server)
    changed = edit(server, reloaded=b"b: 2\n")
    systemd.die_at = "reload"
    with pytest.raises(Killed):
        subject.reconcile(changed)
    systemd.die_at = None
    path = path_of(server, "reloaded")
    assert subject.reconcile(changed)["changes"] == [f"{SERVICE}: reloaded, because {path} changed"]
    assert not subject.reconcile(changed)["changed"]


def test_a_first_start_that_died(systemd, server):
    systemd.die_at = "start"
    with pytest.raises(Killed):
        subject.reconcile(server)
    systemd.die_at = None
    assert subject.reconcile(server)["changes"] == [f"{SERVICE}: started"]


def test_a_change_that_is_taken_back_after_a_dead_run(systemd, server):
    subject.reconcile(server)
    systemd.die_at = "restart"
    with pytest.raises(Killed):
        subject.reconcile(edit(server, server=b"a: 2\n"))
    systemd.die_at = None
    subject.reconcile(server)
    assert not subject.reconcile(server)["changed"]
    assert systemd._on_disk(SERVICE) == systemd.services[SERVICE].environment


def test_what_a_killed_run_left_is_replaced(systemd, server):
    left = Path(files.temporary_of(path_of(server, "key")))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a k")
    subject.reconcile(server)
    assert not left.exists()


def test_two_runs_on_one_host_take_turns(systemd, server, tmp_path):
    subject.reconcile(server)
    done = threading.Event()
    with open(tmp_path / "state/server.lock", "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: (subject.reconcile(server), done.set()))
        thread.start()
        assert not done.wait(0.2)
    assert done.wait(10)
    thread.join()


def test_a_run_that_never_ends_is_named(systemd, server, tmp_path, monkeypatch):
    monkeypatch.setattr(subject.locks, "hold", functools.partial(subject.locks.hold, seconds=0.1))
    (tmp_path / "state").mkdir()
    with open(tmp_path / "state/server.lock", "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ComponentError, match=r"server[.]lock: another run is at work"):
            subject.reconcile(server)
    assert systemd.changing_calls() == []


# --- turns


def test_a_deferred_restart_changes_nothing(systemd, server, tmp_path):
    subject.reconcile(server)
    systemd.changing_calls()
    before = tree(tmp_path)
    result = subject.reconcile(edit(server, server=b"a: 2\n"), defer_restart=True)
    assert result["deferred"]
    assert result["restart"] == f"{path_of(server, 'server')} changed"
    assert tree(tmp_path) == before
    assert systemd.changing_calls() == []


def test_nothing_is_deferred_where_nothing_is_interrupted(systemd, server):
    assert not subject.reconcile(server, defer_restart=True)["deferred"]
    assert not subject.reconcile(server, defer_restart=True)["deferred"]


# --- secrets and certificates


def certificate(common_name: str) -> bytes:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    start = datetime.datetime(2026, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(subject_name)
        .public_key(key.public_key())
        .serial_number(1)
    )
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=365))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("api.example")]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_secrets_are_nowhere_in_a_result(systemd, server):
    secret = b"token: c2VjcmV0IG9mIHRoZSBjbHVzdGVy"
    secrets = [KEY, secret, KEY.splitlines()[1]]
    results = [subject.reconcile(server, check_mode=True), subject.reconcile(server)]
    changed = edit(server, key=secret)
    results += [
        subject.reconcile(changed, check_mode=True),
        subject.reconcile(changed, defer_restart=True),
        subject.reconcile(changed),
    ]
    text = json.dumps(results)
    for item in secrets:
        assert json.dumps(item.decode())[1:-1] not in text
        assert base64.b64encode(item).decode() not in text
        assert item.hex() not in text
    diff = [entry for entry in results[-1]["diff"] if entry["after_header"] == path_of(server, "key")]
    assert [(entry["before"], entry["after"]) for entry in diff] == [
        ("(secret, not shown)\n", "(secret, changed, not shown)\n")
    ]


def test_a_secret_that_becomes_public_does_not_show_what_it_was(systemd, server):
    subject.reconcile(server)
    files = [
        dataclasses.replace(item, mode=0o644, content=b"public\n") if item.path.endswith("key.pem") else item
        for item in server.files
    ]
    result = subject.reconcile(dataclasses.replace(server, files=files))
    assert "PRIVATE KEY" not in json.dumps(result)


def test_a_unit_and_what_holds_no_secret_are_for_root_alone_and_shown_all_the_same(systemd, server, tmp_path):
    item = File(str(tmp_path / "etc/open.conf"), b"a: 1\n", 0o600, shown=True, **ME)
    first = dataclasses.replace(server, files=[item])
    subject.reconcile(first)
    unit = Path(first.unit_file.path)
    assert stat.S_IMODE(unit.stat().st_mode) == stat.S_IMODE(os.stat(item.path).st_mode) == 0o600
    second = dataclasses.replace(
        server, files=[dataclasses.replace(item, content=b"a: 2\n")], unit=f"{UNIT}# another\n"
    )
    shown = {entry["after_header"]: (entry["before"], entry["after"]) for entry in subject.reconcile(second)["diff"]}
    assert shown[item.path] == ("a: 1\n", "a: 2\n")
    assert shown[str(unit)] == (UNIT, f"{UNIT}# another\n")


def test_a_unit_that_others_could_read_gets_its_mode_without_a_restart(systemd, server):
    subject.reconcile(server)
    unit = server.unit_file.path
    os.chmod(unit, 0o644)
    result = subject.reconcile(server)
    assert result["changes"] == [f"{unit}: mode 0644 -> 0600"] and result["restart"] is None
    assert not subject.reconcile(server)["changed"]


def test_a_diff_shows_certificates_parsed(systemd, server, tmp_path):
    bundle = b"# issued by hand\n" + certificate("first") + b"# and another\n" + certificate("second")
    item = File(str(tmp_path / "etc/pki/ca.pem"), bundle, **ME)
    result = subject.reconcile(dataclasses.replace(server, files=[item]))
    after = next(entry["after"] for entry in result["diff"] if entry["after_header"] == item.path)
    assert "BEGIN CERTIFICATE" not in after
    assert after.count("subject: commonName=") == 2
    assert "subject: commonName=second\n" in after
    assert "subjectAltName: DNS:api.example\n" in after
    assert "notAfter: Jan  1 00:00:00 2027 GMT\n" in after


@pytest.mark.parametrize(
    "damage",
    [b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff\xfe"],
)
def test_a_damaged_certificate_on_the_host_is_replaced(systemd, server, tmp_path, damage):
    item = File(str(tmp_path / "etc/pki/ca.pem"), certificate("ca"), **ME)
    component = dataclasses.replace(server, files=[item])
    subject.reconcile(component)
    Path(item.path).write_bytes(damage)
    assert subject.reconcile(component)["changed"]
    assert Path(item.path).read_bytes() == item.content


# --- validation and health


def test_nothing_runs_from_files_that_do_not_validate(systemd, server):
    server = dataclasses.replace(server, validate=["check-config"])
    subject.reconcile(server)
    first = systemd.services[SERVICE].process.pid
    systemd.answers["check-config"] = (1, "", "line 1: unknown word")
    for changed in (edit(server, server=b"bad"), edit(server, reloaded=b"bad")):
        for _again in range(2):
            with pytest.raises(ComponentError, match="check-config: failed with 1: line 1: unknown word"):
                subject.reconcile(changed)
    assert systemd.services[SERVICE].process.pid == first
    assert systemd.services[SERVICE].reloads == 0


def test_a_process_that_fails_is_an_error_with_its_journal(systemd, server):
    systemd.crashes = True
    with pytest.raises(ComponentError) as caught:
        subject.reconcile(server)
    assert f"{SERVICE} is not healthy" in str(caught.value)
    assert "the unit is failed (exit-code)" in str(caught.value)
    assert "panic: the last line of the journal" in str(caught.value)


def test_health_is_asked_also_where_nothing_changed(systemd, server):
    subject.reconcile(server)
    systemd.answers["ask"] = (1, "no leader", "")
    with pytest.raises(ComponentError, match="ask: no leader"):
        subject.reconcile(dataclasses.replace(server, health=Health(command=["ask"], timeout=0.1)))
    assert not subject.reconcile(dataclasses.replace(server, health=Health(command=["ask"], timeout=0.1, skip=True)))[
        "changed"
    ]


def test_a_component_stays_healthy_for_a_while_after_a_change(systemd, server, monkeypatch):
    server = dataclasses.replace(server, health=Health(command=["ask"], hold=0.1, timeout=5))
    subject.reconcile(server)
    asked = [call for call in systemd.changing_calls() if call == "ask"]
    assert len(asked) > 2
    subject.reconcile(server)
    assert systemd.changing_calls() == ["ask"]


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz?verbose" else 503)
        self.end_headers()
        self.wfile.write(b"[-]etcd failed")

    def log_message(self, *_arguments):
        pass


@pytest.fixture(name="web")
def make_web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def unused_port() -> int:
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        return stream.getsockname()[1]


def test_probe(web, systemd):
    host = Host()
    assert health.probe(host, Health(url=f"http://{web}/readyz?verbose")) is None
    assert health.probe(host, Health(url=f"http://{web}/")) == f"http://{web}/ answered 503: [-]etcd failed"
    assert health.probe(host, Health(tcp=web)) is None
    nowhere = f"127.0.0.1:{unused_port()}"
    assert "refused" in health.probe(host, Health(tcp=nowhere))
    assert "refused" in health.probe(host, Health(url=f"https://{nowhere}/", verify=False))
    assert "No such file" in health.probe(host, Health(url=f"https://{nowhere}/", ca="/nowhere/ca.pem"))


# --- binaries, images, and components without a process


def tool(tmp_path: Path, version: str) -> dict:
    path = tmp_path / f"tool-{version}"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    return {
        "name": "tool",
        "version": version,
        "url": path.as_uri(),
        "sha256": artifacts.sha256_of(str(path)),
        "install": {"tool": path.name},
    }


def test_a_new_version_restarts(systemd, server, tmp_path):
    places = {"install_dir": str(tmp_path / "opt"), "bin_dir": str(tmp_path / "bin")}
    subject.reconcile(dataclasses.replace(server, artifacts=[tool(tmp_path, "1.0")], **places))
    new = dataclasses.replace(server, artifacts=[tool(tmp_path, "2.0")], **places)
    planned = subject.reconcile(new, check_mode=True)
    assert os.readlink(tmp_path / "bin/tool").endswith("/1.0/tool")
    assert planned == subject.reconcile(new)
    assert planned["changes"] == ["artifact tool: 1.0 -> 2.0", f"{SERVICE}: restarted, because artifact tool changed"]
    assert os.readlink(tmp_path / "bin/tool").endswith("/2.0/tool")


@pytest.mark.parametrize("works_again", [True, False])
def test_a_version_that_does_not_get_healthy_goes_back(systemd, server, tmp_path, monkeypatch, works_again):
    """Binary, files, unit and record are those before, so the next run knows what is to be done; the error says what was reached."""
    places = {"install_dir": str(tmp_path / "opt"), "bin_dir": str(tmp_path / "bin"), "health": Health(timeout=0.3)}
    link = tmp_path / "bin/tool"
    old = dataclasses.replace(server, artifacts=[tool(tmp_path, "1.0")], **places)
    subject.reconcile(old)
    was = {
        path: path.read_bytes()
        for path in [*(tmp_path / "etc").rglob("*"), *(tmp_path / "units").rglob("*")]
        if path.is_file()
    }
    monkeypatch.setattr(
        health, "probe", lambda host, health: None if works_again and "1.0" in os.readlink(link) else "it panics"
    )
    new = edit(
        dataclasses.replace(server, artifacts=[tool(tmp_path, "2.0")], unit=UNIT + "Nice=1\n", **places),
        server=b"a: 2\n",
    )
    with pytest.raises(ComponentError) as failed:
        subject.reconcile(new)
    assert "it panics" in str(failed.value)
    assert (
        "was rolled back to tool 1.0, which is healthy" if works_again else "The rollback to tool 1.0 failed too"
    ) in str(failed.value)
    assert os.readlink(link).endswith("/1.0/tool")
    assert {path: path.read_bytes() for path in was} == was
    monkeypatch.setattr(health, "probe", lambda host, health: None)
    assert not subject.reconcile(old)["changed"]
    assert "artifact tool: 1.0 -> 2.0" in subject.reconcile(new)["changes"]


def test_settings_alone_do_not_go_back(systemd, server, monkeypatch):
    server = dataclasses.replace(server, health=Health(timeout=0.2))
    subject.reconcile(server)
    monkeypatch.setattr(health, "probe", lambda host, health: "it panics")
    with pytest.raises(ComponentError):
        subject.reconcile(edit(server, server=b"a: 2\n"))
    assert Path(path_of(server, "server")).read_bytes() == b"a: 2\n", "what is wrong with it can be looked at"


def test_a_refused_artifact_leaves_the_process_alone(systemd, server, tmp_path):
    subject.reconcile(server)
    systemd.changing_calls()
    damaged = {**tool(tmp_path, "1.0"), "sha256": "0" * 64}
    with pytest.raises(ComponentError, match=r"tool-1.0 is refused"):
        subject.reconcile(
            dataclasses.replace(
                server, artifacts=[damaged], install_dir=str(tmp_path / "opt"), bin_dir=str(tmp_path / "bin")
            )
        )
    assert systemd.changing_calls() == []


def test_images_are_loaded_once(systemd, server, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "IMAGE_DIR", str(tmp_path))
    archive = tmp_path / "pause.tar"
    with tarfile.open(archive, "w") as packed:
        packed.addfile(tarfile.TarInfo("manifest.json"), io.BytesIO())
    wanted = [{"ref": "example/pause:1", "url": archive.as_uri(), "sha256": artifacts.sha256_of(str(archive))}]
    component = dataclasses.replace(server, images=Images(wanted, ["list"], ["load"]))
    assert "image example/pause:1: loaded" in subject.reconcile(component, check_mode=True)["changes"]
    assert "image example/pause:1: loaded" in subject.reconcile(component)["changes"]
    assert [call for call in systemd.changing_calls() if call.startswith("load ")]
    systemd.answers["list"] = (0, "example/pause:1\nexample/other:2\n", "")
    assert not subject.reconcile(component)["changed"]


def test_an_import_has_time_by_its_size_and_is_tried_again(monkeypatch):
    limits, failures = [], ["busy", "busy"]

    class Importing:
        def change(self, argv, timeout=300):
            limits.append(timeout)
            if failures:
                raise ComponentError(failures.pop())

    monkeypatch.setattr(apply, "IMPORT_PAUSE", 0)
    applier = apply.Applier.__new__(apply.Applier)
    applier.host = Importing()
    applier._import(["load", "image.tar"], 150 * 1024**2)
    assert len(limits) == 3 and min(limits) > 600
    failures += ["no space left"] * 3
    with pytest.raises(ComponentError, match="no space left"):
        applier._import(["load", "image.tar"], 0)


def test_a_component_without_a_service_is_applied_until_it_succeeds(systemd, tmp_path):
    component = Component(
        name="host", files=[File(str(tmp_path / "etc/sysctl.conf"), b"x=1\n", **ME)], apply=["apply-it"]
    )
    assert "host: applied" in subject.reconcile(component, check_mode=True)["changes"]
    systemd.answers["apply-it"] = (1, "", "unknown key")
    with pytest.raises(ComponentError, match="unknown key"):
        subject.reconcile(component)
    systemd.answers["apply-it"] = (0, "", "")
    assert subject.reconcile(component)["changes"] == ["host: applied"]
    assert not subject.reconcile(component)["changed"]


def test_what_is_not_known_yet_is_planned(systemd, server, tmp_path):
    pending = File(str(tmp_path / "etc/pki/server.pem"), pending="would change: expires soon")
    result = subject.reconcile(dataclasses.replace(server, files=[pending]), check_mode=True)
    assert f"{pending.path}: would change: expires soon" in result["changes"]


# --- processes that overwrite their environment, and components that make room


def test_a_process_without_its_environment_is_known_by_what_its_unit_told(systemd, server, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUN_DIR", str(tmp_path))
    systemd.told = tmp_path
    server = dataclasses.replace(server, overwrites_environment=True)
    assert "server.service: started" in subject.reconcile(server)["changes"]
    drop_in = Path(server.drop_in).read_text()
    assert f'echo "$$INVOCATION_ID $$HARDWAY_INPUTS" > {tmp_path}/hardway-server.service.inputs' in drop_in
    assert not subject.reconcile(server)["changed"]
    assert subject.reconcile(edit(server, server=b"a: 2\n"))["restart"].endswith("server.conf changed")
    assert not subject.reconcile(edit(server, server=b"a: 2\n"))["changed"]
    # Started by somebody else since then: what was told is of another start.
    systemd.services[SERVICE].invocation += 1
    assert subject.reconcile(edit(server, server=b"a: 2\n"))["restart"]


@pytest.fixture(name="former")
def make_former(tmp_path):
    """Another component, of the same port as `server`."""
    return Component(
        name="former",
        service="former.service",
        files=[File(str(tmp_path / "etc/former.conf"), b"f\n", 0o644, **ME)],
        health=Health(timeout=5),
    )


def test_a_component_takes_the_place_of_another(systemd, server, former, tmp_path, monkeypatch):
    monkeypatch.setattr(apply, "REPLACED_HOLD", 0)
    subject.reconcile(former)
    systemd.changing_calls()
    server = dataclasses.replace(server, replaces="former", validate=["validate-it"])
    planned = subject.reconcile(server, check_mode=True)["changes"]
    assert subject.reconcile(server, defer_restart=True)["deferred"], "hosts take turns"
    assert systemd.changing_calls() == []
    done = subject.reconcile(server)["changes"]
    assert (
        done == planned
        and "former.service: stopped and disabled" in done
        and done.count("former.service: stopped and disabled") == 1
    )
    calls = systemd.changing_calls()
    assert (
        calls.index("validate-it")
        < calls.index("systemctl disable --now former.service")
        < calls.index("systemctl start --no-block server.service")
    )
    assert (
        not (tmp_path / "etc/former.conf").exists()
        and not Path(former.drop_in).exists()
        and not (tmp_path / "state/former.json").exists()
    )
    assert not systemd.services["former.service"].enabled
    assert not subject.reconcile(server)["changed"]


def test_what_a_dead_run_did_not_remove_is_removed(systemd, server, former, tmp_path, monkeypatch):
    monkeypatch.setattr(apply, "REPLACED_HOLD", 0)
    subject.reconcile(former)
    server = dataclasses.replace(server, replaces="former")
    systemd.die_at = "start"
    with pytest.raises(Killed):
        subject.reconcile(server)
    systemd.die_at = None
    subject.reconcile(server)
    assert systemd.services[SERVICE].state == "active" and not (tmp_path / "state/former.json").exists()
    assert not subject.reconcile(server)["changed"]


def test_what_does_not_validate_leaves_the_other_in_its_place(systemd, server, former):
    subject.reconcile(former)
    systemd.answers["validate-it"] = (1, "", "no")
    with pytest.raises(ComponentError, match="validate-it"):
        subject.reconcile(dataclasses.replace(server, replaces="former", validate=["validate-it"]))
    assert systemd.services["former.service"].state == "active"


def test_a_component_that_should_not_be_here(systemd, server, tmp_path):
    absent = Component(name="server", absent=True)
    assert not subject.reconcile(absent)["changed"], "what is not ours stays"
    shared = File(str(tmp_path / "etc/shared.conf"), b"s\n", 0o644, **ME)
    subject.reconcile(dataclasses.replace(server, files=[*server.files, shared]))
    subject.reconcile(Component(name="other", files=[shared], apply=["true"]))
    planned = subject.reconcile(absent, check_mode=True)["changes"]
    assert subject.reconcile(absent)["changes"] == planned
    assert [path.name for path in (tmp_path / "etc").rglob("*") if path.is_file()] == ["shared.conf"]
    assert systemd.services[SERVICE].state == "inactive" and not systemd.services[SERVICE].enabled
    assert not subject.reconcile(absent)["changed"]


# --- the pieces


def test_a_user_that_is_missing_is_created(systemd, server):
    component = dataclasses.replace(server, user="hardway-nobody-has-this")
    assert "user hardway-nobody-has-this: created" in subject.reconcile(component, check_mode=True)["changes"]
    subject.reconcile(component)
    assert [
        call
        for call in systemd.changing_calls()
        if call.startswith("useradd --system") and call.endswith("hardway-nobody-has-this")
    ]


@pytest.mark.parametrize(("there", "option"), [(True, "--gid hardway-nobody-has-this"), (False, "--user-group")])
def test_a_group_of_its_name_becomes_the_users(systemd, server, monkeypatch, there, option):
    """useradd refuses to make it again."""
    monkeypatch.setattr(apply, "has_group", lambda name: there)
    subject.reconcile(dataclasses.replace(server, user="hardway-nobody-has-this"))
    (call,) = [call for call in systemd.changing_calls() if call.startswith("useradd")]
    assert f" {option} " in call


def test_a_write_that_fails_names_the_file_and_leaves_nothing(systemd, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ComponentError, match=f"{tmp_path}/file/below: cannot be written: File exists"):
        Host().write(f"{tmp_path}/file/below", b"", 0o644, **ME)
    (tmp_path / "directory").mkdir()
    with pytest.raises(ComponentError, match="Is a directory"):
        Host().write(f"{tmp_path}/directory", b"", 0o644, **ME)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["directory", "file"]


def test_an_unknown_owner_is_named():
    with pytest.raises(ComponentError, match=r"no user or group .*hardway-nobody-has-this"):
        host.ids("hardway-nobody-has-this", "root")


def test_commands(tmp_path):
    host = Host()
    assert host.run(["printf", r"\377"]).stdout == "\ufffd"
    with pytest.raises(ComponentError, match="no-such-command: no such command on this host"):
        host.run(["no-such-command"])
    with pytest.raises(ComponentError, match=r"no end after 0.1 s"):
        host.run(["sleep", "5"], timeout=0.1)
    with pytest.raises(ComponentError, match="false: failed with 1"):
        host.change(["false"])
    host.change(["touch", str(tmp_path / "x")])
    assert (tmp_path / "x").exists()


def test_from_payload():
    component = from_payload(
        json.dumps(
            {
                "name": "server",
                "service": None,
                "directories": [{"path": "/d", "mode": "0700"}],
                "files": [
                    {"path": "/f", "content": base64.b64encode(b"").decode(), "mode": "0600"},
                    {"path": "/gone", "absent": True},
                ],
                "health": {"tcp": "127.0.0.1:1"},
                "images": None,
            }
        )
    )
    assert component.directories == [Directory("/d", 0o700)]
    assert component.files == [File("/f", b"", 0o600), File("/gone", absent=True)]
    assert component.files[0].secret
    assert component.health.tcp == "127.0.0.1:1"


def test_a_damaged_record_is_as_none(systemd, server, tmp_path):
    subject.reconcile(server)
    (tmp_path / "state/server.json").write_text("{")
    assert not subject.reconcile(server)["changed"]
    shutil.rmtree(tmp_path / "state")
    assert not subject.reconcile(server)["changed"]


# --- peers


@pytest.fixture(name="asked")
def make_asked(monkeypatch):
    """Peers of which those in `ill` are not healthy; the host itself is `own`."""
    ill: dict[str, str] = {}
    monkeypatch.setattr(peers, "PATIENCE", 0.02)
    monkeypatch.setattr(peers, "INTERVAL", 0.01)
    probe = health.probe
    monkeypatch.setattr(
        health, "probe", lambda host, how: ill.get(how.tcp) if how.tcp in ("own", "other") else probe(host, how)
    )
    return Peers("own", {"own": Health(tcp="own"), "other": Health(tcp="other")}), ill


def test_nothing_is_touched_while_a_peer_is_ill(systemd, server, tmp_path, asked):
    everyone, ill = asked
    subject.reconcile(server)
    systemd.changing_calls()
    before = tree(tmp_path)
    ill["other"] = "connection refused"
    result = subject.reconcile(edit(server, server=b"a: 2\n"), peers=everyone)
    assert result["deferred"] and result["ill"] == {"other": "connection refused"}
    assert tree(tmp_path) == before and systemd.changing_calls() == []
    ill.clear()
    result = subject.reconcile(edit(server, server=b"a: 2\n"), peers=everyone)
    assert not result["deferred"] and "ill" not in result
    assert f"systemctl restart --no-block {SERVICE}" in systemd.changing_calls()


def test_one_that_is_ill_itself_restarts_while_a_peer_is(systemd, server, asked):
    everyone, ill = asked
    subject.reconcile(server)
    ill.update(other="connection refused", own="no quorum")
    result = subject.reconcile(edit(server, server=b"a: 2\n"), peers=everyone)
    assert result["changed"] and not result["deferred"]


@pytest.mark.parametrize(("own", "kind"), [(None, ComponentError), ("no quorum", RepairFailed)])
def test_a_failed_repair_is_told_from_a_failed_restart(systemd, server, asked, own, kind):
    everyone, ill = asked
    subject.reconcile(server)
    ill.update({"own": own, "other": "connection refused"} if own else {})
    systemd.crashes = True
    with pytest.raises(ComponentError) as error:
        subject.reconcile(edit(server, server=b"a: 2\n"), peers=everyone)
    assert isinstance(error.value, RepairFailed) == (kind is RepairFailed)


def test_what_restarts_nothing_asks_nobody(systemd, server, asked):
    """A first start, a reload, a no-op, and a start of what is dead: the ill one itself, and an installation of all at once."""
    everyone, ill = asked
    ill["other"] = "connection refused"
    assert subject.reconcile(server, peers=everyone)["changed"]
    assert not subject.reconcile(server, peers=everyone)["changed"]
    assert subject.reconcile(edit(server, reloaded=b"b: 2\n"), peers=everyone)["changed"]
    systemd.stop(SERVICE)
    assert subject.reconcile(edit(server, server=b"a: 2\n"), peers=everyone)["changed"]
