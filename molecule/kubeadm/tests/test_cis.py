"""The CIS Kubernetes Benchmark on a cluster by kubeadm."""

from __future__ import annotations

import pytest
from benchmark import CASES, view_of

fixture_view = view_of("kubeadm")


@pytest.mark.parametrize(("control", "host"), CASES)
def test_the_control_passes(view, control, host):
    assert control.check(view(host)) == ""
