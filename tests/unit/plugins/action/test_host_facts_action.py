# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from types import SimpleNamespace

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.outcome import clock_offset, error_text


def test_clock_offset_allows_for_the_time_that_the_call_takes():
    assert clock_offset(105.0, 100.0, 110.0) == 0.0
    assert clock_offset(130.0, 100.0, 110.0) == 20.0
    assert clock_offset(40.0, 100.0, 110.0) == -60.0


def test_a_module_that_died_says_of_what():
    assert (
        error_text({"failed": True, "exception": SimpleNamespace(event=SimpleNamespace(msg="'bin_dir'"))})
        == "the module died: 'bin_dir'"
    )
    assert (
        error_text({"failed": True, "exception": "Traceback\n  File\nKeyError: 'bin_dir'\n"})
        == "the module died: KeyError: 'bin_dir'"
    )
    assert error_text({"failed": True, "msg": "no such file", "exception": "x"}) == "no such file"
