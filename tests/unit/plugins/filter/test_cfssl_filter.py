# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the filter cfssl reads from the documents' own files, and what it says of bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.cfssl import cfssl
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request

DOCUMENTS = Path(__file__).resolve().parents[3] / "interop" / "documents"
ALL_USAGES = ["signing", "key encipherment", "server auth", "client auth"]
RSA = {"algo": "rsa", "size": 2048}
CONFIG = {
    "signing": {
        "default": {"expiry": "87600h"},
        "profiles": {"www": {"expiry": "8760h", "usages": ["signing", "server auth"]}},
    }
}
AUTHORITY = {"CN": "kubernetes", "key": RSA, "names": [{"C": "CN", "O": "k8s"}]}
REQUEST = {"CN": "etcd", "hosts": ["127.0.0.1", "etcd.example.org"], "key": RSA}


def asked(files: dict | None = None, **settings: object) -> dict:
    """The filter on whole and valid files, but for those given; None leaves one out."""
    texts = {"ca-config.json": CONFIG, "ca-csr.json": AUTHORITY, "etcd-csr.json": REQUEST, **(files or {})}
    return cfssl(
        {name: text if isinstance(text, str) else json.dumps(text) for name, text in texts.items() if text is not None},
        **settings,
    )


def refusal(files: dict | None = None, **settings: object) -> list[str]:
    with pytest.raises(AnsibleFilterError) as error:
        asked(files, **settings)
    text = str(error.value)
    assert text.startswith("cfssl: ")
    return text.removeprefix("cfssl: ").splitlines()


# --- the documents' files


def test_document_000_as_it_stands():
    found = cfssl(str(DOCUMENTS / "000"))
    assert found["cas"] == [
        {
            "name": "ca",
            "subject": {"C": "CN", "ST": "BeiJing", "L": "BeiJing", "O": "k8s", "OU": "System", "CN": "kubernetes"},
            "key": {"type": "rsa", "size": 2048},
            "validity": "876000h",
        }
    ]
    assert found["profiles"] == {"kubernetes": {"usages": ALL_USAGES, "validity": "876000h"}}
    assert [(entry["name"], entry["profile"], len(entry["hosts"])) for entry in found["certificates"]] == [
        ("etcd", "kubernetes", 4),
        ("k8s", "kubernetes", 12),
        ("kube-proxy", "kubernetes", 0),
    ]
    assert found["certificates"][2] == {
        "name": "kube-proxy",
        "ca": "ca",
        "profile": "kubernetes",
        "subject": {"C": "CN", "L": "Beijing", "ST": "Beijing", "O": "k8s", "OU": "System", "CN": "system:kube-proxy"},
        "hosts": [],
        "key": {"type": "rsa", "size": 2048},
    }


@pytest.mark.parametrize(
    ("document", "ca", "profiles", "certificates"),
    [
        ("001/etcd", "etcd cluster", ["www"], ["server"]),
        ("001/k8s", "kubernetes-ca", ["kubernetes"], ["k8s-admin", "kube-proxy", "kubernetes"]),
        ("002", "etcd CA", ["www"], ["server"]),
        ("003", "etcd", ["server", "client", "peer"], []),
        ("004", "kubernetes", ["kubernetes"], []),
    ],
)
def test_the_other_documents(document, ca, profiles, certificates):
    found = cfssl(str(DOCUMENTS / document))
    assert found["cas"][0]["subject"]["CN"] == ca
    # cfssl's own five years, for none of these has a section `ca`.
    assert found["cas"][0]["validity"] == "43800h"
    assert list(found["profiles"]) == profiles
    assert [entry["name"] for entry in found["certificates"]] == certificates
    parse_request(found)


def test_document_003_names_its_files_otherwise(tmp_path):
    for path in (DOCUMENTS / "003").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"CN": "master-100", "hosts": ["master-100", "10.222.0.100"]}))
    found = cfssl(str(tmp_path), certificates={"client": "client.json", "server": "config.json", "peer": "config.json"})
    assert [(entry["name"], entry["profile"], entry["subject"]["CN"]) for entry in found["certificates"]] == [
        ("client", "client", "client"),
        ("server", "server", "master-100"),
        ("peer", "peer", "master-100"),
    ]
    assert found["certificates"][0]["key"] == {"type": "ecdsa", "size": 256}


def test_directories_and_files_of_one_list(tmp_path):
    for name, directory in (
        ("ca-config.json", "ca-ssl"),
        ("ca-csr.json", "ca-ssl"),
        ("etcd-csr.json", "etcd-ssl"),
        ("k8s-csr.json", "."),
    ):
        (tmp_path / directory).mkdir(exist_ok=True)
        (tmp_path / directory / name).write_bytes((DOCUMENTS / "000" / name).read_bytes())
    found = cfssl([str(tmp_path / "ca-ssl"), str(tmp_path / "etcd-ssl"), str(tmp_path / "k8s-csr.json")])
    assert [entry["name"] for entry in found["certificates"]] == ["etcd", "k8s"]


def test_a_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(DOCUMENTS))
    assert cfssl("~/000") == cfssl(str(DOCUMENTS / "000"))


# --- what a file may say, and leave out


def test_content_instead_of_paths_as_text_or_parsed():
    texts = {path.name: path.read_text() for path in (DOCUMENTS / "000").iterdir()}
    assert cfssl(texts)["cas"] == cfssl({name: json.loads(text) for name, text in texts.items()})["cas"]


def test_defaults_are_those_of_cfssl():
    found = asked({"ca-csr.json": {"CN": "ca"}, "etcd-csr.json": {"CN": "etcd", "hosts": None}})
    assert found["cas"] == [
        {"name": "ca", "subject": {"CN": "ca"}, "key": {"type": "ecdsa", "size": 256}, "validity": "43800h"}
    ]
    assert (found["certificates"][0]["hosts"], found["certificates"][0]["key"]) == ([], {"type": "ecdsa", "size": 256})


@pytest.mark.parametrize(
    ("section", "path_length"),
    [
        ({}, None),
        ({"pathlen": 2}, 2),
        ({"pathlen": 0}, None),
        ({"pathlen": 0, "pathlenzero": True}, 0),
        ({"pathlenzero": True}, 0),
        ({"pathlen": -1}, None),
    ],
)
def test_the_section_ca(section, path_length):
    ca = asked({"ca-csr.json": {**AUTHORITY, "ca": {"expiry": "8760h", **section}}})["cas"][0]
    assert (ca["validity"], ca.get("path_length")) == ("8760h", path_length)


def test_several_names():
    names = [{"C": "CN", "O": "k8s", "OU": ""}, {"O": "system:masters"}]
    assert asked({"etcd-csr.json": {**REQUEST, "names": names}})["certificates"][0]["subject"] == {
        "C": "CN",
        "O": ["k8s", "system:masters"],
        "CN": "etcd",
    }


def test_the_case_of_fields_does_not_matter_as_for_cfssl():
    found = asked(
        {
            "etcd-csr.json": {
                "cn": "etcd",
                "Hosts": ["127.0.0.1"],
                "KEY": {"Algo": "rsa", "Size": 3072},
                "names": [{"st": "BeiJing"}],
            }
        }
    )
    assert found["certificates"][0]["subject"] == {"ST": "BeiJing", "CN": "etcd"}
    assert (found["certificates"][0]["hosts"], found["certificates"][0]["key"]) == (
        ["127.0.0.1"],
        {"type": "rsa", "size": 3072},
    )


def test_a_profile_without_expiry_takes_the_default_one():
    config = {"signing": {"default": {"expiry": "168h"}, "profiles": {"www": {"usages": ["server auth"]}}}}
    assert asked({"ca-config.json": config})["profiles"] == {"www": {"usages": ["server auth"], "validity": "168h"}}


def test_the_default_profile_counts_where_it_has_usages():
    config = {"signing": {"default": {"expiry": "168h", "usages": ["server auth"]}}}
    found = asked({"ca-config.json": config})
    assert (found["profiles"], found["certificates"][0]["profile"]) == (
        {"default": {"usages": ["server auth"], "validity": "168h"}},
        "default",
    )


def test_which_profile():
    usages = {"usages": ["signing", "client auth"], "expiry": "8760h"}
    config = {"signing": {"profiles": {"etcd": usages, "client": usages}}}
    files = {"ca-config.json": config}
    assert asked(files)["certificates"][0]["profile"] == "etcd"
    assert asked(files, profile="client")["certificates"][0]["profile"] == "client"
    assert (
        asked(files, certificates={"x": {"file": "etcd-csr.json", "profile": "client"}})["certificates"][0]["profile"]
        == "client"
    )


def test_without_configuration_the_modules_profiles_count():
    found = asked({"ca-config.json": None})
    assert (found["profiles"], found["certificates"][0]["profile"]) == ({}, "kubernetes")
    assert asked({"ca-config.json": None}, profile="server")["certificates"][0]["profile"] == "server"


def test_requests_for_an_authority_that_is_described_elsewhere():
    found = asked({"ca-csr.json": None}, ca="etcd-ca")
    assert (found["cas"], found["certificates"][0]["ca"]) == ([], "etcd-ca")


def test_an_authority_that_cfssl_made_already():
    pair = {"certificate": "~/TLS/ca.pem", "key": "~/TLS/ca-key.pem"}
    found = asked(ca="etcd-ca", import_from=pair)
    assert (found["cas"], found["certificates"][0]["ca"]) == (
        [{"name": "etcd-ca", "import_from": pair}],
        "etcd-ca",
    )


# --- bad files: which, where, and what to do


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"etcd-csr.json": '{"CN": "etcd",}'}, "etcd-csr.json: line 1, column 15: is not JSON ("),
        (
            {"etcd-csr.json": ""},
            "etcd-csr.json: line 1, column 1: is not JSON (Expecting value); look for a comma or a bracket too many or too few",
        ),
        ({"etcd-csr.json": "[]"}, "etcd-csr.json: holds a list, not an object in braces"),
        (
            {"etcd-csr.json": {**REQUEST, "host": []}},
            "etcd-csr.json: host: is not a field that the module certificates has; there are CN, hosts, ",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "serialnumber": "1"}},
            "etcd-csr.json: serialnumber: is not a field that the module certificates has; ",
        ),
        ({"etcd-csr.json": {**REQUEST, "CN": 7}}, "etcd-csr.json: CN: is a number, not a text; write it in quotes"),
        (
            {"etcd-csr.json": {**REQUEST, "hosts": "127.0.0.1"}},
            "etcd-csr.json: hosts: is a text, not a list in brackets",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "hosts": ["a", 7]}},
            "etcd-csr.json: hosts[1]: is a number, not a text; write it in quotes",
        ),
        ({"etcd-csr.json": {**REQUEST, "hosts": [""]}}, "etcd-csr.json: hosts: an empty host"),
        (
            {"etcd-csr.json": {**REQUEST, "hosts": ["10.0.0.300"]}},
            "etcd-csr.json: hosts: '10.0.0.300' is not an IP address",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "hosts": ["$PRIVATE_IP"]}},
            "etcd-csr.json: hosts: '$PRIVATE_IP' is not a DNS name",
        ),
        ({"etcd-csr.json": {**REQUEST, "key": "rsa"}}, "etcd-csr.json: key: is a text, not an object in braces"),
        (
            {"etcd-csr.json": {**REQUEST, "key": {"algo": "rsa", "size": "2048"}}},
            "etcd-csr.json: key.size: is a text, not a number; write it without quotes",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "key": {"algo": "rsa", "size": 1024}}},
            "etcd-csr.json: key.size: '1024' is not a size of rsa keys",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "key": {"algo": "ed25519"}}},
            "etcd-csr.json: key.algo: 'ed25519' is not a type of key; there are rsa and ecdsa",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "key": {"algo": "rsa"}}},
            "etcd-csr.json: key.size: '256' is not a size of rsa keys",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "names": {"C": "CN"}}},
            "etcd-csr.json: names: is an object, not a list in brackets",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "names": [{"E": "x@example.org"}]}},
            "etcd-csr.json: names[0].E: is not a field that the module certificates has; ",
        ),
        (
            {"etcd-csr.json": {**REQUEST, "names": [{"C": "China"}]}},
            "etcd-csr.json: names.C: 'China' is not a country's two capital letters",
        ),
        ({"etcd-csr.json": {"key": RSA}}, "etcd-csr.json: CN: has neither a subject nor hosts"),
        (
            {"etcd-csr.json": {**REQUEST, "ca": {}}},
            "ca-csr.json, etcd-csr.json: each is a CA's (by a section 'ca', or by the name ca-csr.json), ",
        ),
        ({"ca-csr.json": {"key": RSA}}, "ca-csr.json: CN: is empty; a CA needs at least a CN"),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"expiry": "ten years"}}},
            "ca-csr.json: ca.expiry: 'ten years' is not a duration; write a number and a unit",
        ),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"expiry": "999999h"}}},
            "ca-csr.json: ca.expiry: '999999h' is longer than 876000h",
        ),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"expiry": 87600}}},
            "ca-csr.json: ca.expiry: is a number, not a text; write it in quotes",
        ),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"pathlen": 99}}},
            "ca-csr.json: ca.pathlen: '99' is not a number from 0 to 32",
        ),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"pathlen": 1.5}}},
            "ca-csr.json: ca.pathlen: is a fraction, not a number",
        ),
        (
            {"ca-csr.json": {**AUTHORITY, "ca": {"pathlenzero": "y"}}},
            "ca-csr.json: ca.pathlenzero: is a text, not true or false; write it without quotes",
        ),
        (
            {"ca-config.json": {"signing": {"profile": {}}}},
            "ca-config.json: signing.profile: is not a field that the module certificates has; ",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {}}}},
            "etcd-csr.json: profile: ca-config.json has none, and none is called etcd: add one",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {"www": {"expiry": "1h"}}}}},
            "ca-config.json: signing.profiles.www.usages: is not a list of usages",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {"www": ["signing"]}}}},
            "ca-config.json: signing.profiles.www: is a list, not an object in braces",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {"www": {"usages": ["server"]}}}}},
            "ca-config.json: signing.profiles.www.usages: 'server' is not a usage; there are signing, ",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {"www": {"usages": ["cert sign"]}}}}},
            "ca-config.json: signing.profiles.www.usages: 'cert sign' is for CAs alone",
        ),
        (
            {"ca-config.json": {"signing": {"profiles": {"www": {"usages": ["signing"], "expiry": "0h"}}}}},
            "ca-config.json: signing.profiles.www.expiry: '0h' is shorter than an hour",
        ),
        (
            {
                "ca-config.json": {
                    "signing": {"profiles": {"www": {"usages": ["signing"], "ca_constraint": {"is_ca": True}}}}
                }
            },
            "ca-config.json: signing.profiles.www.ca_constraint: is not a field that the module certificates has; there are expiry, usages: remove it",
        ),
        ({"x y-csr.json": REQUEST}, "x y-csr.json: its name: 'x y' cannot be a file's name; "),
    ],
)
def test_a_bad_file(files, problem):
    found = refusal(files)
    assert len(found) == 1
    assert found[0].startswith(problem), found[0]


def test_a_misspelt_field_is_told_its_neighbour():
    assert refusal({"etcd-csr.json": {**REQUEST, "host": []}})[0].endswith(": 'hosts' is near")
    assert refusal({"etcd-csr.json": {**REQUEST, "crl_url": ""}})[0].endswith(": remove it")


def test_all_problems_at_once():
    found = refusal(
        {
            "etcd-csr.json": {**REQUEST, "hosts": ["a:1"], "key": {"algo": "rsa", "size": 1}},
            "ca-csr.json": {"CN": "x", "ca": {"expiry": "1"}},
        }
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["ca-csr.json", "ca.expiry"],
        ["etcd-csr.json", "hosts"],
        ["etcd-csr.json", "key.size"],
    ]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"profile": "www2"}, "etcd-csr.json: profile: 'www2' is not a profile of ca-config.json; there are www"),
        (
            {"certificates": {"x": "y.json"}},
            "certificates: x.file: 'y.json' is not among the files; there are etcd-csr.json",
        ),
        (
            {"certificates": {"x": ["y.json"]}},
            "certificates: x: is neither a file's name nor a dictionary with file and profile; ",
        ),
        (
            {"certificates": {"x": {"file": "etcd-csr.json", "hosts": []}}},
            "certificates: x: is neither a file's name nor a dictionary with file and profile; ",
        ),
        ({"certificates": {"../x": "etcd-csr.json"}}, "etcd-csr.json: its name: '../x' cannot be a file's name; "),
        ({"ca": "a/b"}, "ca-csr.json: its name: 'a/b' cannot be a file's name; "),
    ],
)
def test_a_bad_argument(settings, problem):
    assert refusal(**settings)[0].startswith(problem)


def test_several_profiles_and_none_of_the_name():
    usages = {"usages": ["signing"], "expiry": "8760h"}
    found = refusal({"ca-config.json": {"signing": {"profiles": {"server": usages, "client": usages}}}})
    assert found == [
        "etcd-csr.json: profile: ca-config.json has server, client, and none is called etcd: "
        "name one, such as profile='server' or certificates={'etcd': {'file': 'etcd-csr.json', 'profile': ...}}"
    ]


def test_two_files_of_one_name(tmp_path):
    for directory in ("a", "b"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "etcd-csr.json").write_text(json.dumps(REQUEST))
    with pytest.raises(
        AnsibleFilterError,
        match=r"/b/etcd-csr.json: its name: its file etcd.pem is that of certificates\[etcd\] already; rename it",
    ):
        cfssl([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(
        AnsibleFilterError,
        match=r"certificates: x.file: 'etcd-csr.json' is the name of several files; write its whole path",
    ):
        cfssl([str(tmp_path / "a"), str(tmp_path / "b")], certificates={"x": "etcd-csr.json"})
    found = cfssl([str(tmp_path / "a"), str(tmp_path / "b")], certificates={"x": str(tmp_path / "a/etcd-csr.json")})
    assert [entry["name"] for entry in found["certificates"]] == ["x", "etcd"]


def test_two_configurations():
    files = {"a.json": CONFIG}
    assert refusal(files)[0].startswith(
        "ca-config.json, a.json: each is a configuration with profiles, and one is what counts; "
    )


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "latin-csr.json").write_bytes(b'{"CN": "\xe9"}')
    with pytest.raises(AnsibleFilterError) as error:
        cfssl([str(tmp_path / "none.json"), str(tmp_path), "/proc/self/fd"])
    assert str(error.value).splitlines() == [
        "cfssl: /proc/self/fd: holds neither ca-config.json nor any *-csr.json; name the directory that does, or the files themselves",
        f"{tmp_path}/none.json: No such file or directory; name a file of cfssl, or a directory with such files, on the controller",
        f"{tmp_path}/latin-csr.json: is not UTF-8 (byte 8); save it as such",
    ]
    with pytest.raises(AnsibleFilterError, match=r"cfssl: is given no file; name ca-config.json, "):
        cfssl([])
