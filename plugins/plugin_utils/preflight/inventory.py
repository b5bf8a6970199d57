# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of the inventory and of the controller, made before any connection.

Every check is a function from a Plan to problems. It passes over what it cannot read: a value of the wrong kind is
reported by the check of values, once, and must not stop the others.
The networks are read with the standard library, not with netaddr, so that a controller without netaddr is reported
together with everything else.
"""

from __future__ import annotations

from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.audit import check_audit_webhook
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.controller import (
    check_cluster_dir,
    check_controller,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.groups import (
    check_addresses,
    check_etcd_members,
    check_groups,
    check_load_balancers,
    check_names,
    check_run,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.networks import (
    check_dns,
    check_endpoint,
    check_families,
    check_names_of_cluster,
    check_network_sizes,
    check_networks,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.ports import (
    check_port_conflicts,
    check_ports,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import Problem
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.settings import (
    check_artifacts,
    check_paths,
    check_spelling,
    check_static_tokens,
    check_unresolved,
    check_values,
)
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.versions import (
    check_calico,
    check_combination,
    check_kubeadm,
    check_kubernetes_version,
    check_versions,
)

INVENTORY_CHECKS = (
    check_groups,
    check_etcd_members,
    check_load_balancers,
    check_names,
    check_addresses,
    check_run,
    check_networks,
    check_network_sizes,
    check_families,
    check_endpoint,
    check_names_of_cluster,
    check_dns,
    check_kubernetes_version,
    check_versions,
    check_combination,
    check_kubeadm,
    check_calico,
    check_artifacts,
    check_ports,
    check_port_conflicts,
    check_static_tokens,
    check_audit_webhook,
    check_values,
    check_spelling,
    check_unresolved,
    check_paths,
    check_cluster_dir,
    check_controller,
)


def check_inventory(plan: Plan) -> list[Problem]:
    """All problems of the inventory and of the controller."""
    return [problem for check in INVENTORY_CHECKS for problem in check(plan)]
