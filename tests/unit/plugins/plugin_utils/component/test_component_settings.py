# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Settings are rendered once, those first that others name; what cannot be rendered is left to its user."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.settings import render_settings


def rendered(**variables):
    """The settings, what became of the variables, and how often each text was rendered."""
    variables = {name: trust(value) for name, value in variables.items()}
    templar = Templar(loader=DataLoader(), variables=variables)
    seen = []

    class Counting:
        def template(self, value):
            seen.append(value)
            return templar.template(value)

    return render_settings(Counting(), variables), variables, seen


def trust(value):
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trust(item) for key, item in value.items()}
    return [trust(item) for item in value] if isinstance(value, list) else value


def test_each_is_rendered_once_after_those_that_it_names():
    settings, variables, seen = rendered(
        cluster_urls=["{{ cluster_scheme }}://{{ cluster_address }}"],
        cluster_all={"urls": "{{ cluster_urls }}", "nodes": "{{ own_count | int }}"},
        cluster_address="{{ own_address }}",
        cluster_scheme="https",
        own_address="192.0.2.1",
        own_count="3",
    )
    assert settings["cluster_all"] == {"urls": ["https://192.0.2.1"], "nodes": 3}
    assert variables["cluster_urls"] == ["https://192.0.2.1"] and variables["own_address"] == "192.0.2.1"
    assert set(settings) == {"cluster_all", "cluster_urls", "cluster_address", "cluster_scheme"}
    assert len(seen) == len(settings)


def test_what_cannot_be_rendered_is_left_as_it_is():
    settings, variables, _seen = rendered(cluster_bad="{{ nowhere }}", cluster_user="{{ cluster_bad }}", cluster_ok="1")
    assert settings == {"cluster_ok": "1"} and variables["cluster_bad"] == "{{ nowhere }}"


def test_settings_that_name_each_other_end():
    settings, _variables, _seen = rendered(cluster_a="{{ cluster_b }}", cluster_b="{{ cluster_a }}")
    assert settings == {}


def test_data_that_looks_like_a_template_stays_data():
    settings, variables, _seen = rendered(cluster_text="{{ own }}", cluster_user="{{ cluster_text }}!")
    variables.clear()
    assert "cluster_text" not in settings  # own is not there
    own = {"cluster_user": trust_as_template("{{ cluster_text }}!"), "cluster_text": "{{ 1 + 1 }}"}
    found = render_settings(Templar(loader=DataLoader(), variables=own), own)
    assert found == {"cluster_text": "{{ 1 + 1 }}", "cluster_user": "{{ 1 + 1 }}!"}
