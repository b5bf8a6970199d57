"""The CIS Kubernetes Benchmark on machines: each automated control by its id, and the manual ones that docs/cis.md says to pass."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from processes import ROOT, cluster, sandbox

sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import cis

HOSTS = {"kube_master": sandbox.MASTERS, "etcd": sandbox.MASTERS, "kube_node": sandbox.NODES}
PASSES = set(
    re.findall(
        r"^\| (\S+) \| \w+ \|[^|]*\| passes \|", (ROOT / "docs" / "cis.md").read_text(encoding="utf-8"), re.MULTILINE
    )
)
CASES = [
    pytest.param(control, host, id=f"{control.id}-{host}")
    for control in cis.CONTROLS
    if control.id in PASSES
    for host in HOSTS[control.group]
]


class Machine:
    """A testinfra host as the controls see it; what was read is kept."""

    def __init__(self, host, installer):
        self.host = host
        self.installer = installer

    @functools.cached_property
    def processes(self):
        commands = [line.split() for line in self.host.check_output("ps -eww -o args=").splitlines()]
        return {words[0].rsplit("/", 1)[-1]: cis.arguments(words[1:]) for words in commands if words}

    def arguments(self, process):
        return self.processes.get(process, {})

    @functools.lru_cache(maxsize=1024)  # noqa: B019  # a scenario has seven machines
    def entry(self, path):
        found = self.host.run(f"stat --dereference --format '%a %U:%G' {path}")
        mode, _space, owner = found.stdout.strip().partition(" ")
        return None if found.rc else cis.Entry(int(mode, 8), owner)

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def below(self, directory):
        lines = self.host.check_output(f"find {directory} -type f -printf '%m %u:%g %p\\n'").splitlines()
        words = [line.split(" ", 2) for line in lines]
        return {path: cis.Entry(int(mode, 8), owner) for mode, owner, path in words}

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def text(self, path):
        return self.host.file(path).content_string

    @functools.lru_cache(maxsize=1024)  # noqa: B019
    def configuration(self, name):
        if name == "kubelet":
            return yaml.safe_load(self.text(cis.PLACES[self.installer]["kubelet configuration"][0]))
        if self.installer == "binaries":
            return yaml.safe_load(self.text("/etc/kubernetes/kube-proxy.yaml"))
        found = json.loads(
            cluster.kubectl("get", "configmap", "kube-proxy", "--namespace=kube-system", "--output=json")
        )
        return yaml.safe_load(found["data"]["config.conf"])


def view_of(installer):
    """The fixture `view`: a function from a machine's name to what the controls see of it."""

    @pytest.fixture(name="view", scope="session")
    def fixture_view(machine):
        return functools.cache(lambda name: Machine(machine(name), installer))

    return fixture_view
