# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import typing as t
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api, Credentials
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.conditions import pod_cause
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify import cluster, port_forward
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.checks import Verifier
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.cluster import ClusterChecks
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import (
    Check,
    Pod,
    Settings,
    VerifyError,
    sample,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.objects import deployment_problems, web_objects
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi

POD = Pod("web-1", "node1", "10.244.0.5")


def node(name: str, ready: str = "True", version: str = "v1.36.3") -> dict[str, t.Any]:
    conditions = [{"type": "Ready", "status": ready, "message": "container runtime network not ready"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": version}}}


class Frames:
    """A websocket whose frames are known."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = list(frames)
        self.sent: list[bytes] = []
        self.closed = False

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self) -> bytes:
        if not self.frames:
            raise port_forward.websocket.WebSocketConnectionClosedException("closed")
        return self.frames.pop(0)

    def close(self, timeout: float = 0) -> None:
        self.closed = True


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Frames]:
    def use(*these: bytes) -> Frames:
        socket = Frames(*these)
        monkeypatch.setattr(port_forward, "open_websocket", lambda *unused: socket)
        return socket

    return use


def answer(body: str, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} OK\r\nDate: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


GREETING = (b"\x00\x90\x1f", b"\x01\x90\x1f")


def test_tunnel_reads_answers_in_pieces(frames: t.Callable[..., Frames]) -> None:
    whole = answer("web-1") + answer("again", 400)
    socket = frames(*GREETING, *(b"\x00" + whole[at : at + 7] for at in range(0, len(whole), 7)))
    tunnel = port_forward.Tunnel(t.cast(Api, None), POD, 1)
    assert tunnel.get("/hostname") == (200, "web-1")
    assert tunnel.get("/x") == (400, "again")
    assert socket.sent[0].startswith(b"\x00GET /hostname HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("more", "words"),
    [((b"\x01connection refused",), "connection refused"), ((b"",), "was closed"), ((), "through the port-forward")],
)
def test_tunnel_failures(frames: t.Callable[..., Frames], more: tuple[bytes, ...], words: str) -> None:
    frames(*GREETING, *more)
    with pytest.raises(VerifyError, match=words):
        port_forward.Tunnel(t.cast(Api, None), POD, 1).get("/")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"responses":["web-2"]}', ""),
        ('{"responses":["stranger"]}', "stranger answered instead of web-2"),
        ('{"errors":["no route to host"]}', "no route to host"),
        ("{}", "nothing answered instead of web-2"),
        (
            "host and/or port param are invalid. lookup x: no such host",
            "answered 200: host and/or port param are invalid. lookup x: no such host",
        ),
    ],
)
def test_dial(frames: t.Callable[..., Frames], body: str, problem: str) -> None:
    frames(*GREETING, b"\x00" + answer(body))
    assert port_forward.dial(port_forward.Tunnel(t.cast(Api, None), POD, 1), "10.0.0.1", 8080, {"web-2"}) == problem


def test_exec(frames: t.Callable[..., Frames]) -> None:
    socket = frames(b"\x01", b"\x01out", b"\x02err", b'\x03{"status":"Success"}')
    assert port_forward.execute(t.cast(Api, None), POD, ["x"], 1) == "outerr"
    assert socket.closed


def test_exec_that_fails_tells_what_it_wrote(frames: t.Callable[..., Frames]) -> None:
    frames(b"\x02TIMEOUT", b'\x03{"status":"Failure","message":"exit code 1"}')
    with pytest.raises(VerifyError, match="exit code 1: TIMEOUT"):
        port_forward.execute(t.cast(Api, None), POD, ["x"], 1)
    frames(b"\x02x")
    with pytest.raises(VerifyError, match="without a status"):
        port_forward.execute(t.cast(Api, None), POD, ["x"], 1)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (None, "it has no pod"),
        (
            {
                "status": {
                    "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]
                }
            },
            "waiting: ErrImagePull not found",
        ),
        (
            {"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/5 nodes"}]}},
            "0/5 nodes",
        ),
        ({"status": {"phase": "Pending"}}, "its pod is Pending"),
    ],
)
def test_causes_of_pods(item: t.Any, words: str) -> None:
    assert words in pod_cause(item)


def test_pods_keep_to_the_restricted_level_and_run_everywhere() -> None:
    (_path, daemonset), (_path, service) = web_objects("r", "image:1", ["node1", "node2"])
    pod = daemonset["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["containers"][0]["securityContext"]["capabilities"] == {
        "drop": ["ALL"]
    }
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert (
        len(pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]) == 2
    )
    assert service["spec"]["selector"] == daemonset["spec"]["selector"]["matchLabels"]


class Cluster:
    def __init__(self, nodes: t.Sequence[t.Any], anonymous: t.Callable[[str], int], ready: bool = True) -> None:
        self.nodes, self.anonymous, self.ready = nodes, anonymous, ready

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        if path == "/version" and not self.asked_version:
            self.asked_version = True
            return 200, {"gitVersion": "v1.36.3"}, {}
        if path == "/readyz" and "verbose" in query:
            return (200, "ok", {}) if self.ready else (500, "[+]ping ok\n[-]etcd failed: reason withheld\n", {})
        if path == "/api/v1/nodes":
            return 200, {"items": self.nodes, "metadata": {}}, {}
        return self.anonymous(path), {}, {}

    asked_version = False


def closed(path: str) -> int:
    return 200 if path in cluster.HEALTH_PATHS else 401


def checked(tmp_path: Path, answers: Cluster, **settings: t.Any) -> Verifier:
    with FakeApi(tmp_path, answers, client_certificates=False) as fake:
        verifier = Verifier(
            Api.from_kubeconfig(str(fake.kubeconfig)),
            Settings({"node1": "a", "node2": "b"}, timeout=0.1, **settings),
        )
        verifier.cluster()
    return verifier


def test_a_good_cluster(tmp_path: Path) -> None:
    verifier = checked(tmp_path, Cluster([node("node1"), node("node2"), node("other")], closed), version="1.36.3")
    assert verifier.failed == []
    assert [check.line for check in verifier.checks][1:] == [
        "nodes: 2 Ready",
        "anonymous access: health and nothing else",
    ]


def test_all_that_fails_is_reported(tmp_path: Path) -> None:
    answers = Cluster([node("node1", ready="False")], lambda path: 200 if path == "/api" else closed(path), ready=False)
    verifier = checked(tmp_path, answers)
    text = "\n".join(check.line for check in verifier.failed)
    assert len(verifier.failed) == 3
    for words in (
        "[-]etcd failed",
        "node1 is not Ready (container runtime network not ready)",
        "node2 is not registered",
        "/api answers 200",
        "Fix: ",
    ):
        assert words in text
    verifier.pods()
    assert "skipped" in verifier.checks[-1].line


def test_other_versions_are_named(tmp_path: Path) -> None:
    verifier = checked(tmp_path, Cluster([node("node1"), node("node2", version="v1.35.4")], closed), version="v1.36.3")
    assert next(check.line for check in verifier.failed).startswith(
        "nodes: FAILED: node2 runs kubelet v1.35.4 instead of v1.36.3."
    )


def test_a_dead_api_is_one_failure(tmp_path: Path) -> None:
    with FakeApi(tmp_path, Cluster([], closed)) as fake:
        kubeconfig = str(fake.kubeconfig)
    verifier = Verifier(Api.from_kubeconfig(kubeconfig), Settings({"node1": "a"}, timeout=0.1))
    verifier.cluster()
    assert len(verifier.checks) == 1
    assert "Connection refused" in verifier.checks[0].line


def deployment(name: str, available: str = "True", generation: int = 2, observed: int = 2) -> dict[str, t.Any]:
    conditions = [{"type": "Available", "status": available, "message": "no minimum availability"}]
    status = {"observedGeneration": observed, "conditions": conditions}
    return {"metadata": {"name": name, "generation": generation}, "status": status}


class Light:
    """What the light level asks for; each of *faults* is answered once before."""

    def __init__(self, *deployments: dict[str, t.Any], faults: t.Sequence[tuple[int, dict[str, str]]] = ()) -> None:
        self.deployments = list(deployments)
        self.faults = list(faults)
        self.paths: list[str] = []

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        self.paths.append(path)
        if self.faults:
            status, headers = self.faults.pop(0)
            return status, {"message": "busy"}, headers
        if path == "/version":
            return 200, {"gitVersion": "v1.36.3"}, {}
        return 200, {"items": self.deployments if path.endswith("/deployments") else [node("node1")]}, {}

    def verified(self, tmp_path: Path, timeout: float = 0.1) -> Verifier:
        with FakeApi(tmp_path, self) as fake:
            verifier = Verifier(Api.from_kubeconfig(str(fake.kubeconfig)), Settings({"node1": "a"}, timeout=timeout))
            # The fake server takes nobody without a certificate; tests/api asks a real one.
            with mock.patch.object(ClusterChecks, "anonymous_access") as strangers:
                verifier.light()
            verifier.strangers = strangers.call_count
        return verifier


def test_light_takes_three_requests_and_what_nobody_may_ask(tmp_path: Path) -> None:
    answers = Light(deployment("coredns"), deployment("metrics-server"))
    verifier = answers.verified(tmp_path)
    assert [check.line for check in verifier.checks][1:] == [
        "nodes: 1 Ready",
        "deployments: 2 of kube-system available",
    ]
    assert verifier.strangers == 1
    assert answers.paths == ["/version", "/api/v1/nodes", "/apis/apps/v1/namespaces/kube-system/deployments"]


def test_light_names_deployments_that_are_not_available(tmp_path: Path) -> None:
    verifier = Light(deployment("coredns", available="False"), deployment("metrics-server")).verified(tmp_path)
    (check,) = verifier.failed
    assert check.problems == ["coredns is not available (no minimum availability)"] and "Fix: " in check.line


def test_a_deployment_that_nobody_has_seen_since_it_changed_is_not_available() -> None:
    (problem,) = deployment_problems([deployment("coredns", observed=1), deployment("x")])
    assert problem.startswith("coredns changed and no kube-controller-manager has seen it")
    (problem,) = deployment_problems([{"metadata": {"name": "new"}}])
    assert problem == "new is not available (it has no condition Available yet)"


def test_an_api_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    answers = Light(deployment("coredns"), faults=[(503, {}), (429, {}), (0, {}), (500, {})])
    verifier = answers.verified(tmp_path, timeout=10)
    assert verifier.failed == [] and answers.paths.count("/version") == 5


def test_an_api_that_stays_busy_is_one_failure(tmp_path: Path) -> None:
    verifier = Light(faults=[(503, {})] * 9).verified(tmp_path, timeout=0.1)
    assert [check.name for check in verifier.checks] == ["API"] and "answered 503: busy" in verifier.checks[0].line


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [
        (3, 20, ["node1", "node2", "node3"]),
        (12, 4, ["node1", "node4", "node8", "node12"]),
        (12, 1, ["node1"]),
        (12, 0, [f"node{number}" for number in range(1, 13)]),
    ],
)
def test_a_sample_is_spread_over_the_names(count: int, most: int, expected: list[str]) -> None:
    names = [f"node{number}" for number in range(1, count + 1)]
    assert sample(names, most) == expected
    assert sorted(sample(names[::-1], most)) == sorted(expected)
    assert sample(["master", "10.0.0.1", "a1b", "ab"], 3) == sample(["master", "10.0.0.1", "a1b", "ab"], 3)


def test_pods_run_on_the_sample_alone_and_the_report_says_so() -> None:
    settings = Settings({f"node{number}": "a" for number in range(1, 38)})
    assert len(settings.sampled) == 20 and settings.sampled_words == "20 of 37 nodes"
    assert {"node1", "node37"} <= set(settings.sampled)
    assert Settings({"node1": "a"}).sampled_words == "1 nodes"


class Deaf:
    """A cluster without a controller manager: what is applied stays, and no pod comes."""

    def __init__(self) -> None:
        self.objects: set[str] = set()

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        if method == "PATCH":
            self.objects.add(path)
            return 200, body, {}
        if method == "DELETE":
            self.objects.discard(path)
            return 200, {}, {}
        if path.endswith(("/pods", "/events")):
            return 200, {"items": [], "metadata": {}}, {}
        if path in self.objects:
            return 200, {"metadata": {}, "status": {}}, {}
        return 404, json.dumps({"reason": "NotFound"}), {}


def test_nothing_is_left_when_no_pod_comes(tmp_path: Path) -> None:
    answers = Deaf()
    with FakeApi(tmp_path, answers) as fake:
        verifier = Verifier(Api.from_kubeconfig(str(fake.kubeconfig)), Settings({"node1": "a"}, image="i", timeout=0.1))
        verifier.pods()
    assert [check.name for check in verifier.checks] == ["web pods"]
    assert "no kube-controller-manager has seen the DaemonSet" in verifier.checks[0].line
    assert answers.objects == set()


def metrics_of(tmp_path: Path, *answers: tuple[int, t.Any]) -> Check:
    """The check of metrics with what the API answers for nodes, in turn; the last one stays."""
    left = list(answers)

    def handler(method: str, path: str, query: dict[str, str], body: t.Any) -> t.Any:
        if path.endswith("/pods"):
            return 200, {"items": [{"metadata": {"name": "p"}}]}, {}
        status, answer = left.pop(0) if len(left) > 1 else left[0]
        return status, answer, {}

    with FakeApi(tmp_path, handler) as api:
        verifier = Verifier(
            Api.from_kubeconfig(str(api.kubeconfig)),
            Settings(nodes={"node1": "x", "node2": "y"}, metrics=True, timeout=1),
        )
        verifier.metrics()
    (check,) = verifier.checks
    return check


def usage(*names: str) -> tuple[int, t.Any]:
    return 200, {"items": [{"metadata": {"name": name}, "usage": {"cpu": "10m", "memory": "1Mi"}} for name in names]}


def test_metrics_of_all_nodes(tmp_path: Path) -> None:
    assert (
        metrics_of(tmp_path, usage("node1"), usage("node1", "node2")).line
        == "metrics: of 2 nodes and their pods, as kubectl top shows them"
    )


def test_a_node_without_metrics_is_named(tmp_path: Path) -> None:
    assert metrics_of(tmp_path, usage("node2")).problems == ["none of node1"]


def test_metrics_that_nobody_serves(tmp_path: Path) -> None:
    check = metrics_of(tmp_path, (404, {"message": "the server could not find the requested resource"}))
    assert not check.ok and "could not find" in check.line and "v1beta1.metrics.k8s.io" in check.line


def network_pod(node: str, generation: str, ready: str = "True", app: str = "calico-node") -> dict[str, t.Any]:
    labels = {"k8s-app": app, cluster.GENERATION_LABEL: generation}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready, "message": "BIRD is not ready"}]}
    return {"metadata": {"name": f"{app}-{node}", "labels": labels}, "spec": {"nodeName": node}, "status": status}


def network_check(tmp_path: Path, *pods: list[dict[str, t.Any]]) -> Check:
    """The check of the network with the pods that the API has, in turn; the last answer stays."""
    left = list(pods)

    def handler(method: str, path: str, query: dict[str, str], body: t.Any) -> t.Any:
        if path.endswith("/pods"):
            return 200, {"items": left.pop(0) if len(left) > 1 else left[0]}, {}
        assert path == "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node"
        return (
            200,
            {
                "metadata": {"annotations": {cluster.GENERATION: "2"}},
                "spec": {"selector": {"matchLabels": {"k8s-app": "calico-node"}}},
            },
            {},
        )

    settings = Settings(nodes={"node1": "x", "node2": "y"}, network="kube-system/calico-node", timeout=1)
    with FakeApi(tmp_path, handler) as api:
        verifier = Verifier(Api.from_kubeconfig(str(api.kubeconfig)), settings)
        verifier.network()
    (check,) = verifier.checks
    return check


def test_a_network_of_pods_is_ready_when_each_node_has_one_of_what_was_applied_last(tmp_path: Path) -> None:
    old, new = network_pod("node2", "1"), network_pod("node2", "2")
    assert (
        network_check(tmp_path, [network_pod("node1", "2"), old], [network_pod("node1", "2"), new]).line
        == "network: calico-node is ready on 2 nodes"
    )


def test_a_node_without_its_network_is_named_with_the_cause(tmp_path: Path) -> None:
    check = network_check(
        tmp_path,
        [network_pod("node1", "2", ready="False"), network_pod("node2", "1"), network_pod("node2", "2", app="other")],
    )
    assert check.problems == ["node1: BIRD is not ready", "node2: it has no pod of what was applied last"]
    assert "kubectl -n kube-system logs daemonset/calico-node" in check.line


def test_an_image_that_cannot_be_had_is_the_cause(tmp_path: Path) -> None:
    pods = [network_pod("node1", "2"), network_pod("node2", "2", ready="False")]
    done = {"name": "upgrade-ipam", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
    pulling = {"name": "install-cni", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}}
    pods[1]["status"] |= {
        "initContainerStatuses": [done, pulling],
        "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert network_check(tmp_path, pods).problems == ["node2: its container is waiting: ImagePullBackOff no such host"]


def test_a_network_that_is_not_made_of_pods_is_not_asked_for() -> None:
    verifier = Verifier(Api(Credentials("https://192.0.2.1:6443")), Settings(nodes={"node1": "x"}))
    verifier.network()
    assert verifier.checks == []


def test_metrics_that_are_off_are_not_asked_for(tmp_path: Path) -> None:
    verifier = Verifier(Api(Credentials("https://192.0.2.1:6443")), Settings(nodes={"node1": "x"}))
    verifier.metrics()
    assert verifier.checks == []
