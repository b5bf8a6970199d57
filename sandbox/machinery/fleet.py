"""All machines together: up, down, reset, with the network and the mirror that they need."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from . import disk, host, image, machine, mirror, network, settings, units
from .commands import run
from .errors import Interrupted, SandboxError
from .inventory import Machine
from .progress import Progress


class Fleet:
    """The machines of the inventory. Its methods change them; hold the `lock` around each."""

    def __init__(self, machines: Mapping[str, Machine], progress: Progress) -> None:
        self.machines = machines
        self.progress = progress
        self._stop = threading.Event()

    def up(self, wanted: Sequence[Machine]) -> None:
        """Boot those that do not run; the first of all brings network and mirror with it."""
        host.check(sum(machine.state(each.name) != "running" for each in wanted))
        tree = image.ensure(self.progress)
        try:
            self._prepare()
            self._boot(wanted, tree)
        finally:
            self._tidy()

    def reset(self, wanted: Sequence[Machine]) -> None:
        """Give those a fresh disk, and boot them."""
        host.require_root()
        self._require_disk(wanted)
        tree = image.ensure(self.progress)
        try:
            self._prepare()
            self._each(wanted, lambda each: self._take(each, "reset"))
            self._boot(wanted, tree)
        finally:
            self._tidy()

    def power_off(self, wanted: Sequence[Machine]) -> None:
        """Let those lose power; their disks stay."""
        host.require_root()
        self._require_disk(wanted)
        # All cables first: of several that lose power together none must see another's end.
        for each in wanted:
            network.cut(each.name)
        self._each(wanted, self._lose_power)

    def power_on(self, wanted: Sequence[Machine]) -> None:
        """Boot those from the disks that they have."""
        host.require_root()
        self._require_disk(wanted)
        self._prepare()
        self._boot(wanted)

    def down(self, wanted: Sequence[Machine]) -> None:
        """Remove those machines and their disks; with the last one network, mirror and state go too."""
        host.require_root()
        self._each(wanted, lambda each: self._take(each, "removed"))
        self._tidy()

    def down_all(self) -> None:
        """Remove every machine, and whatever any earlier command left behind."""
        host.require_root()
        names = dict.fromkeys([*self.machines, *disk.names()])
        for name in names:
            network.cut(name)
        known = [each for each in self.machines.values() if machine.state(each.name) != "absent"]
        self._each(known, lambda each: self._take(each, "removed"))
        for unit in units.all_units(names):
            machine.clear(unit.name)
            disk.discard(unit.name)
        self._tidy()

    def _prepare(self) -> None:
        settings.STATE.mkdir(parents=True, exist_ok=True)
        disk.clear_half_made()
        if not settings.SSH_KEY.exists():
            settings.SSH_KEY.parent.mkdir(mode=0o700, exist_ok=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hardway-sandbox", "-f", settings.SSH_KEY)
        host.allow_inotify()
        network.up()
        mirror.start(self.progress)

    def _boot(self, wanted: Sequence[Machine], image_tree: Path | None = None) -> None:
        """Boot those that do not run, with a fresh disk from the image if they have none.

        What fails or is interrupted is off afterwards, and a disk that was made for it is gone.
        """
        made: list[Machine] = []
        booting: list[Machine] = []

        def boot(each: Machine) -> None:
            if machine.state(each.name) == "running":
                machine.wait(each, self._stop)
                self.progress.say(f"{each.name}: already runs at {each.address}")
                return
            booting.append(each)
            if image_tree and not disk.exists(each.name):
                made.append(each)
                disk.make(each, image_tree, self.machines.values())
            machine.power_on(each)
            said = machine.wait(each, self._stop, booted=each in made)
            booting.remove(each)
            self.progress.say(f"{each.name}: ssh answers at {each.address} ({said})")

        try:
            self._each(wanted, boot)
        except BaseException:
            for each in booting:
                if each in made:
                    self._take(each, "removed, as it was only half made")
                else:
                    self._lose_power(each)
            raise

    def _take(self, each: Machine, why: str) -> None:
        machine.power_off(each.name)
        machine.end_connections(each)
        if disk.exists(each.name):
            disk.discard(each.name)
            self.progress.say(f"{each.name}: {why}")

    def _lose_power(self, each: Machine) -> None:
        machine.power_off(each.name)
        machine.end_connections(each)
        self.progress.say(f"{each.name}: has no power")

    def _tidy(self) -> None:
        """Delete what was put aside, and all the rest when no machine is left."""
        if disk.names():
            disk.clear()
            return
        disk.stop_clearing()
        mirror.stop()
        units.forget_slice()
        network.down()
        host.restore_inotify()
        shutil.rmtree(settings.STATE, ignore_errors=True)

    def _require_disk(self, wanted: Sequence[Machine]) -> None:
        absent = [each.name for each in wanted if not disk.exists(each.name)]
        if absent:
            raise SandboxError(
                f"There is no machine {', '.join(absent)}. Make it: sandbox/machines.py up {' '.join(absent)}"
            )

    def _each(self, wanted: Sequence[Machine], work: Callable[[Machine], None]) -> None:
        """Do the work for all machines at once, and raise what failed when all are done; a signal stops them."""
        if not wanted:
            return
        failed: list[str] = []
        with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
            pending: set[Future[None]] = {pool.submit(work, each) for each in wanted}
            try:
                while pending:
                    # Waiting in short turns lets the main thread see a signal.
                    done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    failed += [str(error) for future in done if (error := future.exception())]
            except Interrupted:
                self._stop.set()
                raise
        if failed:
            raise SandboxError("\n".join(failed))


@contextmanager
def lock(progress: Progress) -> Iterator[None]:
    """Let one command at a time change the sandbox."""
    while True:
        handle = os.open(settings.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode() or "unknown"
            progress.say(f"waiting for another command of the sandbox (process {holder})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        # The one before us removes the file: what we locked may not be what the next one finds.
        if settings.LOCK.exists() and os.fstat(handle).st_ino == settings.LOCK.stat().st_ino:
            break
        os.close(handle)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        settings.LOCK.unlink(missing_ok=True)
        os.close(handle)
