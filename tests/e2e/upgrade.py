# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades: by a minor version, killed on the way, and with a version that does not start."""

from __future__ import annotations

import functools
import json

from harness import cluster, expectations, playbooks
from harness.checks import Kind, require
from harness.playbooks import Run
from harness.registry import drill
from harness.steps import assert_nothing_to_do, install_versions, run_watched, say, succeeding

#: Where an upgrade begins.
PATCH_BEFORE = {"cluster_kubernetes_version": "1.36.1"}
MINOR_BEFORE = {"cluster_kubernetes_version": "1.35.4", "cluster_etcd_version": "3.5.35"}


@drill(
    "upgrade",
    "A cluster of a minor version before, Kubernetes and etcd, is upgraded to the current ones: the plan first, no failed request, changed=0 after it.",
)
def upgrade() -> str:
    install_versions(MINOR_BEFORE)
    playbooks.run("site").require_refused(expectations.UPGRADE_NEEDED, "site.yml does not point to the upgrade")
    planned = playbooks.run("upgrade", "--check").require_success()
    for component in ("etcd", "kube-apiserver", "kubelet"):
        planned.require_says(expectations.upgrade_planned(component), f"the plan does not name {component}")
    figures, runs = run_watched(("upgrade", succeeding("upgrade")))
    playbooks.run("upgrade").require_success().require_unchanged()
    assert_nothing_to_do()
    say("\n".join(f"{seconds:6.1f} s {name}" for name, seconds in runs[0].costliest[:12]))
    return f"{runs[0].seconds:.0f} s from {' and '.join(MINOR_BEFORE.values())}: {figures}"


@drill(
    "upgrade-killed",
    "An upgrade to another patch version is killed at random moments; the same command finishes it, and no request fails meanwhile.",
)
def upgrade_killed(short: bool, seed: int) -> str:
    install_versions(PATCH_BEFORE)
    moments = cluster.random_moments(1 if short else 3, 100, seed)

    def killed(moment: float) -> Run:
        playbooks.run_killed(moment, "upgrade")
        return playbooks.run("status")

    figures, runs = run_watched(
        *((f"upgrade, killed after {moment:.0f} s", functools.partial(killed, moment)) for moment in moments),
        ("upgrade", succeeding("upgrade")),
    )
    playbooks.run("upgrade").require_success().require_unchanged()
    assert_nothing_to_do()
    after = ", ".join(f"{moment:.0f} s" for moment in moments)
    return f"killed after {after} (seed {seed}), then {runs[-1].seconds:.0f} s: {figures}"


@drill(
    "upgrade-rollback",
    "A new kube-apiserver, then a new kubelet, that does not start: its host is rolled back to the version before, the rollout stops, no request fails.",
)
def upgrade_rollback() -> str:
    install_versions(PATCH_BEFORE)
    figures = []
    for setting in ("cluster_apiserver_arguments", "cluster_kubelet_arguments"):
        unknown = json.dumps({setting: {"no-such-argument": "1"}, "kube_master_timeout": 30})
        seen, runs = run_watched(
            (f"upgrade with {setting}", functools.partial(playbooks.run, "upgrade", "-e", unknown))
        )
        require(runs[0].code != 0, f"a process that does not start was accepted:\n{runs[0].end}", Kind.NOT_REFUSED)
        runs[0].require_says(expectations.ROLLED_BACK, "the run does not say that it rolled back")
        figures.append(f"{setting} {runs[0].seconds:.0f} s: {seen}")
    finished = playbooks.run("upgrade").require_success()
    require(cluster.nodes_ready(), "not all nodes are Ready")
    assert_nothing_to_do()
    return f"{'; '.join(figures)}; fixed and upgraded {finished.seconds:.0f} s"
