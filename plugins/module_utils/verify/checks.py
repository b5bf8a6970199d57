# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proves that a cluster works, through its API: by what it says of itself, and by pods that ask each other.

The pods are agnhost's C(netexec), which asks another server when it is told to (C(/dial)). It is told so through a port-forward, because an API
server on a machine that is not a node cannot reach pods, but reaches kubelets.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import secrets
import time
import traceback
import typing as t
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    Api,
    ApiError,
    ApiUnreachable,
    describe,
    tls_context,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import condition, is_ready, pod_cause

WEBSOCKET_IMPORT_ERROR: str | None = None
try:
    import websocket
except ImportError:
    WEBSOCKET_IMPORT_ERROR = traceback.format_exc()

NAMESPACE = "hardway-verify"
RUN_LABEL = "hardway.kubernetes/run"
PORT = 8080
HEALTH_PATHS = ("/livez", "/readyz", "/healthz")
CLOSED_PATHS = ("/", "/api", "/apis", "/version", "/api/v1/namespaces", "/openapi/v2", "/metrics")
INTERVAL = 0.4
# A DaemonSet and its pods tell of which generation of its template they are.
GENERATION = "deprecated.daemonset.template.generation"
GENERATION_LABEL = "pod-template-generation"
# beyond this many nodes each pod asks its next ones in the list, not all
MOST_PEERS = 8
# kube-proxy, DNS and routes follow a new Service or pod within a moment
SETTLE = 20.0


class VerifyError(HardwayError):
    """A step that failed: the cause in words."""


@dataclasses.dataclass
class Check:
    """One thing that was checked; *problems* is empty when it is good."""

    name: str
    good: str
    hint: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def line(self) -> str:
        if self.skipped:
            return f"{self.name}: skipped, {self.skipped}"
        if self.ok:
            return f"{self.name}: {self.good}"
        return f"{self.name}: FAILED: {'; '.join(self.problems)}." + (f" {self.hint}" if self.hint else "")

    def report(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "skipped": bool(self.skipped),
            "text": self.line,
            "seconds": round(self.seconds, 2),
        }


@dataclasses.dataclass(frozen=True)
class Pod:
    name: str
    node: str
    address: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is verified. *nodes* maps the names of the nodes to the addresses under which the controller reaches them."""

    nodes: t.Mapping[str, str]
    image: str = ""
    version: str = ""
    dns_domain: str = "cluster.local"
    timeout: float = 60.0
    dns: bool = True
    outside: bool = True
    metrics: bool = False
    #: NAMESPACE/NAME of the DaemonSet that connects the pods of each node
    network: str = ""


class Tunnel:
    """HTTP to a pod's port through a port-forward (websocket, C(v4.channel.k8s.io): channel 0 is data, 1 is errors)."""

    def __init__(self, api: Api, pod: Pod, timeout: float) -> None:
        self._socket = open_websocket(
            api,
            f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/portforward",
            [("ports", PORT)],
            ["v4.channel.k8s.io"],
            timeout,
        )
        self._timeout = timeout
        self._greeted: set[int] = set()
        self._buffer = b""

    def get(self, path: str) -> tuple[int, str]:
        try:
            return self._get(path)
        except (websocket.WebSocketException, OSError) as error:
            raise VerifyError(f"through the port-forward: {describe(error, self._timeout)}") from error

    def _get(self, path: str) -> tuple[int, str]:
        self._socket.send_binary(b"\x00" + f"GET {path} HTTP/1.1\r\nHost: {NAMESPACE}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, unused, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, unused, value in (header.partition(":") for header in headers)
        }
        length = int(fields.get("content-length", 0))
        while len(self._buffer) < length:
            self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return int(status.split()[1]), body.decode(errors="replace")

    def _receive(self) -> None:
        frame = self._socket.recv()
        data = frame.encode() if isinstance(frame, str) else frame
        if not data:
            raise VerifyError("the port-forward was closed")
        channel, data = data[0], data[1:]
        if channel not in self._greeted:  # the first frame of a channel is its port
            self._greeted.add(channel)
            data = data[2:]
        if channel == 1 and data:
            raise VerifyError(data.decode(errors="replace").strip())
        if channel == 0:
            self._buffer += data

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._socket.close(timeout=1)


def open_websocket(
    api: Api, path: str, query: t.Sequence[tuple[str, t.Any]], protocols: list[str], timeout: float
) -> t.Any:
    """A websocket to *path* with the client's credentials. Raises VerifyError with the API's own words."""
    credentials = api.credentials
    address = urlsplit(credentials.server)
    options: dict[str, t.Any] = {"context": tls_context(credentials)}
    if credentials.server_name:
        options["server_hostname"] = credentials.server_name
    url = f"{'wss' if address.scheme == 'https' else 'ws'}://{address.netloc}{address.path}{path}?{urlencode(query)}"
    header = [f"Authorization: Bearer {credentials.token}"] if credentials.token else []
    try:
        return websocket.create_connection(
            url,
            timeout=timeout,
            sslopt=options,
            header=header,
            subprotocols=protocols,
            suppress_origin=True,
            http_no_proxy=["*"],
            enable_multithread=False,
        )
    except websocket.WebSocketBadStatusException as error:
        body = (
            error.resp_body.decode(errors="replace")
            if isinstance(error.resp_body, bytes)
            else str(error.resp_body or "")
        )
        raise VerifyError(
            f"answered {error.status_code}: {ApiError('', '', error.status_code, body).message}"
        ) from error
    except (websocket.WebSocketException, OSError) as error:
        raise VerifyError(describe(error, timeout)) from error


def execute(api: Api, pod: Pod, command: t.Sequence[str], timeout: float) -> str:
    """Runs *command* in *pod* and returns what it wrote. Raises VerifyError when it fails."""
    query = [("command", word) for word in command] + [("stdout", "true"), ("stderr", "true")]
    socket = open_websocket(
        api,
        f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/exec",
        query,
        ["v5.channel.k8s.io", "v4.channel.k8s.io"],
        timeout,
    )
    output, status = b"", b""
    try:
        while True:
            frame = socket.recv()
            data = frame.encode() if isinstance(frame, str) else frame
            if not data:
                break
            if data[0] == 3:
                status += data[1:]
            elif data[0] in (1, 2):
                output += data[1:]
    except websocket.WebSocketConnectionClosedException:
        pass
    except (websocket.WebSocketException, OSError) as error:
        raise VerifyError(describe(error, timeout)) from error
    finally:
        with contextlib.suppress(Exception):
            socket.close(timeout=1)
    try:
        result = json.loads(status)
    except ValueError:
        raise VerifyError("ended without a status") from None
    if result.get("status") != "Success":
        raise VerifyError(f"{result.get('message', 'failed')}: {output.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


def web_objects(run: str, image: str, nodes: t.Sequence[str]) -> list[tuple[str, dict[str, t.Any]]]:
    """The path and the body of each object: a web server on each of *nodes*, and a Service for all."""
    labels = {"app": "web", RUN_LABEL: run}
    name = f"web-{run}"
    container = {
        "name": "web",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", f"--http-port={PORT}", "--udp-port=-1"],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]} for node in nodes]
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    service = {
        "type": "NodePort",
        "selector": labels,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": PORT}],
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return [
        (
            f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{name}",
            {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec},
        ),
        (
            f"/api/v1/namespaces/{NAMESPACE}/services/{name}",
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        ),
    ]


def namespace_object(run: str) -> dict[str, t.Any]:
    labels = {RUN_LABEL: run, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def node_problems(nodes: t.Mapping[str, t.Mapping[str, t.Any]], names: t.Iterable[str]) -> list[str]:
    """Which of the named nodes are not there or not Ready, and why."""
    problems = []
    for name in names:
        ready = condition(nodes.get(name, {}), "Ready")
        if name not in nodes:
            problems.append(f"{name} is not registered")
        elif ready.get("status") != "True":
            problems.append(
                f"{name} is not Ready ({ready.get('message') or ready.get('reason') or 'its kubelet has said nothing yet'})"
            )
    return problems


def version_problems(nodes: t.Mapping[str, t.Mapping[str, t.Any]], names: t.Iterable[str], version: str) -> list[str]:
    """Which of the named nodes run a kubelet of another version."""
    running = {
        name: nodes[name].get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")
        for name in names
        if name in nodes
    }
    return [
        f"{name} runs kubelet {found or 'of no known version'} instead of v{version.lstrip('v')}"
        for name, found in running.items()
        if version and found.lstrip("v") != version.lstrip("v")
    ]


class Verifier:
    """Runs the checks; each failing one is told with the others, in *checks*."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self.api = api
        self.settings = settings
        self.checks: list[Check] = []
        self.run = secrets.token_hex(4)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.ok]

    @contextlib.contextmanager
    def _check(self, name: str, good: str, hint: str = "") -> t.Iterator[Check]:
        check, began = Check(name, good, hint), time.monotonic()
        self.checks.append(check)
        try:
            yield check
        except (ApiError, ApiUnreachable, VerifyError) as error:
            check.problems.append(str(error))
        check.seconds = time.monotonic() - began

    def light(self) -> None:
        """The API through its endpoint, the nodes, and what an anonymous client gets."""
        with self._check(
            "API",
            "",
            "Look at: the holder of the virtual address, the load balancer, and journalctl -u kube-apiserver on the masters",
        ) as check:
            version = self.api.get("/version")["gitVersion"]
            check.good = f"{self.api.server} answers as {version}"
            wanted = self.settings.version
            if wanted and version.lstrip("v") != wanted.lstrip("v"):
                check.problems.append(f"{self.api.server} answers as {version} instead of v{wanted.lstrip('v')}")
            status, body = self.api.text("/readyz", {"verbose": ""})
            if status != 200:
                check.problems.append(
                    f"it is not ready: {', '.join(line for line in body.splitlines() if line.startswith('[-]')) or body[:200]}"
                )
        if not check.good:
            return  # it does not answer at all
        hint = "Look at: journalctl -u kubelet and -u containerd there, and the network plugin"
        with self._check("nodes", f"{len(self.settings.nodes)} Ready", hint) as check:
            check.problems += self._wait_for_nodes()
        hint = "Look at: the anonymous section of kube-apiserver's authentication configuration"
        with self._check("anonymous access", "health and nothing else", hint) as check:
            check.problems += self._anonymous_problems()

    def network(self) -> None:
        """The pods that connect those of each node, where the network is made of pods: ready, and made from what was applied last.

        They tell why a node is not Ready, too. They are replaced one at a time, so each that is due has the whole time for itself.
        """
        if not self.settings.network or any(check.name == "API" for check in self.failed):
            return
        namespace, _slash, name = self.settings.network.partition("/")
        hint = f"Look at: kubectl -n {namespace} get pods -o wide, and kubectl -n {namespace} logs daemonset/{name}"
        with self._check("network", f"{name} is ready on {len(self.settings.nodes)} nodes", hint) as check:
            waiting, end = len(self.settings.nodes) + 1, 0.0
            while True:
                check.problems[:] = self._network_problems(namespace, name)
                if len(check.problems) < waiting:
                    waiting, end = len(check.problems), time.monotonic() + self.settings.timeout
                if check.ok or time.monotonic() >= end:
                    return
                time.sleep(INTERVAL)

    def _network_problems(self, namespace: str, name: str) -> list[str]:
        daemonset = self.api.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
        generation = daemonset["metadata"].get("annotations", {}).get(GENERATION, "")
        wanted = daemonset["spec"]["selector"]["matchLabels"].items()
        pods = [
            pod
            for pod in self.api.items(f"/api/v1/namespaces/{namespace}/pods")
            if wanted <= pod["metadata"].get("labels", {}).items()
        ]
        current = {
            pod["spec"].get("nodeName"): pod
            for pod in pods
            if pod["metadata"]["labels"].get(GENERATION_LABEL, generation) == generation
        }
        return [
            f"{node}: {pod_cause(current[node]) if node in current else 'it has no pod of what was applied last'}"
            for node in self.settings.nodes
            if node not in current or not is_ready(current[node])
        ]

    def _wait_for_nodes(self) -> list[str]:
        # a node becomes Ready some seconds after its network plugin was installed
        end = time.monotonic() + self.settings.timeout
        while True:
            nodes = {item["metadata"]["name"]: item for item in self.api.items("/api/v1/nodes")}
            problems = node_problems(nodes, self.settings.nodes)
            if not problems or time.monotonic() >= end:
                return problems + version_problems(nodes, self.settings.nodes, self.settings.version)
            time.sleep(INTERVAL)

    def _anonymous_problems(self) -> list[str]:
        stranger = Api(self.api.credentials.anonymous(), self.api.timeout, "hardway-verify-anonymous")
        problems = [
            f"{path} answers {status}" for path in HEALTH_PATHS for status in [stranger.text(path)[0]] if status != 200
        ]
        return problems + [
            f"{path} answers {status}"
            for path in CLOSED_PATHS
            for status in [stranger.text(path)[0]]
            if status not in (401, 403)
        ]

    def metrics(self) -> None:
        """What nodes and pods use, as `kubectl top` asks for it. metrics-server tells of a node when it has looked at it twice."""
        if not self.settings.metrics or self.failed:
            return
        hint = "Look at: kubectl get apiservice v1beta1.metrics.k8s.io, and kubectl -n kube-system logs deployment/metrics-server"
        with self._check(
            "metrics", f"of {len(self.settings.nodes)} nodes and their pods, as kubectl top shows them", hint
        ) as check:
            end = time.monotonic() + self.settings.timeout
            while True:
                check.problems[:] = self._metrics_problems()
                if check.ok or time.monotonic() >= end:
                    return
                time.sleep(INTERVAL)

    def _metrics_problems(self) -> list[str]:
        try:
            nodes, pods = (self.api.items(f"/apis/metrics.k8s.io/v1beta1/{kind}") for kind in ("nodes", "pods"))
        except (ApiError, ApiUnreachable) as error:
            return [str(error)]
        told = {
            item["metadata"]["name"]
            for item in nodes
            if item.get("usage", {}).get("cpu") and item["usage"].get("memory")
        }
        problems = [f"none of {name}" for name in self.settings.nodes if name not in told]
        return problems or ([] if pods else ["none of any pod"])

    def pods(self) -> None:
        """Real pods on all nodes; nothing of them is left behind.

        Not tried where the API or the nodes are ill: the pods would fail after long waits, and say less.
        """
        if self.failed or not self.settings.nodes:
            self.checks.append(
                Check("web pods", "", skipped="the checks above come first" if self.failed else "no nodes are named")
            )
            return
        try:
            pods = self._start()
            if pods:
                self._ask(pods)
        finally:
            self._clean()

    def _start(self) -> list[Pod]:
        pods: list[Pod] = []
        hint = f"Look at: kubectl -n {NAMESPACE} get events (while verify runs), journalctl -u kubelet and -u containerd there, and crictl images"
        with self._check("web pods", f"one runs on each of {len(self.settings.nodes)} nodes", hint) as check:
            self._wait_for_former_run()
            self.api.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace_object(self.run))
            for path, body in web_objects(self.run, self.settings.image, list(self.settings.nodes)):
                self.service = self.api.apply(path, body)
            pods, problems = self._wait_for_pods()
            check.problems += problems
        return pods

    def _wait_for_former_run(self) -> None:
        end = time.monotonic() + self.settings.timeout
        while True:
            found = self.api.find(f"/api/v1/namespaces/{NAMESPACE}")
            if not found or not found["metadata"].get("deletionTimestamp"):
                return
            if time.monotonic() >= end:
                stuck = "; ".join(
                    entry.get("message", "")
                    for entry in found.get("status", {}).get("conditions") or []
                    if entry.get("status") == "True"
                )
                raise VerifyError(
                    f"the namespace {NAMESPACE} of a former run is still being deleted: {stuck or 'no cause given'}"
                )
            time.sleep(INTERVAL)

    def _wait_for_pods(self) -> tuple[list[Pod], list[str]]:
        end = time.monotonic() + self.settings.timeout
        while True:
            items = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods", {"labelSelector": f"{RUN_LABEL}={self.run}"})
            by_node = {pod_node(item): item for item in items}
            ready = {node: item for node, item in by_node.items() if is_ready(item)}
            missing = [node for node in self.settings.nodes if node not in ready]
            if not missing or time.monotonic() >= end:
                pods = [
                    Pod(item["metadata"]["name"], node, item["status"]["podIP"]) for node, item in sorted(ready.items())
                ]
                return pods, [
                    f"{node}: {pod_cause(by_node.get(node))}" for node in missing
                ] if items or not missing else [self._no_pods_cause()]
            time.sleep(INTERVAL)

    def _no_pods_cause(self) -> str:
        """Why not even one pod was made."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{self.service['metadata']['name']}"
        if "observedGeneration" not in self.api.get(path).get("status", {}):
            return "no pod was made, for no kube-controller-manager has seen the DaemonSet (look at: journalctl -u kube-controller-manager on the masters)"
        events = self.api.items(f"/api/v1/namespaces/{NAMESPACE}/events", {"fieldSelector": "type=Warning"})
        return "no pod was made: " + (
            "; ".join(sorted({event.get("message", "") for event in events})) or "no event tells why"
        )

    def _ask(self, pods: list[Pod]) -> None:
        with ThreadPoolExecutor(min(4, len(pods))) as pool:
            self._reads(pods, pool)
            tunnels = self._tunnels(pods, pool)
            try:
                self._reach(pods, tunnels, pool)
            finally:
                for tunnel in tunnels.values():
                    tunnel.close()
            self._outside(pods, pool)

    def _each(
        self, check: Check, pool: ThreadPoolExecutor, subjects: t.Sequence[t.Any], ask: t.Callable[[t.Any], None]
    ) -> None:
        """Asks for each subject at once; collects what fails."""

        def attempt(subject: t.Any) -> str:
            try:
                ask(subject)
            except (VerifyError, ApiError, ApiUnreachable) as error:
                return str(error)
            return ""

        check.problems += [problem for problem in pool.map(attempt, subjects) if problem]

    def _reads(self, pods: list[Pod], pool: ThreadPoolExecutor) -> None:
        kubelet = "Look at: port 10250 of the node from the masters, and the RBAC of the API server's kubelet client (system:kubelet-api-admin)"

        def logs(pod: Pod) -> None:
            status, text = self.api.text(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/log", {"tailLines": 5})
            if status != 200 or not text.strip():
                raise VerifyError(
                    f"{pod.node}: {f'answered {status}: ' + text.strip()[:200] if status != 200 else 'no logs'}"
                )

        with self._check("logs", f"of {len(pods)} pods", kubelet) as check:
            self._each(check, pool, pods, logs)
        with self._check("exec", f"in {len(pods)} pods, which reach the API at its Service address", kubelet) as check:
            service = self.api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]
            target = f"{bracketed(service['clusterIP'])}:{service['ports'][0]['port']}"

            def connect(pod: Pod) -> None:
                try:
                    execute(self.api, pod, ["/agnhost", "connect", "--timeout=5s", target], self.api.timeout + 5)
                except VerifyError as error:
                    raise VerifyError(f"{pod.node}: agnhost connect {target}: {error}") from error

            self._each(check, pool, pods, connect)

    def _tunnels(self, pods: list[Pod], pool: ThreadPoolExecutor) -> dict[str, Tunnel]:
        tunnels: dict[str, Tunnel] = {}

        def forward(pod: Pod) -> None:
            try:
                tunnel = Tunnel(self.api, pod, SETTLE)
                unused, name = tunnel.get("/hostname")
            except VerifyError as error:
                raise VerifyError(f"{pod.node}: {error}") from error
            if name != pod.name:
                raise VerifyError(f"{pod.node}: {pod.name} answers as {name[:80]!r}")
            tunnels[pod.name] = tunnel

        hint = "Look at: port 10250 of the node from the masters, and journalctl -u containerd there"
        with self._check("port-forward", f"to {len(pods)} pods", hint) as check:
            self._each(check, pool, pods, forward)
        return tunnels

    def _reach(self, pods: list[Pod], tunnels: dict[str, Tunnel], pool: ThreadPoolExecutor) -> None:
        names = {pod.name for pod in pods}
        sources = [pod for pod in pods if pod.name in tunnels]
        count = len(sources)

        def ask(source: Pod, host: str, port: int, expected: set[str], what: str) -> None:
            end = time.monotonic() + SETTLE
            while True:
                try:
                    problem = dial(tunnels[source.name], host, port, expected)
                except VerifyError as error:  # the tunnel itself is of no more use
                    raise VerifyError(f"from {source.node} {what}: {error}") from error
                if not problem:
                    return
                if time.monotonic() >= end:
                    raise VerifyError(f"from {source.node} {what}: {problem}")
                time.sleep(INTERVAL)

        def peers(source: Pod) -> None:
            problems = []
            at = pods.index(source)
            for peer in (pods[at + 1 :] + pods[:at])[:MOST_PEERS]:
                try:
                    ask(source, peer.address, PORT, {peer.name}, f"to {peer.node} ({peer.address})")
                except VerifyError as error:
                    problems.append(str(error))
            if problems:
                raise VerifyError("; ".join(problems))

        hint = "Look at: the network plugin (flanneld or the routes) and the firewall of both machines"
        with self._check("pod to pod", f"{count} pods ask each other by address, across machines", hint) as check:
            check.skipped = "" if sources else "no pod could be asked"
            self._each(check, pool, sources, peers)
        service = self.service["spec"]["clusterIP"]
        with self._check(
            "Service address", f"{count} pods ask {service}", "Look at: journalctl -u kube-proxy there"
        ) as check:
            check.skipped = "" if sources else "no pod could be asked"
            self._each(check, pool, sources, lambda source: ask(source, service, 80, names, f"to {service}"))
        name = f"{self.service['metadata']['name']}.{NAMESPACE}.svc.{self.settings.dns_domain}"
        with self._check(
            "DNS name",
            f"{count} pods ask {name}",
            "Look at: kubectl -n kube-system get pods, CoreDNS's logs, and kubelet's clusterDNS",
        ) as check:
            check.skipped = "no pod could be asked" if not sources else "" if self.settings.dns else "dns is false"
            self._each(
                check,
                pool,
                sources if self.settings.dns else [],
                lambda source: ask(source, name, 80, names, f"to {name}"),
            )

    def _outside(self, pods: list[Pod], pool: ThreadPoolExecutor) -> None:
        port = self.service["spec"]["ports"][0]["nodePort"]
        names = {pod.name for pod in pods}

        def fetch(node: str) -> None:
            end = time.monotonic() + SETTLE
            while True:
                problem = node_port_problem(self.settings.nodes[node], port, names)
                if not problem:
                    return
                if time.monotonic() >= end:
                    raise VerifyError(f"{node}: {problem}")
                time.sleep(INTERVAL)

        hint = "Look at: journalctl -u kube-proxy there, and the firewall between the controller and the node (or set verify_outside to false)"
        with self._check(
            "NodePort", f"{len(self.settings.nodes)} nodes answer the controller at port {port}", hint
        ) as check:
            check.skipped = "" if self.settings.outside else "outside is false"
            self._each(check, pool, list(self.settings.nodes) if self.settings.outside else [], fetch)

    def _clean(self) -> None:
        with contextlib.suppress(ApiError, ApiUnreachable):
            # the pods first: the namespace's own deletion would come back to them only after seconds
            for path, unused in web_objects(self.run, "", []):
                self.api.delete(path, {"propagationPolicy": "Background"})
        with self._check("clean up", "", f"Delete it: kubectl delete namespace {NAMESPACE}") as check:
            end = time.monotonic() + SETTLE
            while True:
                try:
                    self.api.delete(f"/api/v1/namespaces/{NAMESPACE}")
                    break
                except ApiUnreachable:
                    if time.monotonic() >= end:
                        raise
                time.sleep(INTERVAL)
        if check.ok:
            self.checks.remove(check)


def pod_node(item: t.Mapping[str, t.Any]) -> str:
    """The node of a DaemonSet's pod, also before it is bound to it."""
    if item["spec"].get("nodeName"):
        return str(item["spec"]["nodeName"])
    required = (
        item["spec"]
        .get("affinity", {})
        .get("nodeAffinity", {})
        .get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    values = [
        field["values"][0] for term in required.get("nodeSelectorTerms", []) for field in term.get("matchFields", [])
    ]
    return str(values[0]) if values else ""


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def dial(tunnel: Tunnel, host: str, port: int, expected: set[str]) -> str:
    """Lets a pod ask *host* for its name; what is wrong with the answer, or an empty text."""
    status, body = tunnel.get(
        f"/dial?{urlencode({'host': host, 'port': port, 'protocol': 'http', 'request': 'hostname', 'tries': 1})}"
    )
    try:
        answer = json.loads(body)
    except ValueError:
        return f"answered {status}: {body.strip()[:200]}"
    if answer.get("errors"):
        return ", ".join(answer["errors"])
    names = set(answer.get("responses") or [])
    return (
        ""
        if names and names <= expected
        else f"{', '.join(sorted(names)) or 'nothing'} answered instead of {', '.join(sorted(expected))}"
    )


def node_port_problem(address: str, port: int, expected: set[str]) -> str:
    """What is wrong with the answer of a node's port to this machine, or an empty text."""
    connection = http.client.HTTPConnection(address, port, timeout=4)
    try:
        connection.request("GET", "/hostname")
        name = connection.getresponse().read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{bracketed(address)}:{port}: {describe(error, 4)}"
    finally:
        connection.close()
    return "" if name in expected else f"{bracketed(address)}:{port}: {name[:80]!r} answered"
