# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the API, asked from the controller: at its endpoint, and each API server by itself.

Nothing here fails: an error is part of the answer.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    KubeconfigError,
    load_kubeconfig,
)

AGENT = "hardway-status"
#: Each of these has one leader, the holder of its lease.
LEASES = ("kube-controller-manager", "kube-scheduler")
LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
REQUEST_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
ROLE_LABEL = "node-role.kubernetes.io/"
SILENT = (ApiError, ApiUnreachable)


def observe(kubeconfig: str, servers: t.Mapping[str, str], timeout: float = 5.0) -> dict[str, t.Any]:
    """The state of the API.

    *kubeconfig* is the administrator's, whose server is the endpoint; *servers* has the URL of each API server by name; *timeout* is in
    seconds, for each request. The result has `endpoint` and `servers` (`version`, `ready`, `error`), `nodes` (None where they could not
    be read), `leaders`, `waiting` (pending requests for certificates), `error`.
    """
    nothing: dict[str, t.Any] = {
        "endpoint": answer(),
        "servers": {},
        "nodes": None,
        "leaders": {},
        "waiting": [],
        "error": "",
    }
    try:
        credentials = load_kubeconfig(kubeconfig)
        endpoint = Api(credentials, timeout, AGENT)
        each = {
            name: Api(dataclasses.replace(credentials, server=url), timeout, AGENT) for name, url in servers.items()
        }
    except KubeconfigError as error:
        return nothing | {"error": str(error), "endpoint": answer(error=str(error))}
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(each) + 1) as pool:
        whole = pool.submit(ask, endpoint)
        answers = dict(zip(each, pool.map(ask, each.values())))
        # Without its endpoint the API may still answer on a master.
        chosen = next(
            (
                api
                for api, seen in [(endpoint, whole.result()), *((each[name], seen) for name, seen in answers.items())]
                if seen["version"]
            ),
            None,
        )
        seen = pool.submit(read, chosen).result() if chosen else {}
    return nothing | {"endpoint": whole.result(), "servers": answers} | seen


def answer(version: str = "", ready: bool = False, error: str = "") -> dict[str, t.Any]:
    return {"version": version, "ready": ready, "error": error}


def ask(api: Api) -> dict[str, t.Any]:
    """The version of an API server, and whether it says that it is ready."""
    try:
        version = str(api.get("/version").get("gitVersion", "")).removeprefix("v")
        status, body = api.text("/readyz", {"verbose": "true"})
    except SILENT as error:
        return answer(error=str(error))
    failing = [line.removeprefix("[-]").split()[0] for line in body.splitlines() if line.startswith("[-]")]
    return answer(
        version,
        status == 200,
        "" if status == 200 else f"is not ready: {', '.join(failing) or f'it answered {status}'}",
    )


def read(api: Api) -> dict[str, t.Any]:
    """Nodes, leaders and pending requests, as far as they can be read."""
    seen: dict[str, t.Any] = {}
    try:
        seen["nodes"] = [node(item) for item in api.items("/api/v1/nodes")]
        leases = ((name, api.find(f"{LEASE_PATH}/{name}")) for name in LEASES)
        seen["leaders"] = {name: holder(lease) for name, lease in leases if lease}
        seen["waiting"] = [
            str(item["metadata"]["name"])
            for item in api.items(REQUEST_PATH)
            if not (item.get("status") or {}).get("conditions")
        ]
    except SILENT as error:
        seen["error"] = str(error)
    return seen


def holder(lease: t.Mapping[str, t.Any]) -> str:
    """The host of the leader: identities are HOST_UNIQUE."""
    return str((lease.get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]


def node(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the page needs of a Node."""
    status = item.get("status") or {}
    about = status.get("nodeInfo") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    ready = conditions.pop("Ready", {})
    return {
        "name": item["metadata"]["name"],
        "roles": sorted(
            label.removeprefix(ROLE_LABEL)
            for label in item["metadata"].get("labels") or {}
            if label.startswith(ROLE_LABEL)
        ),
        "ready": ready.get("status") == "True",
        "reason": ""
        if ready.get("status") == "True"
        else str(ready.get("message") or ready.get("reason") or "it has never reported"),
        "cordoned": bool((item.get("spec") or {}).get("unschedulable")),
        "pressures": sorted(name for name, condition in conditions.items() if condition.get("status") == "True"),
        "kubelet": str(about.get("kubeletVersion", "")).removeprefix("v"),
        "runtime": str(about.get("containerRuntimeVersion", "")),
        "kernel": str(about.get("kernelVersion", "")),
        "os": str(about.get("osImage", "")),
    }
