# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component as it should be on one host, as the controller describes it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths

INPUTS_VARIABLE = "HARDWAY_INPUTS"
#: CIS Kubernetes Benchmark 4.1.1, and for a control plane without pods 1.1.1, 1.1.3, 1.1.5 and 1.1.7
UNIT_MODE = 0o600


class ComponentError(HardwayError):
    """What is wrong, where, and how to fix it; the text is shown to the operator as it is."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file that the component owns on the host."""

    path: str
    content: bytes | None = None
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    #: restart, restart_once, reload or none: what the running process needs when the content changes
    on_change: str = "restart"
    #: a text that stands for a content which is not known yet (check mode, before the controller has made it)
    pending: str | None = None
    absent: bool = False
    #: whether a diff may show the text although others may not read the file
    shown: bool = False

    @property
    def secret(self) -> bool:
        return is_secret(self.mode) and not self.shown

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content or b"").hexdigest()


@dataclasses.dataclass(frozen=True)
class Directory:
    """A directory that must exist before the component starts."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclasses.dataclass(frozen=True)
class Health:
    """How to see that the process serves: any of an HTTP request, a TCP connection and a command.

    Times are in seconds. ``skip`` is for what cannot be healthy yet when it starts
    (an etcd member before its quorum, a kubelet before its certificate is approved).
    """

    url: str | None = None
    ca: str | None = None
    #: false for a server on the loopback address with a certificate that it made itself
    verify: bool = True
    certificate: str | None = None
    key: str | None = None
    tcp: str | None = None
    command: list[str] | None = None
    timeout: float = 120
    hold: float = 0
    skip: bool = False


@dataclasses.dataclass(frozen=True)
class Images:
    """Image archives to load into the runtime once it runs."""

    wanted: list[dict[str, str]]
    list_command: list[str]
    load_command: list[str]


@dataclasses.dataclass(frozen=True)
class Component:
    """The whole description of one component on one host, as the controller sends it."""

    name: str
    service: str | None = None
    unit: str | None = None
    user: str | None = None
    directories: list[Directory] = dataclasses.field(default_factory=list)
    files: list[File] = dataclasses.field(default_factory=list)
    #: binaries that the process runs, and those that people and others run: only the first are inputs of the process
    artifacts: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    tools: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    apply: list[str] | None = None
    validate: list[str] | None = None
    images: Images | None = None
    health: Health = Health()
    #: the process overwrites its environment (some do, for their title), so its unit reports elsewhere what it was started with
    overwrites_environment: bool = False
    #: name of a component whose place this one takes
    replaces: str | None = None
    #: the component should not be here
    absent: bool = False
    install_dir: str = "/opt/hardway"
    bin_dir: str = "/usr/local/bin"
    download_timeout: float = 60

    @property
    def drop_in(self) -> str:
        return paths.drop_in(self.service or "")

    @property
    def unit_file(self) -> File | None:
        """For root alone, as the CIS benchmark has it, and no secret: every user sees arguments in ps, and a plan is read for them."""
        if not self.unit:
            return None
        return File(path=paths.unit(self.service or ""), content=self.unit.encode(), mode=UNIT_MODE, shown=True)

    @property
    def drop_in_text(self) -> str:
        """Of the drop-in that is written after every other file."""
        text = (
            "# Written last: the process that has this digest was started from these inputs.\n"
            f"[Service]\nEnvironment={INPUTS_VARIABLE}={self.digest}\n"
        )
        if self.overwrites_environment:
            # INVOCATION_ID is systemd's (systemd.exec(5)).
            path = paths.reported_inputs(self.service or "")
            text += f"ExecStartPost=/bin/sh -c 'echo \"$$INVOCATION_ID $${INPUTS_VARIABLE}\" > {path}'\n"
            text += f"ExecStopPost=-/bin/rm -f {path}\n"
        return text

    def inputs(self, effect: str) -> dict[str, str]:
        """What the process depends on, by the effect that a change has on it: name -> digest."""
        found = {
            item.path: item.pending or item.digest
            for item in self.files
            if item.on_change == effect and not item.absent
        }
        if effect == "restart":
            found.update({f"artifact {item['name']}": item["sha256"] for item in self.artifacts})
            if self.unit:
                found[f"{self.service} (unit)"] = hashlib.sha256(self.unit.encode()).hexdigest()
        return found

    @property
    def digest(self) -> str:
        """Of all that the process is started from."""
        return digest_of(self.inputs("restart"))

    def links(self) -> list[str]:
        """The links to its installed binaries."""
        return [
            f"{item.get('link_dir') or self.bin_dir}/{name}"
            for item in self.artifacts + self.tools
            for name in item.get("install", {})
        ]

    def owned_paths(self) -> set[str]:
        """What a removal of the component removes."""
        found = {item.path for item in self.files if not item.absent} | {item.path for item in self.directories}
        if self.unit:
            found.add(paths.unit(self.service or ""))
        if self.service:
            found.add(self.drop_in)
        return found.union(self.links())


def from_payload(payload: str) -> Component:
    """The component that a payload of the action plugin describes."""
    return from_description(json.loads(payload))


def from_description(description: t.Mapping[str, t.Any]) -> Component:
    """The component that the controller rendered."""
    raw = dict(description)
    raw["files"] = [_file(item) for item in raw.get("files") or []]
    raw["directories"] = [
        Directory(**{**item, "mode": int(item.get("mode", "0755"), 8)}) for item in raw.get("directories") or []
    ]
    raw["health"] = Health(**(raw.get("health") or {}))
    raw["images"] = Images(**raw["images"]) if raw.get("images") else None
    return Component(**{key: value for key, value in raw.items() if value is not None})


def _file(item: t.Mapping[str, t.Any]) -> File:
    content = item.get("content")
    decoded = None if content is None else base64.b64decode(content)
    return File(**{**item, "mode": int(item.get("mode", "0644"), 8), "content": decoded})


def digest_of(inputs: dict[str, str]) -> str:
    """One digest for a set of inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def is_secret(mode: int) -> bool:
    return not mode & 0o044
