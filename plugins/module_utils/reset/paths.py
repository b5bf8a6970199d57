# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, links and directories."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
from collections.abc import Iterable

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands, files
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import paths as component_paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset import system
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.mounts import current_mounts, mounts_below
from ansible_collections.hardway.kubernetes.plugins.module_utils.reset.scope import Finding, Scope

IMAGE_SCRATCH = "/var/lib/hardway-image-*"
#: What kubelet writes when it delays a shutdown for its pods.
LOGIND = "/etc/systemd/logind.conf.d/99-kubelet.conf"
#: Never removed, whatever a record says; what lies in them may be.
SHARED_DIRECTORIES = frozenset(
    [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib32",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/var",
        "/etc/apt",
        "/etc/default",
        "/etc/modules-load.d",
        "/etc/profile.d",
        "/etc/ssl",
        "/etc/sysctl.d",
        "/etc/systemd",
        "/etc/systemd/system",
        "/etc/tmpfiles.d",
        "/run/lock",
        "/run/systemd",
        "/usr/bin",
        "/usr/lib",
        "/usr/lib/systemd",
        "/usr/lib/systemd/system",
        "/usr/libexec",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/etc",
        "/usr/local/lib",
        "/usr/local/libexec",
        "/usr/local/sbin",
        "/usr/local/share",
        "/usr/sbin",
        "/usr/share",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/run",
        "/var/spool",
        "/var/tmp",
    ]
)
#: The system's own, though a component may have set them.
SYSTEM_FILES = frozenset(
    [
        "/etc/fstab",
        "/etc/group",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/resolv.conf",
        "/etc/shadow",
    ]
)
UNTOUCHABLE_TREES = ("/proc", "/sys", "/dev", "/boot")


def is_removable(path: str) -> bool:
    """Whether a path may be removed at all: never a directory that is shared with others, the system's own files, or what is not plain."""
    return (
        os.path.isabs(path)
        and os.path.normpath(path) == path
        and not path.startswith("//")
        and path not in SHARED_DIRECTORIES
        and path not in SYSTEM_FILES
        and not any(path == tree or path.startswith(f"{tree}/") for tree in UNTOUCHABLE_TREES)
    )


def leads_into(link: str, directory: str) -> bool:
    """Whether a symbolic link points into a directory, by its text: nothing is followed."""
    target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    return target.startswith(directory.rstrip("/") + "/")


def emptied(directories: Iterable[str], gone: Iterable[str]) -> list[str]:
    """The directories, and those above them, that hold nothing but what goes; the deepest first."""
    vanished, found = set(gone), []
    waiting = sorted(set(directories), key=lambda path: path.count("/"))
    while waiting:
        path = waiting.pop()
        if path in vanished or not is_removable(path) or not files.is_directory(path) or os.path.ismount(path):
            continue
        if {os.path.join(path, name) for name in os.listdir(path)} <= vanished:
            vanished.add(path)
            found.append(path)
            # The parent is shallower than all that waits at this depth or deeper.
            waiting = sorted({*waiting, os.path.dirname(path)}, key=lambda other: other.count("/"))
    return found


class Paths:
    """Files, links and directories: what the records name, what points into the installation, and what the processes left."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.recorded = sorted({path for owned in scope.components.values() for path in owned.paths})
        self.install_dir = scope.request.install_dir

    def find(self) -> list[Finding]:
        named, trees = self._files(), self._trees()
        inside = [path for path in named if not any(path.startswith(f"{tree}/") for tree in trees)]
        gone = [*inside, *trees]
        empty = emptied(self._directories(), gone)
        package = system.packages_of([path for path in empty if not path.startswith(self.install_dir)])
        # A directory of a package's stays, and so do those above it.
        empty = [path for path in empty if not any(owned == path or owned.startswith(f"{path}/") for owned in package)]
        return (
            [Finding(path, os.unlink) for path in inside]
            + [Finding(path, remove_tree) for path in trees]
            + [Finding(path, os.rmdir) for path in empty]
        )

    def remove(self, findings: list[Finding]) -> None:
        for finding in findings:
            with contextlib.suppress(OSError):  # what is left is reported at the end
                finding.target(finding.what)
        if any(finding.what.startswith(f"{component_paths.UNIT_DIR}/") for finding in findings):
            commands.run("systemctl", "daemon-reload")
            for service in self.scope.services.values():
                commands.run("systemctl", "reset-failed", service)
        if any(finding.what == LOGIND for finding in findings):
            commands.run("systemctl", "kill", "--signal=SIGHUP", "systemd-logind.service")

    def kept(self) -> list[str]:
        """What a record names but is left, and what has to be put back by hand; with the reason."""
        going = {finding.what for finding in self.find()}
        kept = []
        for path in self.recorded:
            if path in SYSTEM_FILES:
                kept.append(f"{path}: it is the system's own")
            elif os.path.islink(path) and path not in going and not self._is_inside_tree(path):
                kept.append(f"{path}: it is a link to {os.readlink(path)} now, not ours")
            elif self._is_foreign_binary(path):
                kept.append(f"{path}: it is not our link any more")
        for path, package in system.packages_of(
            [path for path in self.recorded if path in going and os.path.isfile(path)]
        ).items():
            kept.append(
                f"{path}: the one that came with the package {package} is not on this host any more; reinstall the package to have it again"
            )
        if os.path.exists(system.FSTAB_BEFORE) and not system.swap_restorable():
            kept.append(f"{system.FSTAB_BEFORE}: {system.FSTAB} was changed since; compare them and remove it")
        return kept

    def _is_inside_tree(self, path: str) -> bool:
        return any(path.startswith(f"{tree}/") for tree in self._trees())

    def _is_foreign_binary(self, path: str) -> bool:
        """A file where our link to an installed binary was: nothing but links is put there."""
        return os.path.dirname(path) == self.scope.request.bin_dir and os.path.isfile(path) and not os.path.islink(path)

    def _files(self) -> list[str]:
        named = [
            path
            for path in self.recorded
            if is_removable(path) and _is_file(path) and not self._is_foreign_binary(path)
        ]
        others = [
            path
            for pattern in self.scope.all("files")
            for path in sorted(glob.glob(pattern))
            if is_removable(path) and _is_file(path)
        ]
        ours = [path for path in [*named, *others] if not os.path.islink(path) or leads_into(path, self.install_dir)]
        return list(dict.fromkeys([*ours, *self._links(), *self._unfinished()]))

    def _links(self) -> list[str]:
        directories = {self.scope.request.bin_dir, *(os.path.dirname(path) for path in self.recorded)}
        entries = [
            os.path.join(directory, name)
            for directory in sorted(directories)
            if os.path.isdir(directory)
            for name in sorted(os.listdir(directory))
        ]
        return [path for path in entries if os.path.islink(path) and leads_into(path, self.install_dir)]

    def _unfinished(self) -> list[str]:
        """What a killed run left next to what it was writing."""
        return sorted(left for path in self.recorded for left in files.leftovers_of(path) if _is_file(left))

    def _trees(self) -> list[str]:
        """Directories that go with all that is in them."""
        known = [
            path for path in self.scope.all("directories") if is_removable(path) and _holds_something_or_can_go(path)
        ]
        contents = [
            entry
            for component_name, owned in self.scope.components.items()
            for content in self.scope.footprint(component_name).contents
            # and what a killed run was making of it
            for name in (content, files.temporary_of(content))
            for path in owned.paths
            if is_removable(path)
            for entry in sorted(glob.glob(os.path.join(glob.escape(path), name)))
            if files.is_directory(entry)
        ]
        scratch = (
            [path for path in glob.glob(IMAGE_SCRATCH) if files.is_directory(path)] if self.scope.components else []
        )
        return list(dict.fromkeys([*known, *contents, *scratch, *self._installed()]))

    def _installed(self) -> list[str]:
        """Versions of artifacts, and what an installation did not finish: each by itself, for the directory may be shared (/opt)."""
        places = glob.glob(f"{glob.escape(self.install_dir)}/*/.*{files.TEMPORARY}")
        places += [
            os.path.dirname(path) for path in glob.glob(f"{glob.escape(self.install_dir)}/*/*/{artifacts.RECORD}")
        ]
        # A version that was being put in place has no record yet, but its component has.
        for path in self._links():
            places.append(os.path.dirname(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))))
        return sorted(
            {
                path
                for path in places
                if files.is_directory(path) and os.path.dirname(os.path.dirname(path)) == self.install_dir
            }
        )

    def _directories(self) -> set[str]:
        """Directories that go when nothing else is in them."""
        found = {path for path in self.recorded if files.is_directory(path)} | {
            os.path.dirname(path) for path in self.recorded
        }
        found |= {os.path.dirname(path) for path in self.scope.all("directories")}
        found |= {os.path.dirname(path) for path in self.scope.all("files")}
        found |= {os.path.dirname(path) for path in self._installed()}
        if self.install_dir not in SHARED_DIRECTORIES:
            found |= {self.install_dir, *glob.glob(f"{glob.escape(self.install_dir)}/*")}
        return {path for path in found if is_removable(path)}


def _is_file(path: str) -> bool:
    return os.path.lexists(path) and not files.is_directory(path)


def _holds_something_or_can_go(path: str) -> bool:
    return files.is_directory(path) and (not os.path.ismount(path) or bool(set(os.listdir(path)) - {"lost+found"}))


def remove_tree(path: str) -> None:
    """Remove a directory with all in it; symbolic links are removed, not followed. Where another file system is still mounted below,
    nothing is removed, for that may be data of others. The root of a file system is emptied."""
    if mounts_below(current_mounts(), path):
        raise OSError(errno.EBUSY, "something is mounted below it", path)
    if not os.path.ismount(path):
        shutil.rmtree(path)
        return
    for name in os.listdir(path):
        entry = os.path.join(path, name)
        if files.is_directory(entry):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)
