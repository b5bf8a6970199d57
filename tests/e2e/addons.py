# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addons, and users with few rights."""

from __future__ import annotations

import functools
import json
import re
import ssl
import urllib.error
import urllib.request

from harness import cluster, playbooks, sandbox
from harness.checks import require
from harness.registry import drill
from harness.steps import assert_nothing_to_do, assert_read_only, converge


@drill(
    "addons",
    "metrics-server and what `kubectl top` shows; the dashboard's page, a stand-in, and its viewer; a user who may only read; all are removed again.",
)
def addons() -> str:
    settings = ("-e", "cluster_metrics_server=true")
    run = converge(*settings)
    assert_nothing_to_do(*settings)
    measured = measured_by_top("nodes", 5)
    measured = measured_by_top("pods", 2, "--all-namespaces")
    page = dashboard()
    read_only_user()
    converge("-e", '{"addons_absent": ["metrics-server", "dashboard"]}')
    require(
        "metrics" not in cluster.kubectl("get", "apiservices", "--output=name"), "the API of metrics is still there"
    )
    cluster.wait_for(
        lambda: not cluster.kubectl("get", "namespace", "headlamp", "--ignore-not-found"),
        60,
        "the dashboard's namespace is gone",
    )
    assert_nothing_to_do()
    return f"metrics-server {run.seconds:.0f} s; {measured} pods measured; {page}; jane may only read, and then nothing"


def measured_by_top(what: str, least: int, *arguments: str) -> int:
    """How many nodes or pods `kubectl top` has figures of: all that it names, and at least so many."""
    lines = cluster.kubectl("top", what, "--no-headers", *arguments).splitlines()
    require(
        len(lines) >= least and all(re.search(r"\s[0-9]+m\s+(\S+\s+)?[0-9]+Mi", line) for line in lines),
        f"kubectl top {what}: {lines}",
    )
    return len(lines)


def read_only_user() -> None:
    """jane gets a kubeconfig and may only read; then she may nothing."""
    playbooks.run("user", "-e", "user_name=jane").require_success()
    playbooks.run("user", "-e", "user_name=jane").require_success().require_unchanged("on the second run for a user")
    identity = ["--kubeconfig", str(cluster.DIRECTORY / "users" / "jane.kubeconfig")]
    require("jane" in cluster.kubectl("auth", "whoami", *identity), "not jane")
    assert_read_only("jane", *identity)
    playbooks.run("user", "-e", "user_name=jane", "-e", "user_state=absent").require_success()
    answer = cluster.kubectl("auth", "can-i", "get", "pods", "--as=jane", check=False)
    require(answer.strip() == "no", "jane may still read")


def dashboard() -> str:
    """At the dashboard's port on every node is what runs in its Deployment, with a certificate of the cluster's authority; its viewer may only read.

    Headlamp's image is not available here: agnhost serves in its place, with the Deployment's certificate and rights.
    """
    settings = {
        "cluster_dashboard": True,
        "addons_dashboard_image": cluster.image("agnhost"),
        "cluster_image_source": "registry",
    }
    converge("-e", json.dumps(settings))
    tls = [f"--tls-{what}-file=/etc/headlamp/tls/tls.{end}" for what, end in (("cert", "crt"), ("private-key", "key"))]
    patch = {
        "op": "replace",
        "path": "/spec/template/spec/containers/0/args",
        "value": ["netexec", "--http-port=4466", "--udp-port=-1", *tls],
    }
    in_namespace = "--namespace=headlamp"
    cluster.kubectl(in_namespace, "patch", "deployment", "headlamp", "--type=json", f"--patch={json.dumps([patch])}")
    cluster.kubectl(in_namespace, "rollout", "status", "deployment/headlamp", "--timeout=90s")
    authority = cluster.DIRECTORY / "pki" / "ca.pem"
    trust = ssl.create_default_context(cafile=str(authority))
    # The nodes learn of a new pod one after the other.
    for node in sandbox.NODES:
        cluster.wait_for(functools.partial(_serves, node, trust), 30, f"the dashboard answers on {node}")
    token = cluster.kubectl(in_namespace, "create", "token", "viewer").strip()
    # Without the kubeconfig: its certificate would be used instead of the token.
    server = [f"--server=https://{cluster.VIRTUAL_ADDRESS}:6443", f"--certificate-authority={authority}"]
    assert_read_only("the viewer", "--kubeconfig=/dev/null", *server, f"--token={token}")
    return f"the page at the port of {len(sandbox.NODES)} nodes, its viewer may only read"


def _serves(node: str, trust: ssl.SSLContext) -> bool:
    url = f"https://{sandbox.ADDRESSES[node]}:30443/hostname"
    try:
        with urllib.request.urlopen(url, timeout=5, context=trust) as answer:
            return answer.read().startswith(b"headlamp-")
    except urllib.error.URLError as error:
        require(isinstance(error.reason, ConnectionRefusedError), f"{node}: {error.reason}")
        return False
