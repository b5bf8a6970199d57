# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents say what the code does: settings, generated files, names of playbooks, roles, modules and settings, links."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]


def load_generator():
    specification = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


docs = load_generator()
DEFAULTS = docs.load(ROOT / "roles" / "cluster" / "defaults" / "main.yml")
# Those with settings; one whose name begins with _ is internal.
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/[!_]*/meta/argument_specs.yml"))
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/hosts.yml"))
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/**/*.md"),
        *ROOT.glob("roles/*/README.md"),
    ]
)
# Set by the inventory, without a default.
WITHOUT_DEFAULT = {"cluster_endpoint_address", "cluster_host_address"}
PREFIXED = re.compile(rf"(?<![\w./-])((?:{'|'.join(ROLES)})_[a-z0-9_]+)\b(?![\w./-]*\.(?:md|py|yml|j2))")


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- settings


def test_a_role_with_settings_describes_them():
    with_settings = {path.parents[1].name for path in ROOT.glob("roles/[!_]*/defaults/main.yml")}
    assert sorted(with_settings - set(ROLES)) == [], "roles with defaults, and without meta/argument_specs.yml"


@pytest.mark.parametrize("role", ROLES)
def test_spec_and_defaults_of_a_role_agree(role):
    options, defaults = docs.entry_point(role)["options"], docs.defaults(role)
    assert set(options) - WITHOUT_DEFAULT == set(defaults), (
        f"roles/{role}: argument_specs and defaults name different settings"
    )
    for name, default in defaults.items():
        if docs.is_template(default):
            assert "default" not in options[name], (
                f"{name}: its default is computed, so argument_specs must not name one"
            )
        else:
            assert options[name].get("default", docs.NO_DEFAULT) == default or is_partial(options[name], default), (
                f"{name}: another default in argument_specs"
            )


def is_partial(option: dict, default) -> bool:
    """A dictionary whose entries are described one by one may leave the default to defaults/main.yml."""
    return "default" not in option and bool(option.get("options")) and isinstance(default, dict)


@pytest.mark.parametrize("role", ROLES)
def test_every_setting_is_described(role):
    for name, option in docs.entry_point(role)["options"].items():
        assert name.startswith(f"{role}_"), f"{name}: a setting of the role {role} begins with {role}_"
        assert option.get("type") and option.get("description"), f"{name}: needs a type and a description"
        if option["type"] == "list":
            assert option.get("elements"), f"{name}: a list needs elements"


@pytest.mark.parametrize("role", ROLES)
def test_galaxy_info(role):
    info = docs.load(ROOT / "roles" / role / "meta" / "main.yml")["galaxy_info"]
    assert info["license"] == "GPL-3.0-or-later"
    assert info["min_ansible_version"] == "2.19"
    assert info["description"] and info["author"] == "the hardway.kubernetes authors"


def test_role_cluster_is_validated_nowhere():
    """Every role depends on it: an entry point `main` would add a task to each of them, on every host."""
    assert list(docs.load(ROOT / "roles" / "cluster" / "meta" / "argument_specs.yml")["argument_specs"]) == ["lock"]


# --- generated files


def test_generated_files_are_as_generated():
    assert [page_id(path) for path in docs.differing()] == [], "run tools/generate_docs.py"


def test_all_settings_names_each_setting_once():
    text = (ROOT / "examples" / "all-settings.yml").read_text()
    live, commented = list(yaml.safe_load(text)), re.findall(r"^# ([a-z0-9_]+):(?: .*)?$", text, re.MULTILINE)
    known = [name for role in ROLES for name in docs.entry_point(role)["options"]]
    named = live + [name for name in commented if name.startswith(tuple(f"{role}_" for role in ROLES))]
    assert sorted(named) == sorted(known)


def test_all_settings_are_valid_for_preflight():
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight import plan as inventory
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight import settings

    values = docs.load(ROOT / "examples" / "all-settings.yml")
    plan = inventory.Plan(
        definitions=[inventory.Definition(name, value, "all-settings.yml") for name, value in values.items()],
        specs={name: option for role in ROLES for name, option in docs.entry_point(role)["options"].items()},
        prefixes=tuple(f"{role}_" for role in ROLES),
    )
    assert [*settings.check_values(plan), *settings.check_spelling(plan)] == []


# --- examples


@pytest.mark.parametrize("directory", EXAMPLES, ids=page_id)
def test_example_settings_exist(directory):
    known = {name for role in ROLES for name in docs.entry_point(role)["options"]}
    for path in directory.glob("group_vars/*.yml"):
        assert set(docs.load(path)) <= known, path


@pytest.mark.parametrize("directory", EXAMPLES, ids=page_id)
def test_example_is_an_inventory(directory):
    code = "import sys; from ansible.cli.inventory import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "-i", str(directory), "--list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert {"etcd", "kube_master", "kube_node"} <= set(listed)
    assert all(values.get("ansible_host") for values in listed["_meta"]["hostvars"].values())


@pytest.mark.parametrize("directory", EXAMPLES, ids=page_id)
def test_example_has_no_problem(directory):
    pytest.importorskip("netaddr")
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight import plan as inventory
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.inventory import check_inventory
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.preflight.versions import supported_versions

    settings = {
        name: value for role in ROLES for name, value in docs.defaults(role).items() if not docs.is_template(value)
    }
    given = docs.load(directory / "group_vars" / "all.yml")
    tree = docs.load(directory / "hosts.yml")["all"]
    groups = {name: list(group.get("hosts") or {}) for name, group in tree["children"].items()}
    machines = {
        name: inventory.Machine(
            name, values["ansible_host"], tuple(group for group, names in groups.items() if name in names)
        )
        for name, values in tree["hosts"].items()
    }
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component import declarations

    ports = declarations.ports(declarations.declarations(lambda path: docs.load(Path(path)), str(ROOT)))
    settings = {**settings, "cluster_dir": "/srv/clusters/example", **given}
    plan = inventory.Plan(
        settings=settings,
        groups=groups,
        hosts=machines,
        definitions=[inventory.Definition(name, value, "example") for name, value in given.items()],
        specs={name: option for role in ROLES for name, option in docs.entry_point(role)["options"].items()},
        prefixes=tuple(f"{role}_" for role in ROLES),
        supported=supported_versions(
            docs.load(ROOT / "roles" / "cluster" / "vars" / "main" / "versions.yml")["cluster_version_table"], ["3.6"]
        ),
        ports=[
            inventory.PortUse(
                entry["group"],
                settings.get(entry.get("setting"), entry["port"]),
                entry.get("setting", ""),
                entry["component"],
            )
            for entry in ports
            if all(settings.get(name, DEFAULTS.get(name)) == value for name, value in entry.get("where", {}).items())
        ],
        run=list(machines),
    )
    assert check_inventory(plan) == []


# --- the documents' commands


COMMANDS = ROOT / "docs" / "commands.md"
COLUMNS = ["by hand", "here", "settings", "differs"]
DOCUMENTS = ["000", "001", "002", "003", "004"]


def command_rows() -> list[tuple[str, dict[str, str]]]:
    """Each row of the page's tables with its section. A bar within a cell has a backslash before it."""
    section, rows = "", []
    for line in COMMANDS.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("|") and not line.startswith("| ---"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            assert len(cells) == len(COLUMNS), f"{section}: a row needs {len(COLUMNS)} cells: {line}"
            rows.append((section, dict(zip(COLUMNS, cells, strict=True))))
    return [(section, row) for section, row in rows if list(row) != list(row.values())]


def test_every_document_has_its_commands():
    sections = list(dict.fromkeys(section for section, _row in command_rows()))
    assert [section for section in sections if section in DOCUMENTS] == DOCUMENTS


def test_every_command_has_a_place():
    """A link, the inventory, or a plain word that there is none."""
    place = re.compile(r"\]\(|^(not done|not needed|the inventory)")
    assert [
        f"{section}: {row['by hand']}"
        for section, row in command_rows()
        if not (row["by hand"] and place.search(row["here"]))
    ] == []


def test_links_of_the_commands_lead_to_files():
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", COMMANDS.read_text())}
    assert targets
    assert (
        sorted(target for target in targets if "://" not in target and not (COMMANDS.parent / target).is_file()) == []
    )


def test_settings_of_the_commands_exist():
    known = {name for role in ROLES for name in docs.entry_point(role)["options"]}
    named = {
        re.split(r"[:.]", word)[0]
        for _section, row in command_rows()
        for word in re.findall(r"`([^`]+)`", row["settings"])
    }
    assert named
    assert sorted(named - known) == []


# --- the guarantees


GUARANTEES = ROOT / "docs" / "guarantees.md"


def guarantees() -> list[tuple[str, str]]:
    """Each promise of the table with the cell that names its tests."""
    rows = [line for line in GUARANTEES.read_text().splitlines() if line.startswith("| ")]
    cells = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows]
    return [pair for pair in cells if pair[0] not in ("promise", "---")]


@functools.cache
def drills() -> set[str]:
    found = set()
    for path in ROOT.glob("tests/*/*.py"):
        text = path.read_text()
        found.update(re.findall(r"^def drill_(\w+)", text, re.MULTILINE))
        found.update(re.findall(r'^@drill\(\s*"([\w-]+)"', text, re.MULTILINE))
    return {name.replace("_", "-") for name in found}


def test_every_promise_has_tests_that_exist():
    assert len(guarantees()) >= 26, "a promise of the table is lost"
    known = drills()
    unknown = []
    for promise, tests in guarantees():
        assert "`" in tests, f"{promise} names no test"
        for name in re.findall(r"`([^`]+)`", tests):
            if not (ROOT / name).exists() and name not in known:
                unknown.append(f"{promise} {name}")
    assert unknown == []


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 700


# --- what the pages name


@functools.cache
def known_names() -> set[str]:
    """Settings, and what else may begin with a role's name: derived variables, groups, playbooks, modules, filters, files."""
    # groups, and the misspelt setting of preflight's sample output
    names = {"kube_master", "kube_node", "kube_masters", "kube_node_kublet_config", *ROLES}
    for role in ROLES:
        names.update(docs.entry_point(role)["options"])
        for path in (ROOT / "roles" / role / "vars").rglob("*.yml"):
            names.update(docs.load(path))
        for path in (ROOT / "roles" / role / "tasks").glob("*.yml"):
            names.update(re.findall(r"register: (\w+)", path.read_text()))
    for path in [*ROOT.glob("plugins/*/*"), *ROOT.glob("playbooks/*.yml")]:
        names.add(path.stem)
    return names


@functools.cache
def collection_names() -> set[str]:
    plugins = {path.stem for kind in ("modules", "filter", "action") for path in ROOT.glob(f"plugins/{kind}/*")}
    return plugins | set(ROLES) | {path.stem for path in ROOT.glob("playbooks/*.yml")} | {"authors"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_page_names_what_exists(page):
    text = page.read_text()
    known = known_names()
    assert sorted({name for name in PREFIXED.findall(text) if name not in known}) == [], "unknown settings"
    named = set(re.findall(r"(?<![\w/])hardway\.kubernetes\.([a-z_]+)", text))
    assert sorted(named - collection_names()) == [], "unknown playbooks, roles or plugins"
    playbooks = {
        word
        for line in re.findall(r"ansible-playbook ([^\n`]*)", text)
        for word in line.split()
        if re.fullmatch(r"[\w/-]+\.yml", word)
    }
    missing = {name for name in playbooks if not (ROOT / name).is_file() and name != "sandbox/spare.yml"}
    assert sorted(missing) == [], "unknown playbooks"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_of_a_page_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)(?:`|$)", page.read_text(), re.MULTILINE)) - targets) == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them, and those that it sets itself."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    anchors: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.*?) *#*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        anchors[anchor] = anchors.get(anchor, -1) + 1
    repeated = {f"{anchor}-{number}" for anchor, last in anchors.items() for number in range(1, last + 1)}
    return {*anchors, *repeated, *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_of_a_page_lead_somewhere(page):
    missing = []
    for path, anchor in re.findall(
        r"(?:\]\(|<a href=\"|<img src=\")([^)#\"\s]*)(?:#([^)\"]*))?[)\"]", page.read_text()
    ):
        target = page.parent / path if path else page
        if "://" in path or path.startswith("mailto:"):
            continue
        if not target.exists():
            missing.append(path)
        elif anchor and target.suffix == ".md" and anchor not in headings(target):
            missing.append(f"{path}#{anchor}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_paths_of_a_page_exist(page):
    """Paths of the tree in backquotes."""
    named = re.findall(
        r"`((?:roles|playbooks|plugins|tests|examples|docs|sandbox|molecule)/[\w./-]+)`", page.read_text()
    )
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


# --- declarations


def test_every_field_of_a_declaration_is_described():
    from ansible_collections.hardway.kubernetes.plugins.plugin_utils.component.declarations import ABOUT

    source = (ROOT / "plugins" / "modules" / "component.py").read_text()
    options = yaml.safe_load(re.search(r'DOCUMENTATION = r"""(.*?)"""', source, re.DOTALL)[1])["options"]
    described = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "declarations.md").read_text()))
    assert sorted({*ABOUT, *options} - described) == []


# --- words


# Words of no field, with those that the field uses instead (docs/glossary.md).
PRIVATE_WORDS = {
    r"mends?|mended|mending": "fix",
    r"anew": "again, reissue, restart",
    r"told|tells?|telling": "report, notify, show, say",
    r"beside": "next to, together with, in addition to",
    r"bears?|bore": "tolerate, survive",
    r"settled?|settles|settling": "finish, finalize",
    r"judged?|judges|judging|judgement": "check, validate, evaluate",
    r"owed|owes?": "pending",
    r"newcomers?": "joining host",
    r"founders?": "initial member",
    r"askers?": "client host",
    r"(?<!-)care": "maintenance",
    r"a look|looked at|looks at": "observe, check",
    r"gently|gentle": "gracefully",
    r"go(?:es)? back|went back": "roll back",
    r"gives? back|given back": "uncordon",
    r"empt(?:y|ies) (?:a|the|each) nodes?|emptied": "drain",
    r"leavings?": "footprint, leftover",
    r"in vain": "fails",
    r"insists? that": "require",
    r"proved|proves": "verify",
}
PROSE = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
    ]
)


def prose(text: str) -> str:
    """The text without code and without the targets of its links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)


@pytest.mark.parametrize("page", PROSE, ids=page_id)
def test_page_has_the_fields_words(page):
    found = [
        f"{page_id(page)}: write {plain!r} instead of {match[0]!r} in: ...{line[max(0, match.start() - 30) : match.end() + 30]}..."
        for line in prose(page.read_text()).splitlines()
        for words, plain in PRIVATE_WORDS.items()
        for match in re.finditer(rf"\b(?:{words})\b", line, re.IGNORECASE)
    ]
    assert found == [], "\n".join(found)


# --- decisions


# Private names of ansible-core and CPython; what the code uses of them is in the table of the record.
PRIVATE_API = re.compile(
    r"ansible\._internal[\w.]*|\bhostvars\._\w+|\b_variable_manager\b|\b_task\._parent\._play\b|\bcopy_with_new_env\b|\bevaluate_conditional\b"
    r"|\b_load_params\b|\bDEFAULT_LOCAL_TMP\b|\b_test_decode_cert\b"
)


def test_private_apis_are_on_record():
    record = (ROOT / "docs" / "adr" / "0013-private-apis.md").read_text()
    used = {
        name for path in ROOT.glob("plugins/**/*.py") for name in PRIVATE_API.findall(path.read_text(encoding="utf-8"))
    }
    assert used
    assert sorted(name for name in used if name not in record) == []


def test_every_decision_is_listed():
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    records = sorted(path.name for path in ROOT.glob("docs/adr/[0-9]*.md"))
    assert records == sorted(set(re.findall(r"\]\(([0-9][\w-]*\.md)\)", index)))
    for name in records:
        text = (ROOT / "docs" / "adr" / name).read_text()
        assert all(f"**{part}" in text for part in ("Status", "Context", "Decision", "Consequences")), name
