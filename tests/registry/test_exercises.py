"""Twenty exercises through the whole pipeline, from the request to the merge, over the real factory, with
agents whose models are scripts.

Each coder gives three answers: the reference without one sign, which cannot be read; a mutant of it; and the
reference. Which sign and which mutant is drawn with the exercise's name as the seed. Then one more feature
passes its gates and is merged, and its health command finds that it is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mutants import broken, mutant

from pygent_registry.config import parse
from pygent_registry.gateway import Gateway
from pygent_registry.registry import Registry
from pygent_shared.sandbox.run import missing
from pygent_shared.settings import Settings

from .test_orchestration import call

pytestmark = pytest.mark.skipif(bool(missing()), reason=str(missing()))

EXERCISES = Path(__file__).parents[1] / "data" / "exercises"
NAMES = sorted(place.name for place in EXERCISES.iterdir())
PATIENCE = 400
AT_ONCE = 4
"""Workflows; each has a gate or two to wait for."""
INSTALLED = NAMES[0]
"""Its work is built as a wheel too, installed, and tested: of all twenty that would take minutes."""
PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "exercises"
version = "1"

[tool.hatch.build.targets.wheel]
include = ["*.py"]

[tool.ruff.lint]
select = ["E4", "E7", "E9", "F", "I", "B", "UP"]

[tool.mypy]
strict = true
"""
SABOTAGE = """\
def fewest(amount: int, kinds: list[int]) -> list[int]:
    return [1] * amount
"""
EQUIVALENT = {
    # Of rows[0] only the length is asked, and all rows of a board are of one length.
    "life": "line 27: 0 became 1",
}
"""Mutants that no test can stop, as they do what the reference does."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What became of it all.

    Args:
        features: by exercise, where its feature stands in the end.
        attempts: by exercise, what came of each try.
        merged: by exercise, its file in the main branch.
        before: the tree of the main branch when all exercises were over.
        after: the same, after the sabotage.
        left: worktrees, and branches but for those of the features.
    """

    features: dict[str, dict[str, Any]]
    attempts: dict[str, list[dict[str, Any]]]
    merged: dict[str, str]
    sabotaged: dict[str, Any]
    before: str
    after: str
    left: list[str]


def source(name: str, file: str = "solution.py") -> str:
    return (EXERCISES / name / file).read_text(encoding="utf-8")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    told = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return told.stdout.strip()


def writes(path: str, text: str) -> list[Any]:
    """What a coder says that writes a file."""
    asked = {"name": "workspace__write", "arguments": {"path": path, "text": text}}
    return [{"tool_calls": [asked]}, f"{path} is written."]


async def agent(client: Client, folder: Path, name: str, script: Any, tools: list[str]) -> None:
    """A deployed agent whose model is a script."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(script))
    await call(client, "factory__create_agent", name=name, model=f"scripted:{path}", tools=tools)
    await call(client, "factory__deploy_agent", name=name)


async def coder(client: Client, folder: Path, name: str) -> None:
    text, path = source(name), f"{name}.py"
    script = {
        "invalid-syntax": writes(path, mutant(text, name).source),
        " is red": writes(path, text),
        "": writes(path, broken(text, name)),
    }
    await agent(client, folder, f"coder-{name}", script, ["workspace__write"])


def exercise(name: str, repository: Path) -> dict[str, Any]:
    """The feature that is asked for."""
    folder, tests = EXERCISES / name, repository.parent / "tests" / name
    tests.mkdir(parents=True)
    (tests / f"test_{name}.py").write_text(source(name, f"test_{name}.py"))
    statement = source(name, "statement.md").removeprefix("# ")
    task = f"---\nid: {name}\n---\n\n## Goal\n\nWrite {name}.py.\n\n## Context\n\n{statement}"
    return {
        "request": f"The exercise {name}.",
        "repository": str(repository),
        "tasks": [task],
        "coder": f"coder-{name}",
        "policy": {
            "tests": str(tests),
            "expected": source(name, f"test_{name}.py").count("\ndef test_"),
            "holdout": str(folder / "holdout.py"),
            "paths": [f"{name}.py"],
            "integration": ["python", "-c", f"import {name}"],
            "deployment": name == INSTALLED,
        },
        "health": [sys.executable, "-c", f"import {name}"],
        "approvals": [],
    }


def sabotage(repository: Path) -> dict[str, Any]:
    """A feature that passes what is asked of it, and breaks what was there."""
    right = "from coins import fewest; assert fewest(5, [1, 5]) == [5], 'a coin too many'"
    return {
        "request": "Let coins.py be shorter.",
        "repository": str(repository),
        "tasks": ['---\nid: shorter\npaths: ["coins.py"]\n---\n\n## Goal\n\nLet coins.py be shorter.'],
        "coder": "saboteur",
        "health": [sys.executable, "-c", right],
        "approvals": [],
    }


async def ended(client: Client, feature: str) -> dict[str, Any]:
    """A feature once it is over."""
    with anyio.fail_after(PATIENCE):
        while True:
            told = await call(client, "orchestration__feature_status", feature=feature, wait_s=30)
            if told["state"] in ("COMPLETED", "FAILED"):
                return told


async def tried(client: Client, feature: str) -> list[dict[str, Any]]:
    """What came of each attempt at a feature's only task."""
    read = await client.read_resource(f"feature://{feature}/events")
    events = [json.loads(line) for line in getattr(read.contents[0], "text", "").splitlines()]
    [result] = [event["data"]["result"] for event in events if "result" in event["data"]]
    attempts: list[dict[str, Any]] = result["attempts"]
    return attempts


async def played(folder: Path) -> Story:
    """The whole of it, in a folder."""
    repository = folder / "repository"
    repository.mkdir()
    (repository / "pyproject.toml").write_text(PYPROJECT)
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "Nothing yet")
    settings = Settings(data_dir=folder / "data", embedder="none", workflow_workers=AT_ONCE)
    servers = {"factory": {"server": "factory"}, "orchestration": {"server": "orchestration"}}
    async with Client(Gateway(Registry(parse({"mcpServers": servers}), settings))) as client:
        good = json.dumps({"approved": True, "summary": "As it was asked.", "findings": []})
        await agent(client, folder, "reviewer", [good], ["workspace__read"])
        begun = {}
        for name in NAMES:
            await coder(client, folder, name)
            told = await call(client, "orchestration__submit_feature", **exercise(name, repository))
            begun[name] = told["feature"]
        features = {name: await ended(client, feature) for name, feature in begun.items()}
        attempts = {name: await tried(client, feature) for name, feature in begun.items()}
        there = git(repository, "ls-tree", "--name-only", "main").splitlines()
        merged = {Path(file).stem: git(repository, "show", f"main:{file}") + "\n" for file in there}
        before = git(repository, "rev-parse", "main^{tree}")
        await agent(client, folder, "saboteur", writes("coins.py", SABOTAGE), ["workspace__write"])
        told = await call(client, "orchestration__submit_feature", **sabotage(repository))
        sabotaged = await ended(client, told["feature"])
    branches = git(repository, "branch", "--format=%(refname:short)").splitlines()
    return Story(
        features=features,
        attempts=attempts,
        merged=merged,
        sabotaged=sabotaged,
        before=before,
        after=git(repository, "rev-parse", "main^{tree}"),
        left=[
            *git(repository, "worktree", "list").splitlines()[1:],
            *(name for name in branches if name != "main" and not name.startswith("feature/")),
        ],
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return anyio.run(played, tmp_path_factory.mktemp("exercises"))


def red(attempt: dict[str, Any]) -> list[str]:
    """The gates that stopped an attempt."""
    return [gate["name"] for gate in attempt["verdict"]["gates"] if not gate["green"]]


def test_all_twenty_are_merged_with_every_gate_green(story: Story) -> None:
    assert len(NAMES) == 20
    states = {name: (told["state"], told["error"]) for name, told in story.features.items()}
    assert states == dict.fromkeys(NAMES, ("COMPLETED", ""))
    for name in NAMES:
        last = story.attempts[name][-1]["verdict"]["gates"]
        asked = ["paths", "lint", "types", "tests", "held-out cases", "integration"]
        assert [gate["name"] for gate in last] == asked + ["deployment"] * (name == INSTALLED)
        assert all(gate["green"] for gate in last)


def test_what_is_merged_is_the_reference_unless_a_mutant_does_the_same(story: Story) -> None:
    for name in NAMES:
        made = mutant(source(name), name).source if name in EQUIVALENT else source(name)
        assert story.merged[name] == made


def test_every_text_that_cannot_be_read_is_stopped(story: Story) -> None:
    stopped = {name: red(tried[0]) for name, tried in story.attempts.items()}
    assert stopped == {name: ["lint", "types"] for name in NAMES}


def test_mutants_are_stopped_unless_they_do_what_the_reference_does(story: Story) -> None:
    stopped = {name for name, tried in story.attempts.items() if red(tried[1])}
    assert len(stopped) >= 18
    assert set(NAMES) - stopped == EQUIVALENT.keys()
    for name, change in EQUIVALENT.items():
        assert mutant(source(name), name).change == change


def test_after_a_sabotage_the_files_are_those_of_before(story: Story) -> None:
    assert story.sabotaged["state"] == "FAILED"
    assert story.sabotaged["deployed"]["state"] == "rolled_back"
    assert "a coin too many" in story.sabotaged["error"]
    assert story.after == story.before == story.sabotaged["deployed"]["tree"]


def test_no_worktree_and_no_branch_of_a_task_is_left(story: Story) -> None:
    assert story.left == []
