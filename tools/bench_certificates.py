# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long the same list of certificates takes with the module `certificates`, with community.crypto's modules in a loop, and with cfssl.

    python tools/bench_certificates.py [--number N] [--markdown docs/benchmark.md] [ecdsa|rsa ...]

The two of Ansible are run by ansible-playbook, as their users do, so the time is that of the whole command. community.crypto's
loop is run over fewer certificates, for the sake of patience, and its time is scaled; each of its rounds costs the same.
A benchmark, not a test: it judges nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "interop")]

import pages  # noqa: E402
import tools  # noqa: E402

HEADING = "Certificates"
NUMBER = 1000
LOOPED = 20
IDLE = 3
SIZES = {"ecdsa": 256, "rsa": 2048}
MODULE = "ansible_collections.hardway.kubernetes.plugins.modules.certificates"
CALL = f"""
import json, sys
from ansible.module_utils.testing import patch_module_args
from {MODULE} import main
with patch_module_args(json.load(sys.stdin)):
    main()
"""
USAGES = ["signing", "key encipherment", "server auth", "client auth"]


@dataclass(frozen=True)
class Row:
    """One way to do it: seconds for each of the columns, or why there are none."""

    name: str
    first: str
    again: str
    check: str
    note: str = ""


def arguments(path: str, number: int, kind: str) -> dict:
    key = {"type": kind, "size": SIZES[kind]}
    return {
        "path": path,
        "cas": [{"name": "ca", "subject": {"CN": "ca"}, "key": key}],
        "certificates": [
            {
                "name": f"node{index}",
                "ca": "ca",
                "profile": "peer",
                "subject": {"O": "system:nodes", "CN": f"system:node:node{index}"},
                "hosts": [f"node{index}", f"10.33.{index // 250}.{index % 250}", "127.0.0.1"],
                "key": key,
            }
            for index in range(number)
        ],
    }


def timed(command: list[object], directory: Path, text: str = "", **environment: str) -> tuple[float, str]:
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.monotonic() - began, done.stdout


def play(directory: Path, tasks: list[dict], *options: str) -> tuple[float, str]:
    playbook = directory / "playbook.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }
    # A loop's output is no small part of its time; a user would see it, so it stays.
    return timed([Path(sys.executable).with_name("ansible-playbook"), playbook, *options], directory, **settings)


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


# --- the module


def module_alone(settings: dict, check: bool = False) -> tuple[float, bool]:
    """One call of the module in a process of its own, without the second that ansible-playbook itself takes."""
    text = json.dumps({**settings, "_ansible_check_mode": check})
    taken, output = timed([sys.executable, "-c", CALL], ROOT, text, PYTHONPATH=str(ROOT / ".collections"))
    return taken, json.loads(output)["changed"]


def by_module(directory: Path, number: int, kind: str) -> Row:
    task = [{"hardway.kubernetes.certificates": arguments(str(directory / "pki"), number, kind)}]
    check, planned = play(directory, task, "--check")
    first, made = play(directory, task)
    again, idle = play(directory, task)
    assert "changed=1" in planned and "changed=1" in made and "changed=0" in idle
    return Row(f"certificates, one call for {number}", seconds(first), seconds(again), seconds(check))


def processor_time() -> float:
    """Of all processes that have been waited for, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_module_alone(directory: Path, number: int, kind: str) -> Row:
    settings = arguments(str(directory / "pki"), number, kind)
    check, planned = module_alone(settings, check=True)
    started = processor_time()
    first, made = module_alone(settings)
    issued = processor_time()
    idle = [module_alone(settings) for _again in range(IDLE)]
    compared = processor_time()
    assert planned and made and not any(changed for _taken, changed in idle)
    note = f"{kind} {SIZES[kind]}: {issued - started:.1f} s to issue, {(compared - issued) / IDLE:.1f} s to find nothing to do"
    return Row(
        f"the module alone, {number}",
        seconds(first),
        seconds(statistics.median(taken for taken, _changed in idle)),
        seconds(check),
        note,
    )


# --- community.crypto


def loop_tasks(directory: Path, settings: dict, kind: str) -> list[dict]:
    """As its documentation does it: a key, a request that is not kept, a certificate; first for the authority, then for each name."""
    key = {"type": "ECC", "curve": "secp256r1"} if kind == "ecdsa" else {"type": "RSA", "size": SIZES[kind]}
    usages = {
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "extended_key_usage": ["serverAuth", "clientAuth"],
        "key_usage_critical": True,
    }
    names = [
        {
            "name": entry["name"],
            "cn": entry["subject"]["CN"],
            "san": [f"DNS:{entry['hosts'][0]}", *(f"IP:{host}" for host in entry["hosts"][1:])],
        }
        for entry in settings["certificates"]
    ]
    authority = {
        "common_name": "ca",
        "basic_constraints": ["CA:TRUE"],
        "basic_constraints_critical": True,
        "key_usage": ["keyCertSign", "cRLSign"],
    }
    ca = {
        "path": f"{directory}/ca.pem",
        "privatekey_path": f"{directory}/ca-key.pem",
        "provider": "selfsigned",
        "selfsigned_not_after": "+3650d",
    }
    each = "{{ item.name }}"
    return [
        {"community.crypto.openssl_privatekey": {"path": f"{directory}/ca-key.pem", **key}},
        {
            "community.crypto.openssl_csr_pipe": {"privatekey_path": f"{directory}/ca-key.pem", **authority},
            "register": "ca",
            "changed_when": False,
        },
        {"community.crypto.x509_certificate": {**ca, "csr_content": "{{ ca.csr }}"}},
        {"community.crypto.openssl_privatekey": {"path": f"{directory}/{each}-key.pem", **key}, "loop": names},
        {
            "community.crypto.openssl_csr_pipe": {
                "privatekey_path": f"{directory}/{each}-key.pem",
                "subject": {"O": "system:nodes", "CN": "{{ item.cn }}"},
                "subject_alt_name": "{{ item.san }}",
                **usages,
            },
            "loop": names,
            "register": "requests",
            # It counts a request as a change, though nobody keeps it.
            "changed_when": False,
        },
        {
            "community.crypto.x509_certificate": {
                "path": f"{directory}/{{{{ item.item.name }}}}.pem",
                "csr_content": "{{ item.csr }}",
                "provider": "ownca",
                "ownca_path": f"{directory}/ca.pem",
                "ownca_privatekey_path": f"{directory}/ca-key.pem",
                "ownca_not_after": "+3650d",
            },
            "loop": "{{ requests.results }}",
            "loop_control": {"label": "{{ item.item.name }}"},
        },
    ]


def by_loop(directory: Path, number: int, kind: str) -> Row:
    few = min(LOOPED, number)
    empty, _output = play(directory, loop_tasks(directory, {"certificates": []}, kind))
    tasks = loop_tasks(directory, arguments("", few, kind), kind)
    first, made = play(directory, tasks)
    again, idle = play(directory, tasks)
    # The authority is there since the empty list.
    assert "changed=2" in made and "changed=0" in idle

    def scaled(taken: float) -> str:
        return seconds(empty + (taken - empty) * number / few) + (
            f" (scaled from {few}: {seconds(taken)})" if few < number else ""
        )

    return Row("community.crypto, three modules in a loop", scaled(first), scaled(again), "fails: no key to read")


# --- cfssl


def by_cfssl(directory: Path, number: int, kind: str) -> Row:
    """The documents' command for each request."""
    settings = arguments("", number, kind)
    key = {"algo": kind, "size": SIZES[kind]}
    (directory / "ca-config.json").write_text(
        json.dumps({"signing": {"profiles": {"peer": {"expiry": "87600h", "usages": USAGES}}}})
    )
    (directory / "ca-csr.json").write_text(json.dumps({"CN": "ca", "key": key, "ca": {"expiry": "87600h"}}))
    for entry in settings["certificates"]:
        request = {"CN": entry["subject"]["CN"], "names": [{"O": "system:nodes"}], "hosts": entry["hosts"], "key": key}
        (directory / f"{entry['name']}-csr.json").write_text(json.dumps(request))
    script = """
        cfssl gencert -loglevel=3 -initca ca-csr.json | cfssljson -bare ca -
        for csr in node*-csr.json; do
          cfssl gencert -loglevel=3 -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=peer "$csr" | cfssljson -bare "${csr%-csr.json}"
        done
    """
    first, _output = timed(
        ["bash", "-euo", "pipefail", "-c", script], directory, PATH=f"{tools.cfssl()}:{os.environ['PATH']}"
    )
    assert len(list(directory.glob("node*-key.pem"))) == number
    return Row(
        f"cfssl {tools.CFSSL_VERSION}, {number} times gencert", seconds(first), "reissues everything", "has none"
    )


def measure(way, number: int, kind: str) -> Row:
    with tempfile.TemporaryDirectory() as above:
        return way(Path(above), number, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="ecdsa|rsa", help="of which keys; without any, of both")
    parser.add_argument("--number", type=int, default=NUMBER, help="of certificates")
    parser.add_argument("--markdown", type=Path, help="the page of which the chapter is to be written, too")
    options = parser.parse_args()
    kinds = options.kinds or list(SIZES)
    if not set(kinds) <= set(SIZES):
        parser.error(f"there are keys of {' and '.join(SIZES)}")
    tools.cfssl()
    lines = [
        f"The same {options.number} certificates, by each, in one run of `tools/bench_certificates.py`: {len(os.sched_getaffinity(0))} processors, "
        f"load {os.getloadavg()[0]:.1f} before, {time.strftime('%Y-%m-%d')}. The rows of Ansible are the whole `ansible-playbook`. "
        f"community.crypto's loop ran over {min(LOOPED, options.number)} certificates and is scaled: the certificates' part of its time by their number.",
        "",
        "| key | way | first issue | again, nothing to do | check mode, empty directory |",
        "| --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    notes = []
    for kind in kinds:
        for way in (by_module, by_module_alone, by_loop, by_cfssl):
            row = measure(way, options.number, kind)
            lines.append(f"| {kind} {SIZES[kind]} | {row.name} | {row.first} | {row.again} | {row.check} |")
            print(lines[-1], flush=True)
            notes += [row.note] if row.note else []
    closing = f"Processor time of the module alone, on all processors together, which depends less on what else they do: {'; '.join(notes)}."
    print(f"\n{closing}")
    if options.markdown:
        pages.put_chapter(options.markdown, HEADING, "\n".join([*lines, "", closing]))


if __name__ == "__main__":
    main()
