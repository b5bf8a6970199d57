# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A control plane on 127.0.0.1 out of the mirror's binaries: etcd, kube-apiserver and kube-controller-manager, without nodes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
import typing as t
import urllib.request
from pathlib import Path

import jinja2
import yaml

from ansible_collections.hardway.kubernetes.plugins.filter.pki import pki
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    Credentials,
)
from ansible_collections.hardway.kubernetes.plugins.modules import certificates, kubeconfig, static_token

ROOT = Path(os.path.realpath(__file__)).parents[2]
CACHE = Path(
    os.environ.get("HARDWAY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hardway"
)
SETTINGS = yaml.safe_load((ROOT / "roles/cluster/defaults/main.yml").read_text())
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
    "statefulset-controller",
    "job-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "certificatesigningrequest-signing-controller",
    "clusterrole-aggregation-controller",
    "namespace-controller",
    "disruption-controller",
)
STATIC_USER = {"user": "kubelet-bootstrap", "uid": "10001", "groups": ["system:bootstrappers", "documents"]}
BOOT = 60.0

Call = t.Callable[..., dict[str, t.Any]]


class MissingArtifacts(Exception):
    """The mirror lacks a binary; says what makes it."""


def mirrored(path: str) -> Path:
    found = CACHE / "mirror" / path
    if not found.is_file():
        raise MissingArtifacts(f"{found} is missing; run: make artifacts")
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A server with its log; ended by its own id."""

    def __init__(self, directory: Path, name: str, command: t.Sequence[str]) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*map(str, command)], cwd=directory, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{self.tail()}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        # nothing here is worth a graceful end
        self._process.kill()
        self._process.wait()


class Cluster:
    """The control plane. *call* runs a module of the collection and returns its result."""

    def __init__(self, directory: Path, call: Call) -> None:
        self.directory = directory
        self.call = call
        self.pki = directory / "pki"
        self.processes: dict[str, Process] = {}
        self.etcd_port = free_port()

    def start(self) -> None:
        self._make_pki()
        self.token_file = self.directory / "token.csv"
        assert self.call(static_token, path=str(self.token_file), tokens=[STATIC_USER])["changed"]
        self._unpack()
        self._start("etcd", self._etcd_arguments())
        self.url = self.start_apiserver(
            "kube-apiserver", ["key1", "key2"], authentication_config=self._authentication_configuration()
        )
        self.kubeconfig = self.make_kubeconfig(
            "admin", client_certificate=f"{self.pki}/admin.pem", client_key=f"{self.pki}/admin-key.pem"
        )
        self.wait_for_api("kube-apiserver", self.kubeconfig)
        self.api = Api.from_kubeconfig(self.kubeconfig, agent="hardway-tests")
        self._start("kube-controller-manager", self._controller_manager_arguments())

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()

    def _make_pki(self) -> None:
        here = [{"name": "local", "address": "127.0.0.1"}]
        request = pki(
            {
                "etcd": here,
                "kube_master": here,
                "endpoint_address": "127.0.0.1",
                "service_network": "10.96.0.0/16",
                "dns_domain": "cluster.local",
                "installer": "kubeadm",
            }
        )
        request["keys"].append({"name": "encryption-2", "type": "random", "size": 32})
        for node in ("node-a", "node-b"):
            subject = {"CN": f"system:node:{node}", "O": "system:nodes"}
            request["certificates"].append({"name": node, "ca": "kubelet-ca", "profile": "client", "subject": subject})
        assert self.call(certificates, path=str(self.pki), **request)["changed"]

    def _unpack(self) -> None:
        version = SETTINGS["cluster_etcd_version"]
        name = f"etcd-v{version}-linux-amd64"
        archive = mirrored(f"github.com/etcd-io/etcd/releases/download/v{version}/{name}.tar.gz")
        with tarfile.open(archive) as tar, open(self.directory / "etcd", "wb") as file:
            shutil.copyfileobj(t.cast(t.IO[bytes], tar.extractfile(f"{name}/etcd")), file)
        (self.directory / "etcd").chmod(0o700)
        for name in ("kube-apiserver", "kube-controller-manager"):
            self.binary(name)

    def binary(self, name: str) -> Path:
        """The path of one of Kubernetes' binaries, which can be executed."""
        path = self.directory / name
        if not path.exists():
            shutil.copy(
                mirrored(f"dl.k8s.io/release/v{SETTINGS['cluster_kubernetes_version']}/bin/linux/amd64/{name}"), path
            )
            path.chmod(0o700)
        return path

    def _start(self, binary: str, arguments: t.Mapping[str, t.Any], name: str = "") -> None:
        given = [f"--{key}={value}" for key, value in arguments.items()]
        self.processes[name or binary] = Process(self.directory, name or binary, [str(self.directory / binary), *given])

    def _etcd_arguments(self) -> dict[str, t.Any]:
        client, peer = f"https://127.0.0.1:{self.etcd_port}", f"https://127.0.0.1:{free_port()}"
        tls = {
            "cert-file": f"{self.pki}/etcd-local.pem",
            "key-file": f"{self.pki}/etcd-local-key.pem",
            "trusted-ca-file": f"{self.pki}/etcd-ca.pem",
        }
        return {
            "name": "local",
            "data-dir": self.directory / "etcd-data",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"local={peer}",
            "unsafe-no-fsync": "true",
            "client-cert-auth": "true",
            **tls,
            **{f"peer-{key}": value for key, value in tls.items()},
        }

    def start_apiserver(self, name: str, keys: t.Sequence[str], **more: t.Any) -> str:
        """An API server that encrypts with the first of *keys*; returns its address.

        It is without NodeRestriction, which would keep some of what must not be approved from being asked at all.
        """
        port = free_port()
        arguments = {
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": port,
            "allow-privileged": "true",
            "authorization-mode": "Node,RBAC",
            "client-ca-file": f"{self.pki}/client-ca.pem",
            "enable-bootstrap-token-auth": "true",
            "encryption-provider-config": self._encryption_configuration(name, keys),
            "etcd-servers": f"https://127.0.0.1:{self.etcd_port}",
            "etcd-cafile": f"{self.pki}/etcd-ca.pem",
            "etcd-certfile": f"{self.pki}/kube-apiserver-etcd-client.pem",
            "etcd-keyfile": f"{self.pki}/kube-apiserver-etcd-client-key.pem",
            "kubelet-certificate-authority": f"{self.pki}/kubelet-ca.pem",
            "kubelet-client-certificate": f"{self.pki}/kube-apiserver-kubelet-client.pem",
            "kubelet-client-key": f"{self.pki}/kube-apiserver-kubelet-client-key.pem",
            "kubelet-preferred-address-types": "InternalIP",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": f"{self.pki}/service-account.pem",
            "service-account-signing-key-file": f"{self.pki}/service-account-key.pem",
            "service-cluster-ip-range": "10.96.0.0/16",
            "token-auth-file": self.token_file,
            "tls-cert-file": f"{self.pki}/kube-apiserver-local.pem",
            "tls-private-key-file": f"{self.pki}/kube-apiserver-local-key.pem",
            **{key.replace("_", "-"): value for key, value in more.items()},
        }
        self._start("kube-apiserver", arguments, name)
        return f"https://127.0.0.1:{port}"

    def _encryption_configuration(self, name: str, keys: t.Sequence[str]) -> Path:
        files = {"key1": "encryption.key", "key2": "encryption-2.key"}
        secrets = [{"name": key, "secret": (self.pki / files[key]).read_text().strip()} for key in keys]
        resources = [
            {"resources": ["secrets", "configmaps"], "providers": [{"secretbox": {"keys": secrets}}, {"identity": {}}]}
        ]
        path = self.directory / f"{name}-encryption.yaml"
        path.write_text(
            json.dumps(
                {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": resources}
            )
        )
        return path

    def _authentication_configuration(self) -> Path:
        """As the roles have it: an anonymous request gets health, by kubeadm what joins need, and nothing else."""
        path = self.directory / "authentication.yaml"
        template = (ROOT / "roles/kube_master/templates/authentication.yaml.j2").read_text()
        paths = ["/api/v1/namespaces/kube-public/configmaps/cluster-info"]
        settings = {"cluster_has": {"authentication_api": "apiserver.config.k8s.io/v1"}, "anonymous_paths": paths}
        path.write_text(jinja2.Template(template, trim_blocks=True).render(settings))
        return path

    def _controller_manager_arguments(self) -> dict[str, t.Any]:
        return {
            "kubeconfig": self.kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": free_port(),
            "leader-elect": "false",
            "controllers": ",".join(CONTROLLERS),
            "root-ca-file": f"{self.pki}/ca.pem",
            "service-account-private-key-file": f"{self.pki}/service-account-key.pem",
            **{
                f"cluster-signing-{signer}-{kind}-file": f"{self.pki}/kubelet-ca{end}.pem"
                for signer in ("kubelet-client", "kubelet-serving")
                for kind, end in (("cert", ""), ("key", "-key"))
            },
        }

    def make_kubeconfig(self, user: str, server: str = "", **identity: t.Any) -> str:
        path = str(self.directory / f"{user}.kubeconfig")
        arguments = {
            "path": path,
            "cluster": "local",
            "user": user,
            "server": server or self.url,
            "certificate_authority": f"{self.pki}/ca.pem",
        }
        assert "failed" not in self.call(kubeconfig, **arguments, **identity)
        return path

    def wait_for_api(self, name: str, path: str) -> None:
        api, end = Api.from_kubeconfig(path), time.monotonic() + BOOT
        while True:
            self.processes[name].check()
            try:
                if api.text("/readyz")[0] == 200:
                    return
            except ApiUnreachable:
                pass
            if time.monotonic() > end:
                raise RuntimeError(f"{name} was not ready within {BOOT:g} s:\n{self.processes[name].tail()}")
            time.sleep(0.1)

    def as_client(self, certificate: str, key: str) -> Api:
        """The API for someone who has a certificate, in PEM."""
        return Api(Credentials(self.url, authority=(self.pki / "ca.pem").read_text(), certificate=certificate, key=key))

    def as_node(self, name: str) -> Api:
        return self.as_client((self.pki / f"{name}.pem").read_text(), (self.pki / f"{name}-key.pem").read_text())

    def as_bearer(self, token: str, server: str = "") -> Api:
        """The API for someone who has a token alone."""
        return Api(Credentials(server or self.url, authority=(self.pki / "ca.pem").read_text(), token=token))

    def stored(self, key: str) -> dict[str, bytes]:
        """What etcd holds under a prefix, by key."""
        context = ssl.create_default_context(cafile=str(self.pki / "etcd-ca.pem"))
        context.load_cert_chain(
            self.pki / "kube-apiserver-etcd-client.pem", self.pki / "kube-apiserver-etcd-client-key.pem"
        )
        until = key[:-1] + chr(ord(key[-1]) + 1)
        body = json.dumps(
            {"key": base64.b64encode(key.encode()).decode(), "range_end": base64.b64encode(until.encode()).decode()}
        ).encode()
        with urllib.request.urlopen(
            f"https://127.0.0.1:{self.etcd_port}/v3/kv/range", body, context=context, timeout=10
        ) as answer:
            found = json.load(answer).get("kvs", [])
        return {base64.b64decode(item["key"]).decode(): base64.b64decode(item["value"]) for item in found}


def eventually(condition: t.Callable[[], t.Any], timeout: float = 20.0, pause: float = 0.05) -> t.Any:
    """What *condition* returns once it is true; errors of the API count as not yet."""
    end = time.monotonic() + timeout
    while True:
        try:
            found = condition()
        except ApiError:
            if time.monotonic() > end:
                raise
            found = None
        if found:
            return found
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(pause)
