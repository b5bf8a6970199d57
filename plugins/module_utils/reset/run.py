# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes everything of ours from a host, and nothing else.

What is ours is known from the records that every component writes before it writes anything else (``/var/lib/hardway/NAME.json``),
so a host that a killed run left half installed is cleaned too. What a component's process leaves besides (data, mounts, interfaces,
firewall rules) is its footprint, and counts only where that component has a record: what another Kubernetes, or a
container runtime of the host's own, has there is not touched.

Each kind of resource can be found and removed. The plan is what is found before anything is removed; the proof is that nothing is found
afterwards. The records go last, and only then: a reset that dies, or that could not remove something, can be run again.

Only the standard library: this runs on managed hosts.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from collections.abc import Iterable, Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset import services
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.firewall import Counters, Firewall
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.footprint import read_footprints
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.mounts import Mounts
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.network import (
    Addresses,
    Interfaces,
    Routes,
    Tunnel,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.paths import Paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.pods import Cgroups, Pods
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import (
    Request,
    ResetError,
    Resource,
    Scope,
    read_components,
    undisturbed,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.system import Swap, Users


def reset(
    request: Request, check_mode: bool = False, footprints: Iterable[Mapping[str, t.Any]] = ()
) -> dict[str, t.Any]:
    """Remove what is ours from this host. *footprints* are the declarations of all components.

    :returns: a dict: ``changed``, ``removed`` (what was found before, a text each), ``kept`` (what was left on purpose, with the reason),
        ``leftovers`` (what is there still; the records stay in that case)
    :raises ResetError: nothing was removed
    """
    for path in (request.install_dir, request.bin_dir):
        if os.path.normpath(path) != path or not os.path.isabs(path):
            raise ResetError(
                f"{path!r} is not an absolute path in its plain form: correct cluster_install_dir or cluster_bin_dir"
            )
    known = read_footprints(footprints)
    if check_mode:
        return _reset(Scope(request, read_components(known), known), check_mode)
    with undisturbed():
        # What was at work may have written records.
        return _reset(Scope(request, read_components(known), known), check_mode)


def _reset(scope: Scope, check_mode: bool) -> dict[str, t.Any]:
    paths = Paths(scope)
    resources: list[Resource] = [
        services.before_pods(scope),
        Pods(scope),
        services.after_pods(scope),
        Mounts(scope),
        Cgroups(scope),
        Interfaces(scope),
        Routes(scope),
        Tunnel(scope),
        Addresses(scope),
        Firewall(scope),
        Counters(scope),
        Swap(),
        paths,
        Users(scope),
    ]
    planned = [finding.what for resource in resources for finding in resource.find()]
    kept = paths.kept()
    records = [component_paths.STATE_DIR] if os.path.isdir(component_paths.STATE_DIR) else []
    result = {"changed": bool(planned or records), "removed": planned + records, "kept": kept, "leftovers": []}
    if check_mode or not result["changed"]:
        return result
    for resource in resources:
        findings = resource.find()
        if findings:
            resource.remove(findings)
    result["leftovers"] = [finding.what for resource in resources for finding in resource.find()]
    if records and not result["leftovers"]:
        shutil.rmtree(component_paths.STATE_DIR)
    return result
