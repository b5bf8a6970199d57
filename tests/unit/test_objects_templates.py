# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No value of a setting can end the field that it stands in: in templates of objects of the API each passes an encoder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROLES = Path(__file__).parents[2] / "roles"
#: Templates whose documents are applied with the administrator's kubeconfig.
TEMPLATES = sorted(
    [
        *ROLES.glob("addons/templates/*.j2"),
        *ROLES.glob("cni/templates/*-objects.yaml.j2"),
        *(
            ROLES / "kube_master/templates" / f"{name}.yaml.j2"
            for name in ("anonymous", "objects", "pod-security-policies", "public-info-viewer")
        ),
        ROLES / "kubeadm/templates/objects.yaml.j2",
        ROLES / "user/templates/bindings.yaml.j2",
    ]
)
EXPRESSION = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
#: The last filter: a text in quotes, a number, letters and digits, or lines that stay within their block.
ENCODED = re.compile(r"\|\s*(to_json|int|b64encode|hash\('sha256'\)|indent\(\d+\))\s*$")


def bare(text: str) -> list[str]:
    """The expressions of a template that could become more than one field."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    return [found.strip() for found in EXPRESSION.findall(text) if not ENCODED.search(found)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_each_value_passes_an_encoder(path):
    assert bare(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ replicas }}",
        "name: a-{{ level }}",
        "{{ x | to_json | upper }}",
        "{{ 'a' if x else y }}",
        "{{ x | join(' ') }}",
    ],
)
def test_a_bare_one_is_found(text):
    assert bare(text)


def test_the_templates_that_tasks_apply_are_all_of_them():
    """A task of another role that renders objects has to be added above."""
    named = {
        name
        for path in [*ROLES.glob("*/tasks/*.yml"), *ROLES.glob("*/vars/**/*.yml")]
        for name in re.findall(r"[\w-]+\.yaml\.j2", path.read_text())
        if re.search(r"hardway\.kubernetes\.objects|kubernetes\.core\.k8s:|_objects|_templates", path.read_text())
    }
    known = {path.name for path in TEMPLATES}
    files = {
        "encryption.yaml.j2",
        "authentication.yaml.j2",
        "admission.yaml.j2",
        "audit-policy.yaml.j2",
        "audit-webhook.yaml.j2",
        "kubelet.yaml.j2",
    }
    documents = {"init.yaml.j2", "cluster.yaml.j2", "join.yaml.j2"}
    assert named - known <= files | documents
