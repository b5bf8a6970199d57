# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx builds the site; tools/build_docs.py copies this beside the pages."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes
from sphinx.util.nodes import make_refnode

project = "hardway.kubernetes"
author = "the hardway.kubernetes authors"
html_title = project
extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 4
antsibull_ext_color_scheme = "default-autodark"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
highlight_language = "text"
# An example of a filter is an expression, which the lexer of YAML does not know.
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True

#: Where Ansible documents what antsibull-docs refers to: no inventory of another site is fetched while this one is built.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
ANSIBLE_PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}
#: The reference of a plugin: `ansible_collections.kubernetes.core.k8s_drain_module`.
PLUGIN = re.compile(r"ansible_collections\.(?P<namespace>\w+)\.(?P<name>\w+)\.(?P<plugin>\w+)")
SETTING = re.compile(r"_role__parameter-\w+__(?P<setting>\w+)$")


def missing_reference(
    app: t.Any, environment: t.Any, node: nodes.Element, content: nodes.TextElement
) -> nodes.Element | None:
    """Lead a reference to Ansible and other collections to their documentation, and one to a setting to the role that has it."""
    target = str(node.get("reftarget", ""))
    if target in ANSIBLE_PAGES:
        return nodes.reference("", "", content, internal=False, refuri=f"{ANSIBLE}/{ANSIBLE_PAGES[target]}")
    plugin, setting = PLUGIN.match(target), SETTING.search(target)
    if plugin and (plugin["namespace"], plugin["name"]) != ("hardway", "kubernetes"):
        address = f"{ANSIBLE}/collections/{plugin['namespace']}/{plugin['name']}/{plugin['plugin']}.html"
        return nodes.reference("", "", content, internal=False, refuri=address)
    if setting:
        for label, (page, anchor) in environment.get_domain("std").anonlabels.items():
            found = SETTING.search(label)
            if found and found["setting"] == setting["setting"]:
                return make_refnode(app.builder, node["refdoc"], page, anchor, content)
    return None


def setup(app: t.Any) -> dict[str, bool]:
    app.connect("missing-reference", missing_reference)
    return {"parallel_read_safe": True}
