# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the machine that Ansible runs on."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ansible_collections.hardway.kubernetes.plugins.module_utils.common.text import listed
from ansible_collections.hardway.kubernetes.plugins.module_utils.common.versions import numbers
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.plan import Plan
from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.problem import WARNING, Kind, Problem


def check_cluster_dir(plan: Plan) -> Iterator[Problem]:
    controller = plan.controller
    path, place = controller.cluster_dir, plan.place("cluster_dir")
    if not path or not os.path.isabs(path):
        return
    for directory in controller.inventory_dirs:
        if os.path.commonpath([os.path.normpath(path), os.path.normpath(directory)]) == os.path.normpath(directory):
            yield Problem(
                Kind.CLUSTER_DIR_INSIDE_INVENTORY,
                place,
                f"{path} is inside {directory}, and Ansible reads all files there as inventory.",
                "Set cluster_dir to a directory outside of the inventory, and move the files there.",
            )
    if controller.cluster_dir_mode is not None and stat.S_IMODE(controller.cluster_dir_mode) & 0o077:
        mode = stat.S_IMODE(controller.cluster_dir_mode)
        yield Problem(
            Kind.CLUSTER_DIR_PERMISSIONS,
            place,
            f"{path} contains the keys of the CAs, and its mode {mode:04o} gives access to others than its owner.",
            f"Run: chmod 0700 {path}",
        )
    if not controller.cluster_dir_writable:
        yield Problem(
            Kind.CLUSTER_DIR_PERMISSIONS,
            place,
            f"The user that runs Ansible cannot write to {path}.",
            "Change its owner, or set cluster_dir to another path.",
        )


def check_controller(plan: Plan) -> Iterator[Problem]:
    controller = plan.controller
    if controller.missing_packages:
        yield Problem(
            Kind.CONTROLLER_PACKAGES,
            "controller",
            f"The Python that runs Ansible does not have {listed(controller.missing_packages)}.",
            f"Run in the environment of ansible-playbook: pip install {' '.join(controller.missing_packages)}",
        )
    if controller.missing_collections:
        yield Problem(
            Kind.CONTROLLER_COLLECTIONS,
            "controller",
            f"Ansible does not find the collections {listed(controller.missing_collections)}.",
            f"Run: ansible-galaxy collection install {' '.join(controller.missing_collections)}",
        )
    if (
        controller.ansible
        and controller.ansible_minimum
        and numbers(controller.ansible) < numbers(controller.ansible_minimum)
    ):
        yield Problem(
            Kind.CONTROLLER_ANSIBLE,
            "controller",
            f"ansible-core {controller.ansible} is too old.",
            f"Install ansible-core {controller.ansible_minimum} or newer.",
        )
    if controller.injects_facts:
        yield Problem(
            Kind.CONTROLLER_FACTS,
            "controller",
            "Ansible makes variables of the facts that hosts return, so a host that somebody took over can change settings of the run.",
            "Set inject_facts_as_vars = false in the section defaults of ansible.cfg, or ANSIBLE_INJECT_FACT_VARS=false.",
            WARNING,
        )
