# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.certificate_report import FilterModule

certificate_report = FilterModule().filters()["certificate_report"]
EXPIRES = {
    "source": "file",
    "where": "/x.pem",
    "path": "/x.pem",
    "position": 1,
    "endpoint": None,
    "running": {},
    "type": "certificate",
    "subject": "CN=x",
    "names": [],
    "issuer": "CN=ca",
    "not_before": "2020-01-01T00:00:00Z",
    "not_after": "2020-06-01T00:00:00Z",
    "days_left": 20,
    "fingerprint": "00",
}
RESULT = {"reachable": True, "readable": True, "error": "", "certificates": [EXPIRES], "processes": [], "problems": []}


def counts(*arguments, **settings) -> tuple[int, int]:
    told = certificate_report(*arguments, **settings)
    return len(told["warnings"]), len(told["failures"])


def test_its_settings_may_be_texts():
    assert counts({"m1": RESULT}) == (1, 0)
    assert counts({"m1": RESULT}, warn_days="20") == (0, 0)
    assert counts({"m1": RESULT}, fail_days="21") == (0, 1)


@pytest.mark.parametrize("name", ["warn_days", "fail_days"])
def test_it_refuses_what_is_no_number(name):
    with pytest.raises(AnsibleFilterError, match=f"{name} is 'soon', which is not a number of days"):
        certificate_report({"m1": RESULT}, **{name: "soon"})
