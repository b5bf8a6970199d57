# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that drills are made of: fresh machines, an installation, a run that must change nothing, a run that clients watch."""

from __future__ import annotations

import json
import shutil
import time
import typing as t
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from watch import Watch, good, render

from . import cluster, expectations, playbooks, sandbox
from .checks import Kind, require
from .playbooks import Run
from .pods import Pods

#: The longest time without an answer when something fails.
MAX_GAP = 2.0


def say(text: str) -> None:
    """A line below the drill's name; further lines of *text* are indented alike."""
    print("    " + text.replace("\n", "\n    "), flush=True)


def reset_all() -> None:
    """Machines with empty disks, and no directory of the cluster."""
    sandbox.reset(*sandbox.MACHINES)
    shutil.rmtree(cluster.DIRECTORY, ignore_errors=True)


def converge(*arguments: str) -> Run:
    """A cluster, as an undisturbed run makes it."""
    return playbooks.run("site", *arguments).require_success()


def assert_nothing_to_do(*settings: str, overlays: tuple[str, ...] = ()) -> Run:
    """A run that must find nothing to do."""
    run = playbooks.run("site", *settings, overlays=overlays).require_success()
    return run.require_unchanged("where nothing was to do")


def fill_mirror(*arguments: str) -> Run:
    """The mirror has what these settings want; the caller requires success."""
    return playbooks.run("mirror", "-e", "mirror_method=build", *arguments)


def install_versions(versions: dict[str, str]) -> None:
    """A cluster of other versions on fresh machines."""
    chosen = ("-e", json.dumps(versions))
    fill_mirror(*chosen).require_success()
    reset_all()
    converge(*chosen)


def assert_no_private_key(run: Run) -> None:
    require(not run.says(expectations.PRIVATE_KEY), "a private key in the output", Kind.OUTPUT)


def assert_installed_twice(*settings: str) -> tuple[Run, Run, int]:
    """An installation, and at once again without a change, with the very same processes: both runs, and how many processes."""
    run = converge(*settings)
    assert_no_private_key(run)
    before = cluster.processes(sandbox.MACHINES)
    again = assert_nothing_to_do(*settings)
    sandbox.compare_processes(before, cluster.processes(sandbox.MACHINES))
    return run, again, sum(len(names) for names in before.values())


def join_spare_node(*arguments: str) -> float:
    """The fresh machine node3 joins; then the cluster forgets it. The seconds that it took to join."""
    run = playbooks.run("add_node", "--limit", "node3", *arguments, overlays=(sandbox.SPARE,)).require_success()
    run.require_hosts("node3")
    cluster.kubectl("delete", "node", "node3")
    return run.seconds


@contextmanager
def spare_machines(*names: str) -> Iterator[None]:
    """Fresh machines besides those of the inventory; removed at the end, unless the drill failed."""
    sandbox.control("up", *names)
    sandbox.reset(*names)
    yield
    sandbox.control("down", *names)


def watch_api(**further: t.Any) -> Watch:
    """Clients of the API, with writes."""
    return Watch(str(cluster.KUBECONFIG), writes=True, **further)


def assert_clients_served(report: dict[str, t.Any], max_gap: float | None = None) -> str:
    """No client failed (with *max_gap*: none waited longer), and no acknowledged write was lost; their figures."""
    say(render(report))
    require(good(report, max_gap), "the watching clients saw failures:\n" + render(report), Kind.CLIENTS)
    return ", ".join(
        f"{name} {client['requests']} asked, {client['failed']} failed, gap {client['longest_gap']:.2f} s"
        for name, client in report["clients"].items()
    )


def run_watched(*steps: tuple[str, Callable[[], Run]]) -> tuple[str, list[Run]]:
    """Runs while all clients watch: the API's, those of web servers in pods, and those of the API in pods."""
    runs = []
    with Pods() as pods, watch_api(web=[Pods.WEB]) as watch:
        time.sleep(2)
        for text, step in steps:
            watch.mark(text)
            runs.append(step())
        time.sleep(2)
    return f"{assert_clients_served(watch.report())}, {pods.figures()}", runs


def succeeding(job: str, *arguments: str) -> Callable[[], Run]:
    """A step of run_watched: a job that must succeed."""
    return lambda: playbooks.run(job, *arguments).require_success()


def assert_read_only(name: str, *identity: str) -> None:
    """Who has this identity sees pods, but no Secrets, and changes nothing."""
    require("coredns" in cluster.kubectl("get", "pods", "--all-namespaces", *identity), f"{name} cannot see pods")
    for words in ("delete pods", "get secrets", "create deployments"):
        answer = cluster.kubectl("auth", "can-i", *words.split(), *identity, check=False)
        require(answer.strip() == "no", f"{name} can {words}: {answer}")


def fail_service(service: str, *settings: str) -> str:
    """The holder of the virtual address loses what serves the endpoint there; another one takes it over, and no run finds anything to do."""
    first = cluster.address_holder()
    with watch_api() as watch:
        time.sleep(3)
        watch.mark(f"{service} dies on {first}")
        sandbox.ssh(first, f"systemctl mask --runtime --quiet {service}; systemctl kill --signal=KILL {service}")
        time.sleep(8)
    second = cluster.address_holder()
    sandbox.ssh(
        first,
        f"systemctl unmask --runtime --quiet {service}; systemctl reset-failed {service}; systemctl start {service}",
    )
    require(second != first, f"{first} still has the virtual address")
    figures = assert_clients_served(watch.report(), MAX_GAP)
    assert_nothing_to_do(*settings)
    return figures
