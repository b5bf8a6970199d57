#!/usr/bin/env python3
"""Real machines on one computer, for the inventory in inventory/hosts.yml: boot, reset, take down. See sandbox/README.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent))

from machinery import host, image, inventory, machine, mirror, units
from machinery.errors import Interrupted, SandboxError
from machinery.fleet import Fleet, lock
from machinery.inventory import Machine
from machinery.progress import Progress

COMMANDS = {
    "setup": "install the packages that the sandbox needs on this computer",
    "image": "build the machines' base image (kept in the cache)",
    "up": "boot machines (those of the inventory, unless named)",
    "down": "remove machines (all, unless named) and whatever belongs to them",
    "reset": "bring machines (all that there are, unless named) back to fresh",
    "power-off": "let machines lose power: no shutdown, and their peers are not told",
    "power-on": "boot machines from the disks that they have",
    "list": "show name, address, state and first process of every machine",
    "login": "log in to a machine, or run a command there",
    "mirror": "show where the mirror is, and what it serves",
}


def main(words: list[str] | None = None) -> int:
    arguments = _parse(words)
    progress = Progress()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(arguments, progress)
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted:
        print("interrupted: what was half made is removed", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, progress: Progress) -> int:
    machines = inventory.read()
    if arguments.command == "setup":
        host.require_root()
        host.install_packages(progress)
    elif arguments.command == "image":
        host.check(booting=0)
        image.ensure(progress)
    elif arguments.command == "list":
        _list(machines)
    elif arguments.command == "login":
        _login(inventory.select(machines, [arguments.name])[0], arguments.words)
    elif arguments.command == "mirror" and arguments.path:
        print(mirror.directory())
    elif arguments.command == "mirror":
        print(
            f"{mirror.address()} serves {mirror.directory()}: {'running' if units.unit(mirror.UNIT).pids() else 'stopped'}"
        )
    else:
        host.require_root()
        with lock(progress):
            _change(arguments, Fleet(machines, progress), progress)
    return 0


def _change(arguments: argparse.Namespace, fleet: Fleet, progress: Progress) -> None:
    named = inventory.select(fleet.machines, arguments.names)
    everyone = list(fleet.machines.values())
    present = [each for each in everyone if machine.state(each.name) != "absent"]
    if arguments.command == "up":
        fleet.up(named or [each for each in everyone if _is_wanted(each, arguments)])
    elif arguments.command == "down":
        if named:
            fleet.down(named)
        else:
            fleet.down_all()
    elif arguments.command == "reset":
        if not named and not present:
            raise SandboxError("There are no machines. Make them: sandbox/machines.py up")
        fleet.reset(named or present)
    elif arguments.command == "power-off":
        fleet.power_off(named)
    elif arguments.command == "power-on":
        fleet.power_on(named)
    progress.say(f"{arguments.command}: done")


def _is_wanted(each: Machine, arguments: argparse.Namespace) -> bool:
    return each.always or (each.spare and arguments.spare) or (each.scale and arguments.scale)


def _list(machines: dict[str, Machine]) -> None:
    print(f"{'NAME':<14}{'ADDRESS':<17}{'STATE':<10}{'PROCESS'}")
    for each in machines.values():
        print(
            f"{each.name:<14}{each.address!s:<17}{machine.state(each.name):<10}{units.unit(each.name).leader() or '-'}"
        )


def _login(one: Machine, words: list[str]) -> None:
    if machine.state(one.name) != "running":
        raise SandboxError(
            f"{one.name} does not run ({machine.state(one.name)}). Boot it: sandbox/machines.py up {one.name}"
        )
    os.execvp("ssh", machine.ssh(one, *words))


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sandbox/machines.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=meaning)
        if name in ("up", "down", "reset"):
            command.add_argument("names", nargs="*", metavar="NAME")
        if name in ("power-off", "power-on"):
            command.add_argument("names", nargs="+", metavar="NAME")
        if name == "up":
            command.add_argument("--spare", action="store_true", help="the spare machines too")
            command.add_argument("--scale", action="store_true", help="the thirty nodes of sandbox/scale too")
        if name == "mirror":
            command.add_argument("--path", action="store_true", help="its directory alone")
        if name == "login":
            command.add_argument("name", metavar="NAME")
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser.parse_args(words)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Cleaning up takes a second or two, and must not be cut short by an impatient second signal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
