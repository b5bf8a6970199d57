# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import ipaddress
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube import csr as rules
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.approval import Approver
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.fake_api import FakeApi, name, pem

NODES = rules.read_nodes(
    [
        {"name": "node1", "addresses": ["10.0.0.31", "fd00::31", "node1.example.org"]},
        {"name": "node2", "addresses": ["10.0.0.32"]},
        {"name": "master1", "addresses": ["10.0.0.11"]},
    ],
    {"node1": "system:bootstrap:abc123", "node2": "system:bootstrap:def456"},
)
BOOTSTRAP = {"username": "system:bootstrap:abc123", "groups": ["system:bootstrappers", "system:authenticated"]}
ITSELF = {"username": "system:node:node1", "groups": ["system:nodes", "system:authenticated"]}
CLIENT_USAGES = ("digital signature", "client auth")
SERVING_USAGES = ("digital signature", "server auth")


def make_pem(
    subject: x509.Name | None = None,
    dns: t.Sequence[str] = (),
    addresses: t.Sequence[str] = (),
    others: t.Sequence[x509.GeneralName] = (),
    extension: x509.ExtensionType | None = None,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        subject or name(o="system:nodes", cn="system:node:node1")
    )
    names = (
        [x509.DNSName(word) for word in dns]
        + [x509.IPAddress(ipaddress.ip_address(word)) for word in addresses]
        + list(others)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if extension:
        builder = builder.add_extension(extension, critical=True)
    return pem(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()))


def make_object(
    signer: str, who: dict[str, t.Any], usages: t.Sequence[str], request: bytes, conditions: t.Sequence[str] = ()
) -> dict[str, t.Any]:
    return {
        "metadata": {"name": "csr-1", "resourceVersion": "7"},
        "spec": {**who, "signerName": signer, "usages": list(usages), "request": base64.b64encode(request).decode()},
        "status": {"conditions": [{"type": kind} for kind in conditions]} if conditions else {},
    }


def client(
    who: dict[str, t.Any] | None = None, usages: t.Sequence[str] = CLIENT_USAGES, **contents: t.Any
) -> rules.Verdict:
    return rules.judge(
        rules.read_request(make_object(rules.CLIENT, who or BOOTSTRAP, usages, make_pem(**contents))), NODES
    )


def serving(
    who: dict[str, t.Any] | None = None, usages: t.Sequence[str] = SERVING_USAGES, **contents: t.Any
) -> rules.Verdict:
    contents = contents or {"dns": ["node1"], "addresses": ["10.0.0.31"]}
    return rules.judge(
        rules.read_request(make_object(rules.SERVING, who or ITSELF, usages, make_pem(**contents))), NODES
    )


def damaged_signature() -> bytes:
    whole = x509.load_pem_x509_csr(make_pem()).public_bytes(Encoding.DER)
    return (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        + b"-----END CERTIFICATE REQUEST-----\n"
    )


@pytest.mark.parametrize(
    "verdict",
    [
        pytest.param(client, id="first client certificate"),
        pytest.param(lambda: client(usages=[*CLIENT_USAGES, "key encipherment"]), id="with an RSA key"),
        pytest.param(lambda: client(who=ITSELF), id="renewal"),
        pytest.param(serving, id="name and address"),
        pytest.param(lambda: serving(usages=[*SERVING_USAGES, "key encipherment"]), id="serving with an RSA key"),
        pytest.param(lambda: serving(addresses=["10.0.0.31"]), id="address alone"),
        pytest.param(
            lambda: serving(dns=["NODE1", "node1.example.org"], addresses=["fd00:0:0::31"]), id="other spellings"
        ),
    ],
)
def test_what_agrees_is_approved(verdict: t.Callable[[], rules.Verdict]) -> None:
    assert verdict().action == "approve", verdict().reasons
    assert verdict().node == "node1"


OTHER = {"username": "system:node:node2", "groups": ["system:nodes"]}
BAD = {
    "client asked for by another node": (lambda: client(who=OTHER), "its requester is system:node:node2"),
    "master's identity by a node's token": (
        lambda: client(subject=name(o="system:nodes", cn="system:node:master1")),
        "its requester is system:bootstrap:abc123, whose token node1 was given, and master1 does not join in this run",
    ),
    "joining node's identity by another's token": (
        lambda: client(subject=name(o="system:nodes", cn="system:node:node2")),
        "whose token node1 was given, and node2 joins as system:bootstrap:def456",
    ),
    "token of another run": (
        lambda: client(who={**BOOTSTRAP, "username": "system:bootstrap:zzz999"}),
        "its requester is system:bootstrap:zzz999, and node1 joins as system:bootstrap:abc123",
    ),
    "node that does not join, by a token of another run": (
        lambda: client(
            who={**BOOTSTRAP, "username": "system:bootstrap:zzz999"},
            subject=name(o="system:nodes", cn="system:node:master1"),
        ),
        "its requester is system:bootstrap:zzz999, and master1 does not join in this run",
    ),
    "unlisted node's identity by a token of this run": (
        lambda: client(subject=name(o="system:nodes", cn="system:node:node9")),
        "its subject names node9, but its requester or its names are those of node1",
    ),
    "client asked for by a person": (
        lambda: client(who={"username": "mallory", "groups": ["system:authenticated"]}),
        "its requester is mallory",
    ),
    "bootstrap user outside the group": (
        lambda: client(who={**BOOTSTRAP, "groups": []}),
        "its requester is system:bootstrap:abc123",
    ),
    "user that looks like a bootstrap token": (
        lambda: client(who={**BOOTSTRAP, "username": "system:bootstrap:abc123x"}),
        "its requester is",
    ),
    "node that is not in the nodes' group": (lambda: client(who={**ITSELF, "groups": []}), "its requester is"),
    "other organization": (
        lambda: client(subject=name(o="system:masters", cn="system:node:node1")),
        "O system:masters",
    ),
    "second organization": (
        lambda: client(subject=name(o="system:nodes", o2="system:masters", cn="system:node:node1")),
        "O system:nodes, system:masters",
    ),
    "no organization": (lambda: client(subject=name(cn="system:node:node1")), "O nothing"),
    "further subject": (lambda: client(subject=name(o="system:nodes", ou="x", cn="system:node:node1")), "OU=x"),
    "client for two names": (
        lambda: client(who=ITSELF, subject=name(o="system:nodes", cn="system:node:node1", cn2="admin")),
        "its subject names no node",
    ),
    "client with a DNS name": (lambda: client(dns=["node1"]), "a client certificate has none"),
    "client with an address": (lambda: client(addresses=["10.0.0.31"]), "a client certificate has none"),
    "client with server usage": (lambda: client(usages=[*CLIENT_USAGES, "server auth"]), "its usages are"),
    "client with any usage": (
        lambda: client(usages=[*CLIENT_USAGES, "any"]),
        "its usages are any, client auth, digital signature",
    ),
    "serving with any usage": (lambda: serving(usages=["any"]), "its usages are any instead of"),
    "client usages for the other signer": (lambda: serving(usages=CLIENT_USAGES), "its usages are client auth"),
    "client without usages": (lambda: client(usages=[]), "its usages are nothing"),
    "serving with client usage": (lambda: serving(usages=[*SERVING_USAGES, "client auth"]), "its usages are"),
    "serving with cert sign": (lambda: serving(usages=[*SERVING_USAGES, "cert sign"]), "its usages are"),
    "serving by a bootstrap token": (lambda: serving(who=BOOTSTRAP), "its requester is system:bootstrap:abc123"),
    "serving by another node": (lambda: serving(who=OTHER), "its requester is system:node:node2"),
    "serving with no names": (
        lambda: serving(subject=name(o="system:nodes", cn="system:node:node1")),
        "no DNS name and no address",
    ),
    "serving with a foreign address": (
        lambda: serving(addresses=["10.0.0.31", "10.0.0.1"]),
        "asks for 10.0.0.1; the inventory gives node1 10.0.0.31",
    ),
    "serving with another node's address": (lambda: serving(addresses=["10.0.0.32"]), "asks for 10.0.0.32"),
    "serving with the API's name": (
        lambda: serving(dns=["node1", "kubernetes.default.svc"]),
        "asks for kubernetes.default.svc",
    ),
    "serving with a wildcard": (
        lambda: serving(dns=["*.example.org"], addresses=["10.0.0.31"]),
        "asks for *.example.org",
    ),
    "serving with a URI": (
        lambda: serving(dns=["node1"], others=[x509.UniformResourceIdentifier("spiffe://x/y")]),
        "spiffe://x/y",
    ),
    "serving with an email": (
        lambda: serving(dns=["node1"], others=[x509.RFC822Name("a@example.org")]),
        "a@example.org",
    ),
    "asks to be a CA": (lambda: client(extension=x509.BasicConstraints(ca=True, path_length=None)), "basicConstraints"),
    "listed node asks for an unlisted name": (
        lambda: client(who=ITSELF, subject=name(o="system:nodes", cn="system:node:node9")),
        "its subject names node9",
    ),
    "unlisted node asks for a listed address": (
        lambda: serving(
            who={"username": "system:node:node9", "groups": ["system:nodes"]},
            subject=name(o="system:nodes", cn="system:node:node9"),
            addresses=["10.0.0.31"],
        ),
        "those of node1",
    ),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_what_disagrees_is_denied_and_named(kind: str) -> None:
    make, words = BAD[kind]
    verdict = make()
    assert verdict.action == "deny"
    assert words in "; ".join(verdict.reasons)


def test_all_reasons_are_named_together() -> None:
    verdict = client(who=OTHER, usages=["any"], subject=name(o="x", cn="system:node:node1"), dns=["y"])
    assert len(verdict.reasons) == 4


def test_a_signature_by_another_key_is_denied() -> None:
    verdict = rules.judge(
        rules.read_request(make_object(rules.CLIENT, BOOTSTRAP, CLIENT_USAGES, damaged_signature())), NODES
    )
    assert verdict.action == "deny"
    assert "signature" in verdict.reasons[0]


def two_blocks() -> bytes:
    return make_pem(dns=["node1"]) + make_pem(dns=["kubernetes"])


def block_of_another_kind_first() -> bytes:
    return b"-----BEGIN X-----\nAAAA\n-----END X-----\n" + make_pem(dns=["node1"])


def block_with_headers() -> bytes:
    return make_pem(dns=["node1"]).replace(b"REQUEST-----\n", b"REQUEST-----\nProc-Type: 4\n\n", 1)


def further_attribute() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(o="system:nodes", cn="system:node:node1"))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("node1")]), critical=False)
    builder = builder.add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"password")
    return pem(builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (two_blocks, "not one block"),
        (block_of_another_kind_first, "not one block"),
        (block_with_headers, "not one block"),
        (further_attribute, "1.2.840.113549.1.9.7"),
    ],
)
def test_what_a_signer_might_read_otherwise_is_denied(make: t.Callable[[], bytes], words: str) -> None:
    verdict = rules.judge(rules.read_request(make_object(rules.SERVING, ITSELF, SERVING_USAGES, make())), NODES)
    assert verdict.action == "deny"
    assert words in verdict.reasons[0]


CLIENTS = "kubernetes.io/kube-apiserver-client"


@pytest.mark.parametrize(
    ("signer", "who", "subject", "action"),
    [
        pytest.param(CLIENTS, BOOTSTRAP, None, "deny", id="to be a node, by a bootstrap token"),
        pytest.param(CLIENTS, {"username": "alice", "groups": []}, None, "deny", id="to be a node, by a person"),
        pytest.param("kubernetes.io/legacy-unknown", ITSELF, name(cn="x"), "deny", id="by a node, to be someone else"),
        pytest.param(
            CLIENTS, {"username": "alice", "groups": []}, name(cn="alice"), "ignore", id="nothing to do with nodes"
        ),
        pytest.param(
            CLIENTS, OTHER, name(cn="system:node:node9"), "deny", id="by a node, to be a node that is not listed"
        ),
        pytest.param("example.org/mesh", ITSELF, None, "ignore", id="a signer of someone else's"),
    ],
)
def test_other_signers(signer: str, who: dict[str, t.Any], subject: x509.Name | None, action: str) -> None:
    verdict = rules.judge(rules.read_request(make_object(signer, who, CLIENT_USAGES, make_pem(subject=subject))), NODES)
    assert verdict.action == action
    assert not verdict.reasons or verdict.reasons[0].startswith(f"its signer is {signer}; a kubelet asks ")


FILED = {"username": "kubelet-bootstrap", "groups": []}
STRANGER = {**BOOTSTRAP, "username": "system:bootstrap:zzz999"}
NINE = {"username": "system:node:node9", "groups": ["system:nodes"]}


@pytest.mark.parametrize(
    ("signer", "who", "cn", "inventory", "action", "words"),
    [
        (rules.CLIENT, STRANGER, "system:node:node9", ["node1", "node9"], "foreign", ""),
        (rules.CLIENT, STRANGER, "system:node:node9", ["node1"], "deny", "node9 is not in the inventory"),
        (rules.CLIENT, STRANGER, "system:node:node9", None, "foreign", ""),
        (rules.SERVING, NINE, "system:node:node9", [], "deny", "node9 is not in the inventory"),
        (rules.SERVING, NINE, "system:node:node8", ["node8"], "deny", "node9 is not in the inventory"),
        (rules.CLIENT, STRANGER, "admin", ["node9"], "deny", "it names no node"),
        (rules.CLIENT, BOOTSTRAP, "system:node:node1", [], "approve", ""),
    ],
)
def test_the_inventory_tells_strangers_from_others(
    signer: str, who: dict[str, t.Any], cn: str, inventory: list[str] | None, action: str, words: str
) -> None:
    usages = CLIENT_USAGES if signer == rules.CLIENT else SERVING_USAGES
    request = rules.read_request(make_object(signer, who, usages, make_pem(subject=name(o="system:nodes", cn=cn))))
    verdict = rules.judge(request, NODES, inventory=inventory)
    assert (verdict.action, "; ".join(verdict.reasons)) == (action, words)


def test_an_unreadable_request_of_a_listed_node_is_denied() -> None:
    verdict = rules.judge(rules.read_request(make_object(rules.SERVING, ITSELF, SERVING_USAGES, b"nonsense")), NODES)
    assert (verdict.action, verdict.node) == ("deny", "node1")
    assert "cannot be read" in verdict.reasons[0]


def test_other_nodes_are_left_alone() -> None:
    verdict = client(who=STRANGER, subject=name(o="system:nodes", cn="system:node:node9"))
    assert (verdict.action, verdict.node) == ("foreign", "node9")


def test_a_user_of_a_token_file_is_accepted_for_nodes_that_join_alone() -> None:
    request = rules.read_request(make_object(rules.CLIENT, FILED, CLIENT_USAGES, make_pem()))
    assert rules.judge(request, NODES).action == "deny"
    for joining, action in (("node1", "approve"), ("node2", "deny")):
        nodes = rules.read_nodes([{"name": "node1"}, {"name": "node2"}], {joining: "kubelet-bootstrap"})
        verdict = rules.judge(request, nodes)
        assert (verdict.action, verdict.node) == (action, "node1"), verdict.reasons


@pytest.mark.parametrize(
    ("conditions", "state"),
    [((), "pending"), (("Approved",), "approved"), (("Denied",), "denied"), (("Approved", "Failed"), "failed")],
)
def test_state(conditions: t.Sequence[str], state: str) -> None:
    assert (
        rules.read_request(make_object(rules.CLIENT, BOOTSTRAP, CLIENT_USAGES, make_pem(), conditions)).state == state
    )


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"name": "Node1"}], "'Node1' is not a node's name"),
        ([{"name": "a_b"}], "'a_b'"),
        ([{"name": "a"}, {"name": "a"}], "a is listed twice"),
        (
            [{"name": "a", "addresses": ["10.0.0.1"]}, {"name": "b", "addresses": ["10.0.0.1"]}],
            "10.0.0.1 is given to a and to b",
        ),
    ],
)
def test_bad_inventory(entries: list[dict[str, t.Any]], words: str) -> None:
    with pytest.raises(rules.InventoryError, match=words):
        rules.read_nodes(entries)


class Cluster:
    """Just enough of a cluster: approved requests are signed at once, and a node whose serving request was signed answers."""

    def __init__(self) -> None:
        self.requests: dict[str, dict[str, t.Any]] = {}
        self.answering: set[str] = set()
        self.conflicts = 0

    def add(self, key: str, item: dict[str, t.Any]) -> None:
        created = item.pop("created", "00")
        item["metadata"] = {"name": key, "resourceVersion": "1", "creationTimestamp": f"2026-01-01T00:00:{created}Z"}
        self.requests[key] = item

    def __call__(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any, dict[str, str]]:
        if path == rules.REQUESTS:
            return 200, {"items": list(self.requests.values()), "metadata": {}}, {}
        if method == "PUT":
            if self.conflicts:
                self.conflicts -= 1
                return 409, {"kind": "Status", "reason": "Conflict", "message": "the object has been modified"}, {}
            key = path.split("/")[-2]
            kinds = {condition["type"] for condition in body["status"]["conditions"]}
            if "Approved" in kinds:
                body["status"]["certificate"] = "x"
                if body["spec"]["signerName"] == rules.SERVING:
                    self.answering.add("node1")
            self.requests[key] = body
            return 200, body, {}
        node = path.split("/")[4]
        if node in self.answering:
            return 200, "ok", {}
        return 404, {"kind": "Status", "reason": "NotFound", "message": f'nodes "{node}" not found'}, {}


def test_approver_approves_denies_and_reports(tmp_path: t.Any) -> None:
    cluster = Cluster()
    cluster.add("good", make_object(rules.SERVING, ITSELF, SERVING_USAGES, make_pem(dns=["node1"])))
    cluster.add("bad", make_object(rules.SERVING, ITSELF, SERVING_USAGES, make_pem(addresses=["10.0.0.99"])))
    cluster.add(
        "other",
        make_object(
            rules.CLIENT, STRANGER, CLIENT_USAGES, make_pem(subject=name(o="system:nodes", cn="system:node:node9"))
        ),
    )
    cluster.conflicts = 1
    with FakeApi(tmp_path, cluster) as fake:
        approver = Approver(Api.from_kubeconfig(str(fake.kubeconfig)), NODES)
        approver.act(approver.observe())
        assert len(approver.approved) + len(approver.denied) == 1  # a conflict is left to the next look
        approver.act(approver.observe())
        approver.probe()
        assert [verdict.request.name for verdict in approver.approved] == ["good"]
        assert list(approver.denied) == ["bad"]
        assert [verdict.request.name for verdict in approver.foreign] == ["other"]
        assert cluster.requests["bad"]["status"]["conditions"][0]["type"] == "Denied"
        assert "10.0.0.99" in cluster.requests["bad"]["status"]["conditions"][0]["message"]
        assert cluster.requests["other"]["status"] == {}
        assert [state.name for state in approver.missing] == ["node2", "master1"]
        assert "node2 did not ask for a client certificate" in approver.explain(approver.missing[0])
        approver.act(approver.observe())
        assert len(approver.approved) == 1


def first(created: str, who: dict[str, t.Any] | None = None, conditions: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """A request for node1's first certificate, by the token that it was given."""
    item = make_object(rules.CLIENT, who or BOOTSTRAP, CLIENT_USAGES, make_pem(), conditions)
    item["created"] = created
    return item


def actions(approver: Approver) -> dict[str, tuple[str, str]]:
    return {verdict.request.name: (verdict.action, "; ".join(verdict.reasons)) for verdict in approver.observe()}


def test_a_node_joins_once(tmp_path: t.Any) -> None:
    cluster = Cluster()
    for key, created in (("old", "01"), ("new", "03"), ("middle", "02")):
        cluster.add(key, first(created))
    with FakeApi(tmp_path, cluster) as fake:
        api = Api.from_kubeconfig(str(fake.kubeconfig))
        approver = Approver(api, NODES)
        superseded = ("deny", "new, which is newer, asks for the same")
        assert actions(approver) == {"new": ("approve", ""), "old": superseded, "middle": superseded}
        approver.act(approver.observe())
        assert [verdict.request.name for verdict in approver.approved] == ["new"]
        cluster.add("again", first("04"))
        refused = ("deny", "a first request of node1 was approved in this run already")
        assert actions(approver) == {"again": refused}
        # The API knows it as well, whoever asks there.
        assert actions(Approver(api, NODES)) == {"again": refused}
        cluster.add("renewal", make_object(rules.CLIENT, ITSELF, CLIENT_USAGES, make_pem()))
        assert actions(approver) == {"again": refused, "renewal": ("approve", "")}


def test_by_a_token_file_a_node_joins_once_in_each_run(tmp_path: t.Any) -> None:
    nodes = rules.read_nodes([{"name": "node1"}], {"node1": "kubelet-bootstrap"})
    cluster = Cluster()
    cluster.add("earlier", first("01", FILED, ["Approved"]))
    cluster.add("now", first("02", FILED))
    with FakeApi(tmp_path, cluster) as fake:
        approver = Approver(Api.from_kubeconfig(str(fake.kubeconfig)), nodes)
        approver.act(approver.observe())
        assert [verdict.request.name for verdict in approver.approved] == ["now"]
        cluster.add("again", first("03", FILED))
        assert actions(approver)["again"][0] == "deny"


def test_a_request_that_somebody_else_decided_does_not_count_as_joined(tmp_path: t.Any) -> None:
    cluster = Cluster()
    cluster.add("first", first("01"))
    cluster.conflicts = 1
    with FakeApi(tmp_path, cluster) as fake:
        approver = Approver(Api.from_kubeconfig(str(fake.kubeconfig)), NODES)
        approver.act(approver.observe())
        assert actions(approver) == {"first": ("approve", "")}


def test_explanations_name_the_missing_step(tmp_path: t.Any) -> None:
    cluster = Cluster()
    with FakeApi(tmp_path, cluster) as fake:
        approver = Approver(Api.from_kubeconfig(str(fake.kubeconfig)), NODES)
        cluster.add("c", make_object(rules.CLIENT, BOOTSTRAP, CLIENT_USAGES, make_pem(), ["Approved"]))
        approver.observe()
        state = approver.states["node1"]
        assert "approved and not signed" in approver.explain(state)
        cluster.requests["c"]["status"]["certificate"] = "x"
        approver.observe()
        assert "has not registered as a Node" in approver.explain(state)
        state.registered, state.cause = True, "503: no route to host"
        assert "did not ask for a serving certificate" in approver.explain(state)
        cluster.add("s", make_object(rules.SERVING, ITSELF, SERVING_USAGES, make_pem(dns=["node1"]), ["Approved"]))
        cluster.requests["s"]["status"]["certificate"] = "x"
        approver.observe()
        assert "503: no route to host" in approver.explain(state)
