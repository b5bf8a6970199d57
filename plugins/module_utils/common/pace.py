# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP answers that come to an end: with a pace that they have to keep, and a size that they may have.

The time limit of a socket is for each read. A server that sends a byte a minute, be it of the headers, never exceeds it.
"""

from __future__ import annotations

import http.client
import io
import time
import typing as t
import urllib.request
from collections.abc import Callable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import size as in_words

#: Bytes a second that the slowest useful line has.
SLOWEST = 8 * 1024


class TooSlow(HardwayError, http.client.HTTPException):
    """An answer that comes, but so slowly that nobody would live to see its end."""


class TooLarge(HardwayError, http.client.HTTPException):
    """An answer that is longer than any honest one."""


class Pace:
    """What an answer has received, and until when it has to receive more.

    Each byte buys time, so that a large answer has much; but never more than *patience* seconds from now on, so that one that stops is given up.
    """

    def __init__(self, patience: float, most: int) -> None:
        self._patience = patience
        self._most = most
        self._total = 0
        self._end = time.monotonic() + patience

    def received(self, count: int) -> None:
        """Note that *count* bytes have come. Raises TooSlow and TooLarge."""
        now = time.monotonic()
        self._total += count
        if self._total > self._most:
            raise TooLarge(f"more than {in_words(self._most)} came")
        if now > self._end:
            raise TooSlow(f"after {in_words(self._total)} less than {in_words(SLOWEST)} a second came")
        self._end = min(self._end + count / SLOWEST, now + self._patience)


class _Stream(io.RawIOBase):
    """A connection's stream, of which each read is noted."""

    def __init__(self, inner: io.RawIOBase, pace: Pace) -> None:
        self._inner = inner
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int | None:
        count = self._inner.readinto(buffer)
        if count:
            self._pace.received(count)
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: t.Any, pace: Pace, *arguments: t.Any, **options: t.Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Stream(t.cast(t.Any, self.fp).detach(), pace))


def keep(connection: http.client.HTTPConnection, patience: Callable[[], float], most: int) -> None:
    """Hold each answer on a connection to a pace and a size."""

    def response(sock: t.Any, *arguments: t.Any, **options: t.Any) -> http.client.HTTPResponse:
        return _Response(sock, Pace(patience(), most), *arguments, **options)

    connection.response_class = t.cast(t.Any, response)


def opener(patience: float, most: int) -> urllib.request.OpenerDirector:
    """An opener of urllib that does so for http and https."""

    def paced(kind: t.Any) -> t.Any:
        def connect(*arguments: t.Any, **options: t.Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = kind(*arguments, **options)
            keep(connection, lambda: patience, most)
            return connection

        return connect

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> t.Any:
            return self.do_open(paced(http.client.HTTPConnection), req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> t.Any:
            return self.do_open(paced(http.client.HTTPSConnection), req, context=t.cast(t.Any, self)._context)

    return urllib.request.build_opener(Http, Https)
