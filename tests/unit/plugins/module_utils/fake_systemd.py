# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd as far as a component sees it, with real processes, so that their environment is read from the real /proc."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path


class Killed(BaseException):
    """The run dies here."""


@dataclasses.dataclass
class Service:
    enabled: bool = False
    state: str = "inactive"
    sub_state: str = "dead"
    process: subprocess.Popen | None = None
    invocation: int = 0
    reloads: int = 0
    environment: dict = dataclasses.field(default_factory=dict)


class Systemd:
    """Answers in place of :meth:`Host.run`.

    :attr:`calls`: every command that changes something, as text
    :attr:`die_at`: word of a command at which the run dies, before the command is done
    :attr:`answers`: first word of another command -> (return code, stdout, stderr)
    """

    def __init__(self, unit_dir: Path) -> None:
        self.unit_dir = unit_dir
        self.services: dict[str, Service] = {}
        self.calls: list[str] = []
        self.die_at: str | None = None
        self.answers: dict[str, tuple[int, str, str]] = {}
        self.crashes = False
        #: directory of what units tell whose processes overwrite their environment
        self.told: Path | None = None

    def run(self, _host, argv, timeout=120):
        text = " ".join(argv)
        reading = argv[:2] == ["systemctl", "show"] or argv[0] == "journalctl"
        if not reading:
            self.calls.append(text)
        if self.die_at and self.die_at in argv:
            raise Killed(text)
        if argv[0] == "systemctl":
            return subprocess.CompletedProcess(
                argv, 0, self._systemctl(argv[1], [word for word in argv[2:] if not word.startswith("--")]), ""
            )
        if argv[0] == "journalctl":
            return subprocess.CompletedProcess(argv, 0, "panic: the last line of the journal\n", "")
        code, out, err = self.answers.get(argv[0], (0, "", ""))
        return subprocess.CompletedProcess(argv, code, out, err)

    def _systemctl(self, verb: str, words: list[str]) -> str:
        if verb == "daemon-reload":
            for name, service in self.services.items():
                service.environment = self._on_disk(name)
            return ""
        name = words[0]
        service = self.services.setdefault(name, Service())
        if verb == "show":
            names = [word for word in words if word.endswith((".service", ".timer"))]
            found = [self._properties(item, self.services.setdefault(item, Service())) for item in names]
            return "\n\n".join("\n".join(f"{key}={value}" for key, value in block.items()) for block in found)
        if verb == "enable":
            service.enabled = True
        elif verb == "disable":
            service.enabled = False
            self.stop(name)
        elif verb == "reload":
            service.reloads += 1
        elif verb in ("start", "restart"):
            self.stop(name)
            self._start(name, service)
        return ""

    def _on_disk(self, name: str) -> dict[str, str]:
        drop_in = self.unit_dir / f"{name}.d" / "50-hardway-inputs.conf"
        lines = drop_in.read_text().splitlines() if drop_in.exists() else []
        return dict(
            line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment=")
        )

    def _properties(self, name: str, service: Service) -> dict[str, str]:
        return {
            "ActiveState": service.state,
            "SubState": service.sub_state,
            "MainPID": str(service.process.pid) if service.process else "0",
            "UnitFileState": "enabled" if service.enabled else "disabled",
            "NeedDaemonReload": "yes" if service.environment != self._on_disk(name) else "no",
            "InvocationID": str(service.invocation) if service.invocation else "",
            "Result": "exit-code" if service.state == "failed" else "success",
            "Job": "0",
        }

    def _start(self, name: str, service: Service) -> None:
        service.invocation += 1
        if self.crashes:
            service.state, service.sub_state = "failed", "failed"
            return
        kept = {} if self.told else service.environment
        service.process = subprocess.Popen(["sleep", "600"], env={**os.environ, **kept})
        if self.told:
            (self.told / f"hardway-{name}.inputs").write_text(
                f"{service.invocation} {service.environment.get('HARDWAY_INPUTS', '')}\n"
            )
        service.state, service.sub_state = "active", "running"

    def stop(self, name: str) -> None:
        service = self.services[name]
        if service.process:
            service.process.kill()
            service.process.wait()
        service.process, service.state, service.sub_state = None, "inactive", "dead"

    def stop_all(self) -> None:
        for name in self.services:
            self.stop(name)

    def changing_calls(self) -> list[str]:
        """The commands since the last call of this."""
        calls, self.calls = self.calls, []
        return calls
