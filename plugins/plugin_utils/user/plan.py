# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access for a user: why it is refused, where it is granted, and which bindings of before go."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.problem import Problem

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# What Kubernetes reserves for itself.
RESERVED = "system:"


@dataclasses.dataclass(frozen=True)
class User:
    """What the settings of the role user ask for."""

    name: str
    groups: Sequence[str] = ()
    role: str = ""
    role_kind: str = "ClusterRole"
    namespaces: Sequence[str] = ()
    present: bool = True

    @property
    def binding(self) -> str:
        """The name of the user's bindings. It has the role, because the role of a binding cannot be changed."""
        return f"hardway:user:{self.name}:{self.role_kind}:{self.role}"

    @property
    def granted_in(self) -> list[str]:
        """The namespaces in which the role is granted; the empty name is the whole cluster."""
        if not self.present or not self.role:
            return []
        return list(self.namespaces) or [""]

    def problems(self) -> list[Problem]:
        return [*self._name(), *self._groups(), *self._role()]

    def _name(self) -> Iterator[Problem]:
        # NAME-key.pem is the key of NAME.pem.
        if not NAME.fullmatch(self.name) or self.name.endswith("-key"):
            yield Problem(
                "user_name",
                f"{json.dumps(self.name)} is not a name for a user.",
                "Add -e user_name=NAME, of letters, digits, dots, hyphens and underscores, not ending in -key.",
            )

    def _groups(self) -> Iterator[Problem]:
        reserved = [group for group in self.groups if group.startswith(RESERVED)]
        if reserved:
            yield Problem(
                "user_groups",
                f"{', '.join(reserved)} is reserved by Kubernetes.",
                "Grant cluster-admin with user_role, which can be revoked.",
            )

    def _role(self) -> Iterator[Problem]:
        if self.role_kind == "Role" and not self.namespaces:
            yield Problem(
                "user_role_kind",
                "A Role belongs to a namespace, and none is named.",
                "Name it in user_namespaces, or use a ClusterRole.",
            )

    def unwanted(self, bindings: Sequence[Mapping[str, t.Any]]) -> list[Mapping[str, t.Any]]:
        """Of the *bindings* that this collection made, those of this user that are not granted any more."""
        return [binding for binding in bindings if self._owns(binding) and not self._wanted(binding)]

    def _owns(self, binding: Mapping[str, t.Any]) -> bool:
        subjects = binding.get("subjects") or [{}]
        return bool(subjects[0].get("name") == self.name)

    def _wanted(self, binding: Mapping[str, t.Any]) -> bool:
        metadata = binding["metadata"]
        return metadata["name"] == self.binding and metadata.get("namespace", "") in self.granted_in
