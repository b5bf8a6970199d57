# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that a cluster works, through its API: by what it says of itself, and by pods that ask each other.

Checks do not stop at the first failure: each reports with the others.
"""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.client import Api
from ansible_collections.hardway.kubernetes.plugins.module_utils.kube.retrying import RetryingApi
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.cluster import ClusterChecks
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.model import Check, Report, Settings
from ansible_collections.hardway.kubernetes.plugins.module_utils.verify.pods import PodChecks


class Verifier:
    """The levels of verification, and the report of their checks.

    Every request is tried again while the API is slow or answers with a temporary error, for the timeout of *settings*.
    """

    def __init__(self, api: Api, settings: Settings) -> None:
        patient = RetryingApi.of(api, settings.timeout, "hardway-verify")
        self.report = Report()
        self._cluster = ClusterChecks(patient, settings, self.report)
        self._pods = PodChecks(patient, settings, self.report)

    @property
    def checks(self) -> list[Check]:
        return self.report.checks

    @property
    def failed(self) -> list[Check]:
        return self.report.failed

    def light(self) -> None:
        """The API answers at its endpoint, all nodes are Ready, the Deployments of kube-system are available, and strangers get health alone."""
        if self._cluster.api_answers(ready=False):
            self._cluster.nodes()
            self._cluster.deployments()
            self._cluster.anonymous_access()

    def cluster(self) -> None:
        """The API through its endpoint, the nodes, and what an anonymous client gets."""
        if self._cluster.api_answers():
            self._cluster.nodes()
            self._cluster.anonymous_access()

    def network(self) -> None:
        self._cluster.network()

    def metrics(self) -> None:
        self._cluster.metrics()

    def pods(self) -> None:
        self._pods.check()
