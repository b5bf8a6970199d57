# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kubeadm's documents, with settings laid over them: documented in the file beside this one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.module_utils.merging import argument, merged

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    x509 = None

# kubeadm has them as lists of name and value; a setting that names one argument should not have to repeat the others.
ARGUMENTS = ("extraArgs", "kubeletExtraArgs")


def kubeadm_documents(text: str, over: Mapping | None = None) -> str:
    """The documents of *text*, with the mappings of *over*, by kind, laid over them."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise AnsibleFilterError(f"kubeadm_documents: not YAML once rendered, look at the settings that it uses: {error}") from error
    kinds = [document["kind"] for document in documents]
    given = {kind: by_name(document) for kind, document in (over or {}).items() if kind in kinds}
    return yaml.safe_dump_all([as_lists(merged(by_name(document), given.get(document["kind"], {}))) for document in documents], sort_keys=False, width=1000)


def by_name(value):
    """Arguments as a mapping; kubeadm's own lists of name and value are taken, too."""
    if isinstance(value, Mapping):
        return {
            str(key): {str(entry["name"]): entry.get("value", "") for entry in item} if key in ARGUMENTS and isinstance(item, list) else by_name(item)
            for key, item in value.items()
        }
    return [by_name(item) for item in value] if isinstance(value, list) else _plain(value)


def as_lists(value):
    if isinstance(value, dict):
        return {
            key: [{"name": name, "value": argument(item[name])} for name in sorted(item)] if key in ARGUMENTS and isinstance(item, dict) else as_lists(item)
            for key, item in value.items()
        }
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
        "sha256:" + hashlib.sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
        for certificate in x509.load_pem_x509_certificates(bundle.encode())
    ]


class FilterModule:
    def filters(self) -> dict:
        return {"ca_hashes": ca_hashes, "kubeadm_documents": kubeadm_documents}
