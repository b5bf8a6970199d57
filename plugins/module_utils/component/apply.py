# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a plan: what is written, and in which order, so that a run that is killed anywhere is finished by the next."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import typing as t

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import commands
from ansible_collections.hardway.kubernetes.plugins.module_utils.component import artifacts, health, paths
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.host import Host, has_group, ids
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.model import ComponentError
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.plan import Change, Plan
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.seen import read_record
from ansible_collections.hardway.kubernetes.plugins.module_utils.component.systemd import unit_state

#: Seconds that a component which took the place of another stays healthy before the next host does the same.
REPLACED_HOLD = 3
#: How often an image is imported, with pauses in seconds; and how much larger than its archive it gets on the disk.
IMPORTS, IMPORT_PAUSE, UNPACKED = 3, 2.0, 4


class Record:
    """What the digests of a component stand for, what is its own, and what was applied or reloaded."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.path = paths.record(name)
        self.data = read_record(self.path)

    def update(self, **values: t.Any) -> None:
        changed = {**self.data, **values}
        if changed != self.data:
            self.data = changed
            self.host.write(self.path, json.dumps(changed, indent=1, sort_keys=True).encode(), 0o600)


class Applier:
    """One plan, on the host that this runs on."""

    def __init__(self, plan: Plan, host: Host) -> None:
        self.plan = plan
        self.host = host
        self.component = plan.component
        #: invocation of the process that this run restarts
        self.left: str | None = None

    def apply(self) -> None:
        """Make all changes of the plan, and wait until the component is healthy."""
        if self.component.absent:
            self._make(self.plan.after)
            return
        record = Record(self.host, self.component.name)
        record.update(**self.plan.record)
        self._make(self.plan.files)
        if self.component.service:
            self._service(record)
        for change in self.plan.after:
            self._make([change])
            if change.verb == "apply":
                record.update(applied=self.component.digest)

    def _make(self, changes: list[Change]) -> None:
        for change in changes:
            getattr(self, f"_{change.verb}")(change)

    def _service(self, record: Record) -> None:
        component, host = self.component, self.host
        service = component.service or ""
        running = self.plan.unit.running_inputs
        if self.plan.drop_in_differs:
            host.write(component.drop_in, component.drop_in_text.encode(), 0o644)
        known = record.data.get("inputs", {})
        inputs = {key: known[key] for key in known if key == running}
        record.update(inputs={**inputs, component.digest: component.inputs("restart")})
        if self.plan.unit_differs or self.plan.drop_in_differs or unit_state(host, service).needs_daemon_reload:
            host.change(["systemctl", "daemon-reload"])
        self._make(self.plan.service)
        if any(change.verb == "reload" for change in self.plan.service):
            record.update(runs={**self.plan.record["runs"], "loaded": component.inputs("reload")})
        hold = max(component.health.hold, REPLACED_HOLD if self.plan.taking_over else 0)
        health.wait_until_healthy(host, component, self.left, hold)

    # files

    def _create(self, change: Change) -> None:
        if change.kind == "user":
            command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
            group = ["--gid", change.name] if has_group(change.name) else ["--user-group"]
            self.host.change([*command, *group, "--shell", "/usr/sbin/nologin", change.name])
            return
        wanted = change.subject
        os.makedirs(wanted.path, mode=wanted.mode)
        os.chmod(wanted.path, wanted.mode)
        os.chown(wanted.path, *ids(wanted.owner, wanted.group))

    def _set_mode(self, change: Change) -> None:
        os.chmod(change.name, change.subject.mode)

    def _set_owner(self, change: Change) -> None:
        os.chown(change.name, *ids(change.subject.owner, change.subject.group))

    def _write(self, change: Change) -> None:
        wanted = change.subject
        self.host.write(wanted.path, wanted.content or b"", wanted.mode, wanted.owner, wanted.group)

    def _write_drop_in(self, change: Change) -> None:
        """With the others of the unit: see _service."""

    def _pending(self, change: Change) -> None:
        raise ComponentError(f"{change.name}: {change.action}; it is not there yet. Fix: run site.yml without --check")

    def _remove(self, change: Change) -> None:
        path = change.name
        self.host.remember(path)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _install(self, change: Change) -> None:
        component, artifact = self.component, change.subject
        for name in artifact["install"]:
            self.host.remember(f"{artifact.get('link_dir') or component.bin_dir}/{name}")
        try:
            artifacts.install(
                artifact,
                install_dir=component.install_dir,
                bin_dir=component.bin_dir,
                timeout=component.download_timeout,
            )
        except artifacts.ArtifactError as error:
            raise ComponentError(str(error)) from error

    # the process

    def _enable(self, change: Change) -> None:
        self.host.change(["systemctl", "enable", change.name])

    def _stop(self, change: Change) -> None:
        if self.plan.taking_over:
            self._validate()
        self.host.change(["systemctl", "disable", "--now", change.name])

    def _start(self, change: Change) -> None:
        self._interrupt(change, "start")

    def _restart(self, change: Change) -> None:
        self._interrupt(change, "restart")

    def _interrupt(self, change: Change, verb: str) -> None:
        self._validate()
        unit = unit_state(self.host, change.name)
        self.left = unit.invocation if unit.active else None
        if unit.failed:
            self.host.change(["systemctl", "reset-failed", change.name])
        self.host.change(["systemctl", verb, "--no-block", change.name])

    def _reload(self, change: Change) -> None:
        self._validate()
        self.host.change(["systemctl", "reload", change.name])

    def _validate(self) -> None:
        """Each time before something runs from the files: a run that failed here leaves it to the next."""
        if self.component.validate:
            self.host.change(self.component.validate)

    # the rest

    def _apply(self, change: Change) -> None:
        """A component without a process: a command brings its files into force."""
        if self.component.apply:
            self.host.change(self.component.apply)

    def _uninstall(self, change: Change) -> None:
        self.host.change(["systemctl", "daemon-reload"])
        os.unlink(paths.record(change.name))

    def _load(self, change: Change) -> None:
        image, images = change.subject, self.component.images
        with tempfile.TemporaryDirectory(prefix="hardway-image-", dir=paths.IMAGE_DIR) as directory:
            archive = os.path.join(directory, "image.tar")
            try:
                artifacts.fetch(image["url"], image["sha256"], archive, timeout=self.component.download_timeout)
            except artifacts.ArtifactError as error:
                raise ComponentError(str(error)) from error
            self._import([*(images.load_command if images else []), archive], os.path.getsize(archive))

    def _import(self, command: list[str], size: int) -> None:
        """Again where it fails: the runtime may have been busy, and keeps the layers that it has unpacked."""
        seconds = commands.seconds_for(UNPACKED * size)
        for attempt in range(1, IMPORTS + 1):
            try:
                self.host.change(command, seconds)
                return
            except ComponentError:
                if attempt == IMPORTS:
                    raise
                time.sleep(IMPORT_PAUSE)

    # back

    def roll_back(self) -> str:
        """The new version does not get healthy: all files and links as they were, and the version before runs again. What was reached, in words."""
        component = self.component
        versions = ", ".join(f"{name} {version}" for name, version in sorted(self.plan.replaced.items()))
        if not component.service or self.left is None:
            return f"Before this run it was {versions}."
        try:
            self.host.put_back()
            self.host.change(["systemctl", "daemon-reload"])
            unit = unit_state(self.host, component.service)
            if unit.failed:
                self.host.change(["systemctl", "reset-failed", component.service])
            self.host.change(["systemctl", "restart", "--no-block", component.service])
            trouble = health.trouble_of_previous(self.host, component, unit.invocation)
        except (ComponentError, OSError) as error:
            trouble = str(error)
        if trouble:
            return f"The rollback to {versions} failed too: {trouble}"
        return f"It was rolled back to {versions}, which is healthy; hosts after this one were left as they are."
