# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the audit log says of concrete requests, by the policy that masters get, and where it is sent."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest
import yaml

from ansible_collections.hardway.kubernetes.tests.unit.plugins.action import rendered

POLICY, WEBHOOK = "audit-policy.yaml", "audit-webhook.yaml"
DIRECTORY = {"binaries": "/etc/kubernetes", "kubeadm": "/etc/kubernetes/apiserver"}
COMPONENT = {"binaries": "kube-apiserver", "kubeadm": "kubeadm"}
INSTALLERS = list(DIRECTORY)
NODE = ("system:node:node1", ("system:nodes", "system:authenticated"))
PROXY = ("system:kube-proxy", ("system:node-proxier", "system:authenticated"))
FLANNEL = ("flannel", ("system:authenticated",))
ACCOUNT = (
    "system:serviceaccount:kube-system:coredns",
    ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
)
ME = ("me", ("system:authenticated",))
NOBODY = ("system:anonymous", ("system:unauthenticated",))
MANAGER = ("system:kube-controller-manager", ("system:authenticated",))
EVERYONE = (NODE, PROXY, FLANNEL, ACCOUNT, ME, NOBODY, MANAGER)
READS, WRITES = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")


@dataclasses.dataclass(frozen=True)
class Request:
    """Who asks for what, as the API server sees it."""

    who: tuple[str, tuple[str, ...]]
    verb: str
    resource: str = ""
    group: str = ""
    namespace: str = ""
    url: str = ""


def matches(rule: dict, request: Request) -> bool:
    """k8s.io/apiserver, pkg/audit/policy/checker.go: ruleMatches, ruleMatchesNonResource, ruleMatchesResource."""
    user, groups = request.who
    if rule.get("users") and user not in rule["users"]:
        return False
    if rule.get("userGroups") and not set(rule["userGroups"]) & set(groups):
        return False
    if rule.get("verbs") and request.verb not in rule["verbs"]:
        return False
    if not (rule.get("namespaces") or rule.get("resources") or rule.get("nonResourceURLs")):
        return True
    if request.url:
        return any(
            spec == "*" or spec == request.url or (spec.endswith("*") and request.url.startswith(spec[:-1].rstrip("*")))
            for spec in rule.get("nonResourceURLs", [])
        )
    if rule.get("nonResourceURLs") or (rule.get("namespaces") and request.namespace not in rule["namespaces"]):
        return False
    return not rule.get("resources") or any(
        request.group == named["group"]
        and (not named.get("resources") or any(_is_resource(name, request.resource) for name in named["resources"]))
        for named in rule["resources"]
    )


def _is_resource(name: str, resource: str) -> bool:
    """A name without a slash is none of what is below it."""
    if name in ("*", resource):
        return True
    main, slash, below = resource.partition("/")
    return bool(slash) and name in (f"{main}/*", f"*/{below}")


def level(policy: dict, request: Request) -> str:
    return next((rule["level"] for rule in policy["rules"] if matches(rule, request)), "None")


@pytest.fixture(name="master", scope="module")
def make_master(tmp_path_factory):
    """A function from an installer and settings to the API server's component on a master."""
    state = tmp_path_factory.mktemp("state")
    kept = {}

    def master(installer="binaries", **settings):
        key = json.dumps([installer, settings], sort_keys=True)
        if key not in kept:
            kept[key] = rendered.components("master1", state, cluster_installer=installer, **settings)
        return kept[key][COMPONENT[installer]]

    return master


def policy_of(component: dict, installer: str = "binaries") -> dict:
    return yaml.safe_load(component["texts"][f"{DIRECTORY[installer]}/{POLICY}"])


@pytest.mark.parametrize("installer", INSTALLERS)
def test_secrets_and_tokens_are_seen_whoever_asks_and_never_with_their_content(master, installer):
    policy = policy_of(master(installer), installer)
    for who in EVERYONE:
        for verb in READS + WRITES:
            for resource, group in (
                ("secrets", ""),
                ("configmaps", ""),
                ("serviceaccounts/token", ""),
                ("tokenreviews", "authentication.k8s.io"),
            ):
                asked = Request(who, verb, resource, group, "kube-system")
                assert level(policy, asked) == "Metadata", asked


@pytest.mark.parametrize("installer", INSTALLERS)
def test_nothing_of_a_nodes_agents_is_lost_but_the_leases_of_nodes(master, installer):
    policy = policy_of(master(installer), installer)
    resources = [
        ("nodes", ""),
        ("nodes/status", ""),
        ("pods", ""),
        ("pods/status", ""),
        ("pods/exec", ""),
        ("services", ""),
    ]
    resources += [("endpointslices", "discovery.k8s.io"), ("clusterrolebindings", "rbac.authorization.k8s.io")]
    resources += [("certificatesigningrequests", "certificates.k8s.io"), ("leases", "coordination.k8s.io")]
    for who in (NODE, PROXY, FLANNEL, ACCOUNT):
        for verb in READS + WRITES:
            for resource, group in resources:
                asked = Request(who, verb, resource, group, "kube-system")
                assert level(policy, asked) != "None", asked
    leases = [Request(NODE, verb, "leases", "coordination.k8s.io", "kube-node-lease") for verb in READS + WRITES]
    assert [asked.verb for asked in leases if level(policy, asked) == "None"] == ["get", "update"]
    assert level(policy, Request(PROXY, "update", "leases", "coordination.k8s.io", "kube-node-lease")) == "Request"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Request(ME, "create", "deployments", "apps", "default"), "Request"),
        (Request(ME, "deletecollection", "pods", "", "default"), "Request"),
        (Request(ME, "list", "pods", "", "default"), "Metadata"),
        (Request(NODE, "patch", "nodes/status"), "Metadata"),
        (Request(FLANNEL, "patch", "nodes/status"), "Request"),
        (Request(MANAGER, "update", "leases", "coordination.k8s.io", "kube-system"), "None"),
        (Request(MANAGER, "update", "leases", "coordination.k8s.io", "kube-node-lease"), "Request"),
        (Request(ME, "delete", "leases", "coordination.k8s.io", "kube-system"), "Request"),
        (Request(NOBODY, "get", url="/readyz/etcd"), "None"),
        (Request(ME, "get", url="/apis/apps/v1"), "None"),
        (Request(ME, "get", url="/api"), "None"),
        (Request(NOBODY, "get", url="/api"), "Metadata"),
        (Request(NOBODY, "get", url="/version"), "Metadata"),
        (Request(ME, "get", url="/metrics"), "Metadata"),
        (Request(ME, "post", url="/livez"), "Metadata"),
    ],
)  # fmt: skip
def test_who_did_what(master, asked, expected):
    assert level(policy_of(master()), asked) == expected


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.parametrize(
    ("encrypted", "resource", "group"),
    [
        ("widgets.example.org", "widgets", "example.org"),
        # The body of an update of the status is the whole object.
        ("widgets.example.org", "widgets/status", "example.org"),
        ("deployments.apps", "deployments/scale", "apps"),
        ("*.apps", "statefulsets/status", "apps"),
        ("*.", "pods/status", ""),
        ("*.*", "anything", "example.net"),
    ],
)
def test_what_is_encrypted_in_etcd_is_never_written_down(master, installer, encrypted, resource, group):
    policy = policy_of(master(installer, cluster_encrypted_resources=["secrets", encrypted]), installer)
    for who in EVERYONE:
        for verb in READS + WRITES:
            assert level(policy, Request(who, verb, resource, group, "default")) == "Metadata", (who, verb)


# --- the webhook


def arguments(component: dict, installer: str) -> dict:
    """The API server's arguments whose names begin with audit."""
    if installer == "binaries":
        words = [word for word in component["unit"].replace("\\\n", " ").split() if word.startswith("--audit-")]
        return dict(word[2:].split("=", 1) for word in words)
    documents = list(yaml.safe_load_all(component["texts"]["/etc/kubernetes/kubeadm.yaml"]))
    (cluster,) = (one for one in documents if one["kind"] == "ClusterConfiguration")
    given = {one["name"]: one["value"] for one in cluster["apiServer"]["extraArgs"]}
    return {name: value for name, value in given.items() if name.startswith("audit-")}


@pytest.mark.parametrize("installer", INSTALLERS)
def test_the_log_goes_to_a_server_that_is_named(master, tmp_path, installer):
    files = {name: tmp_path / name for name in ("ca", "certificate", "key")}
    for name, path in files.items():
        path.write_text(f"-----BEGIN {name}-----\n")
    hook = {"server": "https://audit.example.org/events", **{name: str(path) for name, path in files.items()}}
    component = master(installer, cluster_audit_webhook=hook)
    path = f"{DIRECTORY[installer]}/{WEBHOOK}"
    (file,) = (one for one in component["files"] if one["path"] == path)
    assert file["mode"] == "0600", "so no diff shows it"
    asked = arguments(component, installer)
    assert asked["audit-webhook-config-file"] == path and asked["audit-webhook-mode"] == "batch"
    assert asked["audit-log-path"], "the files stay"
    config = yaml.safe_load(component["texts"][path])
    found = {**config["clusters"][0]["cluster"], **config["users"][0]["user"]}
    assert found.pop("server") == hook["server"]
    data = {name: base64.b64decode(text).decode() for name, text in found.items()}
    assert data == {
        "certificate-authority-data": "-----BEGIN ca-----\n",
        "client-certificate-data": "-----BEGIN certificate-----\n",
        "client-key-data": "-----BEGIN key-----\n",
    }
    context = config["contexts"][0]
    assert config["current-context"] == context["name"]
    assert context["context"] == {"cluster": config["clusters"][0]["name"], "user": config["users"][0]["name"]}


@pytest.mark.parametrize("token", ["abc", 'a": {b}\n---\n# c', "{{ 7 * 7 }}"])
def test_a_token_is_text_whatever_it_is(master, token):
    component = master(cluster_audit_webhook={"server": "https://audit.example.org", "token": token})
    config = yaml.safe_load(component["texts"][f"/etc/kubernetes/{WEBHOOK}"])
    assert config["users"][0]["user"] == {"token": token}
    assert "certificate-authority-data" not in config["clusters"][0]["cluster"]
    assert token not in component["unit"]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_without_a_server_there_is_no_file(master, installer):
    component = master(installer)
    assert f"{DIRECTORY[installer]}/{WEBHOOK}" in component["absent"]
    assert not [name for name in arguments(component, installer) if "webhook" in name]
