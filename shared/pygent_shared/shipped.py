"""The data files that come with the program: ready configs and the demo's documents."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The path of `configs/<name>`, from the installed wheel or from a checkout.

    Raises:
        FileNotFoundError: this installation carries no such file.
    """
    for root in (_PACKAGE / "configs", _PACKAGE.parent.parent / "configs"):
        if (path := root / name).exists():
            return path
    raise FileNotFoundError(f"configs/{name} is not part of this installation")
