# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The same files, given to cfssl and to the module, give the same certificates, but for the differences that fields.py names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import conftest
import documents
import fields
import pytest
import tools
from ansible.errors import AnsibleFilterError

ALL = [
    (document.name, name)
    for document in documents.COMPARED
    for name in ("ca", *(certificate.name for certificate in document.certificates))
]


@pytest.mark.parametrize(("document", "name"), ALL, ids=[f"{document}-{name}" for document, name in ALL])
def test_every_field_is_equal_or_differs_on_purpose(made, document, name):
    pair = made[document].pairs[name]
    text = fields.table(f"{document} {name}", pair)
    print(text)
    assert [field for field, listed in fields.differing(pair).items() if not listed] == [], text


def test_an_unlisted_difference_is_found(made):
    """A listed reason holds only where it is the reason: another subject, lifetime or usage has none."""
    pairs = made["003"].pairs
    crossed = fields.differing(fields.Pair(pairs["peer"].cfssl, pairs["client"].module))
    assert {name for name, listed in crossed.items() if not listed} == {"subject", "extendedKeyUsage", "subjectAltName"}
    crossed = fields.differing(fields.Pair(made["000"].pairs["ca"].cfssl, made["001/k8s"].pairs["ca"].module))
    assert {name for name, listed in crossed.items() if not listed} == {"issuer", "lifetime", "subject"}


def test_every_difference_on_purpose_still_occurs(made):
    """And the table: how often each field is equal, and how often it differs, and why."""
    pairs = {f"{document} {name}": made[document].pairs[name] for document, name in ALL}
    found = {title: fields.differing(pair) for title, pair in pairs.items()}
    conftest.SUMMARY += summary(pairs, found)
    assert {key for differences in found.values() for key in differences.values()} == set(fields.DIFFERENCES)


def summary(pairs: dict[str, fields.Pair], found: dict[str, dict[str, str]]) -> list[str]:
    lines = [
        f"{len(pairs)} certificates, 17 of them of the documents, by cfssl {tools.CFSSL_VERSION} and by the module:"
    ]
    for name in fields.FIELDS:
        keys = [differences[name] for differences in found.values() if name in differences]
        counts = ", ".join(f"{keys.count(key)} {key or 'NOT LISTED'}" for key in dict.fromkeys(keys))
        lines.append(f"  {name:<25} equal in {len(pairs) - len(keys):>2}{'; differs: ' if keys else ''}{counts}")
    return lines


def test_the_document_names_the_differences():
    page = (tools.ROOT / "docs" / "01-certificates.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| `([^|]+)` \| ([^|]+) \|$", page, re.MULTILINE)
    assert rows == [
        (key, difference.field.partition(",")[0], difference.reason) for key, difference in fields.DIFFERENCES.items()
    ]


def test_what_outlives_its_authority_is_said(made):
    """cfssl is silent about it; the result names the authority whose end comes first."""
    capped = {
        name: {entry["name"] for entry in one.result["certificates"] if entry["limited_by"] == "ca"}
        for name, one in made.items()
    }
    found = {name: ends for name, ends in capped.items() if ends}
    assert found == {"001/etcd": {"server"}, "001/k8s": {"kubernetes", "kube-proxy", "k8s-admin"}, "002": {"server"}}


def test_files_of_the_same_names_and_formats(made):
    """NAME.pem and NAME-key.pem, with the same first line; the requests (NAME.csr) have no reader, so there are none."""
    for one in made.values():
        theirs, ours = (
            {path.name: path.read_text().splitlines()[0] for path in way.glob("*.pem")}
            for way in (one.cfssl, one.module)
        )
        assert theirs == ours
        assert {path.stat().st_mode & 0o777 for path in one.module.glob("*-key.pem")} == {0o600}


MISTAKEN = ["10.0.0.300", "10.0.0.0/24", "10.0.0.1:6443", "a b"]


@pytest.mark.filterwarnings("ignore:Attribute's length")
def test_what_cfssl_takes_and_the_module_refuses(tmp_path):
    """The page's table of what each does with the files."""
    for name in ("ca-config.json", "ca-csr.json"):
        (tmp_path / name).write_bytes((documents.FILES / "beyond" / name).read_bytes())
    mistaken = {
        "CN": "x" * 65,
        "host": ["a.example.org"],
        "hosts": MISTAKEN,
        "names": [{"C": "China"}],
        "key": {"algo": "ecdsa", "size": 256},
    }
    (tmp_path / "mistaken-csr.json").write_text(json.dumps(mistaken))
    documents.shell("cfssl gencert -initca ca-csr.json | cfssljson -bare ca", tmp_path)
    documents.sign(documents.Gencert("mistaken", "mistaken-csr.json", "every"), tmp_path)
    issued = fields.Certificate.read(tmp_path, "mistaken", fields.now())
    assert issued.names == [f"DNSName:{name}" for name in MISTAKEN]
    assert issued.fields["subject"] == f"C=China, CN={'x' * 65}"
    assert_refused(tmp_path, ["mistaken-csr.json: host: is not a field", "'hosts' is near"])
    del mistaken["host"]
    (tmp_path / "mistaken-csr.json").write_text(json.dumps(mistaken))
    assert_refused(tmp_path, [*(f"'{name}'" for name in MISTAKEN), "'China'", "has 65"])


def assert_refused(directory: Path, told: list[str]) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        documents.asked(documents.BEYOND, directory)
    assert [words for words in told if words not in str(refused.value)] == [], refused.value


def test_cfssl_replaces_an_authority(tmp_path):
    """Which the module never does; test_a_second_run_changes_nothing."""
    script = "cfssl gencert -initca ca-csr.json | cfssljson -bare ca"
    (tmp_path / "ca-csr.json").write_text(json.dumps({"CN": "ca"}))
    documents.shell(script, tmp_path)
    before = (tmp_path / "ca-key.pem").read_bytes()
    documents.shell(script, tmp_path)
    assert (tmp_path / "ca-key.pem").read_bytes() != before


def test_a_second_run_changes_nothing(made):
    for one in made.values():
        assert not documents.by_module(one.arguments, one.module)["changed"]
