# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kubeadm's documents, with settings laid over them: documented in the file beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.merge import argument, merged

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    x509 = None

# kubeadm has them as lists of what has a name; a setting that names one should not have to repeat the others. Arguments are a name and a value.
ARGUMENTS = ("extraArgs", "kubeletExtraArgs")
NAMED = ("extraEnvs", "extraVolumes")


def kubeadm_documents(text: str, over: Mapping | None = None) -> str:
    """The documents of *text*, with the mappings of *over*, by kind, laid over them."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise AnsibleFilterError(
            f"kubeadm_documents: not YAML once rendered, look at the settings that it uses: {error}"
        ) from error
    kinds = [document["kind"] for document in documents]
    given = {kind: by_name(document) for kind, document in (over or {}).items() if kind in kinds}
    return yaml.safe_dump_all(
        [as_lists(merged(by_name(document), given.get(document["kind"], {}))) for document in documents],
        sort_keys=False,
        width=1000,
    )


def by_name(value, key=""):
    """Lists of what has a name as mappings; such mappings are taken, too."""
    if isinstance(value, Mapping):
        return {str(name): by_name(item, name) for name, item in value.items()}
    if isinstance(value, list) and key in ARGUMENTS:
        return {str(entry["name"]): by_name(entry.get("value", "")) for entry in value}
    if isinstance(value, list) and key in NAMED:
        return {
            str(entry["name"]): {part: by_name(item) for part, item in entry.items() if part != "name"}
            for entry in value
        }
    return [by_name(item) for item in value] if isinstance(value, list) else _plain(value)


def as_lists(value, key=""):
    if isinstance(value, dict) and key in ARGUMENTS:
        return [{"name": name, "value": argument(value[name])} for name in sorted(value)]
    if isinstance(value, dict) and key in NAMED:
        return [{"name": name, **value[name]} for name in sorted(value)]
    if isinstance(value, dict):
        return {name: as_lists(item, name) for name, item in value.items()}
    return [as_lists(item) for item in value] if isinstance(value, list) else value


def _plain(value):
    """Ansible's own kinds of text and numbers as Python's, which YAML can write."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def ca_hashes(bundle: str) -> list[str]:
    """What ``--discovery-token-ca-cert-hash`` takes for each certificate of a bundle: sha256 of its public key (RFC 7469)."""
    if x509 is None:
        raise AnsibleFilterError("ca_hashes: needs the Python library cryptography on the controller")
    return [
        "sha256:"
        + hashlib.sha256(
            certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).hexdigest()
        for certificate in x509.load_pem_x509_certificates(bundle.encode())
    ]


class FilterModule:
    def filters(self) -> dict:
        return {"ca_hashes": ca_hashes, "kubeadm_documents": kubeadm_documents}
