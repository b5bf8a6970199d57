#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_build
short_description: Fill a mirror by building the artifacts from source
description:
  - Runs on the controller, as part of the role P(hardway.kubernetes.mirror#role), and shows its progress while it runs.
  - Builds what is not in the mirror yet, is damaged, or was built from other inputs. It can be stopped at any time and run again.
  - Needs the go command, a C compiler, and the development files of libc and libseccomp; says what is missing before it begins.
  - Kubernetes 1.20 and etcd 3.4 come from Debian 12's packages, fetched through the apt of the controller and not installed. They need
    apt and dpkg-dev.
author: the hardway.kubernetes authors (@hardway)
options:
  components:
    description:
      - What to build, each as C(component) (its newest version) or C(component=version). Of Kubernetes 1.35 and 1.36 any patch version.
      - Where it is empty, all that a cluster has by default, in its newest version.
      - What is not built (C(cri-dockerd), C(calico)) has to be in the mirror already; it is an error that names its address and its
        place if it is not.
    type: list
    elements: str
    default: []
  mirror:
    description: Directory of the mirror.
    type: path
    required: true
  cache:
    description: Directory of the caches of the build. Go's own are in it unless the environment sets E(GOCACHE) and E(GOMODCACHE).
    type: path
    required: true
  arch:
    description: Architecture to build for, as Go calls it. That of the controller where it is empty.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Says what would be built.
  diff_mode:
    support: none
    description: Binaries are not compared.
  platform:
    platforms: posix
    support: full
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
- name: Build etcd and two versions of Kubernetes
  hardway.kubernetes.mirror_build:
    components: [etcd, kubernetes=1.36.3, kubernetes=1.35.4]
    mirror: /srv/mirror
    cache: ~/.cache/hardway
"""

RETURN = r"""
progress:
  description: What was done, as it was shown.
  type: list
  elements: str
  returned: success
  sample: ["[  0:00] etcd 3.6.16: complete and verified, kept (2 files)"]
"""
