# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a request may say, and how each fault is named."""
from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from ansible_collections.hardway.kubernetes.plugins.module_utils import pki_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki_request import InvalidRequest, classify_host, parse_duration, parse_request

GOOD = {
    "authorities": [{"name": "ca", "subject": {"C": "CN", "O": "k8s", "CN": "kubernetes"}, "key": {"type": "rsa", "size": 2048}}],
    "certificates": [{"name": "etcd", "authority": "ca", "profile": "peer", "subject": {"CN": "etcd"}, "hosts": ["127.0.0.1", "etcd"]}],
    "keys": [{"name": "service-account"}, {"name": "encryption", "type": "random", "size": 32}],
    "bundles": [{"name": "client-ca", "authorities": ["ca"]}],
}

CERTIFICATE = ("certificates", 0)
AUTHORITY = ("authorities", 0)

# where in the request, what stands there instead, what the message names
FAULTS = {
    "unknown authority": ((*CERTIFICATE, "authority"), "cb", "certificates[etcd].authority: 'cb'"),
    "no authority": ((*CERTIFICATE, "authority"), None, "certificates[etcd].authority: is missing"),
    "unknown profile": ((*CERTIFICATE, "profile"), "www", "certificates[etcd].profile: 'www'"),
    "address out of range": ((*CERTIFICATE, "hosts"), ["10.0.0.300"], "certificates[etcd].hosts: '10.0.0.300' is not an IP address"),
    "network as host": ((*CERTIFICATE, "hosts"), ["10.0.0.0/24"], "certificates[etcd].hosts: '10.0.0.0/24' is a network"),
    "host with port": ((*CERTIFICATE, "hosts"), ["etcd:2379"], "certificates[etcd].hosts: 'etcd:2379' carries"),
    "bracketed address": ((*CERTIFICATE, "hosts"), ["[::1]"], "certificates[etcd].hosts: '[::1]' carries"),
    "address with zone": ((*CERTIFICATE, "hosts"), ["fe80::1%eth0"], "carries a zone"),
    "empty host": ((*CERTIFICATE, "hosts"), [""], "certificates[etcd].hosts: an empty host"),
    "host with space": ((*CERTIFICATE, "hosts"), ["a b"], "is not a DNS name"),
    "inner wildcard": ((*CERTIFICATE, "hosts"), ["a.*.org"], "a wildcard stands only"),
    "label too long": ((*CERTIFICATE, "hosts"), ["a" * 64 + ".org"], "is not a DNS name"),
    "name too long": ((*CERTIFICATE, "hosts"), ["a." * 130 + "org"], "longer than 253"),
    "name beyond ascii": ((*CERTIFICATE, "hosts"), ["müller.de"], "punycode"),
    "hosts no list": ((*CERTIFICATE, "hosts"), "10.0.0.1", "certificates[etcd].hosts: is not a list"),
    "nothing to name": ((*CERTIFICATE,), {"name": "etcd", "authority": "ca"}, "certificates[etcd]: has neither a subject nor hosts"),
    "unknown subject field": ((*CERTIFICATE, "subject"), {"CN": "x", "Org": "y"}, "certificates[etcd].subject.Org"),
    "long common name": ((*CERTIFICATE, "subject"), {"CN": "x" * 65}, "certificates[etcd].subject.CN"),
    "bad country": ((*CERTIFICATE, "subject"), {"CN": "x", "C": "China"}, "certificates[etcd].subject.C"),
    "two common names": ((*CERTIFICATE, "subject"), {"CN": ["x", "y"]}, "certificates[etcd].subject.CN: has more than one"),
    "control character": ((*CERTIFICATE, "subject"), {"CN": "x\n"}, "certificates[etcd].subject.CN: holds control"),
    "subject no mapping": ((*CERTIFICATE, "subject"), "CN=x", "certificates[etcd].subject: is not a mapping"),
    "unknown key type": ((*CERTIFICATE, "key"), {"type": "dsa"}, "certificates[etcd].key.type: 'dsa'"),
    "small rsa key": ((*CERTIFICATE, "key"), {"type": "rsa", "size": 1024}, "certificates[etcd].key.size: '1024'"),
    "rsa size for ecdsa": ((*CERTIFICATE, "key"), {"type": "ecdsa", "size": 2048}, "certificates[etcd].key.size: '2048'"),
    "validity without unit": ((*CERTIFICATE, "validity"), "8760", "certificates[etcd].validity: '8760'"),
    "validity of nothing": ((*CERTIFICATE, "validity"), "0h", "certificates[etcd].validity: '0h' is shorter"),
    "validity without end": ((*CERTIFICATE, "validity"), "876001h", "certificates[etcd].validity: '876001h' is longer"),
    "validity negative": ((*CERTIFICATE, "validity"), "-5h", "certificates[etcd].validity: '-5h'"),
    "name with slash": ((*CERTIFICATE, "name"), "../ca", "certificates[../ca].name"),
    "empty name": ((*CERTIFICATE, "name"), "", "certificates[].name"),
    "hidden name": ((*CERTIFICATE, "name"), ".lock", "certificates[.lock].name"),
    "same file twice": ((*CERTIFICATE, "name"), "ca", "certificates[ca].name: its file ca.pem is that of authorities[ca]"),
    "key file of another": ((*CERTIFICATE, "name"), "ca-key", "certificates[ca-key].name: its file ca-key.pem is that of authorities[ca]"),
    "authority without subject": ((*AUTHORITY, "subject"), {}, "authorities[ca].subject: is empty"),
    "authority below itself": ((*AUTHORITY, "issuer"), "ca", "authorities[ca]: goes round in a circle"),
    "unknown issuer": ((*AUTHORITY, "issuer"), "root", "authorities[ca].issuer: 'root'"),
    "half an adoption": ((*AUTHORITY, "adopt"), {"certificate": "/x"}, "authorities[ca].adopt: needs the paths of both"),
    "path length": ((*AUTHORITY, "path_length"), -1, "authorities[ca].path_length"),
    "empty bundle": (("bundles", 0, "authorities"), [], "bundles[client-ca]: is empty"),
    "bundle of both": (("bundles", 0, "keys"), ["service-account"], "bundles[client-ca]: authorities and keys exclude each other"),
    "unknown key in bundle": (("bundles", 0, "keys"), ["service"], "bundles[client-ca].keys: 'service' is not a key"),
    "random bytes in bundle": (("bundles", 0, "keys"), ["encryption"], "bundles[client-ca].keys: 'encryption' is random bytes"),
    "renew nothing": (("renew",), ["etcd", "etc-*"], "renew: 'etc-*' matches no certificate"),
    "renew an authority": (("renew",), ["ca"], "renew: 'ca' matches no certificate"),
    "unknown in bundle": (("bundles", 0, "authorities"), ["cb"], "bundles[client-ca].authorities: 'cb'"),
    "key size": (("keys", 0, "size"), 1024, "keys[service-account].size: '1024'"),
    "too few random bytes": (("keys", 1, "size"), 8, "keys[encryption].size: '8'"),
    "unknown usage": (("profiles",), {"server": {"usages": ["serve"]}}, "profiles[server].usages: 'serve'"),
    "authority's usage": (("profiles",), {"server": {"usages": ["cert sign"]}}, "profiles[server].usages: 'cert sign' is for authorities"),
    "profile without usages": (("profiles",), {"mine": {"validity": "1y"}}, "profiles[mine].usages"),
    "unknown profile setting": (("profiles",), {"server": {"usage": []}}, "profiles[server].usage"),
    "renew_before": (("renew_before",), "a month", "renew_before: 'a month'"),
}


def changed(place: tuple, value: object) -> dict:
    request = copy.deepcopy(GOOD)
    target = request
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    return request


def problems(request: dict) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(request)
    return caught.value.problems


def test_a_good_request_has_no_problem():
    request = parse_request(GOOD)
    assert [authority.name for authority in request.authorities] == ["ca"]
    assert request.certificates[0].names == {("IP", "127.0.0.1"), ("DNS", "etcd")}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_entry_and_field(fault):
    place, value, message = FAULTS[fault]
    found = problems(changed(place, value))
    assert any(message in problem for problem in found), found


def test_all_faults_are_named_at_once():
    request = changed((*CERTIFICATE, "hosts"), ["10.0.0.300", "a b"])
    request["authorities"][0]["validity"] = "long"
    request["keys"][0]["type"] = "dsa"
    assert len(problems(request)) == 4


def test_path_length_bounds_intermediates():
    request = copy.deepcopy(GOOD)
    request["authorities"] = [
        {"name": "ca", "subject": {"CN": "ca"}, "path_length": 0},
        {"name": "sub", "subject": {"CN": "sub"}, "issuer": "ca"},
    ]
    assert any("authorities[sub].issuer: 'ca' has path_length 0" in problem for problem in problems(request))


def test_issuers_come_before_those_that_they_sign():
    request = copy.deepcopy(GOOD)
    request["authorities"] = [
        {"name": "low", "subject": {"CN": "low"}, "issuer": "middle"},
        {"name": "ca", "subject": {"CN": "ca"}},
        {"name": "middle", "subject": {"CN": "middle"}, "issuer": "ca"},
    ]
    assert [authority.name for authority in parse_request(request).authorities] == ["ca", "middle", "low"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.0.1", ("IP", "10.0.0.1")),
        ("2001:DB8::1", ("IP", "2001:db8::1")),
        ("kubernetes.default.svc", ("DNS", "kubernetes.default.svc")),
        ("Node1.Example.ORG", ("DNS", "node1.example.org")),
        ("*.example.org", ("DNS", "*.example.org")),
        ("spiffe://cluster.local/ns/default", ("URI", "spiffe://cluster.local/ns/default")),
        ("me@example.org", ("email", "me@example.org")),
    ],
)
def test_hosts_are_told_apart_as_cfssl_does(host, expected):
    assert classify_host(host) == expected


@pytest.mark.parametrize(("text", "hours"), [("876000h", 876000), ("3650d", 87600), ("10y", 87600), ("8760h0m0s", 8760), ("1d12h", 36)])
def test_durations(text, hours):
    assert parse_duration(text) == timedelta(hours=hours)


def test_a_profile_may_name_its_validity_alone():
    request = copy.deepcopy(GOOD)
    request["profiles"] = {"peer": {"validity": "1y"}}
    certificate = parse_request(request).certificates[0]
    assert certificate.validity == timedelta(days=365)
    assert certificate.extended_key_usages == {pki_request.EXTENDED_KEY_USAGES["server auth"], pki_request.EXTENDED_KEY_USAGES["client auth"]}


def test_patterns_name_the_certificates_to_renew():
    request = copy.deepcopy(GOOD)
    request["certificates"] += [{"name": name, "authority": "ca", "subject": {"CN": name}} for name in ("etcd-1", "etcd-2", "admin")]
    assert parse_request(request).renew == frozenset()
    assert parse_request({**request, "renew": ["etcd-*", "ad?in"]}).renew == {"etcd-1", "etcd-2", "admin"}


def test_only_rsa_keys_encipher():
    request = copy.deepcopy(GOOD)
    assert parse_request(request).certificates[0].key_usages == {"digital_signature"}
    request["certificates"][0]["key"] = {"type": "rsa"}
    assert parse_request(request).certificates[0].key_usages == {"digital_signature", "key_encipherment"}
