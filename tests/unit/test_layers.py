# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, who may rename and lock files and run commands, and where the names of temporary files are spelt."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.hardway.kubernetes.plugins.module_utils.common import files

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"
OURS = "ansible_collections.hardway.kubernetes.plugins."

#: Sent to hosts, whose Python has the standard library alone.
ON_HOSTS = {"common", "component", "etcd", "host", "kubeadm", "reset"}
#: package of module_utils -> the others that it may import
MAY_IMPORT: dict[str, set[str]] = {
    "common": set(),
    "component": {"common"},
    "etcd": {"common"},
    "pki": {"common"},
    "kube": {"common"},
    "backup": {"common"},
    "kubeadm": {"common", "component", "etcd"},
    "host": {"common", "component", "etcd"},
    "reset": {"common", "component", "etcd"},
    "verify": {"common", "kube", "etcd", "backup"},
    "restore": {"common", "kube", "etcd", "backup"},
    "membership": {"common", "kube", "etcd", "backup"},
    "upgrade": {"common", "component", "kube", "kubeadm"},
}
#: packages of plugin_utils that each other may not import: what two of them need is one of its own
APART = {"preflight", "rollout", "status"}
#: An action may stand on another: the fetching of facts, and the rendering of components, are an action each.
ACTIONS_FOR_ACTIONS = {"host_facts", "certificate_info", "component"}

RENAMES = {"rename", "replace", "renames"}
LOCKS = {"flock", "lockf"}
RUNS = {"run", "Popen", "call", "check_call", "check_output", "getoutput"}
RUNNERS = {
    "module_utils/common/commands.py": "it is the one place",
    "module_utils/component/host.py": "a component's command keeps the environment of the run, and its failure is an error of the component",
    "module_utils/host/facts.py": "facts discard standard error, and never fail",
    "module_utils/etcd/salvage.py": "an etcd runs meanwhile, and is asked",
    "action/mirror_build.py": "its output is shown line by line",
}
#: Programs that run on hosts by themselves, and so cannot import the one place.
PROGRAMS = ("roles/cni/files/pod-routes.py", "roles/host/files/disable-swap.py")
TEMPORARY_NAMES = (".hardway-new", ".hardway-tmp", ".hardway-restore")


@dataclasses.dataclass(frozen=True)
class Source:
    """A Python file of plugins/, by its path below it."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> tuple[str, str]:
        """("module_utils", "reset"); ("filter", "pki") for a file."""
        first, _slash, rest = self.path.partition("/")
        return first, rest.split("/")[0].removesuffix(".py")

    def imports(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path} imports relatively"
                yield from (f"{node.module}.{name.name}" for name in node.names)

    def packages(self) -> Iterator[tuple[str, str]]:
        """The packages of ours that it imports."""
        for name in self.imports():
            if name.startswith(OURS):
                first, second, *_rest = name[len(OURS) :].split(".")
                yield first, second

    def calls(self, module: str) -> Iterator[str]:
        """Names of the functions of a module that it calls, or imports."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = node.func.value
                if isinstance(of, ast.Name) and of.id == module:
                    yield node.func.attr
        yield from (name.split(".")[1] for name in self.imports() if name.startswith(f"{module}."))


def faults(source: Source) -> list[str]:
    """What one file does that its place does not allow."""
    return [f"{source.path}: {fault}" for check in CHECKS for fault in check(source)]


def check_directions(source: Source) -> Iterator[str]:
    kind, package = source.package
    for other_kind, other in source.packages():
        wrong = False
        if kind == "module_utils":
            wrong = other_kind != "module_utils" or (other != package and other not in MAY_IMPORT.get(package, set()))
        elif kind == "plugin_utils":
            wrong = other_kind not in ("module_utils", "plugin_utils") or (
                other_kind == "plugin_utils" and other != package and {package, other} <= APART
            )
        elif kind == "action" and other_kind == "action":
            wrong = other not in ACTIONS_FOR_ACTIONS
        elif kind == "action" and other_kind == "modules":
            # It runs that module's work in this process.
            wrong = other != package
        elif other_kind in ("modules", "action", "filter", "test") or (
            kind == "modules" and other_kind == "plugin_utils"
        ):
            wrong = True
        if wrong:
            yield f"{kind}/{package} may not import {other_kind}/{other}"


def check_hosts(source: Source) -> Iterator[str]:
    kind, package = source.package
    if kind == "module_utils" and package in ON_HOSTS:
        for name in source.imports():
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and not name.startswith(OURS):
                yield f"{package} is sent to hosts, which have no {top}"


def check_renames(source: Source) -> Iterator[str]:
    if source.path != "module_utils/common/files.py":
        yield from (f"os.{name}: use common/files" for name in source.calls("os") if name in RENAMES)
        yield from (f"shutil.{name}: use common/files" for name in source.calls("shutil") if name == "move")


def check_commands(source: Source) -> Iterator[str]:
    if source.path not in RUNNERS:
        yield from (f"subprocess.{name}: use common/commands" for name in source.calls("subprocess") if name in RUNS)
        yield from (f"os.{name}: use common/commands" for name in source.calls("os") if name in ("system", "popen"))


def check_locks(source: Source) -> Iterator[str]:
    if source.path != "module_utils/common/locks.py":
        yield from (f"fcntl.{name}: use common/locks" for name in source.calls("fcntl") if name in LOCKS)


CHECKS = (check_directions, check_hosts, check_renames, check_commands, check_locks)

SOURCES = [
    Source(str(path.relative_to(PLUGINS)), path.read_text(encoding="utf-8")) for path in sorted(PLUGINS.rglob("*.py"))
]


def test_every_file_keeps_to_its_layer() -> None:
    assert [fault for source in SOURCES for fault in faults(source)] == []


def test_every_package_has_its_place() -> None:
    packages = {
        path.name for path in (PLUGINS / "module_utils").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert packages - set(MAY_IMPORT) == set()


def test_exceptions_are_not_kept_for_files_that_do_not_need_them() -> None:
    needless = [
        source.path for source in SOURCES if source.path in RUNNERS and not RUNS & set(source.calls("subprocess"))
    ]
    assert needless == []


def test_packages_say_where_they_run_and_nothing_else() -> None:
    for path in PLUGINS.glob("*_utils/*/__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{path} is to hold one docstring"


@pytest.mark.parametrize("directory", ["plugins", "roles"])
def test_names_of_temporary_files_are_spelt_in_one_place(directory: str) -> None:
    """A reset finds what a killed write left by that name."""
    spelt = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / directory).rglob("*"))
        if path.is_file()
        and path.suffix in (".py", ".yml", ".j2", ".sh", "")
        and any(name in path.read_text(encoding="utf-8") for name in TEMPORARY_NAMES)
    ]
    assert [path for path in spelt if path not in PROGRAMS] in ([], ["plugins/module_utils/common/files.py"])


def test_programs_on_hosts_spell_it_the_same_way() -> None:
    for path in PROGRAMS:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert files.TEMPORARY in text and not [name for name in TEMPORARY_NAMES[1:] if name in text], path


@pytest.mark.parametrize(
    ("path", "text", "match"),
    [
        ("module_utils/common/files.py", f"from {OURS}module_utils.pki import plan", "may not import module_utils/pki"),
        (
            "module_utils/reset/run.py",
            f"from {OURS}module_utils.kube.client import Api",
            "may not import module_utils/kube",
        ),
        (
            "module_utils/kube/drain.py",
            f"from {OURS}plugin_utils.merge import merged",
            "may not import plugin_utils/merge",
        ),
        ("module_utils/etcd/client.py", "import yaml", "hosts, which have no yaml"),
        (
            "module_utils/host/facts.py",
            "def read():\n    from cryptography import x509",
            "hosts, which have no cryptography",
        ),
        ("module_utils/verify/checks.py", f"from {OURS}modules import verify", "may not import modules/verify"),
        (
            "plugin_utils/status/api.py",
            f"from {OURS}plugin_utils.preflight import hosts",
            "may not import plugin_utils/preflight",
        ),
        ("modules/reset.py", f"from {OURS}plugin_utils.merge import merged", "may not import plugin_utils/merge"),
        ("action/status.py", f"from {OURS}action.preflight import X", "may not import action/preflight"),
        ("action/status.py", f"from {OURS}modules import reset", "may not import modules/reset"),
        ("filter/pki.py", f"from {OURS}action.component import X", "may not import action/component"),
        ("module_utils/pki/plan.py", "import os\nos.replace('a', 'b')", "os.replace: use common/files"),
        ("module_utils/pki/plan.py", "from os import rename", "os.rename: use common/files"),
        (
            "module_utils/reset/pods.py",
            "import subprocess\nsubprocess.run(['a'])",
            "subprocess.run: use common/commands",
        ),
        ("module_utils/reset/pods.py", "from subprocess import Popen", "subprocess.Popen: use common/commands"),
        ("module_utils/pki/plan.py", "import fcntl\nfcntl.flock(1, 2)", "fcntl.flock: use common/locks"),
    ],
)
def test_a_file_that_leaves_its_layer_is_found(path: str, text: str, match: str) -> None:
    assert any(match in fault for fault in faults(Source(path, text)))


def test_all_errors_have_one_base() -> None:
    """So that one handler shows what is wrong, where, and how to fix it."""
    wrong = [
        f"{source.path}: {node.name}"
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and node.name != "HardwayError"
        and {ast.unparse(base) for base in node.bases} & {"Exception", "ValueError", "RuntimeError", "OSError"}
        and "HardwayError" not in {ast.unparse(base) for base in node.bases}
    ]
    assert wrong == []
