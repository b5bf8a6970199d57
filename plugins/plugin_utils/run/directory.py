# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a cluster's directory is the newest there is: compared with what the cluster says, and written down when it has changed."""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.run import lease, serial

#: Seconds that the API may take. It is asked once: a run may be there to repair it.
PATIENCE = 5.0
#: How often another controller may come in between.
MOST_ATTEMPTS = 3


class OlderDirectory(HardwayError):
    """The cluster was changed with another state of its directory: names who did, and when."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """*untold* is why the cluster could not be asked, or told; empty where it was."""

    changed: bool
    number: int
    untold: str = ""


def check(cluster_dir: str, kubeconfig: str, accept: bool) -> Outcome:
    """Changes nothing. Raises OlderDirectory, SerialError, FileRefused and OSError."""
    here = serial.read(cluster_dir)
    if accept or not os.path.exists(kubeconfig):
        return Outcome(False, here.number)
    try:
        seen = lease.find(_api(kubeconfig))
    except (ApiError, ApiUnreachable, KubeconfigError) as error:
        return Outcome(False, here.number, str(error))
    _require_newest(cluster_dir, here, seen)
    return Outcome(False, here.number)


def record(cluster_dir: str, kubeconfig: str, accept: bool) -> Outcome:
    """Writes the serial where the directory has changed, and then the Lease where it says another. Raises as check does."""
    for _attempt in range(MOST_ATTEMPTS):
        try:
            return _record(cluster_dir, kubeconfig, accept)
        except lease.Changed:
            # Read it again: that of another controller is refused.
            continue
    raise OlderDirectory(
        "another controller changes the cluster right now",
        where=cluster_dir,
        fix="wait until it has ended, then run again",
    )


def _record(cluster_dir: str, kubeconfig: str, accept: bool) -> Outcome:
    before = serial.read(cluster_dir)
    api, seen, untold = None, None, ""
    if os.path.exists(kubeconfig):
        try:
            api = _api(kubeconfig)
            seen = lease.find(api)
        except (ApiError, ApiUnreachable, KubeconfigError) as error:
            api, untold = None, str(error)
    strange = seen is not None and _is_strange(before, seen)
    if strange and not accept:
        _require_newest(cluster_dir, before, seen)
    now = serial.following(cluster_dir, before, *((seen.number, (seen.word,)) if strange and seen else ()))
    changed = now != before
    if changed:
        # Before the Lease: killed in between, the next run tells the cluster.
        serial.write(cluster_dir, now)
    if api is not None and (seen is None or seen.word != now.word):
        try:
            lease.write(api, now, controller(), seen)
            changed = True
        except (ApiError, ApiUnreachable) as error:
            untold = str(error)
    return Outcome(changed, now.number, untold)


def _is_strange(here: serial.Serial, seen: lease.Seen) -> bool:
    return seen.usable and seen.word not in here.words


def _require_newest(cluster_dir: str, here: serial.Serial, seen: lease.Seen | None) -> None:
    if seen is None or not _is_strange(here, seen):
        return
    raise OlderDirectory(
        f"{seen.controller} changed the cluster's keys, certificates or locked artifacts "
        f"({seen.since}, serial {seen.number}), and this directory (serial {here.number}) does not have that change",
        where=cluster_dir,
        fix="copy the directory from there, as a whole; if that one is lost, accept this one with -e cluster_dir_accept=true",
    )


def controller() -> str:
    """This machine, for people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _api(kubeconfig: str) -> Api:
    return Api.from_kubeconfig(kubeconfig, timeout=PATIENCE, agent="hardway-run")
