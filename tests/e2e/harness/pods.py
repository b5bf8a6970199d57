# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients and web servers that run in pods while a drill is done."""

from __future__ import annotations

import pathlib
import threading
import urllib.request

from . import cluster, sandbox
from .checks import DrillFailed, Kind, require


class Pods:
    """The pods of pods.yml.in as a context manager; `figures()` reports what their clients asked and what failed.

    A client that is replaced takes its log along, so logs are collected all the time.
    """

    WEB = f"http://{sandbox.ADDRESSES['node1']}:30180/hostname"

    def __init__(self) -> None:
        self.logs: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> Pods:
        text = (pathlib.Path(__file__).parent / "pods.yml.in").read_text(encoding="utf-8")
        cluster.kubectl("apply", "--filename=-", text=text.replace("IMAGE", cluster.image("agnhost")))
        for name in ("web", "client"):
            cluster.kubectl("--namespace=hardway-drill", "rollout", "status", f"deployment/{name}", "--timeout=90s")
        # The nodes learn of a new Service one after the other.
        cluster.wait_for(lambda: all(self._web_answers() for _attempt in range(20)), 60, f"{self.WEB} answers")
        self._thread.start()
        return self

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.WEB, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()
        cluster.kubectl("delete", "namespace", "hardway-drill", "--wait=true")

    def _collect(self) -> None:
        while True:
            last = self._stop.wait(2)
            try:
                for name in cluster.kubectl(
                    "--namespace=hardway-drill", "get", "pods", "--selector=app=client", "--output=name"
                ).split():
                    self.logs[name] = cluster.kubectl("--namespace=hardway-drill", "logs", name) or self.logs.get(
                        name, ""
                    )
            except DrillFailed:
                pass  # a pod that is gone
            if last:
                return

    def figures(self) -> str:
        """After the drill. Fails where a client of the API failed in its pod."""
        lines = [line for log in self.logs.values() for line in log.splitlines()]
        # What they ask is the API server's own health page, and one that ends says so on a connection that it still has: an answer, and a true one.
        failed = [line for line in lines if "error checking" in line and "healthz check failed" not in line]
        asked = sum("calling /healthz" in line for line in lines)
        require(asked, f"the clients in pods asked nothing: {lines[-3:]}", Kind.CLIENTS)
        words = "; ".join(line[:60] + " ... " + line[-100:] for line in failed[:5])
        require(not failed, f"{len(failed)} of {asked} requests of clients in pods failed: {words}", Kind.CLIENTS)
        return f"{len(self.logs)} clients in pods {asked} asked, 0 failed"
