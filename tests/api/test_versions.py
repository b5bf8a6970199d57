# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes' own binaries start with what the roles render for their version: the oldest, those that are tried, with their etcd."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from ansible_collections.hardway.kubernetes.plugins.filter.pki import pki
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify import objects as verify
from ansible_collections.hardway.kubernetes.plugins.modules import certificates, etcd_value
from ansible_collections.hardway.kubernetes.tests.api.cluster import MissingArtifacts, Process, free_port, mirrored
from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

ROOT = Path(os.path.realpath(__file__)).parents[2]
VERSIONS = {
    "1.20.2": rendered.era("1.20"),
    "1.35.4": {
        "cluster_kubernetes_version": "1.35.4",
        "cluster_etcd_version": "3.5.35",
        "cluster_kubelet_config": {"failCgroupV1": False},
    },
    # With every admission plugin that there is a setting for, and its configuration.
    "1.36.3": {
        "cluster_kubernetes_version": "1.36.3",
        "cluster_kubelet_config": {"failCgroupV1": False},
        "cluster_hardening": "cis",
    },
}
ETCD = yaml.safe_load((ROOT / "roles/cluster/defaults/main.yml").read_text())["cluster_etcd_version"]
BOOT = 90.0


class Era:
    """A master's control plane on 127.0.0.1, from the role's own files and arguments."""

    def __init__(
        self, directory: Path, version: str, settings: dict[str, t.Any], call: t.Callable[..., dict[str, t.Any]]
    ) -> None:
        self.directory, self.version, self.settings, self.call = directory, version, settings, call
        self.root = directory / "root"
        self.processes: dict[str, Process] = {}
        self.replaced = {
            "192.0.2.11:2379": f"127.0.0.1:{free_port()}",
            "127.0.0.1:2379": "",
            ":2380": f":{free_port()}",
            ":2381": f":{free_port()}",
            "--secure-port=6443": f"--secure-port={free_port()}",
            "--bind-address=127.0.0.1": "--bind-address=127.0.0.1",
        }
        here = {
            name: [{"name": host, "address": rendered.ADDRESSES[host]} for host in rendered.GROUPS[name]]
            for name in ("etcd", "kube_master")
        }
        request = pki(
            {
                **here,
                "endpoint_address": "127.0.0.1",
                "service_network": "10.96.0.0/16",
                "dns_domain": "cluster.local",
                "single": settings.get("cluster_single_ca", False),
                "cni": "flannel",
                "datastore": "etcd",
            }
        )
        self.pki = directory / "state" / "pki"
        assert call(certificates, path=str(self.pki), **request)["changed"]
        if settings.get("cluster_static_tokens"):
            (directory / "state/token.csv").write_text(
                '0123456789abcdef,kubelet-bootstrap,10001,"system:kubelet-bootstrap"\n'
            )
        self.components = rendered.components("master1", directory / "state", **settings)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()

    def start(self, name: str, *more: str, within: tuple[str, ...] = ()) -> None:
        for item in self.components[name]["files"]:
            if item.get("content") is not None:
                path = self.root / item["path"].lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                text = self.components[name]["texts"][item["path"]]
                path.write_text(self.here(text) if "PRIVATE KEY" not in text and "BEGIN CERT" not in text else text)
        for item in self.components[name]["directories"]:
            (self.root / item["path"].lstrip("/")).mkdir(parents=True, exist_ok=True)
        words = re.search(r"^ExecStart=(.*?[^\\])$", self.components[name]["unit"], re.MULTILINE | re.DOTALL)
        assert words
        program, *arguments = words[1].replace("\\\n", " ").split()
        self.processes[name] = Process(
            self.directory, name, [*within, str(self.binary(Path(program).name)), *map(self.here, arguments), *more]
        )

    def here(self, text: str) -> str:
        """With this test's addresses, ports and directories in place of a machine's."""
        text = re.sub(r",https://127\.0\.0\.1:2379", "", text)
        for before, after in {**self.replaced, "192.0.2.11": "127.0.0.1", ",lb1=https://192.0.2.21:2380": ""}.items():
            text = text.replace(before, after) if after or before.startswith(",") else text
        text = re.sub(r",lb1=https://192\.0\.2\.21:\d+", "", text)
        text = text.replace("https://127.0.0.1:6443", self.url)
        return re.sub(
            r"(?<![\w/])(/etc/(?:kubernetes|etcd)|/var/(?:lib|log)/\w+)", lambda match: str(self.root) + match[1], text
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.replaced['--secure-port=6443'].partition('=')[2]}"

    @property
    def etcd_url(self) -> str:
        return f"https://{self.replaced['192.0.2.11:2379']}"

    def binary(self, name: str) -> Path:
        path = self.directory / name
        if name == "etcd" and not path.exists():
            version = self.settings.get("cluster_etcd_version", ETCD)
            stem = f"etcd-v{version}-linux-amd64"
            with (
                tarfile.open(mirrored(f"github.com/etcd-io/etcd/releases/download/v{version}/{stem}.tar.gz")) as tar,
                path.open("wb") as file,
            ):
                shutil.copyfileobj(t.cast(t.IO[bytes], tar.extractfile(f"{stem}/etcd")), file)
        elif not path.exists():
            shutil.copy(mirrored(f"dl.k8s.io/release/v{self.version}/bin/linux/amd64/{name}"), path)
        path.chmod(0o700)
        return path

    def ask(self, url: str, verify: bool = True) -> int:
        context = (
            ssl.create_default_context(cafile=str(self.pki / "ca.pem")) if verify else ssl._create_unverified_context()
        )
        try:
            return urllib.request.urlopen(url, context=context, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code

    def wait(self, name: str, url: str, verify: bool = True) -> None:
        deadline, trouble = time.monotonic() + BOOT, ""
        while time.monotonic() < deadline:
            self.processes[name].check()
            try:
                answer = self.ask(url, verify)
                if answer == 200:
                    return
                trouble = str(answer)
            except OSError as error:
                trouble = str(error)
            time.sleep(0.3)
        raise AssertionError(f"{name} is not healthy: {trouble}\n{self.processes[name].tail()}")

    def kubectl(self, *words: str, text: str | None = None) -> str:
        options = [
            f"--server={self.url}",
            f"--certificate-authority={self.pki}/ca.pem",
            f"--client-certificate={self.pki}/admin.pem",
        ]
        command = [str(self.binary("kubectl")), *options, f"--client-key={self.pki}/admin-key.pem", *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(name="era", params=VERSIONS, scope="module")
def era_fixture(request: pytest.FixtureRequest, call: t.Callable[..., dict[str, t.Any]]) -> t.Iterator[Era]:
    directory = Path(tempfile.mkdtemp(prefix=f"hardway-era-{os.getpid()}-"))
    era = Era(directory, request.param, VERSIONS[request.param], call)
    try:
        try:
            era.start("etcd")
            era.start("kube-apiserver")
        except MissingArtifacts as error:
            # `make test` has the default's alone; `make test-all` builds them all, and lets none be missing.
            if os.environ.get("HARDWAY_EVERY_VERSION"):
                raise
            pytest.skip(f"{request.param}: {error}")
        era.wait("kube-apiserver", f"{era.url}/readyz")
        yield era
    finally:
        era.stop()
        shutil.rmtree(directory, ignore_errors=True)


def test_the_control_plane_starts(era: Era) -> None:
    for name, flag in (("kube-controller-manager", "10257"), ("kube-scheduler", "10259")):
        port = free_port()
        era.start(name, f"--secure-port={port}")
        assert flag in era.components[name]["health"]["url"]
        era.wait(name, f"https://127.0.0.1:{port}/healthz", verify=False)


def test_objects_are_accepted_and_anonymous_requests_get_health_alone(era: Era) -> None:
    era.kubectl("apply", "--filename=-", text=rendered.objects(era.directory / "state", **era.settings))
    answers = {
        path: era.ask(era.url + path) for path in ("/readyz", "/livez", "/healthz", "/version", "/api", "/metrics", "/")
    }
    assert {path for path, answer in answers.items() if answer == 200} == {"/readyz", "/livez", "/healthz"}, answers
    assert set(answers.values()) <= {200, 401, 403}


def test_a_plain_namespace_takes_no_privileged_pod(era: Era) -> None:
    era.kubectl("apply", "--filename=-", text=rendered.objects(era.directory / "state", **era.settings))
    # The pods' own right counts, as with pods of a controller: an admin may use every policy.
    spec = verify.web_objects("run", "image", ["node1"])[0][1]["spec"]["template"]["spec"]
    privileged = {
        "automountServiceAccountToken": False,
        "containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}],
    }
    pods = [
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": each})
        for each in (spec, privileged)
    ]
    era.kubectl(
        "apply",
        "--filename=-",
        text="apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: default}\n",
    )
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pods"}
    version = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "pods"}}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    era.kubectl("apply", "--filename=-", text=json.dumps({**version, "kind": "ClusterRole", "rules": rules}))
    binding = json.dumps({**version, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})
    era.kubectl("apply", "--filename=-", text=binding)
    as_jane = ("create", "--as=jane", "--as-group=system:authenticated", "--dry-run=server", "--filename=-")
    deadline = time.monotonic() + 20
    while True:  # the right takes a moment
        try:
            era.kubectl(*as_jane, text=pods[0])
            break
        except AssertionError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    with pytest.raises(AssertionError, match=r"PodSecurity|pod security policy"):
        era.kubectl(*as_jane, text=pods[1])


def test_flannel_s_network_is_written_once(era: Era) -> None:
    options = {
        "endpoints": [era.etcd_url], "ca": f"{era.pki}/etcd-ca.pem", "certificate": f"{era.pki}/flannel-etcd-client.pem",
        "key": f"{era.pki}/flannel-etcd-client-key.pem",
    }  # fmt: skip
    wanted = {"name": "/coreos.com/network/config", "value": '{"Network": "10.244.0.0/16"}'}
    planned = era.call(etcd_value, **options, check=True, **wanted)
    assert planned.get("changed"), planned["msg"]
    assert era.call(etcd_value, **options, **wanted)["before"] is None
    assert not era.call(etcd_value, **options, **wanted)["changed"]


@pytest.mark.parametrize("name", ["kubelet", "kube-proxy"])
def test_a_node_s_daemon_understands_its_arguments(era: Era, name: str) -> None:
    """It ends, or is ended, for want of a runtime and rights; not for what it was told."""
    # Without this computer's network, which is not theirs to change.
    era.start(name, within=("unshare", "--net", "--mount"))
    end = time.monotonic() + 6
    while time.monotonic() < end and era.processes[name].running:
        time.sleep(0.2)
    said = era.processes[name].log.read_text(errors="replace")
    assert not re.search(
        r"unknown flag|unknown field|strict decoding|invalid configuration|failed to validate|unknown command",
        said,
        re.IGNORECASE,
    ), said
    assert said
