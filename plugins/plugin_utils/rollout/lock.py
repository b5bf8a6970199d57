# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Turns: of the hosts that have to restart the same component one goes at a time.

``throttle`` would hold hosts back as well, but it lets the next one go on when one has failed, and it costs the same when
there is nothing to restart. A turn is a lock on a file of the state directory that remembers a failure for the rest of the run.
"""

from __future__ import annotations

import fcntl
import json
import os

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.errors import HardwayError


class TurnRefused(HardwayError):
    """Another host failed in this run: this one stays as it is."""


class Turn:
    """The right to restart a component on one host, held for the length of a ``with``.

    :arg cluster_dir: the cluster's state directory
    :arg component: name of the component
    :arg host: whose turn it is
    :arg run: what tells this run of ansible-playbook from others
    """

    def __init__(self, cluster_dir, component, host, run):
        self.directory = os.path.join(cluster_dir, "turns")
        self.path = os.path.join(self.directory, component)
        self.component = component
        self.host = host
        self.run = run
        self._stream = None

    def __enter__(self):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self._stream = open(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
        fcntl.flock(self._stream, fcntl.LOCK_EX)
        before = self._read()
        if before.get("run") == self.run and before.get("failed"):
            self._stream.close()
            raise TurnRefused(
                f"not restarted: {self.component} did not get healthy on {before['failed']}, so it was left as it was here. "
                f"Mend it there, then run the same playbook again"
            )
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.failed()
        self._stream.close()

    def failed(self):
        """Remember that the component did not get healthy here: nobody behind may restart it in this run."""
        self._stream.seek(0)
        self._stream.truncate()
        json.dump({"run": self.run, "failed": self.host}, self._stream)
        self._stream.flush()

    def _read(self):
        text = self._stream.read()
        try:
            return json.loads(text) if text else {}
        except ValueError:
            return {}
