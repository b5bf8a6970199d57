"""The mirror: a plain web server over ${cache}/mirror, from which the machines fetch artifacts."""

from __future__ import annotations

import argparse
import os
import posixpath
import socket
import sys
import time
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

if __package__:
    from . import settings, units
    from .errors import SandboxError
    from .progress import Progress

UNIT = "mirror"


def directory() -> Path:
    return settings.cache() / "mirror"


def address() -> str:
    return f"http://{settings.HOST.ip}:{settings.MIRROR_PORT}/"


def start(progress: Progress) -> None:
    """Start the server in the background, unless it runs already and serves the same directory."""
    directory().mkdir(parents=True, exist_ok=True)
    unit = units.unit(UNIT)
    command = [sys.executable, str(Path(__file__).resolve()), str(settings.HOST.ip), str(settings.MIRROR_PORT), str(directory())]
    if any(_command_line(pid) == command for pid in unit.pids()):
        return
    unit.kill()
    log = settings.STATE / "mirror.log"
    log.unlink(missing_ok=True)
    unit.start(command, log, {})
    deadline = time.monotonic() + 20
    while not _answers():
        if time.monotonic() > deadline or (log.exists() and "Error" in log.read_text(encoding="utf-8")):
            raise SandboxError(f"The mirror does not start at {address()}; see what else uses that port. It said:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)
    progress.say(f"mirror: {directory()} is served at {address()}")


def stop() -> None:
    units.unit(UNIT).kill()


def serve(bind: str, port: int, root: Path) -> None:
    """Serve the files below root, until the process ends."""
    Server((bind, port), partial(Handler, directory=str(root))).serve_forever()


class Server(ThreadingHTTPServer):
    """Takes many machines' requests at the same moment."""

    request_queue_size = 256


class Handler(SimpleHTTPRequestHandler):
    """Serves files, not directories, over connections that stay open."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    # A response's head is sent at once with its body, not after the peer's delayed acknowledgement.
    wbufsize = -1

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "This mirror lists no directories")

    def translate_path(self, path: str) -> str:
        # http.server follows symbolic links; a mirror may hold some, but not ones that lead out of it.
        root = os.path.realpath(self.directory)
        real = os.path.realpath(super().translate_path(path))
        return real if real == root or real.startswith(root + os.sep) else posixpath.join(root, ".outside-of-this-mirror")

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        outputfile.flush()
        self.connection.sendfile(source)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet about what was served; what failed is logged by log_error, through this method too."""
        if not format.startswith('"%s"'):
            super().log_message(format, *args)


def _answers() -> bool:
    try:
        with socket.create_connection((str(settings.HOST.ip), settings.MIRROR_PORT), timeout=1):
            return True
    except OSError:
        return False


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bind")
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    serve(arguments.bind, arguments.port, arguments.directory)


if __name__ == "__main__":
    main()
