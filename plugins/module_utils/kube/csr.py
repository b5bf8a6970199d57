# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate signing requests of kubelets agree with the inventory.

The rules of the two signers are upstream's (https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/);
the inventory narrows them: a node may ask for its own name and its own addresses alone, and for its first certificate only as the user
that it was given for this run.
"""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
import re
import traceback
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.bootstrap_token import (
    BOOTSTRAPPERS_GROUP,
    ID,
)
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.bootstrap_token import (
    USER_PREFIX as BOOTSTRAP_PREFIX,
)

CRYPTOGRAPHY_IMPORT_ERROR: str | None = None
try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    UNREADABLE = (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        x509.InvalidVersion,
    )
    from cryptography.x509.oid import ExtensionOID, NameOID
except ImportError:
    CRYPTOGRAPHY_IMPORT_ERROR = traceback.format_exc()

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
SIGNERS = {CLIENT: "client", SERVING: "serving"}
# Upstream's own signers issue what the API believes; what others sign is their matter.
OWN_SIGNERS = "kubernetes.io/"
# kubelet asks for key encipherment with RSA keys alone, since 1.27
USAGES = {
    CLIENT: (
        frozenset(("digital signature", "client auth")),
        frozenset(("digital signature", "key encipherment", "client auth")),
    ),
    SERVING: (
        frozenset(("digital signature", "server auth")),
        frozenset(("digital signature", "key encipherment", "server auth")),
    ),
}
USER_PREFIX = "system:node:"
NODES_GROUP = "system:nodes"
BOOTSTRAP_USER = re.compile(re.escape(BOOTSTRAP_PREFIX) + ID.pattern)
# One block and nothing beside it: what the signer reads must be what was judged, and where two blocks stand parsers choose differently.
PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*")
EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class InventoryError(HardwayError, ValueError):
    """A list of nodes that cannot be right: names the entry."""


@dataclasses.dataclass(frozen=True)
class Node:
    """A host of the play as the inventory has it. *bootstrap_user* may ask for its first certificate; without one it does not join."""

    name: str
    dns: frozenset[str]
    addresses: frozenset[str]
    bootstrap_user: str = ""

    @property
    def has_token(self) -> bool:
        """Whether it joins by a bootstrap token, which is its own; a user of a token file is that of all."""
        return bool(BOOTSTRAP_USER.fullmatch(self.bootstrap_user))

    def is_first_request(self, request: Request) -> bool:
        """Whether a request is made as the user that the node joins as."""
        return bool(self.bootstrap_user) and request.signer == CLIENT and request.username == self.bootstrap_user


@dataclasses.dataclass(frozen=True)
class Request:
    """A certificate signing request: who asks (as the API server saw them), and for what."""

    name: str
    signer: str
    username: str
    groups: frozenset[str]
    usages: frozenset[str]
    state: str
    signed: bool
    created: str = ""
    common_names: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    other_subject: tuple[str, ...] = ()
    dns: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    other_names: tuple[str, ...] = ()
    other_extensions: tuple[str, ...] = ()
    defect: str = ""

    @property
    def node(self) -> str:
        """The node that the subject names, or an empty text."""
        name = self.common_names[0] if len(self.common_names) == 1 else ""
        return name[len(USER_PREFIX) :] if name.startswith(USER_PREFIX) else ""

    @property
    def requesting_node(self) -> str:
        return self.username[len(USER_PREFIX) :] if self.username.startswith(USER_PREFIX) else ""

    def report(self, node: str = "", reasons: t.Sequence[str] = ()) -> dict[str, t.Any]:
        """What a result reports of it."""
        return {
            "name": self.name,
            "node": node or self.node,
            "certificate": SIGNERS.get(self.signer, self.signer),
            "requester": self.username,
            "names": sorted(self.dns | self.addresses) + list(self.other_names),
            **({"reasons": list(reasons)} if reasons else {}),
        }


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be done with a pending request: approve, deny, report and nothing else (foreign), or nothing at all (ignore)."""

    action: str
    request: Request
    node: str = ""
    reasons: tuple[str, ...] = ()

    def report(self) -> dict[str, t.Any]:
        return self.request.report(self.node, self.reasons)


def read_nodes(
    entries: t.Iterable[t.Mapping[str, t.Any]], bootstrap_users: t.Mapping[str, str] | None = None
) -> dict[str, Node]:
    """The module's options as nodes by name. Raises InventoryError for a name that Kubernetes would refuse, and for one given twice."""
    users = bootstrap_users or {}
    nodes: dict[str, Node] = {}
    owners: dict[str, str] = {}
    for entry in entries:
        name = str(entry["name"])
        if not NODE_NAME.fullmatch(name) or len(name) > 253:
            raise InventoryError(
                f"nodes: {name!r} is not a node's name: lower case letters, digits, '-' and '.' (RFC 1123)"
            )
        if name in nodes:
            raise InventoryError(f"nodes: {name} is listed twice")
        dns, addresses = {name}, set()
        for given in entry.get("addresses") or []:
            address = _address(str(given))
            if address is None:
                dns.add(str(given).lower())
            else:
                addresses.add(address)
        for word in dns | addresses:
            if word in owners:
                raise InventoryError(f"nodes: {word} is given to {owners[word]} and to {name}")
            owners[word] = name
        nodes[name] = Node(name, frozenset(dns), frozenset(addresses), str(users.get(name) or ""))
    return nodes


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def read_request(item: t.Mapping[str, t.Any]) -> Request:
    """A CertificateSigningRequest object of the API, parsed. What cannot be parsed is reported in C(defect)."""
    spec, status = item["spec"], item.get("status") or {}
    conditions = {condition.get("type") for condition in status.get("conditions") or []}
    state = next((word.lower() for word in ("Denied", "Failed", "Approved") if word in conditions), "pending")
    request = Request(
        name=item["metadata"]["name"],
        signer=spec["signerName"],
        username=spec.get("username", ""),
        groups=frozenset(spec.get("groups") or []),
        usages=frozenset(spec.get("usages") or []),
        state=state,
        signed=bool(status.get("certificate")),
        created=item["metadata"].get("creationTimestamp") or "",
    )
    try:
        return _with_contents(request, _load(base64.b64decode(spec.get("request", ""))))
    except UNREADABLE as error:
        return dataclasses.replace(request, defect=f"the request cannot be read: {error}")


def _load(data: bytes) -> x509.CertificateSigningRequest:
    block = PEM.fullmatch(data)
    if not block:
        raise ValueError("it is not one block of PEM")
    csr = x509.load_der_x509_csr(base64.b64decode(b"".join(block[1].split()), validate=True))
    attributes = [attribute.oid.dotted_string for attribute in csr.attributes]
    if attributes not in ([], [EXTENSION_REQUEST]):
        # Go's parser takes the extensions of all of them together, this one those of the first
        raise ValueError(
            f"it has the attributes {', '.join(attributes)}, where a kubelet has one list of extensions at most"
        )
    return csr


def _with_contents(request: Request, csr: x509.CertificateSigningRequest) -> Request:
    subject = list(csr.subject)
    dns, addresses, others = set(), set(), []
    unexpected = []
    for extension in csr.extensions:
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            for name in extension.value:
                if isinstance(name, x509.DNSName):
                    dns.add(name.value.lower())
                elif isinstance(name, x509.IPAddress):
                    addresses.add(str(name.value))
                else:
                    others.append(f"{type(name).__name__} {name.value}")
        elif extension.oid not in (ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE):
            unexpected.append(
                extension.oid._name if extension.oid._name != "Unknown OID" else extension.oid.dotted_string
            )
    return dataclasses.replace(
        request,
        common_names=_values(subject, NameOID.COMMON_NAME),
        organizations=_values(subject, NameOID.ORGANIZATION_NAME),
        other_subject=tuple(
            part.rfc4514_string()
            for part in subject
            if part.oid not in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        ),
        dns=frozenset(dns),
        addresses=frozenset(addresses),
        other_names=tuple(sorted(others)),
        other_extensions=tuple(unexpected),
        defect="" if csr.is_signature_valid else "its signature is not by the key that it asks a certificate for",
    )


def _values(subject: t.Iterable[x509.NameAttribute], oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(str(part.value) for part in subject if part.oid == oid)


def judge(
    request: Request,
    nodes: t.Mapping[str, Node],
    inventory: t.Collection[str] | None = None,
) -> Verdict:
    """What is to be done with a pending request. With *inventory* a node that neither it nor *nodes* names is a stranger."""
    if request.signer not in SIGNERS:
        return _judge_other_signer(request, nodes)
    named = _named(request, nodes)
    if not named:
        return _judge_other_node(request, inventory)
    if request.node not in nodes:
        owners = ", ".join(sorted(named))
        reason = (
            request.defect
            or f"its subject names {request.node or 'no node'}, but its requester or its names are those of {owners}"
        )
        return Verdict("deny", request, sorted(named)[0], (reason,))
    node = nodes[request.node]
    reasons = tuple(disagreements(request, node, nodes))
    return Verdict("deny" if reasons else "approve", request, node.name, reasons)


def _judge_other_signer(request: Request, nodes: t.Mapping[str, Node]) -> Verdict:
    """A request to be a listed node, or by one, that goes past the two signers whose requests are judged."""
    node = next((name for name in (request.node, request.requesting_node) if name in nodes), "")
    if not node or not request.signer.startswith(OWN_SIGNERS):
        return Verdict("ignore", request)
    return Verdict("deny", request, node, (f"its signer is {request.signer}; a kubelet asks {CLIENT} and {SERVING}",))


def _judge_other_node(request: Request, inventory: t.Collection[str] | None) -> Verdict:
    claimed = [name for name in (request.node, request.requesting_node) if name]
    strangers = [name for name in dict.fromkeys(claimed) if name not in (inventory or ())]
    if inventory is None or (claimed and not strangers):
        return Verdict("foreign", request, request.node)
    reason = (
        f"{' and '.join(strangers)} is not in the inventory"
        if strangers
        else f"it names no node{f' ({request.defect})' if request.defect else ''}"
    )
    return Verdict("deny", request, request.node, (reason,))


def _named(request: Request, nodes: t.Mapping[str, Node]) -> set[str]:
    """The listed nodes that a request speaks of: in its subject, by its requester, or by a name or an address that is theirs."""
    named = {name for name in (request.node, request.requesting_node, _owner(request, nodes)) if name in nodes}
    return named | {
        node.name for node in nodes.values() if node.dns & request.dns or node.addresses & request.addresses
    }


def _owner(request: Request, nodes: t.Mapping[str, Node]) -> str:
    """The node that was given the token of the requester, or an empty text."""
    return next(
        (node.name for node in nodes.values() if node.has_token and node.bootstrap_user == request.username), ""
    )


def disagreements(request: Request, node: Node, nodes: t.Mapping[str, Node]) -> list[str]:
    """Everything in *request* that does not agree with *node*, in words; nothing when it may be approved."""
    found = [request.defect] if request.defect else []
    found += _requester_disagreements(request, node, nodes)
    if request.common_names != (f"{USER_PREFIX}{node.name}",):
        found.append(f"its subject has CN {_words(request.common_names)} instead of {USER_PREFIX}{node.name}")
    if request.organizations != (NODES_GROUP,):
        found.append(f"its subject has O {_words(request.organizations)} instead of {NODES_GROUP}")
    if request.other_subject:
        found.append(f"its subject has {_words(request.other_subject)}, which a kubelet does not ask for")
    if request.usages not in USAGES[request.signer]:
        wanted = " or ".join(_words(sorted(usages)) for usages in USAGES[request.signer])
        found.append(f"its usages are {_words(sorted(request.usages))} instead of {wanted}")
    if request.other_extensions:
        found.append(f"it asks for {_words(request.other_extensions)}, which a kubelet does not")
    return found + _name_disagreements(request, node)


def _requester_disagreements(request: Request, node: Node, nodes: t.Mapping[str, Node]) -> list[str]:
    own = request.username == f"{USER_PREFIX}{node.name}" and NODES_GROUP in request.groups
    if request.signer == SERVING:
        return (
            []
            if own
            else [f"its requester is {request.username} instead of {USER_PREFIX}{node.name} in the group {NODES_GROUP}"]
        )
    joins = node.is_first_request(request) and (not node.has_token or BOOTSTRAPPERS_GROUP in request.groups)
    if own or joins:
        return []
    owner = _owner(request, nodes)
    found = [
        f"its requester is {request.username}{f', whose token {owner} was given' if owner not in ('', node.name) else ''}"
    ]
    if not node.bootstrap_user:
        found.append(f"{node.name} does not join in this run")
    else:
        group = f" in the group {BOOTSTRAPPERS_GROUP}" if node.has_token else ""
        found.append(f"{node.name} joins as {node.bootstrap_user}{group}")
    return [", and ".join(found)]


def _name_disagreements(request: Request, node: Node) -> list[str]:
    given = sorted(request.dns | request.addresses)
    if request.signer == CLIENT:
        names = given + list(request.other_names)
        return [f"it asks for the names {_words(names)}; a client certificate has none"] if names else []
    found = []
    if request.other_names:
        found.append(
            f"it asks for {_words(request.other_names)}; a serving certificate has DNS names and addresses alone"
        )
    if not given:
        found.append("it asks for no DNS name and no address")
    foreign = sorted((request.dns - node.dns) | (request.addresses - node.addresses))
    if foreign:
        known = _words(sorted(node.dns | node.addresses))
        found.append(f"it asks for {_words(foreign)}; the inventory gives {node.name} {known}")
    return found


def _words(values: t.Iterable[str]) -> str:
    return ", ".join(values) or "nothing"
