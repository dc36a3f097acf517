"""Work that passes for right and is not: each way is refused, by the gates that let an honest solution pass.

Each is tried twice: as it stands, and with a policy that names every file it touches, so that the other gates
have to see it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from gates_toy import RIGHT, WRONG, Toy, red

from pygent_shared.sandbox.run import missing

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(bool(missing()), reason=str(missing())),
]

PASSES = "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
PASSES += "    done = yield\n    done.get_result().outcome = 'passed'\n"
EQUAL = """\
class Any(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def add(one: int, other: int) -> int:
    return Any(0)
"""
RUNS_NOTHING = f"""\
import _pytest.python as python

python.Function.runtest = lambda self: None  # type: ignore[method-assign]


{WRONG}"""
PATCHES = f"""\
import subprocess
import sys
import time

time.sleep = lambda seconds: None
sys.exit = lambda status=0: None  # type: ignore[assignment]
subprocess.run = lambda *words, **how: None  # type: ignore[assignment]


{RIGHT}"""
HIDES = "import sums\n\nsums.add = lambda one, other: one + other\n"
CHEATS = {
    "edited tests": {"sums.py": WRONG, "test_sums.py": "def test_one(): pass\ndef test_two(): pass\n"},
    "a conftest.py that makes each outcome a pass": {"sums.py": WRONG, "conftest.py": PASSES},
    "os._exit(0) at import": {"sums.py": f"import os\n\nos._exit(0)\n\n\n{WRONG}"},
    "pyproject.toml has pytest only collect": {
        "sums.py": WRONG,
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--collect-only -q'\n",
    },
    "a plugin by way of pytest.ini": {
        "sums.py": WRONG,
        "lenient.py": PASSES,
        "pytest.ini": "[pytest]\naddopts = -p lenient\n",
    },
    "pytest itself is patched": {"sums.py": RUNS_NOTHING},
    "answers that equal everything": {"sums.py": EQUAL},
    "subprocess, time and sys.exit are patched": {"sums.py": PATCHES},
    "a link to the tests": {"sums.py": "-> ../trusted/test_sums.py"},
    "sitecustomize.py and a .pth file": {
        "sums.py": WRONG,
        "sitecustomize.py": HIDES,
        "honest.pth": "import sitecustomize\n",
    },
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


async def test_an_honest_solution_is_accepted(toy: Toy) -> None:
    verdict = await toy.judged({"sums.py": RIGHT})
    assert verdict.green, verdict.feedback()
    assert [gate.name for gate in verdict.gates] == ["paths", "lint", "types", "tests", "held-out cases"]


@pytest.mark.parametrize("name", CHEATS)
async def test_a_cheat_is_refused(toy: Toy, name: str) -> None:
    verdict = await toy.judged(CHEATS[name])
    assert not verdict.green


@pytest.mark.parametrize("name", CHEATS)
async def test_a_cheat_is_refused_where_the_paths_are_no_obstacle(toy: Toy, name: str) -> None:
    files = CHEATS[name]
    verdict = await toy.judged(files, paths=list(files), lint=False, types=False)
    assert not verdict.green
    assert "paths" not in red(verdict) or "-> " in files["sums.py"]
