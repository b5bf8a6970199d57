# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates lie on a host, and which ones its processes run with: found with the standard library alone.

The promise: no byte of a key leaves the host. What leaves it is what OpenSSL read as one certificate and nothing else, encoded anew.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import glob
import ipaddress
import os
import re
import socket
import ssl
import stat
import time
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.apply import Record
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import INPUTS_VARIABLE, ComponentError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.plan import reason
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.seen import LiveHost
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import UnitState, unit_state

#: Larger files are no certificates: the bundle of a distribution's authorities has a quarter of it.
LARGEST_FILE = 1024 * 1024
ENDPOINTS_AT_ONCE = 16
_BLOCK = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----(.*?)-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)
# A kubeconfig's fields in YAML of either style and in JSON; hosts have no parser of YAML.
_KUBECONFIG = re.compile(rb"\bclusters['\"]?\s*:")
_KUBECONFIG_FIELD = re.compile(
    r"""(?:^|(?<=[\s{,'"]))(?P<field>certificate-authority|client-certificate)(?P<data>-data)?['"]?\s*:[ \t]*"""
    r"""(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<plain>[^\s,}'"]+))"""
)
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_INPUTS = re.compile(rf"^Environment={INPUTS_VARIABLE}=(\S+)$", re.MULTILINE)
# RFC 5246, 6.2.1 and 7.4
_RECORD_HANDSHAKE = 22
_MESSAGE_CERTIFICATE = 11
# Connects to nobody: loading a certificate into it is how the standard library parses one.
_READER = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Endpoint = Mapping[str, t.Any]
Process = dict[str, t.Any]


class NoCertificate(HardwayError):
    """A server that served none; the message says why."""


def gather(
    paths: Iterable[str] = (),
    endpoints: Iterable[Endpoint] = (),
    components: bool = False,
    timeout: float = 5.0,
) -> dict[str, t.Any]:
    """All certificates of a host that were asked for.

    :arg paths: files (PEM, kubeconfigs), directories and globs
    :arg endpoints: dicts with ``address``, ``port`` and perhaps ``path`` (the file that it should serve) and ``component``
    :arg components: whether to look at what the components of this collection own and run from
    :arg timeout: seconds to wait for an endpoint
    :returns: a dict: ``certificates`` (dicts with ``pem``), ``processes``, ``problems`` (sentences)
    """
    reader = Reader()
    processes: list[Process] = []
    asked = list(endpoints)
    if components:
        records = read_records()
        if not records:
            reader.problems.append(f"{component_paths.STATE_DIR}: no component of this collection is on the host")
        for path in sorted(
            {path for record in records.values() for path in record.data.get("owns", {}).get("paths", [])}
        ):
            reader.owned(path)
        processes = list(_processes(records.values(), reader.problems))
        asked = [endpoint for endpoint in asked if _to_be_asked(endpoint, processes)]
    for path in paths:
        reader.named(path)
    for path in {endpoint["path"]: None for endpoint in asked if endpoint.get("path")}:
        reader.named(path)
    served, silent = ask(asked, timeout)
    certificates = [{**found, "running": _running(found["path"], processes)} for found in reader.certificates]
    return {
        "certificates": certificates + served,
        "processes": [{key: value for key, value in process.items() if key != "files"} for process in processes],
        "problems": reader.problems + silent,
    }


# --- what lies on the host


class Reader:
    """Collects certificates of files, each file once, and a sentence for all that stood against reading one."""

    def __init__(self) -> None:
        self.certificates: list[dict[str, t.Any]] = []
        self.problems: list[str] = []
        self._seen: set[str] = set()
        self._real: set[str] = set()

    def named(self, pattern: str) -> None:
        """Somebody asks for it: what is missing or holds no certificate is a problem, unless it is a glob."""
        path = os.path.abspath(os.path.expanduser(pattern))
        if glob.has_magic(path):
            for found in sorted(glob.glob(path)):
                self._any(found, expected=False)
        elif not os.path.exists(path):
            self.problems.append(f"{path}: does not exist")
        else:
            self._any(path, expected=True)

    def owned(self, path: str) -> None:
        """A path of a component's record: directories among them hold other things, too, such as the data of etcd."""
        if os.path.isfile(path):
            self._file(path, expected=False)

    def _any(self, path: str, expected: bool) -> None:
        if not os.path.isdir(path):
            self._file(path, expected)
            return
        for directory, names, file_names in os.walk(path, onerror=self._unreadable):
            names.sort()
            for name in sorted(file_names):
                found = os.path.join(directory, name)
                # One file under several names, such as kubelet's current certificate, counts once here.
                if os.path.isfile(found) and os.path.realpath(found) not in self._real:
                    self._file(found, expected=False)

    def _file(self, path: str, expected: bool) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        self._real.add(os.path.realpath(path))
        try:
            data = read_file(path)
        except OSError as error:
            self._unreadable(error)
            return
        if data is None:
            if expected:
                self.problems.append(f"{path}: is not a regular file of at most {LARGEST_FILE} bytes")
            return
        blocks = list(_BLOCK.finditer(data))
        if blocks:
            self._add("file", path, path, [block[1] for block in blocks])
        elif _KUBECONFIG.search(data) and self._kubeconfig(path, data):
            pass
        elif expected:
            self.problems.append(f"{path}: holds no certificate in PEM")

    def _unreadable(self, error: OSError) -> None:
        self.problems.append(f"{error.filename}: cannot be read: {error.strerror}")

    def _kubeconfig(self, path: str, data: bytes) -> bool:
        """Its certificates, embedded or by path; tells whether it names any."""
        fields = list(_KUBECONFIG_FIELD.finditer(_COMMENT.sub("", data.decode("utf-8", "replace"))))
        for field in fields:
            value = next(text for text in field.group("double", "single", "plain") if text is not None)
            name = f"{field['field']}{field['data'] or ''}"
            if field["data"]:
                self._embedded(path, name, value)
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(path), value))
            if os.path.exists(target):
                self._file(target, expected=True)
            else:
                self.problems.append(f"{path}: its {name} {target} does not exist")
        return bool(fields)

    def _embedded(self, path: str, name: str, value: str) -> None:
        try:
            blocks = [block[1] for block in _BLOCK.finditer(base64.b64decode(value, validate=True))]
        except ValueError:
            blocks = []
        if blocks:
            self._add("kubeconfig", path, f"{path} ({name})", blocks)
        else:
            self.problems.append(f"{path}: its {name} is no certificate in PEM, encoded in base64")

    def _add(self, source: str, path: str, where: str, blocks: Sequence[bytes]) -> None:
        for position, block in enumerate(blocks, 1):
            place = where if len(blocks) == 1 else f"{where} ({position}/{len(blocks)})"
            pem = checked(block)
            if pem is None:
                self.problems.append(f"{place}: is damaged, or no certificate")
            else:
                self.certificates.append(
                    {"source": source, "path": path, "where": place, "position": position, "endpoint": None, "pem": pem}
                )


def read_file(path: str) -> bytes | None:
    """The content of a regular file; None for all else (a pipe would be waited for) and for what is too large."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
        return None
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        return stream.read(LARGEST_FILE + 1)


def checked(body: bytes) -> str | None:
    """The PEM of a block's base64, made anew from what OpenSSL reads as a certificate; None where it is none, or more than one."""
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
        return ssl.DER_cert_to_PEM_cert(der) if is_certificate(der) else None
    except ValueError:
        return None


def is_certificate(der: bytes) -> bool:
    # Behind a certificate OpenSSL takes some bytes for the end of the data, and does not look at what follows.
    if len(der) != _length(der):
        return False
    # OpenSSL keeps a queue of errors, and CPython reports what another call left in it: the second answer is about this certificate.
    for _attempt in range(2):
        try:
            _READER.load_verify_locations(cadata=der)
        except ssl.SSLError:
            continue
        return True
    return False


def _length(der: bytes) -> int:
    """The length of the value that begins with these bytes, with its header (X.690, 8.1.3), if it is a SEQUENCE; -1 if not."""
    if len(der) < 2 or der[0] != 0x30:
        return -1
    if der[1] < 0x80:
        return 2 + der[1]
    octets = der[1] & 0x7F
    return 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")


# --- what runs


def read_records() -> dict[str, Record]:
    """The records of the components on this host, by name."""
    host = Host()
    return {name: Record(host, name) for name in LiveHost(host).records()}


def _processes(records: Iterable[Record], problems: list[str]) -> Iterator[Process]:
    for record in records:
        try:
            process = read_process(record)
        except ComponentError as error:
            problems.append(str(error))
            continue
        if process:
            yield process


def read_process(record: Record) -> Process | None:
    """A component's process: whether it runs, and from which content of its files; None for a component without one.

    ``restart`` says why it does not run from what is on the host now; empty where it does, or where that cannot be told.
    ``files`` has for each file that it was started from or has loaded, whether it is still that one.
    """
    service = record.data.get("owns", {}).get("service")
    if not service:
        return None
    unit = unit_state(record.host, service)
    process: Process = {
        "component": os.path.basename(record.path)[: -len(".json")],
        "service": service,
        "active": unit.active,
        "restart": "",
        "files": {},
    }
    if unit.active and unit.properties.get("MainPID", "0") != "0":
        running = unit.running_inputs
        used = {**record.data.get("inputs", {}).get(running, {}), **_loaded(record, unit)}
        process["files"] = {
            path: LiveHost(record.host).entry(path).digest == digest
            for path, digest in used.items()
            if path.startswith("/")
        }
        process["restart"] = _pending_restart(record, service, unit, running, process["files"])
    return process


def _noted(record: Record, unit: UnitState) -> dict[str, t.Any]:
    """What runs noted of this very process; empty if they noted another one."""
    noted = record.data.get("runs", {})
    return noted if noted.get("invocation") == unit.properties.get("InvocationID") else {}


def _loaded(record: Record, unit: UnitState) -> dict[str, str]:
    return _noted(record, unit).get("loaded", {})


def _pending_restart(
    record: Record, service: str, unit: UnitState, running: str | None, files: Mapping[str, bool]
) -> str:
    wanted = _wanted_inputs(service)
    known = record.data.get("inputs", {})
    if wanted is None and running is None:
        return ""  # no process of this collection's
    if running != wanted:
        return reason(known.get(running), known[wanted]) if wanted in known else "its inputs were written anew"
    changed = {f"{path} had been changed on the host" for path, same in files.items() if not same}
    return ", ".join(sorted(changed.union(_noted(record, unit).get("pending", []))))


def _wanted_inputs(service: str) -> str | None:
    """The digest that the next start of the service gives to its process."""
    drop_in = files.read_bytes(component_paths.drop_in(service))
    found = _INPUTS.search(drop_in.decode(errors="replace")) if drop_in else None
    return found[1] if found else None


def _running(path: str, processes: Iterable[Process]) -> dict[str, str]:
    """Which processes run from a file: name -> V(current), or V(older) for one that was started from what the file held before."""
    return {
        process["component"]: "current" if process["files"][path] else "older"
        for process in processes
        if path in process["files"]
    }


def _to_be_asked(endpoint: Endpoint, processes: Iterable[Process]) -> bool:
    """A component that is not here, or does not run, serves nothing; the latter is told by its process."""
    return not endpoint.get("component") or any(
        process["component"] == endpoint["component"] and process["active"] for process in processes
    )


# --- what is served


def ask(endpoints: Sequence[Endpoint], timeout: float) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The certificates that servers serve, and a sentence for each server that serves none."""
    certificates, problems = [], []
    with concurrent.futures.ThreadPoolExecutor(ENDPOINTS_AT_ONCE) as pool:
        answers = pool.map(lambda endpoint: _answer(endpoint["address"], endpoint["port"], timeout), endpoints)
        for endpoint, answer in zip(endpoints, answers):
            place = (
                f"[{endpoint['address']}]:{endpoint['port']}"
                if ":" in endpoint["address"]
                else f"{endpoint['address']}:{endpoint['port']}"
            )
            server = endpoint.get("component")
            if isinstance(answer, NoCertificate):
                problems.append(f"{f'{server} at {place}' if server else place}: serves no certificate: {answer}")
                continue
            certificates.append(
                {
                    "source": "endpoint",
                    "path": os.path.abspath(os.path.expanduser(endpoint["path"])) if endpoint.get("path") else None,
                    "where": place,
                    "position": 1,
                    "endpoint": place,
                    "pem": ssl.DER_cert_to_PEM_cert(answer),
                    "running": {server or place: "current"},
                }
            )
    return certificates, problems


def _answer(address: str, port: int, timeout: float) -> bytes | NoCertificate:
    try:
        return served_certificate(address, port, timeout)
    except NoCertificate as error:
        return error


def served_certificate(address: str, port: int, timeout: float) -> bytes:
    """The certificate (DER) that a TLS server shows to a client that has none itself and believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=None if _is_address(address) else address)
    received = bytearray()
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection((address, port), timeout) as connection:
            while not _shaken(tls):
                connection.sendall(outgoing.read())
                connection.settimeout(max(deadline - time.monotonic(), 0.001))
                data = connection.recv(65536)
                received += data
                incoming.write(data) if data else incoming.write_eof()
            with contextlib.suppress(OSError):
                connection.sendall(outgoing.read())  # a server that sees the handshake end has less to complain of
        return t.cast(bytes, tls.getpeercert(binary_form=True))
    except OSError as error:
        # Up to TLS 1.2, one that requires a client's certificate ends the handshake when it has shown its own.
        shown = _shown_in_the_clear(bytes(received))
        if shown and is_certificate(shown):
            return shown
        raise NoCertificate(_words(error)) from error


def _shaken(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return "it ended the connection"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return error.strerror or str(error)


def _shown_in_the_clear(received: bytes) -> bytes | None:
    """The first certificate of a Certificate message (RFC 5246, 7.4.2) among the records of a server; None without one."""
    messages = b""
    while len(received) >= 5 and received[0] == _RECORD_HANDSHAKE:
        length = int.from_bytes(received[3:5], "big")
        messages, received = messages + received[5 : 5 + length], received[5 + length :]
    while len(messages) >= 4:
        length = int.from_bytes(messages[1:4], "big")
        if messages[0] == _MESSAGE_CERTIFICATE:
            return messages[10 : 10 + int.from_bytes(messages[7:10], "big")]
        messages = messages[4 + length :]
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
