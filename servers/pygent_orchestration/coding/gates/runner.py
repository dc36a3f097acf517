"""Runs tests that are trusted against work that is not, in the sandbox:

    runner.py OUT SECONDS COVERAGE SOURCES TESTS CANARY

pytest, and all that it needs, is imported before the path of Python is given the work; no config, no plugin
and no conftest.py is looked for. The last test is the canary: it must fail, saying a word that only this
process was told, and which functions of Python's and pytest's the work has put others in place of. A report
in which it did not fail, or says less, was not made by pytest.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
from collections.abc import Callable, Iterator
from json import dumps
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

OURS = (
    "builtins os posix sys time _thread threading subprocess random json math io signal socket shutil gc "
    "inspect importlib traceback dataclasses datetime tempfile pathlib unittest unittest.case operator "
    "functools"
).split()
"""Of Python's, those whose functions tests rely on."""
NEARLY = 0.5
"""Of the time there is: when so much is gone, where the work stands is printed."""


class Watch:
    """What the functions of Python and pytest are before the work is there."""

    def __init__(self) -> None:
        for name in OURS:
            __import__(name)
        theirs = ("_pytest", "pluggy", "pytest")
        names = [*OURS, *(name for name in sys.modules if name.split(".")[0] in theirs)]
        self._known = {where: thing for name in names for where, thing in _functions(name, sys.modules[name])}

    def replaced(self) -> list[str]:
        """Those that are others now."""
        now: dict[str, object] = {}
        for name in {where.partition(":")[0] for where in self._known}:
            now.update(_functions(name, sys.modules.get(name)))
        found = [
            where.replace(":", ".") for where, thing in self._known.items() if now.get(where) is not thing
        ]
        found.sort()
        return found


def _functions(name: str, module: ModuleType | None) -> Iterator[tuple[str, object]]:
    """The functions and classes of a module, and the functions of its classes."""
    for own, thing in list(vars(module).items()) if module else ():
        if isinstance(thing, type):
            yield f"{name}:{own}", thing
            if thing.__module__ == name:
                yield from (
                    (f"{name}:{own}.{part}", held)
                    for part, held in list(vars(thing).items())
                    if isinstance(held, FunctionType)
                )
        elif callable(thing):
            yield f"{name}:{own}", thing


class Plugin:
    """Lets the work be found once pytest stands, and gives the canary its words, which nobody is shown.

    Args:
        secret: what the report must say.
        canary: the name of the test that says it.
        sources: where the work lies.
        seconds: the time there is.
    """

    def __init__(self, secret: str, canary: str, sources: str, seconds: float) -> None:
        self._secret, self._canary, self._sources, self._seconds = secret, canary, sources, seconds
        self._printed = os.fdopen(os.dup(2), "w")  # pytest takes the first one for itself

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        faulthandler.dump_traceback_later(self._seconds * NEARLY, file=self._printed)
        self._watch = Watch()
        sys.path.insert(0, self._sources)
        os.environ["PYTHONPATH"] = self._sources

    @pytest.fixture
    def pygent_words(self) -> Callable[[], str]:
        return lambda: f"{self._secret} {dumps(self._watch.replaced())}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return ("", "", "") if report.nodeid.endswith(f"::{self._canary}") else None


def main() -> None:
    """Run them; the report is OUT/report.xml."""
    out, seconds, covers, sources, tests, canary = sys.argv[1:]
    sys.dont_write_bytecode = True
    secret = Path(out, "secret")
    plugin = Plugin(secret.read_text(), Path(canary).stem, sources, float(seconds))
    secret.unlink()
    cover = _coverage(covers, sources)
    root = Path(tests).parent
    asked = ["-q", "--color=no", "--tb=short", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull]
    asked += [
        "--continue-on-collection-errors",
        f"--rootdir={root}",
        f"--confcutdir={root}",
        f"--junitxml={out}/report.xml",
        tests,
        canary,
    ]
    leave = sys.exit
    code = pytest.main(asked, plugins=[plugin])
    if cover:
        cover(Path(out, "coverage"))
    leave(int(code))


def _coverage(config: str, sources: str) -> Callable[[Path], None] | None:
    """Begins to count the lines that are run, if asked to; returns what is called at the end, to say them."""
    if config == "-":
        return None
    import coverage

    left_out = None if config else ["*/test_*.py", "*_test.py", "*/conftest.py"]
    counted = coverage.Coverage(data_file=None, config_file=config or False, source=[sources], omit=left_out)
    counted.start()

    def said(to: Path) -> None:
        counted.stop()
        told = io.StringIO()
        try:
            share = counted.report(file=told, show_missing=True, skip_covered=True)
        except coverage.CoverageException as error:
            share, told = 0.0, io.StringIO(str(error))
        to.write_text(f"{share:.1f}")
        print(told.getvalue())

    return said


if __name__ == "__main__":
    main()
