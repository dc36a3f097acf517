"""What work must pass before it is merged."""

from __future__ import annotations

import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import anyio
import pytest
from gates_toy import COUNT, PYPROJECT, RIGHT, TESTS, WRONG, Toy, git, red

from pygent_orchestration.coding.gates import Policy, Verdict, check
from pygent_orchestration.coding.gates.linted import linted
from pygent_shared.errors import ConfigInvalid, FileRefused, MissingExtra, SandboxMissing
from pygent_shared.sandbox import run as sandbox
from pygent_shared.sandbox.landlock import lacking
from pygent_shared.sandbox.run import missing

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason=str(missing())),
]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


WHEEL = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "sums"
version = "1"
dependencies = ["anyio>=4"]

[tool.hatch.build.targets.wheel]
include = ["sums.py", "*.pth"]

[tool.pygent.gates]
deployment = true
"""


# What is judged.


async def test_a_policy_and_a_verdict_go_through_json(toy: Toy) -> None:
    policy = toy.policy(integration=["true"])
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy
    verdict = await toy.judged({"sums.py": WRONG}, types=False)
    again = Verdict.model_validate(verdict.model_dump(mode="json"))
    assert (again, again.green) == (verdict, False)


async def test_what_is_committed_is_judged_and_nothing_else(toy: Toy) -> None:
    commit = toy.commit({"sums.py": WRONG})
    (toy.worktree / "sums.py").write_text(RIGHT)
    (toy.worktree / "conftest.py").write_text("raise SystemExit")
    verdict = await check(toy.worktree, toy.base, toy.policy(types=False))
    assert verdict.commit == commit
    assert set(red(verdict)) == {"tests", "held-out cases"}
    assert git(toy.worktree, "status", "--porcelain").split() == ["M", "sums.py", "??", "conftest.py"]


async def test_no_attribute_of_the_repository_changes_what_is_read(toy: Toy) -> None:
    ident = f'{RIGHT}\n\nWHO = "$Id$"\n'
    attributes = "*.py ident export-subst working-tree-encoding=UTF-16\n"
    toy.base = toy.commit({".gitattributes": "*.py ident\n"})
    git(toy.worktree, "config", "filter.evil.smudge", "echo evil")
    has = {
        "sums.py": ident,
        ".gitattributes": attributes.replace("working-tree-encoding=UTF-16", "filter=evil"),
    }
    command = ["python", "-c", "import sums; assert sums.WHO == '$' + 'Id$', sums.WHO"]
    verdict = await toy.judged(has, paths=list(has), integration=command)
    assert verdict.green, verdict.feedback()


async def test_a_commit_or_a_worktree_that_is_not_there_is_named(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be judged"):
        await check(toy.worktree, "no-such-branch", toy.policy())
    with pytest.raises(FileRefused, match="Give a worktree"):
        await check(tmp_path, "HEAD", toy.policy())


async def test_what_it_says_names_no_folder_of_this_machine(toy: Toy) -> None:
    wrong = f"import os\n\nundefined\n{WRONG}"
    feedback = (await toy.judged({"sums.py": wrong})).feedback()
    feedback += (await toy.judged({"sums.py": WRONG})).feedback()
    assert "sums.py:3:1: F821" in feedback
    assert "assert 0 == 5" in feedback
    assert "/pygent-gates-" not in feedback


# Levels.


async def test_a_red_level_stops_those_after_it(toy: Toy) -> None:
    verdict = await toy.judged({"sums.py": "def add(:\n"}, integration=["true"])
    assert [(gate.level, gate.name, gate.green) for gate in verdict.gates] == [
        (0, "paths", True),
        (1, "lint", False),
        (1, "types", False),
    ]


async def test_green_levels_are_all_asked(toy: Toy) -> None:
    verdict = await toy.judged({"sums.py": RIGHT}, integration=["true"])
    assert [gate.level for gate in verdict.gates] == [0, 1, 1, 2, 2, 3]
    assert (verdict.green, verdict.feedback()) == (True, "")


async def test_which_gates_there_are_is_the_repositorys_where_the_policy_is_silent(tmp_path: Path) -> None:
    table = "[tool.pygent.gates]\nlint = false\ntypes = true\nintegration = ['python', '-c', 'import sums']\n"
    toy = Toy(tmp_path, {"pyproject.toml": table})
    verdict = await toy.judged({"sums.py": RIGHT}, holdout=None)
    assert [gate.name for gate in verdict.gates] == ["paths", "types", "tests", "integration"]
    verdict = await toy.judged({"sums.py": RIGHT}, holdout=None, lint=True, types=False, tests=None)
    assert [gate.name for gate in verdict.gates] == ["paths", "lint", "integration"]


async def test_a_table_of_gates_that_says_what_there_is_not_is_the_repositorys_error(tmp_path: Path) -> None:
    toy = Toy(tmp_path, {"pyproject.toml": "[tool.pygent.gates]\ntipes = true\n"})
    with pytest.raises(ConfigInvalid, match=r"tool\.pygent\.gates\.tipes.*It takes: lint, types"):
        await toy.judged({"sums.py": RIGHT})


async def test_a_tool_that_is_not_installed_is_named_and_nothing_is_green(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[linted.__module__], "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pygent-factory\[gates\]"):
        await toy.judged({"sums.py": RIGHT})


@pytest.mark.skipif(bool(lacking()), reason=str(lacking()))
async def test_without_bubblewrap_landlock_serves_for_all_but_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "chosen", lambda: "landlock")
    toy = Toy(tmp_path, {"pyproject.toml": WHEEL.replace("deployment = true", "integration = ['true']")})
    assert (await toy.judged({"sums.py": RIGHT}, coverage=True)).green
    assert set(red(await toy.judged({"sums.py": WRONG}))) == {"tests", "held-out cases"}
    with pytest.raises(SandboxMissing, match="Install bubblewrap"):
        await toy.judged({"sums.py": RIGHT}, deployment=True)


# Lint and types.


async def test_only_what_the_work_touched_is_linted(tmp_path: Path) -> None:
    toy = Toy(tmp_path, {"old.py": "undefined_before\n"})
    assert (await toy.judged({"sums.py": RIGHT}, types=False)).green


async def test_checks_at_once_share_what_is_known_of_types_or_do_without(tmp_path: Path) -> None:
    toy = Toy(tmp_path, {"pyproject.toml": f"{PYPROJECT}# its own\n"})
    toy.commit({"sums.py": RIGHT.replace("one + other", "str(one)")})
    found: list[Verdict] = []

    async def judge() -> None:
        found.append(await check(toy.worktree, toy.base, toy.policy(lint=False)))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(judge)
    assert [red(verdict) for verdict in found] == [{"types": "mypy finds errors"}] * 3


async def test_types_are_those_of_all_files_where_mypys_config_names_them(tmp_path: Path) -> None:
    uses = "from sums import add\n\nprint(add(1, 2))\n"
    rules = PYPROJECT.replace("strict = true", "strict = true\nfiles = ['uses.py', 'sums.py']")
    toy = Toy(tmp_path, {"uses.py": uses, "sums.py": RIGHT, "pyproject.toml": rules})
    changed = RIGHT.replace("other: int", "other: str").replace("one + other", "one + int(other)")
    verdict = await toy.judged({"sums.py": changed})
    assert set(red(verdict)) == {"types"}
    assert verdict.gates[-1].output.startswith("uses.py:3: error: ")


async def test_the_examples_of_the_docs_hold(tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
    toml, cases = (docs.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("toml", "python"))
    toy = Toy(tmp_path, {"pyproject.toml": toml})
    toy.holdout.write_text(cases)
    verdict = await toy.judged({"sums.py": RIGHT})
    assert verdict.green, verdict.feedback()
    names = ["paths", "lint", "types", "tests", "held-out cases", "integration"]
    assert [gate.name for gate in verdict.gates] == names
    assert all(f"`{name}`" in docs for name in names)


# Tests.


async def test_tests_that_are_more_or_fewer_than_expected_are_red(toy: Toy) -> None:
    verdict = await toy.judged({"sums.py": RIGHT}, expected=COUNT + 1, types=False, holdout=None)
    assert red(verdict) == {"tests": f"{COUNT} tests ran, and there are {COUNT + 1}"}
    assert (await toy.judged({"sums.py": RIGHT}, expected=None, types=False, holdout=None)).green


async def test_a_skipped_test_is_red(toy: Toy) -> None:
    (toy.tests / "test_sums.py").write_text(f"{TESTS}\n\ndef test_not():\n    pytest.skip('no')\n")
    verdict = await toy.judged({"sums.py": RIGHT}, expected=COUNT + 1, types=False, holdout=None)
    assert red(verdict) == {"tests": "1 tests were skipped: test_not"}


async def test_work_that_has_the_tests_skipped_as_a_whole_is_red(toy: Toy) -> None:
    skips = "import pytest\n\npytest.skip('all', allow_module_level=True)\n"
    verdict = await toy.judged({"sums.py": skips}, expected=None, types=False, lint=False, holdout=None)
    assert set(red(verdict)) == {"tests"}


async def test_work_that_cannot_be_imported_is_red_with_the_reason(toy: Toy) -> None:
    verdict = await toy.judged({"sums.py": "import nowhere_at_all\n"}, lint=False, types=False, holdout=None)
    assert red(verdict)["tests"].startswith("1 of 1 tests failed")
    assert "No module named 'nowhere_at_all'" in verdict.feedback()


async def test_work_that_hangs_is_ended_and_says_where(toy: Toy) -> None:
    hangs = "def add(one: int, other: int) -> int:\n    while True:\n        pass\n"
    verdict = await toy.judged({"sums.py": hangs}, types=False, holdout=None, seconds=5)
    assert red(verdict) == {"tests": "it took more than 5 s"}
    assert 'File "sums.py", line ' in verdict.feedback()


HONEST = """\
import asyncio
import subprocess
import sys
import time
import unittest
from unittest import mock

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sums import add


@given(some.integers(), some.integers())
def test_any(one, other):
    assert add(one, other) == one + other


def test_patched(monkeypatch, tmp_path, capsys, caplog, recwarn):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with mock.patch("subprocess.run", return_value=3):
        assert subprocess.run([]) == 3
    with pytest.raises(SystemExit):
        sys.exit(1)


def test_program():
    told = subprocess.run([sys.executable, "-c", "import sums; print(sums.add(1, 1))"], capture_output=True)
    assert told.stdout == b"2\\n"


class Sums(unittest.TestCase):
    def test_later(self):
        async def later():
            await asyncio.sleep(0)
            return add(1, 2)

        self.assertEqual(asyncio.run(later()), 3)
"""


async def test_honest_tests_may_do_what_tests_do(toy: Toy) -> None:
    (toy.tests / "test_sums.py").write_text(HONEST)
    verdict = await toy.judged({"sums.py": RIGHT}, expected=4, types=False, holdout=None)
    assert verdict.green, verdict.feedback()


async def test_a_helper_beside_the_trusted_tests_is_imported_from_there(toy: Toy) -> None:
    (toy.tests / "numbers_of.py").write_text("FIVE = 5\n")
    (toy.tests / "test_sums.py").write_text("from numbers_of import FIVE\nfrom sums import add\n\n\n")
    with (toy.tests / "test_sums.py").open("a") as tests:
        tests.write("def test_five():\n    assert add(2, 3) == FIVE\n")
    verdict = await toy.judged({"sums.py": RIGHT}, expected=1, types=False, holdout=None)
    assert verdict.green, verdict.feedback()


async def test_trusted_tests_that_are_a_package_keep_no_package_from_the_work(toy: Toy) -> None:
    (toy.tests / "__init__.py").touch()
    asked = {"paths": ["**"], "types": False, "holdout": None}
    verdict = await toy.judged({"sums/__init__.py": RIGHT, "sums.py": ""}, **asked)
    assert verdict.green, verdict.feedback()


async def test_tests_that_are_not_there_or_no_python_are_the_givers_error(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="is no folder of tests"):
        await toy.judged({"sums.py": RIGHT}, tests=tmp_path / "none", types=False)
    (toy.tests / "test_more.py").write_text("def (")
    with pytest.raises(FileRefused, match="cannot be taken for tests"):
        await toy.judged({"sums.py": RIGHT}, types=False)


async def test_sources_may_lie_in_src(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    asked = {"paths": ["src/**"], "sources": "src"}
    verdict = await toy.judged({"src/sums.py": RIGHT}, **asked)
    assert verdict.green, verdict.feedback()


@pytest.mark.parametrize(("least", "green"), [(50, True), (90, False)])
async def test_coverage_must_be_what_the_repository_says(tmp_path: Path, least: int, green: bool) -> None:
    toy = Toy(
        tmp_path,
        {"pyproject.toml": f"[tool.coverage.report]\nfail_under = {least}\ninclude = ['*/sums.py']\n"},
    )
    lonely = f"{RIGHT}\n\ndef unused() -> int:\n    return 1\n"
    verdict = await toy.judged({"sums.py": lonely}, holdout=None)
    assert verdict.green is green, verdict.feedback()
    assert "75%" in verdict.gates[-1].output


async def test_the_repositorys_own_environment_runs_the_work(toy: Toy) -> None:
    made = toy.worktree / ".venv"
    venv.create(made, symlinks=True)
    (packages,) = made.glob("lib/python3*/site-packages")
    (packages / "only_here").mkdir()
    (packages / "only_here" / "__init__.py").write_text("ONE = 1\n")
    (packages / "only_here" / "py.typed").touch()
    work = "from only_here import ONE\n\n\n" + RIGHT.replace("one + other", "ONE * one + other")
    (toy.worktree / ".git" / "info" / "exclude").write_text(".venv\n")
    with pytest.raises(FileRefused, match=r"has no pytest.*-m pip install pytest"):
        await toy.judged({"sums.py": work}, types=False)
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py"):
        spec = find_spec(name)
        assert spec is not None
        found = Path(str(spec.origin))
        place = found if found.name != "__init__.py" else found.parent
        (packages / place.name).symlink_to(place)
    verdict = await toy.judged({"sums.py": work})
    assert verdict.green, verdict.feedback()


# Integration.


async def test_an_integration_command_may_write_and_changes_nothing(toy: Toy) -> None:
    command = ["sh", "-c", "echo spoilt > sums.py && cat sums.py"]
    verdict = await toy.judged({"sums.py": RIGHT}, integration=command, types=False)
    assert (verdict.green, verdict.gates[-1].output) == (True, "spoilt\n")
    assert (toy.worktree / "sums.py").read_text() == RIGHT


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["python", "-c", "import sums; raise SystemExit(sums.add(1, 2))"], "exits with 3"),
        (["no-such-program"], 'there is no program "no-such-program"'),
        (["sleep", "60"], "it took more than 2 s"),
    ],
)
async def test_an_integration_command_that_ends_badly_is_red(toy: Toy, command: list[str], why: str) -> None:
    asked = {"tests": None, "holdout": None, "types": False, "lint": False, "seconds": 2}
    verdict = await toy.judged({"sums.py": RIGHT}, integration=command, **asked)
    assert red(verdict)["integration"].endswith(why)


# Deployment.


async def test_what_is_declared_is_beside_the_wheel_and_nothing_else_is(tmp_path: Path) -> None:
    toy = Toy(tmp_path, {"pyproject.toml": WHEEL.replace("true", "true\nlint = false")})
    verdict = await toy.judged({"sums.py": f"import anyio\n\nassert anyio\n\n\n{RIGHT}"}, holdout=None)
    assert verdict.green, verdict.feedback()
    assert verdict.gates[-1].name == "deployment"
    verdict = await toy.judged({"sums.py": f"import pydantic\n\nassert pydantic\n\n\n{RIGHT}"}, holdout=None)
    assert set(red(verdict)) == {"deployment"}
    assert "No module named 'pydantic'" in verdict.feedback()


@pytest.mark.parametrize(
    ("changed", "why", "said"),
    [
        ({"pyproject.toml": WHEEL.replace("anyio>=4", "anyio>=99")}, "cannot be installed", '"anyio>=99"'),
        ({"pyproject.toml": "[project]\n"}, "no wheel can be built", "error"),
        ({"first.pth": "import sums\n"}, "what must not be installed", "first.pth"),
    ],
)
async def test_what_cannot_be_deployed_is_red(
    tmp_path: Path, changed: dict[str, str], why: str, said: str
) -> None:
    toy = Toy(tmp_path, {"pyproject.toml": WHEEL, "sums.py": RIGHT})
    asked = {"tests": None, "holdout": None, "types": False, "lint": False}
    verdict = await toy.judged(changed, paths=list(changed), deployment=True, **asked)
    assert why in red(verdict)["deployment"]
    assert said in verdict.feedback()
