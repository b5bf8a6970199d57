# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an upgrade would do, and every reason against it."""

from __future__ import annotations

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.upgrade import plan as upgrade

TARGET = {"kubernetes": "1.36.3", "etcd": "3.6.16"}
READY = {"master1": True, "node1": True}


def entry(
    component: str, *parts: tuple[str, str, str], tools: tuple[str, ...] = (), error: str = "", settings: bool = False
) -> dict:
    changes = [
        {"kind": "artifact", "name": name, "action": "installed", "before": before, "after": after}
        for name, before, after in parts
    ]
    causes = [{"kind": "artifact", "name": name} for name, _before, _after in parts if name not in tools]
    if settings:
        changes.append({"kind": "file", "name": "/etc/x.yaml", "action": "changed", "before": "a", "after": "b"})
        causes.append({"kind": "file", "name": "/etc/x.yaml"})
    restart = "in any words" if causes else None
    return {
        "component": component,
        "role": "any",
        "changes": changes,
        "restart": restart,
        "causes": causes,
        "error": error,
    }


def plans() -> dict:
    return {
        "master1": [
            entry("kubelet", ("kubelet", "1.35.4", "1.36.3")),
            entry(
                "kube-apiserver",
                ("kube-apiserver", "1.35.4", "1.36.3"),
                ("kubectl", "1.35.4", "1.36.3"),
                tools=("kubectl",),
            ),
            entry("etcd", ("etcd", "3.5.35", "3.6.16")),
            entry("kube-scheduler"),
        ],
        "node1": [entry("containerd", ("runc", "1.4.1", "1.4.2")), entry("kube-proxy", settings=True)],
        "lb1": [],
    }


INSTALLED = {
    "master1": {"kube-apiserver": "1.35.4", "kubelet": "1.35.4", "etcd": "3.5.35"},
    "node1": {"kubelet": "1.35.4"},
    "lb1": {},
}


def planned(installed=None, nodes=None, target=None, **more) -> upgrade.Plan:
    return upgrade.plan(target or TARGET, installed or INSTALLED, more.pop("plans", plans()), nodes or READY, **more)


def test_rows_are_in_the_order_of_the_run():
    plan = planned()
    assert plan.problems == []
    assert [(row.component, row.host, row.restart, row.drain) for row in plan.rows] == [
        ("etcd", "master1", True, False),
        ("kube-apiserver", "master1", True, False),
        ("kubelet", "master1", True, True),
        ("kubectl", "master1", False, False),
        ("runc", "node1", True, True),
        ("kube-proxy", "node1", True, False),
    ]
    assert plan.drained == ["master1", "node1"]
    lines = plan.lines()
    assert lines[0].split() == ["component", "host", "from", "to", "restart", "drain"]
    assert lines[1].split() == ["etcd", "master1", "3.5.35", "3.6.16", "yes", "no"]
    assert lines[-1].split() == ["kube-proxy", "node1", "-", "other", "settings", "yes", "no"]


def test_nothing_to_do_is_said():
    plan = planned(plans={"master1": [entry("etcd")]}, installed={"master1": {"etcd": "3.6.16"}})
    assert plan.rows == [] and len(plan.lines()) == 1 and plan.lines()[0].startswith("Nothing to upgrade")


def test_versions_come_from_artifacts_alone_and_causes_from_what_restarts():
    new = entry("kubelet", ("kubelet", "", "1.36.3"))
    image = entry("kubelet")
    image["changes"] = [{"kind": "image", "name": "pause", "action": "loaded", "before": "3.9", "after": "3.10"}]
    file = entry("kubelet", ("kubelet", "1.35.4", "1.36.3"), tools=("kubelet",), settings=True)
    file["causes"].append({"kind": "file", "name": "kubelet"})
    for given, row in ((new, (True, False)), (image, (False, False)), (file, (False, True))):
        (found,) = planned(plans={"node1": [given]}, installed={"node1": {}}).rows
        assert (found.restart, found.drain) == row
        assert (found.before, found.after) == (("1.35.4", "1.36.3") if given is file else ("", ""))


def test_nodes_stay_as_they_are_where_asked_and_where_there_are_none():
    assert planned(drain=False).drained == []
    assert planned(nodes={"node1": True}).drained == ["node1"]


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("a downgrade is not supported", {"target": {**TARGET, "kubernetes": "1.34.9"}}),
        ("a downgrade is not supported", {"target": {**TARGET, "kubernetes": "1.35.3"}}),
        ("a downgrade is not supported", {"target": {**TARGET, "etcd": "3.5.34"}}),
        ("set cluster_kubernetes_version to 1.36 first", {"target": {**TARGET, "kubernetes": "1.37.0"}}),
        ("set cluster_etcd_version to 3.6 first", {"target": {**TARGET, "etcd": "3.7.0"}}),
        ("3.6.16 needs 3.5.26 or later before it", {"installed": {"master1": {"etcd": "3.5.9"}}}),
        ("more than 3 minor versions older", {"installed": {"node1": {"kubelet": "1.32.1"}}}),
        ("node1 is not Ready", {"nodes": {"master1": True, "node1": False}}),
        ("etcd: the cluster has no quorum", {"etcd_problems": ["the cluster has no quorum"]}),
        ("kubelet could not be compared: no template", {"plans": {"node1": [entry("kubelet", error="no template")]}}),
    ],
)
def test_each_reason_against_it(words, change):
    problems = planned(**change).problems
    assert len(problems) == 1 and words in problems[0], problems
    assert "Fix: " in problems[0] or not {"target", "installed", "nodes"} & set(change)


def test_a_patch_and_the_same_version_are_fine_and_foreign_nodes_are_nobodys_business():
    assert planned(target={"kubernetes": "1.35.9", "etcd": "3.5.36"}).problems == []
    assert planned(target={"kubernetes": "1.35.4", "etcd": "3.5.35"}).problems == []
    assert planned(nodes={**READY, "somebody-elses": False}).problems == []


def test_static_pods_are_told_although_no_component_has_them():
    installed = {"master1": {"kube-apiserver": "1.35.4", "kubelet": "1.35.4"}, "master2": {"kube-apiserver": "1.36.3"}}
    plan = planned(
        plans={"master1": [entry("kubelet", ("kubelet", "1.35.4", "1.36.3"))], "master2": []}, installed=installed
    )
    assert [(row.component, row.host, row.before, row.after, row.restart, row.drain) for row in plan.rows] == [
        ("kube-apiserver", "master1", "1.35.4", "1.36.3", True, False),
        ("kube-controller-manager", "master1", "1.35.4", "1.36.3", True, False),
        ("kube-scheduler", "master1", "1.35.4", "1.36.3", True, False),
        ("kubelet", "master1", "1.35.4", "1.36.3", True, True),
    ]
