# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter.etcd import etcd_arguments


def test_options_keep_their_names():
    options = {"snapshot-count": 5, "log-level": None, "log-outputs": ["stderr"]}
    assert etcd_arguments(options) == options


def test_groups_of_the_configuration_file_become_arguments():
    options = {
        "client-transport-security": {"client-cert-auth": False, "allowed-hostname": "a"},
        "peer-transport-security": {"client-cert-auth": None, "cert-file": "/p.pem", "allowed-cn": "b"},
    }
    assert etcd_arguments(options) == {
        "client-cert-auth": False,
        "client-cert-allowed-hostname": "a",
        "peer-client-cert-auth": None,
        "peer-cert-file": "/p.pem",
        "peer-cert-allowed-cn": "b",
    }


def test_a_group_without_options_is_refused_by_name():
    assert etcd_arguments({"peer-transport-security": None}) == {}
    with pytest.raises(AnsibleFilterError, match="peer-transport-security is 'x'"):
        etcd_arguments({"peer-transport-security": "x"})
