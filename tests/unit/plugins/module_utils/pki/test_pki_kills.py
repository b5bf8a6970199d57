# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs beside each other, and runs that are killed: real processes, SIGKILL at random moments."""

from __future__ import annotations

import base64
import os
import random
import shutil
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import compare
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as certs
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.parse import parse_request
from ansible_collections.hardway.kubernetes.plugins.module_utils.pki.reconcile import reconcile as reconcile_directory
from ansible_collections.hardway.kubernetes.tests.unit.plugins.module_utils.pki_directory import (
    contents,
    pairs_match,
    reconcile,
)

PASSPHRASES = ("first", "second")
STEP = 0.003  # seconds


def request(**settings) -> dict:
    leaf = {"validity": "1y", **settings.pop("leaf", {})}
    return {
        "cas": [
            {
                "name": "ca",
                "subject": {"CN": "ca"},
                "passphrase": "first",
                "old_passphrase": "second",
                **settings.pop("ca", {}),
            },
            {"name": "sub", "subject": {"CN": "sub"}, "issuer": "ca"},
        ],
        "certificates": [
            {
                "name": f"leaf{number}",
                "ca": ("ca", "sub")[number % 2],
                "subject": {"CN": f"leaf{number}"},
                **leaf,
            }
            for number in range(6)
        ],
        "keys": [{"name": "service-account"}, {"name": "encryption", "type": "random"}],
        "bundles": [{"name": "trusted", "cas": ["ca", "sub"]}, {"name": "public", "keys": ["service-account"]}],
        **settings,
    }


# What a run that is killed was about to do to a complete directory, or to none.
ERRANDS = {
    "make all": None,
    "new keys": request(renew=["*"], renew_keys=True),
    "another type of key": request(leaf={"key": {"size": 384}}),
    "another lifetime and a chain": request(leaf={"validity": "2y", "chain": True}),
    "another passphrase": request(ca={"passphrase": "second", "old_passphrase": "first"}),
    "less in a bundle": request(
        bundles=[{"name": "trusted", "cas": ["ca"]}, {"name": "public", "keys": ["service-account"]}]
    ),
}


def slow_down() -> None:
    """Each step that changes the directory lasts, as on a slow disk: else a kill hardly ever falls between two of them."""

    def slowly(function: Callable) -> Callable:
        def call(*arguments):
            done = function(*arguments)
            time.sleep(STEP)
            return done

        return call

    for name in ("rename", "unlink", "fchmod", "chmod"):
        setattr(os, name, slowly(getattr(os, name)))


def start(path: Path, wanted: dict, slow: bool = False) -> tuple[int, int]:
    """A process, in a group of its own, that reconciles; its pipe says in the end whether it changed something."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        answer = b"failed"
        try:
            os.setpgid(0, 0)
            if slow:
                slow_down()
            answer = b"changed" if reconcile_directory(str(path), parse_request(wanted)).changed else b"ok"
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.close(writing)
    return process, reading


def kill_after(path: Path, wanted: dict, seconds: float) -> bool:
    """Whether the run was still at it."""
    process, reading = start(path, wanted, slow=True)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read() == b""


def time_of(path: Path, wanted: dict) -> float:
    """How long a run lasts that nobody kills."""
    began = time.monotonic()
    process, reading = start(path, wanted, slow=True)
    os.waitpid(process, 0)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"changed"
    return time.monotonic() - began


def faults(path: Path) -> list[str]:
    """What no moment may show, whatever was being done."""
    if not path.exists():
        return []
    found = [] if stat.S_IMODE(path.stat().st_mode) == 0o700 else ["the directory's mode"]
    for file in path.iterdir():
        if b"PRIVATE KEY" in file.read_bytes() and stat.S_IMODE(file.stat().st_mode) != 0o600:
            found.append(f"mode of {file.name}")
    data = {file.name: file.read_bytes() for file in path.iterdir() if not file.name.startswith(".")}
    if not pairs_match(path, PASSPHRASES):
        found.append("a certificate beside another key")
    cas = {
        compare.format_subject(certs.load_certificate(data[f"{name}.pem"]).subject): name
        for name in ("ca", "sub")
        if f"{name}.pem" in data
    }
    for name in data:
        if name.endswith(".pem") and b"BEGIN CERTIFICATE" in data[name]:
            certificate = certs.load_certificate(data[name])
            ca = cas.get(compare.format_subject(certificate.issuer))
            if ca is None or not certs.signed_by(certificate, certs.load_certificate(data[f"{ca}.pem"]).public_key()):
                found.append(f"{name} without its CA")
        elif name == "encryption.key":
            found += [] if len(base64.b64decode(data[name])) == 32 else [name]
        elif name.endswith("-key.pem"):
            certs.open_key(data[name], PASSPHRASES)
        elif name in ("service-account.pem", "public.pem"):
            found += [] if data[name] == certs.public_pem(certs.load_key(data["service-account-key.pem"])) else [name]
        else:
            found.append(f"{name} is nothing that was asked for")
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made") / "pki"
    reconcile(path, request())
    return path


@pytest.fixture
def dice() -> random.Random:
    seed = int(os.environ.get("HARDWAY_SEED") or random.randrange(2**32))
    print(f"HARDWAY_SEED={seed} repeats these moments")
    return random.Random(seed)


def test_fifty_kills(made, tmp_path, dice):
    path = tmp_path / "pki"
    lasts = {}
    for errand, wanted in ERRANDS.items():
        if wanted is not None:
            shutil.copytree(made, path)
        lasts[errand] = time_of(path, wanted or request())
        shutil.rmtree(path)
    killed, half = 0, 0
    for turn in range(50):
        errand = list(ERRANDS)[turn % len(ERRANDS)]
        wanted = ERRANDS[errand] or request()
        if ERRANDS[errand] is not None:
            shutil.copytree(made, path)
        moment = dice.uniform(0, lasts[errand])
        killed += kill_after(path, wanted, moment)
        assert faults(path) == [], f"turn {turn}, {errand}, after {moment:.4f} s"
        # Renewal in any case is asked for once.
        rest = {**wanted, "renew": []}
        half += reconcile(path, rest)["changed"]
        assert faults(path) == [], f"the run after turn {turn}, {errand}, after {moment:.4f} s"
        assert not reconcile(path, rest)["changed"]
        assert files.names(str(path)) == sorted(os.listdir(path)), "what a killed run left is gone"
        authorities_stay(made, path, errand)
        shutil.rmtree(path)
    print(f"{killed} of 50 were still at it, {half} left something to do")
    assert killed >= 20 and half >= 10


def authorities_stay(made: Path, path: Path, errand: str) -> None:
    if ERRANDS[errand] is not None:
        for name in ("ca.pem", "sub.pem", "sub-key.pem", "service-account-key.pem", "encryption.key"):
            assert (path / name).read_bytes() == (made / name).read_bytes()


def at_work(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent, its_group = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
            except OSError:
                continue
            if int(its_group) == group and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core makes keys without further processes")
def test_a_kill_ends_those_that_make_keys_for_it(tmp_path):
    """They came with the lock, which the next run waits for."""
    path = tmp_path / "pki"
    wanted = request(leaf={"key": {"type": "rsa", "size": 4096}})
    process, reading = start(path, wanted)
    deadline = time.monotonic() + 20
    while len(at_work(process)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(at_work(process)) >= 2
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(reading)
    began = time.monotonic()
    reconcile(path, request())
    assert time.monotonic() - began < 15
    while at_work(process) and time.monotonic() < began + 15:
        time.sleep(0.05)
    assert at_work(process) == []


def test_runs_wait_for_each_other(tmp_path):
    # The directory is there, for making it is a change of its own, whichever run it is that then fills it.
    (tmp_path / "pki").mkdir(0o700)
    runs = [start(tmp_path / "pki", request()) for number in range(4)]
    answers = []
    for process, reading in runs:
        os.waitpid(process, 0)
        with os.fdopen(reading, "rb") as pipe:
            answers.append(pipe.read())
    assert sorted(answers) == [b"changed", b"ok", b"ok", b"ok"]
    assert not reconcile(tmp_path / "pki", request())["changed"]


def hold_lock(path: Path) -> int:
    """A process that has the directory's lock, and does nothing more; not this one, whose children would have it too."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        with files.lock(str(path / ".lock")):
            os.write(writing, b"held")
            signal.pause()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read(4) == b"held"
    return process


def test_a_run_waits_for_as_long_as_another_lasts(tmp_path):
    path = tmp_path / "pki"
    reconcile(path, request())
    before = contents(path)
    holder = hold_lock(path)
    process, reading = start(path, request(leaf={"validity": "2y"}))
    try:
        time.sleep(0.5)
        assert os.waitpid(process, os.WNOHANG) == (0, 0)
        assert contents(path) == before
    finally:
        # The kernel lets go of a killed process' lock.
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    os.waitpid(process, 0)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"changed"


def test_runs_that_want_different_things(tmp_path):
    """Whichever comes last has its way, and nothing is mixed."""
    for turn in range(5):
        runs = [start(tmp_path / "pki", request(leaf={"key": {"size": size}})) for size in (256, 384, 521)]
        for process, reading in runs:
            os.waitpid(process, 0)
            with os.fdopen(reading, "rb") as pipe:
                assert pipe.read() in (b"changed", b"ok")
        assert faults(tmp_path / "pki") == []
        sizes = {
            certs.load_certificate((tmp_path / "pki" / f"leaf{number}.pem").read_bytes()).public_key().curve.key_size
            for number in range(6)
        }
        assert len(sizes) == 1
