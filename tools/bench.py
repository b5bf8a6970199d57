#!/usr/bin/env python3
"""How long everything takes on the sandbox's machines, with all artifacts in the cache. A benchmark, not a test: it judges nothing.

  bench.py [--runs N] [--markdown docs/benchmark.md]

It writes the page's chapter on the cluster; bench_certificates.py writes that on certificates.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "drills")]

import lab  # noqa: E402
import pages  # noqa: E402

HEADING = "A cluster"

UNITS = "keepalived haproxy etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy flanneld"
TARGETS = {
    "full run (site.yml on fresh machines)": 150,
    "no-op run (site.yml again)": 30,
    "add-node (add-node.yml --limit node2, reset to fresh)": 40,
}


def full() -> lab.Run:
    lab.sandbox("reset", *lab.MACHINES)
    shutil.rmtree(lab.CLUSTER, ignore_errors=True)
    return lab.play("site.yml").succeed()


def add_node() -> lab.Run:
    lab.sandbox("reset", "node2")
    return lab.play("add-node.yml", "--limit", "node2").succeed()


def floor() -> float:
    """Everything in place, nothing running: start all processes at once, until the cluster is healthy through its virtual address."""

    def on_all(script: str) -> None:
        with concurrent.futures.ThreadPoolExecutor(len(lab.MACHINES)) as pool:
            list(pool.map(lambda machine: lab.ssh(machine, script, check=False), lab.MACHINES))

    on_all(f"systemctl stop {UNITS} 2>/dev/null; pkill containerd-shim; true")
    began = time.monotonic()
    on_all(
        f"for unit in {UNITS}; do systemctl is-enabled --quiet $unit 2>/dev/null && systemctl start --no-block $unit; done; true"
    )
    lab.wait_for(healthy, 120, "the cluster is healthy")
    return time.monotonic() - began


def healthy() -> bool:
    lab.kubectl("get", "--raw=/readyz")
    ready = lab.kubectl(
        "get", "deployment", "coredns", "--namespace=kube-system", "--output=jsonpath={.status.readyReplicas}"
    )
    answering = [
        lab.kubectl("get", f"--raw=/api/v1/nodes/{node}/proxy/healthz") for node in [*lab.MASTERS, "node1", "node2"]
    ]
    return lab.nodes_ready(5) and ready == "2" and len(answering) == 5


def seconds(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} s" + (
        f" ({min(values):.0f} to {max(values):.0f})" if len(values) > 1 else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--markdown", type=pathlib.Path, help="the page of which the chapter is to be written, too")
    arguments = parser.parse_args()
    runs: dict[str, list[lab.Run]] = {name: [] for name in TARGETS}
    for number in range(arguments.runs):
        for name, function in zip(TARGETS, (full, lambda: lab.play("site.yml").succeed(), add_node)):
            runs[name].append(function())
            print(f"run {number + 1}: {name}: {runs[name][-1].seconds:.1f} s", flush=True)
    lowest = floor()
    text = chapter(runs, lowest)
    print(text)
    if arguments.markdown:
        pages.put_chapter(arguments.markdown, HEADING, text)


def chapter(runs: dict[str, list[lab.Run]], lowest: float) -> str:
    first = next(iter(runs.values()))[-1]
    lines = [
        f"Seven machines of the sandbox on one computer of {os.cpu_count()} processors (load {os.getloadavg()[2]:.1f}), "
        f"Kubernetes {version()}, artifacts in the cache, {time.strftime('%Y-%m-%d')}. "
        f"Median of {len(next(iter(runs.values())))} runs (lowest to highest).",
        "",
        "| what | seconds | goal | tasks per host (run and skipped) | changed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, done in runs.items():
        lines.append(
            f"| {name} | {seconds([run.seconds for run in done])} | {TARGETS[name]} s | at most {max(done[-1].tasks.values())} | {done[-1].changed} |"
        )
    lines += [
        f"| the floor: everything in place, all processes started at once, until all is healthy | {lowest:.0f} s | | | |",
        "",
        "Tasks per host in the full run: "
        + ", ".join(f"{host} {count}" for host, count in sorted(first.tasks.items()))
        + ".",
        "",
        "The ten costliest tasks of the full run, in seconds for all hosts:",
        "",
        "| task | seconds |",
        "| --- | --- |",
        *(f"| {name} | {value:.1f} |" for name, value in first.costliest[:10]),
        "",
        "For comparison, measured on the same kind of machine, with its binaries and images served locally, forks 10, pipelining on: kubespray "
        "(2026-08) takes 8 min 25 s for four such machines (three control planes, one worker), with about 1,180 tasks per host (run and skipped), "
        "and 7 min 42 s for the second run, which still reports changed=43.",
        "",
    ]
    return "\n".join(lines)


def version() -> str:
    return lab.kubectl("version", "--output=json").split('"serverVersion"')[1].split('"gitVersion": "')[1].split('"')[0]


if __name__ == "__main__":
    main()
