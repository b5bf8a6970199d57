# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.pki import members, nth_address, pki, urls
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request

GROUPS = {
    "etcd": [{"name": "master1", "address": "10.33.0.11"}],
    "kube_master": [{"name": "master1", "address": "10.33.0.11"}, {"name": "master2", "address": "10.33.0.12"}],
}
CLUSTER = {
    "endpoint_address": "10.33.0.100",
    "service_network": "10.96.0.0/16",
    "dns_domain": "cluster.local",
    **GROUPS,
}


def request(**settings) -> dict:
    return pki({**CLUSTER, **settings})


def by_name(entries: list[dict]) -> dict[str, dict]:
    return {entry["name"]: entry for entry in entries}


class OnlyThese(dict):
    """hostvars in which a look at any other host is a failure."""

    def __getitem__(self, host):
        assert host in ("a", "b", "c"), f"looked at {host}"
        return super().__getitem__(host)


def test_members_looks_at_no_other_host():
    hostvars = OnlyThese(
        a={"cluster_host_address": "10.0.0.1", "ansible_host": "192.0.2.1"}, b={"ansible_host": "10.0.0.2"}, c={}, d={}
    )
    assert members(["a", "b", "c"], hostvars) == [
        {"name": "a", "address": "10.0.0.1"},
        {"name": "b", "address": "10.0.0.2"},
        {"name": "c", "address": "c"},
    ]


@pytest.mark.parametrize("hosts", ["master1", {"hosts": []}, ["nobody"]])
def test_members_refuses(hosts):
    with pytest.raises(AnsibleFilterError):
        members(hosts, {})


@pytest.mark.parametrize(
    ("network", "number", "address"),
    [("10.96.0.0/16", 10, "10.96.0.10"), ("fd00:1::/108", 1, "fd00:1::1"), ("10.0.0.0/24", -1, "10.0.0.255")],
)
def test_nth_address(network, number, address):
    assert nth_address(network, number) == address


@pytest.mark.parametrize(
    ("network", "number"), [("10.96.0.0/30", 4), ("10.96.0/16/2", 1), ("services", 1), ("10.96.0.0/16", "x")]
)
def test_nth_address_refuses(network, number):
    with pytest.raises(AnsibleFilterError, match="nth_address"):
        nth_address(network, number)


def test_the_arguments_are_a_valid_request():
    arguments = request()
    parsed = parse_request(arguments)
    assert [ca.name for ca in parsed.cas] == ["ca", "etcd-ca", "front-proxy-ca", "kubelet-ca"]
    assert list(by_name(arguments["certificates"])) == [
        "etcd-master1",
        "kube-apiserver-master1",
        "kube-apiserver-master2",
        "kube-apiserver-etcd-client",
        "kube-apiserver-kubelet-client",
        "front-proxy-client",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "flannel",
        "admin",
    ]
    assert by_name(arguments["bundles"])["client-ca"]["cas"] == ["ca", "kubelet-ca"]
    assert by_name(arguments["bundles"])["service-account-bundle"]["keys"] == ["service-account"]


def test_an_api_server_answers_under_every_name_of_the_api():
    certificates = by_name(request(endpoint_name="api.example.org", apiserver_hosts=["10.33.0.14"])["certificates"])
    assert set(certificates["kube-apiserver-master2"]["hosts"]) == {
        "master2",
        "10.33.0.12",
        "10.33.0.100",
        "api.example.org",
        "10.96.0.1",
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "10.33.0.14",
    }


def test_a_new_master_changes_no_other_certificate():
    before = by_name(request()["certificates"])
    groups = {**GROUPS, "kube_master": [*GROUPS["kube_master"], {"name": "master3", "address": "10.33.0.13"}]}
    after = by_name(request(**groups)["certificates"])
    after.pop("kube-apiserver-master3")
    assert after == before


def test_groups_of_the_authorization_are_those_of_the_contract():
    """O of the configured subject is a name of the organization, never a group of its clients."""
    certificates = by_name(request(subject={"C": "CN", "O": "system:masters", "CN": "x"})["certificates"])
    organizations = {name: certificate["subject"].get("O") for name, certificate in certificates.items()}
    assert {name: organization for name, organization in organizations.items() if organization} == {
        "kube-apiserver-kubelet-client": "hardway:kubelet-api",
        "kube-proxy": "system:node-proxier",
        "flannel": "hardway:flannel",
        "admin": "system:masters",
    }
    assert certificates["kube-scheduler"]["subject"] == {"C": "CN", "CN": "system:kube-scheduler"}


def test_one_authority_for_all():
    cas = by_name(request(single=True, subject={"CN": "kubernetes"})["cas"])
    assert cas["ca"]["subject"]["CN"] == "kubernetes"
    assert all(ca["copy_of"] == "ca" for name, ca in cas.items() if name != "ca")


def test_adoption_and_kinds_of_keys():
    source = {"certificate": "/a.pem", "key": "/a-key.pem"}
    arguments = request(imports={"ca": source}, key={"type": "rsa"}, ca_key={"type": "ecdsa"})
    cas = by_name(arguments["cas"])
    assert cas["ca"] == {"name": "ca", "import_from": source}
    assert cas["etcd-ca"]["key"] == {"type": "ecdsa"}
    assert by_name(arguments["certificates"])["admin"]["key"] == {"type": "rsa"}
    with pytest.raises(AnsibleFilterError, match="imports names cb"):
        request(imports={"cb": source})


def test_further_certificates():
    extra = {
        "name": "calico",
        "ca": "etcd-ca",
        "profile": "client",
        "subject": {"CN": "calico"},
        "validity": "1y",
    }
    assert by_name(request(certificates=[extra])["certificates"])["calico"]["validity"] == "1y"


def test_two_service_networks():
    hosts = by_name(request(service_network="10.96.0.0/16,fd00:1::/108")["certificates"])["kube-apiserver-master1"][
        "hosts"
    ]
    assert {"10.96.0.1", "fd00:1::1"} <= set(hosts)


def test_kubeadm_gets_an_identity_for_itself_and_for_each_masters_kubelet():
    plain = by_name(request()["certificates"])
    certificates = by_name(request(installer="kubeadm")["certificates"])
    assert set(certificates) - set(plain) == {"kubeadm-admin", "kubelet-client-master1", "kubelet-client-master2"}
    assert certificates["kubeadm-admin"]["subject"] == {"O": "kubeadm:cluster-admins", "CN": "kubernetes-admin"}
    assert certificates["kubelet-client-master2"]["subject"] == {"O": "system:nodes", "CN": "system:node:master2"}
    assert certificates["kubelet-client-master2"]["ca"] == "kubelet-ca"


def test_urls_keep_the_order_of_the_hosts():
    hosts = [{"name": "m2", "address": "10.0.0.2"}, {"name": "m1", "address": "m1.example.org"}]
    assert urls(hosts, 2379) == ["https://10.0.0.2:2379", "https://m1.example.org:2379"]
    assert urls([], 2379) == []


def test_a_passphrase_is_of_every_key_that_stays_on_the_controller():
    made = by_name(request(passphrase="new", old_passphrase="old")["cas"])
    for name in ("ca", "etcd-ca", "front-proxy-ca"):
        assert (made[name]["passphrase"], made[name]["old_passphrase"]) == ("new", "old")
    assert not {"passphrase", "old_passphrase"} & set(made["kubelet-ca"]), "masters sign with it"
    assert not [one for one in request()["cas"] if "passphrase" in one or "old_passphrase" in one]
    away = by_name(request(old_passphrase="old")["cas"])["ca"]
    assert away["old_passphrase"] == "old" and "passphrase" not in away


def test_a_passphrase_is_of_every_generation():
    generations = {"ca": {"trusted": [1, 2], "active": 1}}
    made = by_name(request(passphrase="new", generations=generations)["cas"])
    assert [made[name]["passphrase"] for name in ("ca", "ca-2")] == ["new", "new"]
    parse_request(request(passphrase="new", generations=generations))


def test_a_passphrase_and_a_single_authority_exclude_each_other():
    with pytest.raises(AnsibleFilterError, match=r"cluster_ca_passphrase.*Fix"):
        request(passphrase="new", single=True)
