#!/usr/bin/python
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Keep a directory of CAs, certificates and keys true
version_added: 0.1.0
author: hardway.kubernetes contributors (@hardway)
description:
  - One call describes everything that a directory is to hold - CAs, certificates that they sign, plain keys and
    bundles - and makes it so. It takes the place of C(cfssl) and C(cfssljson), with their words and file names
    (C(NAME.pem), C(NAME-key.pem)).
  - A certificate is reissued when anything in it differs from what is asked (subject, names, usages, key, issuer,
    lifetime), when it is about to expire, or when it does not match its key; the result names the reason. Its key is
    kept where it can be.
  - A CA is never replaced, nor is a key of O(keys); where one differs from what is asked the module fails and says how to rotate.
  - All arguments, and all that stands against them in the directory, are judged before the first byte is written,
    and all problems are reported at once.
  - Keys have mode 0600 and the directory 0700 from their first moment. Symbolic links and files of other users are
    refused. At any kill no certificate stands beside a key that is not its own. Two runs at once wait for each other.
requirements:
  - cryptography >= 42 (on the host that runs the module, usually the controller)
options:
  path:
    description: The directory. It is made where it is missing.
    type: path
    required: true
  cas:
    description: Certificate authorities (CAs).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      subject:
        description: Fields C(C), C(ST), C(L), C(O), C(OU) and C(CN) of the distinguished name; each a text, O and OU also a list.
        type: dict
        default: {}
      key:
        description: Type and size of the key.
        type: dict
        default: {}
        suboptions: &key
          type:
            description: Type of the key.
            type: str
            choices: [ecdsa, rsa]
            default: ecdsa
          size:
            description: Bits; 256 (default), 384 or 521 for ECDSA, 2048 (default) to 4096 in steps of 256 for RSA.
            type: int
      validity:
        description: Lifetime in hours, days or years of 365 days, from C(1h) to C(876000h). What stands there is not reissued for it.
        type: str
        default: 87600h
      issuer:
        description: Name of the CA that signs this one; without it, it is a root.
        type: str
      path_length:
        description: How many intermediates may follow; unlimited without it.
        type: int
      passphrase:
        description:
          - Passphrase under which its key stands in the directory (PKCS#8, AES-256); without it the key stands in the clear.
            A copy (O(cas[].copy_of)) has that of its original. What reads the key elsewhere must know it too,
            and kube-controller-manager knows none.
          - Another one, or none where there was one, is no new key, the same key is written again. The file's own passphrase
            must be known to open it, as O(cas[].old_passphrase).
        type: str
      old_passphrase:
        description: Passphrase that the key may have so far. It may stay here once the key has the other one.
        type: str
      import_from:
        description: Take over a CA that was made elsewhere, with cfssl for instance.
        type: dict
        suboptions:
          certificate:
            description: Path of its certificate, in PEM.
            type: path
            required: true
          key:
            description: Path of its key, in PEM.
            type: path
            required: true
          passphrase:
            description: Passphrase of that file; O(cas[].passphrase) is tried where it is left out. It says nothing of the key in the directory.
            type: str
      copy_of:
        description: Name of another CA that this one is a copy of, under files of its own name.
        type: str
      existing:
        description:
          - It stands already and stays what it is, whatever that is; it is never made. Its key may be absent when it signs nothing new.
          - For an older CA that is still trusted while a newer one takes its place.
        type: bool
        default: false
  profiles:
    description:
      - What certificates are for, as in the documents' C(ca-config.json) - a dictionary from a profile's name to C(usages)
        (cfssl's words, such as C(signing), C(key encipherment), C(server auth), C(client auth)) and C(validity).
      - There are V(kubernetes) and V(peer) (server and client), V(server) and V(client), valid for 87600h; a profile given here replaces the
        one of its name, and may name the validity alone.
    type: dict
    default: {}
  certificates:
    description: Certificates that the CAs sign.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      ca:
        description: Name of the CA that signs it.
        type: str
        required: true
      profile:
        description: Name of the profile.
        type: str
        default: kubernetes
      subject:
        description: Fields C(C), C(ST), C(L), C(O), C(OU) and C(CN) of the distinguished name; each a text, O and OU also a list.
        type: dict
        default: {}
      hosts:
        description: Addresses, DNS names (C(*.example.org) too), URIs and mail addresses, told apart as cfssl does. None for pure clients.
        type: list
        elements: str
        default: []
      key:
        description: Type and size of the key.
        type: dict
        default: {}
        suboptions: *key
      validity:
        description: Lifetime, instead of the profile's. It never goes beyond that of the CA; a warning says where that cuts it short.
        type: str
      chain:
        description:
          - Whether C(NAME.pem) goes on with the intermediate CAs up to the root, without the root, for verifiers that know the root alone.
            Below a root it makes no difference.
        type: bool
        default: false
  keys:
    description: Keys without a certificate. They are made once and never replaced.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the files.
        type: str
        required: true
      type:
        description: V(ecdsa) and V(rsa) make C(NAME-key.pem) and its public key C(NAME.pem); V(random) makes C(NAME.key), in base64.
        type: str
        choices: [ecdsa, rsa, random]
        default: ecdsa
      size:
        description: Bits as for a certificate's key; for V(random) the number of bytes, 32 without it.
        type: int
      existing:
        description: It stands already and stays what it is; it is never made, and its size is not judged.
        type: bool
        default: false
  bundles:
    description:
      - Files C(NAME.pem) with the certificates of several CAs, or with the public keys of several entries of O(keys).
        A bundle of one is byte for byte the file of that one.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the file.
        type: str
        required: true
      cas:
        description: Names of the CAs, in order.
        type: list
        elements: str
        default: []
      keys:
        description: Names of the entries of O(keys), in order; V(ecdsa) and V(rsa) alone. Not beside O(bundles[].cas).
        type: list
        elements: str
        default: []
  renew_before:
    description: How long before its end a certificate is reissued; never more than a third of its lifetime.
    type: str
    default: 720h
  renew:
    description:
      - Shell patterns of names of O(certificates) that are reissued in any case, for instance V(["*"]).
        CAs are never renewed. A pattern that matches nothing is an error.
    type: list
    elements: str
    default: []
  renew_keys:
    description: Whether a certificate that is reissued gets a new key too.
    type: bool
    default: false
  purge:
    description: Whether C(.pem) and C(.key) files that nothing here asks for are removed. They are listed in any case.
    type: bool
    default: false
  keep:
    description: Names of files that other calls keep in this directory, with C(*) for any text. They are neither listed as unwanted nor removed.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    details: Complete even where the directory does not exist yet.
  diff_mode:
    support: full
    details: Shows certificates parsed. Keys are never shown.
  platform:
    platforms: posix
seealso:
  - plugin: hardway.kubernetes.pki
    plugin_type: filter
  - module: hardway.kubernetes.kubeconfig
"""

EXAMPLES = r"""
- name: A CA, a server and a client
  hardway.kubernetes.certificates:
    path: "{{ cluster_dir }}/pki"
    cas:
      - name: ca
        subject: {C: CN, ST: BeiJing, L: BeiJing, O: k8s, OU: System, CN: kubernetes}
        key: {type: rsa, size: 2048}
        validity: 876000h
    certificates:
      - name: kube-apiserver
        ca: ca
        profile: server
        subject: {CN: kube-apiserver}
        hosts: [10.33.0.100, 10.96.0.1, 127.0.0.1, kubernetes, kubernetes.default.svc, "*.example.org"]
      - name: admin
        ca: ca
        profile: client
        subject: {CN: admin, O: system:masters}
        validity: 365d
    keys:
      - name: service-account
      - name: encryption
        type: random
  delegate_to: localhost
  run_once: true

- name: Take over a CA that cfssl made
  hardway.kubernetes.certificates:
    path: "{{ cluster_dir }}/pki"
    cas:
      - name: ca
        import_from:
          certificate: ~/TLS/k8s/ca.pem
          key: ~/TLS/k8s/ca-key.pem
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The directory.
  returned: always
  type: str
  sample: /home/me/clusters/kubernetes/pki
certificates:
  description: All CAs and certificates that were asked for, as they are now or, in check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Name of the files., type: str, sample: etcd-master1}
    type: {description: V(ca) or V(certificate)., type: str, sample: certificate}
    subject: {description: Distinguished name., type: str, sample: "O=system:masters, CN=admin"}
    names: {description: Subject alternative names., type: list, elements: str, sample: ["DNS:master1", "IP:10.33.0.11"]}
    usages: {description: Key usages and extended key usages., type: list, elements: str, sample: [digital signature, client auth]}
    issuer: {description: Distinguished name of the issuer., type: str, sample: CN=kubernetes-ca}
    key: {description: Type and size of the key., type: str, sample: ECDSA P-256}
    serial: {description: Serial number in hexadecimal; null where it is still to be issued., type: str, sample: 6cb0f5a3}
    not_before: {description: Start of the validity (UTC)., type: str, sample: "2026-11-21T08:55:00Z"}
    not_after: {description: End of the validity (UTC)., type: str, sample: "2036-11-18T09:00:00Z"}
    days_left: {description: Whole days until then., type: int, sample: 3649}
    fingerprint: {description: SHA-256 of the certificate; null where it is still to be issued., type: str, sample: "9F:86:D0"}
    chain: {description: Distinguished names of the intermediates that follow in its file., type: list, elements: str, sample: [CN=intermediate]}
    limited_by: {description: Name of the CA whose own end cut the lifetime short; null otherwise., type: str, sample: null}
    changed: {description: Whether it was reissued., type: bool, sample: true}
    reason: {description: "Why, in words; empty where nothing changed.", type: str, sample: "names to add: IP:10.33.0.14"}
keys:
  description: The keys that were asked for (name, changed, reason).
  returned: success
  type: list
  elements: dict
  sample: [{name: service-account, changed: true, reason: there was none}]
bundles:
  description: The bundles that were asked for (name, changed, reason).
  returned: success
  type: list
  elements: dict
  sample: [{name: client-ca, changed: true, reason: there was none}]
unwanted:
  description: Files C(.pem) and C(.key) in the directory that nothing here asks for.
  returned: success
  type: list
  elements: str
  sample: [etcd-master9.pem, etcd-master9-key.pem]
removed:
  description: Those of them that were removed.
  returned: success
  type: list
  elements: str
  sample: []
problems:
  description: Everything that stands against the request, one sentence each.
  returned: failure
  type: list
  elements: str
  sample: ["certificates[etcd].hosts: '10.0.0.300' is not an IP address"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, _load_params, missing_required_lib

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.files import FileRefused
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.task import Task, TaskFailed, run_module
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.model import Refused
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import InvalidRequest, parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.result import as_diff, as_result
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.x509 import CRYPTOGRAPHY_IMPORT_ERROR

Options = dict[str, t.Any]
KEY: Options = {
    "type": "dict",
    "default": {},
    "no_log": False,
    "options": {"type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa"}, "size": {"type": "int"}},
}
IMPORT_FROM: Options = {
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "passphrase": {"type": "str", "no_log": True},
}
CA: Options = {
    "name": {"type": "str", "required": True},
    "subject": {"type": "dict", "default": {}},
    "key": KEY,
    "validity": {"type": "str", "default": "87600h"},
    "issuer": {"type": "str"},
    "path_length": {"type": "int"},
    "passphrase": {"type": "str", "no_log": True},
    "old_passphrase": {"type": "str", "no_log": True},
    "import_from": {"type": "dict", "options": IMPORT_FROM},
    "copy_of": {"type": "str"},
    "existing": {"type": "bool", "default": False},
}
CERTIFICATE: Options = {
    "name": {"type": "str", "required": True},
    "ca": {"type": "str", "required": True},
    "profile": {"type": "str", "default": "kubernetes"},
    "subject": {"type": "dict", "default": {}},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "key": KEY,
    "validity": {"type": "str"},
    "chain": {"type": "bool", "default": False},
}
PLAIN_KEY: Options = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["ecdsa", "rsa", "random"], "default": "ecdsa"},
    "size": {"type": "int"},
    "existing": {"type": "bool", "default": False},
}
BUNDLE: Options = {
    "name": {"type": "str", "required": True},
    "cas": {"type": "list", "elements": "str", "default": []},
    "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
}


def argument_spec() -> Options:
    several = {"type": "list", "elements": "dict", "default": []}
    return {
        "path": {"type": "path", "required": True},
        "cas": {**several, "options": CA},
        "profiles": {"type": "dict", "default": {}},
        "certificates": {**several, "options": CERTIFICATE},
        "keys": {**several, "options": PLAIN_KEY, "no_log": False},
        "bundles": {**several, "options": BUNDLE},
        "renew_before": {"type": "str", "default": "720h"},
        "renew": {"type": "list", "elements": "str", "default": []},
        "renew_keys": {"type": "bool", "default": False, "no_log": False},
        "purge": {"type": "bool", "default": False},
        "keep": {"type": "list", "elements": "str", "default": []},
    }


class CertificatesModule(AnsibleModule):
    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Where Ansible itself refuses an argument, it names the option but not the certificate; the request's own judgement does."""
        if "problems" not in kwargs:
            # Of a list Ansible keeps only what has the right type, so that what has not is seen in the arguments as they came.
            found = _problems(self.params) or _problems(_load_params())
            msg = _invalid(found) if found else msg
            kwargs["problems"] = found or [msg]
        super().fail_json(msg, **kwargs)
        raise AssertionError("fail_json ends the module")


def _problems(arguments: dict[str, t.Any]) -> list[str]:
    try:
        parse_request(arguments)
    except InvalidRequest as error:
        return error.problems
    return []


def _invalid(problems: list[str]) -> str:
    return "\n".join(["The request is not valid, nothing was written:", *problems])


def run(task: Task) -> dict[str, t.Any]:
    path = task.params["path"].rstrip("/") or "/"
    if CRYPTOGRAPHY_IMPORT_ERROR is not None:
        message = missing_required_lib("cryptography >= 42")
        raise TaskFailed(message, problems=[message], path=path, exception=CRYPTOGRAPHY_IMPORT_ERROR)
    try:
        plan = reconcile(path, parse_request(task.params), task.check_mode)
    except InvalidRequest as error:
        raise TaskFailed(_invalid(error.problems), problems=error.problems, path=path) from error
    except Refused as error:
        message = f"{path} stands against the request, nothing was written:\n{error}"
        raise TaskFailed(message, problems=error.problems, path=path) from error
    except FileRefused as error:
        raise TaskFailed(error, problems=[str(error)], path=path) from error
    except OSError as error:
        raise TaskFailed(f"{error.filename or path}: {error.strerror}", problems=[str(error)], path=path) from error
    shown = {"diff": as_diff(path, plan)} if task.diff else {}
    return {**as_result(path, plan), **shown, "warnings": plan.warnings}


def main() -> None:
    run_module(CertificatesModule(argument_spec=argument_spec(), supports_check_mode=True), run)


if __name__ == "__main__":
    main()
