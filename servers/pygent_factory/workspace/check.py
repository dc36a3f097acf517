"""What the repository's own tools say of the code: ruff, mypy and pytest, as one result."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from pathlib import Path
from typing import Any

from pygent_factory.workspace import files
from pygent_factory.workspace.commands import python, ran
from pygent_factory.workspace.git import Worktree
from pygent_shared.errors import PygentError
from pygent_shared.sandbox.run import Ended

EACH_S = 300.0
"""Seconds that each of them may take."""
_NO_TESTS = 5
_INSTALLED = """
import importlib.util as u
print(*[name for name in ("ruff", "mypy", "pytest", "pytest_cov") if u.find_spec(name)])
"""
_RUFF = ("ruff.toml", ".ruff.toml")
_MYPY = ("mypy.ini", ".mypy.ini")
_ERRORS_ONLY = ("--select", "E9,F63,F7,F82")
"""What breaks when it is run: of a repository that has not chosen rules of its own."""


async def check(worktree: Worktree, tests: list[str]) -> str:
    """Run those that are installed, on everything; pytest on `tests` only, where there are any.

    Raises:
        SandboxMissing: this machine cannot give the sandbox.
    """
    runs = str(python(worktree))
    installed = (await ran(worktree, [runs, "-c", _INSTALLED], 60)).output.split()
    told = []
    for name, words in _tools(worktree.folder, installed, tests):
        if name not in installed:
            told.append(f"{name}: not installed, left out")
        elif words is None:
            told.append(f"{name}: not configured in this repository, left out")
        else:
            told.append(_said(name, await ran(worktree, [runs, "-m", name, *words], EACH_S, 8_000)))
    return "\n".join(told)


def _tools(folder: Path, installed: list[str], tests: list[str]) -> Iterator[tuple[str, list[str] | None]]:
    ruled = "ruff" in _pyproject(folder) or any(_text(folder, name) for name in _RUFF)
    rules = () if ruled else _ERRORS_ONLY
    yield "ruff", ["check", "--no-cache", "--output-format", "concise", *rules, "."]
    yield "mypy", _mypy(folder)
    covered = ["--cov=.", "--cov-report=term:skip-covered"] if "pytest_cov" in installed else []
    yield "pytest", ["-q", "-p", "no:cacheprovider", *covered, "--", *tests]


def _said(name: str, ended: Ended) -> str:
    if name == "pytest" and ended.code == _NO_TESTS and not ended.killed:
        return "pytest: there are no tests"
    verdict = "passed" if ended.code == 0 and not ended.killed else "FAILED"
    why = f" ({ended.killed})" if ended.killed else ""
    return f"{name}: {verdict}{why}\n{ended.output.strip()}".rstrip()


def _mypy(folder: Path) -> list[str] | None:
    """What it is to look at: what its config says, else everything; None where it has no config."""
    config = _pyproject(folder).get("mypy")
    for name in _MYPY:
        if written := _text(folder, name):
            parser = ConfigParser(interpolation=None)
            with suppress(ConfigError):
                parser.read_string(written)
            config = dict(parser["mypy"]) if parser.has_section("mypy") else {}
    if config is None:
        return None
    named = isinstance(config, dict) and {"files", "packages", "modules"} & config.keys()
    return ["--no-incremental", *(() if named else (".",))]


def _pyproject(folder: Path) -> Mapping[str, Any]:
    """What it says of tools; what cannot be read is for the tools themselves to tell."""
    with suppress(ValueError):
        tools = tomllib.loads(_text(folder, "pyproject.toml")).get("tool")
        return tools if isinstance(tools, dict) else {}
    return {}


def _text(folder: Path, name: str) -> str:
    """A file of the workspace; empty where it is none that can be read."""
    with suppress(PygentError):
        return files.text(folder.resolve(), name, [])
    return ""
