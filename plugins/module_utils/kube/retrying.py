# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of an API that may be slow or busy for a while."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Mapping

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.http import IDEMPOTENT
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import (
    PAUSE,
    TEMPORARY,
    Api,
    ApiUnreachable,
    Credentials,
)

# Seconds that a request which is tried again may take at most.
LONGEST_REQUEST = 40.0


class RetryingApi(Api):
    """A client whose idempotent requests are tried again while the API does not answer in time, or answers with a temporary error.

    It gives up, with the last error, when one request has failed for *patience* seconds, or when no request has succeeded for so long.
    A request that is not answered in time gets twice as long the next time.
    """

    def __init__(
        self, credentials: Credentials, timeout: float = 10.0, agent: str = "hardway", patience: float = 60.0
    ) -> None:
        super().__init__(credentials, timeout, agent)
        self.patience = patience
        self._failing_since: float | None = None

    @classmethod
    def of(cls, api: Api, patience: float, agent: str) -> RetryingApi:
        """A client of the same server and identity as *api*."""
        return cls(api.credentials, api.timeout, agent, patience)

    def anonymous(self, agent: str) -> RetryingApi:
        """A client of the same server without any identity."""
        return RetryingApi(self.credentials.anonymous(), self.timeout, agent, self.patience)

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, t.Any] | None,
        body: Mapping[str, t.Any] | None,
        content_type: str,
        timeout: float | None,
    ) -> tuple[int, str]:
        began, wait = time.monotonic(), timeout or self.timeout
        while True:
            try:
                status, answer = super()._exchange(method, path, query, body, content_type, wait)
                if status not in TEMPORARY:
                    self._failing_since = None
                if status not in TEMPORARY or self._gives_up(method, began):
                    return status, answer
            except ApiUnreachable:
                if self._gives_up(method, began):
                    raise
                wait = min(2 * wait, LONGEST_REQUEST)
            time.sleep(PAUSE)

    def _gives_up(self, method: str, began: float) -> bool:
        now = time.monotonic()
        since = self._failing_since = self._failing_since or now
        return method not in IDEMPOTENT or now - min(began, since) >= self.patience
