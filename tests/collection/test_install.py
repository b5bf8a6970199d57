# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection as people get it: built, installed into an empty directory, and used without the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path.parent.name for path in ROOT.glob("roles/*/tasks"))
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
FILTERS = sorted(path.stem for path in (ROOT / "plugins/filter").glob("*.yml"))
INVENTORIES = sorted(path.parent for path in ROOT.glob("examples/*/hosts.yml"))
#: What a user of the collection has a use for; all else stays in the checkout.
SHIPPED = {
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "SECURITY.md",
    "changelogs",
    "README.md",
    "docs",
    "examples",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "requirements.txt",
}
MADE_BY_GALAXY = {"FILES.json", "MANIFEST.json"}


def command(name: str, *arguments: object, cwd: Path, **environment: object) -> str:
    """The output of one of Ansible's commands, run with no configuration of the user's; fails with it."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    clean |= {"HOME": str(cwd), "NO_COLOR": "1", **{key: str(value) for key, value in environment.items()}}
    done = subprocess.run(
        [Path(sys.executable).parent / name, *map(str, arguments)],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(name="tarball", scope="module")
def make_tarball(tmp_path_factory):
    """Built from a copy of the files that git knows, or would: what lies about in a checkout must not matter, so junk lies about here."""
    checkout = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":!.collections"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
    for junk in (
        "clusters/x/pki/ca-key.pem",
        ".venv/bin/python",
        ".ansible/x",
        "tests/output/x",
        "plugins/modules/__pycache__/x.pyc",
        "old.tar.gz",
    ):
        (checkout / junk).parent.mkdir(parents=True, exist_ok=True)
        (checkout / junk).write_text("junk")
    out = tmp_path_factory.mktemp("built")
    command("ansible-galaxy", "collection", "build", checkout, "--output-path", out, cwd=out)
    return next(out.glob("hardway-kubernetes-*.tar.gz"))


@pytest.fixture(name="installed", scope="module")
def make_installed(tarball, tmp_path_factory):
    """An empty directory into which it was installed, beside what it depends on."""
    directory = tmp_path_factory.mktemp("installed")
    command(
        "ansible-galaxy", "collection", "install", tarball, "-p", directory, "--no-deps", "--offline", cwd=directory
    )
    return directory


@pytest.fixture(name="elsewhere")
def make_elsewhere(tmp_path):
    assert not tmp_path.is_relative_to(ROOT)
    return tmp_path


def members(tarball: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(tarball) as packed:
        return packed.getmembers()


def test_the_tarball_holds_what_users_need_and_nothing_else(tarball):
    names = {Path(member.name).parts[0] for member in members(tarball)}
    assert names == SHIPPED | MADE_BY_GALAXY
    assert not [
        member.name
        for member in members(tarball)
        if re.search(r"junk|\.pyc$|\.tar\.gz$|\.pem$|__pycache__|^\./?\.", member.name)
    ]


def test_no_file_leads_out_of_it(tarball):
    assert not [member.name for member in members(tarball) if member.issym() or member.islnk()]


def test_only_what_is_started_is_executable(tarball):
    with tarfile.open(tarball) as packed:
        started = {member.name for member in packed if member.isfile() and packed.extractfile(member).read(2) == b"#!"}
        executable = {member.name for member in packed if member.isfile() and member.mode & 0o111}
    assert executable <= started


def test_its_python_says_its_license_and_its_way_of_annotations(tarball):
    with tarfile.open(tarball) as packed:
        sources = {
            member.name: packed.extractfile(member).read().decode()
            for member in packed
            if re.match(r"plugins/.*\.py$", member.name)
        }
    assert sources
    assert not [name for name, text in sources.items() if "GNU General Public License v3.0+" not in text]
    # A package's own file is a docstring alone.
    code = {name: text for name, text in sources.items() if not name.endswith("__init__.py")}
    assert not [name for name, text in code.items() if "from __future__ import annotations" not in text]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("inventory", INVENTORIES[:1], ids=lambda path: path.name)
def test_playbooks_work_without_the_checkout(installed, elsewhere, playbook, inventory):
    shutil.copytree(inventory, elsewhere / "inventory")
    arguments = ["-i", "inventory", f"hardway.kubernetes.{playbook}", "--list-tasks"]
    shown = command("ansible-playbook", *arguments, cwd=elsewhere, ANSIBLE_COLLECTIONS_PATH=installed)
    assert "hardway.kubernetes." in shown or "TAGS: [" in shown
    command("ansible-playbook", *arguments[:-1], "--syntax-check", cwd=elsewhere, ANSIBLE_COLLECTIONS_PATH=installed)
    assert sorted(path.name for path in elsewhere.iterdir() if not path.name.startswith(".")) == ["inventory"]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_site_works_with_every_example(installed, elsewhere, inventory):
    shutil.copytree(inventory, elsewhere / "inventory")
    shown = command(
        "ansible-playbook",
        "-i",
        "inventory",
        "hardway.kubernetes.site",
        "--list-hosts",
        cwd=elsewhere,
        ANSIBLE_COLLECTIONS_PATH=installed,
    )
    assert re.search(r"Certificates\t.*\n.*\n +hosts \([1-9]", shown), shown


def test_preflight_runs_without_the_checkout(installed, elsewhere):
    """Its modules and module_utils are all there: it finds what is wrong with this computer as a host."""
    (elsewhere / "hosts.yml").write_text(
        yaml.safe_dump(
            {
                "all": {
                    "vars": {
                        "ansible_python_interpreter": sys.executable,
                        "ansible_connection": "local",
                        "cluster_endpoint_address": "192.0.2.100",
                    },
                    "children": {
                        name: {"hosts": {"one": {"ansible_host": "192.0.2.1"}}}
                        for name in ("etcd", "lb", "kube_master", "kube_node")
                    },
                }
            }
        )
    )
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "hosts.yml",
            "hardway.kubernetes.preflight",
            "--check",
        ],
        cwd=elsewhere,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "NO_COLOR": "1", "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "[address-not-on-host]" in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "names"), [("module", MODULES), ("role", ROLES), ("filter", FILTERS)])
def test_ansible_doc_shows_everything(installed, elsewhere, kind, names):
    listed = command(
        "ansible-doc", "--type", kind, "--list", "hardway.kubernetes", cwd=elsewhere, ANSIBLE_COLLECTIONS_PATH=installed
    )
    assert [name for name in names if not re.search(rf"hardway\.kubernetes\.{name}\b", listed)] == []
    command(
        "ansible-doc",
        "--type",
        kind,
        *(f"hardway.kubernetes.{name}" for name in names),
        cwd=elsewhere,
        ANSIBLE_COLLECTIONS_PATH=installed,
    )


def test_no_return_value_is_documented_as_a_key(tarball):
    """What comes back holds no secret: the one exception is the token of a node that joins, which says that it is one."""
    with tarfile.open(tarball) as packed:
        sources = {
            member.name: packed.extractfile(member).read().decode()
            for member in packed
            if re.match(r"plugins/modules/.*\.py$", member.name)
        }
    for name, text in sources.items():
        returned = yaml.safe_load(re.search(r'RETURN = r?"""(.*?)"""', text, re.DOTALL)[1]) or {}
        suspicious = {key for key in returned if re.search("key|secret|token|password|payload", key)}
        assert suspicious <= {"token", "tokens", "keys", "total_keys"}, (
            name
        )  # tokens: their ids and ends; keys: their names; total_keys: how many
        assert "PRIVATE KEY" not in text.split("EXAMPLES")[0], name
