# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a request may say; how each fault is named is in test_certificates_faults.py."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import spec
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import InvalidRequest, parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.values import classify_host, parse_duration

GOOD = {
    "cas": [
        {"name": "ca", "subject": {"C": "CN", "O": "k8s", "CN": "kubernetes"}, "key": {"type": "rsa", "size": 2048}}
    ],
    "certificates": [
        {
            "name": "etcd",
            "ca": "ca",
            "profile": "peer",
            "subject": {"CN": "etcd"},
            "hosts": ["127.0.0.1", "etcd"],
        }
    ],
    "keys": [{"name": "service-account"}, {"name": "encryption", "type": "random", "size": 32}],
    "bundles": [{"name": "client-ca", "cas": ["ca"]}],
}

CERTIFICATE = ("certificates", 0)


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
    assert [ca.name for ca in request.cas] == ["ca"]
    assert request.certificates[0].names == {("IP", "127.0.0.1"), ("DNS", "etcd")}


def test_all_faults_are_named_at_once():
    request = changed((*CERTIFICATE, "hosts"), ["10.0.0.300", "a b"])
    request["cas"][0]["validity"] = "long"
    request["keys"][0]["type"] = "dsa"
    assert len(problems(request)) == 4


def test_issuers_come_before_those_that_they_sign():
    request = copy.deepcopy(GOOD)
    request["cas"] = [
        {"name": "low", "subject": {"CN": "low"}, "issuer": "middle"},
        {"name": "ca", "subject": {"CN": "ca"}},
        {"name": "middle", "subject": {"CN": "middle"}, "issuer": "ca"},
    ]
    assert [ca.name for ca in parse_request(request).cas] == ["ca", "middle", "low"]


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


@pytest.mark.parametrize(
    ("text", "hours"), [("876000h", 876000), ("3650d", 87600), ("10y", 87600), ("8760h0m0s", 8760), ("1d12h", 36)]
)
def test_durations(text, hours):
    assert parse_duration(text) == timedelta(hours=hours)


def test_a_profile_may_name_its_validity_alone():
    request = copy.deepcopy(GOOD)
    request["profiles"] = {"peer": {"validity": "1y"}}
    certificate = parse_request(request).certificates[0]
    assert certificate.validity == timedelta(days=365)
    assert certificate.extended_key_usages == {
        spec.EXTENDED_KEY_USAGES["server auth"],
        spec.EXTENDED_KEY_USAGES["client auth"],
    }


def test_patterns_name_the_certificates_to_renew():
    request = copy.deepcopy(GOOD)
    request["certificates"] += [
        {"name": name, "ca": "ca", "subject": {"CN": name}} for name in ("etcd-1", "etcd-2", "admin")
    ]
    assert parse_request(request).renew == frozenset()
    assert parse_request({**request, "renew": ["etcd-*", "ad?in"]}).renew == {"etcd-1", "etcd-2", "admin"}


def test_only_rsa_keys_encipher():
    request = copy.deepcopy(GOOD)
    assert parse_request(request).certificates[0].key_usages == {"digital_signature"}
    request["certificates"][0]["key"] = {"type": "rsa"}
    assert parse_request(request).certificates[0].key_usages == {"digital_signature", "key_encipherment"}
