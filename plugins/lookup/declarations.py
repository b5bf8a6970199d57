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
      - V(own_certificates) - files with certificates that components get for themselves, for the report on certificates.
      - V(endpoints) - where the components of this host serve with TLS, for the same report; the settings of the role cluster must be known.
    type: list
    elements: str
    required: true
    choices: [footprints, ports, packages, services, packaged, own_certificates, endpoints]
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
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: t.Any = None, **kwargs: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        asked = {**declarations.ASKED, "endpoints": lambda declared: self._endpoints(declared, variables or {})}
        unknown = [term for term in terms if term not in asked]
        if unknown:
            known = ", ".join(asked)
            raise AnsibleLookupError(f"declarations: nothing is declared as {', '.join(unknown)}. Fix: use {known}")
        try:
            declared = declarations.declared_as_text(declarations.ROOT)
        except declarations.DeclarationError as error:
            raise AnsibleLookupError(str(error)) from error
        return [asked[term](declared) for term in terms]

    def _endpoints(
        self, declared: Sequence[declarations.Declaration], variables: Mapping[str, t.Any]
    ) -> list[dict[str, t.Any]]:
        """Those of the components that this host has."""
        here = [
            item
            for item in declared
            if item.is_for(variables["group_names"])
            and any("tls" in port for port in item.ports)
            and all(self._templar.evaluate_conditional(trust_as_template(condition)) for condition in item.when)
        ]
        return [
            {
                "component": served["component"],
                "address": served["address"] or self._setting("cluster_address", variables),
                "port": self._setting(served["setting"], variables) if served["setting"] else served["port"],
                **({"path": served["path"]} if served["path"] else {}),
            }
            for served in declarations.endpoints(here)
        ]

    def _setting(self, name: str, variables: Mapping[str, t.Any]) -> t.Any:
        return self._templar.template(variables[name])
