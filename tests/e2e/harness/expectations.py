# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drills expect in the output of playbooks, each named once: who rewords a message changes one line here.

Only what no recap, exit code, file or API object says stands here. tests/unit/test_e2e.py holds each *source* to be in the code that prints it.
"""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A pattern in the output of a playbook, in which any white space (and a line break) counts as one space.

    *source* is the part of the message that stands in the code as it is; where it is empty, the message is not the collection's.
    """

    pattern: str
    source: str

    def found(self, output: str) -> re.Match[str] | None:
        return re.search(self.pattern, _one_line(output))

    def count(self, output: str) -> int:
        return len(self.all(output))

    def all(self, output: str) -> list[tuple[str, ...]]:
        """The groups of each place where it is."""
        return [match.groups() for match in re.finditer(self.pattern, _one_line(output))]


def _one_line(output: str) -> str:
    return " ".join(output.split())


def _sentence(text: str) -> Expectation:
    return Expectation(re.escape(text), text)


# Check mode and the plan
RESTART_PLANNED = _sentence("restarted, because")
ROLLED_BACK = _sentence("It was rolled back to")


def restart_planned(host: str, component: str) -> Expectation:
    """The line of the plan for a component of a host, with its restart."""
    return Expectation(rf"\b{re.escape(host)}: {re.escape(component)}: [^']*restarted, because", "")


def upgrade_planned(component: str) -> Expectation:
    """The row of a component in the plan of an upgrade: name, host or hosts, version before and after, whether it restarts."""
    return Expectation(rf"- {re.escape(component)} \S+ \d\S* \d\S* yes", "")


def diff_adds(line: str) -> Expectation:
    """A line that `--diff` shows as added."""
    return Expectation(rf"\+ *{re.escape(line)}", "")


# Rollouts
#: The component that is not restarted, and the host that is not healthy.
PEER_ILL = Expectation(r"not restarted, for (\S+) is not healthy on (\w+)", "is not healthy on")

# Confirmations
NOT_CONFIRMED = _sentence("for it was not confirmed")

# Refusals of preflight, by the name of the check, and of other plans
OTHER_AUTHORITIES = _sentence("other-authorities")


def other_run(pid: int) -> Expectation:
    return Expectation(rf"another run is at work on this cluster: process {pid} on \S+ \(ansible-playbook site", "")


OLDER_DIRECTORY = _sentence("does not have that change")
OTHER_CNI = _sentence("other-cni")
UNSUPPORTED_VERSION = _sentence("unsupported-version")
DOWNGRADE_REFUSED = _sentence("a downgrade is not supported")
#: site.yml on a cluster of an older version.
UPGRADE_NEEDED = _sentence("other-version")
TOO_MANY_MEMBERS = _sentence("can lose one at a time")
GROUP_WOULD_BE_EMPTY = _sentence("No host would be left in")
NO_QUORUM_LEFT = _sentence("quorum")
#: Of the API server, not of the collection.
EVICTION_REFUSED = Expectation(r"The disruption budget web needs 2 healthy pods and has 2 currently", "")


# Status and certificates
def hosts_read(count: int) -> Expectation:
    """Of the status page: it read all hosts."""
    return Expectation(rf"hosts {count} of {count} read", " read")


CERTIFICATE_REPORT = _sentence("certificates on the controller")
CERTIFICATE_WARNING = _sentence("warning:")
PRIVATE_KEY = Expectation("PRIVATE KEY", "")

# Backup and restore
ARCHIVE_MADE = Expectation(r"archive: (\S+?\.tar\.gz(?:\.age)?)", "archive")
ARCHIVE_DAMAGED = _sentence("is damaged")
ARCHIVE_ENCRYPTED = _sentence("is encrypted")
ARCHIVE_NEEDED = _sentence("restore_archive")
NOTHING_TO_RESTORE = _sentence("nothing is restored")
DATA_DAMAGED = _sentence("damaged")


def object_named(kind: str, name: str) -> Expectation:
    """An object of the cluster, named among what a restore loses or brings back."""
    return Expectation(re.escape(f"{kind}/default/{name}"), "")


# Maintenance of etcd
DEFRAGMENTATION_PLANNED = Expectation(r"\+defragment master", "defragment ")
NEXT_MEMBER = Expectation(r"(\w+) is next, while (\w+) leads", "is next, while")

# The mirror
CALICO_NOT_BUILT = Expectation(
    r"calico \S+ is not built from source: .*?, or leave calico out", "is not built from source: "
)
