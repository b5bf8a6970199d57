"""A plain web server over a directory, as a mirror of artifacts is: files only, fast, many machines at once."""

from __future__ import annotations

import argparse
import os
import socketserver
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO


def make_server(bind: str, port: int, root: Path) -> Server:
    """Return a server, already listening, of the files below root."""
    return Server((bind, port), partial(Handler, directory=str(root)))


class Server(ThreadingHTTPServer):
    """Takes many machines' requests at the same moment."""

    request_queue_size = 256

    def server_bind(self) -> None:
        # http.server's own asks the name service for this computer's name, which it uses nowhere else.
        socketserver.TCPServer.server_bind(self)


class Handler(SimpleHTTPRequestHandler):
    """Serves files, not directories, over connections that stay open."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    # A response's head is sent at once with its body, not after the peer's delayed acknowledgement.
    wbufsize = -1

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "This mirror lists no directories")

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:  # type: ignore[override]
        outputfile.flush()
        self.connection.sendfile(source)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet about what was served; what failed is logged by log_error, through this method too."""
        if not format.startswith('"%s"'):
            super().log_message(format, *args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bind")
    parser.add_argument("port", type=int)
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    make_server(arguments.bind, arguments.port, arguments.directory).serve_forever()


if __name__ == "__main__":
    main()
