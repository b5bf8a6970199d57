#!/usr/bin/python3
# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn swap off: in /etc/fstab, whose copy a reset puts back, and now.

The file comes first: as long as there is swap, a run that was killed is finished by the next one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

FSTAB = "/etc/fstab"
BEFORE = "/etc/fstab.before-hardway"
SWAP_LINE = re.compile(r"[^#].*\sswap\s")


def without_swap(text: str) -> str:
    """The file with its lines of swap as comments."""
    return "".join(
        f"# {line}" if SWAP_LINE.match(line.rstrip("\n")) else line for line in text.splitlines(keepends=True)
    )


def write(path: str, text: str) -> None:
    """Replace a file so that it is whole whenever the host dies, with its mode and owner."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.hardway-new")
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    status = os.stat(path)
    shutil.copymode(path, temporary)
    os.chown(temporary, status.st_uid, status.st_gid)
    os.replace(temporary, path)


def comment_out(fstab: str = FSTAB, before: str = BEFORE) -> None:
    """Comment the lines of swap out, and keep a copy of what was there before."""
    with open(fstab, encoding="utf-8", errors="surrogateescape") as stream:
        text = stream.read()
    wanted = without_swap(text)
    if wanted != text:
        shutil.copy2(fstab, before)
        write(fstab, wanted)


def main() -> None:
    comment_out()
    subprocess.run(["swapoff", "--all"], check=True)


if __name__ == "__main__":
    main()
