# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the roles' tasks to one call for a host, in a collection that is made up."""

from __future__ import annotations

import base64
import json
import zlib
from unittest import mock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar

from ansible_collections.hardway.kubernetes.plugins.action import component_plan as subject
from ansible_collections.hardway.kubernetes.plugins.modules import component_plan as module

FILES = {
    "playbooks/steps/01_controller.yml": "[{hosts: 'all_of_us', tasks: [{ansible.builtin.import_role: {name: hardway.kubernetes.ca}}]}]",
    "playbooks/steps/02_web.yml": """
        - hosts: all_of_us
          tasks:
            - {ansible.builtin.import_role: {name: hardway.kubernetes.web}, when: "kind == 'haproxy'"}
    """,
    "roles/ca/tasks/main.yml": """
        - block:
            - {hardway.kubernetes.certificates: {path: "{{ cluster_dir }}/pki"}, register: ca_pki}
            - {hardway.kubernetes.kubeconfig: {path: "{{ cluster_dir }}/admin"}}
            - {hardway.kubernetes.artifacts: {lock: "{{ nowhere }}"}}
    """,
    "roles/web/meta/main.yml": "{dependencies: [{role: hardway.kubernetes.base}]}",
    "roles/web/defaults/main.yml": "{web_port: 80, web_user: '{{ base_user }}', web_secret: default}",
    "roles/web/vars/main.yml": "{web_path: '/etc/{{ base_user }}/web.conf'}",
    "roles/base/defaults/main.yml": "{base_user: nobody, kind: haproxy}",
    "roles/web/tasks/main.yml": """
        - hardway.kubernetes.component:
            name: web
            files: [{dest: "{{ web_path }}", template: web.conf.j2, mode: "0600"}]
            unit: web.service.j2
        - {hardway.kubernetes.component: {name: never}, when: web_port == 81}
        - {hardway.kubernetes.component: {name: broken, service: "{{ nowhere }}"}}
    """,
    "roles/web/templates/web.conf.j2": "{{ web_user }} {{ web_port }} {{ web_secret }}\n",
    "roles/web/templates/web.service.j2": "[Service]\n",
}


@pytest.fixture(name="plan")
def make_plan(tmp_path, monkeypatch):
    """Run the action; what modules were given is in `plan.sent`, what they answer in `plan.answers`."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(subject, "ROOT", str(tmp_path))

    def plan(part="host", registered=None, **variables):
        task_vars = {
            "inventory_hostname": "h1",
            "group_names": ["all_of_us"],
            "cluster_dir": "/state",
            "cluster_install_dir": "/opt/hardway",
            "cluster_bin_dir": "/usr/local/bin",
            "cluster_download_timeout": 60,
            "cluster_image_source": "registry",
            **variables,
        }
        loader = DataLoader()
        task = Task()
        task.action, task.args, task.check_mode = (
            "hardway.kubernetes.component_plan",
            {"part": part, "variables": registered or {}},
            False,
        )
        monkeypatch.setattr(Task, "get_search_path", lambda self: [str(tmp_path)])
        action = subject.ActionModule(
            task,
            mock.MagicMock(),
            mock.MagicMock(),
            loader,
            Templar(loader=loader, variables=task_vars),
            mock.MagicMock(),
        )

        def execute(module_args, task_vars, module_name="component_plan"):
            assert task.check_mode, "whatever runs here only reads"
            plan.sent[module_name.rpartition(".")[2]] = module_args
            answer = plan.answers[module_name.rpartition(".")[2]]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(action, "_execute_module", execute)
        result = action.run(task_vars=task_vars)
        assert result["changed"] is False
        return result

    planned = {"changes": ["/etc/web.conf: changed"], "restart": "it changed", "error": ""}
    plan.sent = {}
    plan.answers = {
        "component_plan": {"planned": [planned]},
        "certificates": {"changed": False},
        "kubeconfig": {"changed": True},
    }
    return plan


def sent(plan) -> dict:
    (payload,) = plan.sent["component_plan"]["payloads"]
    return json.loads(zlib.decompress(base64.b64decode(payload)))


def content(plan) -> str:
    return base64.b64decode(sent(plan)["files"][0]["content"]).decode()


def test_a_component_as_its_role_would_render_it(plan):
    result = plan()
    assert (sent(plan)["name"], sent(plan)["service"], sent(plan)["unit"]) == ("web", "web.service", "[Service]\n")
    assert (sent(plan)["files"][0]["path"], content(plan)) == ("/etc/nobody/web.conf", "nobody 80 default\n")
    assert result["components"][0] == {
        "component": "web",
        "role": "web",
        "changes": ["/etc/web.conf: changed"],
        "restart": "it changed",
        "error": "",
    }
    assert [entry["component"] for entry in result["components"]] == ["web", "broken"], (
        "no task whose condition is false"
    )


def test_settings_go_over_defaults_and_a_role_s_own_variables_over_settings(plan):
    plan(base_user="www", web_port=8080, web_path="/elsewhere")
    assert (sent(plan)["files"][0]["path"], content(plan)) == ("/etc/www/web.conf", "www 8080 default\n")


def test_what_is_given_goes_over_what_the_host_has(plan):
    plan(registered={"web_port": 8443})
    assert content(plan) == "nobody 8443 default\n"


def test_a_component_that_cannot_be_rendered_is_told_and_the_others_are_compared(plan):
    broken = plan()["components"][1]
    assert "nowhere" in broken["error"] and broken["changes"] == []


def test_the_condition_of_the_step_counts(plan):
    assert plan(kind="nginx")["components"] == [] and plan.sent == {}


def test_nothing_secret_comes_back(plan):
    assert "hunter2" in (plan(web_secret="hunter2") and content(plan))
    assert "hunter2" not in str(plan(web_secret="hunter2"))


@pytest.mark.parametrize(
    "answer", [AnsibleConnectionFailure("no route to host"), {"failed": True, "msg": "no route to host"}]
)
def test_a_host_that_fails_is_told(plan, answer):
    plan.answers["component_plan"] = answer
    result = plan()
    assert "no route to host" in result["error"] and result["components"] == [] and not result.get("failed")


def test_the_controller_s_part(plan):
    plan.answers["certificates"] = {
        "changed": True,
        "certificates": [{"name": "x", "changed": True, "reason": "SAN"}, {"name": "y", "changed": False}],
        "diff": "text",
    }
    result = plan(part="controller")
    assert [(entry["component"], entry["changes"]) for entry in result["components"]] == [
        ("certificates", ["x: SAN"]),
        ("kubeconfig", ["kubeconfig: would change"]),
        ("artifacts", []),
    ]
    assert "nowhere" in result["components"][2]["error"]
    assert plan.sent["certificates"] == {"path": "/state/pki"}
    assert list(result["registered"]) == ["ca_pki"] and "diff" not in result["registered"]["ca_pki"]


def test_on_the_host_an_error_of_one_component_is_its_own(monkeypatch):
    payload = base64.b64encode(zlib.compress(json.dumps({"name": "x"}).encode())).decode()
    monkeypatch.setattr(module, "reconcile", mock.Mock(side_effect=module.ComponentError("no such command")))
    assert module.plan(payload) == {"changes": [], "restart": None, "error": "no such command"}
