#!/usr/bin/env python3
# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long everything takes on the sandbox's machines, with all artifacts in the cache. A benchmark, not a test: no figure makes it fail.

  bench.py                             all parts
  bench.py cluster                     the seven machines
  bench.py scale                       thirty nodes more, on the cluster that is there: 16 GiB of memory and 60 GiB of disk more
  bench.py --runs 1 --json after.json --before before.json --markdown docs/benchmark.md

It writes the chapters on the cluster and on thirty nodes more; bench_certificates.py writes that on certificates.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
import typing as t
from collections.abc import Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "e2e")]

import pages  # noqa: E402
import scale  # noqa: E402
from harness import cluster, sandbox  # noqa: E402
from harness.measure import Measure, measure  # noqa: E402
from harness.steps import reset_all  # noqa: E402

PARTS = ("cluster", "scale")
HEADINGS = {"cluster": "A cluster", "scale": "Thirty nodes more"}
UNITS = "keepalived haproxy etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy flanneld"
HEADER = (
    "| what | seconds | compared | controller's processor seconds | remote calls per host | tasks per host | changed | goal |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
PER_NODE = "per further node"
#: A part's figures before, by the names of its rows: --before.
Before = dict[str, dict[str, t.Any]]


@dataclasses.dataclass
class Row:
    """A line of a table: what was done, some times."""

    name: str
    goal: str
    do: Callable[[], Measure]
    measures: list[Measure] = dataclasses.field(default_factory=list)
    #: What the wall time is compared with, if not with `ping`: seconds by the run's number.
    floor: list[float] = dataclasses.field(default_factory=list)

    def again(self, number: int) -> None:
        self.measures.append(self.do())
        last = self.measures[-1]
        compared = f", {last.pings:.1f} pings" if last.ping else ""
        print(
            f"run {number + 1}: {self.name}: {last.wall:.1f} s{compared}, {last.processor:.1f} s of processor time, "
            f"at most {last.most_calls} calls",
            flush=True,
        )

    @property
    def wall(self) -> float:
        return statistics.median(one.wall for one in self.measures)

    @property
    def processor(self) -> float:
        return statistics.median(one.processor for one in self.measures)

    @property
    def ping(self) -> float:
        return statistics.median(one.ping for one in self.measures)

    @property
    def compared(self) -> str:
        if self.floor:
            return f"{self.wall / statistics.median(self.floor):.1f} floors"
        pings = statistics.median(one.pings for one in self.measures)
        return f"{pings:.1f} pings ({self.ping:.1f} s)" if pings else ""

    def as_line(self, before: Before) -> str:
        last = self.measures[-1]
        cells = (
            self.name,
            spread([one.wall for one in self.measures]) + was(before, self.name, "wall", " s"),
            self.compared + was(before, self.name, "compared", ""),
            f"{self.processor:.1f}" + was(before, self.name, "processor", ""),
            f"at most {last.most_calls}, mean {last.mean_calls:.1f}" + was(before, self.name, "calls", ""),
            f"at most {max(last.tasks.values())}",
            str(last.changed),
            self.goal,
        )
        return f"| {' | '.join(cells)} |"

    def as_json(self) -> dict[str, t.Any]:
        return {
            "wall": round(self.wall, 1),
            "compared": self.compared,
            "processor": round(self.processor, 1),
            "calls": max(one.most_calls for one in self.measures),
            "runs": [dataclasses.asdict(one) for one in self.measures],
        }


def was(before: Before, name: str, figure: str, unit: str) -> str:
    """The figure before, in brackets, where there is one."""
    value = before.get(name, {}).get(figure)
    return f" (before: {value}{unit})" if value else ""


def spread(values: list[float]) -> str:
    several = f" ({min(values):.0f} to {max(values):.0f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.0f} s{several}"


# ---- what is measured


def full() -> Measure:
    reset_all()
    return measure("site")


def quiet() -> Measure:
    return measure("site", with_ping=True)


def check() -> Measure:
    return measure("site", "--check", with_ping=True)


def add_node() -> Measure:
    sandbox.reset("node2")
    return measure("add_node", "--limit", "node2")


def floor() -> float:
    """Everything in place, nothing running: start all processes at once, until the cluster is healthy through its virtual address."""

    def on_all(script: str) -> None:
        with concurrent.futures.ThreadPoolExecutor(len(sandbox.MACHINES)) as pool:
            list(pool.map(lambda machine: sandbox.ssh(machine, script, check=False), sandbox.MACHINES))

    on_all(f"systemctl stop {UNITS} 2>/dev/null; pkill containerd-shim; true")
    began = time.monotonic()
    start = "systemctl is-enabled --quiet $unit 2>/dev/null && systemctl start --no-block $unit"
    on_all(f"for unit in {UNITS}; do {start}; done; true")
    cluster.wait_for(is_healthy, 120, "the cluster is healthy")
    return time.monotonic() - began


def is_healthy() -> bool:
    cluster.kubectl("get", "--raw=/readyz")
    columns = "--output=jsonpath={.status.readyReplicas}"
    ready = cluster.kubectl("get", "deployment", "coredns", "--namespace=kube-system", columns)
    answers = [cluster.kubectl("get", f"--raw=/api/v1/nodes/{node}/proxy/healthz") for node in sandbox.NODES]
    return cluster.nodes_ready() and ready == "2" and len(answers) == len(sandbox.NODES)


def join_all() -> Measure:
    return measure("add_node", "--limit", scale.GROUP, overlays=scale.OVERLAYS)


def quiet_on_all() -> Measure:
    return measure("site", overlays=scale.OVERLAYS, with_ping=True)


def check_on_all() -> Measure:
    return measure("site", "--check", overlays=scale.OVERLAYS, with_ping=True)


@dataclasses.dataclass
class Part:
    """A chapter and its figures."""

    rows: list[Row]
    text: str
    #: Seconds of processor time on the controller for each further node.
    per_node: float | None = None

    def as_json(self) -> dict[str, t.Any]:
        figures = {row.name: row.as_json() for row in self.rows}
        return figures if self.per_node is None else {**figures, PER_NODE: {"processor": round(self.per_node, 2)}}


# ---- the parts


def bench_cluster(runs: int, before: Before) -> Part:
    first = Row("full run (site.yml on fresh machines)", "1.6 floors", full)
    rows = [
        first,
        Row("no-op run (site.yml again)", "10 s and 7 s of processor time, or 4 pings; 2 calls and verify's", quiet),
        Row("check mode (site.yml --check)", "as the no-op run", check),
        Row("add-node (add-node.yml --limit node2, reset to fresh)", "12 s", add_node),
    ]
    for number in range(runs):
        for row in rows:
            row.again(number)
        first.floor.append(floor())
        print(f"run {number + 1}: the floor: {first.floor[-1]:.1f} s", flush=True)
    last = first.measures[-1]
    lines = [
        f"Seven machines of the sandbox {conditions(runs)}",
        "",
        *HEADER,
        *(row.as_line(before) for row in rows),
        "",
        f"The floor: everything in place, all processes started at once, until all is healthy: {spread(first.floor)}. "
        "A ping: `ansible all -m ansible.builtin.ping`, right before the run. A remote call: one start of ssh or sftp, over a connection "
        "that is kept open. Processor seconds: of Ansible and all of its children on the controller. Tasks: run and skipped.",
        "",
        "Tasks per host in the full run: "
        + ", ".join(f"{host} {count}" for host, count in sorted(last.tasks.items()))
        + ".",
        "",
        "The ten costliest tasks of the full run, in seconds for all hosts:",
        "",
        "| task | seconds |",
        "| --- | --- |",
        *(f"| {name} | {value:.1f} |" for name, value in last.costliest),
        "",
        "For comparison, measured on the same kind of machine, with its binaries and images served locally, forks 10, pipelining on: kubespray "
        "(2026-08) takes 8 min 25 s for four such machines (three control planes, one worker), with about 1,180 tasks per host (run and skipped), "
        "and 7 min 42 s for the second run, which still reports changed=43.",
        "",
    ]
    return Part(rows, "\n".join(lines))


def bench_scale(runs: int, before: Before) -> Part:
    """On the cluster that is there. The thirty nodes join once; what finds nothing to do is run several times."""
    seven = Row("no-op run on seven machines", "", quiet)
    joined = Row(
        f"{len(sandbox.SCALE_NODES)} nodes join by one run (add-node.yml --limit {scale.GROUP})", "217 s", join_all
    )
    quiet_row = Row("no-op run on 37 machines (site.yml)", "2.5 pings", quiet_on_all)
    check_row = Row("check mode on 37 machines (site.yml --check)", "2.5 pings", check_on_all)
    for number in range(runs):
        seven.again(number)
    booted = scale.boot()
    try:
        joined.again(0)
        for number in range(runs):
            quiet_row.again(number)
            check_row.again(number)
    finally:
        scale.remove()
    rows = [seven, joined, quiet_row, check_row]
    each = (quiet_row.processor - seven.processor) / len(sandbox.SCALE_NODES)
    lines = [
        f"{len(sandbox.SCALE_NODES)} nodes more on the same computer (inventory `sandbox/scale`), 37 machines of the sandbox {conditions(runs)} "
        f"The thirty machines boot in {booted:.0f} s.",
        "",
        *HEADER,
        *(row.as_line(before) for row in rows),
        "",
        f"Processor time of the controller per further node in a no-op run: {each:.2f} s{was(before, PER_NODE, 'processor', ' s')} (goal: 0.3 s).",
        "",
    ]
    return Part(rows, "\n".join(lines), each)


def conditions(runs: int) -> str:
    return (
        f"on one computer of {os.cpu_count()} processors (load {os.getloadavg()[2]:.1f}), Kubernetes {version()}, artifacts in the cache, "
        f"{time.strftime('%Y-%m-%d')}. Median of {runs} run{'s' if runs > 1 else ''} (lowest to highest)."
    )


def version() -> str:
    return json.loads(cluster.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{' and '.join(PARTS)}; both, if none is named")
    parser.add_argument("--runs", type=int, default=3, help="of each; the median counts")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument(
        "--before", type=pathlib.Path, metavar="FILE", help="a file of --json, whose figures are shown in brackets"
    )
    parser.add_argument(
        "--markdown", type=pathlib.Path, metavar="FILE", help="also write the chapters into this page of the docs"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    before = json.loads(arguments.before.read_text(encoding="utf-8")) if arguments.before else {}
    figures: dict[str, t.Any] = {}
    for part in arguments.parts or PARTS:
        bench = {"cluster": bench_cluster, "scale": bench_scale}[part]
        done = bench(arguments.runs, before.get(part, {}))
        figures[part] = done.as_json()
        print(done.text)
        if arguments.markdown:
            pages.put_chapter(arguments.markdown, HEADINGS[part], done.text)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
