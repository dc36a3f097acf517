"""L4: the work as it would be installed. A wheel is built of it and put into a fresh environment, with
nothing beside it but what it declares, and pytest; then the tests are run against it.

There is no network: what it is built with, and what it declares, must be installed for the Python that the
tests are run with.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from anyio.to_thread import run_sync

from pygent_orchestration.coding.gates import paths
from pygent_orchestration.coding.gates.bench import Bench, has, left
from pygent_orchestration.coding.gates.demands import Demands
from pygent_orchestration.coding.gates.tested import proven
from pygent_shared.errors import SandboxMissing
from pygent_shared.sandbox import INSTALL
from pygent_shared.sandbox import run as sandbox
from pygent_shared.sandbox.run import Ended

DECLARED = Path(__file__).with_name("declared.py")
MOST = 256 << 20
"""Bytes of a wheel's files."""
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "--no-color")
_IMPORTED = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)"


async def deployed(bench: Bench, demands: Demands) -> tuple[str, str]:
    """Why the work cannot be deployed, empty where it can; and what the last program printed.

    Raises:
        SandboxMissing: this machine cannot give the sandbox.
    """
    has(bench, "pip", "installing a wheel")
    if await run_sync(sandbox.chosen) == "landlock":
        raise SandboxMissing(
            "building a wheel sets modes of files, which Landlock's sandbox forbids", INSTALL
        )
    wheel, why, output = await _built(bench)
    if wheel is None:
        return why, output
    place = bench.place("deployed")
    venv = place / "venv"
    ended = await _installed(bench, wheel, place)
    if ended.killed or ended.code:
        return ended.killed or "the wheel cannot be installed", ended.output
    if demands.policy.tests:
        python, sources = venv / "bin" / "python", _site_packages(venv)
        return await proven(bench, demands.policy, "of-deployed", python, sources, seen=place)
    words = [str(venv / "bin" / "python"), "-I", "-c", _IMPORTED, *_tops(wheel)]
    ended = await bench.ran(words, write=bench.place("imported"), read=(place,))
    return ended.killed or ("what is installed cannot be imported" if ended.code else ""), ended.output


async def _built(bench: Bench) -> tuple[Path | None, str, str]:
    """The wheel, where the work cannot reach it any more; else why there is none, and pip's output."""
    place = bench.place("built")
    copy, out = place / "tree", place / "wheels"
    await run_sync(lambda: shutil.copytree(bench.tree, copy, symlinks=True))
    bench.given(place)
    words = [*_PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(out), str(copy)]
    ended = await bench.ran([str(bench.python), "-I", *words], write=place)
    names = sorted(path.name for path in out.glob("*.whl")) if out.is_dir() and not out.is_symlink() else []
    data = left(out, names[0]) if len(names) == 1 else None
    if ended.killed or ended.code or data is None:
        return None, ended.killed or "no wheel can be built of the work", ended.output
    wheel = bench.folder / names[0]
    wheel.write_bytes(data)
    if strange := list(_strange(wheel)):
        return None, "the wheel holds what must not be installed", "\n".join(strange)
    return wheel, "", ended.output


async def _installed(bench: Bench, wheel: Path, place: Path) -> Ended:
    """Put it into a fresh environment, `venv` of that place. Nothing of it is run."""
    venv = place / "venv"
    install = (*_PIP, "--python", str(venv / "bin" / "python"), "install", "--no-deps", "--no-index")

    async def done(*words: str) -> Ended:
        return await bench.ran([str(bench.python), "-I", *words], write=place, read=(wheel, DECLARED))

    ended = await done("-m", "venv", "--without-pip", str(venv))
    if not ended.code and not ended.killed:
        ended = await done(*install, "--no-compile", str(wheel))
    if not ended.code and not ended.killed:
        ended = await done(str(DECLARED), str(_site_packages(venv)), str(place / "beside"))
    return ended


def _site_packages(venv: Path) -> Path:
    return next((venv / "lib").glob("python3*")) / "site-packages"


def _strange(wheel: Path) -> Iterator[str]:
    """What in it steers Python, hides a module of Python's or a tool's, or is too much."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        yield f"{wheel.name} is no archive: {error}"
        return
    if sum(one.file_size for one in inside) > MOST:
        yield f"{wheel.name} has more than {MOST >> 20} MB in it"
    for one in inside:
        if paths.steers_python(one.filename) or paths.hidden(one.filename, "."):
            yield one.filename


def _tops(wheel: Path) -> list[str]:
    """The modules and packages it brings."""
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist() if name.endswith(".py")]
    tops = {name.parts[0].removesuffix(".py") for name in names}
    return sorted(top for top in tops if top.isidentifier())
