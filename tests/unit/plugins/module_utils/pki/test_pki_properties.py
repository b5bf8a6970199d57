# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What holds for every request: what is asked is what is issued; it stays; one thing changed is one certificate issued anew, for that reason.

hypothesis draws the requests. A failure prints a `reproduce_failure` to repeat it with.
"""

from __future__ import annotations

import copy
import ipaddress
import os
import shutil
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("hypothesis")

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare, spec
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import OPTIONS, InvalidRequest, parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.values import classify_host
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.pki_directory import (
    changes,
    contents,
    described,
    pairs_match,
    reconcile,
)


def examples(number: int):
    # Without the phase `explain`, which takes longer than all the rest.
    phases = (Phase.explicit, Phase.generate, Phase.shrink)
    return settings(max_examples=number * EXAMPLES, deadline=None, database=None, print_blob=True, phases=phases)


# How many times as many as the suite has time for.
EXAMPLES = int(os.environ.get("HARDWAY_EXAMPLES", "1"))
HOUR = timedelta(hours=1)
OIDS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}
AUTHORITIES = [
    {"name": "ca", "subject": {"C": "CN", "O": "k8s", "CN": "kubernetes"}, "validity": "876000h"},
    {"name": "short", "subject": {"CN": "short"}, "validity": "400d", "key": {"type": "rsa"}},
]
KEYS = [{"type": "ecdsa", "size": size} for size in (256, 384, 521)] + [
    {"type": "rsa", "size": size} for size in (2048, 3072, 4096)
]
# The words of the documents' ca-config.json and the others of cfssl; each list fits both types of keys.
PROFILES = {
    "most": {"usages": ["signing", "key encipherment", "server auth", "client auth"]},
    "server only": {"usages": ["digital signature", "content commitment", "server auth"]},
    "agreeing": {"usages": ["signing", "key agreement", "data encipherment", "any"]},
    "code": {"usages": ["signing", "code signing", "timestamping", "ocsp signing", "s/mime", "ipsec user"]},
    "bare": {"usages": ["signing"]},
}
# RFC 5280, 4.2.1.12, and for IPsec the registry of SMI numbers.
EXTENDED = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
}


# Requests


def texts(longest: int):
    """Any script there is; no control characters."""
    characters = st.characters(exclude_categories=("Cc", "Cs"))
    return st.text(characters, min_size=1, max_size=longest).filter(lambda text: len(text.encode()) <= longest)


def labels():
    return st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)


def dns_names():
    # Four digits in a row would be an address.
    names = (
        st.lists(labels(), min_size=1, max_size=4)
        .map(".".join)
        .filter(lambda name: not name.replace(".", "").isdigit())
    )
    return names | names.map(lambda name: f"*.{name}")


def hosts():
    addresses = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str)
    uris = st.builds("{}://{}/{}".format, st.sampled_from(["spiffe", "https"]), labels(), labels())
    mails = st.builds("{}@{}.example.org".format, labels(), labels())
    return dns_names() | addresses | uris | mails


def subjects():
    lists = {field: st.lists(texts(64), max_size=2) for field in ("ST", "L", "O", "OU")}
    # A certificate for nobody is no request; CN is what all have here.
    return st.fixed_dictionaries({"CN": texts(64)}, optional={"C": st.sampled_from(["CN", "DE"]), **lists})


def validities():
    # Far enough from the end of `short` that nothing is cut by chance.
    hours = st.integers(1, 876000 // 2 - 1).map(lambda number: f"{number}h")
    return (
        hours
        | st.integers(1, 18000).map(lambda number: f"{number}d")
        | st.integers(1, 49).map(lambda number: f"{number}y")
    )


def leaves():
    return st.fixed_dictionaries(
        {
            "ca": st.sampled_from(["ca", "short"]),
            "profile": st.sampled_from(sorted(PROFILES)),
            "subject": subjects(),
            "hosts": st.lists(hosts(), max_size=5),
            "key": st.sampled_from(KEYS),
            "validity": validities(),
        }
    )


def requests(number: int):
    return st.lists(leaves(), min_size=number, max_size=number).map(
        lambda entries: {
            "cas": AUTHORITIES,
            "profiles": PROFILES,
            "certificates": [{"name": f"leaf{index}", **entry} for index, entry in enumerate(entries)],
            "renew_before": "0h",
        }
    )


@pytest.fixture(scope="module")
def cas(tmp_path_factory):
    """The CAs, made once; RSA keys for leaves come from a store too, for which key it is matters to nothing here."""
    path = tmp_path_factory.mktemp("made") / "pki"
    reconcile(path, {"cas": AUTHORITIES})
    store = {size: certs._generate_der(spec.KeyType("rsa", size)) for size in (2048, 3072, 4096)}
    generate = certs._generate_der
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            certs,
            "_generate_der",
            lambda key_type: store[key_type.size] if key_type.type == "rsa" else generate(key_type),
        )
        yield path


class Directory:
    """A new one for each example, with the CAs in it."""

    def __init__(self, cas: Path) -> None:
        self.above = tempfile.mkdtemp()
        self.path = Path(shutil.copytree(cas, Path(self.above) / "pki"))

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error) -> None:
        shutil.rmtree(self.above)


# Reading back, without the code that is under test


def asked_subject(subject: dict) -> list[tuple]:
    values = [(field, subject[field]) for field in OIDS if field in subject]
    return [
        (OIDS[field], value)
        for field, given_values in values
        for value in (given_values if isinstance(given_values, list) else [given_values])
    ]


def asked_names(given_hosts: list[str]) -> set:
    names = set()
    for host in given_hosts:
        try:
            names.add(ipaddress.ip_address(host))
        except ValueError:
            names.add(host if "//" in host or "@" in host else host.lower())
    return {getattr(name, "ipv4_mapped", None) or name for name in names}


def read_names(certificate) -> set:
    try:
        return {
            name.value for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        }
    except x509.ExtensionNotFound:
        return set()


def asked_flags(usages: list[str], key: dict) -> set[str]:
    flags = {"digital_signature"}
    flags |= {"content_commitment"} if "content commitment" in usages else set()
    if key["type"] == "rsa":
        return flags | {
            usage.replace(" ", "_") for usage in usages if usage in ("key encipherment", "data encipherment")
        }
    return flags | ({"key_agreement"} if "key agreement" in usages else set())


def read_flags(certificate) -> set[str]:
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    flags = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    return {flag for flag in flags if getattr(usage, flag)}


def read_extended(certificate) -> set[str]:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return set()
    return {usage.dotted_string for usage in usages}


def read_key(public_key) -> dict:
    if isinstance(public_key, rsa.RSAPublicKey):
        return {"type": "rsa", "size": public_key.key_size}
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    return {"type": "ecdsa", "size": public_key.curve.key_size}


def hours(validity: str) -> timedelta:
    return int(validity[:-1]) * {"h": HOUR, "d": 24 * HOUR, "y": 365 * 24 * HOUR}[validity[-1]]


def assert_as_asked(certificate, entry: dict, issuer, moment: datetime) -> None:
    extensions = certificate.extensions
    assert sorted((item.oid.dotted_string, item.value) for item in certificate.subject) == sorted(
        (oid.dotted_string, value) for oid, value in asked_subject(entry["subject"])
    )
    assert certificate.issuer == issuer.subject
    assert read_names(certificate) == asked_names(entry["hosts"])
    usages = PROFILES[entry["profile"]]["usages"]
    assert read_flags(certificate) == asked_flags(usages, entry["key"])
    assert read_extended(certificate) == {EXTENDED[usage] for usage in usages if usage in EXTENDED}
    assert read_key(certificate.public_key()) == entry["key"]
    ends = min(moment + hours(entry["validity"]), issuer.not_valid_after_utc)
    assert abs(certificate.not_valid_after_utc - ends) < timedelta(minutes=1)
    assert timedelta(0) < moment - certificate.not_valid_before_utc <= timedelta(minutes=6)
    assert certificate.serial_number.bit_length() >= 64
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and not constraints.value.ca
    assert extensions.get_extension_for_class(x509.KeyUsage).critical
    subject_key = extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert (
        subject_key.value == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        and not subject_key.critical
    )
    authority_key = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert (
        authority_key.value.key_identifier == x509.SubjectKeyIdentifier.from_public_key(issuer.public_key()).digest
        and not authority_key.critical
    )
    certificate.verify_directly_issued_by(issuer)


def load(path: Path, name: str):
    return x509.load_pem_x509_certificate((path / f"{name}.pem").read_bytes())


# The properties


@given(request=requests(2))
@examples(90)
def test_what_is_asked_is_issued_and_stays(cas, request):
    with Directory(cas) as path:
        moment = datetime.now(timezone.utc)
        planned = reconcile(path, request, check_mode=True)
        result = reconcile(path, request)
        assert changes(planned) == changes(result) == {"leaf0": "there was none", "leaf1": "there was none"}
        for entry in request["certificates"]:
            assert_as_asked(load(path, entry["name"]), entry, load(path, entry["ca"]), moment)
            for field in ("subject", "names", "usages", "issuer", "key", "limited_by"):
                assert described(planned, entry["name"])[field] == described(result, entry["name"])[field]
        assert pairs_match(path)
        before = contents(path)
        assert not reconcile(path, request)["changed"]
        assert contents(path) == before


def another_subject(draw, entry: dict) -> str:
    before = spec.Subject(_pairs(entry["subject"]))
    field = draw(st.sampled_from(["C", "O", "OU", "CN"]))
    if field in entry["subject"] and field != "CN" and draw(st.booleans()):
        del entry["subject"][field]
    else:
        entry["subject"][field] = draw(st.just("FR")) if field == "C" else draw(texts(64))
    after = spec.Subject(_pairs(entry["subject"]))
    assume(sorted(before.attributes) != sorted(after.attributes))
    return f"subject is {before}, asked is {after}"


def _pairs(subject: dict) -> tuple:
    fields = {oid: field for field, oid in OIDS.items()}
    return tuple((fields[oid], value) for oid, value in asked_subject(subject))


def one_more_host(draw, entry: dict) -> str:
    host = draw(hosts())
    assume(not asked_names([host]) <= asked_names(entry["hosts"]))
    entry["hosts"].append(host)
    return f"names to add: {spec.format_name(classify_host(host))}"


def one_host_less(draw, entry: dict) -> str:
    assume(entry["hosts"])
    host = entry["hosts"].pop(draw(st.integers(0, len(entry["hosts"]) - 1)))
    assume(not asked_names([host]) <= asked_names(entry["hosts"]))
    return f"names no longer asked for: {spec.format_name(classify_host(host))}"


def another_key(draw, entry: dict) -> str:
    before = spec.KeyType(**entry["key"])
    entry["key"] = draw(st.sampled_from([key for key in KEYS if key != entry["key"]]))
    return f"key is {before}, asked is {spec.KeyType(**entry['key'])}"


def another_profile(draw, entry: dict) -> str:
    entry["profile"] = draw(st.sampled_from([name for name in sorted(PROFILES) if name != entry["profile"]]))
    return "usages are "


def another_lifetime(draw, entry: dict) -> str:
    lasting = hours(entry["validity"])
    # Beyond the end of its CA no lifetime differs from another.
    assume(entry["ca"] == "ca" or lasting <= timedelta(days=200))
    entry["validity"] = f"{lasting // HOUR * 2}h"
    return f"lasts {compare.format_duration(lasting + timedelta(minutes=5))}, asked is {compare.format_duration(lasting * 2)}"


def another_authority(draw, entry: dict) -> str:
    assume(hours(entry["validity"]) <= timedelta(days=390))
    subject = {"ca": "C=CN, O=k8s, CN=kubernetes", "short": "CN=short"}
    before, entry["ca"] = entry["ca"], {"ca": "short", "short": "ca"}[entry["ca"]]
    return f"issued by {subject[before]}, asked is {entry['ca']} ({subject[entry['ca']]})"


CHANGES = [
    another_subject,
    one_more_host,
    one_host_less,
    another_key,
    another_profile,
    another_lifetime,
    another_authority,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@given(data=st.data())
@examples(25)
def test_one_thing_changed_is_one_certificate_issued_anew(cas, change, data):
    request = copy.deepcopy(data.draw(requests(3)))
    changed = copy.deepcopy(request)
    entry = changed["certificates"][data.draw(st.integers(0, 2))]
    reason = change(data.draw, entry)
    name = entry["name"]
    with Directory(cas) as path:
        reconcile(path, request)
        before = contents(path)
        planned = changes(reconcile(path, changed, check_mode=True))
        assert contents(path) == before
        assert changes(reconcile(path, changed)) == planned
        assert list(planned) == [name]
        assert planned[name].startswith(reason) if change is another_profile else planned[name] == reason
        after = contents(path)
        files = {f"{name}.pem", f"{name}-key.pem"} if change is another_key else {f"{name}.pem"}
        assert {file for file in after if after[file] != before[file]} == files
        assert_as_asked(load(path, name), entry, load(path, entry["ca"]), datetime.now(timezone.utc))
        assert not reconcile(path, changed)["changed"]


def junk():
    words = st.sampled_from(["ca", "leaf", "rsa", "10y", "ecdsa"])
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | words
    names = st.text(max_size=4) | st.sampled_from(["CN", "type"])
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


def entries(kind: str):
    option = st.sampled_from(sorted(OPTIONS[kind])) | st.text(max_size=4)
    return junk() | st.lists(st.dictionaries(option, junk(), max_size=6) | junk(), max_size=3)


@given(
    arguments=st.fixed_dictionaries(
        {},
        optional={
            **{kind: entries(kind) for kind in OPTIONS},
            **{option: junk() for option in ("profiles", "renew", "renew_before", "purge")},
        },
    )
)
@examples(250)
def test_anything_is_a_request_or_a_list_of_its_faults(arguments):
    try:
        parse_request(arguments)
    except InvalidRequest as error:
        assert error.problems and all(": " in problem for problem in error.problems)


@given(text=st.text(max_size=20) | hosts() | st.from_regex(r"[A-Za-z0-9.:/@*%<>,\[\]-]{1,20}", fullmatch=True))
@examples(250)
def test_what_passes_as_a_host_can_be_issued(text):
    try:
        name = classify_host(text)
    except ValueError as error:
        assert str(error)
        return
    extension = x509.SubjectAlternativeName([certs._general_name(name)])
    assert compare._classified(next(iter(extension))) == name
    assert extension.public_bytes()
    assert classify_host(name[1]) == name
