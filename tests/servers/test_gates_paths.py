"""Which files a task may touch."""

from __future__ import annotations

import pytest

from pygent_orchestration.coding.gates.paths import refused
from pygent_orchestration.coding.gates.tree import GONE, LINK, REPOSITORY, Change

FILE = "100644"


def bad(*changed: str, allowed: tuple[str, ...] = ("**",), sources: str = ".", mode: str = FILE) -> list[str]:
    changes = [Change(path=path, mode=mode) for path in changed]
    lines = refused(changes, allowed, sources=sources, tests=["test_sums.py", "helper.py"])
    return [line.partition(":")[0] for line in lines]


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("src/*.py", "src/sums.py", True),
        ("src/*.py", "src/deep/sums.py", False),
        ("src/**", "src/deep/sums.py", True),
        ("src/**/*.py", "src/sums.py", True),
        ("src/**/*.py", "src/a/b/sums.py", True),
        ("**/sums.py", "sums.py", True),
        ("s?ms.py", "sums.py", True),
        ("s?ms.py", "s/ms.py", False),
        ("./sums.py", "sums.py", True),
        ("sums.py", "sumsxpy", False),
        ("src/*", "src2/sums.py", False),
    ],
)
def test_a_star_stays_in_a_folder_and_two_do_not(glob: str, path: str, fits: bool) -> None:
    assert (bad(path, allowed=(glob,)) == []) is fits


@pytest.mark.parametrize(
    "path",
    [
        *(
            "conftest.py",
            "deep/conftest.py",
            "pyproject.toml",
            "setup.py",
            "pytest.ini",
            "mypy.ini",
            "ruff.toml",
        ),
        *(
            "sitecustomize.py",
            "x.pth",
            ".github/workflows/ci.yml",
            ".gitattributes",
            "fast.so",
            "x.egg-info/a",
        ),
    ],
)
def test_what_steers_tools_is_in_no_glob_and_may_be_named(path: str) -> None:
    assert bad(path) == [path]
    assert bad(path, allowed=("src/**", path)) == []


def test_what_is_named_as_a_trusted_test_or_what_it_imports_is_not_touched() -> None:
    assert bad("tests/test_sums.py", "helper.py", "test_other.py") == ["tests/test_sums.py", "helper.py"]


def test_links_and_repositories_are_refused_even_where_they_are_named() -> None:
    assert bad("sums.py", allowed=("sums.py",), mode=LINK) == ["sums.py"]
    assert bad("vendor", allowed=("vendor",), mode=REPOSITORY) == ["vendor"]


def test_what_would_hide_a_module_of_pythons_is_refused_where_it_would() -> None:
    hides = ["json.py", "src/re/__init__.py", "src/pytest.pyi"]
    assert bad(*hides, "own/json.py", "json/x.py", "test/__init__.py", sources="src") == hides
    assert bad("json.py", mode=GONE) == []


def test_nothing_touched_is_nothing_refused() -> None:
    assert bad() == []
