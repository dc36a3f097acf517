from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

SPEAKS = """
import logging, sys, warnings
logging.basicConfig(format="EARLIER %(message)s")  # as some library does at import
from pygent_shared import logs
from pygent_shared.settings import Settings
logs.configure(Settings(log_format=sys.argv[1], log_level="info"))

from pygent_shared.server import SuiteServer
SuiteServer("any")  # the SDK configures logging of its own here

log = logging.getLogger("of.mine")
log.debug("not this")
log.info("grüße\\nover two lines")
warnings.simplefilter("default")
warnings.warn("a warning")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it went wrong")
"""

Run = Callable[..., Any]


@pytest.fixture
def rich_installed(tmp_path: Path, environ: dict[str, str]) -> dict[str, str]:
    """An environment where the SDK finds a `rich` that would shout."""
    package = tmp_path / "rich"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "console.py").write_text("class Console:\n    def __init__(self, **options): pass\n")
    (package / "logging.py").write_text(
        "import logging\n"
        "class RichHandler(logging.StreamHandler):\n"
        "    def __init__(self, **options): super().__init__()\n"
        "    def format(self, record): return 'RICH'\n"
    )
    return environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}"}


def test_off_a_terminal_every_line_on_stderr_is_json_and_stdout_stays_empty(
    script: Run, rich_installed: dict[str, str], parsed: Run
) -> None:
    done = script(SPEAKS, "auto", env=rich_installed)

    assert done.stdout == ""
    entries = parsed(done.stderr)
    mine = [entry for entry in entries if entry["logger"] == "of.mine"]
    assert [(entry["level"], entry["message"]) for entry in mine] == [
        ("info", "grüße\nover two lines"),
        ("error", "it went wrong"),
    ]
    assert "ZeroDivisionError" in mine[1]["traceback"]
    assert all(entry["time"][10] == "T" and entry["time"].endswith("Z") for entry in entries)
    assert any("a warning" in entry["message"] for entry in entries if entry["logger"] == "py.warnings")


def test_human_lines_name_the_level_and_the_logger(script: Run, rich_installed: dict[str, str]) -> None:
    done = script(SPEAKS, "human", env=rich_installed)

    assert done.stdout == ""
    assert "INFO of.mine: grüße" in done.stderr
    assert "RICH" not in done.stderr


def test_on_a_terminal_lines_are_human(environ: dict[str, str]) -> None:
    terminal, ours = os.openpty()
    with Popen([sys.executable, "-c", SPEAKS, "auto"], env=environ, stdout=PIPE, stderr=ours):
        os.close(ours)
        shown = b""
        while b"ZeroDivisionError: " not in shown:
            shown += os.read(terminal, 1000)
        os.close(terminal)

    assert b"INFO of.mine: gr" in shown
