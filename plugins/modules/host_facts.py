#!/usr/bin/python
# Copyright: (c) the hardway.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Reads in one round trip all that the roles need to know of a host
version_added: 1.0.0
description:
  - Reads what a host is (distribution, addresses, memory, space, clock) and what is on it (ports, units, packages),
    and changes nothing.
  - Needs Python's standard library alone, and takes well under a second.
  - Register its result as C(hardway_host). All roles read the facts in C(hardway_host.facts) for the rest of the run.
  - They are no C(ansible_facts), which any later module that runs on the host can replace.
author: the hardway.kubernetes authors (@hardway)
attributes:
  check_mode:
    description: Runs in check mode, and does the same in it.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  paths:
    description: Paths whose filesystems are looked at; one that does not exist stands for its nearest existing parent. V(/) is always among them.
    type: list
    elements: str
    default: []
  units:
    description: systemd units whose state is wanted; C(.service) may be left out.
    type: list
    elements: str
    default: []
  commands:
    description: Commands to look for.
    type: list
    elements: str
    default: []
  features:
    description: Kernel modules whose function is wanted, built in, loaded or loadable.
    type: list
    elements: str
    default: [overlay, br_netfilter]
  kubelet_certificate:
    description: Path of the kubelet's client certificate.
    type: str
    default: /var/lib/kubelet/pki/kubelet-client-current.pem
  bin_dir:
    description: Directory with the links to the versions in use.
    type: str
    default: /usr/local/bin
  etcd_data_dir:
    description: Data directory of etcd.
    type: str
    default: /var/lib/etcd
  on_failure:
    description:
      - What becomes of a host that cannot be reached, or on which the module cannot run.
      - V(fail) ends the run for it, as with any module.
      - V(report) returns facts with RV(facts.reachable) or RV(facts.readable) false,
        so that it can be reported together with others.
    type: str
    choices: [fail, report]
    default: fail
seealso:
  - module: hardway.kubernetes.preflight
"""

EXAMPLES = r"""
- name: Read the host
  hardway.kubernetes.host_facts:
    paths: [/var/lib/etcd]
    units: [etcd]
  become: true
  register: hardway_host

- name: Name the interface that holds the host's address
  ansible.builtin.debug:
    msg: "{{ hardway_host.facts.addresses | selectattr('address', 'equalto', cluster_host_address) | map(attribute='interface') | first }}"
"""

RETURN = r"""
facts:
  description: What the host is, and what is on it.
  returned: always
  type: dict
  contains:
    reachable:
      description: Whether a connection could be made. If not, only C(readable), C(error) and this are there.
      type: bool
      returned: always
    readable:
      description: Whether the module ran on the host. If not, only C(reachable), C(error) and this are there.
      type: bool
      returned: always
    error:
      description: Why the host could not be read; empty if it could.
      type: str
      returned: always
    time:
      description: The host's clock, in seconds since 1970.
      type: float
      returned: when readable
    clock_offset:
      description: How many seconds the host's clock is ahead of the controller's, 0 if no difference can be told.
      type: float
      returned: when readable
    root:
      description: Whether the module ran as root.
      type: bool
      returned: when readable
    python:
      description: Version of Python.
      type: str
      returned: when readable
      sample: 3.11.2
    distribution:
      description: From os-release(5), C(id), C(like) (a list), C(version), C(codename), C(name).
      type: dict
      returned: when readable
      sample: {id: debian, like: [], version: "12", codename: bookworm, name: Debian GNU/Linux 12 (bookworm)}
    architecture:
      description: The architecture as Go and Kubernetes name it.
      type: str
      returned: when readable
      sample: amd64
    kernel:
      description: The kernel's release.
      type: str
      returned: when readable
      sample: 6.1.0-18-amd64
    systemd:
      description: Whether systemd runs the host.
      type: bool
      returned: when readable
    hostname:
      description: The host's own name.
      type: str
      returned: when readable
    machine_id:
      description: machine-id(5).
      type: str
      returned: when readable
    cpus:
      description: Number of processors.
      type: int
      returned: when readable
    memory_mib:
      description: Memory in MiB.
      type: int
      returned: when readable
    swap:
      description: Active swap devices and files.
      type: list
      elements: str
      returned: when readable
    cgroup:
      description: Version of the control groups, 1 or 2.
      type: int
      returned: when readable
    selinux:
      description: V(disabled), V(permissive) or V(enforcing).
      type: str
      returned: when readable
    addresses:
      description: Addresses with C(address), C(prefix), C(interface), C(scope); none of the loopback interface.
      type: list
      elements: dict
      returned: when readable
      sample: [{address: 10.33.0.11, prefix: 24, interface: host0, scope: global}]
    interface_of:
      description: By address, the interface that holds it.
      type: dict
      returned: when readable
      sample: {10.33.0.11: host0}
    default_interface:
      description: Interface of the default route; empty without one.
      type: str
      returned: when readable
    filesystems:
      description: For V(/) and each path asked for, C(free_mib), C(size_mib), C(read_only), C(device).
      type: dict
      returned: when readable
    listeners:
      description:
        - Listening TCP sockets, C(address), C(port), and C(process), C(pid), C(unit) of the owner, empty if it was not found in time.
        - The unit is V(kubepods) for a container of a pod.
      type: list
      elements: dict
      returned: when readable
    units:
      description: For each unit asked for, C(state) as systemd names it and C(file), its unit file.
      type: dict
      returned: when readable
      sample: {etcd: {state: active, file: /etc/systemd/system/etcd.service}}
    packages:
      description: Versions of the installed Debian or RPM packages, by name.
      type: dict
      returned: when readable
    commands:
      description: For each command asked for its path, empty if missing.
      type: dict
      returned: when readable
    features:
      description: For each kernel module asked for V(present), V(loadable) or V(missing).
      type: dict
      returned: when readable
    inotify_free:
      description: How many inotify instances can still be opened, counted up to 16.
      type: int
      returned: when readable
    etcd_member:
      description: Whether the data directory of etcd holds a member's data.
      type: bool
      returned: when readable
    installed:
      description: Versions of kube-apiserver, kubelet and etcd that are linked in O(bin_dir), those that there are.
      type: dict
      returned: when readable
      sample: {kubelet: 1.36.3}
    static_pods:
      description: Names of the manifests in C(/etc/kubernetes/manifests), from which kubelet runs static pods.
      type: list
      elements: str
      returned: when readable
      sample: [kube-apiserver, kube-controller-manager, kube-scheduler]
    authorities:
      description: SHA-256 (in hex) of each authority that components on the host trust, by the file that holds them; empty before a first run.
      type: dict
      returned: when readable
      sample: {/etc/etcd/pki/ca.pem: [2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae]}
    network:
      description:
        - How the host's pods are connected to those of other hosts - C(cni), and C(method) and C(datastore) where they are known.
        - Empty where nothing is there yet. C(foreign) where the host joined a cluster with a network that is not ours, with the C(plugin) that it names.
      type: dict
      returned: when readable
      sample: {cni: flannel, datastore: kubernetes}
    etcd_started_with:
      description: C(initial-cluster) and C(initial-cluster-state), which a member reads at its first start and never again; empty without its data.
      type: dict
      returned: when readable
      sample: {initial-cluster: "etcd1=https://192.0.2.11:2380", initial-cluster-state: new}
    etcd_learner:
      description: Whether the member of etcd on this host runs as a learner, which does not vote.
      type: bool
      returned: when readable
    components:
      description: What the components of this collection own on the host and run from, for a plan; C(error) if it could not be read.
      type: dict
      returned: when readable
    kubelet_certificate:
      description: C(path), C(present), C(not_after) (seconds since 1970), C(expired), and C(pem), the certificate without its key.
      type: dict
      returned: when readable
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hardway.kubernetes.plugins.module_utils.host.facts import DEFAULTS, read


def texts(name: str) -> dict:
    return {"type": "list", "elements": "str", "default": DEFAULTS[name]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **{name: texts(name) for name in ("paths", "units", "commands", "features")},
            **{
                name: {"type": "str", "default": DEFAULTS[name]}
                for name in ("kubelet_certificate", "bin_dir", "etcd_data_dir")
            },
            "on_failure": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    facts = dict(read(module.params), reachable=True, readable=True, error="")
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
