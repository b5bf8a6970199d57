# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the roles of this collection put on a host, as their own tasks, settings and templates render it; no host is asked.

In a process of its own, for Ansible's loader of plugins changes how all that comes later is imported.
"""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import subprocess
import sys
from unittest import mock

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[4]
GROUPS = {"etcd": ["master1", "lb1"], "lb": ["lb1"], "kube_master": ["master1"], "kube_node": ["master1", "node1"]}
ADDRESSES = {"master1": "192.0.2.11", "lb1": "192.0.2.21", "node1": "192.0.2.31"}
HOST = {
    "packages": {}, "swap": [], "units": {}, "kubelet_certificate": {"present": False, "expired": False, "pem": ""},
    "etcd_member": False, "etcd_learner": False, "etcd_started_with": {},
    "distribution": {"id": "debian", "like": []},
}  # fmt: skip


class Artifacts(dict):
    """A lock that has everything."""

    def __contains__(self, name):
        return True

    def __missing__(self, name):
        return {"ref": name, "url": f"http://mirror.example.org/{name}", "sha256": "0" * 64, "version": "1"}


def components(host: str, state: pathlib.Path, **settings) -> dict[str, dict]:
    """Component -> its description as the host would get it, with the text of its files by path."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([host, str(state), settings]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def value(host: str, role: str, name: str, state: pathlib.Path, **settings):
    """What a variable of a role is on a host."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([f"{host} {role} {name}", str(state), settings]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def objects(state: pathlib.Path, **settings) -> str:
    """What the role kube_master applies to a cluster, as YAML."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(["", str(state), settings]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _loaded():
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(ROOT / ".collections")])


class Hostvars(dict):
    """Variables of hosts, as Ansible's own give them."""

    def raw_get(self, host: str) -> dict:
        return self[host]


def _variables(host: str, state: pathlib.Path, settings: dict) -> dict:
    facts = settings.pop("facts", {})
    hostvars = Hostvars(
        {
            name: {
                "ansible_host": address,
                "inventory_hostname": name,
                "hardway_host": {"facts": {**HOST, **facts.get(name, {})}},
            }
            for name, address in ADDRESSES.items()
        }
    )
    return {
        **hostvars[host],
        "group_names": [name for name, members in GROUPS.items() if host in members],
        "groups": GROUPS,
        "hostvars": hostvars,
        "ansible_play_hosts": list(ADDRESSES),
        "ansible_play_hosts_all": list(ADDRESSES),
        "ansible_check_mode": True,
        "ansible_inventory_sources": [str(state / "inventory")],
        "cluster_dir": str(state),
        "cluster_endpoint_address": "192.0.2.100",
        "cluster_lock": {"artifacts": {}},
        **settings,
    }


def _objects(state: pathlib.Path, settings: dict) -> str:
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations

    loader = DataLoader()
    role = ROOT / "roles" / "kube_master"
    load = functools.partial(loader.load_from_file, trusted_as_template=True)
    defaults, variables = declarations.role_variables(load, str(ROOT), "kube_master")
    templar = Templar(
        loader=loader,
        variables={**defaults, **_variables("master1", state, settings), **variables, "role_path": str(role)},
    )
    texts = []
    patched = "{{ [] if cluster_has.anonymous_conditions else ['public-info-viewer.yaml.j2'] }}"
    for name in templar.template(
        trust_as_template("{{ kube_master_objects + cluster_cni_objects }}")
    ) + templar.template(trust_as_template(patched)):
        text = trust_as_template((role / "templates" / name).read_text(encoding="utf-8"))
        texts.append(
            templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True})
        )
    return "\n".join(texts)


def _components(host: str, state: pathlib.Path, settings: dict) -> dict[str, dict]:
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar

    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations, render

    loader = DataLoader()
    load = functools.partial(loader.load_from_file, trusted_as_template=True)
    known = _variables(host, state, settings)
    found = []
    with mock.patch.object(render.Renderer, "_artifact", lambda self, name: {"name": name, **Artifacts()[name]}):
        for item in declarations.declarations(load):
            role_path = str(ROOT / "roles" / item.role)
            defaults, variables = declarations.role_variables(load, str(ROOT), item.role)
            merged = {**defaults, **known, **variables, "role_path": role_path}
            templar = Templar(loader=loader, variables=merged)
            renderer = render.Renderer(templar, loader, merged, role_path, check_mode=True)
            if renderer.is_wanted(item) and renderer.phase(item) in declarations.PHASES:
                phase = declarations.PHASES.index(renderer.phase(item))
                described = _described(json.loads(json.dumps(renderer.describe(item))))
                found.append((phase, {**described, "peers": renderer.peers(item)}))
    return {described["name"]: described for _phase, described in sorted(found, key=lambda pair: pair[0])}


def _value(host: str, role: str, name: str, state: pathlib.Path, settings: dict):
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations

    loader = DataLoader()
    load = functools.partial(loader.load_from_file, trusted_as_template=True)
    defaults, variables = declarations.role_variables(load, str(ROOT), role)
    known = {**defaults, **_variables(host, state, settings), **variables, "role_path": str(ROOT / "roles" / role)}
    return Templar(loader=loader, variables=known).template(trust_as_template("{{ " + name + " }}"))


def _described(described: dict) -> dict:
    files = described.get("files", [])
    texts = {
        item["path"]: base64.b64decode(item["content"]).decode() for item in files if item.get("content") is not None
    }
    return {**described, "texts": texts, "absent": [item["path"] for item in files if item.get("absent")]}


def era(name: str) -> dict:
    """The settings of the sandbox's inventory with those of an era over them."""
    files = (
        ROOT / "inventory" / "group_vars" / "all.yml",
        ROOT / "sandbox" / "eras" / name / "group_vars" / "all" / "era.yml",
    )
    settings = {key: value for path in files for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items()}
    return {key: value for key, value in settings.items() if key != "cluster_dir"}


if __name__ == "__main__":
    name, directory, given = json.load(sys.stdin)
    _loaded()
    asked = name.split()
    if len(asked) == 3:
        answer = _value(*asked, pathlib.Path(directory), given)
    elif asked:
        answer = _components(name, pathlib.Path(directory), given)
    else:
        answer = _objects(pathlib.Path(directory), given)
    json.dump(answer, sys.stdout)
