# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is seen of kubeadm on a host, and what follows from it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import peers
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import Health
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm import apply, model
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.diff import difference
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.plan import plan
from ansible_collections.hardway.kubernetes.plugins.module_utils.kubeadm.run import run

MANIFESTS = {
    f"/etc/kubernetes/manifests/{name}.yaml": f"image: registry.k8s.io/{name}:v1.36.3\n- --one=1\n"
    for name in model.STATIC_PODS
}
CONFIGURED = {"/var/lib/kubelet/config.yaml": "a: 1\n", "/var/lib/kubelet/kubeadm-flags.env": ""}
TOOLS = {
    "/usr/local/bin/kubeadm": "",
    "/etc/kubernetes/kubeadm.yaml": "patches:\n  directory: /etc/kubernetes/patches\n",
}
MASTER = {
    **MANIFESTS,
    **CONFIGURED,
    **TOOLS,
    "/etc/kubernetes/kubelet.conf": "client-certificate: x",
    model.CLIENT_CERTIFICATE: "x",
}
NODE = {**CONFIGURED, "/etc/kubernetes/kubelet.conf": "client-certificate: x", model.CLIENT_CERTIFICATE: "x"}


class FakeSystem:
    """Files in a dictionary; kubeadm renders what `wanted` says, and a static pod starts anew with its manifest."""

    def __init__(self, files, wanted="", objects=None, version="1.36.3"):
        self.files = dict(files)
        self.wanted = wanted or "- --one=1\n"
        self.version = version
        self.objects = objects or {}
        self.commands = []
        self.kubelet_config = "a: 1\n"
        self.times = {}
        self.modes = {}
        self.containers = []

    def manifest(self, name):
        return f"image: registry.k8s.io/{name}:v{self.version}\n{self.wanted}"

    def run(self, *argv, timeout=120, environment=None):
        self.commands.append(argv)
        if argv[:2] == ("crictl", "pods"):
            items = [
                {"labels": {"component": name}, "annotations": {"kubernetes.io/config.hash": self.files[path]}}
                for name in model.STATIC_PODS
                if (path := f"/etc/kubernetes/manifests/{name}.yaml") in self.files
            ]
            return 0, json.dumps({"items": items}), ""
        if argv[:2] == ("crictl", "ps"):
            return 0, " ".join(self.containers), ""
        if argv[0] == "crictl" and "stop" in argv:
            self.containers.remove(argv[-1])
        if argv[0] == "kubectl" and "get" in argv:
            found = self.objects.get(argv[argv.index("get") + 2])
            return (0, json.dumps(found), "") if found else (1, "", "not found")
        if argv[:4] == ("kubeadm", "init", "phase", "control-plane"):
            names = [name for name, phase in model.SUBPHASES.items() if argv[4] in ("all", phase)]
            directory = (environment or {}).get("KUBEADM_INIT_DRYRUN_DIR", "/etc/kubernetes/manifests")
            self.files.update({f"{directory}/{name}.yaml": self.manifest(name) for name in names})
        elif argv[:2] in (("kubeadm", "init"), ("kubeadm", "join")) and "control-plane" not in argv[-1]:
            self.files.update({**CONFIGURED, "/etc/kubernetes/kubelet.conf": "x"})
        elif argv[:4] == ("kubeadm", "upgrade", "node", "phase"):
            (environment or {}).get("KUBEADM_UPGRADE_DRYRUN_DIR")
            path = (
                f"{environment['KUBEADM_UPGRADE_DRYRUN_DIR']}/config.yaml"
                if "--dry-run" in argv
                else "/var/lib/kubelet/config.yaml"
            )
            self.files[path] = self.kubelet_config
        return 0, "", ""

    def read(self, path):
        return self.files.get(path, "")

    def exists(self, path):
        return path in self.files or any(name.startswith(f"{path}/") for name in self.files)

    def write(self, path, text, mode=0o600):
        del mode
        self.files[path] = text
        parent = pathlib.Path(path).parent
        if "hardway-kubeadm-" in path:
            parent.mkdir(parents=True, exist_ok=True)

    def remove(self, path):
        self.files.pop(path, None)

    def mode(self, path):
        return self.modes.get(path, 0o600) if path in self.files else 0

    def set_mode(self, path, mode):
        self.modes[path] = mode

    def modified(self, path):
        return self.times.get(path, 0.0)

    def probe(self, health):
        del health

    @property
    def told(self):
        """The commands that change something."""
        reading = ("crictl", "systemctl")
        return [
            " ".join(argv)
            for argv in self.commands
            if argv[0] not in reading and "get" not in argv and "--dry-run" not in argv
        ]


def spec(**values):
    return model.Spec(**{"version": "1.36.3", "control_plane": True, "timeout": 1, **values})


def test_a_fresh_master_is_initialised_without_what_needs_rights_there():
    system = FakeSystem(TOOLS)
    planned = run(spec(), "init", check_mode=True, system=system)
    assert planned["changes"] == ["control plane: initialised, because there is none"]
    assert system.told == []
    (action,) = plan(Host(spec(), system), "init")
    assert "upload-config" in action.argv[-1] and "control-plane" not in action.argv[-1].replace(
        "wait-control-plane", ""
    ).replace("mark-control-plane", "")


def test_what_a_killed_init_left_is_finished_by_the_same_command():
    left = {**TOOLS, **MANIFESTS}
    (action,) = plan(Host(spec(), FakeSystem(left)), "init")
    assert action.argv[0] == "init" and "FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml" in action.argv[2]


def test_a_master_that_is_as_configured_is_left_alone():
    system = FakeSystem(MASTER)
    assert run(spec(), "init", system=system)["changed"] is False
    assert system.told == []


def test_a_changed_argument_starts_its_pod_anew_and_says_why():
    system = FakeSystem(MASTER, wanted="- --one=2\n")
    result = run(spec(), "init", check_mode=True, system=system)
    assert "kube-apiserver: restarted, because --one changed" in result["changes"]


def test_a_running_control_plane_waits_for_its_turn():
    system = FakeSystem(MASTER, wanted="- --one=2\n")
    assert run(spec(), "init", defer_restart=True, system=system)["deferred"] is True
    assert system.told == []
    done = run(spec(), "init", system=system)
    assert [command.split()[4] for command in system.told] == ["apiserver", "controller-manager", "scheduler"] and done[
        "changed"
    ]
    assert run(spec(), "init", system=system)["changed"] is False


@pytest.mark.parametrize("own", ["ill", None])
def test_a_control_plane_restarts_while_the_others_are_healthy_or_it_is_not(own, monkeypatch):
    monkeypatch.setattr(peers, "PATIENCE", 0)
    everyone = peers.Peers("master2", {name: Health(url=name) for name in ("master1", "master2")})
    system = FakeSystem(MASTER, wanted="- --one=2\n")
    answers = {"master1": "refused", "master2": own}
    monkeypatch.setattr(system, "probe", lambda health: answers.get(health.url))
    result = run(spec(), "init", system=system, peers=everyone)
    assert bool(system.told) == bool(own)
    if not own:
        assert result["deferred"] and result["ill"] == {"master1": "refused"}


def test_a_changed_input_of_a_process_is_in_its_manifest():
    system = FakeSystem({**MASTER, "/etc/kubernetes/pki/sa.key": "old"})
    inputs = {"kube-apiserver": ["/etc/kubernetes/pki/sa.key"]}
    before = Host(spec(inputs=inputs), system).patches()
    system.files["/etc/kubernetes/pki/sa.key"] = "new"
    after = Host(spec(inputs=inputs), system).patches()
    assert before["kube-apiserver0+merge.yaml"] != after["kube-apiserver0+merge.yaml"]
    assert before["kube-scheduler0+merge.yaml"] == after["kube-scheduler0+merge.yaml"]


def test_a_reason_names_files_arguments_and_versions():
    before = "hardway/inputs: /a=1 /b=1\n- --kept=1\n- --gone=1\nimage: x:v1\n"
    after = "hardway/inputs: /a=1 /b=2\n- --kept=1\n- --new=1\nimage: x:v2\n"
    assert difference(before, after) == "/b changed, --new changed, image: x:v2 is new, --gone changed"


@pytest.mark.parametrize(
    ("told", "command"), [("v1.35.4", ("upgrade", "apply", "v1.36.3")), ("v1.36.3", ("upgrade", "node"))]
)
def test_one_master_tells_the_cluster_of_an_upgrade_and_the_others_follow(told, command):
    files = {**MASTER, **{path: text.replace("1.36.3", "1.35.4") for path, text in MANIFESTS.items()}}
    objects = {"kubeadm-config": {"data": {"ClusterConfiguration": f"kubernetesVersion: {told}\n"}}}
    (action,) = plan(Host(spec(), FakeSystem(files, objects=objects)), "init")
    assert action.argv[: len(command)] == command
    assert str(action).startswith("control plane: 1.35.4 -> 1.36.3 by kubeadm upgrade")
    assert "--skip-phases=kubeconfig,addon" in action.argv and "--certificate-renewal=false" in action.argv


def test_the_token_is_on_the_host_only_while_it_joins():
    system = FakeSystem({})
    result = run(spec(control_plane=False, join="token: secret\n"), "join", system=system)
    assert result["changes"] == ["node: joined"] and "secret" not in json.dumps(result)
    assert "/etc/kubernetes/kubeadm-join.yaml" not in system.files
    assert "kubelet-wait-bootstrap" in system.told[0]


def test_a_plan_that_is_printed_does_not_show_the_token():
    (action,) = plan(Host(spec(control_plane=False, join="token: secret\n"), FakeSystem({})), "join")
    assert isinstance(action, apply.Join) and "secret" not in f"{action!r} {action} {action.diff()}"


def test_an_action_that_restarts_static_pods_writes_their_patches_and_waits_for_them():
    system = FakeSystem(MASTER, wanted="- --one=2\n")
    (action, *_others) = plan(Host(spec(), system), "init")
    action.apply(Host(spec(), system))
    assert "/etc/kubernetes/patches/kube-apiserver0+merge.yaml" in system.files
    assert action.restarts == ("kube-apiserver",)
    with pytest.raises(model.KubeadmError, match=r"its pod has not restarted.*Fix: "):
        action.apply(Host(spec(timeout=0), system))


def test_nobody_joins_without_a_token():
    with pytest.raises(model.KubeadmError, match="no token"):
        run(spec(control_plane=False), "join", system=FakeSystem({}))


def test_a_node_that_joined_is_left_alone():
    system = FakeSystem(NODE)
    assert run(spec(control_plane=False), "join", system=system)["changed"] is False
    assert run(spec(control_plane=False), "kubelet-config", system=system)["changed"] is False


def test_a_node_whose_join_was_killed_before_it_had_a_certificate_joins_again():
    files = {name: text for name, text in NODE.items() if name != model.CLIENT_CERTIFICATE}
    assert run(spec(control_plane=False, join="x"), "join", check_mode=True, system=FakeSystem(files))["changes"] == [
        "node: joined"
    ]


def test_what_a_host_joined_with_goes_and_kubelet_gets_what_the_cluster_has():
    system = FakeSystem({**NODE, model.BOOTSTRAP_CONF: "token", model.JOIN_CONFIG: "token"})
    system.kubelet_config = "a: 2\n"
    result = run(spec(control_plane=False), "kubelet-config", system=system)
    assert [change.split(":")[0] for change in result["changes"]] == [
        model.JOIN_CONFIG,
        model.BOOTSTRAP_CONF,
        "/var/lib/kubelet/config.yaml",
        "kubelet.service",
    ]
    assert model.BOOTSTRAP_CONF not in system.files and ("systemctl", "restart", "kubelet") in system.commands


def test_a_master_does_not_keep_what_an_interrupted_run_joined_it_with():
    system = FakeSystem({**MASTER, model.BOOTSTRAP_CONF: "token", model.JOIN_CONFIG: "token"})
    planned = run(spec(), "init", check_mode=True, system=system)
    assert planned["changes"] == [f"{model.JOIN_CONFIG}: removed", f"{model.BOOTSTRAP_CONF}: removed"]
    run(spec(), "init", system=system)
    assert not {model.BOOTSTRAP_CONF, model.JOIN_CONFIG} & set(system.files)


def test_a_restart_that_a_dead_run_owed_is_done(monkeypatch):
    system = FakeSystem(NODE)
    system.times["/var/lib/kubelet/config.yaml"] = 1000.0
    monkeypatch.setattr(Host, "kubelet_started", lambda self: 900.0)
    assert run(spec(control_plane=False), "kubelet-config", check_mode=True, system=system)["changes"] == [
        "kubelet.service: restarted, because /var/lib/kubelet/config.yaml changed"
    ]


def test_kubelets_configuration_is_for_root_alone():
    system = FakeSystem(NODE)
    system.modes["/var/lib/kubelet/config.yaml"] = 0o644  # as kubeadm makes it
    result = run(spec(control_plane=False), "kubelet-config", system=system)
    assert result["changes"] == ["/var/lib/kubelet/config.yaml: mode 0644 -> 0600"]
    assert (
        system.modes == {"/var/lib/kubelet/config.yaml": 0o600}
        and ("systemctl", "restart", "kubelet") not in system.commands
    )
    assert run(spec(control_plane=False), "kubelet-config", system=system)["changed"] is False


def test_a_master_s_first_identity_gives_way_to_its_own():
    system = FakeSystem({**MASTER, "/etc/kubernetes/kubelet.conf": "client-certificate-data: x"})
    result = run(spec(), "kubelet-config", system=system)
    assert result["changes"] == ["/etc/kubernetes/kubelet.conf: names the certificate that kubelet renews itself"]


def test_the_configuration_is_stored_until_the_cluster_has_it():
    there = {"metadata": {"annotations": {model.INPUTS: "d1"}}}
    kept = {"kubeadm-config": there, "kubelet-config": {"kind": "ConfigMap"}, "cluster-info": {"kind": "ConfigMap"}}
    assert run(spec(digest="d1"), "upload-config", system=FakeSystem(MASTER, objects=kept))["changed"] is False
    assert run(spec(digest="d2"), "upload-config", check_mode=True, system=FakeSystem(MASTER, objects=kept))[
        "changes"
    ] == ["cluster: configuration uploaded, because its configuration changed"]
    del kept["cluster-info"]
    system = FakeSystem(MASTER, objects=kept)
    assert run(spec(digest="d1"), "upload-config", system=system)["changes"] == [
        "cluster: configuration uploaded, because ConfigMap cluster-info is missing"
    ]
    assert "annotate" in system.told[-1]


def test_kube_proxy_is_rolled_out_until_its_pods_have_this_configuration():
    proxy = {"spec": {"template": {"metadata": {"annotations": {model.INPUTS: "d1"}}}}}
    system = FakeSystem(MASTER, objects={"kube-proxy": proxy})
    assert run(spec(digest="d1"), "kube-proxy", system=system)["changed"] is False
    assert run(spec(digest="d2"), "kube-proxy", system=system)["changes"] == [
        "kube-proxy: rolled out, because its version or configuration changed"
    ]
    assert [
        next(word for word in ("addon", "patch", "rollout") if word in command) for command in system.told[-3:]
    ] == ["addon", "patch", "rollout"]
    assert run(spec(digest="d1"), "kube-proxy", check_mode=True, system=FakeSystem(MASTER))["changes"] == [
        "kube-proxy: rolled out, because it was not there"
    ]


def test_an_api_server_leaves_before_another_kubelet_and_after_the_old_one():
    system = FakeSystem(MASTER)
    system.containers = ["id1"]
    assert run(spec(), "stop-gracefully", check_mode=True, system=system)["changed"] and system.told == []
    run(spec(), "stop-gracefully", system=system)
    done = [argv for argv in system.commands if "stop" in argv]
    assert done == [("systemctl", "stop", "kubelet"), ("crictl", "--timeout=90s", "stop", "--timeout=60", "id1")]
    assert run(spec(), "stop-gracefully", system=system)["changed"] is False


def test_what_is_wanted_is_never_changed_by_looking():
    assert dataclasses.is_dataclass(model.Spec) and spec() == spec()
