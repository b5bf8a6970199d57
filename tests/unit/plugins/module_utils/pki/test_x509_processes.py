# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys are made in several processes: none of them ends by a handler of the process that it is a copy of."""

from __future__ import annotations

import signal

import pytest

pytest.importorskip("cryptography")

from ansible_collections.hardway.kubernetes.plugins.module_utils.pki import x509 as subject


@pytest.fixture
def handled(tmp_path, monkeypatch):
    """What a handler such as that of Ansible's workers, which ends all processes of its group, has been called for."""
    marks = tmp_path / "handled"
    monkeypatch.setattr(subject.os, "sched_getaffinity", lambda _process: set(range(4)))
    before = signal.signal(signal.SIGTERM, lambda *_arguments: marks.touch())
    yield marks
    signal.signal(signal.SIGTERM, before)


def test_processes_end_by_themselves(handled):
    for _attempt in range(20):
        assert subject._on_all_cores(lambda number: number * 2, range(8), 4) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert not handled.exists()


def test_processes_of_work_that_fails_are_ended(handled):
    def fail(number):
        raise ValueError(number)

    for _attempt in range(5):
        with pytest.raises(ValueError, match=r"\d"):
            subject._on_all_cores(fail, range(8), 4)
    assert not handled.exists()
