#!/usr/bin/env python3
"""What must hold on real machines, one drill each, on the sandbox.

  drills.py                     all of them but those that must be named (calico), in full, and a table
  drills.py failover-haproxy    some of them
  drills.py --short             each as small as it still tells (one kill instead of ten)
  drills.py --list

The machines must be up (`make machines`). Each drill leaves a healthy cluster, or says what is wrong and exits with 1.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import functools
import inspect
import json
import os
import pathlib
import random
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import typing as t
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import day2
import lab
import variants
from cryptography import x509
from lab import DrillFailed, require
from pyrage import x25519
from watch import Watch, good, render

MAX_GAP = 2.0
KILLS = 10
#: Not run unless they are named: they need what not every mirror has.
ON_REQUEST = ("calico",)
#: The ways to have Calico; the first is the one of a short drill.
CALICO = {
    "manifest": {},
    "etcd and IP in IP": {"cni_calico_datastore": "etcd", "cni_calico_encapsulation": "ipip"},
    "operator": {"cni_calico_method": "operator", "cni_calico_encapsulation": "vxlan-cross-subnet"},
}
#: Where an upgrade begins.
PATCH_BEFORE = {"cluster_kubernetes_version": "1.36.1"}
BEFORE = {"cluster_kubernetes_version": "1.35.4", "cluster_etcd_version": "3.5.35"}


@dataclasses.dataclass
class Options:
    """How much of a drill to do."""

    short: bool
    seed: int
    only: str = ""


def say(text: str) -> None:
    print(f"    {text}", flush=True)


def installed() -> lab.Run:
    """A cluster, as an undisturbed run makes it."""
    return lab.play("site.yml").succeed()


def mirrored(*arguments: str) -> None:
    """The mirror has what these settings want."""
    lab.play("playbooks/mirror.yml", "-e", "mirror_method=build", *arguments).succeed()


def fresh(*machines: str) -> None:
    lab.sandbox("reset", *machines)


def fresh_all() -> None:
    fresh(*lab.MACHINES)
    shutil.rmtree(lab.CLUSTER, ignore_errors=True)


def nothing_to_do(*settings: str) -> lab.Run:
    """A run that must find nothing to do."""
    run = lab.play("site.yml", *settings).succeed()
    require(run.changed == 0, f"changed={run.changed} where nothing was to do:\n{run.output[-3000:]}")
    return run


def watched(report: dict[str, t.Any], max_gap: float | None = None) -> str:
    clients = report["clients"]
    say(render(report).replace("\n", "\n    "))
    require(good(report, max_gap), "the watching clients saw failures:\n" + render(report))
    return ", ".join(
        f"{name} {client['requests']} asked, {client['failed']} failed, gap {client['longest_gap']:.2f} s"
        for name, client in clients.items()
    )


# ---- the drills; each returns a line of figures


def drill_check_fresh(options: Options) -> str:
    """--check --diff runs through on fresh machines and changes nothing on them."""
    fresh_all()
    run = lab.play("site.yml", "--check", "--diff").succeed()
    for machine, paths in lab.tree(lab.MACHINES).items():
        ours = [path for path in paths if "hardway" in path or path.startswith(("/etc/kubernetes", "/etc/etcd"))]
        require(not ours, f"{machine}: check mode left {ours[:5]}")
    require(not lab.CLUSTER.exists(), f"check mode made {lab.CLUSTER}")
    require("PRIVATE KEY" not in run.output, "a private key in the output")
    return f"{run.seconds:.0f} s, would change {run.changed}"


def drill_install(options: Options) -> str:
    """A first installation, and at once again: changed=0, the very same processes."""
    fresh_all()
    run = installed()
    require("PRIVATE KEY" not in run.output, "a private key in the output")
    before = lab.processes(lab.MACHINES)
    again = nothing_to_do()
    lab.compare_processes(before, lab.processes(lab.MACHINES))
    count = sum(len(names) for names in before.values())
    return f"{run.seconds:.0f} s, at most {max(run.tasks.values())} tasks a host; again {again.seconds:.0f} s, changed=0, the same {count} processes"


def drill_check_live(options: Options) -> str:
    """--check --diff on the live cluster reports nothing; after a changed setting just that; nothing is done; status.yml is content."""
    quiet = lab.play("site.yml", "--check", "--diff").succeed()
    require(
        quiet.changed == 0, f"changed={quiet.changed} in check mode on an unchanged cluster:\n{quiet.output[-3000:]}"
    )
    before = lab.processes(lab.MACHINES)
    planned = lab.play(
        "site.yml", "--check", "--diff", "-e", '{"kube_master_apiserver_arguments": {"goaway-chance": 0.002}}'
    ).succeed()
    changed = {host: count["changed"] for host, count in planned.counts.items() if count["changed"]}
    require(changed == dict.fromkeys(lab.MASTERS, 1), f"the plan is {changed}, not one change on each master")
    require("+  --goaway-chance=0.002" in planned.output, "the diff does not show the argument")
    require(planned.output.count("restarted, because") == 3, "the plan does not name the three restarts")
    status = lab.play("status.yml").succeed()
    count = len(lab.MACHINES)
    require(
        f"hosts {count} of {count} read" in " ".join(status.output.split()),
        f"status.yml did not read all hosts:\n{status.output[-3000:]}",
    )
    lab.compare_processes(before, lab.processes(lab.MACHINES))
    plan = (
        f"no change {quiet.seconds:.0f} s; a changed argument: 1 file and 1 restart on each of 3 masters, nothing done"
    )
    return f"{plan}; status {status.seconds:.0f} s, nothing critical"


def drill_rolling_change(options: Options) -> str:
    """A changed API server argument: one master at a time, no failed request."""
    before = lab.processes(lab.MACHINES)
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(2)
        run = lab.play("site.yml", "-e", '{"kube_master_apiserver_arguments": {"goaway-chance": 0.002}}').succeed()
        back = installed()
        time.sleep(2)
    after = lab.processes(lab.MACHINES)
    for machine, known in before.items():
        gone = {name.split("/")[0] for name, start in known.items() if after[machine].get(name) != start}
        wanted = {"kube-apiserver"} if machine in lab.MASTERS else set()
        require(gone - wanted == set(), f"{machine}: restarted besides: {gone - wanted}")
    figures = watched(watch.report())
    nothing_to_do()
    return f"there {run.seconds:.0f} s and back {back.seconds:.0f} s: {figures}"


def through(*steps: tuple[str, t.Callable[[], lab.Run]]) -> tuple[str, list[lab.Run]]:
    """Runs under the eyes of all watchers: the API's, web servers in pods, clients of the API in pods."""
    runs = []
    with lab.Pods() as pods, Watch(str(lab.KUBECONFIG), web=[lab.Pods.WEB], writes=True) as watch:
        time.sleep(2)
        for text, step in steps:
            watch.mark(text)
            runs.append(step())
        time.sleep(2)
    return f"{watched(watch.report())}, {pods.figures()}", runs


def serials() -> dict[str, str]:
    """Serial numbers of all certificates on the controller, and of those that the kubelets have."""
    found = {
        path.name: x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        for path in (lab.CLUSTER / "pki").glob("*.pem")
        if is_certificate(path)
    }
    for machine in [name for name in lab.MACHINES if name not in lab.BALANCERS]:
        for kind in ("client", "server"):
            found[f"{machine} {kind}"] = lab.ssh(
                machine, f"readlink /var/lib/kubelet/pki/kubelet-{kind}-current.pem"
            ).strip()
    return found


def is_certificate(path: pathlib.Path) -> bool:
    return b"BEGIN CERTIFICATE" in path.read_bytes() and "bundle" not in path.name


def drill_renew(options: Options) -> str:
    """renew.yml: every certificate below the authorities anew, rolling; no failed request, changed=0 after it."""
    before = serials()
    figures, runs = through(("renew", lambda: lab.play("renew.yml").succeed()))
    after = serials()
    kept = sorted(name for name in before if before[name] == after[name])
    require(kept == ["ca.pem", "client-ca.pem", "etcd-ca.pem", "front-proxy-ca.pem", "kubelet-ca.pem"], f"kept: {kept}")
    nothing_to_do()
    report = lab.play("certificates.yml").succeed()
    require(
        "warning:" not in report.output and "certificates on the controller" in report.output,
        f"the report after it:\n{report.output[-3000:]}",
    )
    return f"{runs[0].seconds:.0f} s, {len(before) - len(kept)} certificates: {figures}"


def refused(certificate: pathlib.Path) -> bool:
    """Whether the API knows the holder of a copied admin certificate no more."""
    done = subprocess.run(
        [
            str(pathlib.Path(sys.executable).parent / "kubectl"),
            f"--server=https://{lab.VIRTUAL_ADDRESS}:6443",
            "--insecure-skip-tls-verify",
            "get",
            "nodes",
            f"--client-certificate={certificate / 'admin.pem'}",
            f"--client-key={certificate / 'admin-key.pem'}",
            "--kubeconfig=/dev/null",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode != 0 and ("Unauthorized" in done.stderr or "logged in" in done.stderr)


def drill_rotate_ca(options: Options) -> str:
    """rotate-ca.yml: stopped after its first stage, killed in the second, finished by the same command; the old admin is refused at the end."""
    with tempfile.TemporaryDirectory() as directory:
        old = pathlib.Path(directory)
        for name in ("admin.pem", "admin-key.pem"):
            shutil.copy(lab.CLUSTER / "pki" / name, old)
        require(not refused(old), "the admin certificate is refused before anything was rotated")
        before = (
            json.loads((lab.CLUSTER / "rotation.json").read_text())
            if (lab.CLUSTER / "rotation.json").exists()
            else {"generations": {}}
        )
        killed = []

        def kill() -> lab.Run:
            killed.append(lab.play_killed(lab.random_moments(1, 60, options.seed)[0], "rotate-ca.yml"))
            return lab.play("site.yml", "--check").succeed()

        figures, runs = through(
            ("trust", lambda: lab.play("rotate-ca.yml", "-e", "rotation_until=trust").succeed()),
            ("killed", kill),
            ("finished", lambda: lab.play("rotate-ca.yml").succeed()),
        )
        state = json.loads((lab.CLUSTER / "rotation.json").read_text())
        for name in ("ca", "etcd-ca", "front-proxy-ca", "kubelet-ca"):
            newest = before["generations"].get(name, {"active": 1})["active"] + 1
            require(state["generations"][name] == {"trusted": [newest], "active": newest}, f"{name}: {state}")
        require(refused(old), "the old admin certificate is still accepted")
    nothing_to_do()
    return f"{runs[0].seconds:.0f} s to trust, {runs[2].seconds:.0f} s from the kill to the end: {figures}"


def drill_rotate_keys(options: Options) -> str:
    """rotate-keys.yml: other keys sign tokens and encrypt, what was stored is encrypted anew, tokens from before are refused at the end."""
    token = lab.kubectl("create", "token", "default", "--namespace=default", "--duration=24h").strip()
    lab.kubectl(
        "apply",
        "--filename=-",
        text="{apiVersion: v1, kind: Secret, metadata: {name: hardway-drill, namespace: default}, stringData: {word: kept}}",
    )

    def known() -> bool:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = json.loads(lab.kubectl("create", "--filename=-", "--output=json", text=json.dumps(review)))
        return bool(answer["status"].get("authenticated"))

    require(known(), "a fresh token is not known")
    figures, runs = through(("rotate", lambda: lab.play("rotate-keys.yml").succeed()))
    require(not known(), "a token that the old key signed is still known")
    active = json.loads((lab.CLUSTER / "rotation.json").read_text())["generations"]["encryption"]["active"]
    read = ". /etc/profile.d/etcdctl.sh; etcdctl get --prefix /registry/secrets/ --print-value-only"
    stored = lab.ssh("master1", f'{read} | grep -ao "k8s:enc:[a-z]*:v1:key[0-9]*" | sort | uniq -c')
    require(stored.split()[1:] == [f"k8s:enc:secretbox:v1:key{active}"], f"stored under {stored}")
    word = lab.kubectl("get", "secret", "hardway-drill", "--namespace=default", "--output=jsonpath={.data.word}")
    require(base64.b64decode(word) == b"kept", f"the Secret reads {word}")
    lab.kubectl("delete", "secret", "hardway-drill", "--namespace=default")
    nothing_to_do()
    return f"{runs[0].seconds:.0f} s, {stored.split()[0]} Secrets encrypted anew: {figures}"


def drill_add_node_reset(options: Options) -> str:
    """node2 is lost and reset to fresh: add-node.yml --limit node2 brings it back, no other host runs a task or restarts."""
    others = [name for name in lab.MACHINES if name != "node2"]
    before = lab.processes(others)
    fresh("node2")
    run = lab.play("add-node.yml", "--limit", "node2").succeed()
    require(set(run.counts) == {"node2"}, f"tasks ran on {sorted(run.counts)}")
    lab.compare_processes(before, lab.processes(others))
    again = lab.play("add-node.yml", "--limit", "node2").succeed()
    require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
    return f"{run.seconds:.0f} s, {run.tasks['node2']} tasks; again {again.seconds:.0f} s, changed=0"


def drill_reset(options: Options) -> str:
    """reset.yml of a node, which joins again, and of all: the machines are as fresh ones, but for the distribution's packages."""
    del options
    fresh_all()
    before = {machine: lab.traces(machine) for machine in lab.MACHINES}
    installed()
    alone = lab.play("reset.yml", "--limit", "node2", "-e", "reset_confirm=yes").succeed()
    leftovers(before, ["node2"])
    lab.play("add-node.yml", "--limit", "node2").succeed()
    nothing_to_do()
    unasked = lab.play("reset.yml")
    require(unasked.code != 0 and "not confirmed" in unasked.output, f"it did not ask:\n{unasked.output[-2000:]}")
    nothing_to_do()
    everything = lab.play("reset.yml", "-e", "reset_confirm=yes").succeed()
    leftovers(before, lab.MACHINES)
    again = installed()
    nothing_to_do()
    return f"a node {alone.seconds:.0f} s, all {everything.seconds:.0f} s, installed again {again.seconds:.0f} s"


def leftovers(before: dict[str, set[str]], machines: list[str]) -> None:
    """Whether machines have nothing that they had not when they were fresh."""
    left = {machine: sorted(lab.traces(machine) - before[machine]) for machine in machines}
    require(not any(left.values()), f"left behind: {json.dumps(left, indent=1)}")


def many_nodes(count: int) -> str:
    """An inventory of nodes that nobody can reach; the addresses are never asked."""
    hosts = "\n".join(
        f"        far{number}: {{ansible_host: 10.34.{number // 250}.{number % 250 + 1}}}" for number in range(count)
    )
    return f"all:\n  children:\n    kube_node:\n      hosts:\n{hosts}\n"


def drill_add_node_new(options: Options) -> str:
    """node3 is new: it joins; with 500 more, unreachable nodes in the inventory it takes the same time."""
    lab.sandbox("up", "node3")
    fresh("node3")
    before = lab.processes(lab.MACHINES)
    run = lab.play("add-node.yml", "--limit", "node3", beside=(lab.SPARE,)).succeed()
    require(set(run.counts) == {"node3"}, f"tasks ran on {sorted(run.counts)}")
    lab.compare_processes(before, lab.processes(lab.MACHINES))
    figures = f"{run.seconds:.0f} s"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as inventory:
        inventory.write(many_nodes(500))
        inventory.flush()
        times: dict[bool, list[float]] = {False: [], True: []}
        for _number in range(1 if options.short else 3):
            for many in (False, True):
                lab.kubectl("delete", "node", "node3")
                fresh("node3")
                beside = (lab.SPARE, *([inventory.name] if many else []))
                times[many].append(lab.play("add-node.yml", "--limit", "node3", beside=beside).succeed().seconds)
    few, many_median = (sorted(values)[len(values) // 2] for values in (times[False], times[True]))
    figures += f"; median {few:.0f} s, with 500 more nodes {many_median:.0f} s"
    require(options.short or many_median <= 1.2 * few, f"500 more nodes cost more than 20 %: {figures}")
    lab.kubectl("delete", "node", "node3")
    lab.sandbox("down", "node3")
    return figures


def drill_add_etcd_killed(options: Options) -> str:
    """The controller dies while etcd4 runs and has no vote yet: the same command promotes it. Then it leaves."""
    del options
    with day2.inventory_of("etcd4") as beside:
        lab.sandbox("up", "etcd4")
        fresh("etcd4")
        require(
            lab.play_killed(lab.etcd_learners, "add-etcd.yml", "--limit", "etcd4", beside=beside),
            "it never was a learner that runs",
        )
        require(lab.etcd_learners() == ["etcd4"], "it was promoted before the run died")
        run = lab.play("add-etcd.yml", "--limit", "etcd4", beside=beside).succeed()
        require(not lab.etcd_learners(), "it is a learner still")
        again = lab.play("add-etcd.yml", "--limit", "etcd4", beside=beside).succeed()
        require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
        removed = lab.play("remove-etcd.yml", "--limit", "etcd4", beside=beside).succeed()
    lab.sandbox("down", "etcd4")
    nothing_to_do()
    return f"finished in {run.seconds:.0f} s, again changed=0, removed in {removed.seconds:.0f} s"


def drill_day2(options: Options) -> str:
    """Every job of the years after, in an order that the seed draws, while clients of the API and of a web server ask on."""
    return years_after(options, [])


def drill_day2_killed(options: Options) -> str:
    """The same jobs, each killed at three random moments before it is run to its end."""
    return years_after(options, lab.random_moments(3, 24, options.seed))


def years_after(options: Options, kills: list[float]) -> str:
    """The jobs and their table."""
    order = [
        job for job in random.Random(options.seed).sample(day2.jobs(), len(day2.jobs())) if options.only in job.name
    ]
    order = order[:3] if options.short else order
    rows, failed = [], []
    with lab.Pods() as pods:
        for job in order:
            say(f"{time.strftime('%H:%M:%S')} {job.name}")
            with Watch(str(lab.KUBECONFIG), web=[lab.Pods.WEB], writes=True) as watch:
                seconds, again = day2.run(job, watch, kills)
            report = watch.report()
            web = sum(client["failed"] for name, client in report["clients"].items() if name.startswith("web"))
            rows.append(
                (
                    job.name,
                    f"{seconds:.0f}",
                    report["failed"] - web,
                    web,
                    report["writes"]["lost"],
                    f"{report['longest_gap']:.2f}",
                    again.changed,
                )
            )
            if again.changed != job.changes or not good(report, None if job.planned else MAX_GAP):
                failed.append(job.name)
                say(
                    render(report).replace("\n", "\n    ")
                    + (f"\n{again.output[-3000:]}" if again.changed != job.changes else "")
                )
    names = (
        "job",
        "seconds",
        "failed API requests",
        "failed web requests",
        "lost writes",
        "longest gap (s)",
        "changed by the second run",
    )
    say("\n    ".join("| " + " | ".join(map(str, row)) + " |" for row in [names, ["---"] * len(names), *rows]))
    nothing_to_do()
    require(not failed, f"not as it must be: {', '.join(failed)}")
    return f"{len(rows)} jobs (seed {options.seed}), {pods.figures()}"


def drill_refusals(options: Options) -> str:
    """What the cluster could not bear is refused with its reason, and nothing changes: other keys or network, quorum, skew, pods that may not be evicted."""
    before = lab.processes(lab.MACHINES)
    reasons = []

    def refuses(words: str, *arguments: str) -> None:
        run = lab.play(*arguments)
        require(
            run.code != 0 and words in " ".join(run.output.split()),
            f"{' '.join(arguments)} is not refused with {words!r}:\n{run.output[-3000:]}",
        )
        require(run.changed == 0, f"changed={run.changed}: {run.output[-3000:]}")
        reasons.append(words)

    with tempfile.TemporaryDirectory() as directory:
        refuses("other-authorities", "site.yml", "-e", f"cluster_dir={directory}/cluster")
    refuses("other-cni", "site.yml", "-e", "cluster_cni=bridge")
    refuses("unsupported-version", "upgrade.yml", "-e", "cluster_kubernetes_version=1.38.0")
    refuses("it does not go back", "upgrade.yml", "-e", "cluster_kubernetes_version=1.35.4")
    refuses("etcd can lose one at a time", "remove-master.yml", "--limit", "master2,master3")
    refuses("No host would be left in", "remove-lb.yml", "--limit", "lb1,lb2")
    with lab.Pods():
        lab.kubectl(
            "--namespace=hardway-drill",
            "patch",
            "poddisruptionbudget",
            "web",
            "--type=merge",
            '--patch={"spec": {"minAvailable": 2}}',
        )
        pods = lab.objects("pods", "--namespace=hardway-drill", "--selector=app=web")
        node = pods[0]["spec"]["nodeName"]
        refuses(
            "The disruption budget web needs 2 healthy pods and has 2 currently", "remove-node.yml", "--limit", node
        )
        require("unschedulable" not in lab.kubectl("get", "node", node, "--output=yaml"), f"{node} is cordoned")
    lab.ssh("master2", "systemctl stop kube-apiserver etcd")
    try:
        refuses("quorum", "remove-master.yml", "--limit", "master3")
    finally:
        lab.ssh("master2", "systemctl start etcd kube-apiserver")
    lab.wait_for(lambda: lab.nodes_ready(5), 60, "all nodes Ready")
    after = lab.processes(lab.MACHINES)
    gone = [
        name
        for machine in lab.MACHINES
        if machine != "master2"
        for name, start in before[machine].items()
        if after[machine].get(name) != start
    ]
    require(not gone, f"restarted or gone: {gone}")
    nothing_to_do()
    return f"{len(reasons)} refused: {'; '.join(reasons)}"


def before_today(versions: dict[str, str]) -> None:
    """A cluster of older versions on fresh machines."""
    chosen = ("-e", json.dumps(versions))
    mirrored(*chosen)
    fresh_all()
    lab.play("site.yml", *chosen).succeed()


def drill_upgrade(options: Options) -> str:
    """A cluster of a minor version before, Kubernetes and etcd, is brought to today's: the plan first, no failed request, changed=0 after it."""
    before_today(BEFORE)
    refused = lab.play("site.yml")
    require(
        refused.code != 0 and "upgrade.yml" in refused.output,
        f"site.yml does not point to upgrade.yml:\n{refused.output[-2000:]}",
    )
    planned = lab.play("upgrade.yml", "--check").succeed()
    for part in ("etcd", "kube-apiserver", "kubelet"):
        require(
            re.search(rf"- {part} +\S+ +\d\S* +\d\S* +yes", planned.output),
            f"the plan does not name {part}:\n{planned.output[-5000:]}",
        )
    figures, runs = through(("upgrade", lambda: lab.play("upgrade.yml").succeed()))
    again = lab.play("upgrade.yml").succeed()
    require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
    nothing_to_do()
    say("\n    ".join(f"{seconds:6.1f} s {name}" for name, seconds in runs[0].costliest[:12]))
    return f"{runs[0].seconds:.0f} s from {' and '.join(BEFORE.values())}: {figures}"


def drill_upgrade_killed(options: Options) -> str:
    """An upgrade to another patch version is killed at random moments; the same command finishes it, and no request fails all the while."""
    before_today(PATCH_BEFORE)
    moments = lab.random_moments(1 if options.short else 3, 100, options.seed)

    def killed(moment: float) -> lab.Run:
        lab.play_killed(moment, "upgrade.yml")
        return lab.play("status.yml")

    figures, runs = through(
        *((f"upgrade, killed after {moment:.0f} s", functools.partial(killed, moment)) for moment in moments),
        ("upgrade", lambda: lab.play("upgrade.yml").succeed()),
    )
    again = lab.play("upgrade.yml").succeed()
    require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
    nothing_to_do()
    return f"killed after {', '.join(f'{moment:.0f} s' for moment in moments)} (seed {options.seed}), then {runs[-1].seconds:.0f} s: {figures}"


def drill_upgrade_back(options: Options) -> str:
    """A new kube-apiserver, then a new kubelet, that does not start: its host goes back to the version before, the run stops there, no request fails."""
    del options
    before_today(PATCH_BEFORE)
    figures = []
    for setting in ("kube_master_apiserver_arguments", "kube_node_kubelet_arguments"):
        unknown = json.dumps({setting: {"no-such-argument": "1"}, "kube_master_timeout": 30})
        seen, runs = through((f"upgrade with {setting}", functools.partial(lab.play, "upgrade.yml", "-e", unknown)))
        require(runs[0].code != 0, f"a process that does not start was taken:\n{runs[0].output[-3000:]}")
        require(
            "It went back to" in runs[0].output, f"the run does not say that it went back:\n{runs[0].output[-3000:]}"
        )
        figures.append(f"{setting} {runs[0].seconds:.0f} s: {seen}")
    finished = lab.play("upgrade.yml").succeed()
    require(lab.nodes_ready(5), "not all nodes are Ready")
    nothing_to_do()
    return f"{'; '.join(figures)}; mended and upgraded {finished.seconds:.0f} s"


def drill_kill(options: Options) -> str:
    """The controller is killed in the middle of a first installation; the same command finishes it."""
    fresh_all()
    undisturbed = installed()
    wanted = lab.tree(lab.MACHINES)
    moments = lab.random_moments(KILLS, undisturbed.seconds, options.seed)
    if options.short:
        moments = moments[6:7]
    for moment in moments:
        fresh_all()
        killed = lab.play_killed(moment, "site.yml")
        run = installed()
        found = lab.tree(lab.MACHINES)
        for machine in lab.MACHINES:
            differs = sorted(set(wanted[machine]) ^ set(found[machine]))
            require(
                not differs, f"killed after {moment:.0f} s, {machine} differs from an undisturbed run: {differs[:6]}"
            )
        again = nothing_to_do()
        say(
            f"killed after {moment:.0f} s ({'in the middle' if killed else 'it had ended'}): finished in {run.seconds:.0f} s, then changed={again.changed}"
        )
    return f"{len(moments)} kills (seed {options.seed}) in {undisturbed.seconds:.0f} s, each finished by the same command, same files"


def drill_failover_haproxy(options: Options) -> str:
    """The holder of the virtual address loses haproxy."""
    del options
    return loses("haproxy")


def loses(service: str, *settings: str) -> str:
    """The holder of the virtual address loses what serves the endpoint there; another one has it then, and nothing of it is left to do."""
    first = lab.holder()
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(3)
        watch.mark(f"{service} dies on {first}")
        lab.ssh(first, f"systemctl mask --runtime --quiet {service}; systemctl kill --signal=KILL {service}")
        time.sleep(8)
    moved = lab.holder()
    lab.ssh(
        first,
        f"systemctl unmask --runtime --quiet {service}; systemctl reset-failed {service}; systemctl start {service}",
    )
    require(moved != first, f"{first} still has the virtual address")
    figures = watched(watch.report(), MAX_GAP)
    nothing_to_do(*settings)
    return figures


def drill_nginx(options: Options) -> str:
    """A live cluster changes from haproxy to nginx, whose holder dies, and back: one load balancer after the other."""
    del options
    settings = ("-e", "cluster_lb=nginx")
    there, runs = through(("to nginx", lambda: lab.play("site.yml", *settings).succeed()))
    nothing_to_do(*settings)
    for machine in lab.BALANCERS:
        left = lab.ssh(machine, "systemctl is-active nginx haproxy; ls /etc/haproxy/haproxy.cfg 2>&1", check=False)
        require(left.startswith("active\ninactive\n") and "No such file" in left, f"{machine}: {left}")
    lost = loses("nginx", *settings)
    back, runs_back = through(("back to haproxy", installed))
    nothing_to_do()
    return (
        f"to nginx {runs[0].seconds:.0f} s: {there}; its holder dies: {lost}; back {runs_back[0].seconds:.0f} s: {back}"
    )


def drill_addons(options: Options) -> str:
    """metrics-server and what `kubectl top` says; the dashboard's page, a stand-in, and its viewer; a user who may look; all are taken away again."""
    del options
    settings = ("-e", "addons_metrics_server=true")
    run = lab.play("site.yml", *settings).succeed()
    nothing_to_do(*settings)
    for what, count in (("nodes", 5), ("pods", 2)):
        lines = lab.kubectl("top", what, "--no-headers", *(["--all-namespaces"] if what == "pods" else [])).splitlines()
        require(
            len(lines) >= count and all(re.search(r"\s[0-9]+m\s+(\S+\s+)?[0-9]+Mi", line) for line in lines),
            f"kubectl top {what}: {lines}",
        )
    page = dashboard()
    lab.play("user.yml", "-e", "user_name=jane").succeed()
    again = lab.play("user.yml", "-e", "user_name=jane").succeed()
    require(again.changed == 0, f"changed={again.changed} on the second run of user.yml")
    jane = ["--kubeconfig", str(lab.CLUSTER / "users" / "jane.kubeconfig")]
    require("jane" in lab.kubectl("auth", "whoami", *jane), "not jane")
    looks_and_no_more("jane", *jane)
    lab.play("user.yml", "-e", "user_name=jane", "-e", "user_state=absent").succeed()
    require(
        lab.kubectl("auth", "can-i", "get", "pods", "--as=jane", check=False).strip() == "no", "jane may look still"
    )
    lab.play("site.yml", "-e", '{"addons_absent": ["metrics-server", "dashboard"]}').succeed()
    require("metrics" not in lab.kubectl("get", "apiservices", "--output=name"), "the API of metrics is there still")
    lab.wait_for(
        lambda: not lab.kubectl("get", "namespace", "headlamp", "--ignore-not-found"),
        60,
        "the dashboard's namespace is gone",
    )
    nothing_to_do()
    return f"metrics-server {run.seconds:.0f} s; {len(lines)} pods measured; {page}; jane may look, and no more, and then not"


def looks_and_no_more(name: str, *identity: str) -> None:
    """Who has this identity sees pods, and neither Secrets nor the end of anything."""
    require("coredns" in lab.kubectl("get", "pods", "--all-namespaces", *identity), f"{name} may not look at pods")
    for words in ("delete pods", "get secrets", "create deployments"):
        answer = lab.kubectl("auth", "can-i", *words.split(), *identity, check=False)
        require(answer.strip() == "no", f"{name} may {words}: {answer}")


def dashboard() -> str:
    """At the dashboard's port on every node is what runs in its Deployment, with a certificate of the cluster's authority; its viewer may look.

    Headlamp's image is not to be had here: agnhost serves in its place, with the Deployment's certificate and rights.
    """
    settings = (
        "-e",
        json.dumps(
            {
                "addons_dashboard": True,
                "addons_dashboard_image": lab.image("agnhost"),
                "cluster_image_source": "registry",
            }
        ),
    )
    lab.play("site.yml", *settings).succeed()
    tls = [f"--tls-{what}-file=/etc/headlamp/tls/tls.{end}" for what, end in (("cert", "crt"), ("private-key", "key"))]
    patch = [
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/args",
            "value": ["netexec", "--http-port=4466", "--udp-port=-1", *tls],
        }
    ]
    lab.kubectl(
        "--namespace=headlamp", "patch", "deployment", "headlamp", "--type=json", f"--patch={json.dumps(patch)}"
    )
    lab.kubectl("--namespace=headlamp", "rollout", "status", "deployment/headlamp", "--timeout=90s")
    trust = ssl.create_default_context(cafile=str(lab.CLUSTER / "pki" / "ca.pem"))
    nodes = [machine for machine in lab.MACHINES if machine not in lab.BALANCERS]

    def serves(node: str) -> bool:
        try:
            with urllib.request.urlopen(
                f"https://{lab.ADDRESSES[node]}:30443/hostname", timeout=5, context=trust
            ) as answer:
                return answer.read().startswith(b"headlamp-")
        except urllib.error.URLError as error:
            require(isinstance(error.reason, ConnectionRefusedError), f"{node}: {error.reason}")
            return False

    # The nodes learn of a new pod one after the other.
    for node in nodes:
        lab.wait_for(functools.partial(serves, node), 30, f"the dashboard answers on {node}")
    token = lab.kubectl("--namespace=headlamp", "create", "token", "viewer").strip()
    # Its certificate would come before the token.
    served = [
        f"--server=https://{lab.VIRTUAL_ADDRESS}:6443",
        f"--certificate-authority={lab.CLUSTER / 'pki' / 'ca.pem'}",
    ]
    looks_and_no_more("the viewer", "--kubeconfig=/dev/null", *served, f"--token={token}")
    return f"the page at the port of {len(nodes)} nodes, its viewer may look and no more"


def drill_failover_power(options: Options) -> str:
    """The holder of the virtual address loses power."""
    first = lab.holder()
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(3)
        watch.mark(f"{first} loses power")
        lab.sandbox("power-off", first)
        time.sleep(8)
    lab.sandbox("power-on", first)
    figures = watched(watch.report(), MAX_GAP)
    lab.wait_for(
        lambda: lab.ssh(first, "systemctl is-active haproxy keepalived") == "active\nactive\n", 60, f"{first} is back"
    )
    nothing_to_do()
    return figures


def drill_master_power(options: Options) -> str:
    """The master with etcd's leader loses power: nothing acknowledged is lost."""
    leader = lab.etcd_leader()
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(3)
        watch.mark(f"{leader} loses power")
        lab.sandbox("power-off", leader)
        time.sleep(12)
        watch.mark(f"{leader} has power again")
        lab.sandbox("power-on", leader)
        time.sleep(12)
    figures = watched(watch.report(), MAX_GAP)
    lab.wait_for(lambda: lab.nodes_ready(5), 120, "all nodes Ready")
    nothing_to_do()
    return figures


# ---- backups


SECRET = "{apiVersion: v1, kind: Secret, metadata: {name: NAME, namespace: default}, stringData: {word: NAME}}"
#: Of a restore, with the machines that it has to fill (the goal of the project).
MOST_RESTORE_SECONDS = 300


def write_secret(name: str) -> None:
    lab.kubectl("apply", "--filename=-", text=SECRET.replace("NAME", name))


def secrets() -> set[str]:
    """The Secrets of these drills that are there and can be decrypted."""
    found = lab.objects("secrets", "--namespace=default")
    names = {
        item["metadata"]["name"]: base64.b64decode(item["data"]["word"]).decode()
        for item in found
        if item["metadata"]["name"].startswith("hardway-")
    }
    require(all(name == word for name, word in names.items()), f"a Secret reads otherwise than it was written: {names}")
    return set(names)


def forget_secrets() -> None:
    lab.kubectl("delete", "secret", "--namespace=default", "--ignore-not-found", *sorted(secrets() or {"hardway-none"}))


def backed_up(*arguments: str) -> tuple[lab.Run, pathlib.Path]:
    """A run of backup.yml, and the archive that it made."""
    run = lab.play("backup.yml", *arguments).succeed()
    require(run.changed == 1, f"changed={run.changed}, not the archive alone:\n{run.output[-3000:]}")
    found = re.search(r"archive: (\S+?\.tar\.gz(?:\.age)?)", run.output)
    require(found, f"no archive was told:\n{run.output[-3000:]}")
    archive = pathlib.Path(found[1])
    require(
        archive.stat().st_mode & 0o777 == 0o600 and archive.parent.stat().st_mode & 0o777 == 0o700,
        f"{archive} can be read by others",
    )
    for machine in lab.MASTERS:
        left = lab.ssh(machine, "ls /var/lib/hardway/*.db 2>/dev/null", check=False)
        require(not left, f"{machine}: the backup left {left}")
    return run, archive


def restore(archive: pathlib.Path, *arguments: str, beside: tuple[str, ...] = ()) -> lab.Run:
    return lab.play(
        "restore.yml", "-e", f"restore_archive={archive}", "-e", "restore_confirm=yes", *arguments, beside=beside
    )


def damaged(archive: pathlib.Path, directory: str) -> pathlib.Path:
    """A copy with one byte changed."""
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    copy = pathlib.Path(directory) / archive.name
    copy.write_bytes(content)
    return copy


def keep_aside(archive: pathlib.Path, directory: str) -> pathlib.Path:
    """Where fresh_all() does not come."""
    return pathlib.Path(shutil.copy2(archive, directory))


def tidy_clusters() -> None:
    """Remove what restores kept beside the cluster's directory, and on the members."""
    for path in lab.CLUSTER.parent.glob(f"{lab.CLUSTER.name}.before-*"):
        shutil.rmtree(path)
    for machine in lab.MASTERS:
        lab.ssh(machine, "rm -rf /var/lib/etcd/member.before-*")


def drill_backup_restore(options: Options) -> str:
    """backup.yml, then restore.yml on the same machines: what was written later is named and gone, pods run on; refused, killed and run again."""
    nothing_to_do()
    with lab.Pods(), tempfile.TemporaryDirectory() as directory:
        write_secret("hardway-kept")
        write_secret("hardway-deleted-later")
        made, archive = backed_up()
        write_secret("hardway-late")
        lab.kubectl("delete", "secret", "hardway-deleted-later", "--namespace=default")
        before = lab.processes(lab.MACHINES)
        refused_run = restore(damaged(archive, directory))
        require(
            refused_run.code != 0 and "is damaged" in refused_run.output,
            f"a damaged archive was not refused:\n{refused_run.output[-3000:]}",
        )
        unconfirmed = lab.play("restore.yml", "-e", f"restore_archive={archive}")
        require(unconfirmed.code != 0 and "not confirmed" in unconfirmed.output, "a restore was not asked about")
        planned = lab.play("restore.yml", "-e", f"restore_archive={archive}", "--check", "--diff").succeed()
        require("secrets/default/hardway-late" in planned.output, "the plan does not name what would be lost")
        lab.compare_processes(before, lab.processes(lab.MACHINES))
        run = restore(archive).succeed()
        for word in ("secrets/default/hardway-late", "secrets/default/hardway-deleted-later"):
            require(word in run.output, f"the run does not name {word}")
        require(secrets() == {"hardway-kept", "hardway-deleted-later"}, f"there are {secrets()}")
        require(run.seconds <= MOST_RESTORE_SECONDS, f"it took {run.seconds:.0f} s")
        lab.wait_for(lambda: lab.nodes_ready(5), 60, "all nodes Ready")
        for name in ("web", "client"):
            lab.kubectl("--namespace=hardway-drill", "rollout", "status", f"deployment/{name}", "--timeout=90s")
        containers = {
            machine: [name for name in after if name.startswith("containerd-shim")] for machine, after in before.items()
        }
        now = lab.processes(lab.MACHINES)
        kept = sum(name in now[machine] for machine, names in containers.items() for name in names)
        again = restore(archive).succeed()
        require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
        nothing_to_do()
        write_secret("hardway-late")
        moments = (
            lab.random_moments(3, run.seconds, options.seed)[1:2]
            if options.short
            else lab.random_moments(5, run.seconds, options.seed)
        )
        for number, moment in enumerate(moments):
            word = f"restore_force_id=drill{options.seed}x{number}"
            lab.play_killed(
                moment, "restore.yml", "-e", f"restore_archive={archive}", "-e", "restore_confirm=yes", "-e", word
            )
            restore(archive, "-e", word).succeed()
            require(
                secrets() == {"hardway-kept", "hardway-deleted-later"},
                f"killed after {moment:.0f} s, then there are {secrets()}",
            )
            finished = restore(archive, "-e", word).succeed()
            require(
                finished.changed == 0,
                f"killed after {moment:.0f} s and finished, then changed={finished.changed}:\n{finished.output[-3000:]}",
            )
        forget_secrets()
    tidy_clusters()
    nothing_to_do()
    total = sum(len(names) for names in containers.values())
    return (
        f"backup {made.seconds:.0f} s, restore {run.seconds:.0f} s, again {again.seconds:.0f} s with changed=0, {kept} of {total} pods went on; "
        f"{len(moments)} kills, each finished by the same command"
    )


def drill_backup_timer(options: Options) -> str:
    """backup_timer: the members take snapshots, prove and prune them by themselves; turned off, the timer is gone and the snapshots stay."""
    del options
    turned_on = ["-e", json.dumps({"backup_timer": True, "backup_timer_keep": 2})]
    lab.play("backup.yml", *turned_on).succeed()
    sizes = []
    for machine in lab.MASTERS:
        require(lab.ssh(machine, "systemctl is-active etcd-backup.timer").strip() == "active", f"{machine}: no timer")
        for _time in range(3):
            lab.ssh(machine, "systemctl start etcd-backup.service; sleep 1.1")
        left = lab.ssh(machine, 'find /var/backups/etcd -type f -printf "%m %u %s\n"').splitlines()
        require(len(left) == 2 and all(line.startswith("600 ") for line in left), f"{machine} has {left}")
        sizes += [int(line.split()[2]) for line in left]
    require(min(sizes) > 100_000, f"snapshots of {sizes} bytes")
    again = lab.play("backup.yml", *turned_on, "-e", "backup_keep=1").succeed()
    require(again.changed == 1, f"changed={again.changed}, not the archive alone")
    lab.play("backup.yml").succeed()
    for machine in lab.MASTERS:
        left = lab.ssh(
            machine,
            "systemctl is-active etcd-backup.timer; ls /etc/systemd/system/etcd-backup.* 2>&1; ls /var/backups/etcd",
            check=False,
        )
        require(
            "inactive" in left and "No such file" in left and ".db" in left,
            f"{machine} after it was turned off: {left}",
        )
        lab.ssh(machine, "rm -r /var/backups/etcd")
    nothing_to_do()
    return f"3 members, snapshots of {min(sizes) / 2**20:.0f} MiB and more, 2 kept"


def drill_restore_fresh(options: Options) -> str:
    """An encrypted archive becomes the whole cluster on fresh machines, within five minutes; then on machines with other addresses."""
    nothing_to_do()
    identity = x25519.Identity.generate()
    with tempfile.TemporaryDirectory() as directory:
        key = pathlib.Path(directory) / "key.txt"
        key.write_text(f"{identity}\n", encoding="ascii")
        write_secret("hardway-kept")
        _made, made_archive = backed_up("-e", json.dumps({"backup_recipients": [str(identity.to_public())]}))
        archive = keep_aside(made_archive, directory)
        authority = (lab.CLUSTER / "pki" / "ca.pem").read_bytes()
        fresh_all()
        without = restore(archive)
        require(
            without.code != 0 and "is encrypted" in without.output,
            "an encrypted archive was not refused without its key",
        )
        lab.play(
            "restore.yml", "-e", f"restore_archive={archive}", "-e", f"restore_identity={key}", "--check", "--diff"
        ).succeed()
        require(not lab.CLUSTER.exists(), f"check mode made {lab.CLUSTER}")
        run = restore(archive, "-e", f"restore_identity={key}").succeed()
        require(run.seconds <= MOST_RESTORE_SECONDS, f"it took {run.seconds:.0f} s")
        require(secrets() == {"hardway-kept"}, f"there are {secrets()}")
        require((lab.CLUSTER / "pki" / "ca.pem").read_bytes() == authority, "another authority")
        lab.wait_for(lambda: lab.nodes_ready(5), 60, "all nodes Ready")
        nothing_to_do()
        figures = f"fresh machines {run.seconds:.0f} s"
        if not options.short:
            fresh_all()
            # The same names on each other's machines, so that every address that the archive knows is another's.
            overlay = pathlib.Path(directory) / "moved.yml"
            moved = {"master1": "master3", "master3": "master1", "node1": "node2", "node2": "node1"}
            hosts = {name: {"ansible_host": lab.ADDRESSES[other]} for name, other in moved.items()}
            overlay.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
            beside = (str(overlay),)
            elsewhere = restore(archive, "-e", f"restore_identity={key}", beside=beside).succeed()
            require(secrets() == {"hardway-kept"}, f"there are {secrets()}")
            again = lab.play("site.yml", beside=beside).succeed()
            require(again.changed == 0, f"changed={again.changed} after it:\n{again.output[-3000:]}")
            figures += f", other addresses {elsewhere.seconds:.0f} s"
            fresh_all()
            installed()
        else:
            forget_secrets()
    tidy_clusters()
    nothing_to_do()
    return figures


def restore_etcd(*arguments: str) -> lab.Run:
    return lab.play("restore-etcd.yml", "-e", "restore_confirm=yes", *arguments)


def drill_restore_etcd(options: Options) -> str:
    """etcd alone, after lost quorum: from one survivor, from an archive where none is left, from the one whose data are not corrupted."""
    nothing_to_do()
    _made, archive = backed_up()
    figures = []

    def check(case: str, run: lab.Run, wanted: set[str]) -> None:
        run.succeed()
        say(
            f"{case}: {run.seconds:.0f} s, of it "
            + ", ".join(f"{seconds:.0f} s {name}" for name, seconds in run.costliest[:4])
        )
        require(secrets() == wanted, f"{case}: there are {secrets()}, and {wanted} are wanted")
        again = restore_etcd(*(["-e", f"restore_archive={archive}"] if case == "none" else [])).succeed()
        require(again.changed == 0, f"{case}: changed={again.changed} on the second run:\n{again.output[-3000:]}")
        lab.wait_for(lambda: lab.nodes_ready(5), 60, f"{case}: all nodes Ready")
        nothing_to_do()
        figures.append(f"{case} {run.seconds:.0f} s")

    quiet = restore_etcd().succeed()
    require(
        quiet.changed == 0 and "nothing is restored" in quiet.output, "something was restored though there was quorum"
    )

    write_secret("hardway-survives")
    survivor = lab.etcd_leader()
    for machine in lab.MASTERS:
        if machine != survivor:
            lab.ssh(machine, "systemctl kill --signal=KILL etcd; systemctl stop etcd; rm -rf /var/lib/etcd/member")
    check("survivor", restore_etcd(), {"hardway-survives"})
    if options.short:
        forget_secrets()
        tidy_clusters()
        return figures[0]

    for machine in lab.MASTERS:
        lab.ssh(machine, "systemctl stop etcd; rm -rf /var/lib/etcd/member")
    lost = restore_etcd()
    require(
        lost.code != 0 and "restore_archive" in lost.output,
        f"without any data it does not ask for an archive:\n{lost.output[-3000:]}",
    )
    check("none", restore_etcd("-e", f"restore_archive={archive}"), set())

    write_secret("hardway-survives")
    for machine in lab.MASTERS[1:]:
        lab.ssh(
            machine,
            "systemctl stop etcd; dd if=/dev/urandom of=/var/lib/etcd/member/snap/db bs=64k count=8 conv=notrunc status=none",
        )
    corrupted = restore_etcd()
    require("damaged" in corrupted.output, "the run does not name the damaged data")
    check("corrupted", corrupted, {"hardway-survives"})
    forget_secrets()
    tidy_clusters()
    return ", ".join(figures)


def drill_etcd_maintenance(options: Options) -> str:
    """etcd-maintenance.yml: a fragmented database, member by member, the leader last, with no failed request; again with changed=0."""
    for number in range(30):
        named = {"name": f"hardway-{number}", "namespace": "default"}
        lab.kubectl(
            "create",
            "--filename=-",
            text=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"x": "x" * 900_000}}),
        )
    lab.kubectl("delete", "configmap", "--namespace=default", *[f"hardway-{number}" for number in range(30)])
    script = ". /etc/profile.d/etcdctl.sh; etcdctl compact $(etcdctl endpoint status --write-out=json | grep -o '\"revision\":[0-9]*' | head -1 | cut -d: -f2)"
    lab.ssh("master1", script)
    size = ["-e", "etcd_maintenance_minimum_size=4194304"]
    before = {machine: int(lab.ssh(machine, "stat -c %s /var/lib/etcd/member/snap/db")) for machine in lab.MASTERS}
    planned = lab.play("etcd-maintenance.yml", "--check", "--diff", *size).succeed()
    require(
        planned.output.count("+defragment master") == 3,
        f"the plan does not name three defragmentations:\n{planned.output[-3000:]}",
    )
    with Watch(str(lab.KUBECONFIG), writes=True) as watch:
        time.sleep(2)
        run = lab.play("etcd-maintenance.yml", *size).succeed()
        time.sleep(2)
    figures = watched(watch.report())
    # Under load the leadership moves now and then: whoever led was spared as long as others were left.
    order = re.findall(r"(\w+) is next, while (\w+) leads", run.output)
    require(sorted(member for member, _leader in order) == lab.MASTERS, f"the order was {order}")
    require(all(member != leader for member, leader in order[:-1]), f"a leader was not left to the end: {order}")
    after = {machine: int(lab.ssh(machine, "stat -c %s /var/lib/etcd/member/snap/db")) for machine in lab.MASTERS}
    require(
        all(after[machine] < before[machine] / 2 for machine in lab.MASTERS), f"sizes before {before}, after {after}"
    )
    again = lab.play("etcd-maintenance.yml", *size).succeed()
    require(again.changed == 0, f"changed={again.changed} on the second run:\n{again.output[-3000:]}")
    nothing_to_do()
    return (
        f"{run.seconds:.0f} s, {max(before.values()) / 2**20:.0f} to {max(after.values()) / 2**20:.0f} MiB: {figures}"
    )


def drill_calico(options: Options) -> str:
    """Calico, for who has its images in the mirror: an installation, again, calicoctl, a node more, another network refused, reset; in each way to have it."""
    words = ["-e", "mirror_method=build", "-e", json.dumps({"mirror_components": ["calico"]})]
    mirrored = lab.play("playbooks/mirror.yml", *words)
    refusal = re.search(r"calico \S+ is not built from source.*", mirrored.output)
    require(
        not refusal, f"the mirror lacks what Calico needs, and it cannot be built here: {refusal and refusal.group()}"
    )
    mirrored.succeed()
    figures = []
    for name, settings in list(CALICO.items())[: 1 if options.short else None]:
        chosen = ["-e", json.dumps({"cluster_cni": "calico", **settings})]
        fresh_all()
        run = lab.play("site.yml", *chosen).succeed()
        require("PRIVATE KEY" not in run.output, "a private key in the output")
        before = lab.processes(lab.MACHINES)
        again = lab.play("site.yml", *chosen).succeed()
        require(again.changed == 0, f"{name}: changed={again.changed} on the second run:\n{again.output[-3000:]}")
        lab.compare_processes(before, lab.processes(lab.MACHINES))
        listed = lab.ssh("master1", "/usr/local/bin/calicoctl get nodes").split()
        nodes = [machine for machine in lab.MACHINES if machine not in lab.BALANCERS]
        require(set(nodes) <= set(listed), f"{name}: calicoctl knows {listed}")
        added = added_with(chosen)
        # The inventory of the sandbox has another network.
        other = lab.play("preflight.yml")
        require(
            other.code != 0 and "[other-cni]" in other.output,
            f"{name}: another network is not refused:\n{other.output[-3000:]}",
        )
        lab.play("reset.yml", "-e", "reset_confirm=yes", *chosen).succeed()
        for machine in nodes:
            found = "(iptables-save; ip -brief link; ip route; ipset list -name) 2>/dev/null | grep -i cali; ls -d /etc/cni /var/lib/calico 2>/dev/null"
            left = lab.ssh(machine, found, check=False)
            require(not left.strip(), f"{name}: a reset leaves on {machine}: {left}")
        figures.append(f"{name}: {run.seconds:.0f} s, again {again.seconds:.0f} s, a node {added:.0f} s")
    fresh_all()
    installed()
    return "; ".join(figures)


def drill_variants(options: Options) -> str:
    """Clusters that differ by settings or groups (variants.py), each: an installation, again, what it is there for, a node more."""
    figures = []
    chosen = [name for name in variants.VARIANTS if options.only in name]
    require(chosen, f'no variant has "{options.only}" in its name; there are: {"; ".join(variants.VARIANTS)}')
    for name in chosen:
        variant = variants.VARIANTS[name]
        spares = ("node3", *variant.spares)
        lab.sandbox("up", *spares)
        fresh_all()
        fresh(*spares)
        with variants.inventory_of(variant), variants.resolving(variant.name, [*variant.machines, "node3"]):
            mirrored(*variant.arguments)
            run = lab.play("site.yml", *variant.arguments).succeed()
            before = lab.processes(variant.machines)
            again = nothing_to_do(*variant.arguments)
            lab.compare_processes(before, lab.processes(variant.machines))
            shown = variant.shown()
            added = joined(variant.arguments)
        lab.sandbox("down", *spares)
        figures.append(
            f"{name}: {run.seconds:.0f} s, again {again.seconds:.0f} s with changed=0, {shown}, a node {added:.0f} s"
        )
        say(figures[-1])
    fresh_all()
    installed()
    return "; ".join(figures)


def added_with(arguments: list[str]) -> float:
    """node3 is new and joins, and leaves again; the seconds that it took to join."""
    lab.sandbox("up", "node3")
    fresh("node3")
    seconds = joined(arguments)
    lab.sandbox("down", "node3")
    return seconds


def joined(arguments: list[str]) -> float:
    """The fresh machine node3 joins; then the cluster forgets it."""
    run = lab.play("add-node.yml", "--limit", "node3", *arguments, beside=(lab.SPARE,)).succeed()
    require(set(run.counts) == {"node3"}, f"tasks ran on {sorted(run.counts)}")
    lab.kubectl("delete", "node", "node3")
    return run.seconds


DRILLS = {
    name[len("drill_") :].replace("_", "-"): function
    for name, function in list(globals().items())
    if name.startswith("drill_")
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=", ".join(DRILLS))
    parser.add_argument("--short", action="store_true", help="each as small as it still tells")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments of kills")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="of the jobs of day2, or of the variants, those whose name has this in it",
    )
    parser.add_argument("--json", type=pathlib.Path, help="write the rows there, too")
    parser.add_argument(
        "--markdown", type=pathlib.Path, help="write the rows into the table of this page of the documentation, too"
    )
    parser.add_argument(
        "--inventory",
        "-i",
        action="append",
        metavar="PATH",
        help="the cluster's, if not the default one; several are one inventory",
    )
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        for name, function in DRILLS.items():
            print(f"{name:18} {inspect.getdoc(function)}")
        return 0
    unknown = [name for name in arguments.drills if name not in DRILLS]
    if unknown:
        parser.error(f"no such drill: {', '.join(unknown)}; there are {', '.join(DRILLS)}")
    lab.INVENTORIES[:] = arguments.inventory or lab.INVENTORIES
    lab.LOG.unlink(missing_ok=True)
    options = Options(arguments.short, arguments.seed, arguments.only)
    rows = [
        run_drill(name, options) for name in arguments.drills or [name for name in DRILLS if name not in ON_REQUEST]
    ]
    print(table([row_of(row) for row in rows]))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if arguments.markdown:
        before = arguments.markdown.read_text(encoding="utf-8") if arguments.markdown.exists() else ""
        arguments.markdown.write_text(page(rows, before), encoding="utf-8")
    failed = sum(not row["passed"] for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_drill(name: str, options: Options) -> dict[str, t.Any]:
    print(f"--- {name}: {inspect.getdoc(DRILLS[name])}", flush=True)
    began = time.monotonic()
    try:
        figures, passed = DRILLS[name](options), True
    except DrillFailed as error:
        figures, passed = str(error), False
    except Exception as error:  # pylint: disable=broad-exception-caught  # a drill's own mistake: those behind it run all the same
        traceback.print_exc()
        figures, passed = f"the drill died: {error!r}", False
    seconds = time.monotonic() - began
    print(f"    {'passed' if passed else 'FAILED'} after {seconds:.0f} s: {figures}", flush=True)
    day = time.strftime("%Y-%m-%d") + " short" * options.short
    return {
        "drill": name + cluster_name(),
        "passed": passed,
        "seconds": round(seconds),
        "day": day,
        "figures": figures.splitlines()[0],
    }


def cluster_name() -> str:
    """Which cluster this is, if not the default one: by the last inventory's name."""
    return (
        "" if lab.INVENTORIES == ["inventory"] else f" ({pathlib.Path(lab.INVENTORIES[-1]).name.removesuffix('.yml')})"
    )


def row_of(row: dict[str, t.Any]) -> str:
    return f"| {row['drill']} | {'passed' if row['passed'] else 'FAILED'} | {row['day']} | {row['seconds']} | {row['figures']} |"


def table(rows: list[str]) -> str:
    return "\n".join(["", "| drill | result | day | seconds | figures |", "| --- | --- | --- | --- | --- |", *rows])


def page(rows: list[dict[str, t.Any]], before: str) -> str:
    """The page with new rows in the place of the old ones of these drills; drills that did not run keep theirs."""
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    lines |= {row["drill"]: row_of(row) for row in rows}
    return (
        "# The drills\n\nThe last result of each drill (written by `drills.py --markdown`, as `make drills` calls it), on seven machines of the sandbox "
        f"on one computer of {os.cpu_count()} processors.\n\n"
        'What each does is told by `tests/drills/drills.py --list`. "gap" is the longest time without a right answer that a client had, asking '
        "20 times a second through the virtual address: `new` opens a connection for each request, `kept` keeps its own. An API server that stops "
        "answers with 429 and asks to wait for 5 seconds; who waits has a gap, and no failure. In brackets: another cluster, by its inventory "
        "(`--inventory`).\n"
        f"{table([lines[key] for name in DRILLS for key in sorted(lines) if key.split(' (')[0] == name])}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
