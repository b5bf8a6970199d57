# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""etcd and kube-apiserver run with certificates that the module made from document 000's own files, on ports of the loopback."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import documents
import pytest
import tools

from ansible_collections.hardway.kubernetes.plugins.filter.cfssl import cfssl as read_files

PATIENCE = 90.0
MEMBERS = ("etcd01", "etcd02", "etcd03")


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _each in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(command: list[object], log: Path) -> Iterator[subprocess.Popen]:
    """A server that does not outlive the test."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETCD", "KUBE"))}
    with (
        log.open("w") as stream,
        subprocess.Popen(list(map(str, command)), stdout=stream, stderr=stream, env=environment) as process,
    ):
        try:
            yield process
        finally:
            # Nothing of it has to survive.
            process.kill()


def wait_for(what: str, ready, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > until:
            pytest.fail(
                f"{what} {'ended' if ended else 'is not ready'}:\n" + "\n".join(log.read_text().splitlines()[-30:])
            )
        time.sleep(0.1)


@pytest.fixture(name="pki", scope="module")
def certificates(tmp_path_factory) -> Path:
    """Document 000's files, and the administrator of document 001, below one authority."""
    directory = tmp_path_factory.mktemp("servers") / "pki"
    arguments = read_files([str(documents.FILES / "000"), str(documents.FILES / "001/k8s/k8s-admin-csr.json")])
    arguments["cas"].append({"name": "other-ca", "subject": {"CN": "other"}})
    stranger = {
        "name": "stranger",
        "ca": "other-ca",
        "profile": "kubernetes",
        "subject": {"O": "system:masters", "CN": "k8s-admin"},
    }
    arguments["certificates"].append(stranger)
    documents.by_module({**arguments, "keys": [{"name": "service-account"}]}, directory)
    return directory


# --- etcd


def etcdctl(
    pki: Path, endpoints: list[str], *words: str, pair: str = "etcd", ca: str = "ca"
) -> subprocess.CompletedProcess:
    command = [
        tools.etcd() / "etcdctl",
        f"--endpoints={','.join(endpoints)}",
        f"--cacert={pki}/{ca}.pem",
        "--dial-timeout=2s",
        "--command-timeout=3s",
    ]
    if pair:
        command += [f"--cert={pki}/{pair}.pem", f"--key={pki}/{pair}-key.pem"]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def etcd_log(tmp_path_factory) -> Path:
    """What the first member writes."""
    return tmp_path_factory.mktemp("etcd") / "etcd01.log"


@pytest.fixture(name="etcd", scope="module")
def etcd_cluster(pki, etcd_log) -> Iterator[list[str]]:
    """Three members, one certificate for all of them as server, peer and client, as document 000 has it."""
    directory = etcd_log.parent
    ports = free_ports(2 * len(MEMBERS))
    clients = [f"https://127.0.0.1:{port}" for port in ports[:3]]
    peers = [f"https://127.0.0.1:{port}" for port in ports[3:]]
    with ExitStack() as stack:
        for name, client, peer in zip(MEMBERS, clients, peers, strict=True):
            options = {
                "name": name,
                "data-dir": directory / name,
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": ",".join(f"{member}={url}" for member, url in zip(MEMBERS, peers, strict=True)),
                "cert-file": pki / "etcd.pem",
                "key-file": pki / "etcd-key.pem",
                "trusted-ca-file": pki / "ca.pem",
                "client-cert-auth": "true",
                "peer-cert-file": pki / "etcd.pem",
                "peer-key-file": pki / "etcd-key.pem",
                "peer-trusted-ca-file": pki / "ca.pem",
                "peer-client-cert-auth": "true",
                "unsafe-no-fsync": "true",
            }
            log = etcd_log.with_stem(name)
            process = stack.enter_context(
                running([tools.etcd() / "etcd", *(f"--{key}={value}" for key, value in options.items())], log)
            )
        wait_for("etcd", lambda: etcdctl(pki, clients, "endpoint", "health").returncode == 0, process, log)
        yield clients


def test_etcd_over_mutual_tls(pki, etcd):
    health = etcdctl(pki, etcd, "endpoint", "health", "--write-out=json")
    assert [member["health"] for member in json.loads(health.stdout)] == [True, True, True]
    assert etcdctl(pki, etcd[:1], "put", "key", "value").stdout == "OK\n"
    # Through another member, so peers have talked over TLS, too.
    assert etcdctl(pki, etcd[2:], "get", "key", "--print-value-only").stdout == "value\n"


def test_etcd_refuses_strangers(pki, etcd, etcd_log):
    """etcdctl tries again until its time is over, so all of them at once."""
    localhost = etcd[0].replace("127.0.0.1", "localhost")
    refused_by_etcd = {
        "client didn't provide a certificate": (etcd[0], "", "ca"),
        "certificate signed by unknown authority": (etcd[0], "stranger", "ca"),
    }
    refused_by_etcdctl = {
        "certificate signed by unknown authority": (etcd[0], "etcd", "other-ca"),
        # etcd-csr.json names addresses alone.
        "certificate is not valid for any names, but wanted to match localhost": (localhost, "etcd", "ca"),
    }
    cases = [*refused_by_etcd.values(), *refused_by_etcdctl.values()]
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda case: etcdctl(pki, [case[0]], "get", "key", pair=case[1], ca=case[2]), cases))
    assert all(done.returncode != 0 and "value" not in done.stdout for done in answers)
    for reason, done in zip(refused_by_etcdctl, answers[len(refused_by_etcd) :], strict=True):
        assert reason in done.stderr
    log = etcd_log.read_text()
    assert [reason for reason in refused_by_etcd if reason not in log] == []


# --- kube-apiserver


@pytest.fixture(name="api", scope="module")
def kube_apiserver(pki, etcd, tmp_path_factory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("kube-apiserver")
    (port,) = free_ports(1)
    url = f"https://127.0.0.1:{port}"
    options = {
        "etcd-servers": ",".join(etcd),
        "etcd-cafile": pki / "ca.pem",
        "etcd-certfile": pki / "etcd.pem",
        "etcd-keyfile": pki / "etcd-key.pem",
        "tls-cert-file": pki / "k8s.pem",
        "tls-private-key-file": pki / "k8s-key.pem",
        "client-ca-file": pki / "ca.pem",
        "service-account-key-file": pki / "service-account.pem",
        "service-account-signing-key-file": pki / "service-account-key.pem",
        "service-account-issuer": url,
        "service-cluster-ip-range": "10.253.0.0/16",
        "authorization-mode": "RBAC",
        "anonymous-auth": "false",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        # There are no nodes that an endpoint on the loopback would mislead, and it is not allowed.
        "endpoint-reconciler-type": "none",
    }
    log = directory / "log"
    command = [tools.kube_apiserver(directory), *(f"--{key}={value}" for key, value in options.items())]
    with running(command, log) as process:
        wait_for("kube-apiserver", lambda: ask(pki, f"{url}/readyz")[0] == 200, process, log)
        yield url


def ask(pki: Path, url: str, pair: str = "k8s-admin", body: dict | None = None) -> tuple[int, str]:
    """The status and the text; 0 where there is no connection yet. Python's TLS is openssl's, and strict here."""
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if pair:
        context.load_cert_chain(pki / f"{pair}.pem", pki / f"{pair}-key.pem")
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        return 0, str(error)


def who(pki: Path, api: str, pair: str) -> dict:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return json.loads(ask(pki, f"{api}/apis/authentication.k8s.io/v1/selfsubjectreviews", pair, review)[1])["status"][
        "userInfo"
    ]


def test_kube_apiserver_is_ready_over_tls(pki, api):
    assert ask(pki, f"{api}/readyz") == (200, "ok")


def test_the_subject_is_the_user(pki, api):
    """CN is the user and O the groups, as the documents say of their CSR files."""
    admin, proxy = who(pki, api, "k8s-admin"), who(pki, api, "kube-proxy")
    assert (admin["username"], admin["groups"]) == ("k8s-admin", ["system:masters", "system:authenticated"])
    assert (proxy["username"], proxy["groups"]) == ("system:kube-proxy", ["k8s", "system:authenticated"])
    assert ask(pki, f"{api}/api/v1/namespaces")[0] == 200
    status, text = ask(pki, f"{api}/api/v1/secrets", "kube-proxy")
    assert status == 403 and 'User \\"system:kube-proxy\\" cannot list resource' in text


@pytest.mark.parametrize("pair", ["", "stranger"])
def test_kube_apiserver_refuses_strangers(pki, api, pair):
    assert ask(pki, f"{api}/api/v1/namespaces", pair)[0] == 401


def test_the_name_of_the_api_counts(pki, api):
    """10.253.0.1, the first Service address, is in k8s-csr.json; localhost is not."""
    status, text = ask(pki, f"{api.replace('127.0.0.1', 'localhost')}/readyz")
    assert status == 0 and "Hostname mismatch" in text
