# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of Kubernetes that several packages need."""

from __future__ import annotations

#: The components of a control plane, in the order in which they are updated. kubeadm runs them as static pods.
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
