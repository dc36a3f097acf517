"""The Python environment beside a repository's files: what must be seen of it for its Python to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

NAMES = (".venv", "venv")


def environments(repository: Path) -> Iterator[Path]:
    """Those that are made there."""
    for name in NAMES:
        place = repository / name
        if (place / "pyvenv.cfg").is_file() and python(place).exists():
            yield place


def python(environment: Path) -> Path:
    """Its Python."""
    return environment / "bin" / "python"


def seen(environment: Path) -> Iterator[Path]:
    """What must be there for it to run: itself, and the Python it was made of."""
    yield environment
    yield from {python(environment).resolve().parents[1], *_home(environment)}


def _home(environment: Path) -> Iterator[Path]:
    """Where that Python lies, by the name that its links go by."""
    for line in (environment / "pyvenv.cfg").read_text().splitlines():
        name, _, place = line.partition("=")
        if name.strip() == "home" and (home := Path(place.strip()).parent).is_dir():
            yield home
