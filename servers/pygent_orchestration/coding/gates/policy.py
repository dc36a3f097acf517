"""What the gates are to demand of a task's work. It is the task's giver's, never the coder's."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Policy(BaseModel):
    """Goes through JSON: `policy.model_dump(mode="json")` and `Policy.model_validate(…)`.

    What is None is as the repository has it, at the commit the work began with (`tool.pygent.gates` and the
    tools' own tables of its pyproject.toml).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tests: Path | None = None
    """A folder outside the worktree with the tests that decide. It is copied for each check."""
    expected: int | None = Field(default=None, ge=1)
    """How many tests there are in it, each parameter set counted; None: as many as are collected from it."""
    paths: list[str] = ["**"]
    """The files that the task may add, change or remove, as globs of the repository's root: `*` stays in a
    folder, `**` does not. What steers tools (pyproject.toml, conftest.py, …) only by its whole name."""
    sources: str = "."
    """The folder that is put on the path of Python: "." or "src"."""
    integration: list[str] = []
    """A command, run in a copy of the work; red unless it exits with 0."""
    holdout: Path | None = None
    """A Python file outside the worktree that makes cases the coder never sees (its shape: `holdout.py`)."""
    lint: bool | None = None
    types: bool | None = None
    coverage: bool | None = None
    deployment: bool | None = None
    seconds: float = Field(default=120.0, gt=0)
    """That each gate may take."""
