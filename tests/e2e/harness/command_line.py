# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the drills."""

from __future__ import annotations

import argparse
import json
import pathlib
import time
import traceback
from collections.abc import Mapping, Sequence

from . import playbooks, results
from .checks import DrillFailed, Kind
from .context import CONTEXT
from .registry import Drill, Options
from .results import Result


def parser_of(drills: Mapping[str, Drill], description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=", ".join(drills))
    parser.add_argument("--short", action="store_true", help="each as small as it still proves something")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of random moments and orders")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="of the jobs of day2, or of the variants, those whose name has this in it",
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the results to this file")
    parser.add_argument(
        "--markdown",
        type=pathlib.Path,
        metavar="FILE",
        help="also write the results into the table of this page of the docs",
    )
    parser.add_argument(
        "--inventory",
        "-i",
        action="append",
        metavar="PATH",
        help="the cluster's, if not the default one; several are one inventory",
    )
    parser.add_argument("--list", action="store_true", help="describe the drills")
    return parser


def main(drills: Mapping[str, Drill], description: str | None, words: Sequence[str] | None = None) -> int:
    parser = parser_of(drills, description)
    arguments = parser.parse_args(words)
    if arguments.list:
        for drill in drills.values():
            print(f"{drill.name:18} {drill.description}" + (f" [{drill.notes}]" if drill.notes else ""))
        return 0
    unknown = [name for name in arguments.drills if name not in drills]
    if unknown:
        parser.error(f"no such drill: {', '.join(unknown)}; there are {', '.join(drills)}")
    chosen = [drills[name] for name in arguments.drills] or [one for one in drills.values() if not one.needs.on_request]
    if arguments.inventory:
        fixed = [one.name for one in chosen if one.needs.own_inventory]
        if arguments.drills and fixed:
            parser.error(f"{', '.join(fixed)}: has inventories of its own. Fix: call it without --inventory")
        chosen = [one for one in chosen if not one.needs.own_inventory]
        CONTEXT.inventories = arguments.inventory
    playbooks.LOG.unlink(missing_ok=True)
    done = [run_drill(one, Options(arguments.short, arguments.seed, arguments.only)) for one in chosen]
    print(results.table(result.as_row() for result in done))
    if arguments.json:
        arguments.json.write_text(json.dumps([result.as_json() for result in done], indent=1), encoding="utf-8")
    if arguments.markdown:
        before = arguments.markdown.read_text(encoding="utf-8") if arguments.markdown.exists() else ""
        arguments.markdown.write_text(results.page(done, before, drills), encoding="utf-8")
    failed = sum(not result.passed for result in done)
    print(f"{len(done) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_drill(drill: Drill, options: Options) -> Result:
    print(f"--- {drill.name}: {drill.description}", flush=True)
    began = time.monotonic()
    try:
        figures, kind = drill.run(options), Kind.PASSED
    except DrillFailed as error:
        figures, kind = str(error), error.kind
    except Exception as error:  # pylint: disable=broad-exception-caught  # a drill's own mistake: those after it run all the same
        traceback.print_exc()
        figures, kind = f"the drill itself failed: {error!r}", Kind.ERROR
    result = Result(
        drill.name, drill.name + CONTEXT.cluster_label, kind, figures, time.monotonic() - began, options.short
    )
    ended = "passed" if result.passed else f"FAILED ({kind.value})"
    print(f"    {ended} after {result.seconds:.0f} s: {figures}", flush=True)
    return result
