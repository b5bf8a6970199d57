# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles declare of their components, for roles that ask it of all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: declarations
short_description: What the components of this collection declare for others
version_added: 0.1.0
author:
  - the hardway.kubernetes authors (@hardway)
description:
  - Reads C(components/*.yml) of all roles, and returns of them what other roles go by. So a component is known to preflight, to the role host
    and to reset as soon as its role declares it.
options:
  _terms:
    description:
      - What is asked for.
      - V(footprints) - what each component leaves on a host, and after which others it stops, for M(hardway.kubernetes.reset).
      - V(ports) - where they listen, for M(hardway.kubernetes.preflight).
      - V(packages) - the distribution's packages by component and family.
      - V(services) - names of all components, most of which are services.
      - V(packaged) - those whose unit comes with a package of the distribution.
    type: list
    elements: str
    required: true
    choices: [footprints, ports, packages, services, packaged]
"""

EXAMPLES = r"""
- name: Remove what is ours
  hardway.kubernetes.reset:
    footprints: "{{ lookup('hardway.kubernetes.declarations', 'footprints') }}"
"""

RETURN = r"""
_raw:
  description: One entry for each term.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        unknown = [term for term in terms if term not in declarations.ASKED]
        if unknown:
            known = ", ".join(declarations.ASKED)
            raise AnsibleLookupError(f"declarations: nothing is declared as {', '.join(unknown)}. Fix: use {known}")
        try:
            declared = declarations.declared_as_text(declarations.ROOT)
        except declarations.DeclarationError as error:
            raise AnsibleLookupError(str(error)) from error
        return [declarations.ASKED[term](declared) for term in terms]
