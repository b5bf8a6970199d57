"""Lines of progress with the time since the command began."""

from __future__ import annotations

import threading
import time


class Progress:
    """Prints from several threads, a line at a time."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        with self._lock:
            print(f"[{self.elapsed:6.1f} s] {text}", flush=True)
