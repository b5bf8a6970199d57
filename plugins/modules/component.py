# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# This is a virtual module: it is implemented as an action plugin that runs on the controller.

from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Apply a component, as its role declares it, to a host in one call
description:
  - A component is a set of binaries, files and a systemd service. Its role declares it in C(components/NAME.yml), as data that every other
    part of the collection reads, too.
  - A task says O(name) alone. All other options are those of the declaration, where they may be Jinja. Besides them a declaration says
    C(name) of the component, C(phase) and C(groups) of the hosts that have it, C(when) (conditions that all hold), C(visit_when) (conditions
    any of which makes a host one with work), and what others ask of it - C(packages), C(ports), C(footprint), C(stops_after) and C(peers).
  - One call compares all of it with the host, writes atomically what differs, and makes the running process be one that was started from
    exactly these inputs.
  - A digest of all inputs is handed to the process through its environment, so a restart that is still pending after a run that died is
    seen and done by the next run. There are no handlers to lose.
  - Templates are rendered, and certificates read, on the controller. The host needs nothing but Python.
  - A restart of a running process is rolling. Hosts of the same component go one at a time, each waits until it is healthy, and when one does
    not get healthy those behind it are left as they are. Before it restarts, a host asks those that the declaration has as C(peers), and
    changes nothing while one of them is not healthy.
author: the hardway.kubernetes authors (@hardway)
options:
  name:
    description: Name of the declaration, for example V(kube-apiserver). The only option of a task.
    type: str
    required: true
  artifacts:
    description:
      - Names of the catalogue's artifacts whose binaries the component runs.
      - They must stand in the lock file (see the role P(hardway.kubernetes.cluster#role)).
    type: list
    elements: str
    default: []
  tools:
    description: Names of artifacts that are installed with the component, but that its process does not run, so that a new version restarts nothing.
    type: list
    elements: str
    default: []
  user:
    description: System user to create when it is missing.
    type: str
  directories:
    description: Directories that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path on the host.
        type: path
        required: true
      mode:
        description: Mode, octal, as text.
        type: str
        default: '0755'
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
  files:
    description: Files to have on the host, from a template of the role, a file of the controller, or a text.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Path on the host.
        type: path
        required: true
      template:
        description: Template of the role.
        type: str
      src:
        description: File on the controller, copied as it is. Relative paths are looked up in the role's files.
        type: str
      content:
        description: The text itself; mappings and lists are written as YAML.
        type: raw
      mode:
        description: Mode, octal, as text. A file that only its owner may read is a secret, and not shown in diffs.
        type: str
        default: '0644'
      shown:
        description: Whether diffs show the text although only its owner may read the file. For configurations without secrets.
        type: bool
        default: false
      owner:
        description: Owner.
        type: str
        default: root
      group:
        description: Group.
        type: str
        default: root
      on_change:
        description:
          - What the running process needs when the file changes.
          - With V(restart_once) a process that runs restarts when the file is written, and not when the file is no longer declared. That is for
            what a process needs until it has something better.
        type: str
        choices: [restart, restart_once, reload, none]
        default: restart
      state:
        description: Whether the file should be there.
        type: str
        choices: [present, absent]
        default: present
      merge:
        description: Mapping merged into the rendered file, which is YAML then. Lists are replaced, a value of V(null) removes the key.
        type: dict
      vars:
        description: Further variables for the template.
        type: dict
  certificates:
    description: Whether the component has the certificates that the table of certificates has for its name.
    type: bool
    default: true
  pki:
    description:
      - Where the component's certificates and keys are. Which those are, and what a changed one asks of the process, says the table of
        certificates (C(plugins/plugin_utils/pki/catalogue.py)).
    type: dict
    suboptions:
      path:
        description: Directory on the host.
        type: path
        required: true
      owner:
        description: Owner of the directory and the files.
        type: str
        default: root
  unit:
    description: Template of the systemd unit. Without it O(service) is a unit of the distribution, which gets a drop-in alone.
    type: str
  arguments:
    description: Command line arguments of the process, handed to the template O(unit) as the variable C(component_arguments).
    type: dict
    suboptions:
      template:
        description: Template of a YAML mapping of argument names (without dashes) to values. A list is joined by commas, a mapping as NAME=VALUE.
        type: str
        required: true
      merge:
        description: Mapping merged over it. A value of V(null) removes the argument.
        type: dict
  service:
    description: Name of the systemd service. The default is O(name) with V(.service) where O(unit) is given. Without a service the component has files alone.
    type: str
  overwrites_environment:
    description:
      - Whether the process writes over its own environment, as some servers do for their title, so that the digest cannot be read from it.
      - Its unit then writes the digest to a file of C(/run) at each start, with the start's own number.
    type: bool
    default: false
  replaces:
    description:
      - Name of a component that this one takes the place of, and that cannot run beside it.
      - Where that one is on the host, it is stopped right before this one starts, one host at a time, and is removed once this one is healthy.
    type: str
  state:
    description:
      - Whether the component should be on the host.
      - With V(absent) what its record says is ours goes - its service is stopped and disabled, its files are removed. Packages stay.
        The other options do not matter then.
    type: str
    choices: [present, absent]
    default: present
  apply:
    description: Command that brings the files of a component without a service into force.
    type: list
    elements: str
  validate:
    description: Command that must succeed with the new files in place before a process is started from them.
    type: list
    elements: str
  images:
    description: Image archives to load into the runtime once it runs.
    type: dict
    suboptions:
      wanted:
        description: Names of the catalogue's images.
        type: list
        elements: str
        required: true
      list_command:
        description: Command that prints the references of the images that are there.
        type: list
        elements: str
        required: true
      load_command:
        description: Command that loads the archive that is added as its last word.
        type: list
        elements: str
        required: true
  health:
    description: How to see that the process serves. Without it, that its unit is active.
    type: dict
    suboptions:
      url:
        description: URL that must answer 200.
        type: str
      ca:
        description: CA file on the host.
        type: path
      verify:
        description: Whether to verify the server's certificate. Only for a server on the loopback address that made its own.
        type: bool
        default: true
      certificate:
        description: Client certificate on the host.
        type: path
      key:
        description: Key of the client certificate on the host.
        type: path
      tcp:
        description: ADDRESS:PORT that must accept a connection.
        type: str
      command:
        description: Command that must succeed.
        type: list
        elements: str
      timeout:
        description: Seconds until it counts as failed.
        type: float
        default: 120
      hold:
        description: Seconds that it must stay healthy after a change.
        type: float
        default: 0
      skip:
        description: Whether to go on without waiting, for what cannot be healthy before a later step.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
    description: Says what would change and what would restart, and why.
  diff_mode:
    support: full
    description: Shows files as text, certificates parsed, secrets not at all.
  platform:
    support: full
    platforms: posix
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
"""

EXAMPLES = r"""
# roles/kube_master/components/kube-scheduler.yml says what it is.
- name: Run kube-scheduler
  hardway.kubernetes.component:
    name: kube-scheduler
"""

RETURN = r"""
changes:
  description: What differed, a line each, with the reason of a restart.
  type: list
  elements: str
  returned: success
  sample:
    - "/etc/systemd/system/kube-scheduler.service: changed"
    - "kube-scheduler.service: restarted, because kube-scheduler.service (unit) changed"
restart:
  description: Why a running process was restarted; null where none was.
  type: str
  returned: success
  sample: kube-scheduler.service (unit) changed
"""
