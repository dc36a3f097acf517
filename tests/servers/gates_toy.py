"""A repository with one task: `add` of sums.py is to add. Its tests, a holdout, and work on it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from pygent_orchestration.coding.gates import Policy, Verdict, check

RIGHT = "def add(one: int, other: int) -> int:\n    return one + other\n"
WRONG = "def add(one: int, other: int) -> int:\n    return 0\n"
TESTS = """\
import pytest
from sums import add


def test_of_two_numbers():
    assert add(2, 3) == 5


@pytest.mark.parametrize("one", [-1, 7])
def test_of_a_number_and_one(one):
    assert add(one, 1) == one + 1
"""
COUNT = 3
HOLDOUT = """\
def cases(random):
    for _ in range(10):
        one, other = random.randrange(1000), random.randrange(1000)
        yield "sums:add", [one, other], one + other
"""
PYPROJECT = '[tool.mypy]\nstrict = true\n\n[tool.ruff.lint]\nselect = ["E", "F"]\n'


def git(folder: Path, *words: str) -> str:
    """What git says there."""
    who = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    told = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return told.stdout.strip()


class Toy:
    """A worktree, and beside it what it may not touch."""

    def __init__(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        self.worktree, self.tests, self.holdout = folder / "work", folder / "trusted", folder / "holdout.py"
        self.worktree.mkdir()
        self.tests.mkdir()
        (self.tests / "test_sums.py").write_text(TESTS)
        self.holdout.write_text(HOLDOUT)
        git(self.worktree, "init", "-q", "-b", "main")
        begun = {"sums.py": "", "pyproject.toml": PYPROJECT, "test_sums.py": TESTS, **(files or {})}
        self.base = self.commit(begun)

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit these files; a text that begins with "-> " is a link."""
        for name, text in files.items():
            place = self.worktree / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                place.unlink(missing_ok=True)
                place.symlink_to(text[3:])
            else:
                place.write_text(text)
        git(self.worktree, "add", "--all")
        git(self.worktree, "commit", "-qm", "Work", "--allow-empty")
        return git(self.worktree, "rev-parse", "HEAD")

    def policy(self, **other: object) -> Policy:
        """All that the gates can demand of it."""
        asked = {
            "tests": self.tests,
            "expected": COUNT,
            "paths": ["sums.py"],
            "holdout": self.holdout,
            "seconds": 30,
        }
        return Policy.model_validate(asked | other)

    async def judged(self, files: Mapping[str, str], **other: object) -> Verdict:
        """What the gates say of work that is these files."""
        git(self.worktree, "reset", "-q", "--hard", self.base)
        self.commit(files)
        return await check(self.worktree, self.base, self.policy(**other))


def red(verdict: Verdict) -> dict[str, str]:
    """Why, for each gate that is red."""
    return {gate.name: gate.why for gate in verdict.gates if not gate.green}
