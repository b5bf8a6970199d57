# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options of modules that speak to etcd; in code C(module_utils.etcd.client.argument_spec)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoints:
    description:
      - Client URLs of voting members. The first that answers tells of all the others, which are then reached at the client URLs that they advertise.
      - A learner tells nothing of the others.
    type: list
    elements: str
    default: ["https://127.0.0.1:2379"]
  ca:
    description: Path of the authority's certificate. Read for C(https) alone, as are O(certificate) and O(key).
    type: path
    default: /etc/etcd/pki/ca.pem
  certificate:
    description: Path of a client certificate.
    type: path
    default: /etc/etcd/pki/etcd.pem
  key:
    description: Path of its key.
    type: path
    default: /etc/etcd/pki/etcd-key.pem
notes:
  - Runs on a host that reaches the members' client URLs, such as a member's own; it needs Python's standard library alone.
"""
