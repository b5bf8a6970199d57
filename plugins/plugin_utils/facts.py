# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host (module host_facts), made anew key by key before anything on the controller uses them.

Who is root on a host answers for every module that runs there. Facts are therefore data of a stranger: an unknown key is dropped, so
that no fact becomes a setting, and a key that is missing or has another type makes the host unreadable and not the run fail.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.untrusted import (
    LONG,
    SHORT,
    Check,
    Untrusted,
    address,
    boolean,
    dict_of,
    integer,
    list_of,
    number,
    one_line,
    one_of,
    plain,
    record,
    text,
)

#: The longest list of etcd's members, and the longest PEM block of one certificate, that is taken from a host.
MEMBERS, PEM = 64 * 1024, 64 * 1024
ERROR = 1000
#: 4 PiB in MiB, ten years of seconds from either end: no honest host is beyond.
MEBIBYTES = 2**42
SECONDS = 10**11

name, path = text(SHORT), text(LONG)
size = integer(0, MEBIBYTES)

#: By key, what its value must be. A key of the module's documentation that is not here does not reach the controller.
FACTS: dict[str, Check] = {
    "time": number(0, SECONDS),
    "root": boolean,
    "python": text(64),
    "distribution": record({"id": name, "like": list_of(name, 64), "version": name, "codename": name, "name": name}),
    "architecture": text(64),
    "kernel": name,
    "systemd": boolean,
    "hostname": name,
    "machine_id": text(64),
    "cpus": integer(0, 2**20),
    "memory_mib": size,
    "swap": list_of(path, 1024),
    "cgroup": one_of(1, 2),
    "selinux": one_of("disabled", "permissive", "enforcing"),
    "addresses": list_of(record({"address": address, "prefix": integer(0, 128), "interface": name, "scope": text(64)})),
    "interface_of": dict_of(name, address),
    "default_interface": name,
    "filesystems": dict_of(
        record({"free_mib": size, "size_mib": size, "read_only": boolean, "device": integer(0, 2**64)}), most=1024
    ),
    "listeners": list_of(
        record(
            {
                "address": address,
                "port": integer(0, 65535),
                "process": name,
                "pid": integer(0, 2**31),
                "unit": name,
            }
        )
    ),
    "units": dict_of(record({"state": text(64), "file": path}), name, 1024),
    "packages": dict_of(name, name),
    "commands": dict_of(path, name, 1024),
    "features": dict_of(one_of("present", "loadable", "missing"), name, 1024),
    "inotify_free": integer(0, 2**31),
    "etcd_member": boolean,
    "installed": dict_of(name, name, 64),
    "static_pods": list_of(name, 1024),
    "authorities": dict_of(list_of(text(64, "[0-9a-f]{64}"), 1024), path, 64),
    "network": record({}, {"cni": name, "plugin": name, "method": name, "datastore": name}),
    "etcd_started_with": record(
        {}, {"initial-cluster": text(MEMBERS, r"\S+"), "initial-cluster-state": text(64, r"\S+")}
    ),
    "etcd_learner": boolean,
    # Its own reader checks it field by field (component/snapshot.py).
    "components": plain(),
    "kubelet_certificate": record(
        {
            "path": path,
            "present": boolean,
            "not_after": integer(0, SECONDS),
            "expired": boolean,
            "pem": text(
                PEM,
                r"(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----\n?)?",
                lines=True,
            ),
        }
    ),
}
_check = record(FACTS)


class UntrustedFacts(HardwayError):
    """What a host returned as its facts is not that. The message names the key."""


def checked_facts(raw: object) -> dict[str, t.Any]:
    """The facts made anew from what a host returned. Facts that are the controller's own (`clock_offset`) are added to the result.

    :raises UntrustedFacts: and nothing else, whatever *raw* is
    """
    try:
        facts = t.cast("dict[str, t.Any]", _check(raw, ""))
    except Untrusted as error:
        raise UntrustedFacts(f"untrusted facts: {error}") from None
    return {**facts, "reachable": True, "readable": True, "error": ""}


def unreadable(reachable: bool, error: str, untrusted: bool = False) -> dict[str, t.Any]:
    """The fact set of a host that could not be read, or whose facts cannot be used."""
    return {"reachable": reachable, "readable": False, "untrusted": untrusted, "error": one_line(error)[-ERROR:]}


def usable_facts(raw: object, clock_offset: object = 0.0) -> dict[str, t.Any]:
    """Facts that stand in a variable, once more checked: never an exception, and empty only where there are none.

    *clock_offset* is what the controller measured; a value that is no number counts as none.
    """
    if not isinstance(raw, dict) or not raw:
        return {} if raw is None or raw == {} else unreadable(True, "its facts are not a dictionary", True)
    if raw.get("readable") is not True:
        error = raw.get("error")
        return unreadable(
            raw.get("reachable") is True, error if isinstance(error, str) else "", raw.get("untrusted") is True
        )
    try:
        facts = checked_facts(raw)
    except UntrustedFacts as error:
        return unreadable(True, str(error), True)
    try:
        facts["clock_offset"] = number(-SECONDS, SECONDS)(clock_offset, "clock_offset")
    except Untrusted:
        facts["clock_offset"] = 0.0
    return facts
