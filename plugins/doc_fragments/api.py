# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of modules that speak to a cluster's API; in code C(module_utils.kube.client.argument_spec)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, whose current context is used. Its user has a client certificate or a token.
    type: path
    required: true
  timeout:
    description:
      - Seconds to wait for what the module waits for; V(0) is to look once. A single request waits for its answer 10 s at most.
    type: int
    default: 120
requirements:
  - PyYAML
notes:
  - Runs on the controller.
"""
