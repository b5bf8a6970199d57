# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would end a cluster is refused, with its reason."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time

from harness import cluster, expectations, playbooks, sandbox
from harness.checks import Kind, require
from harness.expectations import Expectation
from harness.pods import Pods
from harness.registry import drill
from harness.steps import assert_clients_served, assert_nothing_to_do, converge, watch_api

#: With it a member of etcd does not start. It is none of the collection's files, so no run repairs it.
BROKEN = "/etc/systemd/system/etcd.service.d/90-drill.conf"
#: Restarts every member. A member that does not start is given up after the time of the second.
ETCD_CHANGE = ("-e", '{"etcd_config": {"max-txn-ops": 256}, "etcd_timeout": 30}')


@drill(
    "refusals",
    "What the cluster would not survive is refused with its reason, and nothing changes: other keys or network, quorum, skew, pods that "
    "may not be evicted.",
)
def refusals() -> str:
    before = cluster.processes(sandbox.MACHINES)
    reasons = []

    def assert_refused(expected: Expectation, job: str, *arguments: str) -> None:
        run = playbooks.run(job, *arguments)
        run.require_refused(expected, f"{job} {' '.join(arguments)} is not refused with {expected.pattern!r}")
        run.require_unchanged("though it was refused")
        reasons.append(expected.source or expected.pattern)

    with tempfile.TemporaryDirectory() as directory:
        assert_refused(expectations.OTHER_AUTHORITIES, "site", "-e", f"cluster_dir={directory}/cluster")
    assert_refused(expectations.OTHER_CNI, "site", "-e", "cluster_cni=bridge")
    assert_refused(expectations.UNSUPPORTED_VERSION, "upgrade", "-e", "cluster_kubernetes_version=1.38.0")
    assert_refused(expectations.DOWNGRADE_REFUSED, "upgrade", "-e", "cluster_kubernetes_version=1.35.4")
    assert_refused(expectations.TOO_MANY_MEMBERS, "remove_master", "--limit", "master2,master3")
    assert_refused(expectations.GROUP_WOULD_BE_EMPTY, "remove_lb", "--limit", "lb1,lb2")
    with Pods():
        node = disallow_eviction()
        assert_refused(expectations.EVICTION_REFUSED, "remove_node", "--limit", node)
        require("unschedulable" not in cluster.kubectl("get", "node", node, "--output=yaml"), f"{node} is cordoned")
    sandbox.ssh("master2", "systemctl stop kube-apiserver etcd")
    try:
        assert_refused(expectations.NO_QUORUM_LEFT, "remove_master", "--limit", "master3")
    finally:
        sandbox.ssh("master2", "systemctl start etcd kube-apiserver")
    cluster.wait_for(cluster.nodes_ready, 60, "all nodes Ready")
    after = cluster.processes(sandbox.MACHINES)
    gone = [names for machine, names in sandbox.ended(before, after).items() if machine != "master2" and names]
    require(not gone, f"restarted or gone: {gone}", Kind.RESTARTED)
    assert_nothing_to_do()
    return f"{len(reasons)} refused: {'; '.join(reasons)}"


def disallow_eviction() -> str:
    """No web server may be evicted any more; a node that has one."""
    patch = '--patch={"spec": {"minAvailable": 2}}'
    cluster.kubectl("--namespace=hardway-drill", "patch", "poddisruptionbudget", "web", "--type=merge", patch)
    pods = cluster.objects("pods", "--namespace=hardway-drill", "--selector=app=web")
    return pods[0]["spec"]["nodeName"]


@drill(
    "ill-member",
    "A member of etcd is ill: a change that restarts the others is refused by its name, with nothing restarted; once it is repaired it finishes.",
)
def ill_member() -> str:
    ill = sandbox.MASTERS[-1]
    others = [machine for machine in sandbox.MACHINES if machine != ill]
    drop_in = "[Service]\\nExecStartPre=/bin/false\\n"
    sandbox.ssh(ill, f"printf '{drop_in}' > {BROKEN}; systemctl daemon-reload; systemctl stop etcd")
    try:
        # Its API server left with it: until the load balancers and the other masters have seen all of it.
        time.sleep(20)
        before = cluster.processes(others)
        with watch_api() as watch:
            time.sleep(2)
            watch.mark(f"etcd on {ill} is ill, and those of the others are to restart")
            refused = playbooks.run("site", *ETCD_CHANGE).require_refused(expectations.PEER_ILL)
            named = set(expectations.PEER_ILL.all(refused.output))
            require(named == {("etcd", ill)}, f"it names {named}:\n{refused.end}", Kind.NOT_REFUSED)
            sandbox.compare_processes(before, cluster.processes(others))
            sandbox.ssh(ill, f"rm {BROKEN}; systemctl daemon-reload")
            watch.mark(f"{ill} is repaired, and the same run again")
            finished = playbooks.run("site", *ETCD_CHANGE).require_success()
            assert_nothing_to_do(*ETCD_CHANGE)
            watch.mark("back")
            converge()
            time.sleep(2)
    finally:
        sandbox.ssh(ill, f"rm -f {BROKEN}; systemctl daemon-reload; systemctl reset-failed etcd; systemctl start etcd")
        sandbox.ssh(ill, "systemctl start kube-apiserver", check=False)
    ended = sandbox.ended(before, cluster.processes(others))
    left = {machine for machine in sandbox.MASTERS if machine != ill} - {
        machine for machine, names in ended.items() if any(name.startswith("etcd/") for name in names)
    }
    require(not left, f"etcd was not restarted in the end on {sorted(left)}")
    figures = assert_clients_served(watch.report())
    cluster.wait_for(cluster.nodes_ready, 60, "all nodes Ready")
    assert_nothing_to_do()
    return (
        f"refused after {refused.seconds:.0f} s with nothing restarted, finished in {finished.seconds:.0f} s: {figures}"
    )


def run_that_locks() -> int:
    """The process that took the lock of the cluster's directory last."""
    with contextlib.suppress(OSError, ValueError):
        note = cluster.DIRECTORY.with_name(f".{cluster.DIRECTORY.name}.run").read_text(encoding="utf-8")
        return int(json.loads(note.partition("\n")[0])["pid"])
    return 0


@drill(
    "two-runs",
    "Two playbooks at once: the second is refused by name; a killed one keeps nobody away. An older copy of the cluster's directory is refused.",
)
def two_runs() -> str:
    assert_nothing_to_do()
    first = playbooks.start("site")
    try:
        cluster.wait_for(lambda: run_that_locks() == first.pid, 60, "the first run has the lock")
        # It takes seconds where nothing is to be done: it waits for the second.
        os.kill(first.pid, signal.SIGSTOP)
        second = playbooks.run("rotate_ca").require_refused(expectations.other_run(first.pid))
        second.require_unchanged("though it was refused")
        os.kill(first.pid, signal.SIGCONT)
        require(first.wait(600) == 0, "the first run failed", Kind.PLAYBOOK_FAILED)
    finally:
        playbooks.end(first)
    require(playbooks.run_killed(lambda: run_that_locks() != first.pid, "site"), "it ended before it was killed")
    assert_nothing_to_do()
    with tempfile.TemporaryDirectory() as directory:
        older = f"{directory}/cluster"
        shutil.copytree(cluster.DIRECTORY, older)
        playbooks.run("user", "-e", "user_name=drill", "-e", "user_role=view").require_success()
        before = cluster.processes(sandbox.MACHINES)
        refused = playbooks.run("site", "-e", f"cluster_dir={older}").require_refused(expectations.OLDER_DIRECTORY)
        refused.require_unchanged("though it was refused")
        sandbox.compare_processes(before, cluster.processes(sandbox.MACHINES))
        assert_nothing_to_do()
        playbooks.run("site", "-e", f"cluster_dir={older}", "-e", "cluster_dir_accept=true").require_success()
        playbooks.run("site").require_refused(expectations.OLDER_DIRECTORY, "the copy that was replaced is not refused")
        # The newest one is the cluster's again.
        playbooks.run("site", "-e", "cluster_dir_accept=true").require_success()
    playbooks.run("user", "-e", "user_name=drill", "-e", "user_state=absent").require_success()
    assert_nothing_to_do()
    return f"refused after {second.seconds:.0f} s and {refused.seconds:.0f} s, with nothing changed"
