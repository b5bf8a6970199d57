# Copyright: (c) the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drills without machines: their registry, their command line, what they call and expect is there, and their results."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(os.path.realpath(__file__)).parents[2]
E2E = ROOT / "tests" / "e2e"
sys.path.insert(0, str(E2E))

pytest.importorskip("pyrage")

import run
from harness import command_line, expectations, measure, playbooks, registry, results, sandbox
from harness.checks import DrillFailed, Kind
from harness.context import CONTEXT, using
from harness.expectations import Expectation
from harness.playbooks import Run

DRILLS = registry.load(run.SUBJECTS)
FILES = sorted(E2E.rglob("*.py"))
OUTPUT = """TASK [x] ***
PLAY RECAP *********
master1                    : ok=5    changed=1    unreachable=0    failed=0    skipped=2    rescued=0    ignored=0
node1                      : ok=3    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0
Run it ------------ 14.70s
"""


# --- the registry


def test_every_drill_is_found() -> None:
    written = [name for path in FILES for name in re.findall(r'^@drill\(\s*"([^"]+)"', path.read_text(), re.MULTILINE)]
    assert sorted(written) == sorted(DRILLS), "a file with drills is not in run.SUBJECTS"
    assert list(dict.fromkeys(one.subject for one in DRILLS.values())) == list(run.SUBJECTS)


@pytest.mark.parametrize("drill", DRILLS.values(), ids=lambda drill: drill.name)
def test_a_drill_describes_itself(drill: registry.Drill) -> None:
    assert drill.description.endswith(".") and len(drill.description) < 160
    assert set(drill.needs.spares) <= set(sandbox.ADDRESSES) - set(sandbox.MACHINES)


def test_a_drill_gets_the_options_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DRILLS", {})

    @registry.drill("some", "Some.")
    def some(seed: int, short: bool) -> str:
        return f"{seed} {short}"

    assert registry.DRILLS["some"].run(registry.Options(short=True, seed=7, only="x")) == "7 True"
    with pytest.raises(TypeError, match="no options size"):
        registry.drill("other", "Other.")(lambda size: "")
    with pytest.raises(ValueError, match="two drills"):
        registry.drill("some", "Again.")(some)


# --- what drills call and name is there


def called_jobs(path: Path) -> set[str]:
    """Words that are handed to what runs a playbook."""
    found = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        if name in ("playbooks.run", "succeeding", "_limited", "_playbook") and call.args:
            found |= {call.args[0].value} if isinstance(call.args[0], ast.Constant) else set()
        if name in ("playbooks.run_killed", "assert_refused"):
            found |= {call.args[1].value} if isinstance(call.args[1], ast.Constant) else set()
    return {str(job) for job in found}


def test_every_job_has_a_playbook() -> None:
    jobs = set().union(*map(called_jobs, FILES))
    jobs |= {f"{verb}_{kind}" for verb in ("add", "remove") for kind in ("node", "master", "etcd", "lb")}
    assert {"site", "upgrade", "rotate_ca", "restore_etcd"} <= jobs
    missing = [job for job in sorted(jobs) if not (ROOT / "playbooks" / f"{job}.yml").is_file()]
    assert missing == [], "drills call jobs that have no playbook"
    assert all((ROOT / name).is_file() for name in playbooks.BY_FILE.values())


def test_every_setting_that_drills_name_exists() -> None:
    roles = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta" / "argument_specs.yml").is_file())
    known = set()
    for role in roles:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        for entry in specs["argument_specs"].values():
            known |= set(entry.get("options") or {})
    named = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                # In `-e NAME=VALUE`, as a key of a dictionary, and as a key in JSON.
                named |= set(re.findall(r"^([a-z]+_[a-z0-9_]+)(?==)", node.value))
                named |= set(re.findall(r'"([a-z]+_[a-z0-9_]+)":', node.value))
            if isinstance(node, ast.Dict):
                keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
                named |= {key for key in keys if isinstance(key, str) and re.fullmatch(r"[a-z]+_[a-z0-9_]+", key)}
    named = {name for name in named if name.startswith(tuple(f"{role}_" for role in roles))}
    assert len(named) > 20
    assert sorted(named - known) == [], "drills name settings that do not exist"


EXPECTED = {name: value for name, value in vars(expectations).items() if isinstance(value, Expectation)}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_expected_is_in_the_code_that_prints_it(name: str) -> None:
    source = EXPECTED[name].source
    code = [path for folder in ("plugins", "roles") for path in (ROOT / folder).rglob("*") if path.is_file()]
    kinds = (".py", ".yml", ".j2")
    assert any(source in " ".join(path.read_text().split()) for path in code if path.suffix in kinds), (
        f"nothing prints {source!r} any more. Fix: put the new words into tests/e2e/harness/expectations.py, {name}"
    )


def test_no_drill_compares_words_by_itself() -> None:
    """The output of a playbook is compared in expectations.py alone."""
    for path in FILES:
        if path.name not in ("expectations.py", "playbooks.py"):
            assert not re.search(r'"\s+(not )?in \w+\.output|\.output\.count\("', path.read_text()), path


# --- runs and expectations


def test_a_run_has_the_recap_as_data() -> None:
    done = Run(0, 1.0, OUTPUT)
    assert done.changed == 1
    assert done.tasks == {"master1": 7, "node1": 3}
    assert done.costliest == [("Run it", 14.7)]
    done.require_success().require_hosts("master1", "node1").require_changed(1, "here")
    for check, kind in (
        (done.require_unchanged, Kind.CHANGED),
        (lambda: done.require_hosts("node1"), Kind.COST),
        (lambda: Run(2, 1.0, OUTPUT).require_success(), Kind.PLAYBOOK_FAILED),
        (lambda: done.require_refused(expectations.OTHER_CNI), Kind.NOT_REFUSED),
        (lambda: done.require_says(expectations.OTHER_CNI, "no"), Kind.OUTPUT),
    ):
        with pytest.raises(DrillFailed) as error:
            check()
        assert error.value.kind is kind


def test_a_line_break_in_a_message_is_a_space() -> None:
    output = "  msg: Nothing was reset, for it\n    was not confirmed. Answer yes\n"
    assert expectations.NOT_CONFIRMED.found(output)
    order = "a is next, while b\n leads\n b is next, while c leads"
    assert expectations.NEXT_MEMBER.all(order) == [("a", "b"), ("b", "c")]
    row = "- etcd            master1   3.5.35   3.6.1   yes\n"
    assert expectations.upgrade_planned("etcd").found(row)
    assert not expectations.upgrade_planned("kubelet").found(row)


def test_jobs_are_called_as_users_call_them() -> None:
    assert playbooks.playbook_of("site") == "site.yml"
    assert playbooks.playbook_of("rotate_ca") == "hardway.kubernetes.rotate_ca"
    with using(inventories=["a", "b"], prefix=["unshare"]):
        words = playbooks.arguments_of("add_node", "--limit", "node3", overlays=("c",))
        assert CONTEXT.cluster_label == " (b)"
    assert words[0] == "unshare"
    assert words[2:] == ["-i", "a", "-i", "b", "-i", "c", "add-node.yml", "--limit", "node3"]
    assert CONTEXT.inventories == ["inventory"] and CONTEXT.cluster_label == ""


def test_a_command_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbooks, "LOG", tmp_path / "log")
    done = playbooks.run_command([sys.executable, "-c", "sum(range(3_000_000)); print('x')"], "a test")
    assert done.code == 0 and done.output == "x\n"
    assert 0 < done.processor_seconds < done.seconds + 5


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        (["-o", "ControlPath=/x/control-10.33.0.11", "10.33.0.12", "/bin/sh -c 'echo 10.33.0.13'"], {"10.33.0.12": 1}),
        (["-b", "-", "-C", "-o", "User=root", "[10.33.0.12]"], {"10.33.0.12": 1}),
        (["-o", "ControlPersist"], {}),
    ],
)
def test_remote_calls_are_counted_by_host(words: list[str], counted: dict[str, int], tmp_path: Path) -> None:
    wrapper = measure.write_wrapper(tmp_path / "ssh", "echo", tmp_path / "a log")
    done = subprocess.run([wrapper, *words], capture_output=True, text=True, check=True)
    assert done.stdout == " ".join(words) + "\n"
    assert measure.calls_in(tmp_path / "a log") == counted


def test_ansible_calls_the_wrappers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that refuses the connection: the call is made all the same."""
    monkeypatch.setattr(playbooks, "LOG", tmp_path / "log")
    with measure.counted_calls() as (variables, log):
        words = ["-i", "127.0.0.1,", "all", "-m", "ansible.builtin.ping", "-e", "ansible_port=1"]
        binary = str(Path(sys.executable).parent / "ansible")
        done = playbooks.run_command([binary, *words], "a test", variables)
        assert "UNREACHABLE" in done.output
        assert measure.calls_in(log)["127.0.0.1"] >= 1


# --- the command line and the results


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(DRILLS, "x", ["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(DRILLS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["no-such"], "no such drill: no-such"), (["variants", "-i", "elsewhere"], "has inventories of its own")],
)
def test_what_the_command_line_refuses(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line.main(DRILLS, "x", words)
    assert expected in capsys.readouterr().err


def some_drills(monkeypatch: pytest.MonkeyPatch) -> dict[str, registry.Drill]:
    monkeypatch.setattr(registry, "DRILLS", {})

    @registry.drill("good", "Good.")
    def good() -> str:
        return "1 s | 2 s\nand more"

    @registry.drill("bad", "Bad.")
    def bad() -> str:
        raise DrillFailed("left", Kind.RESTARTED)

    @registry.drill("broken", "Broken.")
    def broken() -> str:
        raise KeyError("x")

    @registry.drill("asked", "Asked.", on_request="big")
    def asked() -> str:
        return "asked"

    return dict(registry.DRILLS)


def test_results_have_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playbooks, "LOG", tmp_path / "log")
    drills = some_drills(monkeypatch)
    page = tmp_path / "page.md"
    page.write_text(
        "| asked | passed | day | 1 | kept |\n| good | FAILED | day | 1 | older |\n| gone | passed | d | 1 | x |\n"
    )
    words = ["--json", str(tmp_path / "out.json"), "--markdown", str(page)]
    assert command_line.main(drills, "x", words) == 1
    found = json.loads((tmp_path / "out.json").read_text())
    kinds = [(one["drill"], one["passed"], one["kind"]) for one in found]
    assert kinds == [("good", True, "passed"), ("bad", False, "restarted"), ("broken", False, "error")]
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == ["| good", "| bad", "| broken", "| asked"]
    assert "1 s \\| 2 s |" in rows[0] and "FAILED (restarted)" in rows[1]


def test_the_page_of_the_docs_has_drills_that_exist() -> None:
    text = (ROOT / "docs" / "drills.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+)(?: \([^)]+\))? \| (?:passed|FAILED)", text, re.MULTILINE)
    assert rows and set(rows) <= set(DRILLS)
    assert "drill" in results.HEADER[0]


# --- the benchmark's pages

BENCH = next(path for path in (ROOT / "tools" / "bench.py", ROOT / "tests" / "bench.py") if path.is_file())


@pytest.fixture(name="bench")
def fixture_bench(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    specification = importlib.util.spec_from_file_location("bench", BENCH)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "bench", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    specification.loader.exec_module(module)

    def some(wall: float, processor: float, ping: float = 0.0) -> t.Callable[[], measure.Measure]:
        calls = {"10.33.0.11": 4, "10.33.0.31": 2}
        return lambda: measure.Measure(wall, processor, calls, {"master1": 9, "node1": 5}, 0, [("Run it", 1.25)], ping)

    for name, made in {
        "full": some(60, 30),
        "quiet": some(12, 7, 3),
        "check": some(13, 7.5, 3),
        "add_node": some(11, 5),
        "join_all": some(200, 50),
        "quiet_on_all": some(60, 13, 27),
        "check_on_all": some(61, 14, 27),
        "floor": lambda: 40.0,
        "version": lambda: "v1.36.3",
    }.items():
        monkeypatch.setattr(module, name, made)
    monkeypatch.setattr(module.scale, "boot", lambda: 20.0)
    monkeypatch.setattr(module.scale, "remove", lambda: None)
    return module


def test_the_benchmark_of_the_seven_machines(bench: t.Any) -> None:
    part = bench.bench_cluster(2, {})
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in part.text.splitlines() if line.startswith("| ")}
    full, quiet = lines["full run (site.yml on fresh machines)"], lines["no-op run (site.yml again)"]
    assert "| 60 s (60 to 60) | 1.5 floors | 30.0 | at most 4, mean 3.0 | at most 9 | 0 |" in full
    assert "| 12 s (12 to 12) | 4.0 pings (3.0 s) | 7.0 |" in quiet
    assert "| Run it | 1.2 |" in part.text
    assert "Tasks per host in the full run: master1 9, node1 5." in part.text
    assert len({line.count("|") for line in lines.values() if line.startswith(("| full", "| no-op", "| what"))}) == 1


def test_the_benchmark_of_thirty_nodes_more(bench: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, out = tmp_path / "benchmark.md", tmp_path / "out.json"
    page.write_text("# Benchmark\n\n## Certificates\n\nkept\n")
    words = ["bench.py", "scale", "--runs", "1", "--json", str(out), "--markdown", str(page)]
    monkeypatch.setattr(sys, "argv", words)
    bench.main()
    assert "per further node in a no-op run: 0.20 s (goal: 0.3 s)" in page.read_text()
    assert "| 60 s | 2.2 pings (27.0 s) | 13.0 |" in page.read_text() and "kept" in page.read_text()
    monkeypatch.setattr(sys, "argv", [*words, "--before", str(out)])
    bench.main()
    text = page.read_text()
    assert "| 60 s (before: 60 s) | 2.2 pings (27.0 s) (before: 2.2 pings (27.0 s)) | 13.0 (before: 13) |" in text
    assert "0.20 s (before: 0.2 s) (goal: 0.3 s)" in text
    assert text.count("## Thirty nodes more") == 1


# --- thirty nodes more


def test_scale_goes_on_where_the_spare_machines_end() -> None:
    assert len(sandbox.SCALE_NODES) == 30
    everyone = list(sandbox.ADDRESSES.values())
    assert len(set(everyone)) == len(everyone) == 7 + 4 + 30
    assert sandbox.VIRTUAL_ADDRESS not in everyone and "10.33.0.1" not in everyone


def test_scale_is_an_inventory() -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-inventory"),
            *("-i", "inventory", "-i", sandbox.SPARE, "-i", sandbox.SCALE),
            "--list",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(done.stdout)
    assert sorted(listed["sandbox_scale"]["hosts"]) == sorted(sandbox.SCALE_NODES)
    assert "sandbox_scale" in listed["kube_node"]["children"]
    hosts = listed["_meta"]["hostvars"]
    assert hosts["node33"]["cluster_kubelet_config"]["maxPods"] == 10
    # What the seven machines have does not change by thirty others.
    assert "maxPods" not in hosts["node2"]["cluster_kubelet_config"]
    assert "cluster_kubelet_arguments" not in hosts["node2"]
    default, lean = hosts["node2"]["cluster_kubelet_config"], hosts["node33"]["cluster_kubelet_config"]
    assert {**default, "maxPods": 10} == lean
