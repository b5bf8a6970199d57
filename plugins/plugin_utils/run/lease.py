# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Lease in the cluster that says with which state of the cluster's directory it was changed last, and from where."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import printable
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import FIELD_MANAGER, Api, ApiError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run.serial import Serial

NAMESPACE, NAME = "kube-system", "hardway-run"
PLACE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
SERIAL, WORD = "hardway.kubernetes/serial", "hardway.kubernetes/word"
CONFLICT = 409


class Changed(HardwayError):
    """Another controller wrote the Lease since it was read."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """The Lease as the cluster has it. Who may write it may write anything: only what can be used is kept."""

    number: int
    word: str
    controller: str
    since: str
    revision: str

    @property
    def usable(self) -> bool:
        """Without a word it says nothing, and is written anew."""
        return bool(self.word)


def find(api: Api) -> Seen | None:
    """Raises ApiError and ApiUnreachable."""
    found = api.find(f"{PLACE}/{NAME}")
    return None if found is None else _seen(found)


def write(api: Api, serial: Serial, controller: str, before: Seen | None) -> None:
    """Have the cluster say so, unless another did since *before* was read. Raises Changed, ApiError and ApiUnreachable."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    metadata: dict[str, t.Any] = {
        "name": NAME,
        "namespace": NAMESPACE,
        "annotations": {SERIAL: str(serial.number), WORD: serial.word},
    }
    wanted = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {"holderIdentity": controller, "acquireTime": now},
    }
    try:
        if before is None:
            api.request("POST", PLACE, {"fieldManager": FIELD_MANAGER}, wanted)
        else:
            metadata["resourceVersion"] = before.revision
            api.apply(f"{PLACE}/{NAME}", wanted)
    except ApiError as error:
        if error.status == CONFLICT:
            raise Changed(str(error)) from error
        raise


def _seen(found: t.Any) -> Seen:
    metadata, spec = _mapping(found, "metadata"), _mapping(found, "spec")
    notes = _mapping(metadata, "annotations")
    number, word = str(notes.get(SERIAL)), str(notes.get(WORD))
    usable = re.fullmatch(r"[0-9]{1,9}", number) and re.fullmatch(r"[0-9a-f]{1,64}", word)
    return Seen(
        number=int(number) if usable else 0,
        word=word if usable else "",
        controller=_words(spec.get("holderIdentity")),
        since=_words(spec.get("acquireTime")),
        revision=str(metadata.get("resourceVersion", "")),
    )


def _mapping(found: t.Any, key: str) -> dict[str, t.Any]:
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, dict) else {}


def _words(value: t.Any) -> str:
    return printable(value[:200] if isinstance(value, str) else "") or "somebody"
