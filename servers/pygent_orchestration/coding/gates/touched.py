"""L0: which files the work touches, and whether it takes one out of the checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pygent_orchestration.coding.gates import paths, tree
from pygent_orchestration.coding.gates.bench import Bench
from pygent_orchestration.coding.gates.policy import Policy

WHOLE_FILE = re.compile(
    r"^[ \t]*#[ \t]*(ruff[ \t]*:[ \t]*(?:file-ignore|disable|noqa)|flake8[ \t]*[:=][ \t]*noqa|mypy[ \t]*:"
    r"|type[ \t]*:[ \t]*ignore)",
    re.IGNORECASE | re.MULTILINE,
)
"""Comments that switch a check off for more than their own line."""


def touched(
    worktree: Path, base: str, changes: Sequence[tree.Change], bench: Bench, policy: Policy
) -> tuple[str, str]:
    """Why the work may not touch what it does, empty where it may; and for each file."""
    trusted = policy.tests.rglob("*.py") if policy.tests else ()
    tests = {place.name for place in trusted} - {"__init__.py"}
    if bad := list(paths.refused(changes, policy.paths, sources=policy.sources, tests=tests)):
        return "the work touches files that are not its own", "\n".join(bad)
    if silent := list(_silenced(worktree, base, changes, bench.tree)):
        return "the work takes files out of the checks", "\n".join(silent)
    return "", ""


def _silenced(worktree: Path, base: str, changes: Sequence[tree.Change], folder: Path) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for change in changes:
        if change.is_code and change.mode != tree.GONE:
            found[change.path] = WHOLE_FILE.findall((folder / change.path).read_text(errors="replace"))
    before = tree.texts(worktree, base, [path for path, said in found.items() if said])
    for path, said in found.items():
        if len(said) > len(WHOLE_FILE.findall(before.get(path, ""))):
            yield f"{path}: # {said[-1]} …"
