"""Which files a task may touch: pure, over what git says was changed.

The one rule: what steers a tool, Python or git is not part of any glob. It is touched only where it is named
whole, and never read from the work that is judged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import PurePosixPath

from pygent_orchestration.coding.gates.tree import GONE, LINK, REPOSITORY, Change

UNASKED = ("sitecustomize.py", "usercustomize.py", "*.pth")
"""What Python runs unasked."""
STEERING = (
    *UNASKED,
    *"conftest.py pytest.ini .pytest.ini pytest.toml .pytest.toml tox.ini .coveragerc".split(),
    *"pyproject.toml setup.cfg setup.py hatch.toml hatch_build.py uv.toml .python-version".split(),
    *"ruff.toml .ruff.toml mypy.ini .mypy.ini .pre-commit-config.yaml".split(),
    *"__pycache__ *.pyc *.so *.pyd *.egg-link *.egg-info *.dist-info pyvenv.cfg".split(),
    *".git .gitattributes .gitmodules .gitignore .github .gitlab-ci.yml .ci".split(),
)
"""Names of files and folders, as globs."""
TOOLS = "pytest _pytest pluggy iniconfig packaging coverage pytest_cov ruff mypy py pip hatchling".split()
NOT_TO_HIDE = (sys.stdlib_module_names | set(TOOLS)) - {"test"}


def refused(
    changes: Iterable[Change], allowed: Sequence[str], *, sources: str, tests: Iterable[str]
) -> Iterator[str]:
    """Why each file that may not be touched may not.

    Args:
        changes: what was touched.
        allowed: globs, of the repository's root.
        sources: the folder on the path of Python.
        tests: the names of the tests that decide.
    """
    decides = frozenset(tests)
    for change in changes:
        if why := _refused(change, allowed, sources, decides):
            yield f"{change.path}: {why}"


def _refused(change: Change, allowed: Sequence[str], sources: str, tests: frozenset[str]) -> str:
    path = change.path
    name = PurePosixPath(path).name
    if change.mode == LINK:
        return "it is a link; write the file itself"
    if change.mode == REPOSITORY:
        return "it is a repository within the repository"
    if path in allowed:
        return ""
    if not any(_glob(pattern).fullmatch(path) for pattern in allowed):
        return f"the task may touch only {', '.join(allowed)}"
    if name in tests:
        return "it is named as a test that decides, and is not the coder's"
    if any(_glob(steers).fullmatch(part) for steers in STEERING for part in path.split("/")):
        return "it steers tools, and the task does not name it"
    if change.mode != GONE and (module := hidden(path, sources)):
        return f"it would hide Python's or a tool's own module {module}"
    return ""


def steers_python(path: str) -> bool:
    """Whether Python runs a file of that name unasked, wherever it is installed."""
    return any(_glob(name).fullmatch(PurePosixPath(path).name) for name in UNASKED)


def hidden(path: str, sources: str) -> str:
    """The module that a file would be taken for instead of; empty where there is none."""
    place = PurePosixPath(path)
    for root in {sources, "."}:
        if place.suffix in (".py", ".pyi") and place.is_relative_to(root):
            inside = place.relative_to(root).with_suffix("")
            module = inside.parent if inside.name == "__init__" else inside
            if str(module) in NOT_TO_HIDE:
                return str(module)
    return ""


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """`**` for any path, `*` and `?` within a folder."""
    words = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    means = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(means.get(word, re.escape(word)) for word in words), re.DOTALL)
